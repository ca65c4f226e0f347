package grant

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport"
	"sallyport/policy"
)

// Ask is what somebody asks for.
type Ask struct {
	By     sallyport.Actor
	Access sallyport.Access // the target by name or alias
	For    time.Duration
	Start  time.Time // zero: at approval
	Reason string
	Ticket string
	Role   string // "": the first that fits, in configuration order

	// Command is the only command that the grant shall allow, as the account's
	// shell at the target will run it. "": any work.
	Command string
}

// Create files a request. Under a role with automatic approval it comes back
// approved, with its grant; otherwise it is pending.
func (s *Service) Create(ctx context.Context, ask Ask) (sallyport.Request, error) {
	ask.Access = s.canonical(ask.Access)
	ask.Reason, ask.Ticket = strings.TrimSpace(ask.Reason), strings.TrimSpace(ask.Ticket)
	refusal := sallyport.Event{
		Type: "request.create", User: ask.By.User, From: ask.By.From, Account: ask.Access.Account, Target: ask.Access.Target,
		Role: ask.Role,
	}
	now := s.now()
	role, err := s.terms(ask, now)
	if err != nil {
		return sallyport.Request{}, s.refused(refusal, err)
	}
	if err := s.unlocked(ctx, ask.By.User, ask.Access, ""); err != nil {
		return sallyport.Request{}, s.refused(refusal, err)
	}
	id, err := sallyport.NewID(s.Random)
	if err != nil {
		return sallyport.Request{}, err
	}
	lapse := s.Lapse
	if lapse == 0 {
		lapse = DefaultLapse
	}
	r := sallyport.Request{
		ID: id, User: ask.By.User, Access: ask.Access, Role: role.Name, For: ask.For, Start: utc(ask.Start),
		Reason: ask.Reason, Ticket: ask.Ticket, Command: ask.Command, CreatedAt: utc(now), LapsesAt: utc(now.Add(lapse)),
		State: sallyport.RequestPending,
	}
	if end := r.Start.Add(r.For); !r.Start.IsZero() && end.Before(r.LapsesAt) {
		r.LapsesAt = end // an answer after the window helps nobody
	}
	e := event("request.create", ask.By, r)
	e.Reason = r.Reason
	e.Details = map[string]string{"for": r.For.String(), "digest": r.Digest()}
	if r.Ticket != "" {
		e.Details["ticket"] = r.Ticket
	}
	if r.Command != "" {
		e.Details["command"] = r.Command
	}
	if !r.Start.IsZero() {
		e.Details["start"] = r.Start.Format(time.RFC3339)
	}
	if role.Approval.Auto {
		approve(&r, now)
		e.Grant, e.Outcome = r.Grant.ID, "approved"
	}

	s.creating.Lock()
	defer s.creating.Unlock()
	if role.Approval.Auto {
		if err := s.notKilled(ctx, ask, now); err != nil {
			return sallyport.Request{}, s.refused(refusal, err)
		}
	}
	if err := s.room(ctx, r, now); err != nil {
		return sallyport.Request{}, err
	}
	err = put(ctx, s, s.Store, r.ID, func(old *sallyport.Request) (*sallyport.Request, sallyport.Event, error) {
		if old != nil {
			return nil, e, sallyport.Errorf(sallyport.CodeConflict, "the id %s is taken", r.ID).WithHint("try again")
		}
		return &r, e, nil
	})
	if err != nil {
		return sallyport.Request{}, err
	}
	return r, nil
}

// notKilled refuses automatic approval where the SOC has killed the user's
// session on this access: a kill that a script undoes in a second is none.
func (s *Service) notKilled(ctx context.Context, ask Ask, now time.Time) error {
	locks, err := s.standing(ctx)
	if err != nil {
		return err
	}
	for _, l := range locks {
		if !l.Kill || !l.Covers(ask.By.User, ask.Access, l.Grant, now) {
			continue
		}
		r, err := s.Store.Get(ctx, l.Grant)
		if err != nil && sallyport.CodeOf(err) != sallyport.CodeNotFound {
			return err
		}
		if err == nil && r.User == ask.By.User && r.Access == ask.Access {
			return sallyport.Errorf(sallyport.CodeDenied, "your session was killed: %s", l.Reason).
				WithHint("ask the SOC to remove lock %s", l.ID)
		}
	}
	return nil
}

// terms returns the role under which the ask is acceptable.
func (s *Service) terms(ask Ask, now time.Time) (sallyport.Role, error) {
	var none sallyport.Role
	roles := s.Policy().Eligible(ask.By.User, ask.Access)
	if len(roles) == 0 {
		return none, notYours(ask.Access)
	}
	if ask.Role != "" {
		i := indexRole(roles, ask.Role)
		if i < 0 {
			return none, sallyport.Errorf(sallyport.CodeDenied, "you cannot ask for %s under the role %q", ask.Access, ask.Role).
				WithHint("ls lists your roles")
		}
		roles = roles[i : i+1]
	}
	if err := checkText("reason", ask.Reason, maxReason); err != nil {
		return none, err
	}
	if err := checkText("ticket", ask.Ticket, maxTicket); err != nil {
		return none, err
	}
	if err := checkCommand(ask.Command); err != nil {
		return none, err
	}
	if ask.For < minDuration {
		return none, sallyport.Errorf(sallyport.CodeUsage, "how long is missing").WithHint("add for example --for 1h")
	}
	if !ask.Start.IsZero() && ask.Start.Before(now.Add(-clockSlack)) {
		return none, sallyport.Errorf(sallyport.CodeUsage, "the start is in the past").
			WithHint("leave --start out to begin at the approval")
	}
	if ask.Start.After(now.Add(maxAhead)) {
		return none, sallyport.Errorf(sallyport.CodeUsage, "the start is more than %d days ahead", maxAhead/(24*time.Hour))
	}
	var first error
	for _, r := range roles {
		err := fits(s.Policy(), r, ask)
		if err == nil {
			return r, nil
		}
		if first == nil {
			first = err
		}
	}
	return none, first
}

func indexRole(roles []sallyport.Role, name string) int {
	for i, r := range roles {
		if r.Name == name {
			return i
		}
	}
	return -1
}

func fits(p *policy.Policy, r sallyport.Role, ask Ask) error {
	if why := judged(p, r, ask.Command); why != "" {
		return sallyport.Errorf(sallyport.CodeDenied, "%s", why).WithHint("no approval allows what the role refuses")
	}
	if ask.For > r.MaxDuration {
		return sallyport.Errorf(sallyport.CodeInvalid, "%s is longer than the role %s allows", sallyport.FormatDuration(ask.For), r.Name).
			WithHint("ask for at most --for %s", sallyport.FormatDuration(r.MaxDuration))
	}
	if r.Justification && ask.Reason == "" {
		return sallyport.Errorf(sallyport.CodeUsage, "the role %s asks for a reason", r.Name).
			WithHint("add --reason and why you need it")
	}
	return nil
}

// room refuses a second pending request by the same user for the same access,
// a second command there, and more requests than a person, or a script that
// works, makes in a day. A request for any work and one for one command do not
// stand in each other's way.
func (s *Service) room(ctx context.Context, r sallyport.Request, now time.Time) error {
	all, err := s.Store.List(ctx, r.User+"/")
	if err != nil {
		return err
	}
	today := 0
	for _, o := range all {
		if now.Sub(o.CreatedAt) < 24*time.Hour {
			today++
		}
		if today >= maxPerDay {
			return sallyport.Errorf(sallyport.CodeUnavail, "you have made %d requests within a day, which is the limit", today).
				WithHint("ask for longer, and less often")
		}
		if err := alone(o, r, now); err != nil {
			return err
		}
		if o.Access == r.Access && o.StateAt(now) == sallyport.RequestPending && (o.Command == "") == (r.Command == "") {
			return sallyport.Errorf(sallyport.CodeConflict, "your request %s for %s is still pending", o.ID, r.Access).
				WithHint("request cancel %s withdraws it", o.ID)
		}
	}
	return nil
}

// approve turns a request into its grant. The clock starts here, unless the
// request names a start.
func approve(r *sallyport.Request, now time.Time) {
	start := r.Start
	if start.IsZero() {
		start = utc(now)
	}
	r.State, r.DecidedAt = sallyport.RequestApproved, utc(now)
	r.Grant = &sallyport.Grant{
		ID: r.ID, User: r.User, Access: r.Access, Role: r.Role, Command: r.Command,
		Start: start, End: start.Add(r.For),
	}
}

// canonical names the target of an access by its name, where it is known.
func (s *Service) canonical(a sallyport.Access) sallyport.Access {
	if t, ok := s.Policy().Target(a.Target); ok {
		a.Target = t.Name
	}
	return a
}

// notYours is the one answer for a target that does not exist and one that is
// not the user's: the difference would tell what is behind the gateway.
func notYours(a sallyport.Access) error {
	return sallyport.Errorf(sallyport.CodeDenied, "%s is not yours to ask for", a).
		WithHint("ls lists what is")
}

// checkText refuses what could not be shown to an approver as it is: control
// and format characters can forge the line that somebody says yes to.
func checkText(what, s string, limit int) error {
	if len(s) > limit {
		return sallyport.Errorf(sallyport.CodeInvalid, "the %s is longer than %d bytes", what, limit)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return sallyport.Errorf(sallyport.CodeInvalid, "the %s holds characters that cannot be shown", what).
			WithHint("write it in plain text on one line")
	}
	return nil
}

// utc drops the monotonic reading and the zone: what is stored is what is
// compared after a restart.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Round(0)
}
