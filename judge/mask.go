package judge

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"sallyport/internal/term"
	"sallyport/policy"
)

// mask keeps secrets that are typed visibly out of the recording, where the
// role's patterns tell them: mysql -pS3cret. What the client sees is unchanged.
type mask struct {
	commands *policy.Commands
	record   func(p []byte, secret bool) error

	keys   []piece // of the line, not recorded yet
	size   int
	anchor term.Pos // where the line is shown
	prompt string   // what stood left of it
	hit    bool     // a secret was seen in it
	areas  []area   // where
	before string   // what the line is added to
	after  int      // bytes of output after the line that may still show it
	traced []trace
	values [][]byte // secrets that were seen: a title may repeat them
}

// piece is typed text that was shown or not.
type piece struct {
	p      []byte
	secret bool
}

// area is a part of the screen.
type area struct{ from, to term.Pos }

// trace is where bytes of the output were drawn.
type trace struct {
	i, n int
	at   term.Pos
}

// Bounds of what is kept.
const (
	maxValues  = 16
	minValue   = 4        // bytes; shorter ones are everywhere
	afterLine  = 16 << 10 // bytes
	maxLooked  = 8 << 10  // cells of a line, which is longer than anybody types one
	maskedRune = "•"
)

func (m *mask) init(c *policy.Commands, record func(p []byte, secret bool) error) {
	if c.Masks() {
		m.commands = c
	}
	m.record = record
}

// on reports whether output is looked at.
func (m *mask) on() bool { return m.commands != nil && m.after > 0 }

// begin begins a line that is shown at a place, and is added to what was before it.
func (m *mask) begin(at term.Pos, prompt, before string) {
	if m.commands != nil {
		m.prompt = prompt
		m.anchor, m.after, m.hit, m.areas, m.before = at, afterLine, false, m.areas[:0], before
	}
}

// secrets finds the secrets of a line, or of lines.
func (m *mask) secrets(line string) []policy.Span {
	n := len(m.before)
	if n > lineMax/4 {
		n = 0
	}
	spans := m.commands.Secrets(m.before[:n] + line)
	kept := spans[:0]
	for _, s := range spans {
		if s.To > n {
			kept = append(kept, policy.Span{From: max(0, s.From-n), To: s.To - n})
		}
	}
	return kept
}

// line returns a line with its secrets masked.
func (m *mask) line(line string) string {
	if m.commands == nil {
		return line
	}
	var out []byte
	at := 0
	for _, s := range m.secrets(line) {
		m.remember([]byte(line[s.From:s.To]))
		out = append(append(out, line[at:s.From]...), maskedRune...)
		at = s.To
	}
	return string(append(out, line[at:]...))
}

// typed takes keys on their way to the recording. They wait for the end of the
// line: until then nobody knows what is a secret in it.
func (m *mask) typed(p []byte, secret bool) error {
	if m.commands == nil {
		return m.record(p, secret)
	}
	m.keys = append(m.keys, piece{bytes.Clone(p), secret})
	if !secret && m.size < 4<<10 { // their echo may be drawn anywhere
		run := m.run(0)
		for _, s := range m.spans(run) {
			m.remember(run[s.From:s.To])
		}
	}
	if m.size += len(p); m.size > lineMax || bytes.ContainsAny(p, "\r\n\x03\x0f") && m.after < afterLine {
		return m.end()
	}
	return nil
}

// end records the keys of a line, without the secrets in it.
func (m *mask) end() error {
	keys := m.keys
	m.keys, m.size = nil, 0
	m.keys = keys // for run
	found, edited := false, false
	for i, k := range keys {
		if k.secret || i > 0 && !keys[i-1].secret {
			continue
		}
		run := m.run(i)
		found = len(m.spans(run)) > 0 || found
		edited = edited || bytes.ContainsFunc(run, func(r rune) bool { return r < ' ' && r != '\r' && r != '\n' || r == del })
		if line, _ := readline(run, nil); !found && len(m.secrets(line)) > 0 {
			m.hit = true
		}
	}
	m.keys = nil
	// Typed with keys that only the screen shows the sense of.
	all := m.hit && (!found || edited)
	var run []byte
	flush := func() error {
		p := run
		run = nil
		return m.parts(p, all)
	}
	for _, k := range keys {
		if !k.secret {
			run = append(run, k.p...)
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		if err := m.record(k.p, true); err != nil {
			return err
		}
	}
	return flush()
}

// run returns the keys from a piece on that were shown.
func (m *mask) run(i int) []byte {
	var run []byte
	for _, k := range m.keys[i:] {
		if k.secret {
			break
		}
		run = append(run, k.p...)
	}
	return run
}

// spans finds the secrets in keys, line by line.
func (m *mask) spans(keys []byte) []policy.Span {
	var all []policy.Span
	for from := 0; from < len(keys); {
		to := from + 1 + bytes.IndexAny(keys[from:], "\r\n\x03\x0f")
		if to == from {
			to = len(keys)
		}
		for _, s := range m.secrets(string(keys[from:to])) {
			all = append(all, policy.Span{From: from + s.From, To: from + s.To})
		}
		from = to
	}
	return all
}

// parts records keys, their secrets masked.
func (m *mask) parts(p []byte, all bool) error {
	if len(p) == 0 {
		return nil
	}
	if all && hasText(p) {
		return m.record(p, true)
	}
	at := 0
	for _, s := range m.spans(p) {
		if s.From > at {
			if err := m.record(p[at:s.From], false); err != nil {
				return err
			}
		}
		m.remember(p[s.From:s.To])
		if err := m.record(p[s.From:s.To], true); err != nil {
			return err
		}
		at = s.To
	}
	if at == len(p) {
		return nil
	}
	return m.record(p[at:], false)
}

func (m *mask) remember(secret []byte) {
	secret = bytes.Trim(secret, `'"`+"\r\n")
	if len(secret) < minValue {
		return
	}
	for i, v := range m.values {
		if bytes.HasPrefix(v, secret) {
			return
		}
		if bytes.HasPrefix(secret, v) { // it is being typed
			m.values[i] = bytes.Clone(secret)
			return
		}
	}
	if len(m.values) == maxValues {
		m.values = slices.Delete(m.values, 0, 1)
	}
	m.values = append(m.values, bytes.Clone(secret))
}

// draw draws a piece of the output, which begins at offset in it.
func (m *mask) draw(s *term.Terminal, p []byte, offset int) {
	if !m.on() {
		_, _ = s.Write(p)
		return
	}
	m.after -= len(p)
	s.WriteTraced(p, func(i, n int, at term.Pos) {
		m.traced = append(m.traced, trace{offset + i, n, at})
	})
	// The line where it began, and whatever may be one behind a prompt.
	if len(m.traced) == 0 {
		return
	}
	cur := s.Cursor()
	start := s.LineStart(cur)
	if m.anchor.Row < cur.Row {
		m.look(s, m.anchor, s.End(cur))
	} else {
		m.look(s, m.anchor, s.End(m.anchor))
	}
	if start == s.LineStart(m.anchor) {
		return
	}
	var r readings
	end := s.End(cur)
	if cols, _ := s.Size(); end.Row-start.Row > maxLooked/int64(cols) {
		return
	}
	whole := s.Text(start, end)
	if m.prompt != "" && strings.HasPrefix(whole, m.prompt) { // drawn anew elsewhere
		m.look(s, s.After(start, m.prompt), s.End(cur))
	}
	r.tails(whole, len(whole))
	for _, tail := range r.weak {
		m.look(s, s.After(start, whole[:len(whole)-len(tail)]), s.End(cur))
	}
}

// look finds the secrets of the line, or the rows of it, between two places.
func (m *mask) look(s *term.Terminal, at, end term.Pos) {
	if cols, _ := s.Size(); end.Row-at.Row > maxLooked/int64(cols) {
		end = term.Pos{Row: at.Row + maxLooked/int64(cols)}
	}
	line := s.Text(at, end)
	for _, span := range m.secrets(line) {
		m.hit = true
		m.remember([]byte(line[span.From:span.To]))
		m.areas = append(m.areas, area{behind(s, at, line[:span.From]), behind(s, at, line[:span.To])})
		if len(m.areas) > 256 { // it only grows while a line is typed
			m.areas = append(m.areas[:0], m.areas[128:]...)
		}
	}
}

// behind returns the place behind rows of text that begin at a place.
func behind(s *term.Terminal, at term.Pos, text string) term.Pos {
	for i, row := range strings.Split(text, "\n") {
		if i > 0 {
			at = term.Pos{Row: at.Row + 1}
		}
		at = s.After(at, row)
	}
	return at
}

// masked returns what the recording is to have of the output that was drawn; nil
// for the output itself.
func (m *mask) masked(p []byte) []byte {
	traced := m.traced
	m.traced = m.traced[:0]
	var hidden []bool // by byte
	hide := func(i, n int) {
		if hidden == nil {
			hidden = make([]bool, len(p))
		}
		for k := i; k < i+n; k++ {
			hidden[k] = true
		}
	}
	for _, t := range traced {
		if m.covers(t.at) {
			hide(t.i, t.n)
		}
	}
	for _, v := range m.values {
		for from := 0; ; {
			i := bytes.Index(p[from:], v)
			if i < 0 {
				break
			}
			hide(from+i, len(v))
			from += i + len(v)
		}
	}
	if hidden == nil {
		return nil
	}
	var out []byte
	for i := 0; i < len(p); {
		if !hidden[i] {
			out = append(out, p[i])
			i++
			continue
		}
		r, n := utf8.DecodeRune(p[i:])
		for range max(1, runewidth.RuneWidth(r)) {
			out = append(out, maskedRune...)
		}
		for i += n; i < len(p) && hidden[i] && !utf8.RuneStart(p[i]); i++ {
		}
	}
	return out
}

// replaced returns the recorded output without the secrets that were seen; nil: p
// as it is.
func (m *mask) replaced(p, recorded []byte) []byte {
	for _, v := range m.values {
		src := p
		if recorded != nil {
			src = recorded
		}
		if bytes.Contains(src, v) {
			recorded = bytes.ReplaceAll(src, v, []byte(maskedRune))
		}
	}
	return recorded
}

func (m *mask) covers(p term.Pos) bool {
	for _, a := range m.areas {
		if !before(p, a.from) && before(p, a.to) {
			return true
		}
	}
	return false
}

func before(a, b term.Pos) bool { return a.Row < b.Row || a.Row == b.Row && a.Col < b.Col }
