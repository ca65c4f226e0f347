package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/internal/wire"
	"sallyport/recorder"
)

// Attack (G1, G2): keep a connection open past the end of its grant, with a
// client that has stopped reading.
func TestTheEndReachesAStuckReader(t *testing.T) {
	for _, cause := range []sallyport.Cause{sallyport.CauseKilled, sallyport.CauseRevoked, sallyport.CauseLocked} {
		t.Run(string(cause), func(t *testing.T) {
			w := newWorld(t)
			s := w.session(t)
			if _, err := s.StdoutPipe(); err != nil { // never read
				t.Fatal(err)
			}
			if err := s.Start("cat /dev/zero"); err != nil {
				t.Fatal(err)
			}
			w.grants.stop(&sallyport.Ending{Cause: cause, By: "eve", Reason: "enough"})
			within(t, 2*time.Second, "the end", func() {
				if err := w.srv.Recheck(context.Background()); err != nil {
					t.Error(err)
				}
			})
			if n := len(w.srv.Sessions()); n != 0 {
				t.Errorf("%d sessions live", n)
			}
			if e := w.audit.last("session.end"); e.Outcome != string(cause) || e.Reason != "enough" || e.Details["seal"] == "" {
				t.Errorf("audited as %+v", e)
			}
			c, err := w.dial(t, "lab@web1")
			if err != nil {
				t.Fatal(err)
			}
			s2, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if err := s2.Run("true"); err == nil {
				t.Error("a new session started after the kill")
			}
		})
	}
}

func TestTheUserIsToldWhy(t *testing.T) {
	w := newWorld(t)
	s := w.session(t)
	var stderr bytes.Buffer
	s.Stderr = &stderr
	out, _ := s.StdoutPipe()
	if err := s.Start("echo up; sleep 60"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	w.grants.stop(&sallyport.Ending{Cause: sallyport.CauseKilled, By: "eve", Reason: "not today"})
	if err := w.srv.Recheck(context.Background()); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != sallyport.ExitEnded {
		t.Errorf("ended with %v", err)
	}
	if got := stderr.String(); got != "sallyport: the session was killed by eve: not today\n" {
		t.Errorf("told %q", got)
	}
}

func TestExpiryEndsTheSession(t *testing.T) {
	w := newWorld(t)
	w.grants.grant.End = time.Now().Add(1500 * time.Millisecond)
	s := w.session(t)
	var stderr bytes.Buffer
	s.Stderr = &stderr
	start := time.Now()
	err := s.Run("sleep 60")
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != sallyport.ExitEnded || !strings.Contains(stderr.String(), "expired") {
		t.Errorf("ended with %v, told %q", err, &stderr)
	}
	if late := time.Since(start) - 1500*time.Millisecond; late > time.Second {
		t.Errorf("ended %v late", late)
	}
	if e := w.audit.last("session.start"); e.Grant != "aaaaaaaaaaaa" {
		t.Errorf("audited as %+v", e)
	}
}

// What runs without a terminal does not end with its channel; it is signalled.
func TestTheCommandAtTheTargetEnds(t *testing.T) {
	w := newWorld(t)
	for name, end := range map[string]func(c *ssh.Client){
		"killed": func(*ssh.Client) {
			w.grants.stop(&sallyport.Ending{Cause: sallyport.CauseKilled})
			_ = w.srv.Recheck(context.Background())
			w.grants.stop(nil)
		},
		"client gone": func(c *ssh.Client) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			c, err := w.dial(t, "lab@web1")
			if err != nil {
				t.Fatal(err)
			}
			s, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			out, _ := s.StdoutPipe()
			if err := s.Start("echo $$; exec sleep 60"); err != nil {
				t.Fatal(err)
			}
			var pid int
			if _, err := fmt.Fscanln(out, &pid); err != nil {
				t.Fatal(err)
			}
			end(c)
			eventually(t, "the command was told to end", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
		})
	}
}

// Promise 3: what a person sees was stored before.
func TestStoredBeforeSeen(t *testing.T) {
	w := newWorld(t)
	s := w.session(t)
	out, _ := s.StdoutPipe()
	if err := s.Start("for i in $(seq 200); do echo line-$i; done; sleep 60"); err != nil {
		t.Fatal(err)
	}
	buf, seen := make([]byte, 64), ""
	for !strings.Contains(seen, "line-200\n") {
		n, err := out.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		seen += string(buf[:n])
		if stored := w.recorded(t); !strings.HasPrefix(stored, seen) {
			t.Fatalf("%q was seen, %q is stored", seen, stored)
		}
	}
}

// brokenFile is a disk that fills up.
type brokenFile struct {
	recorder.File
	full func() bool
}

func (b brokenFile) Write(p []byte) (int, error) {
	if b.full() {
		return 0, errors.New("no space left on device")
	}
	return b.File.Write(p)
}

// R1: the disk fills up during a session.
func TestAFullDiskEndsTheSession(t *testing.T) {
	var mu sync.Mutex
	full := false
	w := newWorld(t, func(s *Server, _ *sallyport.Role) {
		s.Recorder.Create = func(path string) (recorder.File, error) {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
			return brokenFile{f, func() bool { mu.Lock(); defer mu.Unlock(); return full }}, err
		}
	})
	s := w.session(t)
	in, _ := s.StdinPipe()
	out, _ := s.StdoutPipe()
	if err := s.Start("cat"); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, "one\n")
	if _, err := io.ReadFull(out, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	full = true
	mu.Unlock()
	io.WriteString(in, "two\n")
	within(t, 2*time.Second, "the end", func() {
		rest, _ := io.ReadAll(out)
		if len(rest) != 0 {
			t.Errorf("%q was seen and not stored", rest)
		}
	})
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != sallyport.ExitEnded {
		t.Errorf("ended with %v", err)
	}
	if err := w.session(t).Run("true"); err == nil {
		t.Error("a new session started on a full disk")
	}
}

func TestTheTargetDies(t *testing.T) {
	w := newWorld(t)
	s := w.session(t)
	var stderr bytes.Buffer
	s.Stderr = &stderr
	out, _ := s.StdoutPipe()
	if err := s.Start("echo up; sleep 60"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	go w.target.Close()
	within(t, 3*time.Second, "noticing", func() { _ = s.Wait() })
	deadline := time.After(5 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); w.audit.count("session.end") == 0; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the session is still open")
		}
	}
	if e := w.audit.last("session.end"); e.Outcome != string(sallyport.CauseTargetLost) {
		t.Errorf("audited as %+v", e)
	}
}

// Attack (C4): a second command on one channel, which no judge has seen.
func TestOneCommandAChannel(t *testing.T) {
	w := newWorld(t)
	c, err := w.dial(t, "lab@web1")
	if err != nil {
		t.Fatal(err)
	}
	ch, reqs, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	if ok, err := ch.SendRequest("exec", true, wire.String("cat")); err != nil || !ok {
		t.Fatalf("%v %v", ok, err)
	}
	for _, typ := range []string{"exec", "shell", "subsystem"} {
		if ok, err := ch.SendRequest(typ, true, wire.String("id")); err != nil || ok {
			t.Errorf("a second %s: %v %v", typ, ok, err)
		}
	}
	for _, typ := range []string{"auth-agent-req@openssh.com", "x11-req", "unheard-of@example.com"} {
		if ok, err := ch.SendRequest(typ, true, nil); err != nil || ok {
			t.Errorf("%s: %v %v", typ, ok, err)
		}
	}
	if n := w.audit.count("request.refuse"); n != 6 {
		t.Errorf("%d refusals audited, want 6", n)
	}
}

// Attack (C9): thousands of channels on one connection.
func TestChannelsAreBounded(t *testing.T) {
	w := newWorld(t, func(s *Server, _ *sallyport.Role) { s.Limits.Channels = 5 })
	c, err := w.dial(t, "lab@web1")
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	for range 20 {
		if ch, reqs, err := c.OpenChannel("session", nil); err == nil {
			go ssh.DiscardRequests(reqs)
			opened++
			defer ch.Close()
		}
	}
	if opened != 5 {
		t.Errorf("%d channels opened, want 5", opened)
	}
}

// Attack (A2): log in as one name and work under another; name a person whose
// key it is not.
func TestTheNameMustNotContradictTheKey(t *testing.T) {
	w := newWorld(t)
	for login, want := range map[string]bool{
		"alice+lab+web1": true, "lab@web1": true, "bob+lab+web1": false, "root:web1": false,
	} {
		c, err := w.dial(t, login)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run("true"); (err == nil) != want {
			t.Errorf("%s: %v, want in: %v", login, err, want)
		}
	}
}

// C11: a client that vanishes without a word.
func TestASilentClientIsNoticed(t *testing.T) {
	w := newWorld(t, func(s *Server, _ *sallyport.Role) { s.Keepalive = 600 * time.Millisecond })
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	stall := &stallable{Conn: conn, gate: make(chan struct{})}
	sc, chans, reqs, err := ssh.NewClientConn(stall, w.addr, &ssh.ClientConfig{
		User: "lab@web1", Auth: []ssh.AuthMethod{ssh.PublicKeys(w.alice)}, HostKeyCallback: ssh.FixedHostKey(w.host),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := ssh.NewClient(sc, chans, reqs)
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("sleep 60"); err != nil {
		t.Fatal(err)
	}
	stall.stop()
	defer close(stall.gate)
	deadline := time.After(10 * time.Second)
	for tick := time.NewTicker(20 * time.Millisecond); w.audit.count("session.end") == 0; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the session is still open")
		}
	}
	if e := w.audit.last("session.end"); e.Outcome != string(sallyport.CauseClientLost) {
		t.Errorf("audited as %+v", e)
	}
}

// stallable is a connection whose reads stop.
type stallable struct {
	net.Conn
	gate    chan struct{}
	mu      sync.Mutex
	stopped bool
}

func (s *stallable) stop() { s.mu.Lock(); s.stopped = true; s.mu.Unlock() }

func (s *stallable) Write(p []byte) (int, error) {
	s.mu.Lock()
	stopped := s.stopped
	s.mu.Unlock()
	if stopped {
		<-s.gate
	}
	return s.Conn.Write(p)
}
