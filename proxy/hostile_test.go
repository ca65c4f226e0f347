package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/auth"
	"sallyport/internal/wire"
	"sallyport/proxy/front"
	"sallyport/recorder"
)

// waitLong bounds what a broken gateway would never do.
const waitLong = 10 * time.Second

// eventually waits for what comes by itself.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(waitLong)
	for tick := time.NewTicker(5 * time.Millisecond); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, waitLong)
		}
	}
}

func asExit(err error, exit **ssh.ExitError) bool { return errors.As(err, exit) }

// live returns the one live session.
func (w *world) live(t *testing.T) *session {
	t.Helper()
	w.srv.mu.Lock()
	defer w.srv.mu.Unlock()
	list := w.srv.liveNow()
	if len(list) != 1 {
		t.Fatalf("%d sessions live", len(list))
	}
	return list[0]
}

// sessions counts those that are not over and sealed.
func (w *world) sessions() int {
	w.srv.mu.Lock()
	defer w.srv.mu.Unlock()
	return len(w.srv.live)
}

func (w *world) connections() int {
	w.srv.mu.Lock()
	defer w.srv.mu.Unlock()
	return len(w.srv.conns)
}

// hold takes the grant away and gives it back while the user is held.
func (w *world) hold(then func()) {
	w.grants.mu.Lock()
	defer w.grants.mu.Unlock()
	g := w.grants.grant
	w.grants.grant = nil
	w.srv.Hold = func(context.Context, Visit, sallyport.Access) error {
		w.grants.mu.Lock()
		w.grants.grant = g
		w.grants.mu.Unlock()
		then()
		return nil
	}
}

// Attack (A10): open one connection, say nothing, and have everybody wait for
// the grace time behind it.
func TestASilentConnectionHoldsUpNobody(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		silent, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		// It is being served when it has the gateway's line.
		if _, err := io.ReadFull(silent, make([]byte, len(front.IdentLine))); err != nil {
			t.Fatal(err)
		}
	}
	within(t, waitLong, "a session", func() { // the grace time is 20 s
		for range 3 {
			if err := w.session(t).Run("true"); err != nil {
				t.Error(err)
			}
		}
	})
}

// Promise 7: notices of the gateway's own come between two pieces of output,
// never into one: x/crypto's Write would tear both, and the connection with
// them.
func TestNoticesDoNotTearTheOutput(t *testing.T) {
	w := newWorld(t)
	s := w.session(t)
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	seen := 0
	readers.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := out.Read(buf)
			seen += bytes.Count(buf[:n], []byte("W"))
			if err != nil {
				return
			}
		}
	})
	x := w.live(t)
	const notices = 1000
	var b *bridge
	for b = range x.bridges { // the one
	}
	for range notices {
		b.say(strings.Repeat("W", 300))
	}
	if x.ctx.Err() != nil {
		t.Errorf("the session has ended: %v", context.Cause(x.ctx))
	}
	s.Close()
	readers.Wait()
	if seen != notices*300 {
		t.Errorf("%d of %d letters of the notices arrived", seen, notices*300)
	}
}

// Attack (C9): send requests on a channel that the gateway has answered itself,
// until its connection is stuck and can never be closed.
func TestRequestsToNobodyHoldNothing(t *testing.T) {
	w := newWorld(t)
	for range 10 {
		c, err := w.dial(t, "alice")
		if err != nil {
			t.Fatal(err)
		}
		ch, reqs, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		_, _ = ch.SendRequest("exec", true, wire.String("ls"))
		for range 100 {
			_, _ = ch.SendRequest("env", false, wire.Marshal(wire.Env{Name: "LANG", Value: "x"}))
		}
		c.Close()
	}
	eventually(t, "every connection is gone", func() bool { return w.connections() == 0 })
}

// newChannel is a channel that a client opens.
type newChannel struct {
	ssh.NewChannel
	ch   ssh.Channel
	reqs chan *ssh.Request
}

func (n newChannel) Accept() (ssh.Channel, <-chan *ssh.Request, error) { return n.ch, n.reqs, nil }

// Attack (C9): never confirm that a channel is closed. It holds megabytes as
// long, so it has to count as long.
func TestAnUnconfirmedChannelCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConn(t)
		n := newChannel{ch: &fakeChannel{start: time.Now()}, reqs: make(chan *ssh.Request, 1)}
		n.reqs <- &ssh.Request{Type: "exec", Payload: wire.String("ls")}
		done := make(chan struct{})
		go func() { defer close(done); c.hearOut(t.Context(), n, errors.New("no")) }()
		synctest.Wait()
		select {
		case <-done:
			t.Error("the channel no longer counts, and the client has not closed it")
		default:
		}
		close(n.reqs)
		<-done
	})
}

// testConn is a connection without a network.
func testConn(t *testing.T) *conn {
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	s := &Server{Audit: &memory{}, Log: zerolog.Nop(), Limits: Limits{Channels: 5}}
	s.init()
	return &conn{Hello: front.NewHello(a), srv: s, from: "192.0.2.1:1", authed: true, notes: newNotes(5, 100), pace: newPace(s.Limits)}
}

// Attack (C9): open channels without end and never read the refusals, each of
// which keeps a goroutine.
func TestAFloodOfOpensIsCutOff(t *testing.T) {
	c := testConn(t)
	n := 0
	for c.answering() {
		if n++; n > 1000 {
			t.Fatal("1000 channels are being answered")
		}
	}
	if !c.closed {
		t.Error("the connection is open")
	}
}

// stuckChannel is one whose client gives no window.
type stuckChannel struct {
	fakeChannel
	release chan struct{}
}

func (s *stuckChannel) Write([]byte) (int, error) { <-s.release; return 0, io.EOF }
func (s *stuckChannel) Stderr() io.ReadWriter     { return s }

// Attack (C10): be refused something without reading why, and stop the requests
// of the connection from being answered.
func TestARefusalDoesNotWaitForItsReader(t *testing.T) {
	c := testConn(t)
	x := &session{srv: c.srv, conn: c}
	x.ctx, x.cancel = context.WithCancelCause(t.Context())
	ch := &stuckChannel{release: make(chan struct{})}
	defer close(ch.release)
	b := &bridge{x: x, ch: ch}
	within(t, waitLong, "the refusal", func() { b.deny(&ssh.Request{Type: "exec"}, "not allowed") })
}

// A role that goes on without a recording goes on: the keys of a terminal pass
// through the judge, who records them.
func TestATerminalGoesOnUnrecorded(t *testing.T) {
	var full atomic.Bool
	w := newWorld(t, func(s *Server, r *sallyport.Role) {
		r.Recording.ContinueOnFailure = true
		s.Recorder.Create = func(path string) (recorder.File, error) {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
			return brokenFile{f, full.Load}, err
		}
	})
	s := w.session(t)
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	in, _ := s.StdinPipe()
	out, _ := s.StdoutPipe()
	if err := s.Start("cat"); err != nil {
		t.Fatal(err)
	}
	within(t, waitLong, "typing", func() {
		for i := range 6 {
			full.Store(i > 1)
			if _, err := io.WriteString(in, "\r"); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(out, make([]byte, 4)); err != nil { // the echo, and cat's
				t.Error(err)
			}
		}
	})
	if n := w.audit.count("recording.failed"); n != 1 {
		t.Errorf("%d alerts", n)
	}
}

// Attack (G1, O2): a reload takes exec away from a role; whoever is in goes on
// using it on the connection that is open.
func TestAReloadReachesLiveSessions(t *testing.T) {
	w := newWorld(t)
	c, err := w.dial(t, "lab@web1")
	if err != nil {
		t.Fatal(err)
	}
	run := func(what string) error {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		return s.Run(what)
	}
	if err := run("true"); err != nil {
		t.Fatal(err)
	}
	role := w.grants.role
	role.Channels = []sallyport.Channel{sallyport.ChannelShell}
	target, _ := w.srv.Policy().Target("web1")
	w.setPolicy(t, target, role)
	if err := w.srv.Recheck(t.Context()); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := run("true"); !asExit(err, &exit) || exit.ExitStatus() != sallyport.ExitEnded {
		t.Errorf("exec on the live session: %v", err)
	}
}

// Attack: wait for a grant with a key that is removed meanwhile.
func TestAKeyThatIsRemovedDuringTheHold(t *testing.T) {
	w := newWorld(t)
	keys := w.srv.Keys()
	var present atomic.Pointer[auth.Keys]
	present.Store(keys)
	w.srv.Keys = present.Load
	none, err := auth.NewKeys(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.hold(func() { present.Store(none) })
	s := w.session(t)
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s.Stdout = &out
	if err := s.Run("true"); err == nil || !strings.Contains(out.String(), "no longer known") {
		t.Errorf("%v, %q", err, &out)
	}
	if n := w.target.Connections(); n != 0 {
		t.Errorf("%d connections to the target", n)
	}
}

// Attack: an analyst whose key was removed goes on reading at the console.
func TestAReloadClosesConnectionsOfRemovedKeys(t *testing.T) {
	reading := make(chan struct{})
	w := newWorld(t, func(s *Server, _ *sallyport.Role) {
		s.Console = func(ctx context.Context, _ Visit) int { close(reading); <-ctx.Done(); return 0 }
	})
	keys := w.srv.Keys()
	var present atomic.Pointer[auth.Keys]
	present.Store(keys)
	w.srv.Keys = present.Load
	c, err := w.dial(t, "alice")
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("play x"); err != nil {
		t.Fatal(err)
	}
	<-reading
	if err := w.srv.Recheck(t.Context()); err != nil || w.connections() != 1 {
		t.Fatalf("with the key: %v, %d connections", err, w.connections())
	}
	none, err := auth.NewKeys(nil)
	if err != nil {
		t.Fatal(err)
	}
	present.Store(none)
	if err := w.srv.Recheck(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, waitLong, "the end", func() { _ = c.Wait() })
}

// A window changes its size in the moment in which its command begins.
func TestResizeAtTheConsole(t *testing.T) {
	w := newWorld(t, func(s *Server, _ *sallyport.Role) {
		s.Console = func(_ context.Context, v Visit) int { return v.Columns - 80 }
	})
	for range 20 {
		c, err := w.dial(t, "alice")
		if err != nil {
			t.Fatal(err)
		}
		ch, reqs, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		_, _ = ch.SendRequest("pty-req", true, wire.Marshal(wire.Pty{Term: "x", Columns: 80, Rows: 24}))
		_, _ = ch.SendRequest("exec", false, wire.String("ls"))
		for range 5 {
			_, _ = ch.SendRequest("window-change", false, wire.Marshal(wire.Window{Columns: 90, Rows: 30}))
		}
		_, _ = io.Copy(io.Discard, ch)
		c.Close()
	}
}

// Attack (O7): make one session's code panic and take all the others along.
func TestAPanicIsItsOwn(t *testing.T) {
	w := newWorld(t, func(s *Server, _ *sallyport.Role) {
		s.Log = zerolog.Nop()
		s.Console = func(context.Context, Visit) int { panic("at the console") }
	})
	other := w.session(t)
	in, _ := other.StdinPipe()
	out, _ := other.StdoutPipe()
	if err := other.Start("cat"); err != nil {
		t.Fatal(err)
	}
	victim := w.session(t)
	if err := victim.Start("sleep 60"); err != nil {
		t.Fatal(err)
	}
	w.srv.mu.Lock()
	list := w.srv.liveNow()
	w.srv.mu.Unlock()
	newest := list[0]
	for _, x := range list {
		if x.info.StartedAt.After(newest.info.StartedAt) {
			newest = x
		}
	}
	newest.guarded(func() { panic("in a session") })
	within(t, waitLong, "the end of the session that panicked", func() { _ = victim.Wait() })
	if e := w.audit.last("gateway.panic"); e.User != "alice" || e.Session == "" || e.Target != "web1" || e.Severity != sallyport.SeverityCritical {
		t.Errorf("the panic in a session is audited as %+v", e)
	}
	c, err := w.dial(t, "alice")
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Run("ls")
	within(t, waitLong, "the other session", func() {
		if _, err := io.WriteString(in, "alive\n"); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
			t.Error(err)
		}
	})
	if n := w.audit.count("gateway.panic"); n != 2 {
		t.Errorf("%d panics audited, want 2", n)
	}
}

// Attack (G2): be killed in the moment in which a command begins: it must be told
// to end as any other, though nobody knows yet that it runs.
func TestACommandThatJustBeginsIsToldToEnd(t *testing.T) {
	up := &fakeChannel{start: time.Now()}
	b := &bridge{up: up, kind: sallyport.ChannelExec, started: make(chan struct{}), gone: make(chan struct{})}
	b.starts.Lock()
	done := make(chan struct{})
	go func() { defer close(done); b.stop() }()
	select {
	case <-done:
		t.Error("it did not wait for the start")
	case <-time.After(50 * time.Millisecond):
	}
	close(b.started)
	b.starts.Unlock()
	<-done
	if got := strings.Join(up.said, " "); got != "signal signal signal" {
		t.Errorf("said %q", got)
	}
}

// A session that ends just after its program has: ssh takes the last status that
// it is told, which must be the program's.
func TestOneExitStatus(t *testing.T) {
	c := testConn(t)
	x := &session{srv: c.srv, conn: c}
	x.ctx, x.cancel = context.WithCancelCause(t.Context())
	ch := &fakeChannel{start: time.Now()}
	b := &bridge{x: x, ch: ch}
	b.exit(&ssh.Request{Type: "exit-status", Payload: wire.ExitStatus(7)})
	b.closeWrite()
	b.goodbye("the target closed the connection", sallyport.ExitUnreachable)
	if got := strings.Join(ch.said, ","); got != "exit-status,eof,close" {
		t.Errorf("the client was told %s", got)
	}
}
