package grant

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport"
)

// machine drives one request through anything that people and the clock can do
// and compares it with what the rules say.
type machine struct {
	f     *fixture
	now   time.Time
	id    string
	need  int
	yes   map[string]bool
	state sallyport.RequestState
	lapse time.Time
	start time.Time // of the grant
	ended bool
	kill  bool
}

func (m *machine) wait(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.Int64Range(0, int64(9*time.Hour)).Draw(t, "wait")))
	if m.state == sallyport.RequestPending && !m.now.Before(m.lapse) {
		m.state = sallyport.RequestLapsed
	}
}

func (m *machine) decide(t *rapid.T) {
	by := rapid.SampledFrom([]string{"alice", "bob", "carol", "eve", "ghost"}).Draw(t, "by")
	yes := rapid.Bool().Draw(t, "yes")
	_, err := m.f.Decide(context.Background(), m.id, actor(by), yes, "")
	prior, decided := m.yes[by]
	approver := by == "bob" || by == "carol"
	switch {
	case decided && prior == yes: // a repetition
		if err != nil {
			t.Fatalf("repeating: %v", err)
		}
	case m.state != sallyport.RequestPending || !approver || decided:
		if err == nil {
			t.Fatalf("%s decided (%v) a request that is %s", by, yes, m.state)
		}
	case err != nil:
		t.Fatalf("%s may decide: %v", by, err)
	default:
		m.yes[by] = yes
		if !yes {
			m.state = sallyport.RequestDenied
		} else if len(m.yes) == m.need {
			m.state, m.start = sallyport.RequestApproved, m.now
		}
	}
}

func (m *machine) cancel(t *rapid.T) {
	_, err := m.f.Cancel(context.Background(), m.id, actor("alice"), false)
	ok := m.state == sallyport.RequestPending || m.state == sallyport.RequestCancelled
	if ok != (err == nil) {
		t.Fatalf("cancelling what is %s: %v", m.state, err)
	}
	if ok {
		m.state = sallyport.RequestCancelled
	}
}

func (m *machine) live() bool {
	return m.state == sallyport.RequestApproved && !m.ended && m.now.Before(m.start.Add(time.Hour))
}

func (m *machine) revoke(t *rapid.T) {
	r, err := m.f.Revoke(context.Background(), m.id, actor("eve"), "why")
	if m.live() {
		m.ended = true
	}
	if (err == nil) != m.ended {
		t.Fatalf("revoking: %+v, %v", r.Grant, err)
	}
}

func (m *machine) killIt(t *rapid.T) {
	_, err := m.f.Kill(context.Background(), m.id, actor("eve"), "why")
	running := m.state == sallyport.RequestApproved && m.now.Before(m.start.Add(time.Hour))
	if running != (err == nil) {
		t.Fatalf("killing: %v", err)
	}
	m.kill = m.kill || running
}

func (m *machine) check(t *rapid.T) {
	r, err := m.f.Get(context.Background(), m.id)
	if err != nil || r.State != m.state {
		t.Fatalf("state %s, want %s (%v)", r.State, m.state, err)
	}
	if (r.Grant != nil) != (m.state == sallyport.RequestApproved) {
		t.Fatalf("a request that is %s has the grant %+v", r.State, r.Grant)
	}
	if r.Grant != nil && (!r.Grant.Start.Equal(m.start) || r.Grant.End.Sub(r.Grant.Start) != r.For) {
		t.Fatalf("grant from %v to %v, approved at %v", r.Grant.Start, r.Grant.End, m.start)
	}
	want := m.live() && !m.kill
	if _, _, err := m.f.Active(context.Background(), "alice", root); (err == nil) != want {
		t.Fatalf("active: %v, want %v", err, want)
	}
	if err := m.f.Still(context.Background(), session(r)); (err == nil) != want {
		t.Fatalf("still: %v, want %v", err, want)
	}
}

func TestApprovalStateMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		need := rapid.IntRange(1, 2).Draw(t, "need")
		m := &machine{
			f: newFixture(t, need), need: need, yes: map[string]bool{},
			now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), state: sallyport.RequestPending,
		}
		m.f.Now = func() time.Time { return m.now }
		m.lapse = m.now.Add(DefaultLapse)
		r, err := m.f.Create(context.Background(), Ask{By: actor("alice"), Access: root, For: time.Hour, Reason: "why"})
		if err != nil {
			t.Fatal(err)
		}
		m.id = r.ID
		t.Repeat(map[string]func(*rapid.T){
			"": m.check, "wait": m.wait, "decide": m.decide, "cancel": m.cancel,
			"revoke": m.revoke, "kill": m.killIt,
		})
	})
}
