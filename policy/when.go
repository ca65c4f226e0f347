package policy

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport"
)

// Facts are what is known of a session, for rules that hold for some only.
type Facts struct {
	User    string
	Groups  []string
	Role    string
	Target  string // its name, not an alias
	Labels  map[string]string
	Account string
	Now     func() time.Time // nil: rules bound to times hold always
}

// when is a compiled condition.
type when struct {
	sallyport.CommandWhen
	days     [7]bool // by time.Weekday; none set: every day
	from, to int     // minutes of the day; equal: all of it
	zone     *time.Location
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// compileWhen checks a condition. The result is nil where there is none.
func compileWhen(w *sallyport.CommandWhen) (*when, error) {
	if w == nil {
		return nil, nil
	}
	bad := func(hint, format string, args ...any) (*when, error) {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, format, args...).WithHint("%s", hint)
	}
	out := &when{CommandWhen: *w, zone: time.Local}
	for _, t := range w.Targets {
		if _, err := path.Match(t, ""); err != nil {
			return bad(`expected a name, or a pattern with * or ?`, "%q is no pattern for the names of targets", t)
		}
	}
	if w.Time != "" {
		from, to, _ := strings.Cut(w.Time, "-")
		var okFrom, okTo bool
		out.from, okFrom = minutes(from)
		out.to, okTo = minutes(to)
		if !okFrom || !okTo || out.from == out.to || out.from == 24*60 {
			return bad(`expected for example "22:00-06:00"`, "%q is no time of the day", w.Time)
		}
	}
	for _, d := range w.Days {
		i := slices.Index(weekdays, d)
		if i < 0 {
			return bad("expected mon, tue, wed, thu, fri, sat or sun", "%q is no day", d)
		}
		out.days[i] = true
	}
	if w.Zone != "" {
		zone, err := time.LoadLocation(w.Zone)
		if err != nil || w.Zone == "Local" {
			return bad("expected a name such as Europe/Berlin or UTC", "%q is no time zone", w.Zone)
		}
		out.zone = zone
		if w.Time == "" && len(w.Days) == 0 {
			return bad("add time or days, or leave it out", "a zone says nothing without a time or days")
		}
	}
	if len(w.Users)+len(w.Groups)+len(w.Targets)+len(w.Labels)+len(w.Accounts)+len(w.Days) == 0 && w.Time == "" {
		return bad("name users, groups, targets, labels, accounts, time or days, or leave it out", "the condition is empty")
	}
	return out, nil
}

// minutes reads 22:00.
func minutes(s string) (int, bool) {
	h, m, ok := strings.Cut(strings.TrimSpace(s), ":")
	hour, err1 := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	n := int(hour)*60 + int(minute)
	return n, ok && err1 == nil && err2 == nil && len(m) == 2 && minute < 60 && n <= 24*60
}

// fits reports whether the facts that do not change within a session fit.
func (w *when) fits(f Facts) bool {
	who := sallyport.Members{Users: w.Users, Groups: w.Groups}
	if len(w.Users)+len(w.Groups) > 0 && !who.Has(sallyport.User{Name: f.User, Groups: f.Groups}) {
		return false
	}
	where := sallyport.Selector{Names: w.Targets, Labels: w.Labels}
	if len(w.Targets)+len(w.Labels) > 0 && !where.Matches(sallyport.Target{Name: f.Target, Labels: f.Labels}) {
		return false
	}
	return len(w.Accounts) == 0 || slices.Contains(w.Accounts, f.Account)
}

// timed reports whether the condition depends on the time.
func (w *when) timed() bool { return w.Time != "" || len(w.Days) > 0 }

// holds reports whether the time fits. After midnight a span that began the day
// before belongs to that day.
func (w *when) holds(now time.Time) bool {
	now = now.In(w.zone)
	minute, day := now.Hour()*60+now.Minute(), now.Weekday()
	if w.from > w.to && minute < w.to {
		day, minute = (day+6)%7, minute+24*60
	}
	end := w.to
	if w.from >= w.to {
		end += 24 * 60
	}
	return (len(w.Days) == 0 || w.days[day]) && (w.from == w.to || minute >= w.from && minute < end)
}

// For returns the rules that hold for the session that the facts describe.
// Conditions of time are asked again with each line. A nil *Commands stays nil.
//
// Without For every rule with a condition holds, but for one that allows.
func (c *Commands) For(f Facts) *Commands {
	if c == nil || !slices.ContainsFunc(c.rules, func(r *rule) bool { return r.when != nil }) {
		return c
	}
	out := *c
	out.rules, out.now, out.facts = make([]*rule, 0, len(c.rules)), f.Now, true
	for _, r := range c.rules {
		if r.when == nil || r.when.fits(f) {
			out.rules = append(out.rules, r)
		}
	}
	return &out
}

// holds reports whether the rule is in force now.
func (c *Commands) holds(r *rule) bool {
	switch {
	case r.when == nil:
		return true
	case c.facts && !r.when.timed():
		return true // For has asked
	case c.facts && c.now != nil:
		return r.when.holds(c.now())
	}
	return r.action != sallyport.Allow // nobody can say: fail closed
}
