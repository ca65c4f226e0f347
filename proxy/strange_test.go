package proxy

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/sshtest"
	"sallyport/internal/wire"
	"sallyport/policy"
)

// Targets that are not sshd, or not as it ships.

// strange puts another target behind the gateway; serve answers one connection.
func (w *world) strange(t *testing.T, serve func(conn *ssh.ServerConn, chans <-chan ssh.NewChannel)) {
	t.Helper()
	key := sshtest.NewSigner(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	cfg.AddHostKey(key)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				conn, chans, reqs, err := ssh.NewServerConn(nc, cfg)
				if err != nil {
					return
				}
				go ssh.DiscardRequests(reqs)
				serve(conn, chans)
			}()
		}
	}()
	w.setPolicy(t, sallyport.Target{
		Name: "web1", Address: l.Addr().String(), Accounts: []string{"lab"}, HostKeys: []string{sshtest.AuthorizedLine(key.PublicKey())},
	}, w.grants.role)
}

// setPolicy replaces the configuration, as a reload does.
func (w *world) setPolicy(t *testing.T, target sallyport.Target, role sallyport.Role) {
	t.Helper()
	p, err := policy.New([]sallyport.User{{Name: "alice", Keys: []string{sshtest.AuthorizedLine(w.alice.PublicKey())}}},
		[]sallyport.Target{target}, []sallyport.Role{role}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.policy.Store(p)
}

// answer says yes to the requests of a channel, less those named, and calls run
// for exec or shell.
func answer(nc ssh.NewChannel, refuse string, run func(ch ssh.Channel)) {
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	for r := range reqs {
		_ = r.Reply(r.Type != refuse, nil)
		if r.Type == "exec" || r.Type == "shell" {
			go run(ch)
		}
	}
}

// Promise 7: a target that hangs up after its last channel has sent everything
// before; a client that reads slowly gets all of it, and the status.
func TestATargetThatHangsUpHasSentEverything(t *testing.T) {
	w := newWorld(t)
	w.strange(t, func(conn *ssh.ServerConn, chans <-chan ssh.NewChannel) {
		for nc := range chans {
			answer(nc, "", func(ch ssh.Channel) {
				_, _ = ch.Write(make([]byte, 3<<20)) // more than the client's window
				_, _ = ch.SendRequest("exit-status", false, wire.ExitStatus(7))
				_ = ch.CloseWrite()
				_ = ch.Close()
			})
			conn.Close()
		}
	})
	s := w.session(t)
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("x"); err != nil {
		t.Fatal(err)
	}
	x := w.live(t)
	within(t, waitLong, "the target's end", func() { <-x.adrift })
	n, err := io.Copy(io.Discard, out)
	if err != nil || n != 3<<20 {
		t.Errorf("%d bytes of %d arrived: %v", n, 3<<20, err)
	}
	var exit *ssh.ExitError
	if err := s.Wait(); !asExit(err, &exit) || exit.ExitStatus() != 7 {
		t.Errorf("ended with %v, want status 7", err)
	}
}

// Promise 7: standard error arrives where the target refuses a terminal
// (PermitTTY no), and where it uses both; and a refused one is none, so that
// the judge does not take a script for edited keys.
func TestStandardErrorWithATerminal(t *testing.T) {
	for _, refuse := range []string{"", "pty-req"} {
		w := newWorld(t)
		w.strange(t, func(_ *ssh.ServerConn, chans <-chan ssh.NewChannel) {
			for nc := range chans {
				answer(nc, refuse, func(ch ssh.Channel) {
					_, _ = io.WriteString(ch, "out\n")
					_, _ = io.WriteString(ch.Stderr(), "err\n")
					_, _ = ch.SendRequest("exit-status", false, wire.ExitStatus(0))
					_ = ch.Close()
				})
			}
		})
		s := w.session(t)
		if err := s.RequestPty("xterm", 24, 80, nil); (err != nil) != (refuse != "") {
			t.Errorf("pty-req, refused %q: %v", refuse, err)
		}
		var stdout, stderr bytes.Buffer
		s.Stdout, s.Stderr = &stdout, &stderr
		if err := s.Run("x"); err != nil || stdout.String() != "out\n" || stderr.String() != "err\n" {
			t.Errorf("pty refused %q: %q, %q, %v", refuse, &stdout, &stderr, err)
		}
		if e := w.audit.last("channel.start"); (e.Details["pty"] == "true") != (refuse == "") || e.Details["command"] != "x" {
			t.Errorf("audited as %+v", e)
		}
	}
}

// A user who was held has been told yes already: where the target then refuses
// the start, the channel ends with a reason and does not hang.
func TestARefusedStartAfterAHold(t *testing.T) {
	var asked atomic.Bool
	w := newWorld(t)
	w.strange(t, func(_ *ssh.ServerConn, chans <-chan ssh.NewChannel) {
		for nc := range chans {
			answer(nc, "exec", func(ssh.Channel) {})
		}
	})
	w.hold(func() { asked.Store(true) })
	s := w.session(t)
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s.Stdout = &out
	within(t, waitLong, "the end", func() {
		var exit *ssh.ExitError
		if err := s.Run("x"); !asExit(err, &exit) || exit.ExitStatus() != sallyport.ExitUnreachable {
			t.Errorf("ended with %v", err)
		}
	})
	if !asked.Load() || !bytes.Contains(out.Bytes(), []byte("the target refused the exec")) {
		t.Errorf("held %t, told %q", asked.Load(), &out)
	}
}
