package proxy

import (
	"errors"
	"io"
	"sync"
)

// A pump begins with a small buffer and takes a large one while reads fill it:
// an idle terminal holds a few hundred bytes. The large one is two SSH packets,
// so that a transfer costs one write to the recording for both.
const smallBuffer, largeBuffer = 512, 64 << 10

// patience is how many small reads in a row give the large buffer back.
const patience = 16

var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// pump reads until the end and hands each chunk to f, which does not keep it.
// It returns nil at the end of input, and otherwise the error of the read or of
// f.
func pump(r io.Reader, f func(p []byte) error) error {
	small := make([]byte, smallBuffer)
	var large *[largeBuffer]byte
	defer func() {
		if large != nil {
			largeBuffers.Put(large)
		}
	}()
	for buf, few := small, 0; ; {
		n, err := r.Read(buf)
		if n > 0 {
			if err := f(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		switch {
		case large == nil && n == len(small):
			large, few = largeBuffers.Get().(*[largeBuffer]byte), 0
			buf = large[:]
		case large != nil && n >= smallBuffer:
			few = 0
		case large != nil:
			if few++; few >= patience {
				largeBuffers.Put(large)
				large, buf = nil, small
			}
		}
	}
}
