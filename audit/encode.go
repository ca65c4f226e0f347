package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"sallyport"
)

// Bounds of an event, in bytes. What a client can write into one line of the
// log ends here.
const (
	maxField   = 512
	maxReason  = 4096
	maxDetails = 32
	maxKey     = 64
	maxValue   = 4096
	maxAll     = 32 << 10 // all details together
)

// bound returns the event with every field at most as long as it may be and
// every byte that is no UTF-8 written as \xNN.
func bound(e sallyport.Event) sallyport.Event {
	for _, s := range []*string{
		&e.Type, &e.User, &e.Account, &e.Target, &e.Role, &e.Request, &e.Grant, &e.Session,
		&e.Channel, &e.From, &e.To, &e.Outcome, (*string)(&e.Severity),
	} {
		*s = clean(*s, maxField)
	}
	e.Reason = clean(e.Reason, maxReason)
	if e.Details == nil {
		return e
	}
	// In order, so that what is left out does not depend on chance.
	details, left := map[string]string{}, maxAll
	for _, k := range slices.Sorted(maps.Keys(e.Details)) {
		v := clean(e.Details[k], maxValue)
		if len(details) == maxDetails || len(v) > left {
			details["left_out"] = fmt.Sprint(len(e.Details) - len(details))
			break
		}
		left -= len(v)
		details[clean(k, maxKey)] = v
	}
	e.Details = details
	return e
}

// clean cuts s to about limit bytes and makes it UTF-8.
func clean(s string, limit int) string {
	cut := 0
	if len(s) > limit {
		end := limit
		for end > 0 && end > limit-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s, cut = s[:end], len(s)-end
	}
	if !utf8.ValidString(s) {
		var b strings.Builder
		for i := 0; i < len(s); {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				fmt.Fprintf(&b, `\x%02x`, s[i])
			} else {
				b.WriteString(s[i : i+n])
			}
			i += n
		}
		s = b.String()
	}
	if cut > 0 {
		s += fmt.Sprintf("… (%d bytes more)", cut)
	}
	return s
}
