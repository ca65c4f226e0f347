package shell

import "strings"

// sensitive reports whether a variable changes what is seen of later lines, or
// what later programs are.
func sensitive(name string) bool {
	switch name {
	case "PS0", "PS1", "PS2", "PS4", "PROMPT", "RPROMPT", "RPS1", "PROMPT2", "PROMPT_COMMAND", "precmd_functions", "preexec_functions",
		"BASH_ENV", "ENV", "ZDOTDIR", "INPUTRC", "SHELLOPTS", "BASHOPTS", "TERM", "TERMINFO", "COLUMNS", "LINES",
		"LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "GIT_SSH_COMMAND", "BASH_ALIASES":
		return true
	}
	return strings.HasPrefix(name, "BASH_FUNC_")
}

// tamper notes programs that change how lines are edited or shown.
func (w *walker) tamper(program string, args []string) {
	switch program {
	case "bind", "bindkey", "zle":
		w.keys(program, args)
		for _, a := range args {
			if program != "bind" || !strings.HasPrefix(a, "-") || strings.ContainsAny(a, "xfrum") {
				w.find(Tamper, program, "%s changes the keys of the line editor", program)
				return
			}
		}
	case "stty":
		for _, a := range args {
			switch a {
			case "-a", "-g", "--all", "--save", "size", "speed":
			default:
				w.find(Tamper, program, "stty changes how typed lines are shown")
				return
			}
		}
	case "enable":
		if hasShort(args, "fn") {
			w.find(Opaque, program, "enable changes what a command is")
		}
	case "set", "shopt", "setopt", "unsetopt":
		for _, a := range args {
			switch a {
			case "vi", "emacs", "histexpand", "expand_aliases", "verbose", "aliases", "zle":
				w.find(Tamper, program, "%s %s changes the line editor", program, a)
			}
		}
	case "read", "printf", "mapfile", "readarray", "getopts", "unset":
		w.forget(program, args)
	}
}

// keys reads what keys are made to type or to run: bind '"\C-t": "rm x\n"', bind -x
// '"\C-t": rm x', bindkey -s '^T' 'rm x\n', fish's bind \ct 'rm x'.
func (w *walker) keys(program string, args []string) {
	for i, a := range args {
		code := a
		if _, after, ok := strings.Cut(a, ":"); program == "bind" && ok {
			code = strings.Trim(strings.TrimSpace(after), `"'`)
		} else if i == 0 || strings.HasPrefix(a, "-") {
			continue
		}
		code = strings.NewReplacer(`\n`, "\n", `\r`, "\n", `\C-m`, "\n", `\C-j`, "\n", "^M", "\n", "^J", "\n").Replace(code)
		if strings.ContainsAny(code, " \n") { // else it names a function of the editor's
			w.text(program, code, source{})
		}
	}
}

// forget makes the variables that a builtin sets unknown.
func (w *walker) forget(program string, args []string) {
	names := args
	if program == "printf" {
		v, ok := option(args, 'v', "")
		if !ok || args[0][:min(2, len(args[0]))] != "-v" {
			return
		}
		names = []string{v}
	}
	for _, name := range names {
		if name != "" && !strings.HasPrefix(name, "-") {
			w.set(name, unknown, program != "unset")
		}
	}
}
