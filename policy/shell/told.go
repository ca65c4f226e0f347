package shell

import (
	"regexp"
	"strings"
)

// commandVariables hold a command that other programs run.
func commandVariable(name string) bool {
	switch name {
	case "PAGER", "GIT_PAGER", "MANPAGER", "SYSTEMD_PAGER", "PSQL_PAGER", "EDITOR", "VISUAL", "FCEDIT", "SUDO_EDITOR", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "KUBE_EDITOR",
		"GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_PROXY_COMMAND", "GIT_ASKPASS", "SSH_ASKPASS", "SUDO_ASKPASS", "LESSOPEN", "LESSCLOSE", "BROWSER",
		"PROMPT_COMMAND", "RSYNC_RSH", "RSYNC_CONNECT_PROG", "CVS_RSH", "SVN_EDITOR", "HGEDITOR", "MAKEFLAGS":
		return true
	}
	return false
}

// commandTable reports whether a shell keeps commands in the elements of the
// variable.
func commandTable(name string) bool {
	switch name {
	case "functions", "dis_functions", "aliases", "galiases", "saliases", "dis_aliases", "commands", "BASH_ALIASES", "BASH_CMDS":
		return true
	}
	return false
}

// hidden reads the substitutions in text that a shell may expand though it is
// quoted where it stands: in a subscript in arithmetic ('a[$(rm)]'), in a prompt,
// in ${x@P}.
func (w *walker) hidden(text string, in source) {
	at := strings.Index(text, "$(")
	if i := strings.IndexByte(text, '`'); i >= 0 && (at < 0 || i < at) {
		at = i
	}
	if at < 0 {
		return
	}
	in.tty, in.text, in.isText = false, "", false
	w.text("arithmetic", ": "+text[at:], in)
}

// evaluates reports whether the builtin takes its words for arithmetic or for
// names, in which subscripts are expanded once more.
func evaluates(program string) bool {
	switch program {
	case "let", "test", "[", "[[", "unset", "declare", "typeset", "local", "export", "readonly", "read", "printf", "mapfile", "readarray", "getopts", "wait", "integer", "float":
		return true
	}
	return false
}

// rename notes that a name stands for other words for the rest of the line: an
// alias, a copy or a link.
func (w *walker) rename(name string, words []string) {
	if name == "" || len(words) == 0 || len(w.names) >= maxVars || base(words[0]) == name {
		return
	}
	if w.names == nil {
		w.names = map[string][]string{}
	}
	w.names[name] = words
}

// copies notes what cp, ln and mv make of a program.
func (w *walker) copies(args []string) {
	wr := wrapper{values: "tSm"}
	rest, _ := wr.command(args)
	if len(rest) == 2 && Word(rest[0]).Literal() {
		w.rename(base(rest[1]), rest[:1])
	}
}

// follows reads what other programs are told to run, each in its own way.
func (w *walker) follows(program string, args []string, in source) {
	switch program {
	case "cp", "ln", "mv", "install":
		w.copies(args)
	case "abbr":
		rest, _ := wrapper{values: "fprs", long: []string{"position", "regex", "function"}}.command(args)
		if len(rest) > 1 {
			w.text(program, strings.Join(rest[1:], " "), source{})
		}
	case "compgen", "complete":
		for _, short := range "CaFnW" {
			if code, ok := option(args, byte(short), ""); ok {
				if short == 'C' {
					w.text(program, code, source{})
				} else {
					w.substitutions(code)
				}
			}
		}
	case "mapfile", "readarray":
		if code, ok := option(args, 'C', ""); ok {
			w.text(program, code, source{})
		}
	case "emulate":
		if code, ok := option(args, 'c', ""); ok {
			w.text(program, code, in)
		}
	case "sched":
		if len(args) > 1 {
			w.text(program, strings.Join(args[1:], " "), source{})
		}
	case "zargs":
		for i, a := range args {
			if a == "--" {
				w.call(append(append([]string{}, args[i+1:]...), unknown), source{})
				break
			}
		}
	case "fc", "r", "redo":
		if !hasShort(args, "ln") {
			w.find(Opaque, program, "%s runs an earlier command", program)
		}
	case "start-stop-daemon":
		w.daemon(args, in)
	case "git":
		w.git(args, in)
	case "split":
		if code, ok := option(args, 0, "filter"); ok {
			w.text(program, code, in)
		}
	case "sort":
		if code, ok := option(args, 0, "compress-program"); ok {
			w.call([]string{code}, in)
		}
	case "make", "gmake":
		for _, a := range args {
			if code, ok := strings.CutPrefix(a, "--eval"); ok || strings.HasPrefix(a, "SHELL=") {
				w.find(Opaque, program, "%s is told what to run", program)
				if _, code, ok = strings.Cut(code, ";"); ok {
					w.text(program, code, source{})
				}
			}
		}
	case "rsync", "scp", "sftp":
		if contains(args, "--server") { // whose -e tells a version
			return
		}
		for _, short := range "eSD" {
			if code, ok := option(args, byte(short), map[rune]string{'e': "rsh", 'S': "-", 'D': "-"}[short]); ok && (program == "rsync") == (short == 'e') {
				w.text(program, code, source{})
			}
		}
	case "autossh", "rsh", "mosh", "pssh", "parallel-ssh", "oc", "adb", "salt", "npm", "poetry", "pipenv", "bundle", "distrobox", "toolbox", "flatpak", "vagrant", "hyperfine", "ansible", "hg", "zip", "tcpdump", "openvpn", "socat", "nc", "ncat", "tmux", "screen", "mysql", "mariadb",
		"psql", "sqlite3", "gdb", "lldb", "emacs", "apt", "apt-get", "apk", "dnf", "vim", "vi", "nvim", "ex", "view", "ftp", "bwrap":
		w.inside(program, args, in)
	case "man":
		if code, ok := option(args, 'P', "pager"); ok {
			w.text(program, code, in)
		}
	case "run-parts":
		w.find(Opaque, program, "%s runs whatever is in a directory", program)
	}
}

// starter reports whether a command follows the word among the arguments of the
// program.
func starter(program, word string) bool {
	switch word {
	case "--", "--args", "run", "exec", "-e", "-x", "rsh", "shell", "enter", "new", "new-session", "new-window", "split-window", "neww", "run-shell", "send-keys", "stuff",
		"-c", "-C", "--cmd", "-ex", "--eval", "-eval", "-a", "-z", "-TT", "--up", "--down", "cmd.run", "--command", "--execute", "-S", "-dm", "-dmS", "-DmS":
		return true
	}
	return false
}

// bangs are what programs of all kinds take for "run this".
var bangs = regexp.MustCompile(`^\s*(?::?!|\\!|\.shell |\.system |shell |system |EXEC:|SYSTEM:|.*\bsystem\(|.*shell-command|[\w.]+=!|[\w:-]+::=)`)

// inside looks for commands among the arguments of programs that have many ways
// to be told one. What follows a word that starts one is read both as the words
// of a command and, the next alone, as code.
func (w *walker) inside(program string, args []string, in source) {
	in.tty = false
	language := false // of its own: only what escapes from it counts
	switch program {
	case "mysql", "mariadb", "psql", "sqlite3", "gdb", "lldb", "emacs", "apt", "apt-get", "apk", "dnf", "vim", "vi", "nvim", "ex", "view", "ftp", "hg", "socat":
		language = !(program == "gdb" && contains(args, "--args"))
	}
	guess := func(code string) {
		if m := bangs.FindString(code); m != "" {
			w.find(Opaque, program, "%s is told to start a program", program)
			code = strings.Trim(code[len(m):], " \"')(")
		}
		w.text(program, code, in)
	}
	switch program {
	case "screen":
		inner, _ := wrapper{values: "cehpsStT"}.command(args)
		w.call(inner, in)
	case "rsh":
		inner, _ := wrapper{values: "l", operands: 1}.command(args)
		w.call(inner, in)
	}
	for i, a := range args {
		name, value, ok := strings.Cut(a, "=")
		switch {
		case program == "hyperfine" && strings.Contains(a, " "):
			guess(a)
		case bangs.MatchString(a):
			guess(a)
		case language:
		case ok && starter(program, name):
			guess(value)
		case starter(program, a) && i+1 < len(args):
			if rest := args[i+1:]; strings.ContainsAny(rest[0], " \t;|&") {
				guess(rest[0])
			} else {
				w.call(rest, in)
			}
		}
	}
}

// daemon follows start-stop-daemon.
func (w *walker) daemon(args []string, in source) {
	program, ok := option(args, 'a', "startas")
	if !ok {
		program, ok = option(args, 'x', "exec")
	}
	if !ok || !hasShort(args, "S") && !contains(args, "--start") {
		return
	}
	words := []string{program}
	for i, a := range args {
		if a == "--" {
			words = append(words, args[i+1:]...)
			break
		}
	}
	w.call(words, in)
}

// gitRuns are the settings of git whose value is a command.
var gitRuns = regexp.MustCompile(`(?i)^(alias\..*|core\.(pager|editor|sshcommand|fsmonitor|askpass|gitproxy)|pager\..*|sequence\.editor|diff\.external|diff\..*\.(textconv|command)|merge\..*\.driver|filter\..*\.(clean|smudge|process)|credential\.helper|gpg\.program|(merge|diff)tool\..*\.cmd|uploadpack\.packobjectshook)$`)

// git follows -c alias.x='!command' and its kin.
func (w *walker) git(args []string, in source) {
	in.tty = false
	setting := func(name, value string) {
		if !gitRuns.MatchString(name) {
			return
		}
		value, shell := strings.CutPrefix(value, "!")
		if strings.HasPrefix(strings.ToLower(name), "alias.") && !shell {
			return
		}
		w.text("git", value, in)
	}
	for i, a := range args {
		switch rest := args[i+1:]; {
		case a == "-c" && len(rest) > 0:
			name, value, _ := strings.Cut(rest[0], "=")
			setting(name, value)
		case a == "config" && len(rest) > 1:
			setting(rest[len(rest)-2], rest[len(rest)-1])
		case a == "foreach", a == "run" && i > 0 && args[i-1] == "bisect":
			for len(rest) > 0 && strings.HasPrefix(rest[0], "--") {
				rest = rest[1:]
			}
			w.text("git", strings.Join(rest, " "), in)
			return
		case (a == "-x" || a == "--exec") && contains(args[:i], "rebase") && len(rest) > 0,
			strings.HasSuffix(a, "-filter") && strings.HasPrefix(a, "--") && len(rest) > 0:
			w.text("git", rest[0], in)
		case strings.HasPrefix(a, "--upload-pack="), strings.HasPrefix(a, "--receive-pack="), strings.HasPrefix(a, "--exec="):
			_, code, _ := strings.Cut(a, "=")
			w.text("git", code, in)
		case strings.HasPrefix(a, "ext::"):
			w.text("git", strings.TrimPrefix(a, "ext::"), in)
		}
	}
}

var (
	sedRuns = regexp.MustCompile(`(?:^|[;{}\n!0-9$/,])[ \t]*e(?:[ \t]+([^\n]*)|[ \t]*(?:$|[;}\n]))`)
	sedFlag = regexp.MustCompile(`(?:^|[;{}\n!0-9$/,])[ \t]*s([|/,#@!:%]).*[|/,#@!:%][gpiImM0-9]*e[gpiImM0-9]*[ \t]*(?:$|[;}\n])`)
)

// sed looks for the command e and the flag e, with which GNU sed runs programs.
func (w *walker) sed(args []string) {
	for i, a := range args {
		if strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "-e") || i > 0 && (args[i-1] == "-f" || args[i-1] == "--file") {
			continue
		}
		if m := sedRuns.FindStringSubmatch(a); m != nil && m[1] != "" {
			w.text("sed", m[1], source{})
		} else if m == nil && !sedFlag.MatchString(a) {
			if contains(args, "-e") || contains(args, "--expression") {
				continue
			}
			return // the rest are files
		}
		w.find(Opaque, "sed", "sed is told to start a program")
	}
}
