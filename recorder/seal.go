package recorder

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/recorder/cast"
)

// seal is what is left to do when everything of a session is closed. Each step
// can be done again after one that failed.
type seal struct {
	end       sallyport.Session
	truncated bool
	mended    bool             // where truncated: the casts are whole again
	files     []cast.FileSum   // as they were written; other files are read
	streams   []cast.StreamSum // where truncated: of what is on file
	next      time.Time        // the next attempt, not before
}

// Seal closes what is open, writes the final session.json and seal.json, and
// syncs all of it. Where the recording had failed, its casts are mended as
// after a crash, and the seal says truncated. An error means that the seal is
// not on the disk: Run tries again, and then the next Recover.
func (s *Session) Seal(end sallyport.Session) error {
	s.mu.Lock()
	if s.sealing {
		s.mu.Unlock()
		return errClosed
	}
	s.sealing = true
	channels := slices.SortedFunc(maps.Values(s.channels), func(a, b *Channel) int { return strings.Compare(a.name, b.name) })
	s.mu.Unlock()

	for _, c := range channels {
		if err := c.Close(); err != nil {
			s.fail(err)
		}
	}
	s.closeLists()
	if err := s.sync(); err != nil {
		s.fail(err)
	}
	todo := &seal{end: end, truncated: s.Err() != nil}
	// After a failure nobody knows what of the counted bytes is on file.
	if !todo.truncated {
		for _, c := range channels {
			todo.streams = append(todo.streams, c.sums()...)
		}
		s.mu.Lock()
		for _, t := range s.closed {
			if sum, ok := t.fileSum(); ok {
				todo.files = append(todo.files, sum)
			}
		}
		s.mu.Unlock()
	}
	return s.finish(todo, nil)
}

// SealDigest is the SHA-256 of seal.json in hex, for the audit log; empty
// before the seal is made.
func (s *Session) SealDigest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.digest
}

// share is how much longer than an attempt to seal the pause after it is: what
// fails may mean to read whole casts, and must not take the machine.
const share = 20

func (s *Session) finish(todo *seal, tell func(digest string) error) error {
	begun := time.Now()
	digest, err := s.tryFinish(todo, tell)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		todo.next = now.Add(share * now.Sub(begun))
		s.pending = todo
		return sallyport.Errorf(sallyport.CodeUnavail, "the recording could not be sealed: %w", reason(err))
	}
	s.pending, s.digest = nil, digest
	s.rec.forget(s)
	return nil
}

func (s *Session) tryFinish(todo *seal, tell func(digest string) error) (string, error) {
	// First, as it is small and says most: a full disk stops it here, and a
	// Recover knows the cause.
	if err := s.writeJSON(sessionName, todo.end, true); err != nil {
		return "", err
	}
	if todo.truncated && !todo.mended {
		m, err := mendCasts(s.dir, todo.end.StartedAt, Unwritable)
		if err != nil {
			return "", err
		}
		todo.streams, todo.mended = m.streams, true
	}
	return s.writeSeal(todo.files, todo.streams, todo.truncated, tell)
}

// sealAgain makes the seals that Seal could not make. What fails again stays.
func (r *Recorder) sealAgain() {
	for _, s := range r.sessions() {
		s.mu.Lock()
		todo := s.pending
		s.mu.Unlock()
		if todo == nil || time.Now().Before(todo.next) {
			continue
		}
		_ = s.finish(todo, func(digest string) error {
			if r.Resealed == nil {
				return nil
			}
			return r.Resealed(todo.end, digest)
		})
	}
}

// writeSeal writes seal.json over everything in the directory and returns its
// digest. tell, which may be nil, hears of that before the seal is in place,
// and can refuse it.
func (s *Session) writeSeal(files []cast.FileSum, streams []cast.StreamSum, truncated bool, tell func(digest string) error) (string, error) {
	files = slices.Clone(files)
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		known := slices.ContainsFunc(files, func(f cast.FileSum) bool { return f.Name == e.Name() })
		if known || !e.Type().IsRegular() || e.Name() == SealName || strings.HasSuffix(e.Name(), ".tmp") {
			continue
		}
		sum, err := sumFile(filepath.Join(s.dir, e.Name()))
		if err != nil {
			return "", err
		}
		files = append(files, sum)
	}
	slices.SortFunc(files, func(a, b cast.FileSum) int { return strings.Compare(a.Name, b.Name) })
	b, err := s.prepareJSON(SealName, cast.Seal{
		Version: 1, Session: s.id, SealedAt: s.rec.now().UTC(), Truncated: truncated,
		Files: files, Streams: streams,
	}, true)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	digest := hex.EncodeToString(sum[:])
	if tell != nil {
		if err := tell(digest); err != nil {
			return "", errors.Join(err, os.Remove(s.tmp(SealName)))
		}
	}
	if err := os.Rename(s.tmp(SealName), filepath.Join(s.dir, SealName)); err != nil {
		return "", err
	}
	return digest, s.syncDirs()
}

// writeJSON writes a whole file under another name and renames it, so that a
// crash leaves the old or the new one and never half of one.
func (s *Session) writeJSON(name string, v any, durable bool) error {
	if _, err := s.prepareJSON(name, v, durable); err != nil {
		return err
	}
	return os.Rename(s.tmp(name), filepath.Join(s.dir, name))
}

// tmp is what a file is called until it is whole.
func (s *Session) tmp(name string) string { return filepath.Join(s.dir, name+".tmp") }

// prepareJSON writes a file up to its renaming, and returns its content.
func (s *Session) prepareJSON(name string, v any, durable bool) (_ []byte, err error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	b = append(cast.AppendSafe(nil, b), '\n')
	tmp := s.tmp(name)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := s.rec.create(tmp)
	if err != nil {
		return nil, err
	}
	n, err := f.Write(b)
	if err == nil && n < len(b) {
		err = errShort
	}
	if err == nil && durable {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(tmp))
	}
	return b, nil
}

func sumFile(path string) (cast.FileSum, error) {
	f, err := os.Open(path)
	if err != nil {
		return cast.FileSum{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return cast.FileSum{}, err
	}
	return cast.FileSum{Name: filepath.Base(path), Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}
