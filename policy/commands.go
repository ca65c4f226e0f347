package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/policy/shell"
)

// Commands are the compiled command rules of a role. A nil *Commands judges
// nothing. It is safe for concurrent use.
type Commands struct {
	rules     []*rule
	opaque    sallyport.Action
	tamper    sallyport.Action
	unread    sallyport.Action
	unlisted  sallyport.Action // of an allow-list
	allowList bool
	judging   bool
	masks     []*maskPattern
	facts     bool             // For has picked the rules
	now       func() time.Time // nil: not known
}

// Verdict is what a line meets: the most severe of everything that was found
// in it.
type Verdict struct {
	Action     sallyport.Action
	Rule       string          // the rule that decided, as people would write it; empty for a class
	Class      sallyport.Class // the class that decided; empty for a rule
	Reason     string          // a lower-case clause for the user
	Incomplete bool            // the shell would ask for more: judge it with what follows
	Heredoc    *Heredoc        // what more lines would belong to first; nil: none is open
	Program    string          // the program that it is about
}

// Heredoc is a here-document that is open at the end of a line.
type Heredoc = shell.Heredoc

// RuleError is a command rule that does not compile, by its index in the role.
type RuleError struct {
	Index int
	Err   error
}

func (e *RuleError) Error() string { return fmt.Sprintf("command rule %d: %v", e.Index+1, e.Err) }

func (e *RuleError) Unwrap() error { return e.Err }

// CompileCommands checks and compiles command rules. The error is a *RuleError
// where one rule is to blame.
//
// A class that is not named gets its default once there are rules: opaque and
// tamper alert, unverifiable denies. In an allow-list all of them deny.
func CompileCommands(c sallyport.Commands) (*Commands, error) {
	if c.Mode != "" && !slices.Contains(sallyport.Modes, c.Mode) {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%q is no mode of command rules", c.Mode).
			WithHint("expected deny-list or allow-list")
	}
	out := &Commands{allowList: c.Mode == sallyport.AllowList}
	out.judging = len(c.Rules) > 0 || out.allowList
	for i, r := range c.Rules {
		compiled, err := compileRule(r, out.allowList)
		if err != nil {
			return nil, &RuleError{Index: i, Err: err}
		}
		out.rules = append(out.rules, compiled)
	}
	if out.judging {
		out.opaque, out.tamper, out.unread = sallyport.Alert, sallyport.Alert, sallyport.Deny
	}
	if out.allowList {
		out.opaque, out.tamper, out.unlisted = sallyport.Deny, sallyport.Deny, sallyport.Deny
	}
	for _, m := range c.Mask {
		pattern, err := compileMask(m)
		if err != nil {
			return nil, err
		}
		out.masks = append(out.masks, pattern)
	}
	for class, action := range c.Classes {
		if action < sallyport.Allow || action > sallyport.Terminate {
			return nil, sallyport.Errorf(sallyport.CodeInvalid, "class %s has no known action", class)
		}
		switch class {
		case sallyport.ClassOpaque:
			out.opaque = action
		case sallyport.ClassTamper:
			out.tamper = action
		case sallyport.ClassUnverifiable:
			out.unread = action
		case sallyport.ClassUnlisted:
			if !out.allowList {
				return nil, sallyport.Errorf(sallyport.CodeInvalid, "only an allow-list has lines that are unlisted").
					WithHint("add mode: allow-list, or leave the class out")
			}
			out.unlisted = action
		default:
			return nil, sallyport.Errorf(sallyport.CodeInvalid, "%q is no class of lines", class).
				WithHint("expected opaque, tamper, unverifiable or unlisted")
		}
		out.judging = out.judging || action != sallyport.Allow
	}
	return out, nil
}

// Active reports whether there is anything to judge.
func (c *Commands) Active() bool { return c != nil && c.judging }

// Unverifiable returns the verdict on a line that could not be read.
func (c *Commands) Unverifiable() Verdict {
	if !c.Active() {
		return Verdict{}
	}
	return Verdict{
		Action: c.unread, Class: sallyport.ClassUnverifiable,
		Reason: "the command line could not be verified",
	}
}

// Judge returns what the line meets. The line may span several lines of text.
// The zero Verdict allows it.
func (c *Commands) Judge(line string) (v Verdict) {
	if !c.Active() && !c.Masks() { // a mask has to know which lines belong together
		return Verdict{}
	}
	defer func() {
		if recover() != nil { // fail closed
			v = c.Unverifiable()
		}
	}()
	s := shell.Parse(line)
	v = c.judge(&s)
	if p := c.Masked(v.Program); p != v.Program { // MY-TOKEN=x is no assignment, but a program's name
		v.Program, v.Reason = p, strings.ReplaceAll(v.Reason, v.Program, p)
	}
	v.Incomplete, v.Heredoc = s.Incomplete, s.Heredoc
	return v
}

func (c *Commands) judge(s *shell.Script) Verdict {
	var worst Verdict
	c.answers(s, func(a Answer) {
		if a.Verdict.Action > worst.Action {
			worst = a.Verdict
		}
	})
	return worst
}

// answers tells each answer to the line, in the order of the rules, then of the
// classes. Of equally severe ones the first counts.
func (c *Commands) answers(s *shell.Script, tell func(Answer)) {
	for _, r := range c.rules {
		if len(r.sftp) > 0 || r.strict && r.action == sallyport.Allow || !c.holds(r) {
			continue
		}
		calls, about := s.Calls, 0
		if r.redirects() {
			calls, about = s.Redirects, -1
		}
		i, m := r.match(calls)
		if m == no {
			continue
		}
		v := Verdict{Action: r.action, Rule: r.text, Program: display(calls[i].Program)}
		v.Reason = fmt.Sprintf("%s is not allowed here (rule: %s)", v.Program, r.text)
		if r.action == sallyport.Alert {
			v.Reason = fmt.Sprintf("%s raises an alert (rule: %s)", v.Program, r.text)
		}
		if m == maybe {
			v.Action, v.Class, v.Rule = c.opaque, sallyport.ClassOpaque, ""
			v.Reason = "it cannot be read from the line whether it meets the rule " + r.text + ": write its words out"
		}
		if about == 0 {
			about = i
		}
		tell(Answer{Call: about, Verdict: v})
	}
	if c.allowList {
		c.unlistedIn(s, tell)
	}
	if s.Unread != "" {
		v := c.Unverifiable()
		v.Reason += ": " + s.Unread
		tell(Answer{Call: -1, Verdict: v})
	}
	for _, f := range s.Findings {
		v := Verdict{Action: c.opaque, Class: sallyport.ClassOpaque, Program: f.Program, Reason: f.Reason}
		if f.Kind == shell.Tamper {
			v.Action, v.Class = c.tamper, sallyport.ClassTamper
		}
		tell(Answer{Call: -1, Verdict: v})
	}
}
