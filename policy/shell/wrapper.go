package shell

import (
	"slices"
	"strings"
)

// wrapper says where the command begins among the arguments of a program that
// runs another.
type wrapper struct {
	values   string   // short options with a value
	long     []string // long options with a value in the next word
	operands int      // words between the options and the command
	assigns  bool     // NAME=value may stand before the command
	shell    bool     // without a command it starts a shell
}

// wrapperOf returns how the program wraps another.
func wrapperOf(program string) (wrapper, bool) {
	switch program {
	case "sudo", "sudo-rs", "dzdo":
		return wrapper{values: "CDghpRrtTuU", assigns: true, long: []string{
			"close-from", "chdir", "group", "host", "prompt", "chroot", "role", "type", "command-timeout", "user", "other-user",
		}}, true
	case "doas":
		return wrapper{values: "uC"}, true
	case "pkexec":
		return wrapper{long: []string{"user"}, shell: true}, true
	case "run0":
		return wrapper{values: "uDgM", shell: true, long: []string{
			"unit", "property", "description", "slice", "user", "group", "nice", "chdir", "setenv", "background", "machine",
		}}, true
	case "gosu", "su-exec", "setuidgid", "runcon":
		return wrapper{operands: 1}, true
	case "ssh-agent":
		return wrapper{values: "aEOPt"}, true
	case "env":
		return wrapper{values: "uCaS", assigns: true, long: []string{"unset", "chdir", "argv0", "split-string"}}, true
	case "nice":
		return wrapper{values: "n", long: []string{"adjustment"}}, true
	case "ionice":
		return wrapper{values: "cn", long: []string{"class", "classdata"}}, true
	case "chrt":
		return wrapper{values: "TPD", operands: 1}, true
	case "taskset":
		return wrapper{operands: 1}, true
	case "timeout", "gtimeout":
		return wrapper{values: "ks", operands: 1, long: []string{"kill-after", "signal"}}, true
	case "stdbuf", "unbuffer":
		return wrapper{values: "ioe", long: []string{"input", "output", "error"}}, true
	case "time":
		return wrapper{values: "fo", long: []string{"format", "output"}}, true
	case "xargs":
		return wrapper{values: "aEdILnPsJRS", long: []string{
			"arg-file", "delimiter", "max-lines", "max-args", "max-procs", "max-chars", "process-slot-var",
		}}, true
	case "parallel":
		return wrapper{values: "jPaISn", long: []string{"jobs", "arg-file", "max-args", "colsep", "delay", "timeout", "joblog", "results"}}, true
	case "chroot", "arch-chroot":
		return wrapper{operands: 1, shell: true}, true
	case "lxc-attach":
		return wrapper{values: "nsPlLugv", shell: true, long: []string{"name", "namespaces", "lxcpath", "logpriority", "logfile", "uid", "gid", "set-var"}}, true
	case "systemd-nspawn":
		return wrapper{values: "DiMSpuUE", shell: true, long: []string{"directory", "image", "machine", "slice", "property", "user", "setenv", "bind"}}, true
	case "unshare":
		return wrapper{values: "RwSG", shell: true, long: []string{"root", "wd", "setuid", "setgid", "map-user", "map-group", "propagation"}}, true
	case "nsenter":
		return wrapper{values: "tSGrw", shell: true, long: []string{"target", "setuid", "setgid"}}, true
	case "setpriv":
		return wrapper{long: []string{"reuid", "regid", "groups", "inh-caps", "ambient-caps", "bounding-set", "securebits", "pdeathsig"}}, true
	case "systemd-run":
		return wrapper{values: "pEuHM", long: []string{
			"unit", "property", "description", "slice", "uid", "gid", "nice", "working-directory", "setenv", "on-active",
			"on-calendar", "on-boot", "on-startup", "on-unit-active", "host", "machine", "service-type",
		}}, true
	case "systemd-inhibit":
		return wrapper{long: []string{"what", "who", "why", "mode"}}, true
	case "strace", "ltrace":
		return wrapper{values: "abeEIoOpPsSuUX"}, true
	case "prlimit":
		return wrapper{}, true
	case "setarch", "linux32", "linux64", "uname26", "i386", "i586", "i686", "x86_64", "aarch64", "ppc64le", "s390x":
		return wrapper{shell: true}, true
	case "faketime":
		return wrapper{values: "f", operands: 1}, true
	case "perf", "rr": // perf stat rm
		return wrapper{values: "eoCptFcgr", operands: 1}, true
	case "valgrind", "cpulimit", "schedtool", "softlimit", "daemonize", "daemon", "tsocks", "dbus-launch", "watchexec", "entr", "npx", "bunx", "pnpx", "wsl", "unbuffer-wrapper", "expect_unbuffer":
		return wrapper{values: "lpenacouEw"}, true
	case "chpst", "envuidgid", "s6-setuidgid", "setlock", "envdir", "s6-envdir":
		return wrapper{values: "ubnmdoptfrc0123/", operands: pickInt(program == "chpst", 0, 1)}, true
	case "sshpass":
		return wrapper{values: "pfdP"}, true
	case "xterm", "uxterm", "rxvt", "urxvt", "konsole", "alacritty", "kitty":
		return wrapper{values: "TnfgbP", shell: true}, true
	case "firejail", "proot", "fakeroot", "fakechroot":
		return wrapper{values: "g", shell: true}, true
	case "dbus-run-session", "catchsegv", "xvfb-run", "cgexec", "numactl", "torsocks", "proxychains", "proxychains4":
		return wrapper{values: pickString(program == "numactl", "NmpCi", "g")}, true
	case "and", "or", "not", "begin": // fish
		return wrapper{}, true
	case "repeat": // zsh
		return wrapper{operands: 1}, true
	case "choom":
		return wrapper{values: "np", long: []string{"adjust", "pid"}}, true
	case "nohup", "setsid", "builtin", "command", "exec", "busybox", "toybox", "noglob", "nocorrect", "-", "chronic", "ifne", "rlwrap", "caffeinate", "eatmydata":
		return wrapper{values: pickString(program == "exec", "a", "")}, true
	}
	if strings.HasPrefix(program, "ld-linux") || strings.HasPrefix(program, "ld-musl") || program == "ld.so" {
		return wrapper{long: []string{"library-path", "preload", "argv0", "audit"}}, true
	}
	return wrapper{}, false
}

func pickString(cond bool, a, b string) string {
	if cond {
		return a
	}
	return b
}

// command returns the words of the wrapped command, and the assignments before it.
func (wr wrapper) command(args []string) (command, assigns []string) {
	i := wr.options(args)
	for i < len(args) && wr.assigns && strings.IndexByte(args[i], '=') > 0 {
		assigns = append(assigns, args[i])
		i++
		i += wr.options(args[i:]) // sudo A=b -u bob
	}
	return args[min(i+wr.operands, len(args)):], assigns
}

// options returns the index of the first word that is no option.
func (wr wrapper) options(args []string) int {
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return i + 1
		case len(a) < 2 || a[0] != '-':
			return i
		case a[1] == '-':
			if slices.Contains(wr.long, a[2:]) {
				i++
			}
		default:
			// The first letter with a value takes the rest of the word, or the next.
			if j := strings.IndexAny(a[1:], wr.values); wr.values != "" && j == len(a)-2 {
				i++
			}
		}
	}
	return len(args)
}

// flags returns the letters of the short options before the command.
func (wr wrapper) flags(args []string) string {
	out := ""
	for i, end := 0, wr.options(args); i < min(end, len(args)); i++ {
		a := args[i]
		switch {
		case len(a) < 2 || a[0] != '-':
		case a[1] == '-':
			if slices.Contains(wr.long, a[2:]) {
				i++
			}
		default:
			j := strings.IndexAny(a[1:], wr.values)
			if wr.values == "" || j < 0 {
				out += a[1:]
				continue
			}
			out += a[1 : j+2]
			if j == len(a)-2 {
				i++
			}
		}
	}
	return out
}

// option returns the value of a short or long option, wherever it stands
// before --.
func option(args []string, short byte, long string) (string, bool) {
	for i, a := range args {
		if a == "--" {
			break
		}
		if len(a) < 2 || a[0] != '-' {
			continue
		}
		if v, ok := strings.CutPrefix(a, "--"+long); ok && long != "" {
			if v == "" && i+1 < len(args) {
				return args[i+1], true
			}
			if v, ok := strings.CutPrefix(v, "="); ok {
				return v, true
			}
		}
		if a[1] == '-' {
			continue
		}
		if j := strings.IndexByte(a[1:], short); j >= 0 {
			if j+2 < len(a) {
				return a[j+2:], true
			}
			if i+1 < len(args) {
				return args[i+1], true
			}
		}
	}
	return "", false
}
