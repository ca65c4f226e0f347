package policy

import "sallyport/policy/shell"

// ReadsScript reports whether the line runs a shell, or something that starts
// one, that reads its commands from standard input: what is sent to it has to
// be judged as typed lines are (threat C3). When unsure it does.
func ReadsScript(line string) bool {
	s := shell.Parse(line)
	return s.Input || s.Unread != ""
}

// Programs returns what the line would run, the words of one program each: its
// base name first, then its arguments. A program whose words are not all known
// is left out.
func Programs(line string) [][]string {
	var all [][]string
	for _, c := range shell.Parse(line).Calls {
		words, known := []string{c.Program}, shell.Word(c.Program).Literal()
		for _, a := range c.Args {
			words, known = append(words, string(a)), known && a.Literal()
		}
		if known {
			all = append(all, words)
		}
	}
	return all
}
