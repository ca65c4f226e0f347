package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
)

// forwarding gives the world's role forwards.
func forwards(s *Server, r *sallyport.Role) {
	r.Channels = append(r.Channels, sallyport.ChannelForwardLocal, sallyport.ChannelForwardRemote, sallyport.ChannelForwardSocket,
		sallyport.ChannelAgent, sallyport.ChannelX11)
	r.Forwards = sallyport.ForwardRules{Local: []string{"db1:*"}, Remote: []string{"localhost:8000"}, Sockets: []string{"/run/x"}, MaxOpen: 2, MaxBytes: 1000}
}

// echoes is a target that accepts every channel and sends back what it gets.
// What a test sends to open is opened at the client, and its outcome sent back.
type echoes struct {
	open    chan opening
	opened  atomic.Int32
	outcome chan error
}

type opening struct {
	typ     string
	payload []byte
}

func (w *world) echoes(t *testing.T) *echoes {
	e := &echoes{open: make(chan opening), outcome: make(chan error)}
	w.strange(t, func(conn *ssh.ServerConn, chans <-chan ssh.NewChannel) {
		go func() {
			for o := range e.open {
				ch, reqs, err := conn.OpenChannel(o.typ, o.payload)
				if err == nil {
					go ssh.DiscardRequests(reqs)
					if _, err = ch.Write([]byte("from the target")); err == nil {
						err = ch.CloseWrite()
					}
					go io.Copy(io.Discard, ch)
				}
				e.outcome <- err
			}
		}()
		for nc := range chans {
			e.opened.Add(1)
			ch, reqs, err := nc.Accept()
			if err != nil {
				continue
			}
			go func() {
				for r := range reqs {
					_ = r.Reply(true, nil)
				}
			}()
			go func() { _, _ = io.Copy(ch, ch); _ = ch.CloseWrite() }()
		}
	})
	t.Cleanup(func() { close(e.open) })
	return e
}

func direct(host string, port uint32) []byte {
	return wire.Marshal(wire.Direct{Host: host, Port: port, From: "127.0.0.1", FromPort: 1})
}

// Attack (C1): channels of every kind, by a client and by a target, that the role
// does not allow or that nobody has asked for.
func TestNoForwardUnasked(t *testing.T) {
	w := newWorld(t)
	e := w.echoes(t)
	c := w.outer(t, "lab@web1")
	for typ, payload := range map[string][]byte{
		"direct-tcpip": direct("db1", 5432), "direct-streamlocal@openssh.com": wire.Marshal(wire.DirectSocket{Path: "/run/x"}),
		"tun@openssh.com": nil, "x11": wire.Marshal(wire.Origin{Host: "::1", Port: 1}), "auth-agent@openssh.com": nil,
		"forwarded-tcpip": direct("localhost", 8000),
	} {
		if _, _, err := c.OpenChannel(typ, payload); err == nil {
			t.Errorf("the client opened %s", typ)
		}
	}
	if n := e.opened.Load(); n != 0 {
		t.Errorf("%d channels came to the target", n)
	}
}

// Attack: a target that opens what its role would allow, but nobody asked for.
func TestTheTargetOpensNothingUnasked(t *testing.T) {
	w := newWorld(t, forwards)
	e := w.echoes(t)
	c := w.outer(t, "lab@web1")
	if _, err := c.NewSession(); err != nil {
		t.Fatal(err)
	}
	for _, o := range []opening{
		{"auth-agent@openssh.com", nil},
		{"x11", wire.Marshal(wire.Origin{Host: "::1", Port: 1})},
		{"forwarded-tcpip", direct("localhost", 8000)},
		{"forwarded-streamlocal@openssh.com", wire.Marshal(wire.ForwardedSocket{Path: "/run/x"})},
		{"session", nil},
		{"direct-tcpip", direct("localhost", 22)},
	} {
		c.HandleChannelOpen(o.typ) // the client itself would take it
		e.open <- o
		if err := <-e.outcome; err == nil {
			t.Errorf("the target opened %s", o.typ)
		}
	}
	if n := w.audit.count("forward.refuse"); n != 4 {
		t.Errorf("%d refusals in the audit log", n)
	}
}

// What is asked for and allowed passes, with its count; a reload that takes it
// away is heeded at the next channel.
func TestForwardsPass(t *testing.T) {
	w := newWorld(t, forwards)
	e := w.echoes(t)
	c := w.outer(t, "lab@web1")
	ch, reqs, err := c.OpenChannel("direct-tcpip", direct("db1", 5432))
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	if _, err := ch.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := ch.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(ch); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	eventually(t, "the end is audited", func() bool { return w.audit.count("forward.close") == 1 })
	if e := w.audit.last("forward.close"); e.Details["sent"] != "5" || e.Details["received"] != "5" || e.Details["to"] != "db1:5432" || e.Session == "" {
		t.Errorf("%+v", e)
	}

	// The target's side: the agent and X11, after a request on a session channel.
	s, sreqs, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(sreqs)
	cookie := "00112233445566778899aabbccddeeff"
	for name, payload := range map[string][]byte{
		"auth-agent-req@openssh.com": nil, "x11-req": wire.Marshal(wire.X11{Protocol: "MIT-MAGIC-COOKIE-1", Cookie: cookie}),
	} {
		if ok, err := s.SendRequest(name, true, payload); err != nil || !ok {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	if ok, _ := s.SendRequest("x11-req", true, []byte{1}); ok {
		t.Error("a malformed x11-req was accepted")
	}
	for _, o := range []opening{{"auth-agent@openssh.com", nil}, {"x11", wire.Marshal(wire.Origin{Host: "::1", Port: 1})}} {
		chans := c.HandleChannelOpen(o.typ)
		e.open <- o
		ch, reqs, err := (<-chans).Accept()
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		if b, err := io.ReadAll(ch); err != nil || string(b) != "from the target" {
			t.Errorf("%s: %q, %v", o.typ, b, err)
		}
		ch.Close()
		if err := <-e.outcome; err != nil {
			t.Errorf("%s: %v", o.typ, err)
		}
	}
	w.audit.mu.Lock()
	for _, e := range w.audit.events {
		for _, v := range e.Details {
			if strings.Contains(v, cookie) {
				t.Errorf("the cookie is in the audit log: %+v", e)
			}
		}
	}
	w.audit.mu.Unlock()

	role := w.grants.role
	role.Channels, role.Forwards = []sallyport.Channel{sallyport.ChannelExec}, sallyport.ForwardRules{}
	target, _ := w.srv.Policy().Target("web1")
	w.setPolicy(t, target, role)
	if _, _, err := c.OpenChannel("direct-tcpip", direct("db1", 5432)); err == nil {
		t.Error("a forward that a reload took away was opened")
	}
	e.open <- opening{"auth-agent@openssh.com", nil}
	if err := <-e.outcome; err == nil {
		t.Error("the agent, which a reload took away, was reached")
	}
}

func TestForwardLimits(t *testing.T) {
	w := newWorld(t, forwards)
	w.echoes(t)
	c := w.outer(t, "lab@web1")
	var open []ssh.Channel
	for range 2 {
		ch, reqs, err := c.OpenChannel("direct-tcpip", direct("db1", 1))
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		open = append(open, ch)
	}
	var refused *ssh.OpenChannelError
	if _, _, err := c.OpenChannel("direct-tcpip", direct("db1", 1)); !errors.As(err, &refused) || refused.Reason != ssh.ResourceShortage {
		t.Errorf("a third one: %v", err)
	}
	if _, err := open[0].Write(bytes.Repeat([]byte("x"), 1001)); err != nil {
		t.Fatal(err)
	}
	within(t, waitLong, "the limit", func() { _, _ = io.Copy(io.Discard, open[0]) })
	eventually(t, "it is audited", func() bool { return w.audit.last("forward.close").Outcome == "limit" })
	// One that has ended makes room.
	eventually(t, "there is room", func() bool {
		ch, reqs, err := c.OpenChannel("direct-tcpip", direct("db1", 1))
		if err == nil {
			go ssh.DiscardRequests(reqs)
			ch.Close()
		}
		return err == nil
	})
	// R1: where the audit log cannot be written, none begins.
	open[1].Close()
	w.audit.mu.Lock()
	w.audit.broken = true
	w.audit.mu.Unlock()
	eventually(t, "the audit log is missed", func() bool {
		_, _, err := c.OpenChannel("direct-tcpip", direct("db1", 1))
		return err != nil && strings.Contains(err.Error(), "audit log cannot be written")
	})
}

// Attack (G1, G2): keep a forward open past the end of its grant, with a client
// that reads nothing of it, and a target that goes on sending.
func TestTheEndReachesAStuckForward(t *testing.T) {
	w := newWorld(t, forwards, func(_ *Server, r *sallyport.Role) { r.Forwards.MaxBytes = 0 })
	flood := make(chan struct{})
	w.strange(t, func(conn *ssh.ServerConn, chans <-chan ssh.NewChannel) {
		for nc := range chans {
			ch, reqs, err := nc.Accept()
			if err != nil {
				continue
			}
			go ssh.DiscardRequests(reqs)
			go func() {
				for {
					if _, err := ch.Write(make([]byte, 32<<10)); err != nil {
						close(flood)
						return
					}
				}
			}()
		}
	})
	c := w.outer(t, "lab@web1")
	_, reqs, err := c.OpenChannel("direct-tcpip", direct("db1", 1))
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	x := w.live(t)
	eventually(t, "the client's window is full", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		for tn := range x.tunnels {
			return tn.received.Load() >= 2<<20
		}
		return false
	})
	w.grants.stop(&sallyport.Ending{Cause: sallyport.CauseKilled, By: "eve"})
	within(t, 2*time.Second, "the end", func() {
		if err := w.srv.Recheck(context.Background()); err != nil {
			t.Error(err)
		}
	})
	within(t, time.Second, "the target's end", func() { <-flood })
	if e := w.audit.last("forward.close"); e.Outcome != "killed" {
		t.Errorf("audited as %+v", e)
	}
	b := w.audit.last("session.end")
	if b.Outcome != "killed" || b.Details["seal"] == "failed" {
		t.Errorf("audited as %+v", b)
	}
}
