package console_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"sallyport"
	"sallyport/console"
	"sallyport/control"
)

var webRoot = sallyport.Access{Account: "root", Target: "web1"}

// held starts Hold for alice; what it returns comes on the channel.
func held(t *testing.T, g *gate, a sallyport.Access, keys ...string) (*screen, chan string, context.CancelFunc, <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	s, k, done := newScreen(), keyboard{ctx, make(chan string, 16)}, make(chan error, 1)
	for _, key := range keys {
		k.keys <- key
	}
	go func() {
		done <- console.Hold(ctx, g.Control, control.Caller{User: "alice"}, a,
			console.IO{In: k, Out: s, Err: s, Terminal: true, Columns: 80, Rows: 24})
	}()
	return s, k.keys, cancel, done
}

// pending returns the id of alice's request.
func (g *gate) pending(t *testing.T) string {
	t.Helper()
	r, ok, err := g.Pending(t.Context(), control.Caller{User: "alice"}, webRoot)
	if err != nil || !ok {
		t.Fatalf("no pending request: %v", err)
	}
	return r.ID
}

func TestHoldUntilApproved(t *testing.T) {
	g := newGate(t)
	s, _, _, done := held(t, g, webRoot, "INC-42 disk", " full\r", "9h\r", "90m\r")
	s.wait(t, "waiting")
	id := g.pending(t)
	for _, want := range []string{"longer than you may ask for", "who can approve: bob", "ssh gate request approve " + id} {
		if !strings.Contains(s.String(), want) {
			t.Errorf("%q is not on the screen:\n%s", want, s)
		}
	}
	if out := g.must(t, "bob", "request show "+id); !strings.Contains(out, "INC-42 disk full") || !strings.Contains(out, "1h30m") {
		t.Errorf("the request is %s", out)
	}
	g.must(t, "bob", "request approve "+id)
	if err := <-done; err != nil {
		t.Errorf("approved: %v", err)
	}
}

func TestHoldUnderAutomaticApproval(t *testing.T) {
	g := newGate(t)
	_, _, _, done := held(t, g, sallyport.Access{Account: "lab", Target: "web1"}, "why not\r", "\r")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if out := g.must(t, "alice", "grants ls"); !strings.Contains(out, "30m") {
		t.Errorf("the grant is %q, want the role's longest: it is less than an hour", out)
	}
}

func TestHoldDenied(t *testing.T) {
	g := newGate(t)
	s, _, _, done := held(t, g, webRoot, "x\r", "\r")
	s.wait(t, "waiting")
	g.must(t, "bob", "request deny "+g.pending(t)+" --reason not today")
	err := <-done
	if sallyport.CodeOf(err) != sallyport.CodeDenied || !strings.Contains(err.Error(), "bob: not today") {
		t.Errorf("denied: %v", err)
	}
}

func TestHoldIsWithdrawnByCtrlC(t *testing.T) {
	g := newGate(t)
	s, keys, _, done := held(t, g, webRoot, "x\r", "\r")
	s.wait(t, "waiting")
	id := g.pending(t)
	keys <- "typed ahead"
	keys <- "\x03"
	if err := <-done; sallyport.CodeOf(err) != sallyport.CodeDenied || !strings.Contains(err.Error(), "withdrew") {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if out := g.must(t, "alice", "request show "+id); !strings.Contains(out, "cancelled") {
		t.Errorf("the request is %s", out)
	}
}

func TestHoldLeftBeforeAsking(t *testing.T) {
	g := newGate(t)
	for _, keys := range [][]string{{"\x03"}, {"half a rea", "\x03"}, {"x\r", "\x03"}, {"\x04"}} {
		_, _, _, done := held(t, g, webRoot, keys...)
		if err := <-done; sallyport.CodeOf(err) != sallyport.CodeDenied {
			t.Errorf("%q: %v", keys, err)
		}
	}
	if out := g.must(t, "alice", "request ls --all"); out != "" {
		t.Errorf("there is a request: %s", out)
	}
}

// Somebody who was cut off comes back and waits for the request that is there.
func TestHoldWaitsForThePendingRequest(t *testing.T) {
	g := newGate(t)
	s, _, cancel, done := held(t, g, webRoot, "x\r", "\r")
	s.wait(t, "waiting")
	id := g.pending(t)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cut off: %v", err)
	}
	s, _, _, done = held(t, g, webRoot)
	s.wait(t, "waiting")
	if g.pending(t) != id {
		t.Error("there is another request")
	}
	g.must(t, "bob", "request approve "+id)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
