// Package recorder writes recordings: a directory for each session, an
// asciicast v3 for each channel, a raw track beside it for bytes that are no
// text, and a seal. What a call has accepted was handed to the operating system
// before the call returned. docs/recordings.md describes the files.
package recorder

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"sallyport"
)

// File is what a recording is written to. Write and Sync run concurrently.
type File interface {
	io.WriteCloser
	Sync() error
}

// Recorder starts recordings below Dir. Set the fields before the first use;
// safe for concurrent use after.
type Recorder struct {
	Dir     string // data_dir/recordings; made with mode 0700
	Reserve int64  // bytes that must be free before a session starts

	Now    func() time.Time                // nil: time.Now
	Create func(path string) (File, error) // nil: a new file of mode 0600
	Free   func(dir string) (int64, error) // nil: what the file system says, in bytes

	// Resealed is told of a seal that Run makes because Seal had failed, before
	// it is in place; its error leaves the session without one until the next
	// attempt. Nil: nobody is told.
	Resealed func(s sallyport.Session, sealDigest string) error

	mu   sync.Mutex
	live map[string]*Session // by directory; also those whose Seal has failed
	bufs sync.Pool           // *[]byte: lines on their way to a file or a digest
}

func (r *Recorder) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

func (r *Recorder) create(path string) (File, error) {
	if r.Create != nil {
		return r.Create(path)
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
}

func (r *Recorder) free() (int64, error) {
	if r.Free != nil {
		return r.Free(r.Dir)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(r.Dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: r.Dir, Err: err}
	}
	return int64(min(st.Bavail, 1<<40)) * st.Bsize, nil
}

// Start makes the directory of s and writes its session.json. Without it there
// is no session: an error says that nothing can be recorded now. The caller
// calls Seal at the end, or Discard where nothing ever began.
func (r *Recorder) Start(s sallyport.Session) (*Session, error) {
	if !sallyport.ValidName(s.ID) {
		return nil, sallyport.Errorf(sallyport.CodeInternal, "%q is no id of a session", s.ID)
	}
	if s.StartedAt.IsZero() {
		s.StartedAt = r.now()
	}
	session, err := r.start(s)
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeUnavail, "the session cannot be recorded, so it cannot start: %w", reason(err)).
			WithHint("tell whoever runs this gateway; its recordings directory needs space and mode 0700")
	}
	return session, nil
}

// reason leaves out the path, which is nothing for a user.
func reason(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

var errSpace = errors.New("the disk is nearly full")

func (r *Recorder) start(s sallyport.Session) (*Session, error) {
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return nil, err
	}
	if r.Reserve > 0 {
		free, err := r.free()
		if err != nil {
			return nil, err
		}
		if free < r.Reserve {
			return nil, errSpace
		}
	}
	day := filepath.Join(r.Dir, s.StartedAt.UTC().Format("2006/01/02"))
	if err := os.MkdirAll(day, 0o700); err != nil {
		return nil, err
	}
	session := &Session{
		rec: r, dir: filepath.Join(day, s.ID), id: s.ID,
		channels: map[string]*Channel{},
		failed:   make(chan error, 1),
	}
	// Known before it exists, so that Recover never takes it for an orphan.
	if !r.remember(session) {
		return nil, os.ErrExist
	}
	if err := os.Mkdir(session.dir, 0o700); err != nil {
		r.forget(session)
		return nil, err
	}
	if err := session.writeJSON(sessionName, s, false); err != nil {
		r.forget(session)
		// Leave no orphan behind that was never a session. What cannot be
		// removed is closed by the next Recover.
		return nil, errors.Join(err, removeEmpty(session.dir))
	}
	session.dirty.Store(true) // only now is there something to sync
	return session, nil
}

func removeEmpty(dir string) error {
	err := os.RemoveAll(dir)
	if err != nil {
		return fmt.Errorf("removing the unused recording: %w", err)
	}
	return nil
}

func (r *Recorder) remember(s *Session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live[s.dir] != nil {
		return false
	}
	if r.live == nil {
		r.live = map[string]*Session{}
	}
	r.live[s.dir] = s
	return true
}

func (r *Recorder) forget(s *Session) {
	r.mu.Lock()
	delete(r.live, s.dir)
	r.mu.Unlock()
}

// sessions returns all that are live, in no order.
func (r *Recorder) sessions() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.live))
}

func (r *Recorder) isLive(dir string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live[dir] != nil
}

// syncDir makes the names in dir durable, or the content of a file.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
