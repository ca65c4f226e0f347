package recorder_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/recorder"
)

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
		got, err := r.Recover(context.Background())
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
		if again, err := r.Recover(context.Background()); err != nil || len(again) != 0 {
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
	got, err := r.Recover(context.Background())
	if err == nil || !strings.Contains(err.Error(), "aaaaaaaaaaaa") {
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

func TestRecoverWithoutDirectory(t *testing.T) {
	r := &recorder.Recorder{Dir: filepath.Join(t.TempDir(), "none")}
	if got, err := r.Recover(context.Background()); err != nil || got != nil {
		t.Errorf("got %v, %v", got, err)
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
	got, err := (&recorder.Recorder{Dir: root}).Recover(context.Background())
	must(t, err)
	streams, _ := rebuild(t, s.Dir(), "0")
	if len(got) != 1 || streams["out"] != "text\x00\x01more" {
		t.Errorf("%d sessions, output %q", len(got), streams["out"])
	}
}
