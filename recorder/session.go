package recorder

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"sallyport"
)

var (
	errShort  = errors.New("the file took less than it was given")
	errClosed = errors.New("the recording is closed")
)

// SealName is the file that a finished recording has.
const SealName = "seal.json"

const sessionName = "session.json"

// Session is the recording of one session. Safe for concurrent use.
//
// Start makes it and the Recorder knows it from then on; Channel gives it its
// content; Seal ends it. A Seal that fails leaves it with the Recorder, whose
// Run tries again.
type Session struct {
	rec *Recorder
	dir string
	id  string

	dirty  atomic.Bool // the directory has new names
	queued atomic.Bool // Run is about to sync it, or does
	failed chan error

	listing     sync.Mutex // held while a line is written to a list, or a copy is made or kept
	lists       map[string]*track
	listsClosed bool
	copies      int // that were made

	mu       sync.Mutex
	channels map[string]*Channel
	tracks   []*track // the open ones
	closed   []*track // synced and closed; they wait for the seal
	err      error    // the first failure
	sealing  bool     // nothing more is taken
	pending  *seal    // of a Seal that has failed
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

// unsynced reports whether there is something to sync or to close.
func (s *Session) unsynced() bool {
	if s.dirty.Load() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.tracks, func(t *track) bool { return t.dirty.Load() || t.done.Load() })
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

// syncDirs makes session.json and the path to the session's files durable.
func (s *Session) syncDirs() error {
	if err := syncDir(filepath.Join(s.dir, sessionName)); err != nil {
		return err
	}
	dir := s.dir
	for range 5 { // the session, the day, the month, the year, Dir
		if err := syncDir(dir); err != nil {
			return err
		}
		dir = filepath.Dir(dir)
	}
	return nil
}

// Discard drops the recording of a session that never began, such as one whose
// target could not be reached. It refuses once there is a channel: that is
// evidence, and for Seal. What cannot be removed the next Recover closes.
func (s *Session) Discard() error {
	s.listing.Lock()
	listed := len(s.lists) > 0
	s.listing.Unlock()
	s.mu.Lock()
	switch {
	case s.sealing:
		s.mu.Unlock()
		return errClosed
	case len(s.channels) > 0 || listed:
		s.mu.Unlock()
		return sallyport.Errorf(sallyport.CodeInternal, "a recording with content is not discarded")
	}
	s.sealing = true
	s.mu.Unlock()
	defer s.rec.forget(s)
	return removeEmpty(s.dir)
}
