package recorder

import (
	"path/filepath"
	"sync"
	"sync/atomic"
)

// track is one file that grows, and its digest. The digest is of what was
// written, not of what a later hand made of it. Writes are serialised by the
// owner; sync and the final close come from the background.
type track struct {
	name  string
	f     File
	sum   digest
	size  int64
	known string // the digest, where it was taken elsewhere

	dirty atomic.Bool
	done  atomic.Bool // no more writes: close after the next sync

	mu     sync.Mutex // held while syncing
	closed bool
	err    error // of the sync that failed: it is never taken back by a later one
}

func (r *Recorder) newTrack(dir, name string) (*track, error) {
	f, err := r.create(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	return &track{name: name, f: f, sum: newDigest(&r.bufs)}, nil
}

func (t *track) write(p []byte) error {
	n, err := t.put(p)
	t.sum.write(p[:n])
	return err
}

// writeBuffer writes p, which is in buf, and returns buf to the pool.
func (t *track) writeBuffer(buf *[]byte, p []byte) error {
	n, err := t.put(p)
	t.sum.take(buf, p[:n])
	return err
}

// put returns how much the file has taken.
func (t *track) put(p []byte) (int, error) {
	n, err := t.f.Write(p)
	n = max(0, min(n, len(p)))
	t.size += int64(n)
	t.dirty.Store(true)
	if err == nil && n < len(p) {
		err = errShort
	}
	return n, err
}

// sync flushes the track if something was written, and closes it when it is
// done. After an fsync that failed the kernel may have dropped the pages and
// the next one may lie, so the first error stays.
func (t *track) sync() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return t.err
	}
	done := t.done.Load() // before dirty: nothing is written after it
	if t.dirty.Swap(false) {
		if err := t.f.Sync(); err != nil && t.err == nil {
			t.err = err
		}
	}
	if done {
		t.closed = true
		if err := t.f.Close(); err != nil && t.err == nil {
			t.err = err
		}
	}
	return t.err
}
