package content

import (
	"errors"
	"io"
	"sync/atomic"
)

// Bounds of what is held back of one channel and of one file. Beyond them a file
// has no digest; it passes all the same.
const (
	maxChannelMemory = 16 << 20
	maxChannelDisk   = 1 << 30
	maxFileMemory    = 1 << 20
	maxAhead         = 256 << 20 // bytes of one file that came before those in front of them
	maxGaps          = 1024      // places of one file at which something is missing
	pageSize         = 32 << 10
)

var errRoom = errors.New("no room is left for copies")

// Copy holds content beside the recording.
type Copy interface {
	io.ReaderAt
	io.WriterAt
	// Keep makes the first size bytes a file of the recording, and returns its
	// name. sum is their SHA-256 in hex, empty where it is not known.
	Keep(size int64, sum string) (name string, err error)
	// Close drops a copy that was not kept.
	Close() error
}

// Room is what the files of a channel have for copies together.
type Room struct {
	Open func() (Copy, error) // nil: there is only memory, and nothing is kept

	memory, disk atomic.Int64
}

// store holds bytes at their offsets: in memory as long as they are few, then in
// a scratch file. What was never written is unspecified. Not safe for concurrent
// use.
type store struct {
	room  *Room
	pages map[int64][]byte
	held  int64 // bytes of pages
	file  Copy  // nil: all is in memory
	disk  int64 // bytes written to file
}

func (s *store) write(p []byte, off int64) error {
	if s.file == nil {
		n := int64(len(p))
		if s.held+n <= maxFileMemory {
			if s.room.memory.Add(n) <= maxChannelMemory {
				s.remember(p, off)
				return nil
			}
			s.room.memory.Add(-n)
		}
		if err := s.spill(); err != nil {
			return err
		}
	}
	return s.put(p, off)
}

// remember puts p into pages; the room for it is taken already.
func (s *store) remember(p []byte, off int64) {
	taken := int64(len(p))
	if s.pages == nil {
		s.pages = map[int64][]byte{}
	}
	for len(p) > 0 {
		n, at := off/pageSize, int(off%pageSize)
		page := s.pages[n]
		had := len(page)
		if end := min(at+len(p), pageSize); end > had {
			page = append(page, make([]byte, end-had)...)
		}
		moved := copy(page[at:], p)
		s.pages[n] = page
		s.held += int64(len(page) - had)
		taken -= int64(len(page) - had)
		p, off = p[moved:], off+int64(moved)
	}
	s.room.memory.Add(-taken) // what was there already, or the zeros before it
}

// spill moves the pages to a file.
func (s *store) spill() error {
	if s.room.Open == nil {
		return errRoom
	}
	f, err := s.room.Open()
	if err != nil {
		return err
	}
	s.file = f
	for n, page := range s.pages {
		if err := s.put(page, n*pageSize); err != nil {
			return err
		}
	}
	s.forget()
	return nil
}

func (s *store) put(p []byte, off int64) error {
	s.disk += int64(len(p))
	if s.room.disk.Add(int64(len(p))) > maxChannelDisk {
		return errRoom
	}
	_, err := s.file.WriteAt(p, off)
	return err
}

func (s *store) read(p []byte, off int64) error {
	if s.file != nil {
		_, err := s.file.ReadAt(p, off)
		return err
	}
	for len(p) > 0 {
		page, at := s.pages[off/pageSize], int(off%pageSize)
		if at >= len(page) {
			return errRoom // it never was there
		}
		n := copy(p, page[at:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// passed frees the pages before off.
func (s *store) passed(off int64) {
	for n, page := range s.pages {
		if (n+1)*pageSize <= off {
			s.held -= int64(len(page))
			s.room.memory.Add(-int64(len(page)))
			delete(s.pages, n)
		}
	}
}

// forget frees all pages.
func (s *store) forget() {
	s.room.memory.Add(-s.held)
	s.pages, s.held = nil, 0
}

// reset drops everything.
func (s *store) reset() {
	s.forget()
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
	s.room.disk.Add(-s.disk)
	s.disk = 0
}
