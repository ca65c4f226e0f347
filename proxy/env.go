package proxy

import (
	"path"
	"strconv"

	"sallyport/internal/wire"
)

// maxEnv bounds the variables of one channel, and the bytes of each.
const maxEnv, maxEnvBytes = 64, 4096

// envFault returns why a variable is not passed, where n have been; "" if it is.
// It names the variable and not its value, which may be a secret.
func envFault(e wire.Env, n int, more []string) string {
	switch {
	case len(e.Name)+len(e.Value) > maxEnvBytes:
		return "variable of more than " + strconv.Itoa(maxEnvBytes) + " bytes: " + e.Name[:min(len(e.Name), 64)]
	case !envAllowed(e.Name, more):
		return "variable not allowed: " + e.Name
	case n >= maxEnv:
		return "more than " + strconv.Itoa(maxEnv) + " variables: " + e.Name
	}
	return ""
}

// envAllowed reports whether a variable may be passed: LANG and LC_*, and what
// the role adds. LD_PRELOAD and BASH_ENV run code before any judge sees it
// (threat C5).
func envAllowed(name string, more []string) bool {
	for _, pattern := range append([]string{"LANG", "LC_*"}, more...) {
		if ok, err := path.Match(pattern, name); err == nil && ok {
			return true
		}
	}
	return false
}
