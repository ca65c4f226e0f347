package sallyport

import (
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Severities lists the severities, the least first.
var Severities = []Severity{SeverityInfo, SeverityWarning, SeverityAlert, SeverityCritical}

// AtLeast reports whether s is as severe as least, or more. One that is not
// known counts as critical: better told once too often.
func (s Severity) AtLeast(least Severity) bool { return s.rank() >= least.rank() }

func (s Severity) rank() int {
	if s == "" {
		return 0
	}
	if i := slices.Index(Severities, s); i >= 0 {
		return i
	}
	return len(Severities) - 1
}

// EscapeJSON writes what json.Marshal lets through and a terminal or a reader's
// eye would take amiss as \uNNNN: DEL, the C1 controls, and the invisible format
// characters that turn the direction of text. Outside of strings JSON has none.
func EscapeJSON(line []byte) []byte {
	if !slices.ContainsFunc(line, func(c byte) bool { return c >= 0x7f }) {
		return line
	}
	out := make([]byte, 0, len(line)+16)
	for i := 0; i < len(line); {
		r, n := utf8.DecodeRune(line[i:])
		switch {
		case !unicode.Is(unicode.Cc, r) && !unicode.Is(unicode.Cf, r):
			out = append(out, line[i:i+n]...)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += n
	}
	return out
}
