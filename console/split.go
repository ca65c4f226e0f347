package console

import (
	"slices"
	"strings"

	"sallyport"
)

// maxCommand bounds a command line, in bytes.
const maxCommand = 16 << 10

// freeText are the flags that take all words up to the next flag, because ssh
// joins words with blanks and the quotes that the user typed are gone.
var freeText = [...]string{"--reason", "--ticket"}

// Split returns the words of a command as ssh sent it. Quotes and backslashes
// are honoured as in a shell. The value of a free-text flag is all words up to
// the next flag, where an apostrophe inside a word is just that; it comes back
// joined to its flag: --reason=disk full. So does the value of --command, which
// is for the target's shell and keeps its quotes: see commandText.
func Split(command string) ([]string, error) {
	if len(command) > maxCommand {
		return nil, sallyport.Errorf(sallyport.CodeUsage, "the command is longer than %d bytes", maxCommand)
	}
	var words []string
	text := false // the words are free text
	for rest := skipBlanks(command); rest != ""; rest = skipBlanks(rest) {
		start := rest
		w, after, ok := shellWord(rest)
		if text && (!ok || rest[0] != '\'' && rest[0] != '"' || !quotedWhole(rest)) {
			w, after = rawWord(rest)
		} else if !ok {
			return nil, sallyport.Errorf(sallyport.CodeUsage, "a quote is not closed").
				WithHint("close it, or leave quotes out: --reason takes all words up to the next flag")
		}
		rest = after
		if isCommand(w) {
			var err error
			if w, rest, err = joinCommand(w, start, after); err != nil {
				return nil, err
			}
		}
		words = append(words, w)
		switch {
		case isFreeText(w):
			text = true
		case isFlag(w):
			text = false
		}
	}
	return joinFreeText(words), nil
}

// joinFreeText joins the value of every free-text flag to its flag. Doing it
// twice changes nothing.
func joinFreeText(words []string) []string {
	out := []string{}
	for i := 0; i < len(words); {
		w := words[i]
		i++
		if w == "--" {
			return append(append(out, w), words[i:]...)
		}
		if isFreeText(w) {
			flag, value, has := strings.Cut(w, "=")
			var text []string
			if has {
				text = append(text, value)
			}
			for ; i < len(words) && !isFlag(words[i]) && !isOutput(words[i:]); i++ {
				text = append(text, words[i])
			}
			w = flag + "=" + strings.Join(text, " ")
		}
		out = append(out, w)
	}
	return out
}

func isFreeText(w string) bool {
	flag, _, _ := strings.Cut(w, "=")
	return slices.Contains(freeText[:], flag)
}

func isFlag(w string) bool {
	return len(w) > 2 && w[:2] == "--" && (w[2] >= 'a' && w[2] <= 'z')
}

// isOutput recognises the one flag with a single dash that people put last.
func isOutput(words []string) bool {
	switch words[0] {
	case "-ojson", "-otext", "-o=json", "-o=text":
		return true
	case "-o":
		return len(words) > 1 && (words[1] == "json" || words[1] == "text")
	}
	return false
}

const blanks = " \t\r\n"

func skipBlanks(s string) string { return strings.TrimLeft(s, blanks) }

func rawWord(s string) (word, rest string) {
	if i := strings.IndexAny(s, blanks); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// quotedWhole reports whether every quote of the word at the beginning of s
// closes where another piece in quotes or the end of the word follows: then the
// quotes are quotes and not apostrophes ('tis isn't).
func quotedWhole(s string) bool {
	for s != "" && !strings.ContainsRune(blanks, rune(s[0])) {
		switch s[0] {
		case '\\':
			s = s[min(2, len(s)):]
		case '\'', '"':
			_, after, ok := quoted(s)
			if !ok {
				return false
			}
			s = after
		default:
			return false
		}
	}
	return true
}

// quoted reads the piece in quotes at the beginning of s.
func quoted(s string) (text, rest string, ok bool) {
	var b strings.Builder
	q := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == q:
			return b.String(), s[i+1:], true
		case q == '"' && s[i] == '\\' && i+1 < len(s) && strings.IndexByte("\"\\$`", s[i+1]) >= 0:
			i++
		}
		b.WriteByte(s[i])
	}
	return "", s, false
}

// shellWord reads the word at the beginning of s; ok is false where a quote is
// not closed.
func shellWord(s string) (word, rest string, ok bool) {
	var b strings.Builder
	for s != "" && !strings.ContainsRune(blanks, rune(s[0])) {
		switch s[0] {
		case '\'', '"':
			text, after, closed := quoted(s)
			if !closed {
				return "", s, false
			}
			b.WriteString(text)
			s = after
		case '\\':
			if len(s) < 2 {
				return "", s, false
			}
			b.WriteByte(s[1])
			s = s[2:]
		default:
			b.WriteByte(s[0])
			s = s[1:]
		}
	}
	return b.String(), s, true
}
