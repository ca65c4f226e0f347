package console_test

import (
	"strings"
	"testing"

	"sallyport"
)

// Attack: eve's key is stolen, the SOC locks her, and whoever has the key lifts
// the lock with her own permissions, or works on with them (G2).
func TestALockedUserHasNoPermissions(t *testing.T) {
	g := newGate(t)
	id := g.granted(t)
	g.session("aaaaaaaaaaaa", id)
	g.record(t, "bbbbbbbbbbbb")
	lock := g.must(t, "root", "lock add --user eve --reason key stolen")
	approvers := g.must(t, "root", "lock add --user bob --reason key stolen too")
	for who, commands := range map[string][]string{
		"eve": {"lock rm " + lock, "lock add --user alice --reason x", "lock ls", "sessions kill a --reason x", "play b", "recordings ls", "recordings export b"},
		"bob": {"grants revoke " + id + " --reason x"},
	} {
		for _, command := range commands {
			if status, _, errs := g.run(t, who, command); status != sallyport.ExitDenied || !strings.Contains(errs, "locked") {
				t.Errorf("%s: %s: status %d, %s", who, command, status, errs)
			}
		}
	}
	if len(g.live.Sessions()) != 1 {
		t.Error("a session was ended")
	}
	g.must(t, "root", "lock rm "+lock)
	g.must(t, "eve", "lock rm "+approvers)
}

// Attack: somebody whose session was killed removes the lock of it, because
// they are of the SOC too.
func TestNobodyLiftsALockOnThemselves(t *testing.T) {
	g := newGate(t)
	id := g.granted(t)
	g.session("aaaaaaaaaaaa", id)
	g.must(t, "eve", "sessions kill a --reason not today")
	lock := strings.Fields(strings.Split(g.must(t, "eve", "lock ls"), "\n")[1])[0]
	g.makeSOC(t, "alice")
	if status, _, errs := g.run(t, "alice", "lock rm "+lock); status != sallyport.ExitDenied || !strings.Contains(errs, "is on you") {
		t.Errorf("status %d, %s", status, errs)
	}
	g.must(t, "eve", "lock rm "+lock)
}

// Root on the gateway's own socket has the permission admin there (design,
// section 3).
func TestRootCancels(t *testing.T) {
	g := newGate(t)
	id := g.must(t, "alice", "request create root@web1 --for 1h --reason INC-42")
	if status, _, _ := g.run(t, "eve", "request cancel "+id); status == 0 {
		t.Error("eve, who is no admin, cancels alice's request")
	}
	g.must(t, "root", "request cancel "+id)
}

// Every decision says from where it was made.
func TestDecisionsHaveAnAddress(t *testing.T) {
	g := newGate(t)
	id := g.granted(t)
	g.session("aaaaaaaaaaaa", id)
	g.must(t, "eve", "lock rm "+g.must(t, "eve", "lock add --user mallory --reason x"))
	g.must(t, "eve", "sessions kill a --reason x")
	g.must(t, "alice", "request cancel "+g.must(t, "alice", "request create root@web1 --for 1h --reason y"))
	g.must(t, "alice", "grants return "+g.must(t, "alice", "request create lab@web1 --for 1m --reason z"))
	g.audit.mu.Lock()
	defer g.audit.mu.Unlock()
	for _, e := range g.audit.events {
		if e.From != "192.0.2.1:5" {
			t.Errorf("%s by %s is from %q", e.Type, e.User, e.From)
		}
	}
}
