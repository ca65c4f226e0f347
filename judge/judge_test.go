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
	recorded bytes.Buffer
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
	cfg.Record = func(p []byte, _ bool) error { _, err := b.recorded.Write(p); return err }
	if cfg.Verdict == nil {
		cfg.Verdict = func(_ string, v policy.Verdict) { b.verdicts = append(b.verdicts, v) }
	}
	cfg.Notice = func(string) {}
	cfg.Terminate = func(reason string) { b.ended = reason }
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
	b := newBench(judge.Config{Commands: rules(t), PTY: true, Cols: 80, Rows: 24, Verdict: func(line string, _ policy.Verdict) { panic(line) }})
	if err := b.Input([]byte("rm -rf victim\r")); !errors.Is(err, judge.ErrTerminate) {
		t.Errorf("Input: %v", err)
	}
	if b.ended == "" || strings.Contains(b.ended, "victim") {
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
		b.Output([]byte("\x1b[?2004h$ "))
		if err := b.Input([]byte("\x1b[A\r")); err != nil {
			t.Fatal(err)
		}
		if got := b.sent.String(); got != "\x1b[A" {
			t.Errorf("sent %q before anything was shown", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		// Nobody knows what it would have run: unverifiable is denied.
		if got := b.sent.String(); got != "\x1b[A\x03" || len(b.verdicts) != 1 || b.verdicts[0].Class != sallyport.ClassUnverifiable {
			t.Errorf("sent %q, verdicts %+v", got, b.verdicts)
		}
		if err := b.Input([]byte("\x1b[A\r")); err != nil {
			t.Fatal(err)
		}
		b.Output([]byte("rm -rf x"))
		time.Sleep(time.Second)
		synctest.Wait()
		if got := b.sent.String(); got != "\x1b[A\x03\x1b[A" || b.ended == "" {
			t.Errorf("sent %q, ended %q", got, b.ended)
		}
		b.Close()
	})
}

// Where nothing is judged, bytes pass and are recorded unchanged, whatever they
// are and however they come.
func FuzzBytesPass(f *testing.F) {
	f.Add([]byte("ls -l\rpass\r"), []byte("$ ls -l\r\n"), uint8(3))
	f.Add([]byte("\x1b[200~a\rb\x1b[201~\x04\x0f\x03"), []byte("\x1b[?1049h\x1b[?2004l"), uint8(1))
	f.Add([]byte("\xff\xfe\x00é\x1b"), []byte("\xe2\x98"), uint8(200))
	f.Fuzz(func(t *testing.T, in, out []byte, size uint8) {
		b := newBench(judge.Config{PTY: true, Cols: 80, Rows: 24, AfterFunc: func(time.Duration, func()) func() bool {
			return func() bool { return true } // time stands still
		}})
		step := int(size) + 1
		for a, z := in, out; len(a)+len(z) > 0; {
			n, m := min(step, len(a)), min(step, len(z))
			if err := b.Input(a[:n]); err != nil {
				t.Fatal(err)
			}
			if got := b.Output(z[:m]); !bytes.Equal(got, z[:m]) {
				t.Fatalf("shown %q, not %q", got, z[:m])
			}
			a, z = a[n:], z[m:]
		}
		b.Close()
		if got := b.sent.String(); got != string(in) {
			t.Errorf("sent %q, not %q", got, in)
		}
		if !bytes.Equal(b.recorded.Bytes(), in) {
			t.Errorf("recorded %q, not %q", b.recorded.Bytes(), in)
		}
	})
}

// Whatever is typed and shown, the judge of the sample's rules does not panic,
// and sends nothing after it has ended the session.
func FuzzJudge(f *testing.F) {
	f.Add([]byte("rm -rf x\r"), []byte("$ "), uint8(3))
	f.Add([]byte("\x1b[A\x1b[D\x7f\x08\x15\r\x04"), []byte("\x1b[?2004h> "), uint8(0))
	f.Add([]byte("\x1b[200~shutdown\r\x1b[201~ls\r"), []byte("\x1b[?1049h"), uint8(9))
	f.Fuzz(func(t *testing.T, in, out []byte, size uint8) {
		b := newBench(judge.Config{Commands: rules(t), PTY: true, Cols: 20, Rows: 5, AfterFunc: func(time.Duration, func()) func() bool {
			return func() bool { return true }
		}})
		step := int(size) + 1
		for a, z := in, out; len(a)+len(z) > 0; {
			n, m := min(step, len(a)), min(step, len(z))
			before := len(b.sent.String())
			over := b.ended != ""
			err := b.Input(a[:n])
			if (err != nil) != (b.ended != "") || over && len(b.sent.String()) != before {
				t.Fatalf("error %v, ended %q, sent %d more bytes", err, b.ended, len(b.sent.String())-before)
			}
			if strings.Contains(b.ended, "failed") {
				t.Fatal(b.ended)
			}
			b.Output(z[:m])
			a, z = a[n:], z[m:]
		}
		b.Close()
	})
}
