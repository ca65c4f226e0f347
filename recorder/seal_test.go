package recorder_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"sallyport"
	"sallyport/recorder"
)

// sealed fails unless the seal of a failed recording speaks of what is on file,
// and of nothing else.
func sealed(t *testing.T, dir, channel string) {
	t.Helper()
	seal := readSeal(t, dir)
	got, events := rebuild(t, dir, channel)
	if !seal.Truncated || len(events) == 0 || string(events[len(events)-1].Data) != recorder.Unwritable {
		t.Errorf("the failure is hidden: %+v, %+v", seal, events)
	}
	for _, sum := range seal.Streams {
		if sum.Channel != channel {
			continue
		}
		h := sha256.Sum256([]byte(got[sum.Stream]))
		if n := int64(len(got[sum.Stream])); sum.Bytes != n || sum.Stored != n || sum.SHA256 != hex.EncodeToString(h[:]) {
			t.Errorf("on file %q, sealed %+v", got[sum.Stream], sum)
		}
		delete(got, sum.Stream)
	}
	if len(got) != 0 {
		t.Errorf("on file and not in the seal: %q", got)
	}
}

// The attack: the disk fills up in the middle of a line, and the seal vouches
// for bytes that are not there.
func TestSealOfAFailedRecording(t *testing.T) {
	for room := int64(500); room < 760; room += 13 {
		d := newDisk(room)
		s := begin(t, &recorder.Recorder{Dir: t.TempDir(), Create: d.create})
		c, err := s.Channel(recorder.ChannelInfo{Name: "0"})
		for i := 0; err == nil; i++ {
			err = c.Output([]byte([]string{"text é\n", "\x00\xff"}[i%2]))
		}
		d.room.Store(1 << 20)
		must(t, s.Seal(sallyport.Session{ID: "abcdefghijkl", StartedAt: epoch, Cause: sallyport.CauseRecordingFailed}))
		sealed(t, s.Dir(), "0")
	}
}

// What cannot be mended now is left without a seal for later.
func TestSealOfAFailedRecordingThatCannotBeMended(t *testing.T) {
	d := newDisk(1 << 20)
	r := &recorder.Recorder{Dir: t.TempDir(), Create: d.create}
	s := begin(t, r)
	c := channel(t, s, recorder.ChannelInfo{Name: "0"})
	d.room.Store(25)
	if c.Output([]byte("more than there is room for")) == nil {
		t.Fatal("it fitted")
	}
	d.room.Store(1 << 20)
	torn := filepath.Join(s.Dir(), "0.torn")
	must(t, os.Symlink("/dev/full", torn))
	end := sallyport.Session{ID: "abcdefghijkl", StartedAt: epoch, Cause: sallyport.CauseRecordingFailed}
	if err := s.Seal(end); sallyport.CodeOf(err) != sallyport.CodeUnavail || s.SealDigest() != "" {
		t.Fatalf("sealed: %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.Dir(), recorder.SealName)); err == nil {
		t.Fatal("there is a seal")
	}
	must(t, os.Remove(torn))
	// Another gateway, for the first one still has it and would try again.
	if got, err := recovered(t, r); err != nil || len(got) != 0 {
		t.Fatalf("two make one seal: %v, %v", got, err)
	}
	got, err := recovered(t, &recorder.Recorder{Dir: r.Dir})
	must(t, err)
	if len(got) != 1 || got[0].Cause != sallyport.CauseRecordingFailed {
		t.Errorf("recovered %+v", got)
	}
	if b, err := os.ReadFile(torn); err != nil || len(b) != 25 {
		t.Errorf("torn %q, %v", b, err)
	}
	if !readSeal(t, s.Dir()).Truncated {
		t.Error("the failure is hidden")
	}
}

// The disk is full when a killed session ends. Its seal is made as soon as there
// is room again, with the cause that it had, and somebody is told of the seal
// before it is there.
func TestSealIsTriedAgain(t *testing.T) {
	for name, broken := range map[string]bool{"whole": false, "failed": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				d := newDisk(1 << 20)
				down := errors.New("the audit log is down")
				var told []string
				r := &recorder.Recorder{Dir: dir, Create: d.create}
				s := begin(t, r)
				r.Resealed = func(got sallyport.Session, digest string) error {
					if _, err := os.Stat(filepath.Join(s.Dir(), recorder.SealName)); err == nil {
						t.Error("sealed before it was told")
					}
					if got.Cause != sallyport.CauseKilled || got.By != "eve" {
						t.Errorf("told %+v", got)
					}
					if told = append(told, digest); len(told) == 1 {
						return down
					}
					return nil
				}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				go r.Run(ctx)
				c := channel(t, s, recorder.ChannelInfo{Name: "0"})
				must(t, c.Output([]byte("before")))
				if d.room.Store(0); broken && c.Output([]byte("lost")) == nil {
					t.Fatal("it fitted")
				} else if !broken {
					d.room.Store(40 << 10)
					must(t, c.Close())
					d.room.Store(0)
				}
				end := sallyport.Session{ID: "abcdefghijkl", StartedAt: epoch, Cause: sallyport.CauseKilled, By: "eve"}
				if err := s.Seal(end); sallyport.CodeOf(err) != sallyport.CodeUnavail || s.SealDigest() != "" {
					t.Fatalf("sealed on a full disk: %v", err)
				}
				pass := func() {
					<-time.After(time.Second)
					synctest.Wait()
				}
				pass()
				if len(told) != 0 || s.SealDigest() != "" {
					t.Fatalf("told %q on a full disk", told)
				}
				d.room.Store(1 << 20)
				pass()
				if len(told) != 2 || s.SealDigest() != told[1] {
					t.Fatalf("told %q, the digest is %q", told, s.SealDigest())
				}
				pass()
				if len(told) != 2 {
					t.Errorf("sealed again: %q", told)
				}
				b, err := os.ReadFile(filepath.Join(s.Dir(), "session.json"))
				must(t, err)
				var got sallyport.Session
				if must(t, json.Unmarshal(b, &got)); got != end {
					t.Errorf("session.json has %+v", got)
				}
				if broken {
					sealed(t, s.Dir(), "0")
				} else if seal := readSeal(t, s.Dir()); seal.Truncated || len(seal.Streams) != 1 || seal.Streams[0].Bytes != 6 {
					t.Errorf("the seal says %+v", seal)
				}
				if got, err := recovered(t, &recorder.Recorder{Dir: dir}); err != nil || len(got) != 0 {
					t.Errorf("recovered %v, %v", got, err)
				}
			})
		})
	}
}
