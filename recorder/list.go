package recorder

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	"sallyport"
	"sallyport/recorder/cast"
)

// The lists beside the casts: one JSON object a line.
const (
	FilesName    = "files.jsonl"
	ForwardsName = "forwards.jsonl"
)

// File records what happened to a file. Like every failure to record, its error
// ends the recording.
func (s *Session) File(e sallyport.FileEvent) error { return s.list(FilesName, e) }

// Forward records a forwarded channel that has ended.
func (s *Session) Forward(e sallyport.ForwardEvent) error { return s.list(ForwardsName, e) }

// list appends a line to one of the lists, in one Write.
func (s *Session) list(name string, v any) error {
	if err := s.Err(); err != nil {
		return err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return s.fail(err)
	}
	s.listing.Lock()
	defer s.listing.Unlock()
	if s.listsClosed {
		return errClosed
	}
	t := s.lists[name]
	if t == nil {
		if t, err = s.track(name); err != nil {
			return s.fail(err)
		}
		if s.lists == nil {
			s.lists = map[string]*track{}
		}
		s.lists[name] = t
	}
	buf := buffer(&s.rec.bufs)
	*buf = append(cast.AppendSafe(*buf, b), '\n')
	if err := t.writeBuffer(buf, *buf); err != nil {
		return s.fail(err)
	}
	return nil
}

// closeLists lets nothing more be written to them.
func (s *Session) closeLists() {
	s.listing.Lock()
	defer s.listing.Unlock()
	s.listsClosed = true
	for _, t := range s.lists {
		t.done.Store(true)
	}
}

// mendLists moves a last line that is not whole to the .torn file of its list.
func mendLists(dir string) error {
	for _, name := range []string{FilesName, ForwardsName} {
		path := filepath.Join(dir, name)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		err = mendList(path, f)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func mendList(path string, f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	const step = 64 << 10 // no line of ours is longer, but who knows who wrote it
	buf := make([]byte, step)
	end := size
	for end > 0 {
		from := max(0, end-step)
		p := buf[:end-from]
		if _, err := f.ReadAt(p, from); err != nil {
			return err
		}
		if i := bytes.LastIndexByte(p, '\n'); i >= 0 {
			end = from + int64(i) + 1
			break
		}
		end = from
	}
	_, err = cutTorn(path, f, end)
	return err
}
