package policy

import (
	"slices"
	"strings"

	"sallyport"
	"sallyport/policy/shell"
)

// rule is a compiled command rule: calls that must appear in this order within
// one pipeline. A program rule has exactly one.
type rule struct {
	calls  []callPattern
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
}

func compileRule(r sallyport.CommandRule) (*rule, error) {
	bad := func(hint, format string, args ...any) (*rule, error) {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, format, args...).WithHint("%s", hint)
	}
	if r.Action <= sallyport.Allow || r.Action > sallyport.Terminate {
		return bad("expected action: alert, deny or terminate", "it has no action that does anything")
	}
	out := &rule{action: r.Action, text: ruleText(r)}
	switch {
	case r.Program != "" && r.Match != "":
		return bad("write one rule for each", "it has both program and match")
	case r.Match != "":
		if len(r.Flags)+len(r.Args) > 0 {
			return bad("write them into the pattern", "match takes no flags or args beside it")
		}
		calls, err := compileMatch(r.Match)
		if err != nil {
			return nil, err
		}
		out.calls = calls
		return out, nil
	case r.Program == "":
		return bad(`write for example program: rm, or match: "rm -rf /*"`, "it names neither a program nor a match")
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
		p := callPattern{program: words[0][strings.LastIndexByte(words[0], '/')+1:], all: true, allArgs: true}
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
	if r.Match != "" {
		return r.Match
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

// match looks for the rule's calls, in order, within one pipeline. It returns
// the program that it found.
func (r *rule) match(calls []shell.Call) (string, match) {
	best, program := no, ""
	for i := range calls {
		if m := r.from(calls, i, 0); m > best {
			best, program = m, display(calls[i].Program)
		}
		if best == yes {
			break
		}
	}
	return program, best
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
