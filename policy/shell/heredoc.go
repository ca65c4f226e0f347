package shell

import (
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Heredoc is a here-document that has no end yet.
type Heredoc struct {
	Delimiter string
	Tabs      bool // <<-: tabs before the delimiter count for nothing
	// Quoted: a quote in the delimiter makes its lines text and nothing else.
	Quoted bool
	// Code: each line counts, as what is in it is run, or where it ends is in
	// doubt.
	Code bool
}

// Text reports whether the line is more text of the document and nothing
// else: it neither ends it nor runs anything, and needs no parser.
func (h *Heredoc) Text(line string) bool {
	if h == nil || h.Code || strings.ContainsRune(line, '\r') || !h.Quoted && (expands(line) || strings.HasSuffix(line, `\`)) {
		return false
	}
	// bash takes "EOF)" too, within $(…).
	return !strings.HasPrefix(strings.TrimLeft(line, "\t"), h.Delimiter)
}

// expands reports whether text of a here-document may run something.
func expands(text string) bool {
	return strings.Contains(text, "`") || strings.Contains(text, "$(") || strings.Contains(text, "${") || strings.Contains(text, "$[")
}

var unclosedHeredoc = regexp.MustCompile("unclosed here-document `([^`]*)`")

// maxHeredocs bounds those that one line leaves open.
const maxHeredocs = 16

// closed parses text with every here-document closed that has no end, as does
// a shell that reads no more lines. It returns the first of them.
func closed(text string, lang syntax.LangVariant) (stmts []*syntax.Stmt, comments []string, open *Heredoc, err error) {
	for i := 0; ; i++ {
		stmts, comments, err = parse(text, lang)
		m := unclosedHeredoc.FindStringSubmatch(errText(err))
		if m == nil || i == maxHeredocs {
			return stmts, comments, open, err
		}
		if open == nil {
			open = heredocAt(text, err, m[1])
		}
		text += "\n" + m[1] + "\n"
	}
}

// heredocAt reads the operator that the error names.
func heredocAt(text string, err error, delimiter string) *Heredoc {
	h := &Heredoc{Delimiter: delimiter, Code: true}
	perr, ok := err.(syntax.ParseError)
	if !ok || perr.Pos.Offset() > uint(len(text)) {
		return h
	}
	_, op, ok := strings.Cut(text[perr.Pos.Offset():], "<<")
	if !ok {
		return h
	}
	op, h.Tabs = strings.CutPrefix(op, "-")
	op = strings.TrimLeft(op, " \t")
	h.Quoted = op != "" && strings.ContainsRune(`'"\`, rune(op[0]))
	_, body, _ := strings.Cut(op, "\n")
	// A substitution may span lines, and a backslash joins two to a delimiter.
	h.Code = !h.Quoted && (expands(joined(body)) || strings.HasSuffix(body, `\`))
	return h
}

// joined removes each backslash at the end of a line, with the end.
func joined(text string) string {
	lines, _ := join(text)
	return strings.Join(lines, "\n")
}

// join returns the lines of a text as they are joined by backslashes, and
// which of them are.
func join(text string) (lines []string, several []bool) {
	var line strings.Builder
	more := false
	for l := range strings.SplitSeq(text, "\n") {
		whole := strings.TrimRight(l, `\`)
		before := more
		if more = (len(l)-len(whole))%2 == 1; more {
			l = l[:len(l)-1]
		}
		switch {
		case !before && !more:
			lines, several = append(lines, l), append(several, false)
		case more:
			line.WriteString(l)
		default:
			line.WriteString(l)
			lines, several = append(lines, line.String()), append(several, true)
			line.Reset()
		}
	}
	if more {
		lines, several = append(lines, line.String()+`\`), append(several, false)
	}
	return lines, several
}

var heredocs = regexp.MustCompile(`<<-?[ \t]*([^\s;|&<>()]+)`)

// reread returns the text as a shell may read it that finds the end of a
// here-document where our parser finds none: the delimiter in lines joined by a
// backslash (bash, dash), or before the bracket that ends the substitution
// around it (bash).
func reread(text string) (string, bool) {
	if !strings.Contains(text, "<<") || !strings.Contains(text, "\n") {
		return "", false
	}
	lines, several := join(text)
	ends := map[string]bool{}
	found := false
	for i, l := range lines {
		for end := range ends {
			rest, ok := strings.CutPrefix(strings.TrimLeft(l, "\t"), end)
			switch {
			case ok && strings.ContainsAny(rest, ")`"):
				lines[i], found = end+"\n"+rest, true
			case ok && rest == "":
				found = found || several[i]
			}
		}
		if !strings.Contains(l, "<<") {
			continue
		}
		for _, m := range heredocs.FindAllStringSubmatch(l, maxHeredocs) {
			if end := strings.NewReplacer(`'`, "", `"`, "", `\`, "").Replace(m[1]); end != "" && len(ends) < maxHeredocs {
				ends[end] = true
			}
		}
	}
	return strings.Join(lines, "\n"), found
}
