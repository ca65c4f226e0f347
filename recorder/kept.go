package recorder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sallyport"
	"sallyport/recorder/cast"
)

// The names of copies of files: <channel>.<n>.kept beside the casts, and, until
// one is kept, the same with scratchSuffix. What a crash leaves of those is no
// evidence, and removed.
const (
	keptSuffix    = ".kept"
	scratchSuffix = ".kept.tmp"
)

// Copy holds content of a file that moves in a channel. Not safe for concurrent
// use. The caller keeps or closes it.
type Copy struct {
	*os.File
	s    *Session
	kept bool
}

// Copy makes an empty copy. Its error, and those of reading and writing it, leave
// the recording as it is: only what was to be kept and is not ends it.
func (s *Session) Copy(channel string) (*Copy, error) {
	if !sallyport.ValidName(channel) {
		return nil, sallyport.Errorf(sallyport.CodeInternal, "%q is no name of a channel", channel)
	}
	s.listing.Lock()
	defer s.listing.Unlock()
	if s.listsClosed {
		return nil, errClosed
	}
	s.copies++
	name := fmt.Sprintf("%s.%d%s", channel, s.copies, scratchSuffix)
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, reason(err)
	}
	return &Copy{File: f, s: s}, nil
}

// Keep makes the first size bytes a file of the recording and returns its name.
// sum is their SHA-256 in hex; empty: Seal reads them.
func (c *Copy) Keep(size int64, sum string) (string, error) {
	c.s.listing.Lock()
	defer c.s.listing.Unlock()
	if c.s.listsClosed {
		return "", errClosed
	}
	path := strings.TrimSuffix(c.Name(), scratchSuffix) + keptSuffix
	err := c.Truncate(size)
	if err == nil {
		err = os.Rename(c.Name(), path)
	}
	if err != nil {
		return "", c.s.fail(err)
	}
	c.kept = true
	name := filepath.Base(path)
	t := &track{name: name, f: c.File, size: size, known: sum}
	t.dirty.Store(true)
	t.done.Store(true) // synced and closed in the background
	c.s.dirty.Store(true)
	c.s.mu.Lock()
	c.s.tracks = append(c.s.tracks, t)
	c.s.mu.Unlock()
	return name, nil
}

// Close drops a copy that was not kept.
func (c *Copy) Close() error {
	if c.kept {
		return nil
	}
	return errors.Join(c.File.Close(), os.Remove(c.Name()))
}

// fileSum is asked for when nothing writes any more. It returns false where the
// file must be read for it.
func (t *track) fileSum() (cast.FileSum, bool) {
	switch {
	case t.known != "":
		return cast.FileSum{Name: t.name, Size: t.size, SHA256: t.known}, true
	case t.sum.sum == nil:
		return cast.FileSum{}, false
	}
	return cast.FileSum{Name: t.name, Size: t.size, SHA256: t.sum.hex()}, true
}

// removeScratch removes the copies that nobody has kept.
func removeScratch(dir string) error {
	paths, err := filepath.Glob(filepath.Join(globEscape(dir), "*"+scratchSuffix))
	for _, path := range paths {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
