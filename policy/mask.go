package policy

import (
	"slices"
	"strings"
	"unicode/utf8"

	"sallyport"
)

// Span is a part of a line, as byte offsets: from From up to To.
type Span struct{ From, To int }

// maskPattern is a pattern of words of which the last holds a secret.
type maskPattern struct {
	words []maskWord
	// before and after are what stands around the secret in the last word.
	before, after []string
}

// maskWord is a word of a pattern, cut at its stars.
type maskWord struct {
	parts []string
	gap   bool // any words may stand before it
}

// maxMaskWords bounds a pattern.
const maxMaskWords = 32

// compileMask reads a pattern such as "mysql * -p{}".
func compileMask(pattern string) (*maskPattern, error) {
	bad := func(hint, why string) (*maskPattern, error) {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%q is no pattern of a line with a secret: %s", pattern, why).WithHint("%s", hint)
	}
	const example = `expected for example "mysql * -p{}" or "*TOKEN={}"`
	words := strings.Fields(pattern)
	switch {
	case strings.Count(pattern, "{}") != 1:
		return bad(example, "{} must stand for the secret once")
	case !strings.Contains(words[len(words)-1], "{}"):
		return bad("leave out what follows the secret", "the secret must be in its last word")
	case strings.Trim(pattern, "*? {}") == "":
		return bad(example, "it would hide every word")
	case strings.ContainsAny(pattern, `'"\|;&<>`+"`") || len(words) > maxMaskWords:
		return bad(example+", without quotes: they are undone in the line", "it is not a few plain words")
	}
	m := &maskPattern{}
	gap := false
	for _, w := range words[:len(words)-1] {
		if w == "*" {
			gap = true
			continue
		}
		m.words = append(m.words, maskWord{parts: strings.Split(w, "*"), gap: gap})
		gap = false
	}
	before, after, _ := strings.Cut(words[len(words)-1], "{}")
	m.before, m.after = strings.Split(before, "*"), strings.Split(after, "*")
	m.words = append(m.words, maskWord{gap: gap})
	return m, nil
}

// Masks reports whether there are patterns of secrets.
func (c *Commands) Masks() bool { return c != nil && len(c.masks) > 0 }

// Masked returns the line with • in the place of each secret.
func (c *Commands) Masked(line string) string {
	spans := c.Secrets(line)
	if len(spans) == 0 {
		return line
	}
	var b strings.Builder
	at := 0
	for _, s := range spans {
		b.WriteString(line[at:s.From])
		b.WriteString("•")
		at = s.To
	}
	b.WriteString(line[at:])
	return b.String()
}

// Secrets returns where the mask patterns find secrets in the line as it is
// typed, quotes included, in order and apart from each other. The line may be
// unfinished: the part of a secret that is there is found. It takes time in
// proportion to the line.
func (c *Commands) Secrets(line string) (out []Span) {
	if !c.Masks() {
		return nil
	}
	defer func() {
		if recover() != nil { // rather all of it than a secret
			out = []Span{{0, len(line)}}
		}
	}()
	f := &finder{masks: c.masks, line: line}
	f.text(plainText(line), 0)
	slices.SortFunc(f.spans, func(a, b Span) int { return a.From - b.From })
	for _, s := range f.spans {
		if n := len(out); n > 0 && s.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, s.To)
			continue
		}
		out = append(out, s)
	}
	return out
}

// letter is a byte of text and where in the line it stands, from there to the
// next letter's from; quoted bytes are no syntax.
type letter struct {
	c        byte
	from, to int
	quoted   bool
}

// plainText is the line before anything is unquoted.
func plainText(line string) []letter {
	out := make([]letter, len(line))
	for i := range len(line) {
		out[i] = letter{c: line[i], from: i, to: i + 1}
	}
	return out
}

// finder looks for secrets in a line and in the code within its quotes.
type finder struct {
	masks []*maskPattern
	line  string
	spans []Span
}

const (
	maxQuoted   = 4  // code within the quotes of code
	maxBrackets = 64 // substitutions within each other
)

// text reads one text: the line, or what stands in quotes.
func (f *finder) text(text []letter, depth int) {
	start := make([]uint64, len(f.masks))
	states := slices.Clone(start)
	var outer [][]uint64
	backtick := -1
	word := make([]letter, 0, 16)
	from, blanks := -1, false // where the word began; whether a quoted blank is in it
	end := func(to int) {
		if from < 0 {
			return
		}
		f.word(word, from, to, states)
		if blanks && depth < maxQuoted {
			f.text(unquotedAgain(word), depth+1)
		}
		word, from, blanks = word[:0:0], -1, false
	}
	begin := func(at int) {
		if from < 0 {
			from = at
		}
	}
	push := func() {
		if len(outer) < maxBrackets {
			outer = append(outer, states)
			states = slices.Clone(start)
		}
	}
	pop := func() {
		if n := len(outer); n > 0 {
			states, outer = outer[n-1], outer[:n-1]
		}
	}
	quote := byte(0)
	ansi := false // within $'…'
	for i := 0; i < len(text); i++ {
		l := text[i]
		switch {
		case quote == '\'' && l.c == '\'', quote == '"' && l.c == '"':
			quote, ansi = 0, false
		case l.c == '\\' && (quote != '\'' || ansi) && i+1 < len(text):
			next := text[i+1]
			if quote == '"' && !strings.ContainsRune("\"\\$`\n", rune(next.c)) {
				word = append(word, letter{l.c, l.from, l.to, true})
				continue
			}
			begin(l.from)
			i++
			if next.c != '\n' {
				word = append(word, letter{next.c, l.from, next.to, true})
				blanks = blanks || next.c == ' '
			}
		case quote != 0:
			word = append(word, letter{l.c, l.from, l.to, true})
			blanks = blanks || l.c == ' ' || l.c == '\t' || l.c == '\n'
		case l.c == '\'' || l.c == '"':
			ansi = l.c == '\'' && len(word) > 0 && word[len(word)-1].c == '$' && !word[len(word)-1].quoted
			begin(l.from)
			quote = l.c
		case strings.IndexByte(" \t<>", l.c) >= 0:
			end(l.from)
		case l.c == '&' && (i > 0 && strings.IndexByte("<>", text[i-1].c) >= 0 || i+1 < len(text) && text[i+1].c == '>'):
			end(l.from)
		case strings.IndexByte("\n\r;|&", l.c) >= 0:
			end(l.from)
			clear(states)
		case l.c == '(':
			end(l.from)
			push()
		case l.c == ')':
			end(l.from)
			pop()
		case l.c == '`':
			end(l.from)
			if backtick < 0 {
				backtick = len(outer)
				push()
			} else {
				pop()
				backtick = -1
			}
		default:
			begin(l.from)
			word = append(word, l)
		}
	}
	if len(text) > 0 {
		end(text[len(text)-1].to)
	}
}

// unquotedAgain returns a word's bytes as text of its own.
func unquotedAgain(word []letter) []letter {
	out := slices.Clone(word)
	for i := range out {
		out[i].quoted = false
	}
	return out
}

// word takes each pattern a word further. A set bit k says that the first k
// words of the pattern have been met, and that the next may stand here.
func (f *finder) word(word []letter, from, to int, states []uint64) {
	text := make([]byte, len(word))
	for i, l := range word {
		text[i] = l.c
	}
	s := string(text)
	for i, m := range f.masks {
		now, next := states[i]|1, uint64(0)
		for k := range m.words {
			if now&(1<<k) == 0 {
				continue
			}
			if m.words[k].gap {
				next |= 1 << k
			}
			if k < len(m.words)-1 {
				if m.words[k].fits(s) || k == 0 && m.words[k].fits(s[strings.LastIndexByte(s, '/')+1:]) {
					next |= 1 << (k + 1)
				}
				continue
			}
			f.secret(m, s, word, from, to)
		}
		states[i] = next
	}
}

// fits reports whether the whole of s fits the word.
func (w maskWord) fits(s string) bool {
	last := len(w.parts) - 1
	tail := w.parts[last]
	if last == 0 {
		return len(s) == len(tail) && same(s, tail)
	}
	if len(s) < len(tail) || !same(s[len(s)-len(tail):], tail) {
		return false
	}
	_, ok := leftmost(w.parts[:last], s[:len(s)-len(tail)])
	return ok
}

// leftmost returns the end of the shortest beginning of s that the parts fit,
// with anything between them.
func leftmost(parts []string, s string) (int, bool) {
	at := 0
	for i, p := range parts {
		if i == 0 {
			if len(s) < len(p) || !same(s[:len(p)], p) {
				return 0, false
			}
			at = len(p)
			continue
		}
		j := index(s[at:], p)
		if j < 0 {
			return 0, false
		}
		at += j + len(p)
	}
	return at, true
}

// index is strings.Index with ? for any byte.
func index(s, part string) int {
	if !strings.Contains(part, "?") {
		return strings.Index(s, part)
	}
	for i := 0; i+len(part) <= len(s); i++ {
		if same(s[i:i+len(part)], part) {
			return i
		}
	}
	return -1
}

func same(s, part string) bool {
	for i := range len(part) {
		if part[i] != '?' && part[i] != s[i] {
			return false
		}
	}
	return true
}

// secret notes the secret of a word that is the last of a pattern. It reaches as
// far as it may: to the end of the word, or to the last place where what follows
// it fits. A word that is still being typed may lack what follows.
func (f *finder) secret(m *maskPattern, s string, word []letter, from, to int) {
	begin, ok := leftmost(m.before, s)
	if !ok {
		return
	}
	stop := len(s)
	if len(m.after) > 1 || m.after[0] != "" {
		n, found := rightmost(m.after, s[begin:])
		switch {
		case found:
			stop = begin + n
		case to < len(f.line):
			return
		}
	}
	if begin >= stop {
		return
	}
	span := Span{From: word[begin].from, To: to}
	if begin == 0 {
		span.From = from
	} else if gap := word[begin-1].to; f.opens(gap, span.From) {
		span.From = gap // the quote that opens before the secret
	}
	if stop < len(s) {
		span.To = word[stop].from
	} else {
		for span.To < len(f.line) && strings.IndexByte(" \t\r\n;|&<>", f.line[span.To]) < 0 && to == word[len(word)-1].to {
			span.To++ // a bracket ends no secret
		}
	}
	for span.To < len(f.line) && !utf8.RuneStart(f.line[span.To]) {
		span.To++
	}
	f.spans = append(f.spans, span)
}

// opens reports whether nothing but quotes stands between the two offsets.
func (f *finder) opens(from, to int) bool {
	return from < to && to <= len(f.line) && strings.Trim(f.line[from:to], `'"\$`) == ""
}

// rightmost returns the start of the shortest end of s that the parts fit.
func rightmost(parts []string, s string) (int, bool) {
	at := len(s)
	for i, p := range slices.Backward(parts) {
		if i == len(parts)-1 {
			if len(s) < len(p) || !same(s[len(s)-len(p):], p) {
				return 0, false
			}
			at -= len(p)
			continue
		}
		j := strings.LastIndex(s[:at], p)
		if j < 0 {
			return 0, false
		}
		at = j
	}
	return at, true
}
