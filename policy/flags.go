package policy

import (
	"slices"
	"strings"

	"sallyport/policy/shell"
)

// longSingleDash lists programs whose options are words behind one dash: their
// -delete is not -d -e -l -e -t -e.
func longSingleDash(program string) bool {
	switch program {
	case "find", "java", "openssl", "ffmpeg", "convert", "gcc", "cc", "g++", "clang", "terraform", "xrandr", "Xorg":
		return true
	}
	return false
}

// sameFlags returns the other spellings of a flag of programs that everybody
// has rules about, so that "rm -rf" meets rm --recursive --force.
func sameFlags(program, flag string) []string {
	var groups [][]string
	switch program {
	case "rm":
		groups = [][]string{{"r", "R", "recursive"}, {"f", "force"}}
	case "chmod", "chown", "chgrp":
		groups = [][]string{{"R", "recursive"}}
	}
	for _, g := range groups {
		if slices.Contains(g, flag) {
			return g
		}
	}
	return []string{flag}
}

// patternFlags splits a flag word of a match pattern.
func patternFlags(program, w string) []string {
	if name, ok := strings.CutPrefix(w, "--"); ok {
		name, _, _ = strings.Cut(name, "=")
		return []string{name}
	}
	if longSingleDash(program) {
		return []string{w[1:]}
	}
	return strings.Split(w[1:], "")
}

// matchFlags looks for the pattern's flags among the arguments before --.
func (p *callPattern) matchFlags(c *shell.Call) match {
	if len(p.flags) == 0 {
		return yes
	}
	result := pickMatch(p.all, yes, no)
	for _, f := range p.flags {
		one := no
		for _, same := range sameFlags(c.Program, f) {
			one = max(one, hasFlag(c, same))
		}
		if p.all {
			result = min(result, one)
		} else {
			result = max(result, one)
		}
	}
	return result
}

// hasFlag looks for one flag. Options may follow operands, as in GNU's getopt,
// and a long one may be abbreviated.
func hasFlag(c *shell.Call, flag string) match {
	best := no
	for _, w := range c.Args {
		a := string(w)
		unknown := strings.ContainsRune(a, shell.Unknown)
		known := strings.ReplaceAll(a, string(shell.Unknown), "")
		if known == "--" {
			break
		}
		if unknown && (known == "" || a[0] != '-') && strings.HasPrefix(a, string(shell.Unknown)) {
			best = max(best, maybe) // a whole word may be anything, flags too
		}
		if unknown && known == "-" {
			best = max(best, maybe)
		}
		if len(known) < 2 || known[0] != '-' {
			continue
		}
		if name, ok := strings.CutPrefix(known, "--"); ok {
			name, _, _ = strings.Cut(name, "=")
			if len(flag) > 1 && strings.HasPrefix(flag, name) {
				return yes
			}
		} else if known[1:] == flag || len(flag) == 1 && !longSingleDash(c.Program) && strings.Contains(known[1:], flag) {
			return yes
		}
		if unknown {
			best = max(best, maybe)
		}
	}
	return best
}
