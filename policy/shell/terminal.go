package shell

import "strings"

// Taken says how a program takes what is typed while it runs.
type Taken int

// The ways.
const (
	NotTaken   Taken = iota // it does not read it, or one cannot tell
	AsInput                 // as its data
	AsCommands              // it hands it to a shell
)

// ReadsTerminal returns how the program of the call takes what is typed, where
// its input is the terminal's.
func ReadsTerminal(c *Call) Taken {
	args := make([]string, len(c.Args))
	for i, a := range c.Args {
		if !a.Literal() {
			return NotTaken
		}
		args[i] = string(a)
	}
	if l, ok := languageOf(c.Program); ok {
		return taken(l.sent(args) || contains(args, "-i"))
	}
	if asksAbout(args) {
		return NotTaken
	}
	program := strings.TrimRight(c.Program, "0123456789.-")
	switch program {
	case "screen", "tmux", "byobu", "dtach", "abduco", "zellij", "mosh", "rlogin", "rsh":
		return multiplexer(program, args)
	case "cat", "tac", "rev", "nl", "md5sum", "sha1sum", "sha256sum", "sha512sum", "sum", "base", "cksum", "od", "xxd", "hexdump",
		"sort", "uniq", "fold", "expand", "unexpand", "fmt", "column", "paste", "gzip", "bzip", "xz", "wc", "head", "tail":
		return taken(noFile(args, "nbcswfkto"))
	case "tee", "bc", "dc", "ed", "passwd", "telnet", "ftp", "sftp", "lftp", "sqlite", "mysql", "mariadb", "psql", "mongo", "mongosh", "redis-cli", "cqlsh", "sqlcmd",
		"sqlplus", "gdb", "lldb", "vi", "vim", "nvim", "view", "vimdiff", "nano", "pico", "emacs", "joe", "mcedit", "micro", "less", "more", "man", "top", "htop", "ex",
		"irb", "ipython", "iex", "ghci", "scala", "jshell", "octave", "gnuplot", "maxima", "R", "fdisk", "gdisk", "parted", "openssl", "nc", "ncat", "socat", "mail", "mailx",
		"dialog", "whiptail", "write", "wall", "minicom", "cu", "kadmin", "ldapsearch", "nslookup", "ntpq", "rndc", "xargs", "cryptsetup", "chpasswd", "newusers", "select":
		return taken(interactive(program, args))
	case "read", "mapfile", "readarray":
		return taken(!hasShort(args, "tu"))
	case "grep", "egrep", "fgrep":
		return taken(operands(args, "efmABCdD") == pickInt(hasShort(args, "ef"), 0, 1) && !hasShort(args, "rR"))
	case "sed", "awk", "gawk", "mawk", "tr", "cut":
		n := pickInt(program == "tr", 2, pickInt(program == "cut", 0, 1))
		if program == "tr" && hasShort(args, "ds") {
			n = 1
		}
		return taken(operands(args, "efFvdfcb") <= n)
	}
	return NotTaken
}

func taken(yes bool) Taken {
	if yes {
		return AsInput
	}
	return NotTaken
}

func pickInt(cond bool, a, b int) int {
	if cond {
		return a
	}
	return b
}

// asksAbout reports whether the program only says something about itself.
func asksAbout(args []string) bool {
	for _, a := range args {
		if a == "--help" || a == "--version" || a == "-V" {
			return true
		}
	}
	return false
}

// operands counts the arguments that are neither options nor their values.
func operands(args []string, values string) int {
	rest, n := args, 0
	for len(rest) > 0 {
		wr := wrapper{values: values}
		i := wr.options(rest)
		if i > 0 && rest[i-1] == "--" {
			return n + len(rest) - i
		}
		if rest = rest[i:]; len(rest) > 0 {
			n, rest = n+1, rest[1:]
		}
	}
	return n
}

// noFile reports whether a program that reads files is given none, or -.
func noFile(args []string, values string) bool {
	return operands(args, values) == 0 || contains(args, "-")
}

// interactive reports whether a program that asks for commands is not told them.
func interactive(program string, args []string) bool {
	switch program {
	case "mysql", "mariadb":
		return !hasShort(args, "eV") && !hasLong(args, "execute")
	case "psql":
		return !hasShort(args, "cfl") && !hasLong(args, "command") && !hasLong(args, "file")
	case "sqlite":
		return operands(args, "") < 2
	case "redis-cli":
		return operands(args, "hpanu") == 0
	case "openssl", "nslookup":
		return len(args) == 0
	case "gdb", "lldb":
		return !contains(args, "-batch") && !contains(args, "--batch")
	case "nc", "ncat", "socat":
		return !hasShort(args, "z")
	case "fdisk", "parted":
		return !hasShort(args, "lsx") && operands(args, "") == 1
	case "passwd":
		return !hasShort(args, "Sldue")
	case "sftp":
		return !hasShort(args, "b")
	case "top":
		return !hasShort(args, "b")
	case "mongo", "mongosh", "R", "cryptsetup", "ldapsearch":
		return len(args) < 2
	}
	return true
}

func hasLong(args []string, name string) bool {
	for _, a := range args {
		if a == "--"+name || strings.HasPrefix(a, "--"+name+"=") {
			return true
		}
	}
	return false
}

// multiplexer tells what starts a shell of its own from what asks about one.
func multiplexer(program string, args []string) Taken {
	switch program {
	case "tmux":
		if len(args) > 0 && (strings.HasPrefix(args[0], "ls") || strings.HasPrefix(args[0], "list") || strings.HasPrefix(args[0], "kill")) {
			return NotTaken
		}
	case "screen":
		if hasLong(args, "help") || contains(args, "-ls") || contains(args, "-list") {
			return NotTaken
		}
	}
	return AsCommands
}
