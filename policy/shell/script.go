// Package shell reads shell command lines for the command rules: which programs
// a line would run, with which words, fed by what.
//
// It is a guard rail, not a sandbox. It undoes quoting, braces, variables set
// on the same line and programs that run others (sudo, env, xargs, sh -c), and
// says plainly where it cannot see: a word that depends on anything but the
// line itself is unknown, never safe. It executes nothing and reads no file.
package shell

import "strings"

// Unknown stands in a Word for text that the line does not tell.
const Unknown = '\uF8F0'

// Word is one word of a call, unquoted and expanded as far as the line tells.
// Glob characters stay as they are; Unknown marks what the line does not tell.
type Word string

// Literal reports whether the whole word is known.
func (w Word) Literal() bool { return !strings.ContainsRune(string(w), Unknown) }

// Call is one program that the line would run.
type Call struct {
	// Program is the base name of the program: rm for /bin/rm. It may hold glob
	// characters or Unknown, and is empty for a word that expands to nothing.
	Program string
	Args    []Word
	// Pipe groups calls whose data may flow from the earlier to the later one,
	// through a pipe or a substitution. 0: alone.
	Pipe int
	// Outer is the call that runs it, by its index plus 1: sudo for the rm of
	// sudo rm. 0: the line itself.
	Outer int
	// Terminal: once it runs its input is the terminal's, for as long as the line
	// runs.
	Terminal bool
}

// Kind is the kind of a Finding.
type Kind int

// The kinds of findings.
const (
	Opaque Kind = iota // what runs cannot be read from the line
	Tamper             // the line changes what is seen of later lines
)

// Finding is something about a line that no single program says.
type Finding struct {
	Kind    Kind
	Reason  string // a lower-case clause
	Program string // where one program is to blame
}

// Script is what a line would do.
type Script struct {
	Calls    []Call
	Findings []Finding
	// Redirects are the files that the line itself opens: a program named < or >
	// with one argument each.
	Redirects []Call
	// Sets are the variables that the line sets.
	Sets []string
	// Incomplete: the shell would ask for another line first.
	Incomplete bool
	// Heredoc is what more lines would belong to first; nil: none is open.
	Heredoc *Heredoc
	// Input: something in it runs what is sent to the standard input.
	Input bool
	// Unread is not empty where the line is beyond what is parsed, and says why.
	Unread string
}
