package shell

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// There is no parser for fish. What neither bash nor zsh takes is read here: its
// words, quotes, variables and substitutions, cut at everything that can separate
// commands, without its blocks. Each piece counts, whether it would run or not.

// escaped reports whether text has an escape outside quotes that only fish
// knows: \x72m.
func escaped(text string) bool {
	for i := 0; i+1 < len(text); i++ {
		switch text[i] {
		case '\'', '"':
			i = closingQuote(text, i)
		case '\\':
			if i++; strings.IndexByte("xXuU01234567", text[i]) >= 0 {
				return true
			}
		}
	}
	return false
}

// fishWord is a word of a command.
type fishWord struct {
	text string
	bare bool // without quotes or escapes: it may be a keyword
}

// fish reads text as fish does, as far as commands go.
func (w *walker) fish(text string, in source) {
	in.tty = false
	r := &fishReader{w: w, in: in}
	r.read(text, 0)
}

type fishReader struct {
	w     *walker
	in    source
	piped bool   // the command at hand reads a pipe
	fed   string // what flows into it, where it is known
	known bool
}

// read reads one text: the line, or what stands in a substitution.
func (r *fishReader) read(text string, depth int) {
	var words []fishWord
	var word strings.Builder
	inWord, bare := false, true
	flush := func() {
		if inWord {
			words = append(words, fishWord{word.String(), bare})
		}
		word.Reset()
		inWord, bare = false, true
	}
	end := func(pipe bool) {
		flush()
		r.command(words)
		r.piped, r.known = pipe, false
		if pipe {
			r.fed, r.known = printed(words)
		}
		words = nil
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch c {
		case ' ', '\t':
			flush()
		case '\n', ';', '&', '<', '>':
			if c == '<' || c == '>' {
				flush()
				if c == '>' && len(words) > 0 && words[len(words)-1].text == "2" {
					words = words[:len(words)-1]
				}
				continue
			}
			end(false)
		case '|':
			end(i+1 < len(text) && text[i+1] != '|' && (i == 0 || text[i-1] != '|'))
		case '#':
			if inWord {
				word.WriteByte(c)
				continue
			}
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case '\'', '"':
			inWord, bare = true, false
			j := closingQuote(text, i)
			quoted := text[i+1 : j]
			if c == '"' {
				quoted = r.variables(quoted, depth)
			}
			word.WriteString(quoted)
			i = j
		case '\\':
			s, n := fishEscape(text[i:])
			inWord, bare = true, false
			word.WriteString(s)
			i += n - 1
		case '(':
			j := closingParen(text, i)
			r.inner(text[i+1:j], depth)
			word.WriteString(unknown)
			inWord, bare = true, false
			i = j
		case '$':
			j := i + 1
			for j < len(text) && isName(text[j]) {
				j++
			}
			inWord, bare = true, false
			word.WriteString(r.value(text[i+1:j], j == i+1))
			i = j - 1
		case ')', '{', '}':
			if c == ')' {
				end(false)
				continue
			}
			fallthrough
		default:
			inWord = true
			word.WriteByte(c)
		}
	}
	end(false)
}

// inner reads a substitution.
func (r *fishReader) inner(text string, depth int) {
	if depth >= maxDepth {
		r.w.unread("code is nested too deeply")
		return
	}
	sub := &fishReader{w: r.w, in: source{pipe: r.in.pipe}}
	sub.read(text, depth+1)
}

// variables expands $x and reads $(…) within double quotes.
func (r *fishReader) variables(text string, depth int) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && strings.IndexByte(`"\$`, text[i+1]) >= 0:
			i++
			b.WriteByte(text[i])
		case text[i] == '$' && i+1 < len(text) && text[i+1] == '(':
			j := closingParen(text, i+1)
			r.inner(text[i+2:j], depth)
			b.WriteString(unknown)
			i = j
		case text[i] == '$':
			j := i + 1
			for j < len(text) && isName(text[j]) {
				j++
			}
			b.WriteString(r.value(text[i+1:j], j == i+1))
			i = j - 1
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

func (r *fishReader) value(name string, none bool) string {
	switch values := r.w.vars[name]; {
	case none:
		return "" // $( of a substitution
	case len(values) > 0:
		return values[0]
	}
	return unknown
}

// command follows the words of one command, without the keywords before it.
func (r *fishReader) command(words []fishWord) {
	for len(words) > 0 && words[0].bare {
		switch words[0].text {
		case "and", "or", "not", "!", "begin", "if", "while", "else", "time", "then", "do", "end", "done", "fi", "esac", "{", "}":
			words = words[1:]
			continue
		case "for", "function", "switch", "case":
			if words[0].text == "for" && len(words) > 3 {
				for _, v := range words[3:] {
					r.w.set(words[1].text, v.text, false)
				}
			}
			return
		}
		break
	}
	args := make([]string, len(words))
	for i, w := range words {
		args[i] = w.text
	}
	if len(args) == 0 || args[0] == "" {
		return
	}
	if r.w.words -= len(args); r.w.words < 0 {
		r.w.unread("it expands to too many words")
		return
	}
	if args[0] == "set" {
		rest, _ := wrapper{}.command(args[1:])
		if len(rest) > 1 {
			r.w.set(rest[0], strings.Join(rest[1:], " "), true)
		}
	}
	in := source{pipe: r.in.pipe, piped: r.piped || r.in.piped, text: r.fed, isText: r.piped && r.known}
	r.w.call(args, in)
	if strings.Contains(args[0], " ") { // set x rm -rf v; $x
		r.w.call(append(strings.Fields(args[0]), args[1:]...), in)
	}
}

// printed returns what echo prints.
func printed(words []fishWord) (string, bool) {
	if len(words) < 2 || words[0].text != "echo" {
		return "", false
	}
	var out []string
	for _, w := range words[1:] {
		out = append(out, w.text)
	}
	text := strings.Join(out, " ")
	return text, Word(text).Literal()
}

// substitutions reads the substitutions in text that fish expands later.
func (w *walker) substitutions(text string) {
	if i := strings.IndexByte(text, '('); i >= 0 {
		w.text("complete", text[i+1:closingParen(text, i)], source{})
	}
}

// closingQuote returns the index of the quote that ends the one at i, or the
// text's length less 0 where there is none.
func closingQuote(text string, i int) int {
	for j := i + 1; j < len(text); j++ {
		switch text[j] {
		case '\\':
			j++
		case text[i]:
			return j
		}
	}
	return len(text)
}

// closingParen returns the index of the bracket that ends the one at i, or the
// text's length.
func closingParen(text string, i int) int {
	depth := 0
	for j := i; j < len(text); j++ {
		switch text[j] {
		case '\\':
			j++
		case '\'', '"':
			j = closingQuote(text, j)
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return j
			}
		}
	}
	return len(text)
}

// fishEscape reads an escape outside quotes: \x72, \u0072, \162, \n, \ and any
// other character. It returns what it stands for and its length.
func fishEscape(text string) (string, int) {
	if len(text) < 2 {
		return "", len(text)
	}
	number := func(from, most, numberBase int) (string, int) {
		to := from
		for to < len(text) && to < from+most && strings.IndexByte("0123456789abcdefABCDEF"[:map[int]int{8: 8, 16: 22}[numberBase]], text[to]) >= 0 {
			to++
		}
		n, err := strconv.ParseUint(text[from:to], numberBase, 32)
		if err != nil {
			return text[1:from], from
		}
		return string(rune(n)), to
	}
	switch c := text[1]; {
	case c == 'x' || c == 'X':
		return number(2, 2, 16)
	case c == 'u':
		return number(2, 4, 16)
	case c == 'U':
		return number(2, 8, 16)
	case c >= '0' && c <= '7':
		return number(1, 3, 8)
	case c == '\n':
		return "", 2
	case c == 'n':
		return "\n", 2
	case c == 't':
		return "\t", 2
	}
	_, n := utf8.DecodeRuneInString(text[1:])
	return text[1 : 1+n], 1 + n
}

func isName(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
