package shell

import (
	"strings"
)

// text reads code that a program was given as a word.
func (w *walker) text(program, code string, in source) {
	if strings.TrimSpace(code) == "" {
		return
	}
	if !Word(code).Literal() {
		w.find(Opaque, program, "%s runs code that is not on the line", program)
		// What is known of it may still say enough. Unknown is no character of
		// shell syntax, it stays within its word.
	}
	if w.depth >= maxDepth {
		w.unread("code is nested too deeply")
		return
	}
	w.code(code, in, w.depth+1)
}

// source reads what flows into something that runs it.
func (w *walker) source(program string, in source) {
	if in.isText {
		w.text(program, in.text, source{pipe: in.pipe})
		return
	}
	w.find(Opaque, program, "%s runs what flows into it", program)
}

// shell follows the arguments of a shell: -c code, a script, or its input.
func (w *walker) shell(args []string, in source) {
	code := false
	i := 0
	for ; i < len(args); i++ {
		a := args[i]
		if a == "--" || a == "-" {
			i++
			break
		}
		if a == unknown {
			w.find(Opaque, "sh", "the options of a shell are not on the line")
			continue
		}
		if len(a) < 2 || a[0] != '-' && a[0] != '+' {
			break
		}
		if strings.HasPrefix(a, "--") {
			if a == "--rcfile" || a == "--init-file" {
				i++
			}
			code = code || a == "--command"
			continue
		}
		code = code || a[0] == '-' && strings.Contains(a, "c")
		if strings.ContainsAny(a, "oO") {
			i++
		}
	}
	switch {
	case code && i < len(args):
		w.text("sh", args[i], in)
	case i < len(args):
		if isStdin(args[i]) && in.isText {
			w.source("sh", in)
		} else if isStdin(args[i]) {
			w.find(Opaque, "sh", "sh runs what flows into it")
		}
	case !code && in.piped:
		w.source("sh", in)
	}
}

// isStdin reports whether a path is a stream, not a file.
func isStdin(path string) bool {
	return strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/dev/std") || strings.HasPrefix(path, "/proc/self/fd/")
}

// sourced follows . and source.
func (w *walker) sourced(args []string, in source) {
	if len(args) > 0 && isStdin(args[0]) {
		if strings.HasSuffix(args[0], unknown) {
			w.find(Opaque, "source", "source runs what flows into it")
			return
		}
		w.source("source", in)
	}
}

// interpreter looks at code for other languages, which is not parsed: whether
// it can start a program.
func (w *walker) interpreter(program string, args []string, in source) {
	name := strings.TrimRight(program, "0123456789.")
	code := ""
	switch name {
	case "python", "pypy":
		code, _ = option(args, 'c', "")
	case "perl", "ruby":
		code, _ = option(args, 'e', "")
		if s, ok := option(args, 'E', ""); ok {
			code += s
		}
	case "node", "nodejs", "deno", "bun":
		code, _ = option(args, 'e', "eval")
		if s, ok := option(args, 'p', "print"); ok {
			code += s
		}
	case "php":
		code, _ = option(args, 'r', "")
	case "lua", "luajit", "tclsh", "expect", "Rscript":
		code, _ = option(args, 'e', "")
		if s, ok := option(args, 'c', ""); ok {
			code += s
		}
	case "awk", "gawk", "mawk", "nawk":
		code = strings.Join(args, " ")
		if strings.Contains(code, "system") || strings.Contains(code, "|") && strings.Contains(code, "getline") ||
			strings.Contains(code, `| "`) || strings.Contains(code, `|"`) {
			w.find(Opaque, program, "%s code can start programs", program)
		}
		return
	case "vi", "vim", "nvim", "ex", "view", "vimdiff", "ed", "emacs", "less", "more", "man":
		for _, a := range args {
			if strings.Contains(a, "!") && (a[0] == '+' || a[0] == ':' || a[0] == '-') || contains(args, "-c") && strings.HasPrefix(strings.TrimLeft(a, ":"), "!") {
				w.find(Opaque, program, "%s is told to start a program", program)
			}
		}
		return
	case "tar":
		for i, a := range args {
			value, ok := strings.CutPrefix(a, "--checkpoint-action=exec=")
			if !ok {
				value, ok = strings.CutPrefix(a, "--to-command=")
			}
			if !ok && (a == "-I" || a == "--use-compress-program") && i+1 < len(args) {
				value, ok = args[i+1], true
			}
			if !ok {
				value, ok = strings.CutPrefix(a, "--use-compress-program=")
			}
			if ok {
				w.text("tar", value, in)
			}
		}
		return
	default:
		return
	}
	if code == "" {
		if in.piped && (len(args) == 0 || args[0] == "-") {
			w.find(Opaque, program, "%s runs what flows into it", program)
		}
		return
	}
	if !Word(code).Literal() || spawns(code) {
		w.find(Opaque, program, "%s code can start programs", program)
	}
}

// spawns reports whether code of some language looks like starting programs or
// hiding what it does.
func spawns(code string) bool {
	for _, s := range []string{
		"system", "subprocess", "popen", "Popen", "exec", "spawn", "child_process", "pty", "fork", "`", "qx", "eval",
		"__import__", "passthru", "proc_open", "IO.", "Open3", "%x", "ctypes", "unlink", "rmtree", "rmSync", "os.remove",
		"open(", "-|", "|-",
	} {
		if strings.Contains(code, s) {
			return true
		}
	}
	return false
}
