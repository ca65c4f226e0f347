package proxy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
)

// C11: who is gone is lost within two intervals of the last sign of life, not
// before one and a half of them, and was asked in between; whenever that sign was.
func TestTheHeartLosesTheDeadWithinTwoIntervals(t *testing.T) {
	const interval = 15 * time.Second
	for offset := time.Duration(1); offset < interval; offset += 700 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			h := newHeart(interval)
			v := &vital{}
			var asked time.Time
			var asks int
			lost := make(chan struct{})
			h.watch(&pulse{vital: v, lost: func() { close(lost) }, ask: func() {
				asks++
				asked = time.Now()
				<-lost // no answer
			}})
			time.Sleep(offset)
			v.sign()
			last := time.Now()
			<-lost
			synctest.Wait()
			switch silence := time.Since(last); {
			case silence > 2*interval, silence < 3*interval/2:
				t.Errorf("lost after %v", silence)
			case asks != 1, asked.Sub(last) < interval, time.Since(asked) < interval/2:
				t.Errorf("asked %d times, the first after %v, %v before it was lost", asks, asked.Sub(last), time.Since(asked))
			}
			time.Sleep(interval) // nobody is left to watch
			synctest.Wait()
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.beating {
				t.Error("the heart beats for nobody")
			}
		})
	}
}

// The living are not lost: neither those who answer, nor those who talk and are
// not even asked; and nobody because the gateway was stopped.
func TestTheHeartKeepsTheLiving(t *testing.T) {
	const interval = 15 * time.Second
	synctest.Test(t, func(t *testing.T) {
		h := newHeart(interval)
		var asks [2]atomic.Int32
		answers, talks := &vital{}, &vital{}
		gone := func() { t.Error("lost") }
		p := &pulse{vital: answers, lost: gone, ask: func() {
			asks[0].Add(1)
			time.Sleep(interval / 2)
			answers.sign()
		}}
		h.watch(p)
		q := &pulse{vital: talks, lost: gone, ask: func() { asks[1].Add(1) }}
		h.watch(q)
		for range 100 {
			time.Sleep(interval * 9 / 10)
			talks.sign()
		}
		if n := asks[0].Load(); n < 50 || n > 90 || asks[1].Load() != 0 {
			t.Errorf("asked %d and %d times", n, asks[1].Load())
		}
		h.forget(p)
		h.forget(q)
		time.Sleep(interval)
	})
}

// A thousand idle sessions are asked by the same looks.
func TestTheHeartAsksTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeart(16 * time.Second)
		defer time.Sleep(16 * time.Second) // it stops when all are forgotten
		var mu sync.Mutex
		at := map[time.Time]int{}
		for range 1000 {
			time.Sleep(7 * time.Millisecond)
			p := &pulse{vital: &vital{}, lost: func() {}}
			p.ask = func() {
				mu.Lock()
				at[time.Now()]++
				mu.Unlock()
				p.vital.sign()
			}
			h.watch(p)
			defer h.forget(p)
		}
		time.Sleep(160 * time.Second)
		synctest.Wait()
		total := 0
		for _, n := range at {
			total += n
		}
		if len(at) > 44 || total < 7500 {
			t.Errorf("%d asked at %d moments", total, len(at))
		}
	})
}

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
