package shell

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// Limits on what is parsed. Beyond them a line is unread, never safe.
const (
	maxLine    = 64 << 10 // bytes of one line, and of all code found within it
	maxNesting = 100      // brackets within brackets, in the text
	maxDepth   = 10       // code within code: sh -c "sh -c …"
	maxCalls   = 4096
	maxWords   = 16 << 10 // words after expansion, in all
)

// Parse reads a line, or several lines that belong together. It never fails:
// what it could not read is said in the Script.
func Parse(line string) (s Script) {
	w := &walker{vars: map[string][]string{}, budget: maxLine, words: maxWords}
	defer func() {
		if recover() != nil { // of the parser or the expander: fail closed
			w.unread("the parser failed")
		}
		s = w.script
	}()
	if plain(line) {
		if words := strings.Fields(line); len(words) > 0 {
			w.call(words, source{tty: true})
		}
		return
	}
	w.code(line, source{tty: true}, 0)
	if historyExpansion(line) {
		w.find(Opaque, "", "a history expansion names an earlier command")
	}
	return
}

// plain reports whether the line is words of harmless characters only, which
// need no parser.
func plain(line string) bool {
	if len(line) > maxLine {
		return false
	}
	first := strings.IndexByte(line, ' ')
	if first < 0 {
		first = len(line)
	}
	if syntax.IsKeyword(line[:first]) || declares(line[:first]) {
		return false
	}
	for i := range len(line) {
		switch c := line[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '/', c == '.', c == '-', c == '_', c == ' ', c == ',', c == ':', c == '@', c == '%':
		default:
			return false
		}
	}
	return line != ""
}

func declares(word string) bool {
	switch word {
	case "", "declare", "local", "export", "readonly", "typeset", "nameref", "let", "time", "coproc":
		return true
	}
	return false
}

// code parses text and walks it. Bash first, as most targets run it; what it
// refuses may be zsh; what both refuse is cut at its operators, so that a
// dialect we do not speak (fish) still has its commands looked at.
func (w *walker) code(text string, in source, depth int) {
	if depth > maxDepth || !w.spend(text) {
		return
	}
	defer func(d int) { w.depth = d }(w.depth)
	w.depth = depth
	w.read(strings.ReplaceAll(text, "\r", "\n"), in, 0)
}

// maxRereads bounds the readings of one text.
const maxRereads = 4

// read is one reading of the text; rereads counts those before it.
func (w *walker) read(text string, in source, rereads int) {
	depth := w.depth
	stmts, comments, open, err := closed(text, syntax.LangBash)
	w.script.Incomplete = w.script.Incomplete || open != nil && depth == 0
	if open != nil && unclosedHeredoc.MatchString(errText(err)) {
		w.unread("it has too many here-documents")
	}
	bad := err
	if err != nil {
		s, c, zerr := parse(text, syntax.LangZsh)
		switch {
		case zerr == nil && syntax.IsIncomplete(err):
			w.stmts(s, source{pipe: in.pipe}) // f() { ls }
		case zerr == nil:
			stmts, comments, err = s, c, nil
		}
	}
	if strings.Contains(text, "(") && qualifier.MatchString(text) {
		w.find(Opaque, "", "a pattern of files runs code")
	}
	in.tty = in.tty && err == nil
	w.stmts(stmts, in)
	// What bash waits for more of may be whole in fish.
	if bad != nil && (!syntax.IsIncomplete(bad) || fishEnd.MatchString(text)) || strings.Contains(text, `\`) && escaped(text) {
		w.fish(text, in)
	}
	for _, c := range comments {
		// Interactive zsh knows no comments: what follows an operator would run.
		if i := strings.IndexAny(c, ";|&"); i >= 0 {
			w.code(c[i+1:], source{}, depth+1)
		}
	}
	switch {
	case err == nil:
		// The parser takes a backslash at the end as text; a shell asks for more.
		tail := len(text) - len(strings.TrimRight(text, `\`))
		w.script.Incomplete = w.script.Incomplete || depth == 0 && tail%2 == 1
	case syntax.IsIncomplete(err) && depth == 0:
		w.script.Incomplete = true
	default:
		w.find(Opaque, "", "the line is not understood as shell code")
		w.pieces(text, in)
	}
	in.tty = false
	again, other := reread(text)
	if other && rereads < maxRereads {
		w.read(again, in, rereads+1)
	}
	if open != nil && depth == 0 && rereads == 0 {
		open.Code = open.Code || other || w.used
		w.script.Heredoc = open
	}
}

// fishEnd is the end of a block of fish, or of one of zsh that neither parser
// knows.
var fishEnd = regexp.MustCompile(`(?:^|[;\s])end(?:$|[;|&\s])|\}\s*always\s*\{`)

// qualifier is a pattern of files of zsh with code in it: *(e:'code':), *(+f).
var qualifier = regexp.MustCompile("[*?/\\w]\\([.@/oN^#]*(?:e[:'\"{\\[|]|\\+\\w)")

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// parse returns the statements up to the first error, and the comments.
func parse(text string, lang syntax.LangVariant) (stmts []*syntax.Stmt, comments []string, err error) {
	p := syntax.NewParser(syntax.Variant(lang), syntax.KeepComments(strings.Contains(text, "#")))
	for s, serr := range p.StmtsSeq(strings.NewReader(text)) {
		if serr != nil {
			err = serr // no break: StmtsSeq may yield its error twice, and panics then
			continue
		}
		if s == nil {
			continue
		}
		stmts = append(stmts, s)
		if strings.Contains(text, "#") {
			syntax.Walk(s, func(n syntax.Node) bool {
				if c, ok := n.(*syntax.Comment); ok {
					comments = append(comments, c.Text)
				}
				return true
			})
		}
	}
	var perr syntax.ParseError
	if errors.As(err, &perr) {
		return stmts, comments, perr
	}
	return stmts, comments, err
}

// pieces cuts text that no parser took at everything that can separate
// commands and reads each piece for itself.
func (w *walker) pieces(text string, in source) {
	for piece := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(";|&\n(){}`", r) }) {
		stmts, _, err := parse(piece, syntax.LangBash)
		if err != nil {
			words := strings.Fields(strings.NewReplacer(`'`, "", `"`, "", `\`, "", "$", string(Unknown)).Replace(piece))
			if len(words) > 0 {
				w.call(words, in)
			}
			continue
		}
		for _, s := range stmts {
			w.stmt(s, in)
		}
	}
}

// spend takes text from the budget of all code, and refuses what would be too
// deep for the parser.
func (w *walker) spend(text string) bool {
	w.budget -= len(text)
	if w.budget < 0 {
		w.unread(fmt.Sprintf("it is longer than %d KiB", maxLine>>10))
		return false
	}
	depth := 0
	for _, c := range []byte(text) {
		switch c {
		case '(', '{', '[':
			depth++
		case ')', '}', ']':
			depth = max(0, depth-1)
		}
		if depth > maxNesting {
			w.unread("it is nested too deeply")
			return false
		}
	}
	if strings.Count(text, "`") > maxNesting*2 || !utf8.ValidString(text) && strings.ContainsRune(text, 0) {
		w.unread("it is nested too deeply")
		return false
	}
	return true
}

// historyExpansion reports whether an interactive shell would replace part of
// the line with an earlier command: !!, !rm, ^a^b.
func historyExpansion(line string) bool {
	if strings.HasPrefix(line, "^") && strings.Count(line, "^") > 1 {
		return true
	}
	single, double := false, false
	for i := 0; i+1 < len(line); i++ {
		switch line[i] {
		case '\\':
			if !single {
				i++
			}
		case '\'':
			single = single != !double
		case '"':
			double = double != !single
		case '!':
			if !single && (i == 0 || !strings.ContainsRune("${[", rune(line[i-1]))) &&
				!strings.ContainsRune(" \t\n=(\"", rune(line[i+1])) {
				return true
			}
		}
	}
	return false
}
