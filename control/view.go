package control

import (
	"time"

	"sallyport"
	"sallyport/grant"
)

// The types below are what people see, flat and with stable names: -o json
// prints them and the web serves them.

// Access is one access that a user may use or ask for, under one role.
type Access struct {
	Account  string   `json:"account"`
	Target   string   `json:"target"`
	Role     string   `json:"role"`
	State    string   `json:"state"`             // active, scheduled, pending, locked or eligible
	Max      int64    `json:"max_seconds"`       // longest duration
	Approval string   `json:"approval"`          // auto, or how many must agree
	Channels []string `json:"channels"`          // what a session may do
	Request  string   `json:"id,omitempty"`      // of the request or grant that State is about
	Command  string   `json:"command,omitempty"` // the only one that it is for

	StartedAt time.Time `json:"started_at,omitzero"`
	EndsAt    time.Time `json:"ends_at,omitzero"`
}

// Request is a request as people see it.
type Request struct {
	ID        string     `json:"id"`
	User      string     `json:"user"`
	Account   string     `json:"account"`
	Target    string     `json:"target"`
	Role      string     `json:"role"`
	State     string     `json:"state"`
	For       int64      `json:"for_seconds"`
	Start     time.Time  `json:"start,omitzero"`
	Reason    string     `json:"reason"`
	Ticket    string     `json:"ticket,omitempty"`
	Command   string     `json:"command,omitempty"`         // the only one that it is for
	Warning   string     `json:"command_warning,omitempty"` // what an approver should look at in it
	CreatedAt time.Time  `json:"created_at"`
	LapsesAt  time.Time  `json:"lapses_at,omitzero"`
	DecidedAt time.Time  `json:"decided_at,omitzero"`
	Decisions []Decision `json:"decisions"`
	Approvers []string   `json:"approvers"` // who can decide it now
	Missing   int        `json:"missing"`   // approvals, in the present stage
	Grant     *Grant     `json:"grant,omitempty"`
}

// Decision is one answer to a request.
type Decision struct {
	By      string    `json:"by"`
	Approve bool      `json:"approve"`
	Reason  string    `json:"reason,omitempty"`
	Stage   int       `json:"stage"`
	At      time.Time `json:"at"`
}

// Grant is a grant as people see it.
type Grant struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	Account   string    `json:"account"`
	Target    string    `json:"target"`
	Role      string    `json:"role"`
	State     string    `json:"state"`
	StartedAt time.Time `json:"started_at"`
	EndsAt    time.Time `json:"ends_at"`
	Reason    string    `json:"reason"`
	Command   string    `json:"command,omitempty"` // the only one that it allows
	EndedAt   time.Time `json:"ended_at,omitzero"`
	EndedBy   string    `json:"ended_by,omitempty"`
	EndReason string    `json:"end_reason,omitempty"`
}

// Session is a session as people see it.
type Session struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	Account   string    `json:"account"`
	Target    string    `json:"target"`
	Role      string    `json:"role"`
	Grant     string    `json:"grant"`
	Command   string    `json:"command,omitempty"` // the only one that the grant allows
	State     string    `json:"state"`             // live or ended
	From      string    `json:"from"`
	Address   string    `json:"address"`
	Client    string    `json:"client"`
	Channels  int       `json:"channels"`
	StartedAt time.Time `json:"started_at"`
	ExpiresAt time.Time `json:"expires_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	Cause     string    `json:"cause,omitempty"`
	By        string    `json:"by,omitempty"`
	Reason    string    `json:"reason,omitempty"`
}

// Recording is what a session left. Its id is the session's.
type Recording struct {
	Session
	Names     []string `json:"channel_names"`
	Sealed    bool     `json:"sealed"`
	Truncated bool     `json:"truncated"`
	Damaged   string   `json:"damaged,omitempty"`
}

// Person is who the caller is.
type Person struct {
	User        string   `json:"user"`
	Kind        string   `json:"kind,omitempty"`
	Groups      []string `json:"groups"`
	Permissions []string `json:"permissions"`
	From        string   `json:"from,omitempty"`
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func (c *Control) viewRequest(r sallyport.Request) Request {
	now := c.now()
	v := Request{
		ID: r.ID, User: r.User, Account: r.Access.Account, Target: r.Access.Target, Role: r.Role,
		State: string(r.StateAt(now)), For: seconds(r.For), Start: r.Start, Reason: r.Reason, Ticket: r.Ticket,
		Command: r.Command, Warning: grant.CommandWarning(c.Policy(), r),
		CreatedAt: r.CreatedAt, LapsesAt: r.LapsesAt, DecidedAt: r.DecidedAt,
		Decisions: []Decision{}, Approvers: []string{},
	}
	for _, d := range r.Decisions {
		v.Decisions = append(v.Decisions, Decision{By: d.By, Approve: d.Approve, Reason: d.Reason, Stage: d.Stage, At: d.At})
	}
	if r.StateAt(now) == sallyport.RequestPending {
		p := c.Policy()
		v.Approvers = append(v.Approvers, p.Approvers(r)...)
		_, _, v.Missing, _ = p.Stage(r)
	}
	if r.Grant != nil {
		g := viewGrant(r, now)
		v.Grant = &g
	}
	return v
}

// viewGrant shows the grant of a request that has one.
func viewGrant(r sallyport.Request, now time.Time) Grant {
	g := r.Grant
	return Grant{
		ID: g.ID, User: g.User, Account: g.Access.Account, Target: g.Access.Target, Role: g.Role,
		State: string(g.StateAt(now)), StartedAt: g.Start, EndsAt: g.End, Reason: r.Reason, Command: g.Command,
		EndedAt: g.EndedAt, EndedBy: g.EndedBy, EndReason: g.EndReason,
	}
}

func viewSession(s sallyport.Session) Session {
	v := Session{
		ID: s.ID, User: s.User, Account: s.Access.Account, Target: s.Access.Target, Role: s.Role, Grant: s.Grant, Command: s.Command,
		State: "live", From: s.From, Address: s.Address, Client: s.Client, Channels: s.Channels,
		StartedAt: s.StartedAt, ExpiresAt: s.ExpiresAt, EndedAt: s.EndedAt,
		Cause: string(s.Cause), By: s.By, Reason: s.Reason,
	}
	if !s.EndedAt.IsZero() || s.Cause != "" {
		v.State = "ended"
	}
	return v
}

func viewSessions(all []sallyport.Session) []Session {
	list := make([]Session, len(all))
	for i, s := range all {
		list[i] = viewSession(s)
	}
	return list
}
