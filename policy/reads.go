package policy

import (
	"strings"

	"sallyport/policy/shell"
)

// Reader says who reads what is typed while a command line runs.
type Reader int

// The readers, in rising order.
const (
	ReadsNothing Reader = iota // nobody: it waits for the next prompt
	ReadsInput                 // a program, as its data: cat, read, mysql, vim
	ReadsShell                 // a shell, as commands: bash, su, ssh host
)

// Reads returns what the command line, once it runs at a terminal, does with
// what is typed. A program counts only where it is the last to run and is sure
// to: what is typed during "cat; sleep 5" may go to the shell that ran it. When
// unsure a shell reads it.
func Reads(line string) Reader {
	s := shell.Parse(line)
	if s.Input || s.Unread != "" {
		return ReadsShell
	}
	reader := ReadsNothing
	for i := range s.Calls {
		if s.Calls[i].Terminal {
			reader = max(reader, reads(&s.Calls[i]))
		}
	}
	return reader
}

func reads(c *shell.Call) Reader {
	switch shell.ReadsTerminal(c) {
	case shell.AsInput:
		return ReadsInput
	case shell.AsCommands:
		return ReadsShell
	}
	return ReadsNothing
}

// AsksFirst reports whether the first thing that the line does is to read one
// line from the terminal: what is typed then is for it, whatever follows. Only
// what cannot wait may come before.
func AsksFirst(line string) bool {
	for {
		first, rest, more := strings.Cut(line, ";")
		s := shell.Parse(first)
		if len(s.Calls) != 1 || s.Incomplete || s.Unread != "" || strings.ContainsAny(first, "<|&\n`(") {
			return false
		}
		switch call := &s.Calls[0]; call.Program {
		case "read":
			return readsLine(call)
		case "echo", "printf", "stty", "clear", "true", ":":
			if line = rest; more {
				continue
			}
		}
		return false
	}
}

func readsLine(c *shell.Call) bool {
	prompt := false
	for _, a := range c.Args {
		flag := strings.HasPrefix(string(a), "-")
		if !prompt && (!a.Literal() || flag && strings.Trim(string(a), "-ersp") != "") {
			return false // it may not wait, or not for a line
		}
		prompt = flag && !prompt && strings.HasSuffix(string(a), "p")
	}
	return true
}
