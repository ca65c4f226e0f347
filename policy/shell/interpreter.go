package shell

import "strings"

// language says how an interpreter is told its program.
type language struct {
	values string   // short options with a value
	glued  string   // those whose value, if any, is the rest of the word
	code   string   // those whose value is the program, or tells where it is
	long   []string // long options with a value in the next word
	about  string   // the one that alone only shows a version
}

func languageOf(program string) (language, bool) {
	switch strings.TrimRight(program, "0123456789.") {
	case "python", "pypy":
		return language{values: "WXQ", code: "cm", about: "V", long: []string{"check-hash-based-pycs"}}, true
	case "perl":
		return language{values: "I", glued: "CDFMVdimx", code: "eE", about: "v"}, true
	case "ruby":
		return language{values: "CEIr", glued: "FKTWix", code: "e", about: "v", long: []string{"encoding", "external-encoding", "internal-encoding"}}, true
	case "node", "nodejs":
		return language{values: "Cr", code: "ep", about: "v", long: []string{
			"require", "import", "loader", "experimental-loader", "conditions", "env-file", "title",
		}}, true
	case "php":
		return language{values: "cdtz", code: "BEFRSimr", about: "v", long: []string{"php-ini", "define"}}, true
	case "lua", "luajit":
		return language{values: "l", code: "bej", about: "v"}, true
	case "tclsh", "wish":
		return language{}, true
	case "expect":
		return language{code: "bc", about: "v"}, true
	case "Rscript":
		return language{code: "e"}, true
	}
	return language{}, false
}

// sent reports whether the interpreter takes its program from its standard
// input: nothing else among the arguments tells it one.
func (l language) sent(args []string) bool {
	if len(args) == 1 && (args[0] == "--version" || args[0] == "--help" || args[0] == "-h" || l.about != "" && args[0] == "-"+l.about) {
		return false
	}
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return i+1 == len(args) || fromInput(args[i+1])
		case len(a) < 2 || a[0] != '-':
			return fromInput(a)
		case a[1] == '-':
			name, _, _ := strings.Cut(a[2:], "=")
			if name == "eval" || name == "print" || name == "run" || name == "file" {
				return false
			}
			if contains(l.long, a[2:]) {
				i++
			}
			continue
		}
		for j := 1; j < len(a); j++ {
			if strings.IndexByte(l.code, a[j]) >= 0 {
				return false
			}
			if strings.IndexByte(l.glued, a[j]) >= 0 {
				break
			}
			if strings.IndexByte(l.values, a[j]) >= 0 {
				if j == len(a)-1 {
					i++
				}
				break
			}
		}
	}
	return true
}

// fromInput reports whether a program's name stands for the standard input.
func fromInput(file string) bool {
	return file == "-" || strings.Trim(file, unknown) == "" || isStdin(file)
}

// interpreter looks at programs that run what is not shell code, which is not
// parsed: whether it can start a program, or is not on the line at all.
func (w *walker) interpreter(program string, args []string, in source) {
	if l, ok := languageOf(program); ok && l.sent(args) {
		w.find(Opaque, program, "%s runs what flows into it", program)
	}
	code := ""
	switch strings.TrimRight(program, "0123456789.") {
	case "python", "pypy":
		code, _ = option(args, 'c', "")
	case "perl", "ruby":
		code, _ = option(args, 'e', "")
		if s, ok := option(args, 'E', ""); ok {
			code += s
		}
	case "deno", "bun":
		w.told(program, args, in)
		fallthrough
	case "node", "nodejs":
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
	default:
		w.told(program, args, in)
	}
	if !Word(code).Literal() || spawns(code) {
		w.find(Opaque, program, "%s code can start programs", program)
	}
}

// told looks at programs of other kinds that can be told to start one.
func (w *walker) told(program string, args []string, in source) {
	sent := false
	switch program {
	case "deno", "bun":
		sent = len(args) == 0 || fromInput(args[0]) || args[0] == "repl" || args[0] == "run" && len(args) > 1 && fromInput(args[1])
	case "awk", "gawk", "mawk", "nawk":
		file, ok := option(args, 'f', "file")
		sent = ok && fromInput(file)
		code := strings.Join(args, " ")
		if strings.Contains(code, "system") || strings.Contains(code, "|") && strings.Contains(code, "getline") ||
			strings.Contains(code, `| "`) || strings.Contains(code, `|"`) {
			w.find(Opaque, program, "%s code can start programs", program)
		}
	case "sed", "gsed", "make", "gmake":
		file, ok := option(args, 'f', "file")
		sent = ok && fromInput(file)
		if strings.HasSuffix(program, "sed") {
			w.sed(args)
		}
	case "crontab":
		wr := wrapper{values: "u"}
		rest, _ := wr.command(args)
		sent = len(rest) > 0 && fromInput(rest[0]) || len(rest) == 0 && strings.Trim(wr.flags(args), "u") == ""
	case "at", "batch":
		wr := wrapper{values: "qft"}
		if !strings.ContainsAny(wr.flags(args), "cdflrV") {
			w.reads(program, in) // it is shell code
			sent = !in.isText
		}
	case "ed", "ex":
		sent = len(args) != 1 || args[0] != "--version" && args[0] != "--help"
		w.bang(program, args)
	case "vi", "vim", "nvim":
		sent = contains(args, "-e") || contains(args, "-es") || contains(args, "-E") || contains(args, "-Es")
		w.bang(program, args)
	case "view", "vimdiff", "emacs", "less", "more", "man":
		w.bang(program, args)
	case "tar":
		w.tar(args, in)
	}
	if sent {
		w.find(Opaque, program, "%s runs what flows into it", program)
	}
}

// bang looks for an editor's or pager's ! among its arguments.
func (w *walker) bang(program string, args []string) {
	for _, a := range args {
		if strings.Contains(a, "!") && (a[0] == '+' || a[0] == ':' || a[0] == '-') || contains(args, "-c") && strings.HasPrefix(strings.TrimLeft(a, ":"), "!") {
			w.find(Opaque, program, "%s is told to start a program", program)
		}
	}
}

// tar follows the options of tar that name a program.
func (w *walker) tar(args []string, in source) {
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
