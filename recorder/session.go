package recorder

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"sallyport"
	"sallyport/recorder/cast"
)

var (
	errShort  = errors.New("the file took less than it was given")
	errClosed = errors.New("the recording is closed")
)

// SealName is the file that a finished recording has.
const SealName = "seal.json"

// Session is the recording of one session. Safe for concurrent use.
type Session struct {
	rec *Recorder
	dir string
	id  string

	dirty  atomic.Bool // the directory has new names
	failed chan error

	mu       sync.Mutex
	channels map[string]*Channel
	tracks   []*track // the open ones
	closed   []*track // synced and closed; they wait for the seal
	err      error    // the first failure
	sealing  bool
	digest   string
}

// Dir is the directory of the recording.
func (s *Session) Dir() string { return s.dir }

// Failed delivers the first error of a write or sync of this session, once.
// Whoever receives it ends the session, unless its role says otherwise. Every
// later call on its channels returns that error without trying again.
func (s *Session) Failed() <-chan error { return s.failed }

// Err returns the first failure, or nil.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *Session) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = sallyport.Errorf(sallyport.CodeUnavail, "the recording failed: %w", reason(err))
		s.failed <- s.err
	}
	return s.err
}

// track makes a new file of the session.
func (s *Session) track(name string) (*track, error) {
	t, err := s.rec.newTrack(s.dir, name)
	if err != nil {
		return nil, err
	}
	s.dirty.Store(true)
	s.mu.Lock()
	s.tracks = append(s.tracks, t)
	s.mu.Unlock()
	return t, nil
}

// sync flushes everything that was written before the call.
func (s *Session) sync() error {
	s.mu.Lock()
	open := slices.Clone(s.tracks)
	s.mu.Unlock()
	var err error
	for _, t := range open {
		err = errors.Join(err, t.sync())
	}
	s.mu.Lock()
	s.tracks = slices.DeleteFunc(s.tracks, func(t *track) bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.closed {
			s.closed = append(s.closed, t)
		}
		return t.closed
	})
	s.mu.Unlock()
	if s.dirty.Swap(false) {
		err = errors.Join(err, s.syncDirs())
	}
	return err
}

// syncDirs makes the session's files and the path to them durable.
func (s *Session) syncDirs() error {
	dir := s.dir
	for range 5 { // the session, the day, the month, the year, Dir
		if err := syncDir(dir); err != nil {
			return err
		}
		dir = filepath.Dir(dir)
	}
	return nil
}

// Seal closes what is open, writes the final session.json and seal.json, and
// syncs all of it. The seal says truncated where the recording had failed. An
// error means that the seal is not on the disk: the next Recover makes one.
func (s *Session) Seal(end sallyport.Session) error {
	s.mu.Lock()
	if s.sealing {
		s.mu.Unlock()
		return errClosed
	}
	s.sealing = true
	channels := make([]*Channel, 0, len(s.channels))
	for _, c := range s.channels {
		channels = append(channels, c)
	}
	s.mu.Unlock()
	defer s.rec.forget(s)

	slices.SortFunc(channels, func(a, b *Channel) int { return strings.Compare(a.name, b.name) })
	var streams []cast.StreamSum
	for _, c := range channels {
		if err := c.Close(); err != nil {
			s.fail(err)
		}
		streams = append(streams, c.sums()...)
	}
	if err := s.sync(); err != nil {
		s.fail(err)
	}
	var sums []cast.FileSum
	s.mu.Lock()
	for _, t := range s.closed {
		sums = append(sums, t.fileSum())
	}
	s.mu.Unlock()
	digest, err := s.seal(end, sums, streams, s.Err() != nil)
	if err != nil {
		return s.fail(err)
	}
	s.mu.Lock()
	s.digest = digest
	s.mu.Unlock()
	return nil
}

// SealDigest is the SHA-256 of seal.json in hex, for the audit log; empty
// before Seal has succeeded.
func (s *Session) SealDigest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.digest
}

// seal writes session.json, then seal.json over everything in the directory.
func (s *Session) seal(end sallyport.Session, sums []cast.FileSum, streams []cast.StreamSum, truncated bool) (string, error) {
	if _, err := s.writeJSON("session.json", end, true); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		known := slices.ContainsFunc(sums, func(f cast.FileSum) bool { return f.Name == e.Name() })
		if known || !e.Type().IsRegular() || e.Name() == SealName || strings.HasSuffix(e.Name(), ".tmp") {
			continue
		}
		sum, err := sumFile(filepath.Join(s.dir, e.Name()))
		if err != nil {
			return "", err
		}
		sums = append(sums, sum)
	}
	slices.SortFunc(sums, func(a, b cast.FileSum) int { return strings.Compare(a.Name, b.Name) })
	b, err := s.writeJSON(SealName, cast.Seal{
		Version: 1, Session: s.id, SealedAt: s.rec.now().UTC(), Truncated: truncated,
		Files: sums, Streams: streams,
	}, true)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), s.syncDirs()
}

// writeJSON writes a whole file under another name and renames it, so that a
// crash leaves the old or the new one and never half of one.
func (s *Session) writeJSON(name string, v any, durable bool) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	path := filepath.Join(s.dir, name)
	tmp := path + ".tmp"
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
		return nil, err
	}
	return b, os.Rename(tmp, path)
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
