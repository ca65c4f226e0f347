package shell

import (
	"regexp"
	"slices"
	"strings"
)

// maxWrapped bounds programs run by programs: sudo sudo sudo …
const maxWrapped = 32

// call notes a program with its words, and whatever it would run in turn.
func (w *walker) call(words []string, in source) {
	if len(words) == 0 {
		return
	}
	if w.nested++; w.nested > maxWrapped {
		w.unread("programs are wrapped too deeply")
	}
	defer func() { w.nested-- }()
	if w.script.Unread != "" {
		return
	}
	program, args := base(words[0]), words[1:]
	c := Call{Program: program, Args: make([]Word, len(args)), Pipe: in.pipe, Outer: w.outer, Terminal: in.tty}
	for i, a := range args {
		c.Args[i] = Word(a)
	}
	w.emit(c)
	defer func(outer int) { w.outer = outer }(w.outer)
	w.outer = len(w.script.Calls)

	switch {
	case !Word(words[0]).Literal():
		w.find(Opaque, "", "the name of the program is not on the line")
		w.script.Input = w.script.Input || readShellArgs(args).stdin
		if words[0] == unknown {
			w.call(args, in) // $SUDO rm
		}
	case strings.ContainsAny(program, "*?[") && program != "[" && program != "[[":
		w.find(Opaque, "", "the name of the program is a pattern")
		w.script.Input = w.script.Input || readShellArgs(args).stdin
	case isStdin(words[0]):
		w.stream(program, words[0], in)
	}
	w.tamper(program, args)
	if evaluates(program) {
		for _, a := range args {
			w.hidden(a, in)
		}
	}
	if other, ok := w.names[program]; ok {
		w.call(append(slices.Clone(other), args...), in)
	}
	if wr, ok := wrapperOf(program); ok {
		w.unwrap(program, wr, args, in)
		return
	}
	w.runs(program, args, in)
}

// unwrap follows a program whose arguments are another program and its
// arguments.
func (w *walker) unwrap(program string, wr wrapper, args []string, in source) {
	inner, assigns := wr.command(args)
	for _, a := range assigns {
		name, value, _ := strings.Cut(a, "=")
		w.set(name, value, true)
		if commandVariable(name) {
			w.text(name, value, source{pipe: in.pipe})
		}
	}
	switch program {
	case "env":
		if s, ok := option(args[:len(args)-len(inner)], 'S', "split-string"); ok {
			w.text("env", s+" "+strings.Join(inner, " "), in)
			return
		}
	case "command":
		if len(args) > 0 && (args[0] == "-v" || args[0] == "-V") {
			return // asks where a program is
		}
	case "sudo", "sudo-rs", "doas", "dzdo":
		head := args[:len(args)-len(inner)]
		flags := wr.flags(head)
		if strings.ContainsAny(flags, "si") || contains(head, "--shell") || contains(head, "--login") {
			// sudo -s hands its words to a shell, so does sudo -i.
			if len(inner) == 0 {
				w.shell(nil, in)
			} else {
				w.text(program, strings.Join(inner, " "), in)
			}
		}
		if strings.Contains(flags, "e") || contains(head, "--edit") {
			return
		}
	case "systemd-run":
		if strings.Contains(wr.flags(args), "S") || contains(args, "--shell") {
			w.shell(nil, in)
		}
	case "xargs", "parallel":
		inner = w.fed(program, args[:len(args)-len(inner)], inner, in)
	}
	if wr.shell && len(inner) == 0 {
		w.shell(nil, in)
	}
	w.call(inner, in)
}

// fed returns the command that xargs builds from its input.
func (w *walker) fed(program string, head, inner []string, in source) []string {
	replace, ok := option(head, 'I', "replace")
	if !ok && (hasShort(head, "i") || contains(head, "--replace") || program == "parallel") {
		replace = "{}"
	}
	input := []string{unknown}
	if in.isText {
		w.used = true
		input = strings.Fields(in.text)
	}
	if len(inner) == 0 {
		if program == "parallel" && in.piped {
			w.source(program, in) // each line is a command
		}
		return nil
	}
	out := append([]string{}, inner...)
	replaced := false
	if replace != "" {
		for i := range out {
			if strings.Contains(out[i], replace) {
				out[i] = strings.ReplaceAll(out[i], replace, strings.Join(input, " "))
				replaced = true
			}
		}
	}
	if !replaced {
		out = append(out, input...)
	}
	return out
}

// runs follows a program that takes code or a command in its own way.
func (w *walker) runs(program string, args []string, in source) {
	if isShell(program) {
		if code, ok := option(args, 'C', "init-command"); ok && program == "fish" {
			w.text(program, code, in)
		}
		w.shell(args, in)
		return
	}
	switch program {
	case "pwsh", "powershell":
		w.powershell(args, in)
	case "eval":
		if len(args) > 0 && args[0] == "--" {
			args = args[1:]
		}
		w.text(program, strings.Join(args, " "), in)
	case "source", ".":
		w.sourced(args, in)
	case "trap":
		in.tty = false
		if len(args) > 1 && args[0] != "-" && args[0] != "-l" && args[0] != "-p" {
			w.text(program, pickFirst(args), in)
		}
	case "alias":
		in.tty = false
		for i, a := range args {
			name, value, ok := strings.Cut(a, "=")
			if !ok && i == 0 && len(args) == 2 { // fish
				name, value, ok = a, args[1], true
			}
			if ok {
				w.text(program, value, in)
				w.rename(name, strings.Fields(value))
			}
		}
	case "su", "runuser", "sg", "script", "newgrp", "login", "capsh":
		w.otherUser(program, args, in)
	case "watch":
		inner, _ := wrapper{values: "nq", long: []string{"interval", "equexit"}}.command(args)
		if hasShort(args[:len(args)-len(inner)], "x") {
			w.call(inner, in)
		} else {
			w.text(program, strings.Join(inner, " "), in)
		}
	case "ssh":
		for _, a := range args {
			if m := sshRuns.FindStringSubmatch(a); m != nil {
				w.text(program, m[1], source{})
			}
		}
		wr := wrapper{values: "BbcDEeFIiJLlmOopQRSWw", operands: 1}
		inner, _ := wr.command(args)
		flags := wr.flags(args) + wr.flags(inner)
		// Options may follow the host.
		inner = inner[min(wr.options(inner), len(inner)):]
		if len(inner) == 0 && !strings.ContainsAny(flags, "NGQVW") {
			w.shell(nil, in)
		}
		w.text(program, strings.Join(inner, " "), in)
	case "flock":
		if code, ok := option(args, 'c', "command"); ok {
			w.text(program, code, in)
		} else {
			inner, _ := wrapper{values: "wE", long: []string{"timeout", "wait", "conflict-exit-code"}, operands: 1}.command(args)
			w.call(inner, in)
		}
	case "find", "fd", "fdfind":
		w.findExec(args, in)
	case "ip":
		for i := range args {
			if args[i] == "exec" && i+2 < len(args) && contains(args[:i], "netns") {
				w.call(args[i+2:], in)
			}
		}
	case "docker", "docker-compose", "podman", "nerdctl", "kubectl", "oc", "lxc", "incus", "machinectl":
		w.container(program, args, in)
	case "hash":
		if path, ok := option(args, 'p', ""); ok {
			w.call([]string{path}, in)
			w.rename(args[len(args)-1], []string{path})
		}
	case "coproc", "time":
		w.call(args, in)
	default:
		w.follows(program, args, in)
		w.interpreter(program, args, in)
	}
}

func pickFirst(args []string) string {
	if args[0] == "--" && len(args) > 1 {
		return args[1]
	}
	return args[0]
}

// sshRuns are the options of ssh that run something here.
var sshRuns = regexp.MustCompile(`(?i)^(?:-o)?\s*(?:ProxyCommand|LocalCommand|KnownHostsCommand|RemoteCommand)[ =]+(.*)`)

// findExec follows -exec and its kin up to ; or +.
func (w *walker) findExec(args []string, in source) {
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-exec", "-execdir", "-ok", "-okdir", "-x", "-X", "--exec", "--exec-batch":
			end := i + 1
			for end < len(args) && args[end] != ";" && (args[end] != "+" || args[end-1] != "{}") {
				end++
			}
			inner := make([]string, end-i-1)
			for k, a := range args[i+1 : end] {
				inner[k] = strings.ReplaceAll(a, "{}", unknown)
			}
			w.call(inner, in)
			i = end
		}
	}
}

// otherUser follows the programs that start a shell unless they are told
// otherwise, each in its own way.
func (w *walker) otherUser(program string, args []string, in source) {
	code, hasCode := option(args, 'c', "command")
	if c, ok := option(args, 0, "session-command"); ok {
		code, hasCode = c, true
	}
	wr := wrapper{values: "cgGsw", long: []string{"group", "supp-group", "shell", "whitelist-environment"}}
	rest, _ := wr.command(args)
	switch program {
	case "su", "runuser":
		if hasCode {
			w.text(program, code, in)
			return
		}
		if program == "runuser" && hasShort(args, "u") {
			inner, _ := wrapper{values: "ugG"}.command(args)
			w.call(inner, in)
			return
		}
		if len(rest) > 0 && rest[0] == "-" {
			rest = rest[1:]
		}
		rest = rest[min(1, len(rest)):] // the user; what follows is the shell's
		if len(rest) > 0 && rest[0] == "--" {
			rest = rest[1:]
		}
		w.shell(rest, in)
	case "sg":
		if len(rest) > 0 && rest[0] == "-" {
			rest = rest[1:]
		}
		switch {
		case hasCode:
			w.text(program, code, in)
		case len(rest) > 1:
			w.text(program, strings.Join(rest[1:], " "), in)
		default:
			w.shell(nil, in)
		}
	case "capsh":
		if i := slices.Index(args, "--"); i >= 0 {
			w.shell(args[i+1:], in)
		}
	case "script":
		if i := slices.Index(args, "--"); i >= 0 && i+1 < len(args) {
			w.call(args[i+1:], in)
		}
		fallthrough
	default:
		if hasCode {
			w.text(program, code, in)
		} else {
			w.shell(nil, in)
		}
	}
}

// container follows docker exec NAME command and kubectl exec POD -- command.
func (w *walker) container(program string, args []string, in source) {
	starts := []string{"attach"}
	if program == "oc" {
		starts = append(starts, "rsh")
	}
	if program == "machinectl" || program == "lxc" || program == "incus" {
		starts = []string{"shell", "login"}
	}
	for i, a := range args {
		if a != "exec" && a != "run" && !contains(starts, a) {
			continue
		}
		rest := args[i+1:]
		for j, b := range rest {
			if b == "--" {
				w.call(rest[j+1:], in)
				return
			}
		}
		inner, _ := wrapper{values: "euwnclhvp", operands: 1, long: []string{
			"env", "user", "workdir", "name", "volume", "publish", "network", "entrypoint", "mount", "env-file", "namespace", "container",
		}}.command(rest)
		if len(inner) == 0 && (contains(starts, a) || hasShort(rest, "i")) {
			w.shell(nil, in)
		}
		w.call(inner, in)
		return
	}
}

func contains(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

// hasShort reports whether one of the letters stands in a bundle of short
// options.
func hasShort(words []string, letters string) bool {
	for _, w := range words {
		if len(w) > 1 && w[0] == '-' && w[1] != '-' && strings.ContainsAny(w[1:], letters) {
			return true
		}
	}
	return false
}
