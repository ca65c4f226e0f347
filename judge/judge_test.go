package judge_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport"
	"sallyport/judge"
	"sallyport/policy"
)

// bench is a judge with everything around it noted down.
type bench struct {
	sent     safeBuffer
	shown    safeBuffer
	typed    int // bytes recorded
	failed   bool
	verdicts []policy.Verdict
	ended    string
	*judge.Judge
}

// safeBuffer is written by timers too.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newBench(cfg judge.Config) *bench {
	b := &bench{}
	cfg.Send = func(p []byte) error { _, err := b.sent.Write(p); return err }
	cfg.Record = func(p []byte, _ bool) error { b.typed += len(p); return nil }
	cfg.Show = func(p, _ []byte) error { _, err := b.shown.Write(p); return err }
	if cfg.Judged == nil {
		cfg.Judged = func(_ string, v policy.Verdict) {
			if v.Action > sallyport.Allow {
				b.verdicts = append(b.verdicts, v)
			}
		}
	}
	cfg.Notice = func(string) {}
	cfg.Terminate = func(reason string) { b.ended = reason }
	cfg.Failed = func(reason string) { b.ended, b.failed = reason, true }
	b.Judge = judge.New(cfg)
	return b
}

// Attack (C3): a script on the standard input of a shell, in pieces of any size.
// What comes before the forbidden line is run, the line and what follows is not.
func TestScriptsAreJudgedLineByLine(t *testing.T) {
	for _, tt := range []struct{ script, sent string }{
		{"echo a\nrm -rf v\necho b\n", "echo a\n"},
		{"echo a\nrm \\\n-rf v\n", "echo a\nrm \\\n"},
		{"if true; then\nrm -rf v\nfi\n", "if true; then\nrm -rf v\n"}, // nothing runs before fi
		{"sh <<X\nrm -rf v\nX\n", "sh <<X\n"},
		{"echo a\nshutdown\necho b\n", "echo a\n"},
		{"echo a\nrm -rf v", "echo a\n"}, // a last line without an end
		{"echo " + strings.Repeat("a", 70<<10) + "\n", ""},
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			b := newBench(judge.Config{Commands: rules(t)})
			err := error(nil)
			for rest := []byte(tt.script); len(rest) > 0 && err == nil; {
				n := min(size, len(rest))
				err = b.Input(rest[:n])
				rest = rest[n:]
			}
			b.Close()
			if got := b.sent.String(); got != tt.sent || b.ended == "" {
				t.Errorf("%.40q by %d: sent %.60q, ended %q", tt.script, size, got, b.ended)
			}
			if err != nil && !errors.Is(err, judge.ErrTerminate) {
				t.Error(err)
			}
		}
	}
	b := newBench(judge.Config{Commands: rules(t)})
	if err := b.Input([]byte("cat <<X\nrm -rf is text here\nX\necho last")); err != nil {
		t.Error(err)
	}
	b.Close()
	if got := b.sent.String(); !strings.HasSuffix(got, "echo last") || b.ended != "" {
		t.Errorf("a harmless script: sent %q, ended %q", got, b.ended)
	}
	if err := b.Input([]byte("x\n")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("after Close: %v", err)
	}
}

// Attack (O7): make the judge itself fail. Its session ends, nobody else's, and
// what was typed is told to nobody.
func TestAPanicEndsTheSession(t *testing.T) {
	b := newBench(judge.Config{Commands: rules(t), PTY: true, Cols: 80, Rows: 24, Judged: func(line string, _ policy.Verdict) { panic(line) }})
	defer b.Close()
	_ = b.Output([]byte("$ "))
	if err := b.Input([]byte("rm -rf victim\r")); !errors.Is(err, judge.ErrTerminate) {
		t.Errorf("Input: %v", err)
	}
	if !b.failed || strings.Contains(b.ended, "victim") {
		t.Errorf("ended %q", b.ended)
	}
	if got := b.sent.String(); strings.Contains(got, "\r") {
		t.Errorf("sent %q", got)
	}
	if err := b.Input([]byte("ls\r")); !errors.Is(err, judge.ErrTerminate) {
		t.Errorf("the next line: %v", err)
	}
}

// An Enter whose line only the screen tells waits for the screen, and not for
// ever where the target shows nothing.
func TestAHeldEnterIsJudgedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(judge.Config{Commands: rules(t), PTY: true, Cols: 80, Rows: 24})
		defer b.Close()
		_ = b.Output([]byte("\x1b[?2004h$ "))
		began := time.Now()
		go func() { _ = b.Input([]byte("\x1b[A\r")) }()
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := b.sent.String(); strings.Contains(got, "\r") {
			t.Errorf("sent %q before anything was shown", got)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		// Nobody knows what it would have run: unverifiable is denied.
		if got := b.sent.String(); !strings.HasSuffix(got, "\x03") || len(b.verdicts) != 1 || b.verdicts[0].Class != sallyport.ClassUnverifiable {
			t.Errorf("after %s: sent %q, verdicts %+v", time.Since(began), got, b.verdicts)
		}
		// It is shown, but the editor is in a mode where the sentinel is no text.
		sent := len(b.sent.String())
		go func() { _ = b.Input([]byte("\x1b[A\r")) }()
		time.Sleep(10 * time.Millisecond)
		_ = b.Output([]byte("rm -rf x"))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if got := b.sent.String()[sent:]; strings.ContainsAny(got, "\r\x03") || b.ended == "" {
			t.Errorf("sent %q, ended %q", got, b.ended)
		}
	})
}

// Where nothing is judged, bytes pass and are recorded unchanged, whatever they
// are and however they come.
func FuzzBytesPass(f *testing.F) {
	f.Add([]byte("ls -l\rpass\r"), []byte("$ ls -l\r\n"), uint8(3))
	f.Add([]byte("\x1b[200~a\rb\x1b[201~\x04\x0f\x03"), []byte("\x1b[?1049h\x1b[?2004l"), uint8(1))
	f.Add([]byte("\xff\xfe\x00é\x1b"), []byte("\xe2\x98"), uint8(200))
	f.Fuzz(func(t *testing.T, in, out []byte, size uint8) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(judge.Config{PTY: true, Cols: 80, Rows: 24})
			b.play(in, out, int(size)+1)
			b.Close()
			if got := b.sent.String(); got != string(in) {
				t.Errorf("sent %q, not %q", got, in)
			}
			if got := b.shown.String(); got != string(out) {
				t.Errorf("shown %q, not %q", got, out)
			}
			if got := b.typed; got != len(in) {
				t.Errorf("recorded %d bytes of %d", got, len(in))
			}
		})
	})
}

// play sends and shows two texts in pieces, side by side.
func (b *bench) play(in, out []byte, size int) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for len(in) > 0 {
			n := min(size, len(in))
			if b.Input(in[:n]) != nil {
				return
			}
			in = in[n:]
		}
	}()
	for len(out) > 0 {
		n := min(size, len(out))
		_ = b.Output(out[:n])
		out = out[n:]
		time.Sleep(5 * time.Millisecond)
	}
	<-done
}

// Whatever is typed and shown, the judge of the sample's rules does not panic,
// and sends nothing after it has ended the session. The client never sees the
// sentinel.
func FuzzJudge(f *testing.F) {
	f.Add([]byte("rm -rf x\r"), []byte("$ "), uint8(3))
	f.Add([]byte("\x1b[A\x1b[D\x7f\x08\x15\r\x04"), []byte("\x1b[?2004h> "), uint8(0))
	f.Add([]byte("\x1b[200~shutdown\r\x1b[201~ls\r"), []byte("\x1b[?1049h"), uint8(9))
	f.Fuzz(func(t *testing.T, in, out []byte, size uint8) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(judge.Config{Commands: rules(t), PTY: true, Cols: 20, Rows: 5})
			b.play(in, out, int(size)+1)
			sent := b.sent.String()
			over := b.ended != ""
			err := b.Input([]byte("x"))
			if (err != nil) != over || over && b.sent.String() != sent {
				t.Fatalf("error %v, ended %q, sent %d more bytes", err, b.ended, len(b.sent.String())-len(sent))
			}
			if b.failed {
				t.Fatal(b.ended)
			}
			if strings.Contains(b.shown.String(), " }{") && !bytes.Contains(out, []byte(" }{")) {
				t.Fatalf("shown %q", b.shown.String())
			}
			b.Close()
		})
	})
}
