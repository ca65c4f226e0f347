package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"sallyport"
)

// maxLine bounds a line, in bytes: well above what bound allows, each byte
// escaped.
const maxLine = 1 << 20

// LineError says what is wrong with one line of the log. Reading goes on after
// it.
type LineError struct {
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("audit log line %d: %v", e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }

// Read returns the events of the log at path, oldest first. A torn or changed
// line, and a gap before one, come as a *LineError in their place; after any
// other error the sequence ends.
func Read(path string) iter.Seq2[sallyport.Event, error] {
	return func(yield func(sallyport.Event, error) bool) {
		for r, err := range Records(path) {
			if !yield(r.Event, err) {
				return
			}
		}
	}
}

// Records is Read with the number of each event.
func Records(path string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer f.Close()
		scan(f, yield)
	}
}

func scan(r io.Reader, yield func(Record, error) bool) {
	lines := bufio.NewReaderSize(r, 64<<10)
	var last uint64
	for n := 1; ; n++ {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errTooLong) {
			yield(Record{}, err)
			return
		}
		var rec Record
		switch {
		case errors.Is(err, errTooLong):
		case errors.Is(err, io.EOF):
			err = errors.New("the line is torn")
		default:
			rec, err = decode(line)
		}
		if err != nil {
			if !yield(Record{}, &LineError{n, err}) {
				return
			}
			continue
		}
		if rec.Seq != last+1 {
			if !yield(Record{}, &LineError{n, fmt.Errorf("record %d follows record %d", rec.Seq, last)}) {
				return
			}
		}
		last = rec.Seq
		if !yield(rec, nil) {
			return
		}
	}
}

var errTooLong = errors.New("the line is too long")

// readLine returns the next line without its newline; io.EOF and what there is
// where the newline is missing. Of a line over maxLine nothing is kept.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	long := false
	for {
		part, err := r.ReadSlice('\n')
		if long = long || len(line)+len(part) > maxLine; !long {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if long {
			return nil, errTooLong
		}
		return bytes.TrimSuffix(line, []byte{'\n'}), err
	}
}

func decode(line []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return Record{}, errors.New("it is no JSON of ours")
	}
	if r.Seq == 0 || r.Type == "" {
		return Record{}, errors.New("it is no audit record")
	}
	return r, nil
}

// tail returns the number of the last whole record, the size of the file and
// how many bytes after its last newline are torn. It reads backwards, as far as
// needed.
func tail(path string) (seq uint64, size, torn int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, 0, err
	}
	size = info.Size()
	for window := int64(64 << 10); ; window *= 4 {
		window = min(window, size)
		b := make([]byte, window)
		if _, err := f.ReadAt(b, size-window); err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, 0, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		end := bytes.LastIndexByte(b, '\n')
		torn = window - int64(end) - 1
		for ; end >= 0; end = bytes.LastIndexByte(b[:end], '\n') {
			// Without the newline before it the line may begin before the window.
			start := bytes.LastIndexByte(b[:end], '\n') + 1
			if start == 0 && window < size {
				break
			}
			if r, err := decode(b[start:end]); err == nil {
				return r.Seq, size, torn, nil
			}
		}
		if window == size {
			return 0, size, torn, nil
		}
	}
}
