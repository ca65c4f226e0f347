package console_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"sallyport"
	"sallyport/console"
	"sallyport/control"
)

// The story of the first issue, as its people type it.
func TestStory(t *testing.T) {
	g := newGate(t)
	if out := g.must(t, "alice", ""); !strings.Contains(out, "root@web1") || !strings.Contains(out, "eligible") {
		t.Errorf("ssh gate alone prints %q", out)
	}
	id := g.must(t, "alice", "request create root@web1 --for 1h --reason INC-42 disk full")
	if len(id) != sallyport.IDLength {
		t.Fatalf("create prints %q, want the id alone", id)
	}
	if out := g.must(t, "bob", "request ls"); !strings.Contains(out, id) || !strings.Contains(out, "INC-42 disk full") {
		t.Errorf("bob sees %q", out)
	}
	g.must(t, "bob", "request approve "+id[:4])
	if out := g.must(t, "alice", "ls"); !strings.Contains(out, "active") {
		t.Errorf("ls after the approval: %q", out)
	}
	g.session("aaaaaaaaaaaa", id)
	if out := g.must(t, "eve", "sessions ls"); !strings.Contains(out, "aaaaaaaaaaaa") {
		t.Errorf("eve sees %q", out)
	}
	g.must(t, "eve", "sessions kill aaaa --reason that is enough, don't")
	if len(g.live.Sessions()) != 0 || len(g.live.ended) != 1 {
		t.Fatalf("after the kill: live %v, ended %v", g.live.Sessions(), g.live.ended)
	}
	if e := g.live.ended[0]; e.Cause != sallyport.CauseKilled || e.By != "eve" || e.Reason != "that is enough, don't" {
		t.Errorf("the session ended with %+v", e)
	}
	if _, _, err := g.Grants.Active(t.Context(), "alice", sallyport.Access{Account: "root", Target: "web1"}); sallyport.CodeOf(err) != sallyport.CodeNoGrant {
		t.Errorf("after the kill a new session: %v", err)
	}
	g.record(t, "aaaaaaaaaaaa")
	if out := g.must(t, "eve", "play aaaa"); !strings.Contains(out, "hello from web1") {
		t.Errorf("play prints %q", out)
	}
	if out := g.must(t, "eve", "recordings export aaaa --format v2"); !strings.HasPrefix(out, `{"version":2`) && !strings.HasPrefix(out, `{"version": 2`) {
		t.Errorf("export prints %q", out)
	}
	for _, want := range []string{"request.create alice", "request.approve bob", "session.kill eve ok", "lock.add eve", "recording.play eve ok", "recording.export eve ok"} {
		if !strings.Contains(g.audit.types(), want) {
			t.Errorf("the audit log lacks %q:\n%s", want, g.audit.types())
		}
	}
}

// What each error looks like and which status it has.
func TestRefusals(t *testing.T) {
	g := newGate(t)
	id := g.granted(t)
	g.session("aaaaaaaaaaaa", id)
	g.session("aaaaaaaabbbb", id)
	g.record(t, "cccccccccccc")
	for _, tt := range []struct {
		user, command string
		status        int
		want          string // in stderr
	}{
		{"alice", "nonsense", 2, `there is no verb "nonsense"`},
		{"alice", "__complete ls", 2, "there is no verb"},
		{"alice", "completion bash", 2, "there is no verb"},
		{"alice", "request", 2, "request what?"},
		{"alice", "request nonsense", 2, "there is no verb"},
		{"alice", "ls --nonsense", 2, "unknown flag"},
		{"alice", "ls -o yaml", 2, "no output format"},
		{"alice", "ls more", 2, "too many words"},
		{"alice", "help nonsense", 2, "there is no verb"},
		{"alice", "request show", 2, "ID is missing"},
		{"alice", "request create", 2, "ACCESS is missing"},
		{"alice", "request create web1 --reason x", 2, "is no access"},
		{"alice", "request create lab@web1 --for never --reason x", 2, "is no duration"},
		{"alice", "request create lab@web1 --start tonight --reason x", 2, "is no time"},
		{"alice", "request create root@web1 --for 1h", 2, "asks for a reason"},
		{"alice", "request create root@nowhere --reason x", 3, "is not yours to ask for"},
		{"mallory", "request create root@web1 --reason x", 3, "is not yours to ask for"},
		{"alice", "request approve " + id, 3, "own request"},
		{"mallory", "request show " + id, 4, "no request"},
		{"mallory", "request approve " + id, 4, "no request"},
		{"mallory", "grants show " + id, 4, "no grant"},
		{"mallory", "grants revoke " + id + " --reason x", 4, "no grant"},
		{"alice", "grants revoke " + id + " --reason x", 3, "your own grant"},
		{"bob", "grants return " + id, 3, "not yours to return"},
		{"bob", "request deny " + id, 2, "the reason is missing"},
		{"eve", "request show " + id, 4, "no request"},
		{"mallory", "sessions show aaaaaaaaaaaa", 4, "no session"},
		{"mallory", "sessions kill aaaaaaaaaaaa --reason x", 3, "permission"},
		{"mallory", "sessions kill zzzzzzzzzzzz --reason x", 3, "permission"},
		{"eve", "sessions kill aaaaaaaaaaaa", 2, "the reason is missing"},
		{"eve", "sessions kill aaaa --reason x", 2, "aaaaaaaaaaaa, aaaaaaaabbbb"},
		{"eve", "sessions kill zzzz --reason x", 4, "no session"},
		{"alice", "play cccc", 3, "permission"},
		{"alice", "recordings ls", 3, "permission"},
		{"alice", "recordings export cccc", 3, "permission"},
		{"eve", "play ../../x", 4, "no recording"},
		{"eve", "play cccc --speed 0", 2, "speed"},
		{"eve", "recordings export cccc --format mp4", 2, "no format"},
		{"alice", "lock add --user bob --reason x", 3, "permission"},
		{"alice", "lock ls", 3, "permission"},
		{"eve", "lock add --reason x", 2, "must name something"},
		{"eve", "lock rm zzzz", 4, "no lock"},
	} {
		status, out, errs := g.run(t, tt.user, tt.command)
		if status != tt.status || !strings.Contains(errs, tt.want) || out != "" {
			t.Errorf("%s: %s: status %d, want %d with %q\nstdout %q\nstderr %q", tt.user, tt.command, status, tt.status, tt.want, out, errs)
		}
		for line := range strings.Lines(errs) {
			if !strings.HasPrefix(line, "sallyport: ") || !strings.HasSuffix(line, "\n") {
				t.Errorf("%s: a line of stderr is %q", tt.command, line)
			}
		}
	}
	if n := len(g.live.Sessions()); n != 2 {
		t.Errorf("%d sessions live after nothing but refusals, want 2", n)
	}
}

// What one may not see and what does not exist get the same answer.
func TestNotYoursIsNotFound(t *testing.T) {
	g := newGate(t)
	id := g.granted(t)
	g.session("aaaaaaaaaaaa", id)
	for _, verb := range []string{"request show ", "request cancel ", "grants show ", "grants return ", "sessions show "} {
		real, fake := id, strings.Repeat("7", sallyport.IDLength)
		if strings.HasPrefix(verb, "sessions") {
			real = "aaaaaaaaaaaa"
		}
		status1, _, errs1 := g.run(t, "mallory", verb+real)
		status2, _, errs2 := g.run(t, "mallory", verb+fake)
		if status1 != 4 || status1 != status2 || strings.ReplaceAll(errs1, real, fake) != errs2 {
			t.Errorf("%s: %d %q, for what does not exist %d %q", verb, status1, errs1, status2, errs2)
		}
	}
}

func TestJSON(t *testing.T) {
	g := newGate(t)
	for _, command := range []string{"ls", "request ls", "grants ls", "sessions ls", "recordings ls", "lock ls"} {
		var list []map[string]any
		if out := g.must(t, "eve", command+" -o json"); json.Unmarshal([]byte(out), &list) != nil || list == nil {
			t.Errorf("%s -o json prints %q, want an array also where it is empty", command, out)
		}
	}
	id := g.granted(t)
	g.session("aaaaaaaaaaaa", id)
	g.record(t, "cccccccccccc")
	lock := g.must(t, "eve", "lock add --user mallory --for 2h --reason away")
	for _, tt := range []struct{ user, command, keys string }{
		{"alice", "ls", "account target role state max_seconds approval channels id started_at ends_at"},
		{"alice", "request ls", "id user account target role state for_seconds reason created_at decisions approvers grant"},
		{"alice", "request show " + id, "id user account target role state for_seconds reason created_at decisions approvers grant"},
		{"alice", "grants ls", "id user account target role state started_at ends_at reason"},
		{"alice", "grants show " + id, "id user account target state started_at ends_at"},
		{"alice", "sessions ls", "id user account target role grant state from started_at expires_at channels"},
		{"eve", "sessions show aaaa", "id user account target grant started_at"},
		{"eve", "sessions show cccc", "id user account target cause started_at ended_at"},
		{"eve", "recordings ls", "id user account target started_at channel_names sealed truncated"},
		{"eve", "lock ls", "id user reason by created_at ends_at"},
		{"eve", "lock rm " + lock, "id user reason by created_at"},
		{"eve", "whoami", "user kind groups permissions from"},
		{"eve", "version", "version go"},
		{"eve", "sessions kill aaaa --reason no more", "id user account target grant"},
	} {
		out := g.must(t, tt.user, tt.command+" -o json")
		var one map[string]any
		if strings.HasSuffix(tt.command, "ls") {
			var list []map[string]any
			if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) == 0 {
				t.Errorf("%s: %v in %s", tt.command, err, out)
				continue
			}
			one = list[0]
			if strings.HasPrefix(tt.command, "ls") {
				for _, v := range list {
					if v["account"] == "root" {
						one = v
					}
				}
			}
		} else if err := json.Unmarshal([]byte(out), &one); err != nil {
			t.Errorf("%s: %v in %s", tt.command, err, out)
		}
		for _, key := range strings.Fields(tt.keys) {
			if _, ok := one[key]; !ok {
				t.Errorf("%s: no key %s in %s", tt.command, key, out)
			}
		}
	}
}

// Attack: the client's version line of a session carries an escape sequence to
// the terminal of whoever lists it.
func TestNothingSteersTheTerminal(t *testing.T) {
	g := newGate(t)
	g.session("aaaaaaaaaaaa", g.granted(t))
	for _, command := range []string{"sessions show aaaa", "sessions show aaaa -o json"} {
		if out := g.must(t, "eve", command); strings.ContainsRune(out, 0x1b) || !strings.Contains(out, "1b[2J") {
			t.Errorf("%s prints %q", command, out)
		}
	}
}

// What is not in the audit log does not happen.
func TestNoAuditNoView(t *testing.T) {
	g := newGate(t)
	id := g.granted(t)
	g.session("aaaaaaaaaaaa", id)
	g.record(t, "cccccccccccc")
	g.audit.err = errors.New("disk full")
	for _, command := range []string{"play cccc", "recordings export cccc", "sessions kill aaaa --reason x", "lock add --user alice --reason x"} {
		status, out, errs := g.run(t, "eve", command)
		if status != sallyport.ExitError || out != "" || !strings.Contains(errs, "audit log") {
			t.Errorf("%s: status %d, %q, %q", command, status, out, errs)
		}
	}
	if len(g.live.Sessions()) != 1 {
		t.Error("a session was killed without a record")
	}
}

// Root on the gateway's socket has every permission, a user of that name none.
func TestRootOnTheSocket(t *testing.T) {
	g := newGate(t)
	id := g.granted(t)
	g.session("aaaaaaaaaaaa", id)
	if out := g.must(t, "root", "request ls"); !strings.Contains(out, id) {
		t.Errorf("root sees %q", out)
	}
	g.must(t, "root", "grants revoke "+id+" --reason over")
	if len(g.live.Sessions()) != 0 || g.live.ended[0].Cause != sallyport.CauseRevoked {
		t.Errorf("after the revocation: %v, %v", g.live.Sessions(), g.live.ended)
	}
	var out, errs strings.Builder
	status := console.Run(t.Context(), g.Control, control.Caller{User: "root"}, console.IO{Args: []string{"lock", "ls"}, Out: &out, Err: &errs})
	if status != sallyport.ExitDenied {
		t.Errorf("a user named root: status %d, %s", status, &out)
	}
}

func TestGrantsEndTheirSessions(t *testing.T) {
	for _, tt := range []struct {
		user, command string
		cause         sallyport.Cause
	}{
		{"alice", "grants return ID", sallyport.CauseRevoked},
		{"bob", "grants revoke ID --reason over", sallyport.CauseRevoked},
		{"eve", "lock add --user alice --reason stolen laptop", sallyport.CauseLocked},
		{"eve", "lock add --target web1 --account root --for 1h --reason broken", sallyport.CauseLocked},
	} {
		g := newGate(t)
		id := g.granted(t)
		g.session("aaaaaaaaaaaa", id)
		g.must(t, tt.user, strings.ReplaceAll(tt.command, "ID", id))
		if len(g.live.Sessions()) != 0 {
			t.Errorf("%s: the session lives", tt.command)
		} else if got := g.live.ended[0].Cause; got != tt.cause && !strings.Contains(tt.command, "return") {
			t.Errorf("%s: cause %s", tt.command, got)
		}
	}
}

// The process's own arguments are never read, and help is for every verb.
func TestHelp(t *testing.T) {
	g := newGate(t)
	before := os.Args
	defer func() { os.Args = before }()
	os.Args = []string{"sallyport", "nonsense"}
	for _, command := range []string{"help", "--help", "help request create", "request create --help", "sessions kill -h"} {
		if out := g.must(t, "alice", command); !strings.Contains(out, "Usage:") || strings.Contains(out, "completion") {
			t.Errorf("%s prints %q", command, out)
		}
	}
	g.must(t, "alice", "")
}
