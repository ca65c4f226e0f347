// Package control holds what people do to the gateway: each operation once,
// with its permission check and its audit entry. The console and later the web
// portal call it and add only their own form.
//
// What a person may not see does not exist for them: it is not found, exactly
// as an id that nobody ever drew.
package control

import (
	"context"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/grant"
	"sallyport/policy"
	"sallyport/replay"
)

// Control is the gateway as people reach it. Its methods are safe for
// concurrent use; the fields must not change once it is in use.
type Control struct {
	Grants  *grant.Service
	Policy  func() *policy.Policy // the one in force
	Audit   Audit
	Live    Live
	Library *replay.Library
	Now     func() time.Time // nil: time.Now
	Name    string           // what people call the gateway, for hints; empty: gate

	// CertAuthority returns the known_hosts line, with its newline, that makes a
	// client trust the gateway in the names that the patterns match. Nil: none.
	CertAuthority func(patterns []string) string
}

// Audit takes every operation before it takes effect. An error means that it
// must not take effect.
type Audit interface {
	Append(e sallyport.Event) error
	AppendSync(e sallyport.Event) error // and it is on the disk
}

// Live is the live sessions.
type Live interface {
	Sessions() []sallyport.Session
	// Recheck ends the sessions that may not go on, and returns when they have
	// ended.
	Recheck(ctx context.Context) error
}

// Caller is who asks.
type Caller = sallyport.Actor

// endWithin bounds how long an operation waits for sessions to end.
const endWithin = 10 * time.Second

func (c *Control) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// Clock returns the time that the gateway goes by, in its own zone.
func (c *Control) Clock() time.Time { return c.now() }

// Command returns what the caller types for a verb: through ssh, or on the
// gateway itself.
func (c *Control) Command(caller Caller, verb string) string {
	if caller.Admin {
		return "sallyport " + verb
	}
	return "ssh " + c.gate() + " " + verb
}

func (c *Control) gate() string {
	if c.Name == "" {
		return "gate"
	}
	return c.Name
}

func (c *Control) can(caller Caller, p sallyport.Permission) bool {
	return caller.Admin || c.Policy().Can(caller.User, p)
}

// require refuses, and records that it did, where the caller lacks the permission
// or is locked. The answer is the same for every id, so that it tells nothing.
func (c *Control) require(ctx context.Context, caller Caller, p sallyport.Permission, e sallyport.Event) error {
	if c.can(caller, p) {
		return c.unlocked(ctx, caller, e)
	}
	return c.refused(caller, e, sallyport.Errorf(sallyport.CodeDenied, "you need the permission %q for that", p).
		WithHint("see what you may do: %s", c.Command(caller, "whoami")))
}

// unlocked refuses a caller who is locked, whatever else they may do.
func (c *Control) unlocked(ctx context.Context, caller Caller, e sallyport.Event) error {
	if caller.Admin {
		return nil
	}
	if err := c.Grants.UserUnlocked(ctx, caller.User); err != nil {
		return c.refused(caller, e, err)
	}
	return nil
}

// refused records a refusal and returns why.
func (c *Control) refused(caller Caller, e sallyport.Event, why error) error {
	e.Outcome, e.Severity = "refused", sallyport.SeverityWarning
	if err := c.record(caller, e); err != nil {
		return err
	}
	return why
}

// record writes e to the audit log, as done by the caller.
func (c *Control) record(caller Caller, e sallyport.Event) error {
	e.Time, e.User, e.From = c.now(), caller.User, caller.From
	if e.Outcome == "" {
		e.Outcome = "ok"
	}
	if err := c.Audit.AppendSync(e); err != nil {
		return sallyport.Errorf(sallyport.CodeUnavail, "this cannot be recorded in the audit log: %w", err).
			WithHint("tell the operator of the gateway")
	}
	return nil
}

// recheck ends what may no longer live. It goes on when the caller has left: the
// block is written, and half a kill is none.
func (c *Control) recheck(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	if err := c.Live.Recheck(ctx); err != nil {
		return sallyport.Errorf(sallyport.CodeUnavail, "nothing new can start, but not every session is known to have ended: %w", err).
			WithHint("see: sessions ls")
	}
	return nil
}

// maxCandidates bounds how many ids an error names.
const maxCandidates = 5

// pick returns the one of all whose id begins with prefix. all is only what the
// caller may see, so that neither the count nor the candidates tell of more.
func pick[T any](noun, prefix string, all []T, id func(T) string) (T, error) {
	var none T
	notFound := sallyport.Errorf(sallyport.CodeNotFound, "no %s %.16q", noun, prefix).WithHint("see: %ss ls", noun)
	if noun == "request" || noun == "lock" {
		notFound.Hint = "see: " + noun + " ls"
	}
	if !sallyport.IsIDPrefix(prefix) {
		return none, notFound
	}
	var found []T
	for _, t := range all {
		if strings.HasPrefix(id(t), prefix) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 0:
		return none, notFound
	case 1:
		return found[0], nil
	}
	ids := make([]string, len(found))
	for i, t := range found {
		ids[i] = id(t)
	}
	slices.Sort(ids)
	more := ""
	if n := len(ids) - maxCandidates; n > 0 {
		ids, more = ids[:maxCandidates], " and more"
	}
	return none, sallyport.Errorf(sallyport.CodeUsage, "%s is ambiguous: %s%s", prefix, strings.Join(ids, ", "), more).
		WithHint("type more characters of the id")
}
