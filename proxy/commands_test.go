package proxy

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
)

// Attack (O7): make the judge of a terminal fail. What it cannot judge does not
// pass: the session ends, the SOC hears of it, and other sessions go on.
func TestAJudgeThatFailsEndsItsSession(t *testing.T) {
	w := newWorld(t)
	s := w.session(t)
	if err := s.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	x := w.live(t)
	var b *bridge
	eventually(t, "the channel", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		for b = range x.bridges {
			return b.hasStarted()
		}
		return false
	})
	b.judgeFailed("the judge failed (runtime.boundsError)")
	err := s.Wait()
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != sallyport.ExitEnded {
		t.Errorf("the session ended with %v", err)
	}
	eventually(t, "the end", func() bool { return w.audit.count("session.end") == 1 })
	if e := w.audit.last("judge.failed"); e.Severity != sallyport.SeverityCritical || !strings.Contains(e.Reason, "failed") {
		t.Errorf("the audit log has %+v", e)
	}
}

// Attack: ask for a terminal in which no line can be read, or whose keys are
// others at the target than here.
func TestReadableTerminals(t *testing.T) {
	modes := "\x03\x00\x00\x00\x08" + "\x21\x00\x00\x00\x01" + "\x05\x00\x00\x00\x78" + "\x32\x00\x00\x00\x00" + "\x2a\x00\x00\x00\x01" + "\x00"
	for _, tt := range []struct{ in, want wire.Pty }{
		{wire.Pty{Term: "dumb", Columns: 4, Rows: 1}, wire.Pty{Term: "vt100", Columns: 20, Rows: 5}},
		{wire.Pty{Term: "", Columns: 0, Rows: 0}, wire.Pty{Term: "vt100"}},
		{wire.Pty{Term: "xterm-256color", Columns: 80, Rows: 24}, wire.Pty{Term: "xterm-256color", Columns: 80, Rows: 24}},
		{wire.Pty{Term: "screen", Columns: 80, Rows: 24, Modes: modes}, wire.Pty{Term: "screen", Columns: 80, Rows: 24, Modes: modes[:5] + modes[20:]}},
	} {
		got := tt.in
		if changed := readable(&got); got != tt.want || changed != (tt.in != tt.want) {
			t.Errorf("%+v became %+v (%t), want %+v", tt.in, got, changed, tt.want)
		}
	}
}
