package judge

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"sallyport/internal/term"
)

// Keys with a meaning of their own.
const (
	ctrlC     = 0x03
	ctrlD     = 0x04
	backspace = 0x08
	tab       = 0x09
	lf        = 0x0a
	cr        = 0x0d
	ctrlO     = 0x0f // readline runs the line and fetches the next
	ctrlR     = 0x12
	ctrlU     = 0x15
	ctrlW     = 0x17
	ctrlX     = 0x18
	ctrlZ     = 0x1a
	esc       = 0x1b
	ctrlQuit  = 0x1c // Ctrl-\
	del       = 0x7f
)

// lineMax bounds the keys that are kept of one line, in bytes.
const lineMax = 64 << 10

// reach says how far to the left of the line's end keys may have moved the cursor.
type reach int

const (
	atEnd   reach = iota // the cursor is where text was typed last: nothing is right of it
	maybeIn              // history: nearly always at the end
	inside               // Left, Home and the like
)

// line is what was typed since the last commit.
type line struct {
	text []byte // what plain keys made
	kept []byte // text where Ctrl-H erases nothing, as in dash
	keys []byte // all of them, as they came
	ends int    // where the text goes on after a Ctrl-D, which may have run what was before

	begun  bool     // the place is known where it will be shown
	sure   bool     // and nothing was being drawn there
	anchor term.Pos // that place
	prompt string   // what stood left of it
	right  string   // what stood right of it: a right prompt
	ons    uint64   // how often bracketed paste had been switched on

	any    bool // a key was pressed
	odd    bool // a key whose effect only the screen tells: history, completion, editing
	moved  reach
	long   bool // keys were lost
	broke  bool // a key before it may have dropped what the line would continue
	last   key  // the last key
	vi     bool // Escape was pressed: it may be a vi user's
	quoted bool // the last key takes the next one as text
	mini   bool // the name of a command of the editor's was asked for
	edited bool // a line editor has it

	// These outlive the line.
	escape []byte // an escape sequence that has begun
	paste  bool   // inside a bracketed paste
	// doubtful: another key may have taken the mark with which the paste begins.
	doubtful bool
	discard  bool   // of a paste that was refused: nothing of it is sent
	kill     []byte // what readline would yank
}

// key is a kind of key.
type key int

const (
	plainKey key = iota
	tabKey
	escKey
	otherKey
)

const (
	pasteBegin = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
	insertKey  = "\x1b[2~"
)

func (l *line) reset() {
	if bytes.ContainsFunc(l.keys, func(r rune) bool { return r < ' ' }) {
		_, l.kill = readline(l.keys, l.kill)
	}
	*l = line{escape: l.escape[:0], paste: l.paste, doubtful: l.doubtful, discard: l.discard, kill: l.kill}
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

// take follows the keys of p up to the next one that may run the line, and
// returns how many bytes that were and whether p[n] is such a key. It is one in
// the middle of an escape sequence too: a shell without a line editor knows
// none. edited: there is a line editor, for which Ctrl-D erases.
func (l *line) take(p []byte, edited bool) (n int, commits bool) {
	for i, b := range p {
		if l.commits(b, edited) {
			return i, true
		}
		l.any = true
		l.key(b)
	}
	return len(p), false
}

// commits reports whether b may make a shell run the line.
func (l *line) commits(b byte, edited bool) bool {
	switch b {
	case cr, lf:
		return true
	case ctrlO:
		return !l.after(ctrlX) // zsh's overwrite-mode
	case ctrlD: // dash runs what was typed at the second one
		return len(l.keys) > 0 && (!edited || runsWithin(l.text)) // or lists completions
	}
	return l.softly(b)
}

// softly reports whether b ends a key that runs the line, or part of it, in some
// shells and does something else in others: zsh's accept-and-hold (Esc a), run-help
// and execute-last-named-cmd, bash's insert-comment (Esc #), shell-expand-line,
// edit-and-execute-command and call-last-kbd-macro, completion of what holds a
// substitution, and Enter as the keypad or a modern terminal sends it.
func (l *line) softly(b byte) bool {
	switch {
	case b == tab:
		return runsWithin(l.text)
	case l.after(ctrlX):
		return b == ctrlE || b == 'e' || b == 'E' || b == '*' || runsWithin(l.text)
	case len(l.escape) == 0:
		return l.vi && (b == '#' || b == 'v')
	}
	switch s := string(l.escape); {
	case s == "\x1b":
		return strings.IndexByte("aA#zZhH?v\x05", b) >= 0 || b != '[' && b != 'O' && runsWithin(l.text)
	case s == "\x1bO":
		return b == 'M'
	case b == 'u':
		return strings.HasPrefix(s, "\x1b[13") || strings.HasPrefix(s, "\x1b[10;") || strings.HasPrefix(s, "\x1b[57414")
	case b == '~':
		return strings.HasPrefix(s, "\x1b[27;") && strings.HasSuffix(s, ";13")
	}
	return false
}

// runsWithin reports whether a text holds a substitution, which some keys run in
// order to complete or to show something.
func runsWithin(text []byte) bool {
	return bytes.ContainsAny(text, "(`") || bytes.Contains(text, []byte("${"))
}

// after reports whether b was the last key.
func (l *line) after(b byte) bool { return len(l.keys) > 0 && l.keys[len(l.keys)-1] == b }

// strange notes a key whose effect only the screen tells.
func (l *line) strange(to reach) { l.odd, l.moved, l.last = true, max(l.moved, to), otherKey }

func (l *line) key(b byte) {
	l.note(b)
	l.broke = l.broke || b == ctrlC || b == ctrlD
	quoted := l.quoted
	l.quoted = false
	switch {
	case quoted:
		l.add(b)
		l.strange(l.moved)
	case b == ctrlC && !l.paste: // within a paste it may be text
		l.reset()
		l.broke = true
	case b == ctrlD && len(l.keys) == 1 && !l.paste: // the end of a program's input: what follows begins elsewhere
		l.reset()
		l.broke = true
	case len(l.escape) > 0:
		l.inEscape(b)
	case b == esc:
		l.escape = append(l.escape[:0], b)
		l.strange(l.moved)
		l.last = escKey
	case b == backspace: // erases in readline, is text where the erase key is another
		l.erase()
		l.strange(l.moved)
	case b == del:
		l.erase()
		l.last = plainKey
		_, size := utf8.DecodeLastRune(l.kept)
		l.kept = l.kept[:len(l.kept)-size]
	case b == ctrlU:
		l.text, l.kept, l.ends, l.last = l.text[:0], l.kept[:0], 0, plainKey
	case b == ctrlW:
		cut := strings.TrimRight(string(l.text), " ")
		l.text = l.text[:strings.LastIndexByte(cut, ' ')+1]
		l.kept = append(l.kept[:0], l.text...)
		l.ends = min(l.ends, len(l.text))
		l.strange(l.moved) // what a word is depends on the shell
	case b == tab:
		l.strange(l.moved)
		l.last = tabKey
	case b == ctrlE, b == ctrlF, b == ctrlK:
		l.strange(l.moved)
	case b == ctrlV, b == ctrlQ:
		l.strange(l.moved)
		l.quoted = true
	case b == 0x0e, b == 0x10: // Ctrl-N, Ctrl-P
		l.strange(maybeIn)
	case b < 0x20: // Ctrl-Z too: bash keeps the line
		l.strange(inside)
	default:
		l.add(b)
		l.last = plainKey
	}
}

func (l *line) add(b byte) {
	if len(l.kept) >= lineMax {
		l.long = true
		return
	}
	l.text, l.kept = append(l.text, b), append(l.kept, b)
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
	l.vi = l.vi || len(s) == 2
	switch s {
	case pasteBegin:
		l.paste, l.doubtful = true, l.taken(len(l.keys)-len(s))
	case "\x1bx", "\x1bX", "\x1b:":
		l.mini = true
		l.strange(inside)
	case pasteEnd:
		l.paste = false
	case "\x1b[A", "\x1bOA", "\x1b[B", "\x1bOB":
		l.strange(maybeIn)
	case "\x1b[C", "\x1bOC", "\x1b[F", "\x1bOF", "\x1b[4~", "\x1b[8~", "\x1b[3~", insertKey:
		l.strange(l.moved)
	default:
		l.strange(inside)
	}
	l.escape = l.escape[:0]
}

// taken reports whether the key at i may be the argument of the one before it: of a
// search for a character, of a replacement, of a prefix.
func (l *line) taken(i int) bool {
	if i <= 0 || !l.odd {
		return false
	}
	b := l.keys[i-1]
	return b < 0x20 || l.vi && strings.IndexByte("rftFTm\"'@`cdyq", b) >= 0
}

// recording reports whether the keys are being recorded as a macro.
func (l *line) recording() bool {
	return bytes.LastIndex(l.keys, []byte{ctrlX, '('}) > bytes.LastIndex(l.keys, []byte{ctrlX, ')'})
}

// awaited reports whether an editor takes the next key as part of the last one: a
// count, or an operator of a vi-like command mode.
func (l *line) awaited() bool {
	n := len(l.keys)
	if n == 0 || !l.odd {
		return false
	}
	b := l.keys[n-1]
	digit := b >= '0' && b <= '9' || b == '-'
	return b == ctrlX || digit && (l.vi || n > 1 && l.keys[n-2] == esc) || l.vi && strings.IndexByte("dcyrftFTmgqz\"'`@<>=!", b) >= 0
}

// searching reports whether a search may have begun.
func (l *line) searching() bool { return bytes.ContainsAny(l.keys, "\x12\x13") }

// plain reports whether the text is all that the keys can have made, in any
// line editor.
func (l *line) plain() bool { return !l.odd && !l.long && len(l.escape) == 0 }

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

// guesses are readings of the line from the keys alone.
func (l *line) guesses() readings {
	var r readings
	r.add(string(l.text))
	r.add(string(l.text[l.ends:]))
	r.add(string(l.kept))
	// Typed ahead, cursor keys are seen by the line editor and not shown before.
	for _, keys := range [][]byte{l.keys, cooked(l.keys)} {
		edited, _ := readline(keys, l.kill)
		r.add(edited)
	}
	return r
}
