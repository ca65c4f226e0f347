package proxy

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/time/rate"

	"sallyport"
	"sallyport/internal/wire"
	"sallyport/judge"
)

// Attack (C9): open and close channels as fast as the line carries them, each a
// channel and a process at the target.
func TestChannelsAreNotOpenedTooFast(t *testing.T) {
	w := newWorld(t, func(s *Server, _ *sallyport.Role) { s.Limits.ChannelsPerSec = 5 })
	c, err := w.dial(t, "lab@web1")
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	begun := time.Now()
	var refused *ssh.OpenChannelError
	for range 60 {
		ch, reqs, err := c.OpenChannel("session", nil)
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			continue
		}
		go ssh.DiscardRequests(reqs)
		ch.Close()
		opened++
	}
	if most := 10 + 1 + int(5*time.Since(begun).Seconds()); opened < 10 || opened > most {
		t.Errorf("%d channels opened, want 10 to %d", opened, most)
	}
	const want = "sallyport: channels are opened too fast: 5 a second is the limit"
	if refused == nil || refused.Reason != ssh.ResourceShortage || refused.Message != want {
		t.Errorf("refused with %v", refused)
	}
	if e := w.audit.last("channel.refuse"); e.User != "alice" || "sallyport: "+e.Reason != want {
		t.Errorf("audited as %+v", e)
	}
}

// The user's need: what tools do at once is not too fast: a ControlMaster with 60
// commands, Ansible with its forks.
func TestToolsAreNotTooFast(t *testing.T) {
	w := newWorld(t)
	c, err := w.dial(t, "lab@web1")
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 60)
	for range 60 {
		go func() {
			s, err := c.NewSession()
			if err == nil {
				err = s.Run("true")
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// Attack (C9, promise 11): as many channels as one may have, on as many connections
// as one may have: thousands that hold megabytes each.
func TestChannelsOfOneUserAreBounded(t *testing.T) {
	w := newWorld(t, func(s *Server, _ *sallyport.Role) { s.Limits.ChannelsPerUser = 5 })
	var open []ssh.Channel
	var refused *ssh.OpenChannelError
	for range 4 {
		c, err := w.dial(t, "lab@web1")
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			ch, reqs, err := c.OpenChannel("session", nil)
			if err == nil {
				go ssh.DiscardRequests(reqs)
				open = append(open, ch)
			} else if !errors.As(err, &refused) {
				t.Fatal(err)
			}
		}
	}
	const want = "sallyport: you have 5 channels open on all connections, which is the limit"
	if len(open) != 5 || refused == nil || refused.Message != want {
		t.Errorf("%d channels opened, refused with %v", len(open), refused)
	}
	for _, ch := range open {
		ch.Close()
	}
	eventually(t, "none is counted", func() bool {
		w.srv.channels.mu.Lock()
		defer w.srv.channels.mu.Unlock()
		return len(w.srv.channels.have) == 0
	})
	if err := w.session(t).Run("true"); err != nil {
		t.Error(err)
	}
}

// Attack (promise 11): flood a connection with requests.
func TestRequestsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for typ, atOnce := range map[string]int{"signal": 1000, "window-change": 125} {
			p := newPace(Limits{ChannelsPerSec: 50})
			begun := time.Now()
			for range atOnce {
				p.request(t.Context(), typ)
			}
			if took := time.Since(begun); took != 0 {
				t.Errorf("%d of %s took %v", atOnce, typ, took)
			}
			for range atOnce {
				p.request(t.Context(), typ)
			}
			if took := time.Since(begun).Round(time.Millisecond); took != 5*time.Second {
				t.Errorf("twice as many took %v", took)
			}
		}
	})
}

// Whatever answers requests does so at that pace: a session's channel, the console
// before and while its command runs, and requests of no channel.
func TestAllRequestsArePaced(t *testing.T) {
	stay := make(chan struct{})
	defer close(stay)
	w := newWorld(t, func(s *Server, _ *sallyport.Role) {
		s.Console = func(_ context.Context, _ Visit) int { <-stay; return 0 }
	})
	env := wire.Marshal(wire.Env{Name: "LANG", Value: "C"})
	for name, tt := range map[string]struct {
		login, start string
		global       bool
	}{
		"session":           {"lab@web1", "", false},
		"session that runs": {"lab@web1", "cat", false},
		"console":           {"alice", "", false},
		"console that runs": {"alice", "ls", false},
		"global":            {"lab@web1", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := w.dial(t, tt.login)
			if err != nil {
				t.Fatal(err)
			}
			ch, reqs, err := c.OpenChannel("session", nil)
			if err != nil {
				t.Fatal(err)
			}
			go ssh.DiscardRequests(reqs)
			if tt.start != "" {
				if ok, err := ch.SendRequest("exec", true, wire.String(tt.start)); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
			var limiter *rate.Limiter
			w.srv.mu.Lock()
			for o := range w.srv.conns {
				limiter = o.pace.requests
			}
			w.srv.mu.Unlock()
			limiter.SetLimit(1e-6)
			for limiter.Allow() {
			}
			answered := make(chan error, 1)
			go func() {
				var err error
				if tt.global {
					_, _, err = c.SendRequest("x@example.com", true, nil)
				} else {
					_, err = ch.SendRequest("env", true, env)
				}
				answered <- err
			}()
			select {
			case err := <-answered:
				t.Fatalf("answered out of turn: %v", err)
			case <-time.After(100 * time.Millisecond):
			}
			c.Close()
			within(t, waitLong, "the end", func() { <-answered })
			eventually(t, "the connection is gone", func() bool { return w.connections() == 0 && w.sessions() == 0 })
		})
	}
}

// Attack (C5, promise 11): variables without end, or of a megabyte.
func TestVariablesAreBounded(t *testing.T) {
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
	set := func(name, value string) bool {
		ok, err := ch.SendRequest("env", true, wire.Marshal(wire.Env{Name: name, Value: value}))
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	for _, tt := range []struct{ name, value, reason string }{
		{"LC_X", strings.Repeat("x", maxEnvBytes), "variable of more than 4096 bytes: LC_X"},
		{"LD_PRELOAD", "secret", "variable not allowed: LD_PRELOAD"},
	} {
		if set(tt.name, tt.value) {
			t.Errorf("%s was taken", tt.name)
		}
		if e := w.audit.last("request.refuse"); e.Reason != tt.reason || e.Details["type"] != "env" || strings.Contains(e.Reason, "secret") {
			t.Errorf("audited as %+v", e)
		}
	}
	huge := wire.Marshal(wire.Pty{Term: strings.Repeat("x", maxPtyBytes), Columns: 80, Rows: 24})
	if ok, err := ch.SendRequest("pty-req", true, huge); ok || err != nil {
		t.Errorf("a huge pty-req: %v %v", ok, err)
	}
	taken := 0
	for i := range 200 {
		if set("LC_"+strconv.Itoa(i), "x") {
			taken++
		}
	}
	if taken != maxEnv {
		t.Errorf("%d variables were taken", taken)
	}
	// More than a moment's worth of refusals are counted only.
	w.audit.mu.Lock()
	defer w.audit.mu.Unlock()
	found := false
	for _, e := range w.audit.events {
		found = found || e.Reason == "more than 64 variables: LC_64"
	}
	if !found {
		t.Error("that there are too many is not in the audit log")
	}
}

// The same before a grant, where variables are kept until it comes.
func TestVariablesOfAHeldUserAreBounded(t *testing.T) {
	w := newWorld(t)
	w.grants.grant = nil
	c, err := w.dial(t, "lab@web1")
	if err != nil {
		t.Fatal(err)
	}
	ch, reqs, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	huge := wire.Marshal(wire.Pty{Term: strings.Repeat("x", maxPtyBytes), Columns: 80, Rows: 24})
	if ok, err := ch.SendRequest("pty-req", true, huge); ok || err != nil {
		t.Errorf("a huge pty-req: %v %v", ok, err)
	}
	taken := 0
	for range 80 {
		if ok, err := ch.SendRequest("env", true, wire.Marshal(wire.Env{Name: "LANG", Value: "x"})); err != nil {
			t.Fatal(err)
		} else if ok {
			taken++
		}
	}
	if taken != maxEnv || w.audit.count("request.refuse") != 17 {
		t.Errorf("%d variables were taken, %d refusals", taken, w.audit.count("request.refuse"))
	}
}

func TestSizesOfTerminals(t *testing.T) {
	const most = 1<<32 - 1
	for _, tt := range []struct{ c, r, wantC, wantR uint32 }{
		{80, 24, 80, 24},
		{0, 0, 0, 0}, // says nothing
		{0, 50, 0, 50},
		{1, 1, 2, 1},
		{400, 500, 400, 500},
		{1000, 200, 1000, 200},
		{1001, 201, 1000, 200},
		{most, most, 1000, 200},
		{65537, 10, 1000, 10},
		{3, most, 3, 500},
	} {
		c, r := tt.c, tt.r
		if changed := sized(&c, &r); c != tt.wantC || r != tt.wantR || changed != (c != tt.c || r != tt.r) {
			t.Errorf("%dx%d: %dx%d, changed %v", tt.c, tt.r, c, r, changed)
		}
		if c > judge.MaxColumns || r > judge.MaxRows {
			t.Errorf("%dx%d is larger than what the judge sees", c, r)
		}
	}
	for _, tt := range []struct {
		c, r         uint32
		wantC, wantR int
	}{{0, 0, 80, 24}, {132, 0, 132, 24}, {0, 50, 80, 50}, {100, 30, 100, 30}} {
		if c, r := shown(tt.c, tt.r); c != tt.wantC || r != tt.wantR {
			t.Errorf("%dx%d is shown as %dx%d", tt.c, tt.r, c, r)
		}
	}
}

// Attack (C3): a terminal of 65537 columns, which is one of 1 at the target, and
// one of four billion; so that the judge sees other lines than the shell shows.
func TestTheTargetWrapsWhereTheJudgeDoes(t *testing.T) {
	w := newWorld(t)
	for _, columns := range []int{65537, 1<<32 - 1} {
		for _, change := range []bool{false, true} {
			s := w.session(t)
			first := columns
			if change {
				first = 80
			}
			if err := s.RequestPty("xterm", 24, first, nil); err != nil {
				t.Fatal(err)
			}
			if change {
				if err := s.WindowChange(columns, columns); err != nil {
					t.Fatal(err)
				}
			}
			want := "24 1000"
			if change {
				want = "200 1000"
			}
			out, err := s.Output("stty size")
			if got := string(bytes.TrimSpace(out)); err != nil || got != want {
				t.Errorf("%d columns, changed %v: %v, %q, want %q", columns, change, err, got, want)
			}
		}
	}
	if r := w.recordings(t); strings.Contains(r, "65537") || !strings.Contains(r, `"cols":1000`) {
		t.Errorf("recorded as %.300s", r)
	}
}

// recordings returns all casts as they are.
func (w *world) recordings(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "recordings", "*", "*", "*", "*", "*.cast"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d casts, %v", len(files), err)
	}
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}
