package policy

import (
	"slices"
	"strings"

	"sallyport/policy/shell"
)

var shellNames = []string{"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash", "fish", "csh", "tcsh"}

// ReadsScript reports whether the line runs a shell that reads its commands
// from standard input: what is sent to it has to be judged as typed lines are
// (threat C3).
func ReadsScript(line string) bool {
	return slices.ContainsFunc(shell.Parse(line).Calls, func(c shell.Call) bool {
		if !slices.Contains(shellNames, c.Program) {
			return false
		}
		for _, w := range c.Args {
			a := string(w)
			switch {
			case a == "-" || a == "-s":
				return true
			case strings.HasPrefix(a, "-c") || strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.Contains(a, "c"):
				return false // the script is in the line
			case !strings.HasPrefix(a, "-"):
				return false // the script is a file
			}
		}
		return true
	})
}
