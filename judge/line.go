package judge

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"sallyport/internal/term"
)

// Keys with a meaning of their own.
const (
	ctrlC     = 0x03
	ctrlD     = 0x04
	backspace = 0x08
	lf        = 0x0a
	cr        = 0x0d
	ctrlO     = 0x0f // readline runs the line and fetches the next
	ctrlU     = 0x15
	ctrlW     = 0x17
	esc       = 0x1b
	del       = 0x7f
)

// lineMax bounds the keys that are kept of one line, in bytes.
const lineMax = 64 << 10

// line is what was typed since the last commit.
type line struct {
	text   []byte
	kept   []byte // text where Ctrl-H erases nothing, as in dash
	keys   []byte // all of them, as they came
	ends   int    // where the text goes on after a Ctrl-D, which may have run what was before
	any    bool   // a key was pressed
	odd    bool   // a key whose effect only the screen tells: history, completion, editing
	blind  bool   // nothing but an echo was drawn since such a key
	long   bool   // keys were lost
	broke  bool   // a key before it may have dropped what the line would continue
	anchor term.Pos

	// These outlive the line.
	escape  []byte // an escape sequence that has begun
	paste   bool   // inside a bracketed paste
	discard bool   // of a paste that was refused: nothing of it is sent
	kill    []byte // what readline would yank
}

const (
	pasteBegin = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

func (l *line) reset() {
	if bytes.ContainsFunc(l.keys, func(r rune) bool { return r < ' ' }) {
		_, l.kill = readline(l.keys, l.kill)
	}
	*l = line{escape: l.escape[:0], paste: l.paste, discard: l.discard, kill: l.kill}
}

// note keeps a key as it came. Of too many, what they made is kept.
func (l *line) note(b byte) {
	if len(l.keys) >= lineMax {
		text, kill := readline(l.keys, l.kill)
		l.keys, l.kill, l.long = append(l.keys[:0], text...), kill, l.long || len(text) > lineMax/2
		l.keys = l.keys[:min(len(l.keys), lineMax/2)]
	}
	l.keys = append(l.keys, b)
}

// take follows the keys of p up to the next commit byte, and returns how many
// that were and whether p[n] commits the line. A commit byte is one in the
// middle of an escape sequence too: a shell without a line editor knows none.
func (l *line) take(p []byte, screen *term.Terminal) (n int, commit bool) {
	for i, b := range p {
		if b == cr || b == lf || b == ctrlO || b == ctrlD && len(l.text) > 0 {
			if len(l.escape) > 0 {
				l.escape = l.escape[:0]
				l.strange()
			}
			return i, true
		}
		if !l.any {
			l.any, l.anchor = true, screen.Cursor()
		}
		l.key(b)
	}
	return len(p), false
}

// strange notes a key whose effect only the screen tells.
func (l *line) strange() { l.odd, l.blind = true, true }

func (l *line) key(b byte) {
	l.note(b)
	l.broke = l.broke || b == ctrlC || b == ctrlD
	switch {
	case b == ctrlC && !l.paste: // within a paste it may be text
		l.reset()
		l.broke = true
	case len(l.escape) > 0:
		l.inEscape(b)
	case b == esc:
		l.escape = append(l.escape[:0], b)
	case b == backspace: // erases in readline, is text where the erase key is another
		l.erase()
		l.strange()
	case b == del:
		l.erase()
		_, size := utf8.DecodeLastRune(l.kept)
		l.kept = l.kept[:len(l.kept)-size]
	case b == ctrlU:
		l.text, l.kept, l.ends = l.text[:0], l.kept[:0], 0
	case b == ctrlW:
		cut := strings.TrimRight(string(l.text), " ")
		l.text = l.text[:strings.LastIndexByte(cut, ' ')+1]
		l.kept = append(l.kept[:0], l.text...)
		l.ends = min(l.ends, len(l.text))
	case b < 0x20: // Ctrl-Z too: bash keeps the line
		l.strange()
	case len(l.kept) < lineMax:
		l.text, l.kept = append(l.text, b), append(l.kept, b)
	default:
		l.long = true
	}
}

func (l *line) erase() {
	_, size := utf8.DecodeLastRune(l.text)
	l.text = l.text[:len(l.text)-size]
	l.ends = min(l.ends, len(l.text))
}

// inEscape follows an escape sequence. All but the marks of a bracketed paste
// make the line one that only the screen tells.
func (l *line) inEscape(b byte) {
	l.escape = append(l.escape, b)
	s := string(l.escape)
	switch {
	case len(s) == 2 && (b == '[' || b == 'O'):
		return
	case len(s) > 2 && (b < 0x40 || b > 0x7e) && len(s) < 32:
		return
	}
	switch s {
	case pasteBegin:
		l.paste = true
	case pasteEnd:
		l.paste = false
	default:
		l.strange()
	}
	l.escape = l.escape[:0]
}

// drop swallows the rest of a paste that was refused, and returns what follows.
func (l *line) drop(p []byte) []byte {
	for i, b := range p {
		if len(l.escape) < len(pasteEnd) && b == pasteEnd[len(l.escape)] {
			l.escape = append(l.escape, b)
		} else if l.escape = l.escape[:0]; b == esc {
			l.escape = append(l.escape, b)
		}
		if string(l.escape) == pasteEnd || b == ctrlC {
			l.escape, l.discard = l.escape[:0], false
			return p[i+1:]
		}
	}
	return nil
}

// drawn takes note of output: text that is no more than the echo of the keys
// does not tell what the strange key did.
func (l *line) drawn(screen *term.Terminal) {
	if !l.blind {
		return
	}
	all := screen.From(l.anchor)
	echo := strings.TrimRight(screen.Between(l.anchor, screen.Cursor()), " ") == all
	l.blind = echo && strings.HasPrefix(string(l.text), all)
}

// candidates are the readings of the line. The keys are always one: nothing
// that the target draws may take that away.
func (l *line) candidates(screen *term.Terminal, prompts []string) []string {
	var c []string
	add := func(s string) {
		if s = trim(s); s != "" && !slices.Contains(c, s) {
			c = append(c, s)
		}
	}
	add(string(l.text))
	add(string(l.text[l.ends:]))
	if !l.odd {
		return c
	}
	if !screen.Bracketed() {
		add(string(l.kept))
	}
	// Typed ahead, cursor keys are seen by the line editor and not shown before.
	for _, keys := range [][]byte{l.keys, cooked(l.keys)} {
		edited, _ := readline(keys, l.kill)
		add(edited)
	}
	whole := screen.Logical()
	for _, p := range prompts {
		if rest, ok := strings.CutPrefix(whole, p); ok {
			add(rest)
		}
	}
	if screen.Alternate() { // an editor's text is no command
		return c
	}
	if l.any {
		add(screen.From(l.anchor))
	}
	// The anchor may be wrong: the line editor drew the line anew, or the keys
	// were typed before the prompt. What follows a prompt is the line.
	if strings.Contains(whole, "i-search)") {
		if i := strings.Index(whole, "': "); i >= 0 {
			add(whole[i+3:])
		}
	}
	for _, mark := range []string{"$ ", "# ", "% ", "> ", "❯ "} {
		if i := strings.Index(whole, mark); i >= 0 {
			add(whole[i+len(mark):])
		}
	}
	return c
}

// trim removes the blanks around a line, but for one that a backslash makes
// text: without it the line would seem to go on.
func trim(s string) string {
	t := strings.TrimSpace(s)
	if n := len(t) - len(strings.TrimRight(t, `\`)); n%2 == 1 && strings.TrimRight(s, " \t") != s {
		t += " "
	}
	return t
}
