package recorder_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sallyport"
	"sallyport/recorder"
)

// disk is a file system that can fill up and break.
type disk struct {
	room   atomic.Int64 // bytes that still fit
	broken atomic.Bool  // fsync fails
	syncs  atomic.Int64
}

type diskFile struct {
	*os.File
	d *disk
}

func newDisk(room int64) *disk {
	d := &disk{}
	d.room.Store(room)
	return d
}

func (d *disk) create(path string) (recorder.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return &diskFile{f, d}, err
}

func (f *diskFile) Write(p []byte) (int, error) {
	if left := f.d.room.Add(-int64(len(p))); left < 0 {
		n, err := f.File.Write(p[:max(0, int64(len(p))+left)])
		return n, errors.Join(err, syscall.ENOSPC)
	}
	return f.File.Write(p)
}

func (f *diskFile) Sync() error {
	f.d.syncs.Add(1)
	if f.d.broken.Load() {
		return syscall.EIO
	}
	return nil
}

// The attack: the disk is filled so that what follows is not recorded. At
// whatever byte it fills up, the call fails, the session is told, nothing more
// is taken, and what was accepted before can still be read.
func TestDiskFull(t *testing.T) {
	for room := int64(400); room < 1400; room += 13 {
		d := newDisk(room)
		r := &recorder.Recorder{Dir: t.TempDir(), Create: d.create}
		s, err := r.Start(sallyport.Session{ID: "abcdefghijkl", StartedAt: epoch})
		if err != nil {
			if sallyport.CodeOf(err) != sallyport.CodeUnavail || sallyport.HintOf(err) == "" {
				t.Fatalf("room %d: refused with %v", room, err)
			}
			continue
		}
		accepted := ""
		c, err := s.Channel(recorder.ChannelInfo{Name: "0"})
		for i := 0; err == nil && i < 100; i++ {
			p := "text é"
			if i%3 == 0 {
				p = "\x00\xff"
			}
			if err = c.Output([]byte(p)); err == nil {
				accepted += p
			}
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("room %d: %v", room, err)
		}
		select {
		case failed := <-s.Failed():
			if !errors.Is(failed, syscall.ENOSPC) || !errors.Is(s.Err(), syscall.ENOSPC) {
				t.Fatalf("told %v", failed)
			}
		default:
			t.Fatalf("room %d: the session was not told", room)
		}
		d.room.Store(1 << 20) // space again: the hole must stay visible
		if c != nil && c.Output([]byte("x")) == nil {
			t.Fatalf("room %d: went on after a failure", room)
		}
		if err := s.Seal(sallyport.Session{ID: "abcdefghijkl", Cause: sallyport.CauseRecordingFailed}); err != nil {
			t.Fatal(err)
		}
		if !readSeal(t, s.Dir()).Truncated {
			t.Fatalf("room %d: the seal hides the failure", room)
		}
		if c == nil {
			continue
		}
		if got, _ := rebuild(t, s.Dir(), "0"); !strings.HasPrefix(got["out"], accepted) {
			t.Fatalf("room %d: accepted %q, on file %q", room, accepted, got["out"])
		}
	}
}

func TestFsyncError(t *testing.T) {
	d := newDisk(1 << 20)
	r := &recorder.Recorder{Dir: t.TempDir(), Create: d.create}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	s := begin(t, r)
	c := channel(t, s, recorder.ChannelInfo{Name: "0"})
	d.broken.Store(true)
	must(t, c.Output([]byte("x")))
	written := time.Now()
	if err := <-s.Failed(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("told %v", err)
	}
	if took := time.Since(written); took > 2*time.Second {
		t.Errorf("told after %v", took)
	}
	if err := c.Output([]byte("y")); !errors.Is(err, syscall.EIO) {
		t.Errorf("went on: %v", err)
	}
}

// Every second of writing is on the disk, an idle second costs nothing, and
// what is closed is closed without waiting for the seal.
func TestSyncsEverySecond(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(1 << 20)
		r := &recorder.Recorder{Dir: dir, Create: d.create}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go r.Run(ctx)
		s := begin(t, r)
		c := channel(t, s, recorder.ChannelInfo{Name: "0"})
		wait := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		for i := range int64(5) {
			must(t, c.Output([]byte("x")))
			wait(time.Second)
			if got := d.syncs.Load(); got != i+1 {
				t.Fatalf("%d syncs after %d seconds", got, i+1)
			}
		}
		wait(10 * time.Second)
		if got := d.syncs.Load(); got != 5 {
			t.Errorf("%d syncs while idle", got-5)
		}
		must(t, c.Close())
		wait(time.Second)
		if got := d.syncs.Load(); got != 6 {
			t.Errorf("%d syncs after the close", got-5)
		}
		must(t, s.Seal(sallyport.Session{ID: "abcdefghijkl"}))
	})
}

func TestStartRefuses(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(blocked, nil, 0o600))
	for name, r := range map[string]*recorder.Recorder{
		"no directory": {Dir: blocked},
		"nearly full": {
			Dir: t.TempDir(), Reserve: 100,
			Free: func(string) (int64, error) { return 99, nil },
		},
		"beyond this disk": {Dir: t.TempDir(), Reserve: 1 << 62},
		"unwritable":       {Dir: t.TempDir(), Create: func(string) (recorder.File, error) { return nil, syscall.EACCES }},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Start(sallyport.Session{ID: "abcdefghijkl", StartedAt: epoch})
			if sallyport.CodeOf(err) != sallyport.CodeUnavail || sallyport.HintOf(err) == "" ||
				strings.Contains(err.Error(), r.Dir) {
				t.Fatalf("got %v", err)
			}
			if name == "no directory" {
				return
			}
			if got, err := recovered(t, r); err != nil || len(got) != 0 {
				t.Errorf("a refused session left %v, %v", got, err)
			}
		})
	}
}

// Many writers and the background at once: nothing is lost, in any order.
func TestConcurrent(t *testing.T) {
	r := &recorder.Recorder{Dir: t.TempDir()}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	run := make(chan struct{})
	go func() { defer close(run); r.Run(ctx) }()
	s := begin(t, r)
	c := channel(t, s, recorder.ChannelInfo{Name: "0"})
	for _, write := range []func([]byte) error{c.Output, c.Stderr, c.Input} {
		wg.Go(func() {
			for range 200 {
				if err := write([]byte("ab\xff")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	must(t, s.Seal(sallyport.Session{ID: "abcdefghijkl"}))
	cancel()
	<-run
	got, _ := rebuild(t, s.Dir(), "0")
	for _, stream := range []string{"out", "err", "in"} {
		if got[stream] != strings.Repeat("ab\xff", 200) {
			t.Errorf("%s is not what was written", stream)
		}
	}
}
