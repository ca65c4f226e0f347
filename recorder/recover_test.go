package recorder_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/recorder"
)

// recovered returns the sessions that Recover closes.
func recovered(t testing.TB, r *recorder.Recorder) ([]sallyport.Session, error) {
	t.Helper()
	var all []sallyport.Session
	err := r.Recover(context.Background(), func(s sallyport.Session, digest string) error {
		if len(digest) != 64 {
			t.Errorf("the digest of the seal is %q", digest)
		}
		all = append(all, s)
		return nil
	})
	return all, err
}

func unmended(err error) []*recorder.UnmendedError {
	var all []*recorder.UnmendedError
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			if u, ok := errors.AsType[*recorder.UnmendedError](err); ok {
				all = append(all, u)
			}
		}
	}
	return all
}

// A crash leaves any prefix of a cast. From each one Recover makes a recording
// that reads to its end, has everything that stood on whole lines, and says
// that it was interrupted; what was torn is kept beside it.
func TestRecoverAtEveryByte(t *testing.T) {
	s := begin(t, &recorder.Recorder{Dir: t.TempDir(), Now: func() time.Time { return epoch }})
	c := channel(t, s, recorder.ChannelInfo{Name: "0", PTY: true, Width: 90, Height: 30})
	const out = "hello é\xff there \xe2\x82"
	must(t, c.Output([]byte(out[:7])), c.Output([]byte(out[7:])), c.Stderr([]byte("oops")), c.Input([]byte("q")), c.InputMasked(3))
	whole, err := os.ReadFile(filepath.Join(s.Dir(), "0.cast"))
	must(t, err)
	raw, err := os.ReadFile(filepath.Join(s.Dir(), "0.raw"))
	must(t, err)
	session, err := os.ReadFile(filepath.Join(s.Dir(), "session.json"))
	must(t, err)

	root := t.TempDir()
	dir := filepath.Join(root, "2026/03/01/abcdefghijkl")
	for n := range len(whole) + 1 {
		must(t, os.RemoveAll(dir), os.MkdirAll(dir, 0o700),
			os.WriteFile(filepath.Join(dir, "session.json"), session, 0o600),
			os.WriteFile(filepath.Join(dir, "0.raw"), raw, 0o600),
			os.WriteFile(filepath.Join(dir, "0.cast"), whole[:n], 0o600))
		r := &recorder.Recorder{Dir: root}
		got, err := recovered(t, r)
		must(t, err)
		if len(got) != 1 || got[0].Cause != sallyport.CauseCrash || got[0].User != "alice" || got[0].EndedAt.IsZero() {
			t.Fatalf("at %d: %+v", n, got)
		}
		streams, events := rebuild(t, dir, "0")
		if !strings.HasPrefix(out, streams["out"]) || n == len(whole) && streams["out"] != out {
			t.Fatalf("at %d: output %q", n, streams["out"])
		}
		if i := bytes.Index(whole, []byte("oops")); n > i+len("oops\"]\n") && streams["err"] != "oops" {
			t.Fatalf("at %d: error output %q", n, streams["err"])
		}
		marked := false
		for _, e := range events {
			marked = marked || e.Code == 'm' && string(e.Data) == recorder.Interrupted
		}
		if !marked {
			t.Fatalf("at %d: no marker", n)
		}
		good := bytes.LastIndexByte(whole[:n], '\n') + 1
		torn, err := os.ReadFile(filepath.Join(dir, "0.torn"))
		if n > good && (err != nil || !bytes.Equal(torn, whole[good:n])) {
			t.Fatalf("at %d: torn %q, %v", n, torn, err)
		}
		if !readSeal(t, dir).Truncated {
			t.Fatalf("at %d: not sealed as truncated", n)
		}
		if again, err := recovered(t, r); err != nil || len(again) != 0 {
			t.Fatalf("at %d: closed twice: %v, %v", n, again, err)
		}
	}
}

// One recording that cannot be mended, and one without session.json, do not
// keep back the others; a live session and what is no recording stay alone.
func TestRecoverGoesOn(t *testing.T) {
	r := &recorder.Recorder{Dir: t.TempDir()}
	live := begin(t, r)
	day := filepath.Dir(live.Dir())
	must(t,
		os.MkdirAll(filepath.Join(day, "aaaaaaaaaaaa", "0.cast"), 0o700), // a cast that is a directory
		os.MkdirAll(filepath.Join(day, "bbbbbbbbbbbb"), 0o700),
		os.WriteFile(filepath.Join(day, "bbbbbbbbbbbb", "session.json"), []byte(`{"id":`), 0o600),
		os.MkdirAll(filepath.Join(r.Dir, "lost+found"), 0o700),
	)
	got, err := recovered(t, r)
	if u := unmended(err); len(u) != 1 || u[0].Session != "aaaaaaaaaaaa" || u[0].Dir != filepath.Join(day, "aaaaaaaaaaaa") || u[0].Err == nil {
		t.Errorf("the broken one was not told: %v", err)
	}
	if len(got) != 1 || got[0].ID != "bbbbbbbbbbbb" || got[0].Cause != sallyport.CauseCrash || got[0].StartedAt.IsZero() {
		t.Errorf("recovered %+v", got)
	}
	must(t, live.Seal(sallyport.Session{ID: "abcdefghijkl"}))
	if readSeal(t, live.Dir()).Truncated {
		t.Error("the live session was touched")
	}
}

// A gateway that dies again between the audit and the seal, or whose audit log
// fails, must not lose the end of a session: it is told before the seal is in
// place, and told again until the seal is.
func TestRecoverTellsBeforeTheSeal(t *testing.T) {
	s := begin(t, &recorder.Recorder{Dir: t.TempDir()})
	channel(t, s, recorder.ChannelInfo{Name: "0"})
	seal := filepath.Join(s.Dir(), recorder.SealName)
	later := filepath.Join(filepath.Dir(s.Dir()), "zzzzzzzzzzzz")
	must(t, os.Mkdir(later, 0o700))
	r := &recorder.Recorder{Dir: filepath.Join(s.Dir(), "../../../..")}
	down := errors.New("the audit log is down")
	for range 2 {
		told := 0
		err := r.Recover(context.Background(), func(got sallyport.Session, _ string) error {
			if _, err := os.Stat(seal); err == nil {
				t.Error("sealed before it was told")
			}
			if told++; got.ID != "abcdefghijkl" || got.Cause != sallyport.CauseCrash {
				t.Errorf("told %+v", got)
			}
			return down
		})
		if !errors.Is(err, down) || len(unmended(err)) != 0 || told != 1 {
			t.Errorf("told %d times: %v", told, err)
		}
		if names, err := filepath.Glob(filepath.Join(s.Dir(), "*seal*")); err != nil || len(names) > 0 {
			t.Errorf("left %q, %v", names, err)
		}
	}
	digests := map[string]string{}
	must(t, r.Recover(context.Background(), func(s sallyport.Session, digest string) error {
		digests[s.ID] = digest
		return nil
	}))
	b, err := os.ReadFile(seal)
	must(t, err)
	if sum := sha256.Sum256(b); digests["abcdefghijkl"] != hex.EncodeToString(sum[:]) || len(digests) != 2 {
		t.Errorf("told %v", digests)
	}
	_, events := rebuild(t, s.Dir(), "0")
	if len(events) != 1 {
		t.Errorf("mended again and again: %+v", events)
	}
}

// A second crash, after the torn line was moved and before the note about it, is
// no way to a tail that nothing speaks of.
func TestRecoverAfterACrashInRecover(t *testing.T) {
	s := begin(t, &recorder.Recorder{Dir: t.TempDir()})
	channel(t, s, recorder.ChannelInfo{Name: "0"})
	must(t, os.WriteFile(filepath.Join(s.Dir(), "0.torn"), []byte("[0.1"), 0o600))
	path := filepath.Join(s.Dir(), "0.cast")
	for range 2 { // the second finds all done
		got, err := recovered(t, &recorder.Recorder{Dir: filepath.Join(s.Dir(), "../../../..")})
		must(t, err)
		b, err := os.ReadFile(path)
		must(t, err)
		if n := bytes.Count(b, []byte(`{"op":"torn","len":4}`)); len(got) != 1 || n != 1 {
			t.Errorf("%d sessions, %d notes: %s", len(got), n, b)
		}
		must(t, os.Remove(filepath.Join(s.Dir(), recorder.SealName)))
	}
}

// The attack: a session was killed, and the crash of the gateway right after is
// to hide by whom.
func TestRecoverKeepsTheCause(t *testing.T) {
	d := newDisk(1 << 20)
	r := &recorder.Recorder{Dir: t.TempDir(), Create: d.create}
	s := begin(t, r)
	channel(t, s, recorder.ChannelInfo{Name: "0"})
	must(t, os.Mkdir(filepath.Join(s.Dir(), "seal.json.tmp"), 0o700), os.WriteFile(filepath.Join(s.Dir(), "seal.json.tmp/x"), nil, 0o600))
	end := sallyport.Session{ID: "abcdefghijkl", User: "alice", Cause: sallyport.CauseKilled, By: "eve", EndedAt: epoch.Add(time.Hour), Channels: 1}
	if s.Seal(end) == nil {
		t.Fatal("sealed over a directory")
	}
	must(t, os.RemoveAll(filepath.Join(s.Dir(), "seal.json.tmp")))
	got, err := recovered(t, &recorder.Recorder{Dir: r.Dir})
	must(t, err)
	if len(got) != 1 || got[0].Cause != end.Cause || got[0].By != "eve" || got[0].Reason != "" || !got[0].EndedAt.After(epoch) {
		t.Errorf("recovered %+v", got)
	}
	readSeal(t, s.Dir())
}

func TestRecoverStopsWithItsContext(t *testing.T) {
	s := begin(t, &recorder.Recorder{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := (&recorder.Recorder{Dir: filepath.Join(s.Dir(), "../../../..")}).Recover(ctx, nil)
	if !errors.Is(err, context.Canceled) || len(unmended(err)) != 0 {
		t.Errorf("got %v", err)
	}
}

func TestRecoverWithoutDirectory(t *testing.T) {
	r := &recorder.Recorder{Dir: filepath.Join(t.TempDir(), "none")}
	if got, err := recovered(t, r); err != nil || got != nil {
		t.Errorf("got %v, %v", got, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := recovered(t, &recorder.Recorder{Dir: file}); len(unmended(err)) != 1 {
		t.Errorf("a file for a directory: %v", err)
	}
}

// A power failure leaves blocks of zeros and a raw track that is too short.
func TestRecoverAfterPowerFailure(t *testing.T) {
	s := begin(t, &recorder.Recorder{Dir: t.TempDir()})
	c := channel(t, s, recorder.ChannelInfo{Name: "0"})
	must(t, c.Output([]byte("text")), c.Output([]byte("\x00\x01\x02\x03")), c.Output([]byte("more")))
	path := filepath.Join(s.Dir(), "0.cast")
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append(b, append(make([]byte, 4096), '\n')...), 0o600),
		os.Truncate(filepath.Join(s.Dir(), "0.raw"), 2))
	root := filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(s.Dir()))))
	got, err := recovered(t, &recorder.Recorder{Dir: root})
	must(t, err)
	streams, _ := rebuild(t, s.Dir(), "0")
	if len(got) != 1 || streams["out"] != "text\x00\x01more" {
		t.Errorf("%d sessions, output %q", len(got), streams["out"])
	}
}
