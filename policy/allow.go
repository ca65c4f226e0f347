package policy

import (
	"strings"

	"sallyport"
	"sallyport/policy/shell"
)

// An allow-list is asked the other way round: not whether some reading of a call
// meets a rule, but whether every one does.

// unlistedIn tells each call that no rule allows.
func (c *Commands) unlistedIn(s *shell.Script, tell func(Answer)) {
	for i := range s.Calls {
		call := &s.Calls[i]
		if harmless(call) || c.allowed(call) {
			continue
		}
		program := display(call.Program)
		v := Verdict{Action: c.unlisted, Class: sallyport.ClassUnlisted, Program: program}
		switch {
		case !shell.Word(call.Program).Literal() || strings.ContainsAny(strings.TrimLeft(call.Program, "["), "*?["):
			v.Reason = "what would run cannot be read from the line: write its name out"
		case program == "":
			v.Reason = "the name of the program is empty"
		default:
			v.Reason = program + " is not among what your role allows"
			if c.allowsProgram(call.Program) {
				v.Reason = "your role does not allow " + program + " with these arguments"
			}
		}
		tell(Answer{Call: i, Verdict: v})
	}
	for i := range s.Redirects {
		if call := &s.Redirects[i]; !nowhere(call.Args) && !c.allowed(call) {
			tell(Answer{Call: -1, Verdict: Verdict{
				Action: c.unlisted, Class: sallyport.ClassUnlisted, Program: call.Program,
				Reason: "your role does not allow the redirection " + call.Program + " " + display(string(call.Args[0])),
			}})
		}
	}
	for _, name := range s.Sets {
		if !settable(name) {
			tell(Answer{Call: -1, Verdict: Verdict{
				Action: c.unlisted, Class: sallyport.ClassUnlisted,
				Reason: "your role does not allow to set " + display(name) + ", which may change what programs do",
			}})
		}
	}
}

// nowhere reports whether a redirection leads to no file.
func nowhere(args []shell.Word) bool {
	switch args[0] {
	case "/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty":
		return true
	}
	return false
}

// settable reports whether a variable is one of the user's own, or changes no
// more than the language: no shell or program takes it for more.
func settable(name string) bool {
	switch name {
	case "LANG", "LANGUAGE", "TZ", "NO_COLOR":
		return true
	case "path", "fpath", "cdpath", "manpath", "module_path", "mailpath", "prompt", "prompt2", "prompt3", "prompt4", "watch", "histchars", "zsh_eval_context", "fignore", "psvar",
		"precmd_functions", "preexec_functions", "chpwd_functions", "zshexit_functions", "periodic_functions", "zshaddhistory_functions",
		"functions", "aliases", "galiases", "saliases", "commands", "builtins", "options", "parameters", "fish_function_path", "fish_user_paths",
		"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy":
		return false
	}
	return strings.HasPrefix(name, "LC_") || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// allowed reports whether a rule allows the call, whatever it turns out to be.
func (c *Commands) allowed(call *shell.Call) bool {
	if !shell.Word(call.Program).Literal() || call.Program == "" {
		return false
	}
	for _, r := range c.rules {
		if r.strict && c.holds(r) && r.redirects() == (call.Program == "<" || call.Program == ">") && r.admits(call) {
			return true
		}
	}
	return false
}

// allowsProgram reports whether a rule allows the program with other arguments.
func (c *Commands) allowsProgram(program string) bool {
	for _, r := range c.rules {
		if r.strict && len(r.calls) == 1 && c.holds(r) && contains(r.calls[0].program, program, false) {
			return true
		}
	}
	return false
}

// admits reports whether the rule allows the whole call.
func (r *rule) admits(call *shell.Call) bool {
	if r.regex != nil {
		known := true
		for _, a := range call.Args {
			known = known && a.Literal()
		}
		line := words(call)
		at := r.regex.FindStringIndex(line)
		return known && at != nil && at[0] == 0 && at[1] == len(line)
	}
	if len(r.calls) != 1 {
		return false
	}
	p := &r.calls[0]
	switch {
	case !contains(p.program, call.Program, false):
		return false
	case p.all:
		return inOrder(p.words, call.Args)
	case len(p.flags)+len(p.args) == 0:
		return true
	}
	options := true
	for _, w := range call.Args {
		a := string(w)
		if options && a == "--" {
			options = false
			continue
		}
		if options && len(a) > 1 && a[0] == '-' && p.onlyFlags(call.Program, a) {
			continue
		}
		if !w.Literal() || !p.anyArg(a, options) {
			return false
		}
	}
	return true
}

// onlyFlags reports whether every flag of the word is one of the pattern's.
func (p *callPattern) onlyFlags(program, word string) bool {
	if !shell.Word(word).Literal() {
		return false
	}
	for _, f := range patternFlags(program, word) {
		found := false
		for _, mine := range p.flags {
			for _, same := range sameFlags(program, mine) {
				found = found || same == f
			}
		}
		if !found && !(word[1] != '-' && p.hasFlag(word[1:])) {
			return false
		}
	}
	return true
}

func (p *callPattern) hasFlag(name string) bool {
	for _, f := range p.flags {
		if f == name {
			return true
		}
	}
	return false
}

// anyArg reports whether one of the pattern's arguments fits. What begins with a
// dash needs one that does, too.
func (p *callPattern) anyArg(arg string, options bool) bool {
	for _, pattern := range p.args {
		if options && strings.HasPrefix(arg, "-") && arg != "-" && !strings.HasPrefix(pattern, "-") {
			continue
		}
		if containsArg(pattern, arg) {
			return true
		}
	}
	return false
}

// maxOrdered bounds the arguments that a match is compared with.
const maxOrdered = 512

// inOrder reports whether the arguments are those of a match, from the first to
// the last, * standing for any number of them.
func inOrder(pattern []string, args []shell.Word) bool {
	if len(args) > maxOrdered {
		return false
	}
	fits := make([]bool, len(args)+1) // what was read of the pattern fits args[:j]
	fits[0] = true
	for _, p := range pattern {
		if p == "*" {
			for j := range args {
				fits[j+1] = fits[j+1] || fits[j]
			}
			continue
		}
		for j := len(args); j > 0; j-- {
			fits[j] = fits[j-1] && args[j-1].Literal() && containsArg(p, string(args[j-1]))
		}
		fits[0] = false
	}
	return fits[len(args)]
}

func containsArg(pattern, arg string) bool {
	isPath := strings.HasPrefix(pattern, "/") || strings.HasPrefix(pattern, "~")
	if isPath {
		arg = cleanPath(arg)
		// A shell may find .. with a pattern.
		if strings.Contains(arg, "/.*") || strings.Contains(arg, "/.?") || strings.Contains(arg, "/.[") || strings.Contains(arg, "/[") || strings.Contains(arg, "/?") {
			return false
		}
	}
	return contains(pattern, arg, isPath)
}

// contains reports whether the pattern fits everything that the word may stand
// for. A word's own * may stand for anything but a slash, so only a * covers it.
func contains(pattern, word string, isPath bool) bool {
	if isPath {
		pattern = strings.ReplaceAll(pattern, "?", "\x00")
		if strings.ContainsAny(word, "*?[") {
			return sallyport.MatchPath(pattern, word)
		}
		return sallyport.MatchPath(strings.ReplaceAll(pattern, "\x00", "?"), word)
	}
	if strings.ContainsAny(word, "*?[") {
		pattern = strings.ReplaceAll(pattern, "?", "\x00")
	}
	return sallyport.MatchPath(strings.ReplaceAll(pattern, "*", "**"), word)
}

// harmless reports whether a call needs nobody's leave: what it does is over
// with the shell that does it.
func harmless(c *shell.Call) bool {
	switch c.Program {
	case ":", "true", "false", "cd", "pushd", "popd", "dirs", "pwd", "exit", "logout", "return", "break", "continue", "shift",
		"test", "[", "[[", "export", "declare", "typeset", "local", "readonly", "let", "wait", "jobs", "fg", "bg", "umask":
		return true
	}
	return false
}
