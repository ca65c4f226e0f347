package shell

import (
	"path"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// isShell reports whether the program is a shell, of any version: bash5.1.
func isShell(program string) bool {
	switch strings.TrimRight(program, "0123456789.-_") {
	case "sh", "bash", "dash", "zsh", "ksh", "mksh", "lksh", "pdksh", "oksh", "ash", "hush", "yash", "posh", "rbash", "rzsh", "rksh", "sash",
		"fish", "csh", "tcsh", "osh", "ysh", "nu", "xonsh", "elvish", "bash-static", "zsh-static", "static-sh":
		return true
	}
	return false
}

// shellArgs is what the arguments of a shell say.
type shellArgs struct {
	code    string // of -c
	hasCode bool
	file    string // the script
	stdin   bool   // it reads its standard input
	unclear bool   // options are not on the line
}

// readShellArgs reads the arguments of a shell: -c code, a script, or neither.
// Where an argument may be the value of an option or the script, it is the
// value: what a shell may read from its input is judged.
func readShellArgs(args []string) (a shellArgs) {
	code := false
	i := 0
	for ; i < len(args); i++ {
		o := args[i]
		if strings.HasPrefix(o, unknown) {
			if o = strings.Trim(o, unknown); o == "" || o[0] == '-' || o[0] == '+' {
				a.unclear = true
				continue
			}
		}
		if o == "--" || o == "-" {
			i++
			break
		}
		if len(o) < 2 || o[0] != '-' && o[0] != '+' {
			break
		}
		if name, ok := strings.CutPrefix(o, "--"); ok {
			if value, ok := strings.CutPrefix(name, "command="); ok { // fish
				a.code, a.hasCode = value, true
			}
			switch name {
			case "rcfile", "init-file", "emulate", "init-command":
				i++
			case "command":
				code = true
			}
			continue
		}
		if o[0] == '-' {
			code = code || strings.Contains(o, "c")
			a.stdin = a.stdin || strings.Contains(o, "s")
		}
		i += strings.Count(o, "o") + strings.Count(o, "O") // -eo pipefail
	}
	switch {
	case a.hasCode:
	case code && i < len(args):
		a.code, a.hasCode = args[i], true
	case i < len(args) && !a.stdin:
		a.file = args[i]
		a.stdin = isStdin(a.file)
	default:
		a.stdin = true
	}
	a.stdin = a.stdin && !a.hasCode || a.unclear
	return a
}

// shell follows the arguments of a shell.
func (w *walker) shell(args []string, in source) {
	a := readShellArgs(args)
	if a.unclear {
		w.find(Opaque, "sh", "the options of a shell are not on the line")
	}
	if a.hasCode {
		w.text("sh", a.code, in)
	}
	switch {
	case a.stdin && isStdin(a.file):
		w.stream("sh", a.file, in)
	case a.stdin:
		w.reads("sh", in)
	}
}

// powershell follows pwsh: -Command code, -File script, or its input.
func (w *walker) powershell(args []string, in source) {
	for i, a := range args {
		name := strings.ToLower(a)
		switch rest := args[i+1:]; {
		case len(name) < 2 || name[0] != '-':
			if i > 0 { // it may be the value of an option
				continue
			}
			return
		case strings.HasPrefix("-command", name):
			if len(rest) > 0 && rest[0] != "-" {
				w.text("pwsh", strings.Join(rest, " "), in)
				return
			}
		case strings.HasPrefix("-file", name) && len(rest) > 0 && rest[0] != "-":
			return
		case strings.HasPrefix("-encodedcommand", name) || name == "-ec":
			w.find(Opaque, "pwsh", "pwsh runs code that is not on the line")
		}
	}
	w.reads("pwsh", in)
}

// reads notes that a program runs what comes from its standard input.
func (w *walker) reads(program string, in source) {
	if in.piped || in.isText {
		w.source(program, in)
	}
	w.script.Input = w.script.Input || !in.isText
}

// stream notes that a program runs what comes from a path that is no file.
func (w *walker) stream(program, path string, in source) {
	if in.isText && !strings.HasSuffix(path, unknown) {
		w.source(program, in)
		return
	}
	w.script.Input = true
	w.find(Opaque, program, "%s runs what flows into it", program)
}

// sourced follows . and source.
func (w *walker) sourced(args []string, in source) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	switch {
	case len(args) == 0:
		if in.piped { // fish
			w.source("source", in)
		}
	case isStdin(args[0]):
		w.stream("source", args[0], in)
	case strings.Trim(args[0], unknown) == "":
		w.script.Input = true
		w.find(Opaque, "source", "source runs code that is not on the line")
	}
}

// isStdin reports whether a path is a stream, not a file.
func isStdin(p string) bool {
	p = "/" + strings.TrimLeft(path.Clean(p), "./")
	if strings.HasPrefix(p, "/dev/fd/") || strings.HasPrefix(p, "/dev/std") || strings.HasPrefix(p, "/proc/") && strings.Contains(p, "/fd/") {
		return true
	}
	if !strings.ContainsAny(p, "*?[") {
		return false
	}
	for _, s := range []string{"/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"} {
		if ok, _ := path.Match(p, s); ok {
			return true
		}
	}
	return false
}

// feeds follows exec without a program: the shell goes on with what it is
// given as its standard input.
func (w *walker) feeds(redirs []*syntax.Redirect) {
	for _, r := range redirs {
		if r.N != nil && r.N.Value != "0" {
			continue
		}
		switch r.Op {
		case syntax.Hdoc, syntax.DashHdoc, syntax.WordHdoc:
			w.source("exec", w.redirect(r, source{}, false))
		case syntax.RdrIn, syntax.RdrInOut, syntax.DplIn:
			if to := r.Word.Lit(); to != "/dev/null" && to != "-" {
				w.find(Opaque, "exec", "the shell reads its commands from elsewhere")
			}
		}
	}
}
