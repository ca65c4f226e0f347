package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
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
	"sallyport/internal/sshtest"
	"sallyport/internal/wire"
)

// Attack (A10): connect and say nothing. The handshake has a deadline, also
// where the client dribbles bytes.
func TestASilentHandshakeIsCut(t *testing.T) {
	w := newWorld(t, func(s *Server, _ *sallyport.Role) { s.Limits.LoginGrace = 300 * time.Millisecond })
	for _, hello := range []string{"", "SSH-2.0-x\r\n", "SSH-2.0-x\r\n\x00\x00\xff\xff"} {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, hello)
		stop := make(chan struct{})
		go func() { // a dribble does not extend it
			for tick := time.NewTicker(20 * time.Millisecond); hello == ""; <-tick.C {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
		within(t, 3*time.Second, "the deadline", func() { io.Copy(io.Discard, c) })
		close(stop)
	}
}

// Attack: guess keys on one connection.
func TestTriesAreBounded(t *testing.T) {
	w := newWorld(t)
	var keys []ssh.Signer
	for range 20 {
		keys = append(keys, sshtest.NewSigner(t))
	}
	keys = append(keys, w.alice) // the twenty-first would be right
	if _, err := w.dial(t, "lab@web1", ssh.PublicKeys(keys...)); err == nil {
		t.Fatal("got in after twenty refused keys")
	}
	if _, err := w.dial(t, "lab@web1", ssh.PublicKeys(append(keys[:auth.MaxTries-1:auth.MaxTries-1], w.alice)...)); err != nil {
		t.Errorf("five wrong keys before the right one, as an agent offers them: %v", err)
	}
}

// Attack (A10): flood from one address while alice comes from another.
func TestAFloodKeepsNobodyOut(t *testing.T) {
	w := newWorld(t, func(s *Server, _ *sallyport.Role) { s.Limits.Unauthenticated, s.Limits.PerAddress = 16, 8 })
	stop := make(chan struct{})
	var flood sync.WaitGroup
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}}
	for range 16 {
		flood.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := d.Dial("tcp", w.addr)
				if err != nil {
					continue
				}
				time.AfterFunc(100*time.Millisecond, func() { c.Close() })
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	for i := range 10 {
		if err := w.session(t).Run("true"); err != nil {
			t.Errorf("alice's session %d: %v", i, err)
		}
	}
	close(stop)
	flood.Wait()
}

// The user's need: be warned 10, 5 and 1 minutes before the grant ends, once
// each, and be cut at the end and not before.
func TestWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := timedSession(t, 11*time.Minute+7*time.Second, 0)
		start := time.Now()
		ch := &fakeChannel{start: start}
		b := &bridge{x: x, ch: ch}
		x.bridges[b] = struct{}{}
		x.clock.start()
		<-x.ctx.Done()
		x.clock.stop()
		synctest.Wait()
		if got := time.Since(start); got != 11*time.Minute+7*time.Second {
			t.Errorf("cut after %v", got)
		}
		if e := x.ending(); e.Cause != sallyport.CauseExpired {
			t.Errorf("cause %v", e.Cause)
		}
		want := []string{
			"1m7s sallyport: your grant expires in 10 minutes\n",
			"6m7s sallyport: your grant expires in 5 minutes\n",
			"10m7s sallyport: your grant expires in 1 minute\n",
		}
		if got := strings.Join(ch.said, ""); got != strings.Join(want, "") {
			t.Errorf("said %q", ch.said)
		}
	})
}

// fakeChannel notes what is written and asked, in order.
type fakeChannel struct {
	start time.Time
	mu    sync.Mutex
	said  []string
}

func (f *fakeChannel) note(s string) { f.mu.Lock(); f.said = append(f.said, s); f.mu.Unlock() }

func (f *fakeChannel) Read([]byte) (int, error) { return 0, io.EOF }
func (f *fakeChannel) Write(p []byte) (int, error) {
	f.note(time.Since(f.start).String() + " " + string(p))
	return len(p), nil
}
func (f *fakeChannel) Close() error          { f.note("close"); return nil }
func (f *fakeChannel) CloseWrite() error     { f.note("eof"); return nil }
func (f *fakeChannel) Stderr() io.ReadWriter { return f }
func (f *fakeChannel) SendRequest(name string, _ bool, _ []byte) (bool, error) {
	f.note(name)
	return true, nil
}

// Attack (G1): open channels as fast as possible while the session is ended.
// Nothing may start after, and the gateway lives on.
func TestChannelsOpenedWhileItEnds(t *testing.T) {
	w := newWorld(t, func(s *Server, _ *sallyport.Role) { s.Log = zerolog.Nop() })
	for range 12 {
		c, err := w.dial(t, "lab@web1")
		if err != nil {
			t.Fatal(err)
		}
		ready := make(chan struct{}, 8)
		for range 8 {
			go func() {
				for {
					s, err := c.NewSession()
					if err != nil {
						return
					}
					_ = s.Run("true")
					s.Close()
					select {
					case ready <- struct{}{}:
					default:
					}
				}
			}()
		}
		<-ready
		<-ready
		w.grants.stop(&sallyport.Ending{Cause: sallyport.CauseKilled, By: "eve", Reason: "x"})
		if err := w.srv.Recheck(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(w.srv.Sessions()); n != 0 {
			t.Errorf("%d sessions live after the kill", n)
		}
		// Not for the goroutines: x/crypto's OpenChannel waits for ever where it
		// comes between the end of the client's mux and that of its socket.
		within(t, 3*time.Second, "the client's end", func() { _ = c.Wait() })
		w.audit.mu.Lock()
		over := map[string]bool{}
		for _, e := range w.audit.events {
			if e.Type == "session.end" {
				over[e.Session] = true
			} else if e.Type == "channel.start" && over[e.Session] {
				t.Error("a channel started after its session had ended")
			}
		}
		w.audit.mu.Unlock()
		w.grants.stop(nil)
	}
}

// Attack (G2): begin sessions as fast as possible while the grant is stopped:
// after Recheck has answered none lives and none starts.
func TestKillAgainstBegin(t *testing.T) {
	// Counted here: the target may accept late what was dialled before the kill.
	var dials atomic.Int64
	w := newWorld(t, func(s *Server, _ *sallyport.Role) {
		s.Log = zerolog.Nop()
		s.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
	for range 6 {
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for range 6 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{
						User: "lab@web1", Auth: []ssh.AuthMethod{ssh.PublicKeys(w.alice)}, HostKeyCallback: ssh.FixedHostKey(w.host),
					})
					if err != nil {
						continue
					}
					if s, err := c.NewSession(); err == nil {
						_ = s.Run("sleep 0.05")
					}
					c.Close()
				}
			})
		}
		time.Sleep(150 * time.Millisecond)
		w.grants.stop(&sallyport.Ending{Cause: sallyport.CauseKilled})
		if err := w.srv.Recheck(t.Context()); err != nil {
			t.Error(err)
		}
		before := dials.Load()
		if n := len(w.srv.Sessions()); n != 0 {
			t.Errorf("%d sessions live after the kill", n)
		}
		time.Sleep(100 * time.Millisecond)
		if n := dials.Load(); n != before {
			t.Errorf("%d connections to the target after the kill", n-before)
		}
		close(stop)
		wg.Wait()
		w.grants.stop(nil)
	}
}

// Attack (R7): a client version and a TERM that forge log lines and drive
// terminals.
func TestHostileStringsAreData(t *testing.T) {
	w := newWorld(t)
	c, err := w.dial(t, "lab@web1")
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("x\n\x1b]0;owned\x07{\"type\":\"session.end\"}", 24, 80, nil); err != nil {
		t.Logf("refused: %v", err)
	}
	if err := s.Run("true"); err != nil {
		t.Error(err)
	}
	err = filepath.WalkDir(w.dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if bytes.ContainsAny(b, "\x1b\x07") || bytes.Contains(b, []byte("\n{\"type\"")) {
			t.Errorf("%s holds raw control bytes: %q", d.Name(), b)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// The user's need: exit status and output are whole when the client keeps
// sending while the program has ended, and when it has sent EOF at once.
func TestStatusUnderInput(t *testing.T) {
	w := newWorld(t)
	c, err := w.dial(t, "lab@web1")
	if err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("line of text\n"), 200_000)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				s, err := c.NewSession()
				if err != nil {
					t.Error(err)
					return
				}
				in, _ := s.StdinPipe()
				go func() { io.Copy(in, bytes.NewReader(big)); in.Close() }()
				out, err := s.Output("head -n1; exit 9")
				var exit *ssh.ExitError
				if !errors.As(err, &exit) || exit.ExitStatus() != 9 || string(out) != "line of text\n" {
					t.Errorf("%v, %q", err, out)
				}
			}
		})
	}
	within(t, 15*time.Second, "all of it", wg.Wait)
}

// Attack: a channel whose window is zero holds the goodbye; the end comes all
// the same.
func TestAStuckWindowDoesNotHoldTheEnd(t *testing.T) {
	w := newWorld(t)
	c, err := w.dial(t, "lab@web1")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		ch, reqs, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		if ok, err := ch.SendRequest("exec", true, wire.String("cat /dev/zero >&2 & cat /dev/zero")); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	time.Sleep(300 * time.Millisecond)
	w.grants.stop(&sallyport.Ending{Cause: sallyport.CauseKilled})
	start := time.Now()
	if err := w.srv.Recheck(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the end took %v", took)
	}
}
