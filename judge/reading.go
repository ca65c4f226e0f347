package judge

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"sallyport/internal/term"
)

// readings are what the line that is about to be run may be.
type readings struct {
	lines []string
	// weak ones are parts of what the screen shows that may be the line: only a
	// rule counts that they meet, not what a class makes of them.
	weak []string
	// sure: the screen shows the line, and lines has it alone. It may be empty.
	sure bool
	// unheard: the target has not answered the keys; the screen is an old one.
	unheard bool
	// shown: the screen has the line.
	shown bool
	// seen: some of it was shown, so that it is no password.
	seen bool
}

func (r *readings) add(s string) {
	if s = trim(s); s != "" && !slices.Contains(r.lines, s) {
		r.lines = append(r.lines, s)
	}
}

func (r *readings) doubt(s string) {
	if s = trim(s); s != "" && !slices.Contains(r.lines, s) && !slices.Contains(r.weak, s) {
		r.weak = append(r.weak, s)
	}
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

// marks end most prompts.
var marks = []string{"$ ", "# ", "% ", "> ", "❯ ", "» ", "λ "}

// read reads the line off the screen. j.mu is held.
func (j *Judge) read() readings {
	var r readings
	s, l := j.screen, &j.line
	cur := s.Cursor()
	start := s.LineStart(cur)
	left := s.Text(start, cur)
	if found, ok := l.searched(left + s.Text(cur, s.End(cur))); ok {
		r.add(found)
		r.tails(left+s.Text(cur, s.End(cur)), len(left))
		r.sure, r.seen, r.shown = true, true, true
		return r
	}
	at, found := j.place(start, left)
	if found {
		j.readFrom(&r, at, cur)
		r.seen = len(r.lines) > 0 && !starred(r.lines[0])
		r.shown = r.seen && (!l.plain() || strings.Contains(r.lines[0], trim(string(l.text))))
		switch {
		case l.plain(): // nothing that the target draws may take the keys away
			r.add(string(l.text))
		case !r.seen && !s.Bracketed():
			edited, _ := readline(l.keys, l.kill)
			r.add(edited)
		}
		if len(l.kept) > len(l.text) { // Ctrl-H, which may be text
			r.doubt(string(l.kept))
		}
		if !j.prompts.exact(l.prompt) {
			r.tails(left, len(l.prompt))
			r.words(left, len(l.prompt))
		}
		r.sure = true
		return r
	}
	// Where the line begins is not known: it was typed ahead, or drawn anew. The
	// keys are one reading; nothing that the target draws may take it away.
	whole := left + j.rightOf(cur)
	for _, guess := range l.guesses().lines {
		r.add(guess)
		r.seen = r.seen || strings.Contains(whole, guess)
	}
	if p, ok := j.prompts.begin(left); ok {
		r.add(whole[len(p):])
		r.seen = r.seen || trim(whole[len(p):]) != ""
	}
	r.tails(whole, len(whole))
	return r
}

// starred reports whether a text is a row of one character that stands for others:
// a secret.
func starred(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return strings.ContainsRune("*•●⬤∙·■█◦", r) && strings.Trim(text, string(r)) == ""
}

// tails adds what stands behind each thing among the first n bytes that may be the
// end of a prompt.
func (r *readings) tails(whole string, n int) {
	for _, mark := range marks {
		for at, times := 0, 0; times < 4; times++ {
			i := strings.Index(whole[at:], mark)
			if at += i + len(mark); i < 0 || at > n {
				break
			}
			r.doubt(whole[at:])
		}
	}
}

// words adds what stands behind each of the last blanks among the first n bytes: a
// prompt that is not known may be followed by a line that was not typed.
func (r *readings) words(whole string, n int) {
	n = min(n, len(whole))
	for range 32 {
		if n = strings.LastIndexByte(whole[:n], ' '); n < 0 {
			return
		}
		r.doubt(whole[n+1:])
	}
}

// place returns where the line begins now, if the screen tells. start and left
// are the beginning of the row that the cursor is on, and what stands before it.
func (j *Judge) place(start term.Pos, left string) (term.Pos, bool) {
	s, l := j.screen, &j.line
	if !l.sure {
		return term.Pos{}, false
	}
	there := s.LineStart(l.anchor) == start
	same := s.Left(l.anchor) == l.prompt
	ons, _ := s.Events()
	switch {
	case there && same && ons == l.ons:
		return l.anchor, true
	case trim(l.prompt) != "" && strings.HasPrefix(left, l.prompt):
		// The shell has drawn its prompt anew, below a list or on a cleared screen.
		return s.After(start, l.prompt), true
	case trim(l.prompt) != "" && !there && same && l.anchor.Row < start.Row && s.Bracketed() && ons == l.ons:
		return l.anchor, true // a line of several rows
	case there && ons == l.ons && j.prompts.likened(s.Left(l.anchor), l.prompt):
		return l.anchor, true // a prompt that shows a mode or the time
	}
	return term.Pos{}, false
}

// readFrom adds the line that begins at a place.
func (j *Judge) readFrom(r *readings, at, cur term.Pos) {
	s, l := j.screen, &j.line
	text := s.Text(at, cur)
	right := j.rightOf(cur)
	r.add(text + right)
	if padded, ok := j.padded(at, cur); ok {
		r.doubt(padded + right)
	}
	if l.moved == inside {
		if l.right != "" && right == "" || strings.HasSuffix(right, l.right) {
			r.doubt(text + s.Text(cur, s.End(cur)))
		}
		if below := s.Below(cur); below != "" { // perhaps more rows of the line
			r.doubt(text + right + "\n" + below)
		}
	}
}

// padded returns the text from at to cur without the blanks that bash writes in the
// last column where a wide character does not fit: a typed one looks the same.
func (j *Judge) padded(at, cur term.Pos) (text string, ok bool) {
	s := j.screen
	cols, _ := s.Size()
	from := at
	for row := at.Row; row < cur.Row; row++ {
		end, next := term.Pos{Row: row, Col: cols - 1}, term.Pos{Row: row + 1}
		if s.LineStart(next).Row == next.Row || s.Text(end, term.Pos{Row: row, Col: cols}) != " " || s.Text(next, term.Pos{Row: row + 1, Col: 1}) == "" ||
			s.After(term.Pos{}, s.Text(next, term.Pos{Row: row + 1, Col: 1})).Col < 2 {
			continue
		}
		text, from, ok = text+s.Text(from, end), next, true
	}
	return text + s.Text(from, cur), ok
}

// rightOf returns what of the line is right of the cursor: not a right prompt,
// and not what the shell suggests.
func (j *Judge) rightOf(cur term.Pos) string {
	s, l := j.screen, &j.line
	if l.moved == atEnd {
		return ""
	}
	right := s.Text(cur, s.End(cur))
	if l.right != "" {
		right = strings.TrimSuffix(right, l.right)
	}
	if l.moved == maybeIn && s.Ghost(cur) {
		return ""
	}
	return right
}

// search is the prompt of readline's incremental search.
var search = regexp.MustCompile("^\\s*\\((?:failed )?(?:reverse-)?i-search\\)`.*': ")

// searched returns what readline's incremental search has found.
func (l *line) searched(row string) (string, bool) {
	if m := search.FindString(row); m != "" && l.searching() {
		return row[len(m):], true
	}
	return "", false
}

// maxPrompts bounds the prompts that are remembered.
const maxPrompts = 8

// prompts are those that lines were typed at.
type prompts struct{ known []string }

// learn remembers a prompt.
func (p *prompts) learn(left string) {
	if strings.TrimSpace(left) == "" {
		return
	}
	if i := slices.Index(p.known, left); i >= 0 {
		p.known = slices.Delete(p.known, i, i+1)
	}
	if len(p.known) == maxPrompts {
		p.known = slices.Delete(p.known, 0, 1)
	}
	p.known = append(p.known, left)
}

// ends reports whether what stands left of a line ends with a prompt, or as one
// does: with its mark. Output without an end may stand before it.
func (p *prompts) ends(left string) bool {
	return slices.ContainsFunc(p.known, func(k string) bool {
		m := mark(k)
		return strings.HasSuffix(left, k) || m != "" && strings.HasSuffix(left, m)
	})
}

// begin returns the longest prompt that a row begins with.
func (p *prompts) begin(row string) (prompt string, ok bool) {
	for _, k := range p.known {
		if strings.HasPrefix(row, k) && len(k) > len(prompt) {
			prompt, ok = k, true
		}
	}
	return prompt, ok
}

// exact reports whether a prompt is known as it is.
func (p *prompts) exact(left string) bool { return slices.Contains(p.known, left) }

// within reports whether a prompt is part of a row, behind what was typed ahead.
func (p *prompts) within(row string) bool {
	return slices.ContainsFunc(p.known, func(k string) bool { return len(k) > 1 && strings.Contains(row, k) })
}

// endsWithMark reports whether a text ends as most prompts do.
func endsWithMark(left string) bool {
	return slices.ContainsFunc(marks, func(m string) bool { return strings.HasSuffix(left, m) })
}

// likened reports whether two prompts are one that shows something that changes.
func (p *prompts) likened(a, b string) bool {
	m := mark(b)
	return m != "" && strings.HasSuffix(a, m) && len([]rune(a)) == len([]rune(b))
}

// mark returns the end of a prompt: its last character with the blanks after
// it, where that is neither a letter nor a digit.
func mark(prompt string) string {
	t := strings.TrimRight(prompt, " ")
	if t == "" {
		return ""
	}
	r := []rune(t)
	c := r[len(r)-1]
	if c < 0x80 && (c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
		return ""
	}
	return string(c) + prompt[len(t):]
}
