package sallyport

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// RequestState is where a request stands.
type RequestState string

// The states of a request.
const (
	RequestPending   RequestState = "pending"
	RequestApproved  RequestState = "approved"
	RequestDenied    RequestState = "denied"
	RequestCancelled RequestState = "cancelled"
	RequestLapsed    RequestState = "lapsed" // nobody decided in time
)

// GrantState is where a grant stands.
type GrantState string

// The states of a grant.
const (
	GrantScheduled GrantState = "scheduled"
	GrantActive    GrantState = "active"
	GrantExpired   GrantState = "expired"
	GrantRevoked   GrantState = "revoked"
	GrantReturned  GrantState = "returned"
)

// Request asks for an access for a while. Once approved it carries its grant,
// which has the same id: one id follows the work from asking to ending.
//
// The fields down to LapsesAt never change after creation; every approval is
// bound to their Digest.
type Request struct {
	ID        string        `json:"id"`
	User      string        `json:"user"`
	Access    Access        `json:"access"`
	Role      string        `json:"role"`
	For       time.Duration `json:"for"`
	Start     time.Time     `json:"start,omitzero"` // zero: at approval
	Reason    string        `json:"reason"`
	Ticket    string        `json:"ticket,omitempty"`
	Command   string        `json:"command,omitempty"` // the only one that it is for; empty: any work
	CreatedAt time.Time     `json:"created_at"`
	LapsesAt  time.Time     `json:"lapses_at"`

	State     RequestState `json:"state"`
	Decisions []Decision   `json:"decisions,omitempty"`
	DecidedAt time.Time    `json:"decided_at,omitzero"`
	Grant     *Grant       `json:"grant,omitempty"`
}

// Decision is one person's answer to a request.
type Decision struct {
	By      string    `json:"by"`
	Approve bool      `json:"approve"`
	Reason  string    `json:"reason,omitempty"`
	Stage   int       `json:"stage"` // from 0
	At      time.Time `json:"at"`
	Digest  string    `json:"digest"` // of the request that was answered
}

// Digest identifies what was asked for, so that an approval cannot be moved to
// another request or survive a change of this one.
func (r Request) Digest() string {
	what := []any{
		r.ID, r.User, r.Access.Account, r.Access.Target, r.Role, r.For,
		r.Start.UnixNano(), r.Reason, r.Ticket, r.CreatedAt.UnixNano(), r.LapsesAt.UnixNano(),
	}
	if r.Command != "" { // a request without one has the digest that it had before there were any
		what = append(what, r.Command)
	}
	b, err := json.Marshal(what)
	if err != nil {
		panic("sallyport: a request of plain fields does not marshal: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// StateAt returns the state of the request at the time now: a pending request
// that nobody answered in time has lapsed.
func (r Request) StateAt(now time.Time) RequestState {
	if r.State == RequestPending && !r.LapsesAt.IsZero() && !now.Before(r.LapsesAt) {
		return RequestLapsed
	}
	return r.State
}

// Grant is an approved request with its start and end.
type Grant struct {
	ID     string    `json:"id"`
	User   string    `json:"user"`
	Access Access    `json:"access"`
	Role   string    `json:"role"`
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`

	// Command, where it is not empty, is all that the grant allows: this one
	// command in these very words, and nothing besides.
	Command string `json:"command,omitempty"`

	// What ended it early, if anything did.
	EndedAt   time.Time  `json:"ended_at,omitzero"`
	EndedAs   GrantState `json:"ended_as,omitempty"` // revoked or returned
	EndedBy   string     `json:"ended_by,omitempty"`
	EndReason string     `json:"end_reason,omitempty"`
}

// StateAt returns the state of the grant at the time now.
func (g Grant) StateAt(now time.Time) GrantState {
	switch {
	case !g.EndedAt.IsZero():
		return g.EndedAs
	case !now.Before(g.End):
		return GrantExpired
	case now.Before(g.Start):
		return GrantScheduled
	default:
		return GrantActive
	}
}
