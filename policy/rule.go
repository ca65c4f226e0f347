package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sallyport"
	"sallyport/policy/shell"
)

// rule is a compiled command rule: calls that must appear in this order within
// one pipeline. A program rule has exactly one.
type rule struct {
	calls  []callPattern
	regex  *regexp.Regexp
	sftp   []string
	paths  []string
	when   *when
	strict bool // it says what may run: all of a call must fit
	action sallyport.Action
	text   string
}

// callPattern is what a call must look like.
type callPattern struct {
	program string   // pattern
	flags   []string // without dashes
	all     bool     // all of the flags, not any
	args    []string // patterns
	allArgs bool     // each of args by some argument, not any
	words   []string // of a match, its arguments as they were written
}

// kinds counts what a rule may be about, of which it needs exactly one.
func kinds(r sallyport.CommandRule) (n int) {
	for _, given := range []bool{r.Program != "", r.Match != "", r.Regex != "", len(r.SFTP) > 0} {
		if given {
			n++
		}
	}
	return n
}

// maxRegex bounds a regular expression, in bytes.
const maxRegex = 1000

func compileRule(r sallyport.CommandRule, allowList bool) (*rule, error) {
	bad := func(hint, format string, args ...any) (*rule, error) {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, format, args...).WithHint("%s", hint)
	}
	switch {
	case r.Action < sallyport.Allow || r.Action > sallyport.Terminate, r.Action == sallyport.Allow && !allowList:
		return bad("expected action: alert, deny or terminate", "it has no action that does anything")
	case kinds(r) == 0:
		return bad(`write for example program: rm, match: "rm -rf /*" or sftp: [remove]`, "it names neither a program nor a match")
	case kinds(r) > 1:
		return bad("write one rule for each", "it has more than one of program, match, regex and sftp")
	case r.Program == "" && len(r.Flags)+len(r.Args) > 0:
		return bad("write them into the pattern, or name a program", "flags and args need a program beside them")
	case len(r.SFTP) == 0 && len(r.Paths) > 0:
		return bad("write args for the arguments of a program", "paths need sftp beside them")
	}
	out := &rule{action: r.Action, text: ruleText(r), sftp: r.SFTP, paths: r.Paths, strict: allowList && r.Action <= sallyport.Alert}
	var err error
	if out.when, err = compileWhen(r.When); err != nil {
		return nil, fmt.Errorf("when: %w", err)
	}
	switch {
	case len(r.SFTP) > 0:
		return out, compileFiles(r)
	case r.Regex != "":
		if len(r.Regex) > maxRegex {
			return bad(fmt.Sprintf("expected up to %d bytes", maxRegex), "the regex is too long")
		}
		if out.regex, err = regexp.Compile(r.Regex); err != nil {
			return bad("expected the syntax of Go's regexp: no backreferences", "%s", err)
		}
		return out, nil
	case r.Match != "":
		out.calls, err = compileMatch(r.Match)
		if err == nil && out.strict && len(out.calls) > 1 {
			return bad("write one rule for each program", "a pipeline cannot be allowed as one")
		}
		return out, err
	}
	if strings.ContainsAny(r.Program, "/ \t\n") {
		return bad("a rule for rm meets /bin/rm too", "program %q is no base name", r.Program)
	}
	p := callPattern{program: r.Program, args: r.Args}
	for _, f := range r.Flags {
		f = strings.TrimLeft(f, "-")
		if f == "" || strings.ContainsAny(f, "= \t\n") {
			return bad("write the flag's name: r, recursive", "%q is no flag", f)
		}
		p.flags = append(p.flags, f)
	}
	if slices.Contains(p.args, "") {
		return bad(`"*" matches any argument`, "an argument pattern is empty")
	}
	out.calls = []callPattern{p}
	return out, nil
}

// compileMatch reads a pattern such as "rm -rf /*" or "curl * | sh". Flags must
// all be there, in any order and bundling; every other word must be met by some
// argument; a lone * stands for any arguments, none included.
func compileMatch(match string) ([]callPattern, error) {
	bad := func(hint string) error {
		return sallyport.Errorf(sallyport.CodeInvalid, "match %q is no pattern of a command", match).WithHint("%s", hint)
	}
	var calls []callPattern
	for stage := range strings.SplitSeq(match, "|") {
		words := strings.Fields(stage)
		if len(words) == 0 || strings.ContainsAny(stage, ";&<>()`$\n'\"\\") {
			return nil, bad("write one command or pipeline without quotes or variables")
		}
		p := callPattern{program: words[0][strings.LastIndexByte(words[0], '/')+1:], words: words[1:], all: true, allArgs: true}
		if p.program == "" {
			return nil, bad("it must begin with a program")
		}
		operands := false
		for _, w := range words[1:] {
			switch {
			case w == "*":
			case w == "--" && !operands:
				operands = true
			case !operands && len(w) > 1 && w[0] == '-':
				p.flags = append(p.flags, patternFlags(p.program, w)...)
			default:
				p.args = append(p.args, w)
			}
		}
		calls = append(calls, p)
	}
	return calls, nil
}

func ruleText(r sallyport.CommandRule) string {
	switch {
	case r.Match != "":
		return r.Match
	case r.Regex != "":
		return "/" + r.Regex + "/"
	case len(r.SFTP) > 0:
		return strings.TrimSuffix("sftp "+strings.Join(r.SFTP, "|")+" "+strings.Join(r.Paths, "|"), " ")
	}
	var b strings.Builder
	b.WriteString(r.Program)
	for i, f := range r.Flags {
		b.WriteString(pick(i == 0, " ", "|"))
		f = strings.TrimLeft(f, "-")
		b.WriteString(pick(len(f) == 1, "-", "--") + f)
	}
	for i, a := range r.Args {
		b.WriteString(pick(i == 0, " ", "|") + a)
	}
	return b.String()
}

func pick(cond bool, a, b string) string {
	if cond {
		return a
	}
	return b
}

// redirects reports whether the rule is about the files that a line itself
// opens: its program is < or >.
func (r *rule) redirects() bool {
	return len(r.calls) == 1 && (r.calls[0].program == "<" || r.calls[0].program == ">")
}

// match looks for the rule's calls, in order, within one pipeline. It returns
// the index of the first of them.
func (r *rule) match(calls []shell.Call) (int, match) {
	best, at := no, -1
	for i := range calls {
		m := no
		if r.regex == nil {
			m = r.from(calls, i, 0)
		} else if r.regex.MatchString(words(&calls[i])) {
			m = yes
		}
		if m > best {
			best, at = m, i
		}
		if best == yes {
			break
		}
	}
	return at, best
}

// words returns a program and its words, one blank between them, as a regex
// sees them: without what the line does not tell.
func words(c *shell.Call) string {
	line := c.Program
	for _, a := range c.Args {
		line += " " + string(a)
	}
	return strings.ReplaceAll(line, string(shell.Unknown), "")
}

func (r *rule) from(calls []shell.Call, i, k int) match {
	m := r.calls[k].match(&calls[i])
	if m == no || k+1 == len(r.calls) || calls[i].Pipe == 0 {
		return pickMatch(k+1 == len(r.calls), m, no)
	}
	best := no
	for j := i + 1; j < len(calls) && best < m; j++ {
		if calls[j].Pipe == calls[i].Pipe {
			best = max(best, min(m, r.from(calls, j, k+1)))
		}
	}
	return best
}

func pickMatch(cond bool, a, b match) match {
	if cond {
		return a
	}
	return b
}

func display(program string) string {
	return strings.ReplaceAll(program, string(shell.Unknown), "…")
}
