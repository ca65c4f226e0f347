package grant

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport"
	"sallyport/policy"
)

const restart = "systemctl restart nginx"

// commands lets the role run commands, under rules.
func commands(r *sallyport.Role) {
	r.Channels = []sallyport.Channel{sallyport.ChannelShell, sallyport.ChannelExec}
	r.Commands = sallyport.Commands{
		Rules: []sallyport.CommandRule{
			{Program: "rm", Flags: []string{"r"}, Action: sallyport.Terminate},
			{Program: "shutdown", Action: sallyport.Deny},
			{Program: "visudo", Action: sallyport.Alert},
		},
		Classes: map[sallyport.Class]sallyport.Action{sallyport.ClassOpaque: sallyport.Alert},
	}
}

func newScoped(t fataler, need int) *fixture {
	f := newFixture(t, need)
	f.policy = testPolicy(t, need, commands)
	return f
}

func (f *fixture) askCommand(ctx context.Context, command string) (sallyport.Request, error) {
	return f.Create(ctx, Ask{By: actor("alice"), Access: root, For: time.Hour, Reason: "INC-42", Command: command})
}

// A command that is none, or that an approver could not be shown as it is, is
// not filed: control characters and marks that turn the line around, blanks
// that push its end out of sight.
func TestWhatIsNoCommand(t *testing.T) {
	f := newScoped(t, 1)
	for _, c := range []string{
		" ", " \t ", "a\nb", "a\rb", "a\tb", "a\x00b", "a\x1b[2Kb", "a\u202eb", "a\u200bb", "a\u00a0b", "a\xffb",
		" true", "true ", strings.Repeat("x", maxCommand+1), "systemctl status nginx" + strings.Repeat(" ", 400) + "; reboot",
		"internal-sftp", "internal-sftp -d /",
	} {
		_, err := f.askCommand(t.Context(), c)
		wantCode(t, err, sallyport.CodeInvalid, "the command")
	}
	if all, _ := f.List(t.Context(), ""); len(all) != 0 {
		t.Errorf("filed: %v", all)
	}
	if r, err := f.askCommand(t.Context(), strings.Repeat("x", maxCommand)); err != nil || len(r.Command) != maxCommand {
		t.Errorf("the longest command: %v", err)
	}
}

// What the role refuses in a session no approval allows; what it raises an alert
// for, the approver is told.
func TestTheRulesJudgeTheCommandOfARequest(t *testing.T) {
	f := newScoped(t, 1)
	for c, words := range map[string]string{
		"rm -fr /srv": "rm is not allowed", "sudo shutdown -h now": "shutdown is not allowed", "sh -c 'rm -r x'": "rm is not allowed",
	} {
		_, err := f.askCommand(t.Context(), c)
		wantCode(t, err, sallyport.CodeDenied, words)
	}
	if !f.log.has("request.create", "refused", "alice") {
		t.Error("the refusals are not in the audit log")
	}
	f.policy = testPolicy(t, 1, commands, func(r *sallyport.Role) { r.Channels = []sallyport.Channel{sallyport.ChannelShell} })
	_, err := f.askCommand(t.Context(), restart)
	wantCode(t, err, sallyport.CodeDenied, "allows no commands")

	f.policy = testPolicy(t, 1, commands)
	for c, words := range map[string]string{
		restart: "", "visudo -c": "raises an alert: visudo", "$X": "raises an alert",
		"systemctl restart ngin\u0445": `not plain ASCII: "systemctl restart ngin\u0445"`, // a Cyrillic letter
	} {
		r, err := f.askCommand(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if got := CommandWarning(f.policy, r); words == "" && got != "" || !strings.Contains(got, words) {
			t.Errorf("%q: warning %q, want %q", c, got, words)
		}
		if _, err := f.Cancel(t.Context(), r.ID, actor("alice"), false); err != nil {
			t.Fatal(err)
		}
	}
	// The rules are those at the approval.
	r, err := f.askCommand(t.Context(), restart)
	if err != nil {
		t.Fatal(err)
	}
	f.policy = testPolicy(t, 1, commands, func(r *sallyport.Role) {
		r.Commands.Rules = append(r.Commands.Rules, sallyport.CommandRule{Program: "systemctl", Action: sallyport.Deny})
	})
	if got := CommandWarning(f.policy, r); !strings.Contains(got, "systemctl is not allowed") {
		t.Errorf("warning %q", got)
	}
	_, err = f.Decide(t.Context(), r.ID, actor("bob"), true, "")
	wantCode(t, err, sallyport.CodeConflict, "systemctl is not allowed")
}

func TestAGrantForOneCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newScoped(t, 1)
		r, err := f.askCommand(t.Context(), restart)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.askCommand(t.Context(), "reboot")
		wantCode(t, err, sallyport.CodeConflict, "still pending")
		f.approve(t, r.ID, "bob")
		g, _, err := f.Active(t.Context(), "alice", root)
		if err != nil || g.Command != restart || g.ID != r.ID {
			t.Fatalf("Active = %+v, %v", g, err)
		}
		s := session(r)
		wantCause(t, f.Still(t.Context(), s), sallyport.CauseRevoked) // a session for any work
		s.Command = restart
		if err := f.Still(t.Context(), s); err != nil {
			t.Errorf("Still = %v", err)
		}
		// Another command has to wait until this one is over; the same is asked
		// for again at any time.
		_, err = f.askCommand(t.Context(), "reboot")
		wantCode(t, err, sallyport.CodeConflict, "grants return "+r.ID)
		again, err := f.askCommand(t.Context(), restart)
		if err != nil {
			t.Fatal(err)
		}
		f.approve(t, again.ID, "bob")
		// A grant for any work stands beside it and is used first.
		wide := f.ask(t, root, 10*time.Minute)
		f.approve(t, wide.ID, "bob")
		if g, _, err := f.Active(t.Context(), "alice", root); err != nil || g.ID != wide.ID {
			t.Errorf("Active = %+v, %v, want %s", g, err, wide.ID)
		}
		time.Sleep(11 * time.Minute)
		if g, _, err := f.Active(t.Context(), "alice", root); err != nil || g.Command != restart {
			t.Errorf("Active = %+v, %v, want one for the command", g, err)
		}
		for _, id := range []string{r.ID, again.ID} {
			if _, err := f.Return(t.Context(), id, actor("alice")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err = f.askCommand(t.Context(), "reboot"); err != nil {
			t.Errorf("after the return: %v", err)
		}
		for _, e := range f.log.events {
			if e.Request == r.ID && e.Details["command"] != restart {
				t.Errorf("%s tells no command", e.Type)
			}
		}
	})
}

// Attack: twenty requests for twenty commands at once, of which automatic approval
// would grant them all.
func TestOneCommandAtATime(t *testing.T) {
	for name, a := range map[string]sallyport.Access{"pending": root, "granted": auto} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 1)
			f.policy = testPolicy(t, 1, commands)
			roles := f.policy.Roles()
			for i := range roles {
				roles[i].Channels = []sallyport.Channel{sallyport.ChannelExec}
			}
			p, err := policy.New(f.policy.Users(), f.policy.Targets(), roles, nil)
			if err != nil {
				t.Fatal(err)
			}
			f.policy = p
			var wg sync.WaitGroup
			var filed atomic.Int32
			for i := range 20 {
				wg.Go(func() {
					_, err := f.Create(t.Context(), Ask{
						By: actor("alice"), Access: a, For: time.Minute, Reason: "x", Command: "echo " + strconv.Itoa(i),
					})
					if err == nil {
						filed.Add(1)
					} else if sallyport.CodeOf(err) != sallyport.CodeConflict {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := filed.Load(); n != 1 {
				t.Errorf("%d of 20 were filed, want 1", n)
			}
		})
	}
}

// Attack: the record is changed after somebody said yes: another command, none
// at all, or one added to a request that had none.
func TestAnApprovalIsForTheCommandThatWasSeen(t *testing.T) {
	for _, tt := range []struct {
		name, asked string
		change      func(r *sallyport.Request)
	}{
		{"another", restart, func(r *sallyport.Request) { r.Command, r.Grant.Command = "reboot", "reboot" }},
		{"none", restart, func(r *sallyport.Request) { r.Command, r.Grant.Command = "", "" }},
		{"none in the grant", restart, func(r *sallyport.Request) { r.Grant.Command = "" }},
		{"another in the grant", restart, func(r *sallyport.Request) { r.Grant.Command = "reboot" }},
		{"one where there was none", "", func(r *sallyport.Request) { r.Command, r.Grant.Command = "reboot", "reboot" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newScoped(t, 1)
			r, err := f.askCommand(t.Context(), tt.asked)
			if err != nil {
				t.Fatal(err)
			}
			r = f.approve(t, r.ID, "bob")
			err = f.Store.Update(t.Context(), r.ID, func(old *sallyport.Request) (*sallyport.Request, error) {
				n := *old
				g := *old.Grant
				n.Grant = &g
				tt.change(&n)
				return &n, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = f.Active(t.Context(), "alice", root)
			wantCode(t, err, sallyport.CodeDenied, "not the one that was approved")
		})
	}
}

// Attack: the command is exchanged between two approvals.
func TestNoSecondApprovalForAnotherCommand(t *testing.T) {
	f := newScoped(t, 2)
	r, err := f.askCommand(t.Context(), restart)
	if err != nil {
		t.Fatal(err)
	}
	f.approve(t, r.ID, "bob")
	err = f.Store.Update(t.Context(), r.ID, func(old *sallyport.Request) (*sallyport.Request, error) {
		n := *old
		n.Command = "reboot"
		return &n, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Decide(t.Context(), r.ID, actor("carol"), true, "")
	wantCode(t, err, sallyport.CodeDenied, "not the one that was approved")
}
