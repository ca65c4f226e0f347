package shell

import (
	"io"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

const unknown = string(Unknown)

// Limits on what is remembered of variables.
const (
	maxVars   = 256
	maxValues = 8 // of one variable
	maxValue  = 4 << 10
)

// environment answers the expander. Variables that the line does not set are
// unknown, or empty where empty is set; their true values are the target's.
type environment struct {
	vars  map[string][]string
	pick  int  // which of several values
	empty bool // what the line does not tell is empty
}

func (e environment) Get(name string) expand.Variable {
	set := func(s string) expand.Variable {
		return expand.Variable{Set: true, Kind: expand.String, Str: s}
	}
	if values := e.vars[name]; len(values) > 0 {
		v := values[min(e.pick, len(values)-1)]
		if e.empty {
			v = strings.ReplaceAll(v, unknown, "")
		}
		return set(v)
	}
	switch {
	case strings.HasPrefix(name, "HOME"):
		// Also "HOME user": without an answer the expander would ask the gateway's
		// own user database.
		_, user, _ := strings.Cut(name, " ")
		return set("~" + user)
	case name == "IFS":
		return set(" \t\n")
	case e.empty:
		return expand.Variable{}
	case name == "@" || name == "*":
		return expand.Variable{Set: true, Kind: expand.Indexed, List: []string{unknown}}
	}
	return set(unknown)
}

func (e environment) Each(func(string, expand.Variable) bool) {}

// Set serves ${x:=rm}. A variable that has values keeps them.
func (e environment) Set(name string, v expand.Variable) error {
	if len(e.vars[name]) == 0 && len(e.vars) < maxVars {
		e.vars[name] = []string{v.String()}
	}
	return nil
}

// fields expands words as far as the line tells. With walk the commands in
// their substitutions are collected, which is wanted once.
func (w *walker) fields(words []*syntax.Word, in source, walk bool) []string {
	out := make([]string, 0, len(words))
	env := environment{vars: w.vars}
	for _, word := range words {
		if w.words < 0 {
			w.unread("it expands to too many words")
			break
		}
		if word == nil {
			continue
		}
		if s, ok := literal(word); ok {
			out = append(out, s)
			w.words--
			continue
		}
		out = w.expand(out, word, env, in, walk)
	}
	return out
}

// literal returns the text of a word that expands to itself.
func literal(word *syntax.Word) (string, bool) {
	if len(word.Parts) != 1 {
		return "", false
	}
	switch p := word.Parts[0].(type) {
	case *syntax.Lit:
		return p.Value, !strings.ContainsAny(p.Value, `\{~`)
	case *syntax.SglQuoted:
		return p.Value, !p.Dollar
	case *syntax.DblQuoted:
		if len(p.Parts) == 1 {
			if l, ok := p.Parts[0].(*syntax.Lit); ok {
				return l.Value, !strings.Contains(l.Value, `\`)
			}
		}
	}
	return "", false
}

func (w *walker) expand(out []string, word *syntax.Word, env environment, in source, walk bool) []string {
	cfg := &expand.Config{
		Env: env,
		CmdSubst: func(dst io.Writer, c *syntax.CmdSubst) error {
			if walk {
				for _, s := range c.Stmts {
					w.stmt(s, source{pipe: in.pipe})
				}
			}
			if len(c.Stmts) == 1 {
				if text, ok := w.output(c.Stmts[0]); ok {
					_, err := io.WriteString(dst, text)
					return err
				}
			}
			if env.empty {
				return nil
			}
			_, err := io.WriteString(dst, unknown)
			return err
		},
		ProcSubst: func(p *syntax.ProcSubst) (string, error) {
			if walk {
				for _, s := range p.Stmts {
					w.stmt(s, source{pipe: in.pipe, piped: p.Op == syntax.CmdOut})
				}
			}
			return "/dev/fd/" + unknown, nil
		},
	}
	if walk {
		syntax.Walk(word, func(n syntax.Node) bool {
			if p, ok := n.(*syntax.ParamExp); ok { // ${(e)x:-'$(ls)'}
				w.quotedIn(p, in)
				return false
			}
			return true
		})
	}
	if !w.bounded(word) {
		if walk {
			w.children(word, in)
		}
		return append(out, unknown)
	}
	before := len(out)
	for f, err := range expand.FieldsSeq(cfg, word) {
		if err != nil {
			if len(out) == before || out[len(out)-1] != unknown {
				out = append(out, unknown)
			}
			if walk {
				// The expander stopped: what it did not reach still runs.
				w.children(word, in)
			}
			break
		}
		if w.words -= 1 + len(f)/16; w.words < 0 {
			w.unread("it expands to too many words")
			break
		}
		out = append(out, f)
	}
	return out
}

// quotedIn reads the substitutions in the quotes of an expansion, which zsh may
// expand once more.
func (w *walker) quotedIn(p *syntax.ParamExp, in source) {
	syntax.Walk(p, func(n syntax.Node) bool {
		if q, ok := n.(*syntax.SglQuoted); ok {
			w.hidden(q.Value, in)
		}
		return true
	})
}

// bounded reports whether the values that a word names stay within bounds:
// one word may name a long variable thousands of times.
func (w *walker) bounded(word *syntax.Word) bool {
	size := 0
	syntax.Walk(word, func(n syntax.Node) bool {
		if p, ok := n.(*syntax.ParamExp); ok && p.Param != nil {
			longest := 0
			for _, v := range w.vars[p.Param.Value] {
				longest = max(longest, len(v))
			}
			size += longest
		}
		return size <= maxLine
	})
	if size > maxLine {
		w.unread("it expands to too many words")
	}
	return size <= maxLine
}

// document expands a here-document's body.
func (w *walker) document(word *syntax.Word, in source, walk bool) (string, bool) {
	if word == nil {
		return "", true
	}
	if s := word.Lit(); s != "" {
		return s, true
	}
	text := strings.Join(w.fields([]*syntax.Word{{Parts: []syntax.WordPart{
		&syntax.DblQuoted{Parts: word.Parts},
	}}}, in, walk), " ")
	return text, Word(text).Literal()
}

// dynamic reports whether the words hold anything but literals.
func (w *walker) dynamic(words []*syntax.Word) bool {
	return slices.ContainsFunc(words, func(word *syntax.Word) bool { _, ok := literal(word); return !ok })
}

// variants returns other readings of a call whose program depends on what the
// line does not tell or tells twice: every value that the line gives to its
// variables, and everything unknown being empty.
func (w *walker) variants(args []*syntax.Word, words []string) [][]string {
	head, last := 0, 0
	for i := range args {
		if _, ok := literal(args[i]); !ok {
			head = i + 1
		}
		if head < i+1 {
			break
		}
	}
	if head == 0 && len(w.vars) == 0 {
		return nil
	}
	for _, values := range w.vars {
		last = max(last, len(values)-1)
	}
	var out [][]string
	add := func(env environment, n int) {
		v := []string{}
		for _, word := range args[:n] {
			if w.words < 0 {
				return
			}
			v = w.expand(v, word, env, source{}, false)
		}
		v = append(v, w.fields(args[n:], source{}, false)...)
		same := func(o []string) bool { return slices.Equal(o, v) }
		if len(v) > 0 && !same(words) && !slices.ContainsFunc(out, same) {
			out = append(out, v)
		}
	}
	for k := range last {
		add(environment{vars: w.vars, pick: k + 1}, len(args))
	}
	if head > 0 {
		// Only the words up to the program: "rm -rf $dir/" is not "rm -rf /".
		add(environment{vars: w.vars, empty: true}, min(head, len(args)))
	}
	return out
}

// assign notes a variable's value and returns it.
func (w *walker) assign(a *syntax.Assign, in source) string {
	value := ""
	switch {
	case a.Value != nil:
		value = strings.Join(w.fields([]*syntax.Word{a.Value}, in, true), " ")
	case a.Array != nil:
		var values []string
		for _, e := range a.Array.Elems {
			values = append(values, w.fields([]*syntax.Word{e.Value}, in, true)...)
		}
		value = strings.Join(values, " ")
	}
	if a.Index != nil {
		w.children(a.Index, in)
	}
	w.hidden(value, in)
	if a.Name != nil && (commandVariable(a.Name.Value) || a.Index != nil && commandTable(a.Name.Value)) {
		w.text(a.Name.Value, value, source{pipe: in.pipe})
	}
	if a.Name == nil || a.Naked {
		return value
	}
	if a.Append && len(w.vars[a.Name.Value]) > 0 {
		for _, old := range slices.Clone(w.vars[a.Name.Value]) {
			w.set(a.Name.Value, old+value, true)
		}
		return value
	}
	w.set(a.Name.Value, value, true)
	return value
}

// set adds a value of a variable, the newest first. All are kept, because
// whether an assignment is reached is not known.
func (w *walker) set(name, value string, tamper bool) {
	if tamper && sensitive(name) {
		w.find(Tamper, "", "it sets %s", name)
	}
	if tamper && len(w.script.Sets) < maxVars && !slices.Contains(w.script.Sets, name) {
		w.script.Sets = append(w.script.Sets, name)
	}
	if len(value) > maxValue {
		value = unknown
	}
	if slices.Contains(w.vars[name], value) {
		return
	}
	if len(w.vars) >= maxVars {
		w.unread("it sets too many variables")
		return
	}
	values := append([]string{value}, w.vars[name]...)
	if len(values) > maxValues {
		values = append(values[:maxValues-1], unknown)
	}
	w.vars[name] = values
}
