package proxy

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/sshtest"
	"sallyport/internal/wire"
)

// granted is the one command of these tests. It says what sshd was asked for.
const granted = `printf 'ran[%s][%s]' "$SSH_ORIGINAL_COMMAND" "$LANG$FOO$SSH_AUTH_SOCK$SSH_TTY"; cat`

// scoped is a world whose target is OpenSSH's sshd and whose role allows
// everything, under a grant for one command alone.
func scoped(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, forwards, func(_ *Server, r *sallyport.Role) {
		r.Channels = append(r.Channels, sallyport.ChannelIDE)
		r.Env = []string{"FOO"}
		r.Forwards.Local, r.Forwards.Remote = []string{"*:*"}, []string{"localhost:*"}
	})
	sshd := sshtest.StartSSHD(t, sshtest.Options{
		UserCA: []ssh.PublicKey{w.srv.Authority.Signer.PublicKey()},
		Extra:  []string{"PermitTTY yes", "AllowTcpForwarding yes", "AllowStreamLocalForwarding yes", "AllowAgentForwarding yes", "PermitUserRC yes"},
	})
	w.setPolicy(t, sallyport.Target{
		Name: "web1", Address: sshd.Addr(), Accounts: []string{"lab"}, HostKeys: []string{sshd.HostKey()},
	}, w.grants.role)
	w.grantOnly(granted)
	return w
}

// grantOnly makes the grant one for a command alone, "": for any work.
func (w *world) grantOnly(command string) {
	w.grants.mu.Lock()
	defer w.grants.mu.Unlock()
	w.grants.grant.Command = command
}

// raw is a session channel, request by request.
type raw struct {
	ssh.Channel
	status chan uint32
}

func openRaw(t *testing.T, c ssh.Conn) *raw {
	t.Helper()
	ch, reqs, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &raw{ch, make(chan uint32, 1)}
	go func() {
		for req := range reqs {
			if req.Type == "exit-status" {
				n, _ := wire.ParseExitStatus(req.Payload)
				r.status <- n
			}
			_ = req.Reply(false, nil)
		}
		close(r.status)
	}()
	return r
}

func (r *raw) ask(t *testing.T, typ string, payload []byte) bool {
	t.Helper()
	ok, err := r.SendRequest(typ, true, payload)
	if err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	return ok
}

// end sends nothing more and returns all that comes.
func (r *raw) end(t *testing.T) (stdout, stderr string, status uint32) {
	t.Helper()
	_ = r.CloseWrite()
	var errs bytes.Buffer
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(&errs, r.Stderr()) }()
	var out []byte
	within(t, waitLong, "the end of a channel", func() {
		out, _ = io.ReadAll(r)
		<-done
		status = <-r.status
	})
	r.Close()
	return string(out), errs.String(), status
}

var ptyRequest = wire.Marshal(wire.Pty{Term: "xterm", Columns: 80, Rows: 24})

// What a grant for one command gives: that command, in its very words or where
// nothing is named; any number of times and channels while it lasts; its input.
func TestAGrantForOneCommandRunsIt(t *testing.T) {
	w := scoped(t)
	c := w.outer(t, "lab@web1")
	for _, typ := range []string{"exec", "shell", "exec"} {
		r := openRaw(t, c)
		var payload []byte
		if typ == "exec" {
			payload = wire.String(granted)
		}
		if !r.ask(t, typ, payload) {
			t.Fatalf("%s was refused", typ)
		}
		_, _ = io.WriteString(r, "input")
		out, errs, status := r.end(t)
		if want := "ran[" + granted + "][]input"; out != want || errs != "" || status != 0 {
			t.Errorf("%s: %q, %q, %d, want %q", typ, out, errs, status, want)
		}
	}
	if e := w.audit.last("session.start"); e.Details["command"] != granted {
		t.Errorf("session.start = %+v", e)
	}
	if s, _ := w.live(t).snapshot(); s.Command != granted {
		t.Errorf("the live session shows the command %q", s.Command)
	}
	if e := w.audit.last("channel.start"); e.Details["command"] != granted || e.Details["kind"] != "exec" {
		t.Errorf("channel.start = %+v", e)
	}
}

// Attack: under a grant for one command, ask for another one, for nearly the
// same one, for a shell with a terminal, for files.
func TestAGrantForOneCommandRunsNothingElse(t *testing.T) {
	w := scoped(t)
	c := w.outer(t, "lab@web1")
	try := func(name, typ string, payload []byte, terminal bool) {
		t.Helper()
		r := openRaw(t, c)
		want := "sallyport: your grant aaaaaaaaaaaa is for one command alone: " + granted + "\n"
		if terminal {
			r.ask(t, "pty-req", ptyRequest)
			want = "\r\n" + strings.TrimSuffix(want, "\n") + "; it runs without a terminal (ssh -T)\r\n"
		}
		r.ask(t, typ, payload)
		out, errs, status := r.end(t)
		if out+errs != want || status != sallyport.ExitEnded {
			t.Errorf("%s: %q, %q, %d", name, out, errs, status)
		}
	}
	for _, command := range []string{
		"id", "", " ", granted + " ", " " + granted, granted + "\n", granted + "\nid", granted + "\x00", granted + ";id",
		strings.ToUpper(granted), strings.ReplaceAll(granted, "'", `"`), granted[:len(granted)-1], "sh -c " + granted,
		"scp -f /etc/passwd", "scp -t /tmp", "/usr/lib/openssh/sftp-server", "internal-sftp", "rsync --server --sender . /",
	} {
		try(command, "exec", wire.String(command), false)
		if e := w.audit.last("command.deny"); command == "id" && (e.Severity != sallyport.SeverityAlert || e.Details["line"] != command) {
			t.Errorf("command.deny = %+v", e)
		}
	}
	try("a shell with a terminal", "shell", nil, true)
	try("its words with a terminal", "exec", wire.String(granted), true)
	try("another command with a terminal", "exec", wire.String("id"), true)
	try("sftp", "subsystem", wire.String("sftp"), false)
	try("netconf", "subsystem", wire.String("netconf"), false)
	try("its words as a subsystem", "subsystem", wire.String(granted), false)

	// A second start on a channel, after a refused one and after a good one.
	r := openRaw(t, c)
	r.ask(t, "exec", wire.String("id"))
	if ok, err := r.SendRequest("exec", true, wire.String(granted)); ok && err == nil {
		t.Error("a channel started after it was refused")
	}
	r.Close()
	r = openRaw(t, c)
	if !r.ask(t, "exec", wire.String(granted)) || r.ask(t, "exec", wire.String("id")) || r.ask(t, "shell", nil) {
		t.Error("a channel started twice, or not at all")
	}
	if out, _, _ := r.end(t); !strings.HasPrefix(out, "ran[") {
		t.Errorf("%q", out)
	}
}

// Attack: what comes beside a command: variables, the agent, X11,
// forwards both ways, and another gateway's target through this one.
func TestAGrantForOneCommandGivesNothingBeside(t *testing.T) {
	w := scoped(t)
	c := w.outer(t, "lab@web1")
	r := openRaw(t, c)
	for typ, payload := range map[string][]byte{
		"pty-req": []byte("rubbish"), "auth-agent-req@openssh.com": nil,
		"x11-req": wire.Marshal(wire.X11{Protocol: "MIT-MAGIC-COOKIE-1", Cookie: "00"}),
		"env":     wire.Marshal(wire.Env{Name: "FOO", Value: "x"}),
	} {
		if r.ask(t, typ, payload) {
			t.Errorf("%s was allowed", typ)
		}
		if e := w.audit.last("request.refuse"); !strings.Contains(e.Reason, "one command alone") || e.Details["type"] != typ {
			t.Errorf("%s: %+v", typ, e)
		}
	}
	if r.ask(t, "env", wire.Marshal(wire.Env{Name: "LANG", Value: "tr_TR.UTF-8"})) {
		t.Error("LANG was allowed")
	}
	if !r.ask(t, "exec", wire.String(granted)) { // what was refused is no reason not to run it
		t.Error("the command was refused")
	}
	if out, _, _ := r.end(t); out != "ran["+granted+"][]" {
		t.Errorf("it ran with %q", out)
	}
	for typ, payload := range map[string][]byte{
		"direct-tcpip": direct("db1", 5432), "direct-streamlocal@openssh.com": wire.Marshal(wire.DirectSocket{Path: "/run/x"}),
		"tun@openssh.com": nil,
	} {
		ch, _, err := c.OpenChannel(typ, payload)
		if err == nil {
			ch.Close()
		}
		if err == nil || typ != "tun@openssh.com" && !strings.Contains(err.Error(), "one command alone") {
			t.Errorf("%s: %v", typ, err)
		}
	}
	for typ, payload := range map[string][]byte{
		"tcpip-forward": wire.Marshal(wire.Listen{Host: "localhost", Port: 8000}), "streamlocal-forward@openssh.com": wire.String("/run/x"),
	} {
		if ok, _, err := c.SendRequest(typ, true, payload); ok || err != nil {
			t.Errorf("%s: %v, %v", typ, ok, err)
		}
		if e := w.audit.last("forward.refuse"); !strings.Contains(e.Reason, "one command alone") {
			t.Errorf("%s: %+v", typ, e)
		}
	}
	// On to another target, or to this one's sshd, from where only a command runs.
	for _, host := range []string{"web1", "127.0.0.1"} {
		if _, err := c.Dial("tcp", host+":22"); err == nil || !strings.Contains(err.Error(), "one command alone") {
			t.Errorf("a jump to %s: %v", host, err)
		}
	}
}

// The jump leads to the same session: the same words, and nothing else.
func TestAJumpRunsTheOneCommand(t *testing.T) {
	w := scoped(t)
	inner, err := w.inside(t, w.outer(t, "anybody"), "web1:22", "lab", ssh.FixedHostKey(w.host))
	if err != nil {
		t.Fatal(err)
	}
	r := openRaw(t, inner)
	r.ask(t, "exec", wire.String("id"))
	if out, errs, status := r.end(t); out != "" || status != sallyport.ExitEnded || !strings.Contains(errs, "one command alone") {
		t.Errorf("another command: %q, %q, %d", out, errs, status)
	}
	r = openRaw(t, inner)
	r.ask(t, "exec", wire.String(granted))
	if out, _, _ := r.end(t); !strings.HasPrefix(out, "ran[") {
		t.Errorf("%q", out)
	}
}

// reachable returns the openings of channels to what listens on this machine.
func reachable(t *testing.T) map[string][]byte {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sallyport-scoped-") // where lab may look
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for path, mode := range map[string]os.FileMode{dir: 0o755, socket: 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	return map[string][]byte{
		"direct-tcpip":                   direct("127.0.0.1", uint32(tcp.Addr().(*net.TCPAddr).Port)),
		"direct-streamlocal@openssh.com": wire.Marshal(wire.DirectSocket{Path: socket}),
	}
}

// Attack: a gateway that is fooled, or broken into: everything that can be asked
// is asked of the target's own sshd, on the very connection that the session's
// certificate opened. sshd runs the granted command and nothing else.
func TestSSHDHoldsASessionToItsCommand(t *testing.T) {
	w := scoped(t)
	open := reachable(t)
	// The same under a grant for any work: what sshd refuses below is there.
	any := w.outer(t, "lab@web1")
	w.grantOnly("")
	openRaw(t, any).Close()
	for typ, payload := range open {
		ch, _, err := w.live(t).target.OpenChannel(typ, payload)
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		ch.Close()
	}
	any.Close()
	eventually(t, "the first session's end", func() bool { return w.sessions() == 0 })

	w.grantOnly(granted)
	c := w.outer(t, "lab@web1")
	openRaw(t, c).Close()
	target := w.live(t).target
	for name, start := range map[string]struct {
		typ     string
		payload []byte
		asked   string
	}{
		"a shell": {"shell", nil, ""}, "another command": {"exec", wire.String("id"), "id"},
		"two lines": {"exec", wire.String(granted + "\nid"), granted + "\nid"},
		"scp":       {"exec", wire.String("scp -f /etc/passwd"), "scp -f /etc/passwd"},
		"sftp":      {"subsystem", wire.String("sftp"), "/usr/lib/openssh/sftp-server"},
	} {
		r := openRaw(t, target)
		if r.ask(t, "pty-req", ptyRequest) {
			t.Errorf("%s: sshd gave a terminal", name)
		}
		if r.ask(t, "auth-agent-req@openssh.com", nil) || r.ask(t, "x11-req", wire.Marshal(wire.X11{Protocol: "MIT-MAGIC-COOKIE-1", Cookie: "00"})) {
			t.Errorf("%s: sshd forwards an agent or X11", name)
		}
		r.ask(t, start.typ, start.payload)
		if out, _, _ := r.end(t); out != "ran["+start.asked+"][]" {
			t.Errorf("%s: sshd ran %q", name, out)
		}
	}
	for typ, payload := range open {
		if ch, _, err := target.OpenChannel(typ, payload); err == nil {
			ch.Close()
			t.Errorf("sshd opened %s", typ)
		}
	}
	for typ, payload := range map[string][]byte{
		"tcpip-forward": wire.Marshal(wire.Listen{Host: "localhost", Port: 0}), "streamlocal-forward@openssh.com": wire.String("/tmp/sallyport-scoped"),
	} {
		if ok, _, _ := target.SendRequest(typ, true, payload); ok {
			t.Errorf("sshd listens for %s", typ)
		}
	}
}

// Attack: a session that began with a grant for one command is used for more, on
// the same connection, once there is a grant for any work: the certificate that
// opened the connection does not change.
func TestASessionStaysWithItsCommand(t *testing.T) {
	w := scoped(t)
	c := w.outer(t, "lab@web1")
	openRaw(t, c).Close()
	w.grantOnly("")
	r := openRaw(t, c)
	r.ask(t, "exec", wire.String("id"))
	if out, errs, status := r.end(t); out != "" || status != sallyport.ExitEnded || !strings.Contains(errs, "one command alone") {
		t.Errorf("%q, %q, %d", out, errs, status)
	}
}

// A person who was held, and for whom a grant for one command is all that came of
// it, was told yes to a terminal already: nothing runs, and the screen says why.
func TestWhoWasHeldGetsNoTerminal(t *testing.T) {
	w := scoped(t)
	w.hold(func() {})
	r := openRaw(t, w.outer(t, "lab@web1"))
	if !r.ask(t, "pty-req", ptyRequest) || !r.ask(t, "shell", nil) {
		t.Fatal("refused")
	}
	out, errs, status := r.end(t)
	if !strings.HasPrefix(out, "\r\nsallyport: your grant") || !strings.HasSuffix(out, "; it runs without a terminal (ssh -T)\r\n") || status != sallyport.ExitEnded {
		t.Errorf("%q, %q, %d", out, errs, status)
	}
}

// Attack: the role's rules, as they are by now, are passed by naming no command.
func TestTheRulesHoldUnderAGrantForOneCommand(t *testing.T) {
	w := scoped(t)
	c := w.outer(t, "lab@web1")
	target, _ := w.srv.Policy().Target("web1")
	refused := func(words string) {
		t.Helper()
		for _, typ := range []string{"exec", "shell"} {
			r := openRaw(t, c)
			var payload []byte
			if typ == "exec" {
				payload = wire.String(granted)
			}
			r.ask(t, typ, payload)
			if out, errs, status := r.end(t); out != "" || status != sallyport.ExitEnded || !strings.Contains(errs, words) {
				t.Errorf("%s: %q, %q, %d, want %q", typ, out, errs, status, words)
			}
		}
	}
	role := w.grants.role
	role.Commands.Rules = []sallyport.CommandRule{{Program: "cat", Action: sallyport.Deny}}
	w.setPolicy(t, target, role)
	refused("cat is not allowed")
	role = w.grants.role
	role.Channels, role.Forwards = []sallyport.Channel{sallyport.ChannelShell}, sallyport.ForwardRules{}
	w.setPolicy(t, target, role)
	refused("your role allows no exec")
}

// Without a grant for one command nothing of this holds.
func TestAnyWorkIsNotNarrowed(t *testing.T) {
	w := scoped(t)
	w.grantOnly("")
	c := w.outer(t, "lab@web1")
	r := openRaw(t, c)
	if !r.ask(t, "pty-req", ptyRequest) || !r.ask(t, "exec", wire.String("tty")) {
		t.Error("refused")
	}
	if out, _, _ := r.end(t); !strings.HasPrefix(out, "/dev/pts/") {
		t.Errorf("%q", out)
	}
	if w.audit.count("request.refuse") > 0 {
		t.Error("something was refused")
	}
}
