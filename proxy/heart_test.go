package proxy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
)

// deaf is a connection from which nothing arrives any more.
type deaf struct {
	net.Conn
	stopped atomic.Bool
	closed  chan struct{}
	once    sync.Once
}

func (d *deaf) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	if d.stopped.Load() {
		<-d.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (d *deaf) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.Conn.Close()
}

// C12: a target that is gone without a word.
func TestASilentTargetIsNoticed(t *testing.T) {
	var line *deaf
	w := newWorld(t, func(s *Server, _ *sallyport.Role) {
		s.Keepalive = 600 * time.Millisecond
		s.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			line = &deaf{Conn: c, closed: make(chan struct{})}
			return line, err
		}
	})
	s := w.session(t)
	if err := s.Start("sleep 60"); err != nil {
		t.Fatal(err)
	}
	line.stopped.Store(true)
	within(t, waitLong, "the end", func() {
		if err := s.Wait(); err == nil {
			t.Error("the command ended well")
		}
	})
	eventually(t, "the end of the session", func() bool { return w.audit.count("session.end") == 1 })
	if e := w.audit.last("session.end"); e.Outcome != string(sallyport.CauseTargetLost) || e.Reason != silent {
		t.Errorf("audited as %+v", e)
	}
}

// C11: a client that is gone without a word, where it has no session: signed in
// and nothing else, or reading at the console.
func TestASilentConnectionIsClosed(t *testing.T) {
	for _, at := range []string{"nothing", "console"} {
		t.Run(at, func(t *testing.T) {
			left := make(chan struct{}, 1)
			w := newWorld(t, func(s *Server, _ *sallyport.Role) {
				s.Keepalive = 600 * time.Millisecond
				s.Console = func(ctx context.Context, _ Visit) int { <-ctx.Done(); left <- struct{}{}; return 0 }
			})
			conn, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Fatal(err)
			}
			stall := &stallable{Conn: conn, gate: make(chan struct{})}
			sc, chans, reqs, err := ssh.NewClientConn(stall, w.addr, &ssh.ClientConfig{
				User: "alice", Auth: []ssh.AuthMethod{ssh.PublicKeys(w.alice)}, HostKeyCallback: ssh.FixedHostKey(w.host),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer ssh.NewClient(sc, chans, reqs).Close()
			if at == "console" {
				ch, reqs, err := sc.OpenChannel("session", nil)
				if err != nil {
					t.Fatal(err)
				}
				go ssh.DiscardRequests(reqs)
				if ok, err := ch.SendRequest("exec", true, wire.String("audit tail -f")); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
			// It lives while it answers.
			for range 2 {
				time.Sleep(w.srv.Keepalive)
				if w.connections() != 1 {
					t.Fatal("closed while the client answers")
				}
			}
			stall.stop()
			defer close(stall.gate)
			eventually(t, "the end of the connection", func() bool { return w.connections() == 0 })
			if at == "console" {
				within(t, waitLong, "the end of the command", func() { <-left })
			}
		})
	}
}
