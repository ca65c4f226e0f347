package policy

import (
	"sallyport"
	"sallyport/policy/shell"
)

// Answer is one answer to a line: of a rule or of a class.
type Answer struct {
	Call    int     // the index of the call that it is about; -1: the whole line
	Verdict Verdict // its Action may be Allow: then it decides nothing
}

// Explanation is how a line was read and judged.
type Explanation struct {
	Calls   []ExplainedCall
	Answers []Answer
	Verdict Verdict // the most severe of the answers
	Reads   Reader
}

// ExplainedCall is one program that the line would run.
type ExplainedCall struct {
	Words []string // its base name first; … is what the line does not tell
	Outer int      // the index of the call that runs it; -1: the line itself
	Pipe  int      // calls with the same number may feed each other; 0: none
}

// Explain tells how the line is read, what each rule and class answers, and which
// answer counts.
func (c *Commands) Explain(line string) Explanation {
	s := shell.Parse(line)
	e := Explanation{Reads: Reads(line)}
	for _, call := range s.Calls {
		words := []string{display(call.Program)}
		for _, a := range call.Args {
			words = append(words, display(string(a)))
		}
		e.Calls = append(e.Calls, ExplainedCall{Words: words, Outer: call.Outer - 1, Pipe: call.Pipe})
	}
	if c.Active() {
		c.answers(&s, func(a Answer) { e.Answers = append(e.Answers, a) })
		e.Verdict = c.judge(&s)
	}
	e.Verdict.Incomplete, e.Verdict.Heredoc = s.Incomplete, s.Heredoc
	return e
}

// Mode returns how the rules are meant.
func (c *Commands) Mode() sallyport.Mode {
	if c != nil && c.allowList {
		return sallyport.AllowList
	}
	return sallyport.DenyList
}
