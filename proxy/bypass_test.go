package proxy

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
	"sallyport/policy"
)

// Attack (C1): reach the target's own sshd by a plain forward, under another
// spelling of an address that would be the jump.
func TestASpellingIsNoWayPastTheRecorder(t *testing.T) {
	w := newWorld(t, func(s *Server, r *sallyport.Role) {
		r.Channels = append(r.Channels, sallyport.ChannelForwardLocal)
		r.Forwards.Local = []string{"*:*", "localhost:*"}
	})
	e := w.echoes(t)
	target, _ := w.srv.Policy().Target("web1")
	_, port := hostPort(target)
	c := w.outer(t, "lab@web1")
	for _, host := range []string{
		"LOCALHOST", "localhost.", "LocalHost.", "a.localhost", "localhost6", "ip6-localhost", "localhost.localdomain",
		"127.0.0.2", "127.1", "0x7f.1", "0177.0.0.1", "2130706433", "0x7f000001", "127.0.0.1.", "0", "0.0.0.0", "::",
		"::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:0:0:1", "::1%lo", "::127.0.0.1", "WEB1", "web1.", "Web1.",
	} {
		for _, p := range []uint32{22, port} {
			if ch, _, err := c.OpenChannel("direct-tcpip", direct(host, p)); err == nil {
				ch.Close()
				t.Errorf("%s:%d was opened", host, p)
			} else if !strings.Contains(err.Error(), "administratively prohibited") {
				t.Errorf("%s:%d: %v", host, p, err)
			}
		}
	}
	if n := e.opened.Load(); n != 0 {
		t.Errorf("%d channels came to the target", n)
	}
	// What is no sshd is what the role says.
	for _, host := range []string{"LOCALHOST", "127.0.0.2", "web1", "db1"} {
		ch, reqs, err := c.OpenChannel("direct-tcpip", direct(host, 8000))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		go ssh.DiscardRequests(reqs)
		ch.Close()
	}
}

// Promise 7: a server that answers and closes while the client is still sending,
// as one that refuses an upload does: all of the answer arrives.
func TestAnEarlyCloseLosesNothing(t *testing.T) {
	w := newWorld(t, forwards, func(_ *Server, r *sallyport.Role) { r.Forwards.MaxBytes = 0 })
	const size = 3 << 20 // more than the client's window
	closed := make(chan struct{})
	w.strange(t, func(_ *ssh.ServerConn, chans <-chan ssh.NewChannel) {
		for nc := range chans {
			ch, reqs, err := nc.Accept()
			if err != nil {
				continue
			}
			go ssh.DiscardRequests(reqs)
			_, _ = ch.Write(make([]byte, size))
			_ = ch.CloseWrite()
			_ = ch.Close()
			close(closed)
		}
	})
	c := w.outer(t, "lab@web1")
	// The client reads nothing for now.
	ch, reqs, err := c.OpenChannel("direct-tcpip", direct("db1", 1))
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	<-closed
	for range 10 {
		if _, err := ch.Write([]byte("more")); err != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n, err := io.Copy(io.Discard, ch); err != nil || n != size {
		t.Errorf("%d bytes of %d arrived: %v", n, size, err)
	}
	eventually(t, "it has ended", func() bool { return w.audit.count("forward.close") == 1 })
	if e := w.audit.last("forward.close"); e.Outcome != "closed" {
		t.Errorf("audited as %+v", e)
	}
}

// asked is a channel that somebody asks for.
type asked struct {
	newChannel
	rejected chan struct{}
}

func (a asked) ChannelType() string { return "direct-tcpip" }
func (a asked) ExtraData() []byte   { return nil }
func (a asked) Reject(ssh.RejectionReason, string) error {
	if a.rejected != nil {
		<-a.rejected
	}
	return nil
}

// testSession is a session without a target.
func testSession(t *testing.T) *session {
	c := testConn(t)
	p, err := policy.New(nil, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.srv.Policy = func() *policy.Policy { return p }
	x := &session{srv: c.srv, conn: c, tunnels: map[*tunnel]struct{}{}, listens: map[string]uint32{}, ended: make(chan struct{}), adrift: make(chan struct{})}
	x.ctx, x.cancel = context.WithCancelCause(t.Context())
	return x
}

// Attack (C9): open forwards one after the other and never confirm that one is
// closed. Each holds its memory as long, so it has to count as long.
func TestAnUnconfirmedTunnelCounts(t *testing.T) {
	for _, side := range []string{"client", "target"} {
		synctest.Test(t, func(t *testing.T) {
			x := testSession(t)
			client := asked{newChannel: newChannel{ch: &fakeChannel{start: time.Now()}, reqs: make(chan *ssh.Request)}}
			target := make(chan *ssh.Request)
			late, other := client.reqs, target
			if side == "target" {
				late, other = other, late
			}
			close(other)
			done := make(chan struct{})
			go func() {
				defer close(done)
				x.newTunnel(client, forwarding{}).join(client, func(string, []byte) (ssh.Channel, <-chan *ssh.Request, error) {
					return &fakeChannel{start: time.Now()}, target, nil
				}, func(opener, other ssh.Channel) (ssh.Channel, ssh.Channel) { return opener, other })
			}()
			synctest.Wait()
			select {
			case <-done:
				t.Errorf("the tunnel no longer counts, and the %s has not closed it", side)
			default:
			}
			close(late)
			<-done
			if len(x.tunnels) != 0 {
				t.Error("it still counts")
			}
		})
	}
}

// Attack (R2): leave a channel that the target opens unanswered until the session
// ends, so that it is missing in the recording.
func TestAnUnansweredTunnelIsRecorded(t *testing.T) {
	w := newWorld(t, forwards)
	e := w.echoes(t)
	c := w.outer(t, "lab@web1")
	s, reqs, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	if ok, err := s.SendRequest("auth-agent-req@openssh.com", true, nil); err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
	chans := c.HandleChannelOpen("auth-agent@openssh.com")
	e.open <- opening{"auth-agent@openssh.com", nil}
	<-chans // and no answer
	w.grants.stop(&sallyport.Ending{Cause: sallyport.CauseKilled, By: "eve"})
	within(t, 2*time.Second, "the end", func() {
		if err := w.srv.Recheck(context.Background()); err != nil {
			t.Error(err)
		}
	})
	<-e.outcome
	if e := w.audit.last("forward.close"); e.Outcome != "killed" {
		t.Errorf("audited as %+v", e)
	}
	w.audit.mu.Lock()
	if last := w.audit.events[len(w.audit.events)-1]; last.Type != "session.end" {
		t.Errorf("after the end came %+v", last)
	}
	w.audit.mu.Unlock()
	files, err := filepath.Glob(filepath.Join(w.dir, "recordings/*/*/*/*/forwards.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if b, err := os.ReadFile(files[0]); err != nil || !bytes.Contains(b, []byte(`"kind":"agent"`)) || bytes.Count(b, []byte{'\n'}) != 1 {
		t.Errorf("%s, %v", b, err)
	}
}

// Attack (C9): a target that opens channels without end and never reads the
// refusals, each of which keeps a goroutine.
func TestAFloodFromTheTargetIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := testSession(t)
		chans, release := make(chan ssh.NewChannel), make(chan struct{})
		done := make(chan struct{})
		go func() { defer close(done); x.attend(chans, nil) }()
		n := 0
		for range 1000 {
			synctest.Wait()
			select {
			case chans <- asked{rejected: release}:
				n++
			default:
			}
		}
		if n > 100 {
			t.Errorf("%d channels are being answered", n)
		}
		close(release)
		close(chans)
		<-done
	})
}

// Attack (C9): ask for the agent, or for X11, again and again on one channel: each
// time is an audit entry that is written before it happens.
func TestTheAgentIsAskedForOnce(t *testing.T) {
	w := newWorld(t, forwards)
	w.echoes(t)
	c := w.outer(t, "lab@web1")
	s, reqs, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	for i := range 200 {
		for name, payload := range map[string][]byte{
			"auth-agent-req@openssh.com": nil, "x11-req": wire.Marshal(wire.X11{Protocol: "MIT-MAGIC-COOKIE-1", Cookie: "00"}),
		} {
			if ok, err := s.SendRequest(name, true, payload); err != nil || ok != (i == 0) {
				t.Fatalf("%s, %d: %v, %v", name, i, ok, err)
			}
		}
	}
	if n := w.audit.count("forward.listen"); n != 2 {
		t.Errorf("%d entries", n)
	}
}

// Attack: an announced port as the path of a socket; and an announcement that does
// not hold is not in the recording as one that does.
func TestAnAnnouncedPortIsNoPath(t *testing.T) {
	w := newWorld(t, func(_ *Server, r *sallyport.Role) { r.Channels = append(r.Channels, sallyport.ChannelIDE) })
	x := testSession(t)
	known := make(chan struct{})
	close(known)
	x.endpoints = map[string]*endpoint{"127.0.0.1:39455": {known: known}}
	for _, path := range []string{"127.0.0.1:39455", "39455", "", "agent"} {
		if x.announced(socketEndpoint(path)) {
			t.Errorf("%q is announced", path)
		}
	}

	w.strange(t, func(_ *ssh.ServerConn, chans <-chan ssh.NewChannel) {
		for nc := range chans {
			ch, reqs, err := nc.Accept()
			if err != nil {
				continue
			}
			go func() {
				for req := range reqs {
					cmd, _ := wire.ParseString(req.Payload)
					own := strings.Contains(cmd, "/proc/net/tcp")
					_ = req.Reply(!own, nil)
					if !own {
						_, _ = io.WriteString(ch, "listeningOn==39455==\n")
					}
				}
			}()
		}
	})
	s := w.session(t)
	if err := s.Start("sh"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer", func() bool { return w.audit.last("ide.listen").Outcome == "refused" })
	w.srv.Close(t.Context())
	files, _ := filepath.Glob(filepath.Join(w.dir, "recordings/*/*/*/*/*.cast"))
	for _, f := range files {
		if b, err := os.ReadFile(f); err != nil || bytes.Contains(b, []byte("server listens")) || !bytes.Contains(b, []byte("127.0.0.1:39455")) {
			t.Errorf("%s, %v", b, err)
		}
	}
	if len(files) != 1 {
		t.Errorf("%v", files)
	}
}

// A jump is hung up while the client still talks: x/crypto's CloseWrite and Write
// of one channel are not safe together (go test -race).
func TestAJumpIsHungUpWhileItTalks(t *testing.T) {
	w, _ := jumping(t)
	c, err := w.inside(t, w.outer(t, "alice"), "web1:22", "lab", ssh.InsecureIgnoreHostKey())
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("sleep 60"); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil {
				return
			}
		}
	}()
	w.grants.stop(&sallyport.Ending{Cause: sallyport.CauseKilled})
	if err := w.srv.Recheck(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, waitLong, "the end", func() { <-over })
}

// A second -R for one address, which the target refuses, does not end the first.
func TestASecondListenKeepsTheFirst(t *testing.T) {
	w := newWorld(t, forwards)
	w.echoes(t) // refuses every request on the connection
	c := w.outer(t, "lab@web1")
	if _, err := c.NewSession(); err != nil {
		t.Fatal(err)
	}
	x := w.live(t)
	x.listen("localhost:8000", 0)
	if ok, _, err := c.SendRequest("tcpip-forward", true, wire.Marshal(wire.Listen{Host: "localhost", Port: 8000})); err != nil || ok {
		t.Errorf("%v, %v", ok, err)
	}
	if !x.listening("localhost:8000") {
		t.Error("the first one is forgotten")
	}
}

// Attack: names and paths as long as a packet, a line of which is written for each
// opening.
func TestLongAddressesAreRefused(t *testing.T) {
	w := newWorld(t, forwards, func(_ *Server, r *sallyport.Role) {
		r.Forwards.Local, r.Forwards.Sockets = []string{"*:*"}, []string{"/**"}
	})
	e := w.echoes(t)
	c := w.outer(t, "lab@web1")
	long := strings.Repeat("x", 20000)
	if _, _, err := c.OpenChannel("direct-tcpip", direct(long, 8000)); err == nil {
		t.Error("a long name was accepted")
	}
	for typ, payload := range map[string][]byte{
		"direct-tcpip": wire.Marshal(wire.Direct{Host: "db1", Port: 8000, From: long}), "direct-streamlocal@openssh.com": wire.Marshal(wire.DirectSocket{Path: "/" + long}),
	} {
		if _, _, err := c.OpenChannel(typ, payload); err == nil {
			t.Errorf("%s was opened", typ)
		}
	}
	if n := e.opened.Load(); n != 0 {
		t.Errorf("%d channels came to the target", n)
	}
}
