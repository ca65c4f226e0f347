package sallyport

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Code classes an error for machines. It decides the exit status.
type Code string

// The codes. An error without one is internal.
const (
	CodeInternal Code = "internal"
	CodeUsage    Code = "usage"     // the command line
	CodeInvalid  Code = "invalid"   // a value
	CodeDenied   Code = "denied"    // known, and not allowed
	CodeNotFound Code = "not-found" // no such thing, or not yours to see
	CodeConflict Code = "conflict"  // its state does not allow that
	CodePending  Code = "pending"   // not yet
	CodeNoGrant  Code = "no-grant"  // eligible, but nothing is active: ask for it
	CodeUnavail  Code = "unavailable"
	CodeVerify   Code = "verification"
)

// Error is an error for a person: one line that says what is wrong, and a hint
// that says what to do next.
type Error struct {
	Code    Code
	Message string // a lower-case clause without a period
	Hint    string // may be empty
	Err     error  // for operators; not shown to users
}

// Errorf makes an Error. A %w verb sets Err.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// WithHint adds what to do next.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// Printable returns s with everything that is not printable escaped: control
// bytes, which steer a terminal, and format characters, which reorder a line.
func Printable(s string) string {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	if utf8.ValidString(s) && !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case !hidden(r):
			b.WriteRune(r)
		default:
			q := fmt.Sprintf("%+q", r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	return b.String()
}

// CodeOf returns the code of err, CodeInternal where it has none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// HintOf returns the hint of err, if it has one.
func HintOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// The exit statuses of every verb.
const (
	ExitOK       = 0
	ExitError    = 1
	ExitUsage    = 2
	ExitDenied   = 3
	ExitNotFound = 4
	ExitPending  = 5
	ExitVerify   = 6

	// Inside a proxied session the exit status is the target's own, but:
	ExitEnded       = 254 // the gateway ended it, or could not record it
	ExitUnreachable = 255 // the target could not be reached
)

// ExitStatus returns the exit status that err calls for.
func ExitStatus(err error) int {
	switch CodeOf(err) {
	case "":
		return ExitOK
	case CodeUsage:
		return ExitUsage
	case CodeDenied, CodeNoGrant:
		return ExitDenied
	case CodeNotFound:
		return ExitNotFound
	case CodePending:
		return ExitPending
	case CodeVerify:
		return ExitVerify
	default:
		return ExitError
	}
}
