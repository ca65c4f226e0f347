package policy

import (
	"strings"

	"sallyport/policy/shell"
)

// match says whether a call meets a pattern. maybe: what the line does not tell
// decides it.
type match int

const (
	no match = iota
	maybe
	yes
)

func (p *callPattern) match(c *shell.Call) match {
	m := matchText(p.program, c.Program, false)
	if m == no {
		return no
	}
	if m == yes && strings.HasPrefix(c.Program, "*") && strings.Contains(p.program, "*") && p.program != c.Program {
		m = maybe // runtime.d/*.hook is no mkfs*, unless somebody put one there
	}
	m = min(m, p.matchFlags(c))
	if m == no {
		return no
	}
	return min(m, p.matchArgs(c))
}

func (p *callPattern) matchArgs(c *shell.Call) match {
	if len(p.args) == 0 {
		return yes
	}
	result := pickMatch(p.allArgs, yes, no)
	for _, pattern := range p.args {
		one := no
		for _, a := range c.Args {
			if one = max(one, matchArg(pattern, string(a))); one == yes {
				break
			}
		}
		if p.allArgs {
			result = min(result, one)
		} else {
			result = max(result, one)
		}
	}
	return result
}

func matchArg(pattern, arg string) match {
	isPath := strings.HasPrefix(pattern, "/") || strings.HasPrefix(pattern, "~")
	m := matchText(pattern, arg, isPath)
	if isPath && m == no {
		m = matchText(pattern, cleanPath(arg), true)
	}
	return m
}

// cleanPath is path.Clean that leaves relative paths alone.
func cleanPath(s string) string {
	if !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "~") {
		return s
	}
	var parts []string
	for part := range strings.SplitSeq(s, "/") {
		switch part {
		case "", ".":
		case "..":
			if len(parts) > 0 {
				parts = parts[:len(parts)-1]
			}
		default:
			parts = append(parts, part)
		}
	}
	if strings.HasPrefix(s, "/") {
		return "/" + strings.Join(parts, "/")
	}
	return strings.Join(parts, "/")
}
