package grant

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport"
	"sallyport/store/bolt"
)

// Alice, who is an approver herself, approves her own request (G4).
func TestNobodyApprovesTheirOwnRequest(t *testing.T) {
	f := newFixture(t, 1)
	r := f.ask(t, root, time.Hour)
	_, err := f.Decide(t.Context(), r.ID, actor("alice"), true, "")
	wantCode(t, err, sallyport.CodeDenied, "own request")
	if !f.log.has("request.approve", "refused", "alice") {
		t.Error("the attempt is not in the audit log")
	}
	for _, stranger := range []string{"mallory", "eve", "ghost", ""} {
		_, err := f.Decide(t.Context(), r.ID, actor(stranger), true, "")
		wantCode(t, err, sallyport.CodeDenied, "approver")
	}
	if _, _, err := f.Active(t.Context(), "alice", root); err == nil {
		t.Error("there is a grant")
	}
}

// Bob approves twice, and twenty times at once, to stand for two people (G4).
func TestOneApproverCountsOnce(t *testing.T) {
	f := newFixture(t, 2)
	r := f.ask(t, root, time.Hour)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, err := f.Decide(t.Context(), r.ID, actor("bob"), true, ""); err != nil || got.State != sallyport.RequestPending {
				t.Errorf("%s, %v", got.State, err) // repeating is no error, and no second vote
			}
		})
	}
	wg.Wait()
	if r, _ := f.Get(t.Context(), r.ID); len(r.Decisions) != 1 {
		t.Fatalf("decisions: %v", r.Decisions)
	}
	r = f.approve(t, r.ID, "carol")
	end := r.Grant.End
	if again := f.approve(t, r.ID, "carol"); !again.Grant.End.Equal(end) || len(again.Decisions) != 2 {
		t.Error("repeating the last approval changed the grant")
	}
}

// Bob denies; Carol, or Bob on second thought, approves what was denied (G4).
func TestAnyDenialDenies(t *testing.T) {
	f := newFixture(t, 2)
	r := f.ask(t, root, time.Hour)
	f.approve(t, r.ID, "carol")
	if got, err := f.Decide(t.Context(), r.ID, actor("bob"), false, "not now"); err != nil || got.State != sallyport.RequestDenied {
		t.Fatalf("%s, %v", got.State, err)
	}
	_, err := f.Decide(t.Context(), r.ID, actor("bob"), true, "")
	wantCode(t, err, sallyport.CodeConflict, "denied")
	if got, err := f.Decide(t.Context(), r.ID, actor("bob"), false, ""); err != nil || got.State != sallyport.RequestDenied {
		t.Errorf("denying again: %s, %v", got.State, err)
	}
}

// An approval arrives after the request was withdrawn or has lapsed, and would
// open what nobody wants any more (G4).
func TestNoApprovalAfterWithdrawalOrLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		r := f.ask(t, root, time.Hour)
		_, err := f.Cancel(t.Context(), r.ID, actor("mallory"), false)
		wantCode(t, err, sallyport.CodeDenied, "not yours")
		for range 2 {
			if _, err := f.Cancel(t.Context(), r.ID, actor("alice"), false); err != nil {
				t.Fatal(err)
			}
		}
		_, err = f.Decide(t.Context(), r.ID, actor("bob"), true, "")
		wantCode(t, err, sallyport.CodeConflict, "cancelled")
		r = f.ask(t, root, time.Hour)
		time.Sleep(DefaultLapse)
		_, err = f.Decide(t.Context(), r.ID, actor("bob"), true, "")
		wantCode(t, err, sallyport.CodeConflict, "lapsed")
	})
}

// Somebody who can write the database changes what was approved: another
// account, a longer time, a later end, another user (G4). Every approval is
// bound to the digest of what was asked for.
func TestAChangedRequestGrantsNothing(t *testing.T) {
	for name, change := range map[string]func(*sallyport.Request){
		"longer":       func(r *sallyport.Request) { r.For *= 2; r.Grant.End = r.Grant.Start.Add(r.For) },
		"reason":       func(r *sallyport.Request) { r.Reason = "another" },
		"a later end":  func(r *sallyport.Request) { r.Grant.End = r.Grant.End.Add(time.Hour) },
		"self-decided": func(r *sallyport.Request) { r.Decisions[0].By = "alice" },
		"other role":   func(r *sallyport.Request) { r.Role = "deploy" },
		"another's": func(r *sallyport.Request) {
			r.Decisions[0].Digest = sallyport.Request{ID: "other"}.Digest()
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 1)
			r := f.approve(t, f.ask(t, root, time.Hour).ID, "bob")
			f.tamper(t, r.ID, change)
			if g, _, err := f.Active(t.Context(), "alice", root); err == nil {
				t.Errorf("active: %+v", g)
			}
			wantCause(t, f.Still(t.Context(), session(r)), sallyport.CauseRevoked)
		})
	}
	f := newFixture(t, 2)
	r := f.ask(t, root, time.Hour)
	f.approve(t, r.ID, "bob")
	f.tamper(t, r.ID, func(r *sallyport.Request) { r.Access.Account = "deploy" })
	_, err := f.Decide(t.Context(), r.ID, actor("carol"), true, "")
	wantCode(t, err, sallyport.CodeDenied, "not the one that was approved")
}

func (f *fixture) tamper(t *testing.T, id string, change func(*sallyport.Request)) {
	t.Helper()
	err := f.Store.Update(t.Context(), id, func(r *sallyport.Request) (*sallyport.Request, error) { change(r); return r, nil })
	if err != nil {
		t.Fatal(err)
	}
}

// A reason with escape sequences repaints the line that the approver reads, so
// that they say yes to something else (G4, R6).
func TestAReasonCannotForgeTheScreen(t *testing.T) {
	f := newFixture(t, 1)
	for _, reason := range []string{
		"disk full\x1b[2K\rdeploy@web1 5m", "a\nb", "a\x00b", "right\u202eleft", "\xff\xfe", "\u009b2J",
	} {
		_, err := f.Create(t.Context(), Ask{By: actor("alice"), Access: root, For: time.Hour, Reason: reason})
		wantCode(t, err, sallyport.CodeInvalid, "cannot be shown")
		_, err = f.Create(t.Context(), Ask{By: actor("alice"), Access: root, For: time.Hour, Reason: "why", Ticket: reason})
		wantCode(t, err, sallyport.CodeInvalid, "cannot be shown")
	}
	if _, err := f.Create(t.Context(), Ask{By: actor("alice"), Access: root, For: time.Hour, Reason: "Überprüfung 磁盘 – 100 %"}); err != nil {
		t.Error(err)
	}
}

// A ControlMaster logs in once and opens channels all day; the grant ends in
// every way there is while it lives (G1, G2). Still is asked at every channel
// and must see each end at once.
func TestALiveSessionSeesEveryEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		end   func(*fixture, context.Context, string) error
		cause sallyport.Cause
		by    string
	}{
		"revoked": {func(f *fixture, ctx context.Context, id string) error {
			_, err := f.Revoke(ctx, id, actor("eve"), "incident")
			return err
		}, sallyport.CauseRevoked, "eve"},
		"returned": {func(f *fixture, ctx context.Context, id string) error {
			_, err := f.Return(ctx, id, actor("alice"))
			return err
		}, sallyport.CauseClosed, "alice"},
		"killed": {func(f *fixture, ctx context.Context, id string) error {
			_, err := f.Kill(ctx, id, actor("eve"), "incident")
			return err
		}, sallyport.CauseKilled, "eve"},
		"killed while locked": {func(f *fixture, ctx context.Context, id string) error {
			_, err := f.Lock(ctx, actor("eve"), sallyport.Lock{User: "alice", Reason: "incident"})
			_, kerr := f.Kill(ctx, id, actor("eve"), "incident")
			return errors.Join(err, kerr)
		}, sallyport.CauseKilled, "eve"},
		"user locked": {func(f *fixture, ctx context.Context, id string) error {
			_, err := f.Lock(ctx, actor("eve"), sallyport.Lock{User: "alice", Reason: "incident"})
			return err
		}, sallyport.CauseLocked, "eve"},
		"target locked by its alias": {func(f *fixture, ctx context.Context, id string) error {
			_, err := f.Lock(ctx, actor("eve"), sallyport.Lock{Target: "w", Reason: "incident"})
			return err
		}, sallyport.CauseLocked, "eve"},
		"configuration changed": {func(f *fixture, ctx context.Context, id string) error {
			f.policy = testPolicy(panicker{}, 1, func(r *sallyport.Role) { r.Eligible = sallyport.Members{Users: []string{"bob"}} })
			return nil
		}, sallyport.CauseRevoked, ""},
		"record gone": {func(f *fixture, ctx context.Context, id string) error {
			return f.Store.Update(ctx, id, func(*sallyport.Request) (*sallyport.Request, error) { return nil, nil })
		}, sallyport.CauseRevoked, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f, ctx := newFixture(t, 1), t.Context()
			r := f.approve(t, f.ask(t, root, time.Hour).ID, "bob")
			if err := f.Still(ctx, session(r)); err != nil {
				t.Fatal(err)
			}
			for range 2 { // ending twice is no error
				if err := tt.end(f, ctx, r.ID); err != nil {
					t.Fatal(err)
				}
			}
			err := f.Still(ctx, session(r))
			wantCause(t, err, tt.cause)
			if e, ok := sallyport.EndingOf(err); ok && e.By != tt.by {
				t.Errorf("by %q, want %q", e.By, tt.by)
			}
			// Killed, and reconnected at once: no new session either.
			if g, _, err := f.Active(ctx, "alice", root); err == nil {
				t.Errorf("and a new session starts under %+v", g)
			}
		})
	}
}

type panicker struct{}

func (panicker) Fatal(args ...any) { panic(args) }

// A grant of one session is used for another access or by another user (G1).
func TestAGrantCoversItsOwnSessionOnly(t *testing.T) {
	f := newFixture(t, 1)
	r := f.approve(t, f.ask(t, root, time.Hour).ID, "bob")
	for _, change := range []func(*sallyport.Session){
		func(s *sallyport.Session) { s.User = "bob" },
		func(s *sallyport.Session) { s.Access.Account = "deploy" },
		func(s *sallyport.Session) { s.Grant = "" },
	} {
		s := session(r)
		change(&s)
		wantCause(t, f.Still(t.Context(), s), sallyport.CauseRevoked)
	}
	_, err := f.Return(t.Context(), r.ID, actor("bob"))
	wantCode(t, err, sallyport.CodeDenied, "not yours")
}

// The clock of the gateway jumps back after a kill, or before the start of the
// grant (G5): what was over must not come back.
func TestClockJumps(t *testing.T) {
	f, ctx := newFixture(t, 1), t.Context()
	now := time.Now()
	f.Now = func() time.Time { return now }
	r := f.approve(t, f.ask(t, root, time.Hour).ID, "bob")
	if _, err := f.Kill(ctx, r.ID, actor("eve"), "incident"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	if _, err := f.Lock(ctx, actor("eve"), sallyport.Lock{User: "mallory", Reason: "sweeps ended locks"}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-90 * time.Minute)
	wantCause(t, f.Still(ctx, session(r)), sallyport.CauseKilled)
	r = f.approve(t, f.ask(t, root, time.Hour).ID, "bob")
	now = now.Add(-time.Hour)
	wantCause(t, f.Still(ctx, session(r)), sallyport.CauseRevoked)
}

// A locked approver, whose key is perhaps stolen, approves for an accomplice;
// and a locked user asks (G2).
func TestTheLockedNeitherAskNorApprove(t *testing.T) {
	f, ctx := newFixture(t, 1), t.Context()
	r := f.ask(t, root, time.Hour)
	l, err := f.Lock(ctx, actor("eve"), sallyport.Lock{User: "bob", Reason: "key stolen"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Decide(ctx, r.ID, actor("bob"), true, "")
	wantCode(t, err, sallyport.CodeDenied, "key stolen")
	if err := f.Unlock(ctx, l.ID, actor("eve")); err != nil {
		t.Fatal(err)
	}
	if _, err = f.Lock(ctx, actor("eve"), sallyport.Lock{Account: "root", Reason: "freeze"}); err != nil {
		t.Fatal(err)
	}
	_, err = f.Decide(ctx, r.ID, actor("bob"), true, "")
	wantCode(t, err, sallyport.CodeDenied, "freeze")
	_, err = f.Create(ctx, Ask{By: actor("alice"), Access: root, For: time.Hour, Reason: "why"})
	wantCode(t, err, sallyport.CodeDenied, "freeze")
	for _, l := range []sallyport.Lock{
		{By: "eve", Reason: "selects nothing"},
		{User: "alise", Reason: "typing mistake"},
		{Target: "wbe1", Reason: "typing mistake"},
		{User: "alice"},
		{Grant: r.ID, Reason: "no grant"},
	} {
		if got, err := f.Lock(ctx, actor("eve"), l); err == nil {
			t.Errorf("a lock that never covers anything: %+v", got)
		}
	}
}

// The gateway dies, or the disk fills, between the grant and its audit record
// (O4): there must be no grant without a record, so the record comes first and
// its failure stops the grant. On the real store.
func TestNoGrantWithoutAnAuditRecord(t *testing.T) {
	db, err := bolt.Open(filepath.Join(t.TempDir(), "state.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	f, ctx := newFixture(t, 1), t.Context()
	f.Store, f.Locked = db.Requests(), db.Locks()
	r := f.ask(t, root, time.Hour)
	full := errors.New("no space left on device")
	f.log.fail = full
	for name, act := range map[string]func() error{
		"approve": func() error { _, err := f.Decide(ctx, r.ID, actor("bob"), true, ""); return err },
		"create": func() error {
			_, err := f.Create(ctx, Ask{By: actor("alice"), Access: auto, For: time.Hour, Reason: "x"})
			return err
		},
		"cancel": func() error { _, err := f.Cancel(ctx, r.ID, actor("alice"), false); return err },
		"lock": func() error {
			_, err := f.Lock(ctx, actor("eve"), sallyport.Lock{User: "alice", Reason: "x"})
			return err
		},
	} {
		if err := act(); !errors.Is(err, full) || sallyport.CodeOf(err) != sallyport.CodeUnavail {
			t.Errorf("%s: %v", name, err)
		}
	}
	all, err := f.List(ctx, "")
	if err != nil || len(all) != 1 || all[0].State != sallyport.RequestPending || len(all[0].Decisions) != 0 {
		t.Errorf("stored without a record: %+v, %v", all, err)
	}
	if locks, _ := f.Locks(ctx); len(locks) != 0 {
		t.Errorf("stored without a record: %+v", locks)
	}
	f.log.fail = nil
	f.approve(t, r.ID, "bob")
	if !f.log.has("request.approve", "approved", "bob") {
		t.Error("the approval is not in the log")
	}
}

// Alice's session is killed, and a script of hers asks again at once under a
// role that approves by itself (G2).
func TestAKillIsNotUndoneByAskingAgain(t *testing.T) {
	f, deploy := newFixture(t, 1), sallyport.Access{Account: "deploy", Target: "web1"}
	r := f.ask(t, deploy, time.Hour)
	if r.State != sallyport.RequestApproved {
		t.Fatalf("the role does not approve by itself: %s", r.State)
	}
	lock, err := f.Kill(t.Context(), r.ID, actor("eve"), "incident")
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Create(t.Context(), Ask{By: actor("alice"), Access: deploy, For: time.Hour, Reason: "again"})
	wantCode(t, err, sallyport.CodeDenied, "killed: incident")
	if err := f.Unlock(t.Context(), lock.ID, actor("eve")); err != nil {
		t.Fatal(err)
	}
	f.ask(t, deploy, time.Hour)
}

// Where somebody else has to say yes, asking again is in order.
func TestAfterAKillAnotherMayBeAskedFor(t *testing.T) {
	f := newFixture(t, 1)
	r := f.ask(t, root, time.Hour)
	f.approve(t, r.ID, "bob")
	if _, err := f.Kill(t.Context(), r.ID, actor("eve"), "incident"); err != nil {
		t.Fatal(err)
	}
	_, _, err := f.Active(t.Context(), "alice", root)
	wantCode(t, err, sallyport.CodeNoGrant, "request create root@web1")
	again := f.ask(t, root, time.Hour)
	if _, _, err := f.Active(t.Context(), "alice", root); err == nil {
		t.Error("a pending request is a grant")
	}
	f.approve(t, again.ID, "bob")
	if g, _, err := f.Active(t.Context(), "alice", root); err != nil || g.ID != again.ID {
		t.Errorf("%+v, %v", g, err)
	}
}

// Alice makes a second grant in time, to have one left when the SOC kills her
// session under the first (G2).
func TestAKillReachesASecondGrant(t *testing.T) {
	f := newFixture(t, 1)
	first, second := f.ask(t, auto, time.Hour), f.ask(t, auto, 30*time.Minute)
	later, err := f.Create(t.Context(), Ask{By: actor("alice"), Access: auto, For: time.Hour, Start: time.Now().Add(2 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	other := f.ask(t, root, time.Hour)
	f.approve(t, other.ID, "bob")
	lock, err := f.Kill(t.Context(), first.ID, actor("eve"), "incident")
	if err != nil || lock.Grant != first.ID {
		t.Fatal(lock, err)
	}
	_, _, err = f.Active(t.Context(), "alice", auto)
	wantCode(t, err, sallyport.CodeNoGrant, "killed")
	for _, r := range []sallyport.Request{first, second, later} {
		var ending *sallyport.Ending
		if err := f.Still(t.Context(), session(r)); !errors.As(err, &ending) || ending.Cause != sallyport.CauseKilled {
			t.Errorf("under %s: %v", r.ID, err)
		}
	}
	if _, _, err := f.Active(t.Context(), "alice", root); err != nil {
		t.Errorf("another access: %v", err)
	}
}

// A script files requests without end, to fill the disk and slow everybody down.
func TestRequestsOfADayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		for range maxPerDay {
			f.ask(t, auto, time.Hour)
		}
		_, err := f.Create(t.Context(), Ask{By: actor("alice"), Access: auto, For: time.Hour})
		wantCode(t, err, sallyport.CodeUnavail, "within a day")
		time.Sleep(24 * time.Hour)
		f.ask(t, auto, time.Hour)
	})
}

// failing is a store whose disk fills up after the decision was made.
type failing struct{ RequestStore }

func (s failing) Update(ctx context.Context, id string, f func(*sallyport.Request) (*sallyport.Request, error)) error {
	err := s.RequestStore.Update(ctx, id, func(old *sallyport.Request) (*sallyport.Request, error) {
		if _, err := f(old); err != nil {
			return nil, err
		}
		return nil, errors.New("no space left on device")
	})
	return err
}

// The audit log announces an approval that then cannot be stored (O4): it must
// not leave the reader with a grant that never was.
func TestAnApprovalThatIsNotStoredIsTakenBackInTheLog(t *testing.T) {
	f := newFixture(t, 1)
	r := f.ask(t, root, time.Hour)
	f.Store = failing{f.Store}
	if _, err := f.Decide(t.Context(), r.ID, actor("bob"), true, ""); err == nil {
		t.Fatal("no error")
	}
	last := f.log.events[len(f.log.events)-1]
	if last.Type != "request.approve" || last.Outcome != "failed" || last.Request != r.ID || last.From == "" {
		t.Errorf("the last event is %+v", last)
	}
}
