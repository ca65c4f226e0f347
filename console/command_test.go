package console_test

import (
	"slices"
	"strings"
	"testing"

	"sallyport"
	"sallyport/policy"
)

// withExec lets every role run commands.
func withExec(t *testing.T, g *gate) {
	t.Helper()
	old := g.policy.Load()
	roles := old.Roles()
	for i := range roles {
		roles[i].Channels = append(slices.Clone(roles[i].Channels), sallyport.ChannelExec)
	}
	p, err := policy.New(old.Users(), old.Targets(), roles, g.permissions)
	if err != nil {
		t.Fatal(err)
	}
	g.policy.Store(p)
}

// Everybody who is shown a request, a grant, an access or a session is shown its
// command; where there is none, no column speaks of it.
func TestTheCommandIsShown(t *testing.T) {
	g := newGate(t)
	withExec(t, g)
	id := g.must(t, "alice", `request create root@web1 --command systemctl restart "my unit" --for 1h --reason INC-42`)
	const command = `systemctl restart "my unit"`
	shown := func(user, verb, want string) {
		t.Helper()
		if out := g.must(t, user, verb); !strings.Contains(out, want) {
			t.Errorf("%s: %s prints %q, want %q", user, verb, out, want)
		}
	}
	const inJSON = `"command": "systemctl restart \"my unit\""`
	shown("bob", "request ls", command+"  INC-42")
	shown("bob", "request show "+id, "\ncommand ")
	shown("bob", "request show "+id+" -o json", inJSON)
	shown("bob", "request approve "+id, "root@web1 for 1h, only to run: "+command)
	shown("alice", "ls", "prod-root  "+command)
	shown("alice", "ls -o json", inJSON)
	shown("alice", "grants ls", command+"  INC-42")
	shown("alice", "grants show "+id, command)
	shown("alice", "grants show "+id+" -o json", inJSON)
	g.live.all = []sallyport.Session{{
		ID: "aaaaaaaaaaaa", User: "alice", Access: sallyport.Access{Account: "root", Target: "web1"}, Grant: id, Command: command,
	}}
	shown("eve", "sessions ls", "COMMAND")
	shown("eve", "sessions show aaaa", command)
	shown("eve", "sessions ls -o json", inJSON)

	g.must(t, "alice", "grants return "+id)
	for _, verb := range []string{"ls", "grants ls"} {
		if out := g.must(t, "alice", verb); strings.Contains(out, "COMMAND") {
			t.Errorf("%s prints %q", verb, out)
		}
	}
}

// Attack: a command that got past the checks, as a record that somebody wrote
// himself, steers the terminal of whoever looks at it.
func TestACommandSteersNoTerminal(t *testing.T) {
	g := newGate(t)
	withExec(t, g)
	id := g.must(t, "alice", "request create root@web1 --command true --for 1h --reason x")
	err := g.Grants.Store.Update(t.Context(), id, func(r *sallyport.Request) (*sallyport.Request, error) {
		n := *r
		n.Command = "true\x1b[2J\r\nreason  \u202eharmless"
		return &n, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"request ls", "request show " + id, "request show -o json " + id, "request approve " + id} {
		out := g.must(t, "bob", verb)
		if strings.ContainsAny(out, "\x1b\r\u202e") || !strings.Contains(out, "1b[2J") || !strings.Contains(out, `\u202e`) {
			t.Errorf("%s prints %q", verb, out)
		}
	}
}

// Hold and connect is for any work: a request for one command that waits is not
// waited for, and stands in nobody's way.
func TestHoldAsksForAnyWork(t *testing.T) {
	g := newGate(t)
	withExec(t, g)
	command := g.must(t, "alice", "request create root@web1 --command true --for 1h --reason x")
	s, _, _, done := held(t, g, webRoot, "INC-42\r", "\r")
	s.wait(t, "waiting")
	id := g.pending(t)
	if id == command {
		t.Fatal("the request for a command is waited for")
	}
	g.must(t, "bob", "request approve "+command)
	g.must(t, "bob", "request approve "+id)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if grant, _, err := g.Grants.Active(t.Context(), "alice", webRoot); err != nil || grant.ID != id {
		t.Errorf("Active = %+v, %v, want %s", grant, err, id)
	}
}

// A script's empty variable asks for nothing, and never for everything.
func TestAnEmptyCommandIsNoRequest(t *testing.T) {
	g := newGate(t)
	withExec(t, g)
	for _, empty := range []string{"--command", "--command=", `--command ""`, "--command ' '", "--command --for 1h", `--command "" --for 1h`} {
		status, out, errs := g.run(t, "alice", "request create lab@web1 --reason x "+empty)
		if status == 0 || out != "" || !strings.Contains(errs, "the command is ") {
			t.Errorf("%s: status %d, %q, %q", empty, status, out, errs)
		}
	}
	if out := g.must(t, "alice", "grants ls --all"); out != "" {
		t.Errorf("granted: %s", out)
	}
}
