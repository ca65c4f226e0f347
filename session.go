package sallyport

import (
	"errors"
	"fmt"
	"time"
)

// Session is one user's work on one access under one grant: one client
// connection, any number of channels.
type Session struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	Access    Access    `json:"access"`
	Role      string    `json:"role"`
	Grant     string    `json:"grant"`
	From      string    `json:"from"`    // the client's address
	Address   string    `json:"address"` // the target's address, as dialled
	Client    string    `json:"client"`  // the client's version line
	StartedAt time.Time `json:"started_at"`
	ExpiresAt time.Time `json:"expires_at"`        // the end of its grant
	Command   string    `json:"command,omitempty"` // the only one that its grant allows; empty: any work
	Channels  int       `json:"channels"`          // open now (live) or in all (ended)

	EndedAt time.Time `json:"ended_at,omitzero"`
	Cause   Cause     `json:"cause,omitempty"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
}

// Cause says why a session ended.
type Cause string

// The causes.
const (
	CauseClosed           Cause = "closed"
	CauseExpired          Cause = "expired"
	CauseRevoked          Cause = "revoked"
	CauseKilled           Cause = "killed"
	CauseForbiddenCommand Cause = "forbidden-command"
	CauseLocked           Cause = "locked"
	CauseIdle             Cause = "idle"
	CauseRecordingFailed  Cause = "recording-failed"
	CauseTargetLost       Cause = "target-lost"
	CauseClientLost       Cause = "client-lost"
	CauseShutdown         Cause = "shutdown"
	CauseCrash            Cause = "crash"
)

// Ending is the cause with which a session's context is cancelled. It decides
// the message on the user's screen, the exit status and the audit record.
type Ending struct {
	Cause  Cause
	By     string // who did it, where a person did
	Reason string // in that person's or the rule's words
}

// EndingOf returns the Ending in err's chain, if there is one.
func EndingOf(err error) (*Ending, bool) {
	var e *Ending
	ok := errors.As(err, &e)
	return e, ok
}

// Error tells the user why the session ended, in one line.
func (e *Ending) Error() string {
	var s string
	switch e.Cause {
	case CauseClosed:
		s = "the session was closed"
	case CauseExpired:
		s = "your grant has expired"
	case CauseRevoked:
		s = "your grant was revoked"
	case CauseKilled:
		s = "the session was killed"
	case CauseForbiddenCommand:
		s = "the session was ended by a command rule"
	case CauseLocked:
		s = "access is locked"
	case CauseIdle:
		s = "the session was idle for too long"
	case CauseRecordingFailed:
		s = "the session could not be recorded"
	case CauseTargetLost:
		s = "the target closed the connection"
	case CauseClientLost:
		s = "the client is gone"
	case CauseShutdown:
		s = "the gateway is shutting down"
	default:
		s = "the session ended: " + string(e.Cause)
	}
	if e.By != "" {
		s += " by " + e.By
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// Severity grades an event.
type Severity string

// The severities. The zero value counts as info.
const (
	SeverityInfo     Severity = "info"
	SeverityWarning  Severity = "warning"
	SeverityAlert    Severity = "alert"
	SeverityCritical Severity = "critical"
)

// Event is one line of the audit log: who did what, where, why, under which
// grant and session, from and to which address. It never holds a secret.
type Event struct {
	Time     time.Time         `json:"time"`
	Type     string            `json:"type"` // "session.start", "request.approve": noun.verb
	Severity Severity          `json:"severity,omitempty"`
	User     string            `json:"user,omitempty"` // who acted
	Account  string            `json:"account,omitempty"`
	Target   string            `json:"target,omitempty"`
	Role     string            `json:"role,omitempty"`
	Request  string            `json:"request,omitempty"`
	Grant    string            `json:"grant,omitempty"`
	Session  string            `json:"session,omitempty"`
	Channel  string            `json:"channel,omitempty"`
	From     string            `json:"from,omitempty"` // the client's address
	To       string            `json:"to,omitempty"`   // the target's address
	Outcome  string            `json:"outcome,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Details  map[string]string `json:"details,omitempty"`
}

// Warning returns the line that tells a user how long the grant still runs.
func Warning(left time.Duration) string {
	m := int((left + 30*time.Second) / time.Minute)
	if m == 1 {
		return "your grant expires in 1 minute"
	}
	return fmt.Sprintf("your grant expires in %d minutes", m)
}
