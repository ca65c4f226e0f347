package wire

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPayloadsRoundTrip(t *testing.T) {
	pty := Pty{"xterm-256color", 80, 24, 640, 480, "\x03\x00\x00\x00\x7f\x00"}
	if got, err := ParsePty(Marshal(pty)); err != nil || got != pty {
		t.Errorf("pty: %+v, %v", got, err)
	}
	win := Window{120, 40, 0, 0}
	if got, err := ParseWindow(Marshal(win)); err != nil || got != win {
		t.Errorf("window: %+v, %v", got, err)
	}
	env := Env{"LANG", "C.UTF-8"}
	if got, err := ParseEnv(Marshal(env)); err != nil || got != env {
		t.Errorf("env: %+v, %v", got, err)
	}
	if got, err := ParseString(String("uptime")); err != nil || got != "uptime" {
		t.Errorf("string: %q, %v", got, err)
	}
	if got, err := ParseExitStatus(ExitStatus(254)); err != nil || got != 254 {
		t.Errorf("exit status: %d, %v", got, err)
	}
	sig := ExitSignal{"TERM", true, "terminated", "en"}
	got, err := ParseExitSignal(Marshal(sig))
	if diff := cmp.Diff(sig, got); err != nil || diff != "" {
		t.Errorf("exit signal: %v %s", err, diff)
	}
}

// Attack: append bytes to an exec request, hoping that the judge reads one
// command and the target another.
func TestTrailingAndMissingBytesAreRefused(t *testing.T) {
	whole := String("uptime")
	for name, payload := range map[string][]byte{
		"trailing": append(bytes.Clone(whole), 0),
		"short":    whole[:len(whole)-1],
		"empty":    nil,
		"huge":     {0xff, 0xff, 0xff, 0xff, 'a'},
	} {
		if got, err := ParseString(payload); err == nil {
			t.Errorf("%s: read %q", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Marshal(Pty{"xterm", 80, 24, 0, 0, "\x00"}))
	f.Add(String("ls -l"))
	f.Add(ExitStatus(1))
	f.Add(Marshal(Direct{"web1", 22, "127.0.0.1", 1024}))
	f.Add(Marshal(DirectSocket{"/run/x", "", 0}))
	f.Add(Marshal(ExitSignal{"KILL", false, "", ""}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := ParsePty(b); err == nil && !bytes.Equal(Marshal(v), b) {
			t.Errorf("pty-req %x reads as %+v", b, v)
		}
		if v, err := ParseString(b); err == nil && !bytes.Equal(String(v), b) {
			t.Errorf("string %x reads as %q", b, v)
		}
		if v, err := ParseEnv(b); err == nil && !bytes.Equal(Marshal(v), b) {
			t.Errorf("env %x reads as %+v", b, v)
		}
		if v, err := ParseWindow(b); err == nil && !bytes.Equal(Marshal(v), b) {
			t.Errorf("window-change %x reads as %+v", b, v)
		}
		if v, err := ParseDirect(b); err == nil && !bytes.Equal(Marshal(v), b) {
			t.Errorf("direct-tcpip %x reads as %+v", b, v)
		}
		if v, err := ParseListen(b); err == nil && !bytes.Equal(Marshal(v), b) {
			t.Errorf("tcpip-forward %x reads as %+v", b, v)
		}
		if v, err := ParseDirectSocket(b); err == nil && !bytes.Equal(Marshal(v), b) {
			t.Errorf("direct-streamlocal %x reads as %+v", b, v)
		}
		if v, err := ParseForwardedSocket(b); err == nil && !bytes.Equal(Marshal(v), b) {
			t.Errorf("forwarded-streamlocal %x reads as %+v", b, v)
		}
		if v, err := ParseOrigin(b); err == nil && !bytes.Equal(Marshal(v), b) {
			t.Errorf("x11 %x reads as %+v", b, v)
		}
		_, _ = ParseX11(b) // a boolean may be any non-zero byte
		_, _ = ParsePort(b)
		_, _ = ParseExitStatus(b)
		_, _ = ParseExitSignal(b) // a boolean may be any non-zero byte
	})
}

// Attack: name terminal modes with which the target would see other keys than the
// gateway does. What is malformed is not kept.
func TestModes(t *testing.T) {
	list := "\x03\x00\x00\x00\x7f" + "\x21\x00\x00\x00\x01" + "\x35\x00\x00\x00\x00" + "\x00"
	p := Pty{Modes: list}
	if v, ok := p.Mode(VERASE); v != 0x7f || !ok {
		t.Errorf("VERASE is %#x, %t", v, ok)
	}
	if v, ok := p.Mode(33); v != 1 || !ok {
		t.Errorf("ISTRIP is %d, %t", v, ok)
	}
	if _, ok := p.Mode(50); ok {
		t.Error("ISIG was found")
	}
	if p.Keep(func(byte) bool { return true }) || p.Modes != list {
		t.Errorf("all kept: %q", p.Modes)
	}
	if !p.Keep(func(op byte) bool { return op == VERASE }) || p.Modes != "\x03\x00\x00\x00\x7f\x00" {
		t.Errorf("one kept: %q", p.Modes)
	}
	for _, malformed := range []string{"", "\x00", "\x21\x00", "\xff\x00\x00\x00\x01"} {
		p := Pty{Modes: malformed}
		if _, ok := p.Mode(33); ok || p.Keep(func(byte) bool { return false }) {
			t.Errorf("%q has modes", malformed)
		}
	}
}
