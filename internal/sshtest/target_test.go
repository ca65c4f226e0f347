package sshtest_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport/internal/sshtest"
)

// lockedBuffer is a log that a test may read while the target writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newTarget(t *testing.T) (*sshtest.Target, ssh.Signer, *lockedBuffer) {
	t.Helper()
	ca := sshtest.NewSigner(t)
	log := new(lockedBuffer)
	target, err := sshtest.NewTarget(sshtest.TargetConfig{
		UserCA: ca.PublicKey(), HostKey: sshtest.NewSigner(t), Accounts: []string{"lab", "other"}, Dir: t.TempDir(),
		Env: []string{"MARK=marked"}, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.Close() })
	return target, ca, log
}

func newSession(t *testing.T) (*sshtest.Target, *ssh.Session) {
	t.Helper()
	target, ca, _ := newTarget(t)
	c, err := dial(t, target.Addr(), target.HostKey(), "lab", userCert(t, ca, nil))
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return target, s
}

// Attack: a client offers no credential at all. gliderlabs/ssh turns
// NoClientAuth on by itself, because its own handlers are not used.
func TestTargetRefusesNoCredentials(t *testing.T) {
	target, _, _ := newTarget(t)
	if _, err := dial(t, target.Addr(), target.HostKey(), "lab"); err == nil {
		t.Error("a client without credentials got in")
	}
	if n := target.Connections(); n != 1 {
		t.Errorf("%d connections were counted, want 1", n)
	}
}

// Attack: certificates that a sloppy verifier takes: none, of another authority,
// for nobody (x/crypto: for everybody), for another account, for another source,
// with an option that is not understood, out of date, of a host.
func TestTargetCertificates(t *testing.T) {
	target, ca, log := newTarget(t)
	now := time.Now()
	tests := []struct {
		name    string
		account string
		signer  ssh.Signer
		ok      bool
	}{
		{"good", "lab", userCert(t, ca, nil), true},
		{"plain key", "lab", sshtest.NewSigner(t), false},
		{"the authority itself", "lab", ca, false},
		{"other authority", "lab", userCert(t, sshtest.NewSigner(t), nil), false},
		{"no principals", "lab", userCert(t, ca, func(c *ssh.Certificate) { c.ValidPrincipals = nil }), false},
		{"other principal", "other", userCert(t, ca, nil), false},
		{"no such account", "root", userCert(t, ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"root"} }), false},
		{"other source", "lab", userCert(t, ca, func(c *ssh.Certificate) {
			c.CriticalOptions = map[string]string{"source-address": "192.0.2.1"}
		}), false},
		{"unknown option", "lab", userCert(t, ca, func(c *ssh.Certificate) {
			c.CriticalOptions = map[string]string{"verify-required": ""}
		}), false},
		{"expired", "lab", userCert(t, ca, func(c *ssh.Certificate) { c.ValidBefore = uint64(now.Unix() - 1) }), false},
		{"not yet", "lab", userCert(t, ca, func(c *ssh.Certificate) {
			c.ValidAfter, c.ValidBefore = uint64(now.Unix()+60), uint64(now.Unix()+120)
		}), false},
		{"host certificate", "lab", userCert(t, ca, func(c *ssh.Certificate) { c.CertType = ssh.HostCert }), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := dial(t, target.Addr(), target.HostKey(), tt.account, tt.signer); (err == nil) != tt.ok {
				t.Errorf("let in: %v (%v), want %v", err == nil, err, tt.ok)
			}
		})
	}
	if want := `ID "sallyport session=s1 user=alice grant=g1" (serial 7)`; !strings.Contains(log.String(), want) {
		t.Errorf("the log lacks %s:\n%s", want, log)
	}
}

// As sshd: whatever is asked for, a certificate for one command runs that.
func TestTargetForcesTheCommand(t *testing.T) {
	target, ca, _ := newTarget(t)
	c, err := dial(t, target.Addr(), target.HostKey(), "lab", userCert(t, ca, func(c *ssh.Certificate) {
		c.CriticalOptions = map[string]string{"force-command": "echo forced $SSH_ORIGINAL_COMMAND"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"", "id"} {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		s.Stdout = &out
		if command == "" {
			err = s.Shell()
		} else {
			err = s.Start(command)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Wait(); err != nil || out.String() != strings.TrimSpace("forced "+command)+"\n" {
			t.Errorf("%q: %q, %v", command, out.String(), err)
		}
	}
}

func TestTargetNeedsAuthority(t *testing.T) {
	key := sshtest.NewSigner(t)
	for name, cfg := range map[string]sshtest.TargetConfig{
		"no CA":            {HostKey: key},
		"no host key":      {UserCA: key.PublicKey()},
		"a certificate CA": {HostKey: key, UserCA: userCert(t, key, nil).PublicKey()},
	} {
		if target, err := sshtest.NewTarget(cfg); err == nil {
			target.Close()
			t.Errorf("%s: a target started", name)
		}
	}
}

func TestTargetExec(t *testing.T) {
	tests := []struct {
		name, command, stdin string
		stdout, stderr       string
		status               int
		signal               string
	}{
		{"streams apart", "echo out; echo err >&2; exit 7", "", "out\n", "err\n", 7, ""},
		{"stdin and its end", "cat; echo end", "in\nput", "in\nputend\n", "", 0, ""},
		{"exit-signal", "kill -TERM $$", "", "", "", 0, "TERM"},
		{"all output before the status", "head -c 3000000 /dev/zero; exit 5", "", strings.Repeat("\x00", 3000000), "", 5, ""},
		{"environment", "echo $USER $FOO $LC_ALL $BASH_ENV", "", "lab foo C\n", "", 0, ""},
		{"unknown command", "no-such-command 2>/dev/null", "", "", "", 127, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, s := newSession(t)
			for _, kv := range [][2]string{{"FOO", "foo"}, {"LC_ALL", "C"}} {
				if err := s.Setenv(kv[0], kv[1]); err != nil {
					t.Error(err)
				}
			}
			if err := s.Setenv("BASH_ENV", "/dev/null"); err == nil {
				t.Error("BASH_ENV was accepted")
			}
			var stdout, stderr bytes.Buffer
			s.Stdin, s.Stdout, s.Stderr = strings.NewReader(tt.stdin), &stdout, &stderr
			status, signal := 0, ""
			err := s.Run(tt.command)
			if exit := (*ssh.ExitError)(nil); errors.As(err, &exit) {
				status, signal = exit.ExitStatus(), exit.Signal()
				if signal != "" {
					status = 0
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if stdout.String() != tt.stdout || stderr.String() != tt.stderr || status != tt.status || signal != tt.signal {
				t.Errorf("got %d bytes %.40q, %q, status %d, signal %q", stdout.Len(), stdout.String(), stderr.String(), status, signal)
			}
		})
	}
}

// readyAndSleep says so when the child is up and no longer shares the shell's traps.
const readyAndSleep = `sh -c "echo ready; exec sleep 1000" & wait`

func TestTargetSignal(t *testing.T) {
	_, s := newSession(t)
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("trap 'exit 3' USR1; " + readyAndSleep); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal(ssh.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if exit := (*ssh.ExitError)(nil); !errors.As(s.Wait(), &exit) || exit.ExitStatus() != 3 {
		t.Errorf("the signal gave %v, want status 3", exit)
	}
}

// Attack: window changes before the shell. gliderlabs' own session handler
// holds one and blocks on the next, and the channel hangs for ever.
func TestTargetPTY(t *testing.T) {
	_, s := newSession(t)
	if err := s.RequestPty("xterm-test", 24, 80, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := s.WindowChange(30+i, 100+i); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	s.Stdout = &out
	s.Stdin = strings.NewReader("stty size; echo $TERM $MARK; tty; exit 4\n")
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	if exit := (*ssh.ExitError)(nil); !errors.As(s.Wait(), &exit) || exit.ExitStatus() != 4 {
		t.Errorf("the shell ended with %v, want status 4", exit)
	}
	for _, want := range []string{"34 104\r\n", "xterm-test marked\r\n", "/dev/pts/"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the terminal lacks %q: %q", want, out.String())
		}
	}
}

// Attack: a certificate that does not permit a terminal is used for one.
func TestTargetPTYNeedsPermission(t *testing.T) {
	target, ca, _ := newTarget(t)
	c, err := dial(t, target.Addr(), target.HostKey(), "lab", userCert(t, ca, func(c *ssh.Certificate) { c.Extensions = nil }))
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", 24, 80, nil); err == nil {
		t.Error("a terminal was opened without permit-pty")
	}
}

func TestTargetPTYEndsWithItsLeader(t *testing.T) {
	_, s := newSession(t)
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	err := s.Run("trap '' HUP; sleep 5 & exit 4") // the background job keeps the terminal open
	if exit := (*ssh.ExitError)(nil); !errors.As(err, &exit) || exit.ExitStatus() != 4 {
		t.Errorf("the session ended with %v, want status 4", err)
	}
	if d := time.Since(start); d > 4*time.Second {
		t.Errorf("the session ended after %v", d)
	}
}

func TestTargetHangup(t *testing.T) {
	_, s := newSession(t)
	fifo := filepath.Join(t.TempDir(), "hup")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(fmt.Sprintf("trap 'echo hung up > %s; exit' HUP; ", fifo) + readyAndSleep); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready"))); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if got, err := os.ReadFile(fifo); err != nil || string(got) != "hung up\n" {
		t.Errorf("the program wrote %q, %v", got, err)
	}
}

func TestTargetClose(t *testing.T) {
	target, s := newSession(t)
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("echo $$; exec sleep 1000"); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 16)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d lives on after Close: %v", pid, err)
	}
	if err := s.Wait(); err == nil {
		t.Error("the session ended well although its target was closed")
	}
	if err := target.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

// A host certificate's signer serves as a host key too.
func TestTargetHostCertificate(t *testing.T) {
	ca, key := sshtest.NewSigner(t), sshtest.NewSigner(t)
	cert := &ssh.Certificate{
		Key: key.PublicKey(), CertType: ssh.HostCert,
		ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity,
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	hostKey, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	target, err := sshtest.NewTarget(sshtest.TargetConfig{UserCA: ca.PublicKey(), HostKey: hostKey, Accounts: []string{"lab"}})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	checker := &ssh.CertChecker{IsHostAuthority: func(auth ssh.PublicKey, _ string) bool {
		return bytes.Equal(auth.Marshal(), ca.PublicKey().Marshal())
	}}
	c, err := ssh.Dial("tcp", target.Addr(), &ssh.ClientConfig{
		User: "lab", HostKeyCallback: checker.CheckHostKey, Timeout: 10 * time.Second,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(userCert(t, ca, nil))},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// Keepalives and channels that the target does not know get an answer, as from sshd.
func TestTargetAnswersTheUnknown(t *testing.T) {
	target, ca, _ := newTarget(t)
	c, err := dial(t, target.Addr(), target.HostKey(), "lab", userCert(t, ca, nil))
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := c.SendRequest("keepalive@openssh.com", true, nil); ok || err != nil {
		t.Errorf("keepalive: %v, %v, want a refusal", ok, err)
	}
	if _, _, err := c.OpenChannel("direct-tcpip", nil); err == nil {
		t.Error("a forward was opened")
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestSubsystem("sftp"); err == nil {
		t.Error("a subsystem was opened")
	}
	if err := s.Run("exit 0"); err != nil {
		t.Errorf("a command after a refused subsystem: %v", err)
	}
	if _, err := s.SendRequest("exec", true, ssh.Marshal(struct{ C string }{"exit 1"})); err == nil {
		t.Error("a channel that has ended took a second command")
	}
}
