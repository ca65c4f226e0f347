package recorder

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sync"
)

// A digest is taken beside the work from this size on: a piece is written and
// delivered while it is still being hashed. Only the digest lags behind, by one
// piece, and whoever asks for it waits.
const hashBeside = 8 << 10

// digest is a SHA-256 over everything it is given. Its calls are serialised by
// the owner.
type digest struct {
	bufs *sync.Pool // of *[]byte
	sum  hash.Hash
	busy chan struct{} // closed when the last piece was hashed; nil: it was
}

func newDigest(bufs *sync.Pool) digest { return digest{bufs: bufs, sum: sha256.New()} }

// write adds p, of which it takes a copy where it needs p after it has
// returned.
func (d *digest) write(p []byte) {
	if len(p) < hashBeside {
		d.wait()
		d.sum.Write(p)
		return
	}
	buf := buffer(d.bufs)
	*buf = append(*buf, p...)
	d.take(buf, *buf)
}

// take adds p, which is in buf, and returns buf to the pool.
func (d *digest) take(buf *[]byte, p []byte) {
	d.wait()
	if len(p) < hashBeside {
		d.sum.Write(p)
		d.bufs.Put(buf)
		return
	}
	busy := make(chan struct{})
	d.busy = busy
	go func() {
		defer close(busy)
		d.sum.Write(p)
		d.bufs.Put(buf)
	}()
}

func (d *digest) wait() {
	if d.busy != nil {
		<-d.busy
		d.busy = nil
	}
}

func (d *digest) hex() string {
	d.wait()
	return hex.EncodeToString(d.sum.Sum(nil))
}

// buffer returns an empty buffer of the pool.
func buffer(bufs *sync.Pool) *[]byte {
	if b, ok := bufs.Get().(*[]byte); ok {
		*b = (*b)[:0]
		return b
	}
	b := make([]byte, 0, 80<<10)
	return &b
}
