package shell

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// source is what a command reads and belongs to.
type source struct {
	pipe   int    // of Call.Pipe
	piped  bool   // something we cannot read flows in
	text   string // what flows in, where the line tells
	isText bool
	tty    bool // it reads the terminal, and is the last to
}

// walker collects what a line would do.
type walker struct {
	script Script
	vars   map[string][]string // every value that the line gives a variable
	pipes  int
	depth  int                 // of code within code
	nested int                 // of programs run by programs
	names  map[string][]string // words that a name stands for: aliases, copies
	outer  int                 // the call within which the walker is, plus 1
	budget int                 // bytes of code left
	words  int                 // words and statements left
	used   bool                // text that flows in was read as code or words
}

func (w *walker) find(k Kind, program, format string, args ...any) {
	f := Finding{Kind: k, Program: program, Reason: format}
	if len(args) > 0 {
		f.Reason = fmt.Sprintf(format, args...)
	}
	if len(w.script.Findings) < maxCalls && !slices.Contains(w.script.Findings, f) {
		w.script.Findings = append(w.script.Findings, f)
	}
}

func (w *walker) unread(reason string) {
	if w.script.Unread == "" {
		w.script.Unread = reason
	}
}

// newPipe puts what follows into a pipeline, a new one unless it is in one.
func (w *walker) newPipe(in source) source {
	if in.pipe == 0 {
		w.pipes++
		in.pipe = w.pipes
	}
	return in
}

func (w *walker) stmt(s *syntax.Stmt, in source) {
	if w.words--; w.words < 0 {
		w.unread("it is too long once expanded")
		return
	}
	in.tty = in.tty && !s.Background && !s.Coprocess
	for _, r := range s.Redirs {
		in = w.redirect(r, in, true)
	}
	in.tty = in.tty && !in.piped
	switch c := s.Cmd.(type) {
	case *syntax.BinaryCmd:
		w.binary(c, in)
	case *syntax.CallExpr:
		w.callExpr(c, in)
		if len(c.Args) == 1 && c.Args[0].Lit() == "exec" {
			if hidesScreen(s.Redirs) {
				w.find(Tamper, "exec", "the shell's own output is redirected")
			}
			w.feeds(s.Redirs)
		}
	case *syntax.DeclClause:
		w.declare(c, in)
	case *syntax.ForClause:
		in.tty = false
		if it, ok := c.Loop.(*syntax.WordIter); ok {
			for _, v := range w.fields(it.Items, in, false) {
				w.set(it.Name.Value, v, false)
			}
		}
		w.children(c, in)
	case *syntax.Block:
		w.stmts(c.Stmts, in)
	case *syntax.Subshell:
		w.stmts(c.Stmts, in)
	case *syntax.TimeClause:
		if c.Stmt != nil {
			w.stmt(c.Stmt, in)
		}
	case nil:
	default:
		in.tty = false // whether it is reached is not known
		w.children(c, in)
	}
}

// stmts walks statements one after the other; the last has the terminal to its
// end.
func (w *walker) stmts(all []*syntax.Stmt, in source) {
	tty := in.tty
	for i, s := range all {
		in.tty = tty && i == len(all)-1
		w.stmt(s, in)
	}
}

// children walks the statements inside any other node.
func (w *walker) children(n syntax.Node, in source) {
	syntax.Walk(n, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Stmt:
			w.stmt(n, in)
			return false
		case *syntax.Assign:
			w.assign(n, in)
			return false
		case *syntax.DeclClause:
			w.declare(n, in)
			return false
		case *syntax.SglQuoted:
			w.hidden(n.Value, in)
		}
		return true
	})
}

func (w *walker) binary(c *syntax.BinaryCmd, in source) {
	if c.Op != syntax.Pipe && c.Op != syntax.PipeAll {
		left, right := in, in
		left.tty = false
		right.tty = in.tty && c.Op == syntax.AndStmt && atOnce(c.X)
		w.stmt(c.X, left)
		w.stmt(c.Y, right)
		return
	}
	in = w.newPipe(in)
	w.stmt(c.X, in)
	right := source{pipe: in.pipe, piped: true}
	right.text, right.isText = w.output(c.X)
	w.stmt(c.Y, right)
}

// atOnce reports whether a statement leaves nobody the time to type before what
// follows it: cd x && mysql.
func atOnce(s *syntax.Stmt) bool {
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || len(s.Redirs) > 0 || hasSubstitution(c.Args) {
		return false
	}
	if len(c.Args) == 0 {
		return true
	}
	switch c.Args[0].Lit() {
	case "cd", ":", "true", "clear", "mkdir":
		return true
	}
	return false
}

// output returns what a statement prints, where the line tells it: echo and
// printf of known words, cat of a here-document.
func (w *walker) output(s *syntax.Stmt) (string, bool) {
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || len(c.Args) == 0 {
		return "", false
	}
	words := w.fields(c.Args, source{}, false)
	if len(words) == 0 {
		return "", false
	}
	text := ""
	switch base(words[0]) {
	case "echo":
		args := words[1:]
		for len(args) > 0 && len(args[0]) > 1 && strings.Trim(args[0], "-neE") == "" {
			args = args[1:]
		}
		text = strings.Join(args, " ")
		if strings.Contains(text, `\`) {
			return "", false
		}
	case "printf":
		args := words[1:]
		if len(args) == 2 && strings.TrimSuffix(args[0], `\n`) == "%s" {
			args = args[1:]
		}
		if len(args) != 1 || strings.Contains(strings.TrimSuffix(args[0], `\n`), `\`) || strings.Contains(args[0], "%") {
			return "", false
		}
		text = strings.TrimSuffix(args[0], `\n`)
	case "cat", "tee":
		for _, r := range s.Redirs {
			if in := w.redirect(r, source{}, false); in.isText {
				return in.text, true
			}
		}
		return "", false
	default:
		return "", false
	}
	return text, Word(text).Literal()
}

func (w *walker) redirect(r *syntax.Redirect, in source, walk bool) source {
	switch r.Op {
	case syntax.Hdoc, syntax.DashHdoc:
		in.piped = true
		in.text, in.isText = w.document(r.Hdoc, in, walk)
	case syntax.WordHdoc:
		in.piped = true
		in.text = strings.Join(w.fields([]*syntax.Word{r.Word}, in, walk), " ")
		in.isText = Word(in.text).Literal()
	case syntax.RdrIn, syntax.RdrInOut:
		in.piped, in.isText = true, false
		w.opens(pickString(r.Op == syntax.RdrIn, "<", ">"), r.Word, in, walk)
	case syntax.DplIn, syntax.DplOut:
		program := pickString(r.Op == syntax.DplIn, "<", ">")
		if to := r.Word.Lit(); to == "-" || strings.Trim(to, "0123456789-") == "" && to != "" {
			program = "" // of a descriptor
		}
		w.opens(program, r.Word, in, walk)
	default:
		w.opens(">", r.Word, in, walk)
	}
	return in
}

// opens notes the files of a redirection.
func (w *walker) opens(program string, word *syntax.Word, in source, walk bool) {
	for _, f := range w.fields([]*syntax.Word{word}, in, walk) {
		if walk && program != "" && len(w.script.Redirects) < maxCalls {
			w.script.Redirects = append(w.script.Redirects, Call{Program: program, Args: []Word{Word(f)}, Outer: w.outer})
		}
	}
}

// hidesScreen reports whether a redirection takes away the stream on which
// line editors show what is typed.
func hidesScreen(redirs []*syntax.Redirect) bool {
	return slices.ContainsFunc(redirs, func(r *syntax.Redirect) bool {
		return r.Op == syntax.RdrAll || r.Op == syntax.AppAll || r.N != nil && r.N.Value == "2"
	})
}

func (w *walker) callExpr(c *syntax.CallExpr, in source) {
	for _, a := range c.Assigns {
		w.assign(a, in)
	}
	if len(c.Args) == 0 {
		return
	}
	if hasSubstitution(c.Args) {
		in = w.newPipe(in)
	}
	words := w.fields(c.Args, in, true)
	if len(words) == 0 {
		// The line runs nothing, or what a variable or a command says.
		if w.dynamic(c.Args) {
			w.find(Opaque, "", "the name of the program is not on the line")
		}
		return
	}
	w.call(words, in)
	for _, other := range w.variants(c.Args, words) {
		w.call(other, in)
	}
	if _, ok := literal(c.Args[0]); !ok && strings.ContainsAny(words[0], " \t\n") {
		// One word here may be several in the shell: "${x[@]}", zsh's $x.
		w.call(append(strings.Fields(words[0]), words[1:]...), in)
	}
}

func hasSubstitution(words []*syntax.Word) bool {
	found := false
	for _, word := range words {
		for _, part := range word.Parts {
			switch p := part.(type) {
			case *syntax.CmdSubst, *syntax.ProcSubst:
				return true
			case *syntax.DblQuoted:
				for _, q := range p.Parts {
					if _, ok := q.(*syntax.CmdSubst); ok {
						found = true
					}
				}
			}
		}
	}
	return found
}

func (w *walker) declare(c *syntax.DeclClause, in source) {
	call := Call{Program: c.Variant.Value, Pipe: in.pipe, Outer: w.outer}
	byName := c.Variant.Value == "nameref"
	for _, a := range c.Args {
		if a.Naked && a.Value != nil {
			for _, f := range w.fields([]*syntax.Word{a.Value}, in, true) {
				if name, value, ok := strings.Cut(f, "="); ok {
					w.set(name, value, true)
				}
				byName = byName || len(f) > 1 && f[0] == '-' && strings.Contains(f, "n")
				w.hidden(f, in)
				call.Args = append(call.Args, Word(f))
			}
			continue
		}
		value := w.assign(a, in)
		if byName && a.Name != nil {
			w.set(a.Name.Value, unknown, false) // it stands for another variable
		}
		if a.Name != nil {
			if a.Naked {
				call.Args = append(call.Args, Word(a.Name.Value))
			} else {
				call.Args = append(call.Args, Word(a.Name.Value+"="+value))
			}
		}
	}
	w.emit(call)
}

func (w *walker) emit(c Call) {
	if len(w.script.Calls) >= maxCalls {
		w.unread("it runs too many commands")
		return
	}
	w.script.Calls = append(w.script.Calls, c)
}

// base returns the base name of a program's path.
func base(word string) string {
	word = strings.TrimPrefix(word, "=") // zsh: =rm is the path of rm
	if word == "" {
		return ""
	}
	return strings.TrimPrefix(path.Base(word), "zf_") // of zsh's module zsh/files
}
