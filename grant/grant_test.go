package grant

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport"
	"sallyport/policy"
	"sallyport/store/storetest"
)

var (
	root = sallyport.Access{Account: "root", Target: "web1"}
	auto = sallyport.Access{Account: "deploy", Target: "web1"}
)

// log is an audit log in memory; fail makes it unwritable.
type log struct {
	mu     sync.Mutex
	events []sallyport.Event
	fail   error
}

func (l *log) AppendSync(e sallyport.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail == nil {
		l.events = append(l.events, e)
	}
	return l.fail
}

func (l *log) has(typ, outcome, user string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Type == typ && e.Outcome == outcome && e.User == user {
			return true
		}
	}
	return false
}

type fixture struct {
	*Service
	log    *log
	policy *policy.Policy
}

func testPolicy(t fataler, need int, more ...func(*sallyport.Role)) *policy.Policy {
	user := func(name string, groups ...string) sallyport.User {
		return sallyport.User{Name: name, Groups: groups}
	}
	role := sallyport.Role{
		Name: "prod-root", Eligible: sallyport.Members{Groups: []string{"admins"}},
		Targets: sallyport.Selector{Names: []string{"web*"}}, Accounts: []string{"root"},
		MaxDuration: 4 * time.Hour, Justification: true,
		Approval: sallyport.Approval{Stages: []sallyport.Stage{{
			Approvers: sallyport.Members{Groups: []string{"approvers"}}, Need: need,
		}}},
	}
	for _, f := range more {
		f(&role)
	}
	p, err := policy.New(
		[]sallyport.User{
			user("alice", "admins", "approvers"), user("bob", "approvers"), user("carol", "approvers"),
			user("eve", "soc"), user("mallory"),
		},
		[]sallyport.Target{{Name: "web1", Aliases: []string{"w"}, Address: "10.0.0.5:22", Accounts: []string{"root", "deploy"}}},
		[]sallyport.Role{role, {
			Name: "deploy", Eligible: sallyport.Members{Groups: []string{"admins"}},
			Targets: sallyport.Selector{Names: []string{"web1"}}, Accounts: []string{"deploy"},
			MaxDuration: time.Hour, Approval: sallyport.Approval{Auto: true},
		}},
		map[sallyport.Permission]sallyport.Members{sallyport.PermAdmin: {Users: []string{"eve"}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func actor(name string) sallyport.Actor {
	return sallyport.Actor{User: name, From: "192.0.2.1:50000"}
}

type fataler interface{ Fatal(args ...any) }

// newFixture uses the clock of the bubble that the test runs in.
func newFixture(t fataler, need int) *fixture {
	f := &fixture{log: &log{}, policy: testPolicy(t, need)}
	f.Service = &Service{
		Store: storetest.NewRequests(), Locked: storetest.NewLocks(), Audit: f.log,
		Policy: func() *policy.Policy { return f.policy }, Random: rand.Reader,
	}
	return f
}

func (f *fixture) ask(t testing.TB, a sallyport.Access, d time.Duration) sallyport.Request {
	t.Helper()
	r, err := f.Create(t.Context(), Ask{By: actor("alice"), Access: a, For: d, Reason: "INC-42 disk full"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (f *fixture) approve(t testing.TB, id, by string) sallyport.Request {
	t.Helper()
	r, err := f.Decide(t.Context(), id, actor(by), true, "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantCode(t testing.TB, err error, code sallyport.Code, words string) {
	t.Helper()
	if sallyport.CodeOf(err) != code || !strings.Contains(err.Error()+" "+sallyport.HintOf(err), words) {
		t.Errorf("err = %v (%s; %s), want %s with %q", err, sallyport.CodeOf(err), sallyport.HintOf(err), code, words)
	}
}

func session(r sallyport.Request) sallyport.Session {
	return sallyport.Session{User: r.User, Access: r.Access, Role: r.Role, Grant: r.ID}
}

func wantCause(t testing.TB, err error, cause sallyport.Cause) {
	t.Helper()
	if e, ok := sallyport.EndingOf(err); !ok || e.Cause != cause {
		t.Errorf("Still = %v, want cause %s", err, cause)
	}
}

func TestClockStartsAtApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, ctx := newFixture(t, 1), t.Context()
		r := f.ask(t, root, time.Hour)
		_, _, err := f.Active(ctx, "alice", root)
		wantCode(t, err, sallyport.CodeNoGrant, r.ID)
		time.Sleep(30 * time.Minute)
		approved := time.Now()
		r = f.approve(t, r.ID, "bob")
		if !r.Grant.Start.Equal(approved) || !r.Grant.End.Equal(approved.Add(time.Hour)) {
			t.Errorf("grant from %v to %v, approved at %v", r.Grant.Start, r.Grant.End, approved)
		}
		g, role, err := f.Active(ctx, "alice", sallyport.Access{Account: "root", Target: "w"}) // by its alias
		if err != nil || g.ID != r.ID || role.Name != "prod-root" {
			t.Errorf("Active = %+v, %s, %v", g, role.Name, err)
		}
		time.Sleep(time.Hour - 1)
		if err := f.Still(ctx, session(r)); err != nil {
			t.Errorf("a nanosecond before the end: %v", err)
		}
		time.Sleep(time.Nanosecond)
		wantCause(t, f.Still(ctx, session(r)), sallyport.CauseExpired)
		_, _, err = f.Active(ctx, "alice", root)
		wantCode(t, err, sallyport.CodeNoGrant, "expired")
	})
}

func TestAgreedWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, ctx := newFixture(t, 1), t.Context()
		start := time.Now().Add(2 * time.Hour)
		r, err := f.Create(ctx, Ask{By: actor("alice"), Access: root, For: time.Hour, Start: start, Reason: "window"})
		if err != nil {
			t.Fatal(err)
		}
		f.approve(t, r.ID, "bob")
		_, _, err = f.Active(ctx, "alice", root)
		wantCode(t, err, sallyport.CodeNoGrant, "starts at")
		time.Sleep(2 * time.Hour)
		if g, _, err := f.Active(ctx, "alice", root); err != nil || !g.End.Equal(start.Add(time.Hour)) {
			t.Errorf("%+v, %v", g, err)
		}
		// An answer after the window is over grants nothing.
		r, err = f.Create(ctx, Ask{By: actor("alice"), Access: root, For: time.Hour, Start: time.Now().Add(time.Hour), Reason: "window"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		_, err = f.Decide(ctx, r.ID, actor("bob"), true, "")
		wantCode(t, err, sallyport.CodeConflict, "lapsed")
	})
}

func TestWhatMayBeAsked(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		change func(*Ask)
		code   sallyport.Code
		words  string
	}{
		"no reason":          {func(a *Ask) { a.Reason = " \t" }, sallyport.CodeUsage, "--reason"},
		"too long":           {func(a *Ask) { a.For = 4*time.Hour + 1 }, sallyport.CodeInvalid, "--for 4h"},
		"no duration":        {func(a *Ask) { a.For = 0 }, sallyport.CodeUsage, "--for"},
		"negative":           {func(a *Ask) { a.For = -time.Hour }, sallyport.CodeUsage, "--for"},
		"overflow":           {func(a *Ask) { a.For = 1<<63 - 1 }, sallyport.CodeInvalid, "longer"},
		"start long ago":     {func(a *Ask) { a.Start = now.Add(-time.Hour) }, sallyport.CodeUsage, "past"},
		"start in a century": {func(a *Ask) { a.Start = now.AddDate(100, 0, 0) }, sallyport.CodeUsage, "ahead"},
		"unknown target":     {func(a *Ask) { a.Access.Target = "nowhere" }, sallyport.CodeDenied, "not yours"},
		"unknown account":    {func(a *Ask) { a.Access.Account = "toor" }, sallyport.CodeDenied, "not yours"},
		"not eligible":       {func(a *Ask) { a.By.User = "mallory" }, sallyport.CodeDenied, "not yours"},
		"nobody":             {func(a *Ask) { a.By.User = "" }, sallyport.CodeDenied, "not yours"},
		"another role":       {func(a *Ask) { a.Role = "deploy" }, sallyport.CodeDenied, "deploy"},
		"a novel":            {func(a *Ask) { a.Reason = strings.Repeat("x", 2000) }, sallyport.CodeInvalid, "longer"},
	} {
		f := newFixture(t, 1)
		ask := Ask{By: actor("alice"), Access: root, For: time.Hour, Reason: "why"}
		tt.change(&ask)
		_, err := f.Create(t.Context(), ask)
		t.Run(name, func(t *testing.T) { wantCode(t, err, tt.code, tt.words) })
		if all, _ := f.List(t.Context(), ""); len(all) != 0 {
			t.Errorf("%s: stored %v", name, all)
		}
	}
}

func TestUnknownAndForbiddenLookTheSame(t *testing.T) {
	f := newFixture(t, 1)
	_, _, known := f.Active(t.Context(), "mallory", root)
	_, _, unknown := f.Active(t.Context(), "mallory", sallyport.Access{Account: "root", Target: "web2"})
	if strings.ReplaceAll(unknown.Error(), "web2", "web1") != known.Error() ||
		sallyport.HintOf(known) != sallyport.HintOf(unknown) || sallyport.CodeOf(known) != sallyport.CodeOf(unknown) {
		t.Errorf("%v and %v differ", known, unknown)
	}
}

func TestASecondPendingRequestNamesTheFirst(t *testing.T) {
	f, ctx := newFixture(t, 1), t.Context()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var made []string
	var refusals []error
	for range 8 {
		wg.Go(func() {
			r, err := f.Create(ctx, Ask{By: actor("alice"), Access: root, For: time.Hour, Reason: "why"})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refusals = append(refusals, err)
			} else {
				made = append(made, r.ID)
			}
		})
	}
	wg.Wait()
	if len(made) != 1 || len(refusals) != 7 {
		t.Fatalf("%d made, %d refused", len(made), len(refusals))
	}
	for _, err := range refusals {
		wantCode(t, err, sallyport.CodeConflict, made[0])
	}
	if _, err := f.Cancel(ctx, made[0], actor("alice"), false); err != nil {
		t.Fatal(err)
	}
	f.ask(t, root, time.Hour)
}

func TestAutomaticApproval(t *testing.T) {
	f := newFixture(t, 1)
	r := f.ask(t, auto, time.Hour)
	if r.State != sallyport.RequestApproved || r.Grant == nil || !f.log.has("request.create", "approved", "alice") {
		t.Errorf("%+v", r)
	}
	if _, _, err := f.Active(t.Context(), "alice", auto); err != nil {
		t.Error(err)
	}
}

func TestAwaitWakesOnTheDecisionAndOnTheLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		r := f.ask(t, root, time.Hour)
		got := make(chan sallyport.Request, 1)
		go func() {
			r, err := f.Await(t.Context(), r.ID)
			if err != nil {
				t.Error(err)
			}
			got <- r
		}()
		synctest.Wait() // it is waiting, and no timer of a poll runs
		asked := time.Now()
		f.approve(t, r.ID, "bob")
		if r := <-got; r.State != sallyport.RequestApproved || !time.Now().Equal(asked) {
			t.Errorf("state %s after %v", r.State, time.Since(asked))
		}
		f.Return(t.Context(), r.ID, actor("alice"))
		r = f.ask(t, root, time.Hour)
		if r, err := f.Await(t.Context(), r.ID); err != nil || r.State != sallyport.RequestLapsed {
			t.Errorf("%s, %v", r.State, err)
		}
		if waited := time.Since(asked); waited != DefaultLapse {
			t.Errorf("lapsed after %v", waited)
		}
		r = f.ask(t, root, time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := f.Await(ctx, r.ID); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v", err)
		}
	})
}

func TestWatchTellsEveryEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		changes := f.Watch(ctx)
		r := f.ask(t, auto, time.Hour)
		<-changes
		if _, err := f.Kill(t.Context(), r.ID, actor("eve"), "now"); err != nil {
			t.Fatal(err)
		}
		<-changes
		cancel()
		for range changes { // ends: the channel is closed
		}
	})
}

func TestFind(t *testing.T) {
	f := newFixture(t, 1)
	r := f.ask(t, auto, time.Hour)
	for _, prefix := range []string{r.ID, r.ID[:1]} {
		if all, err := f.Find(t.Context(), prefix); err != nil || len(all) != 1 || all[0].ID != r.ID {
			t.Errorf("%q: %v, %v", prefix, all, err)
		}
	}
	for _, bad := range []string{"", "../x", "ID", strings.Repeat("a", 13), "7777777"} {
		if all, err := f.Find(t.Context(), bad); err != nil || len(all) != 0 {
			t.Errorf("%q: %v, %v", bad, all, err)
		}
	}
}
