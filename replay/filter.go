package replay

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Filter makes recorded output safe to show in a terminal. A recording holds
// what a target sent, and a hostile target can send sequences that make the
// viewer's terminal type an answer into the viewer's shell (DSR, DA, DECRQSS,
// XTVERSION, ENQ, title reports), write the clipboard (OSC 52), print, resize
// the window or report the mouse.
//
// It lets through what is on a list and nothing else: text, and the controls
// that place, colour and erase it. Every string control (OSC, DCS, APC, PM,
// SOS) is dropped whole. A sequence is written only once it is complete, so it
// does not matter where the chunks are cut, and no two parsers can disagree
// about its end. Output is always valid UTF-8.
//
// The zero value is ready. Not safe for concurrent use.
type Filter struct {
	state  state
	seq    []byte // the parameters and intermediates of the sequence so far
	tail   []byte // the beginning of a character
	length int    // bytes of the string so far
	used   touched
}

type state uint8

const (
	ground state = iota
	escape       // after ESC, and its intermediates
	csi
	csiIgnore // too long to be meant; runs to its final byte
	str       // OSC, DCS, APC, PM, SOS
	strEscape // ESC inside a string: perhaps its ST
)

const (
	maxSequence = 256
	// maxString bounds what an unterminated string can hide. Sixel images, the
	// longest strings in honest use, are mostly shorter.
	maxString = 1 << 20
	// maxRepeat bounds REP, nine bytes of which can else ask for 10^9 cells.
	maxRepeat = 1024
)

// touched says which state of the terminal was changed, to be undone at the end.
type touched uint8

const (
	touchedStyle touched = 1 << iota
	touchedCharset
	touchedCursor
	touchedAlternate
	touchedModes
)

// Write returns what of p, after all that was written before, may be shown.
func (f *Filter) Write(p []byte) []byte {
	if len(f.tail) > 0 {
		p = append(f.tail, p...)
		f.tail = nil
	}
	out := make([]byte, 0, len(p))
	for len(p) > 0 {
		if p[0] < utf8.RuneSelf {
			out = f.step(out, rune(p[0]))
			p = p[1:]
			continue
		}
		if !utf8.FullRune(p) {
			f.tail = slices.Clone(p)
			break
		}
		r, n := utf8.DecodeRune(p) // U+FFFD for a byte that is none
		out = f.step(out, r)
		p = p[n:]
	}
	return out
}

// Restore returns what brings the terminal back to its usual state after what
// was let through, and forgets it. It is empty where nothing was changed.
func (f *Filter) Restore() []byte {
	var out []byte
	add := func(t touched, s string) {
		if f.used&t != 0 {
			out = append(out, s...)
		}
	}
	add(touchedAlternate, "\x1b[?1049l\x1b[?1047l\x1b[?47l")
	add(touchedModes, "\x1b[?69l\x1b[?6l\x1b[?5l\x1b[?7h\x1b[?45l\x1b[4l\x1b[20l\x1b[r\x1b[9999;1H")
	add(touchedCharset, "\x1b(B\x1b)B\x0f")
	add(touchedCursor, "\x1b[ q\x1b[?25h")
	add(touchedStyle, "\x1b[0m")
	*f = Filter{}
	return out
}

func (f *Filter) step(out []byte, r rune) []byte {
	switch {
	case f.state == str || f.state == strEscape:
		return f.inString(out, r)
	case r == 0x18 || r == 0x1a: // CAN, SUB
		f.state = ground
		return out
	case r == 0x1b:
		f.state, f.seq = escape, f.seq[:0]
		return out
	case r < 0x20: // executed also in the middle of a sequence, as terminals do
		return f.control(out, byte(r))
	case r == 0x7f:
		return out
	case r >= 0x80 && r < 0xa0: // C1: the twin of ESC and a letter
		f.state, f.seq = escape, f.seq[:0]
		return f.inEscape(out, byte(r)-0x40)
	case r >= 0xa0:
		f.state = ground
		return utf8.AppendRune(out, r)
	case f.state == escape:
		return f.inEscape(out, byte(r))
	case f.state == csi || f.state == csiIgnore:
		return f.inCSI(out, byte(r))
	}
	return append(out, byte(r))
}

func (f *Filter) control(out []byte, c byte) []byte {
	switch c {
	case 0x0e, 0x0f: // SO, SI
		f.used |= touchedCharset
		return append(out, c)
	case '\a', '\b', '\t', '\n', '\v', '\f', '\r':
		return append(out, c)
	}
	return out // ENQ asks for an answer; the rest shows nothing
}

func (f *Filter) inString(out []byte, r rune) []byte {
	f.length++
	switch {
	case r == 0x18 || r == 0x1a, r == 0x9c, r == '\a', f.length >= maxString:
		f.state = ground
	case r == 0x1b:
		f.state = strEscape
	case f.state == strEscape:
		// ESC ends a string whatever follows; after ST nothing is left of it.
		f.state, f.seq = escape, f.seq[:0]
		return f.step(out, r)
	}
	return out
}

func (f *Filter) inEscape(out []byte, c byte) []byte {
	if c < 0x30 { // an intermediate
		if len(f.seq) >= maxSequence {
			f.seq = append(f.seq[:0], "  "...) // of no known sequence
		}
		f.seq = append(f.seq, c)
		return out
	}
	f.state = ground
	if len(f.seq) == 0 {
		switch c {
		case '[':
			f.state = csi
			return out
		case ']', 'P', '_', '^', 'X':
			f.state, f.length = str, 0
			return out
		}
	}
	switch s := string(f.seq) + string(rune(c)); s {
	case "7", "8", "D", "E", "H", "M", "=", ">", "#3", "#4", "#5", "#6", "#8":
	case "c":
		// RIS wipes the viewer's scrollback too, with all that was there before.
		f.used |= touchedStyle
		return append(out, "\x1b[!p\x1b[H\x1b[2J"...)
	case "(0", "(A", "(B", "(1", "(2", ")0", ")A", ")B", ")1", ")2":
		f.used |= touchedCharset
	default:
		return out
	}
	if c == '=' || c == '>' {
		return out // the keypad belongs to the viewer
	}
	return append(append(append(out, 0x1b), f.seq...), c)
}

func (f *Filter) inCSI(out []byte, c byte) []byte {
	if c >= 0x40 {
		done := f.state == csi
		f.state = ground
		if !done {
			return out
		}
		return f.sequence(out, c)
	}
	if len(f.seq) >= maxSequence {
		f.state = csiIgnore
	} else if f.state == csi {
		f.seq = append(f.seq, c)
	}
	return out
}

// sequence writes the control sequence of f.seq and final, if it may be shown.
func (f *Filter) sequence(out []byte, final byte) []byte {
	private, params, inter, ok := splitCSI(string(f.seq))
	if !ok {
		return out
	}
	switch private + inter {
	case "":
		ok = f.plain(params, final)
	case "?":
		switch final {
		case 'J':
			ok = erases(params)
		case 'K':
		case 'h', 'l':
			params = f.modes(params)
			ok = params != ""
		default:
			ok = false
		}
	case " ":
		ok = final == 'q' || final == '@' || final == 'A' // cursor shape, SL, SR
		f.used |= touchedCursor
	case "!":
		ok = final == 'p' // DECSTR
		f.used |= touchedStyle
	default:
		ok = false
	}
	if !ok {
		return out
	}
	out = append(out, 0x1b, '[')
	out = append(out, private...)
	out = append(out, params...)
	out = append(out, inter...)
	return append(out, final)
}

// plain judges a sequence without prefix and intermediates.
func (f *Filter) plain(params string, final byte) bool {
	switch final {
	case 'm':
		f.used |= touchedStyle
		return true
	case 'b':
		n, err := strconv.Atoi(params)
		return params == "" || err == nil && n <= maxRepeat
	case 'J':
		return erases(params)
	case 'T': // with five parameters it tracks the mouse
		return !strings.Contains(params, ";")
	case 'r', 's':
		f.used |= touchedModes
		return true
	case 'h', 'l':
		f.used |= touchedModes
		return params == "4" || params == "20" // IRM, LNM
	case '@', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'K', 'L', 'M', 'P', 'S', 'X', 'Z',
		'`', 'a', 'd', 'e', 'f', 'g', 'u':
		return true
	}
	return false
}

// erases reports whether ED only erases the screen: 3 wipes the scrollback of
// the viewer, and some terminals know higher numbers.
func erases(params string) bool {
	for n := range strings.FieldsFuncSeq(params, isSeparator) {
		if v, err := strconv.Atoi(n); err != nil || v > 2 {
			return false
		}
	}
	return true
}

func isSeparator(r rune) bool { return r == ';' || r == ':' }

// modes keeps of DEC private modes those that only change what is shown. Modes
// that make the terminal send (mouse, focus, paste) or change its keys are dropped.
func (f *Filter) modes(params string) string {
	var keep []string
	for m := range strings.SplitSeq(params, ";") {
		switch m {
		case "5", "6", "7", "45", "69":
			f.used |= touchedModes
		case "12", "25":
			f.used |= touchedCursor
		case "47", "1047", "1048", "1049":
			f.used |= touchedAlternate
		default:
			continue
		}
		keep = append(keep, m)
	}
	return strings.Join(keep, ";")
}

// splitCSI splits a sequence into its prefix (<=>?), its numbers and its
// intermediates; ok is false where they are out of order or beyond any screen.
func splitCSI(s string) (private, params, inter string, ok bool) {
	if s != "" && s[0] >= '<' && s[0] <= '?' {
		private, s = s[:1], s[1:]
	}
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= ';' {
		i++
	}
	params, inter = s[:i], s[i:]
	for _, c := range []byte(inter) {
		if c < 0x20 || c > 0x2f {
			return "", "", "", false
		}
	}
	for n := range strings.FieldsFuncSeq(params, isSeparator) {
		if v, err := strconv.Atoi(n); err != nil || v > 32767 {
			return "", "", "", false
		}
	}
	return private, params, inter, true
}
