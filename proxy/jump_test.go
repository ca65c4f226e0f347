package proxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/ca"
	"sallyport/internal/sshtest"
	"sallyport/internal/wire"
	"sallyport/policy"
)

// jumping is a world whose gateway has a host CA.
func jumping(t *testing.T, adjust ...func(*Server, *sallyport.Role)) (*world, ssh.PublicKey) {
	t.Helper()
	hostCA := sshtest.NewSigner(t)
	w := newWorld(t, append(adjust, func(s *Server, _ *sallyport.Role) {
		s.HostCA = &ca.HostAuthority{Signer: hostCA, Random: rand.Reader, Now: time.Now}
	})...)
	return w, hostCA.PublicKey()
}

// channel opens the way of a jump.
func (w *world) channel(t *testing.T, outer *ssh.Client, address string) net.Conn {
	t.Helper()
	nc, err := outer.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// inside speaks SSH on it.
func (w *world) inside(t *testing.T, outer *ssh.Client, address, login string, check ssh.HostKeyCallback, methods ...ssh.AuthMethod) (*ssh.Client, error) {
	t.Helper()
	conn, chans, reqs, err := ssh.NewClientConn(w.channel(t, outer, address), address, &ssh.ClientConfig{
		User: login, Auth: methods, HostKeyCallback: check,
	})
	if err != nil {
		return nil, err
	}
	c := ssh.NewClient(conn, chans, reqs)
	t.Cleanup(func() { c.Close() })
	return c, nil
}

func (w *world) outer(t *testing.T, login string) *ssh.Client {
	t.Helper()
	c, err := w.dial(t, login)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The gateway vouches for every name of the target with its CA, and for no
// other; without a CA in the client's known_hosts it shows its own key.
func TestTheJumpHasTheTargetsName(t *testing.T) {
	w, authority := jumping(t)
	outer := w.outer(t, "anybody")
	checker := &ssh.CertChecker{IsHostAuthority: func(key ssh.PublicKey, _ string) bool {
		return bytes.Equal(key.Marshal(), authority.Marshal())
	}}
	for name, check := range map[string]ssh.HostKeyCallback{
		"by its CA":  checker.CheckHostKey,
		"by its key": ssh.FixedHostKey(w.host),
	} {
		for _, address := range []string{"web1:22", w.target.Addr()} {
			c, err := w.inside(t, outer, address, "lab", func(host string, a net.Addr, key ssh.PublicKey) error {
				if cert, ok := key.(*ssh.Certificate); ok && name == "by its key" {
					key = cert.Key
				}
				return check(host, a, key)
			})
			if err != nil {
				t.Errorf("%s at %s: %v", name, address, err)
				continue
			}
			s, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if out, err := s.Output("echo here"); err != nil || string(out) != "here\n" {
				t.Errorf("%s: %q, %v", name, out, err)
			}
		}
	}
	// Its certificate is for those names alone.
	nc := w.channel(t, outer, "web1:22")
	_, _, _, err := ssh.NewClientConn(nc, "elsewhere:22", &ssh.ClientConfig{User: "lab", HostKeyCallback: checker.CheckHostKey})
	if err == nil || !strings.Contains(err.Error(), "principal") {
		t.Errorf("as another host: %v", err)
	}
	if e := w.audit.last("jump.open"); e.User != "alice" || e.Target != "web1" || e.To != w.target.Addr() {
		t.Errorf("audited as %+v", e)
	}
}

// Attack: reach a sshd, or anything else, past the recorder. Whatever is not an
// address of the user's own targets gets one answer.
func TestTheJumpGoesNowhereElse(t *testing.T) {
	w, _ := jumping(t)
	// A second server that nobody named.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, login := range []string{"alice", "lab@web1"} {
		outer := w.outer(t, login)
		addresses := []string{l.Addr().String(), "web1:23", "web1:0", "web2:22", "WEB1:22", "web1.:22", " web1:22"}
		if login == "alice" { // at a target they are its own sshd, and so the jump
			addresses = append(addresses, "[::1]:22", "localhost:22")
		}
		for _, address := range addresses {
			if c, err := outer.Dial("tcp", address); err == nil {
				c.Close()
				t.Errorf("%s: %q was opened", login, address)
			} else if !strings.Contains(err.Error(), "administratively prohibited") && !strings.Contains(err.Error(), "invalid port") {
				t.Errorf("%s: %q: %v", login, address, err)
			}
		}
		for _, payload := range [][]byte{nil, {1}, append(wire.Marshal(wire.Direct{Host: "web1", Port: 22, From: "x"}), 0)} {
			if _, _, err := outer.OpenChannel("direct-tcpip", payload); err == nil {
				t.Errorf("%s: a malformed address was accepted", login)
			}
		}
		if _, _, err := outer.OpenChannel("direct-tcpip", wire.Marshal(wire.Direct{Host: "web1", Port: 22 + 1<<16})); err == nil {
			t.Errorf("%s: a port of 17 bits was accepted", login)
		}
	}
	if n := w.target.Connections(); n != 0 {
		t.Errorf("%d connections to the target", n)
	}
	if e := w.audit.last("channel.refuse"); e.User != "alice" || e.Outcome != "refused" {
		t.Errorf("audited as %+v", e)
	}
}

// A chain takes an active grant for each target on the way, and ends somewhere.
func TestAChainOfJumps(t *testing.T) {
	w, _ := jumping(t)
	c := w.outer(t, "alice")
	var err error
	for range maxDepth {
		if c, err = w.inside(t, c, "web1:22", "lab", ssh.InsecureIgnoreHostKey()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Dial("tcp", "web1:22"); err == nil || !strings.Contains(err.Error(), "jumps") {
		t.Errorf("one more: %v", err)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Output("echo deep"); err != nil || string(out) != "deep\n" {
		t.Errorf("%q, %v", out, err)
	}
	// Attack: go on from a target whose grant has ended.
	first, err := w.inside(t, w.outer(t, "alice"), "web1:22", "lab", ssh.InsecureIgnoreHostKey())
	if err != nil {
		t.Fatal(err)
	}
	w.grants.stop(&sallyport.Ending{Cause: sallyport.CauseRevoked})
	if _, err := first.Dial("tcp", "web1:22"); err == nil {
		t.Error("went on from a target without a grant")
	}
}

// pausable is a client's connection that can stop reading.
type pausable struct {
	net.Conn
	paused atomic.Bool
	over   chan struct{}
}

func (p *pausable) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if p.paused.Load() {
		<-p.over
	}
	return n, err
}

// Attack: a client whose jump, or whose whole connection, reads nothing and
// confirms nothing holds up the end of its session in no way, nor anything of
// it for longer.
func TestTheEndReachesAStuckJump(t *testing.T) {
	for _, stuck := range []string{"the jump", "the connection"} {
		t.Run(stuck, func(t *testing.T) {
			w, _ := jumping(t)
			tcp, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Fatal(err)
			}
			whole := &pausable{Conn: tcp, over: make(chan struct{})}
			conn, chans, reqs, err := ssh.NewClientConn(whole, "", &ssh.ClientConfig{
				User: "alice", Auth: []ssh.AuthMethod{ssh.PublicKeys(w.alice)}, HostKeyCallback: ssh.FixedHostKey(w.host),
			})
			if err != nil {
				t.Fatal(err)
			}
			outer := ssh.NewClient(conn, chans, reqs)
			defer outer.Close()
			inner := &pausable{Conn: w.channel(t, outer, "web1:22"), over: make(chan struct{})}
			defer close(whole.over)
			defer close(inner.over)
			conn, chans, reqs, err = ssh.NewClientConn(inner, "", &ssh.ClientConfig{User: "lab", HostKeyCallback: ssh.InsecureIgnoreHostKey()})
			if err != nil {
				t.Fatal(err)
			}
			s, err := ssh.NewClient(conn, chans, reqs).NewSession()
			if err != nil {
				t.Fatal(err)
			}
			out, _ := s.StdoutPipe()
			if err := s.Start("echo up; cat /dev/zero"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, make([]byte, 3)); err != nil {
				t.Fatal(err)
			}
			inner.paused.Store(stuck == "the jump")
			whole.paused.Store(stuck == "the connection")
			w.grants.stop(&sallyport.Ending{Cause: sallyport.CauseKilled, By: "eve"})
			within(t, 2*time.Second, "the end", func() {
				if err := w.srv.Recheck(context.Background()); err != nil {
					t.Error(err)
				}
			})
			if e := w.audit.last("session.end"); e.Outcome != "killed" {
				t.Errorf("audited as %+v", e)
			}
			eventually(t, "the jump is gone", func() bool { return w.connections() <= 1 })
			eventually(t, "nothing waits for it", func() bool {
				w.srv.mu.Lock()
				defer w.srv.mu.Unlock()
				for c := range w.srv.conns {
					if c.opening.Load() > 0 {
						return false
					}
				}
				return true
			})
		})
	}
}

// Attack: open jumps and say nothing there.
func TestASilentJumpIsCut(t *testing.T) {
	w, _ := jumping(t, func(s *Server, _ *sallyport.Role) { s.Limits.LoginGrace = 300 * time.Millisecond })
	outer := w.outer(t, "alice")
	nc := w.channel(t, outer, "web1:22")
	within(t, waitLong, "the cut", func() { _, _ = io.Copy(io.Discard, nc) })
	eventually(t, "one connection is left", func() bool { return w.connections() == 1 })
	// The one outside goes on.
	c, err := w.inside(t, outer, "web1:22", "lab", ssh.InsecureIgnoreHostKey())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewSession(); err != nil {
		t.Error(err)
	}
}

// R1: where the audit log cannot be written, no jump begins.
func TestNoAuditNoJump(t *testing.T) {
	w, _ := jumping(t)
	outer := w.outer(t, "alice")
	w.audit.mu.Lock()
	w.audit.broken = true
	w.audit.mu.Unlock()
	if _, err := outer.Dial("tcp", "web1:22"); err == nil || !strings.Contains(err.Error(), "audit log cannot be written") {
		t.Errorf("got %v", err)
	}
}

// Two targets behind one address: it is the one that the user reaches.
func TestTheJumpByASharedAddress(t *testing.T) {
	w, _ := jumping(t)
	mine, _ := w.srv.Policy().Target("web1")
	other := mine
	other.Name = "other"
	p, err := policy.New(w.srv.Policy().Users(), []sallyport.Target{other, mine}, []sallyport.Role{w.grants.role}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.policy.Store(p)
	c, err := w.inside(t, w.outer(t, "alice"), mine.Address, "lab", ssh.InsecureIgnoreHostKey())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewSession(); err != nil {
		t.Error(err)
	}
}
