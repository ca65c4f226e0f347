package policy

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport"
)

func sample() ([]sallyport.User, []sallyport.Target, []sallyport.Role, map[sallyport.Permission]sallyport.Members) {
	groups := func(g ...string) sallyport.Members { return sallyport.Members{Groups: g} }
	users := []sallyport.User{
		{Name: "alice", Groups: []string{"admins"}},
		{Name: "bob", Groups: []string{"approvers"}},
		{Name: "carol", Groups: []string{"approvers", "admins"}},
		{Name: "dan", Groups: []string{"owners", "approvers"}},
		{Name: "eve", Groups: []string{"soc"}},
	}
	targets := []sallyport.Target{
		{Name: "web1", Aliases: []string{"www"}, Labels: map[string]string{"env": "prod"}, Accounts: []string{"root", "deploy"}},
		{Name: "db1", Labels: map[string]string{"env": "test"}, Accounts: []string{"root"}},
	}
	roles := []sallyport.Role{
		{
			Name: "prod", Eligible: groups("admins"), Targets: sallyport.Selector{Labels: map[string]string{"env": "prod"}}, Accounts: []string{"root"}, MaxDuration: time.Hour,
			Approval: sallyport.Approval{Stages: []sallyport.Stage{{Approvers: groups("approvers"), Need: 2}, {Approvers: groups("owners", "soc"), Need: 1}}},
			Channels: []sallyport.Channel{sallyport.ChannelShell},
			Commands: sallyport.Commands{Rules: []sallyport.CommandRule{{Program: "rm", Action: sallyport.Deny}}},
		},
		{Name: "any", Eligible: groups("admins"), Targets: sallyport.Selector{Names: []string{"*"}}, Accounts: []string{"root", "deploy"}, Approval: sallyport.Approval{Auto: true}},
	}
	return users, targets, roles, map[sallyport.Permission]sallyport.Members{
		sallyport.PermSessions: groups("soc"), sallyport.PermAdmin: {Users: []string{"dan"}},
	}
}

func newSample(t testing.TB) *Policy {
	t.Helper()
	p, err := New(sample())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEligible(t *testing.T) {
	p := newSample(t)
	names := func(user, account, target string) (out []string) {
		for _, r := range p.Eligible(user, sallyport.Access{Account: account, Target: target}) {
			out = append(out, r.Name)
		}
		return out
	}
	for _, c := range []struct {
		user, account, target string
		want                  []string
	}{
		{"alice", "root", "web1", []string{"prod", "any"}},
		{"alice", "deploy", "web1", []string{"any"}},
		{"alice", "root", "db1", []string{"any"}},
		{"alice", "deploy", "db1", nil}, // no such account there
		{"alice", "root", "www", nil},   // an alias is resolved before
		{"alice", "root", "web2", nil},
		{"bob", "root", "web1", nil},
		{"nobody", "root", "web1", nil},
		{"", "root", "web1", nil},
	} {
		if got := names(c.user, c.account, c.target); !slices.Equal(got, c.want) {
			t.Errorf("%v: got %v", c, got)
		}
		for _, r := range p.Roles() {
			if got := p.Allows(r.Name, c.user, sallyport.Access{Account: c.account, Target: c.target}); got != slices.Contains(c.want, r.Name) {
				t.Errorf("%v: role %s allows: %t", c, r.Name, got)
			}
		}
	}
	if p.Allows("gone", "alice", sallyport.Access{Account: "root", Target: "web1"}) {
		t.Error("a role that is gone allows")
	}
	if got := p.Accesses("alice"); len(got) != 4 || got[0].Role.Name != "prod" || got[3].Access.Target != "db1" {
		t.Errorf("accesses %v", got)
	}
	if p.Accesses("bob") != nil {
		t.Error("bob has accesses")
	}
}

func TestLookupsAndCan(t *testing.T) {
	p := newSample(t)
	if tg, ok := p.Target("www"); !ok || tg.Name != "web1" {
		t.Error("the alias is not found")
	}
	if _, ok := p.User("mallory"); ok {
		t.Error("mallory is found")
	}
	if len(p.Users()) != 5 || len(p.Targets()) != 2 {
		t.Error("the lists are not whole")
	}
	for _, c := range []struct {
		user string
		perm sallyport.Permission
		want bool
	}{
		{"eve", sallyport.PermSessions, true},
		{"eve", sallyport.PermAudit, false},
		{"eve", sallyport.PermAdmin, false},
		{"dan", sallyport.PermAudit, true},
		{"dan", sallyport.PermAdmin, true},
		{"dan", "other", false},
		{"alice", sallyport.PermSessions, false},
		{"", sallyport.PermSessions, false},
	} {
		if p.Can(c.user, c.perm) != c.want {
			t.Errorf("%+v", c)
		}
	}
	if !p.Commands("prod").Active() || p.Commands("any").Active() || p.Commands("gone").Active() {
		t.Error("the wrong roles judge commands")
	}
}

func TestNewRefuses(t *testing.T) {
	type parts struct {
		u []sallyport.User
		t []sallyport.Target
		r []sallyport.Role
		p map[sallyport.Permission]sallyport.Members
	}
	for name, change := range map[string]func(*parts){
		"user twice":        func(p *parts) { p.u[1].Name = "alice" },
		"user without name": func(p *parts) { p.u[0].Name = "" },
		"target twice":      func(p *parts) { p.t[1].Name = "web1" },
		"alias is a target": func(p *parts) { p.t[1].Aliases = []string{"web1"} },
		"alias twice":       func(p *parts) { p.t[1].Aliases = []string{"www"} },
		"bad account":       func(p *parts) { p.t[0].Accounts = []string{"a,b"} },
		"role twice":        func(p *parts) { p.r[1].Name = "prod" },
		"role account":      func(p *parts) { p.r[1].Accounts = []string{"*"} },
		"no approval":       func(p *parts) { p.r[1].Approval.Auto = false },
		"both approvals":    func(p *parts) { p.r[0].Approval.Auto = true },
		"need zero":         func(p *parts) { p.r[0].Approval.Stages = []sallyport.Stage{{Approvers: p.r[0].Eligible}} },
		"no approvers":      func(p *parts) { p.r[0].Approval.Stages = []sallyport.Stage{{Need: 1}} },
		"channel":           func(p *parts) { p.r[0].Channels = []sallyport.Channel{"x"} },
		"duration":          func(p *parts) { p.r[0].MaxDuration = -1 },
		"pattern":           func(p *parts) { p.r[0].Targets.Names = []string{"["} },
		"rule":              func(p *parts) { p.r[0].Commands.Rules = []sallyport.CommandRule{{}} },
		"permission":        func(p *parts) { p.p["x"] = sallyport.Members{} },
	} {
		var p parts
		p.u, p.t, p.r, p.p = sample()
		change(&p)
		_, err := New(p.u, p.t, p.r, p.p)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		var re *RuleError
		if name == "rule" && !errors.As(err, &re) {
			t.Errorf("%s: %v names no rule", name, err)
		}
	}
}

func request() sallyport.Request {
	return sallyport.Request{
		ID: "abcdefghijkl", User: "carol", Access: sallyport.Access{Account: "root", Target: "web1"}, Role: "prod",
		For: time.Hour, Reason: "INC-42", CreatedAt: time.Unix(1, 0), State: sallyport.RequestPending,
	}
}

func TestApprovalStages(t *testing.T) {
	p := newSample(t)
	r := request()
	step := func(wantStage, wantLeft int, wantDone bool, approvers ...string) {
		t.Helper()
		stage, _, left, done := p.Stage(r)
		if stage != wantStage || left != wantLeft || done != wantDone {
			t.Errorf("stage %d left %d done %t", stage, left, done)
		}
		if got := p.Approvers(r); !slices.Equal(got, approvers) {
			t.Errorf("approvers %v, want %v", got, approvers)
		}
	}
	approve := func(by string, stage int) {
		r.Decisions = append(r.Decisions, sallyport.Decision{By: by, Approve: true, Stage: stage, Digest: r.Digest()})
	}
	step(0, 2, false, "bob", "dan") // carol is an approver, but asks
	approve("bob", 0)
	step(0, 1, false, "dan")
	approve("bob", 0) // twice counts once
	step(0, 1, false, "dan")
	approve("dan", 0)
	step(1, 1, false, "eve") // dan is an owner, but has decided
	approve("eve", 1)
	step(2, 0, true)

	gone := request()
	gone.Role = "gone"
	if _, _, left, done := p.Stage(gone); !done || left == 0 {
		t.Error("a request for a role that is gone counts as approved")
	}
}

// Approvals that were not given for this very request, by somebody who may,
// count for nothing: approval moved from another request, the requester's own
// written into the store, a former approver's.
func TestForgedApprovalsDoNotCount(t *testing.T) {
	p := newSample(t)
	for name, d := range map[string]sallyport.Decision{
		"another request's": {By: "bob", Approve: true, Digest: "x"},
		"the requester's":   {By: "carol", Approve: true, Digest: request().Digest()},
		"no approver's":     {By: "alice", Approve: true, Digest: request().Digest()},
		"a stranger's":      {By: "mallory", Approve: true, Digest: request().Digest()},
		"another stage's":   {By: "bob", Approve: true, Stage: 1, Digest: request().Digest()},
	} {
		r := request()
		r.Decisions = []sallyport.Decision{d}
		if stage, _, left, _ := p.Stage(r); stage != 0 || left != 2 {
			t.Errorf("%s approval counts", name)
		}
	}
}

// Whatever was decided by whomever: the requester never may decide, nobody may
// twice, any denial ends it, and only approvers of the stage may.
func TestApprovalInvariants(t *testing.T) {
	p := newSample(t)
	names := []string{"alice", "bob", "carol", "dan", "eve", "mallory", ""}
	rapid.Check(t, func(t *rapid.T) {
		r := request()
		r.User = rapid.SampledFrom(names).Draw(t, "requester")
		r.State = rapid.SampledFrom([]sallyport.RequestState{"pending", "pending", "pending", "approved", "denied", "cancelled", "lapsed"}).Draw(t, "state")
		denied := false
		for range rapid.IntRange(0, 6).Draw(t, "decisions") {
			d := sallyport.Decision{
				By: rapid.SampledFrom(names).Draw(t, "by"), Approve: rapid.IntRange(0, 4).Draw(t, "approve") > 0,
				Stage: rapid.IntRange(0, 2).Draw(t, "stage"), Digest: r.Digest(),
			}
			denied = denied || !d.Approve
			r.Decisions = append(r.Decisions, d)
		}
		stage, s, left, done := p.Stage(r)
		if denied && (!done || left == 0 && stage < 2) {
			t.Fatalf("denied, yet it waits: stage %d left %d done %t", stage, left, done)
		}
		if denied && left == 0 {
			t.Fatal("denied, yet nothing is lacking")
		}
		for _, by := range names {
			if p.MayDecide(by, r) != nil {
				continue
			}
			u, known := p.User(by)
			decided := slices.ContainsFunc(r.Decisions, func(d sallyport.Decision) bool { return d.By == by })
			if by == r.User || !known || decided || done || r.State != sallyport.RequestPending || !s.Approvers.Has(u) {
				t.Fatalf("%q may decide %+v", by, r)
			}
		}
	})
}
