package policy

import (
	"path"
	"slices"

	"sallyport/policy/shell"
)

// Runs returns what the line would run, the words of one program each, its base
// name first. [Known] tells which of the words are on the line. single reports
// whether they are one program with nothing around it but others that start it:
// sudo rsync, not cd / && rsync.
func Runs(line string) (runs [][]string, single bool) {
	s := shell.Parse(line)
	single = len(s.Calls) > 0 && s.Unread == "" && !s.Incomplete
	for _, c := range s.Calls {
		words := []string{c.Program}
		for _, a := range c.Args {
			words = append(words, string(a))
		}
		if n := len(runs); n > 0 {
			outer := runs[n-1]
			at := len(outer) - len(words)
			single = single && at > 0 && c.Pipe == 0 && path.Base(outer[at]) == words[0] && slices.Equal(outer[at+1:], words[1:])
		}
		runs = append(runs, words)
	}
	return runs, single
}

// Known reports whether the line tells all of a word.
func Known(word string) bool { return shell.Word(word).Literal() }
