package proxy

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/recorder"
)

// Attack (promise 11): ask for forbidden channels for ever, so that the audit
// log fills the disk.
func TestRefusalsDoNotFloodTheAudit(t *testing.T) {
	w := newWorld(t)
	c, err := w.dial(t, "lab@web1")
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if _, _, err := c.OpenChannel("direct-tcpip", []byte(strings.Repeat("x", 30))); err == nil {
			t.Fatal("opened")
		}
	}
	if n := w.audit.count("channel.refuse"); n == 0 || n > 300 {
		t.Errorf("%d audit entries by one client in a moment", n)
	}
}

// Attack: one user with a valid key opens connections until nothing is left.
func TestConnectionsOfOneUserAreBounded(t *testing.T) {
	w := newWorld(t, func(s *Server, _ *sallyport.Role) { s.Limits.SessionsPerUser = 2 })
	n := 0
	for range 30 {
		if _, err := w.dial(t, "lab@web1"); err == nil {
			n++
		}
	}
	if want := w.srv.Limits.connections(); n != want {
		t.Errorf("%d connections, want %d", n, want)
	}
	if e := w.audit.last("auth.refuse"); e.Outcome != "refused" {
		t.Errorf("audited as %+v", e)
	}
}

func TestSessionsOfOneUserAreBounded(t *testing.T) {
	w := newWorld(t, func(s *Server, _ *sallyport.Role) { s.Limits.SessionsPerUser = 1 })
	s := w.session(t)
	if err := s.Start("sleep 60"); err != nil {
		t.Fatal(err)
	}
	if err := w.session(t).Run("true"); err == nil {
		t.Error("a second session started")
	}
	if n := w.audit.count("session.refuse"); n != 1 {
		t.Errorf("%d refusals audited, want 1", n)
	}
}

// A refusal is a decision, whatever it is about.
func TestEveryRefusalIsAudited(t *testing.T) {
	for _, login := range []string{"bob+lab+web1", "root:web1", "a@b@c@d"} {
		w := newWorld(t)
		c, err := w.dial(t, login)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run("true"); err == nil {
			t.Errorf("%s got in", login)
		}
		if e := w.audit.last("session.refuse"); e.Outcome != "refused" || e.Severity != sallyport.SeverityWarning || e.User != "alice" || e.Reason == "" {
			t.Errorf("%s: audited as %+v", login, e)
		}
	}
}

// A role may go on without a recording; it says so once, not at every byte.
func TestGoingOnUnrecordedIsOneAlert(t *testing.T) {
	var full atomic.Bool
	w := newWorld(t, func(s *Server, r *sallyport.Role) {
		r.Recording.ContinueOnFailure = true
		s.Recorder.Create = func(path string) (recorder.File, error) {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
			return brokenFile{f, full.Load}, err
		}
	})
	s := w.session(t)
	in, _ := s.StdinPipe()
	out, _ := s.StdoutPipe()
	if err := s.Start("cat"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2)
	for i := range 50 {
		full.Store(i > 5)
		if _, err := io.WriteString(in, "x\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, buf); err != nil {
			t.Fatalf("after %d lines: %v", i, err)
		}
	}
	in.Close()
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	if n := w.audit.count("recording.failed"); n != 1 {
		t.Errorf("%d alerts, want 1", n)
	}
}

// Attack (A10): connections that are thrown out while they come in.
func TestEvictionWhileEntering(t *testing.T) {
	w := newWorld(t, func(s *Server, _ *sallyport.Role) { s.Limits.PerAddress, s.Limits.Unauthenticated = 1, 1 })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{
					User: "x", HostKeyCallback: ssh.FixedHostKey(w.host), Timeout: time.Second,
				})
				if err == nil {
					c.Close()
					t.Error("got in without a key")
				}
			}
		})
	}
	wg.Wait()
	// The gateway has survived it, and alice gets in.
	if err := w.session(t).Run("true"); err != nil {
		t.Error(err)
	}
	var exit *ssh.ExitError
	if err := w.session(t).Run("exit 4"); !errors.As(err, &exit) || exit.ExitStatus() != 4 {
		t.Error(err)
	}
}
