package judge

import (
	"bytes"
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
	hit    bool     // a secret was seen in it
	areas  []area   // where
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

// begin begins a line that is shown at a place.
func (m *mask) begin(at term.Pos) {
	m.anchor, m.after, m.hit, m.areas = at, afterLine, false, m.areas[:0]
}

// typed takes keys on their way to the recording. They wait for the end of the
// line: until then nobody knows what is a secret in it.
func (m *mask) typed(p []byte, secret bool) error {
	if m.commands == nil {
		return m.record(p, secret)
	}
	m.keys = append(m.keys, piece{bytes.Clone(p), secret})
	if m.size += len(p); m.size > lineMax || bytes.ContainsAny(p, "\r\n\x03\x0f") && m.after < afterLine {
		return m.end()
	}
	return nil
}

// end records the keys of a line, without the secrets in it.
func (m *mask) end() error {
	keys := m.keys
	m.keys, m.size = nil, 0
	found := false
	for i, k := range keys {
		if k.secret || i > 0 && !keys[i-1].secret {
			continue
		}
		var run []byte
		for _, more := range keys[i:] {
			if more.secret {
				break
			}
			run = append(run, more.p...)
		}
		found = len(m.spans(run)) > 0 || found
	}
	// Typed with keys that only the screen shows the sense of.
	all := m.hit && !found
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

// spans finds the secrets in keys, line by line.
func (m *mask) spans(keys []byte) []policy.Span {
	var all []policy.Span
	for from := 0; from < len(keys); {
		to := from + 1 + bytes.IndexAny(keys[from:], "\r\n\x03\x0f")
		if to == from {
			to = len(keys)
		}
		for _, s := range m.commands.Secrets(string(keys[from:to])) {
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
	if len(secret) < minValue || len(m.values) == maxValues {
		return
	}
	for _, v := range m.values {
		if bytes.Equal(v, secret) {
			return
		}
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
	m.look(s, m.anchor)
	cur := s.Cursor()
	start := s.LineStart(cur)
	if start == s.LineStart(m.anchor) {
		return
	}
	var r readings
	whole := s.Text(start, s.End(cur))
	r.tails(whole, len(whole))
	for _, tail := range r.weak {
		if len(m.commands.Secrets(tail)) > 0 {
			m.look(s, s.After(start, whole[:len(whole)-len(tail)]))
		}
	}
}

// look finds the secrets of the line that begins at a place.
func (m *mask) look(s *term.Terminal, at term.Pos) {
	line := s.Text(at, s.End(at))
	for _, span := range m.commands.Secrets(line) {
		m.hit = true
		m.areas = append(m.areas, area{s.After(at, line[:span.From]), s.After(at, line[:span.To])})
		if len(m.areas) > 256 { // it only grows while a line is typed
			m.areas = append(m.areas[:0], m.areas[128:]...)
		}
	}
}

// masked returns what the recording is to have of the output that was drawn; nil
// for the output itself.
func (m *mask) masked(p []byte) []byte {
	var out []byte
	at := 0
	for _, t := range m.traced {
		if !m.covers(t.at) {
			continue
		}
		out = append(out, p[at:t.i]...)
		r, _ := utf8.DecodeRune(p[t.i : t.i+t.n])
		for range max(1, runewidth.RuneWidth(r)) {
			out = append(out, maskedRune...)
		}
		at = t.i + t.n
	}
	m.traced = m.traced[:0]
	if out != nil {
		out = append(out, p[at:]...)
	}
	for _, v := range m.values {
		src := p
		if out != nil {
			src = out
		}
		if bytes.Contains(src, v) {
			out = bytes.ReplaceAll(src, v, []byte(maskedRune))
		}
	}
	return out
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
