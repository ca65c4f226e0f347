package judge

import (
	"bytes"
	"slices"
	"strings"

	"sallyport"
	"sallyport/internal/term"
	"sallyport/policy"
)

// pending is what the shell may still add the next line to. Where the keys and
// the screen told different lines there are several readings; a line that may
// be one of its own is judged alone as well.
type pending struct {
	open   []unfinished
	alone  bool
	first  term.Pos // where the first of the lines was typed, after prompt
	prompt string
}

// unfinished is one reading of lines that are no whole command yet.
type unfinished struct {
	text []byte
	doc  *policy.Heredoc // open at its end
	read int             // bytes that the rules have read of it, each line anew
}

const (
	// maxRead bounds what the rules read of one text: for each line of a loop
	// they read all of it again, so that it would cost the square of its length.
	// It is enough for about 1,000 lines of 16 bytes; a here-document's text is
	// not read again.
	maxRead = 8 << 20
	maxOpen = 4 // readings
)

// judge returns the worst that the line meets in any of its places, and notes
// in next what then waits for more. sole: it is the only reading of the line.
func (p *pending) judge(c *policy.Commands, rules func(string) policy.Verdict, line string, sole bool, next *pending) policy.Verdict {
	var worst policy.Verdict
	consider := func(before unfinished, v policy.Verdict) {
		if v.Action > worst.Action {
			worst = v
		}
		next.add(before, line, v, sole)
	}
	if len(p.open) == 0 || p.alone {
		consider(unfinished{}, rules(line))
	}
	for i := range p.open {
		u := &p.open[i]
		switch {
		case u.doc.Text(line) && len(u.text)+len(line) < lineMax:
			consider(*u, policy.Verdict{Incomplete: true, Heredoc: u.doc})
		case u.read < maxRead:
			u.read += len(u.text) + len(line)
			consider(*u, rules(string(u.text)+"\n"+line))
		case !p.alone: // alone it was judged already
			consider(unfinished{}, rules(line))
			if v := c.Unverifiable(); v.Action > worst.Action {
				worst = v
			}
		}
	}
	return worst
}

// add notes that the line, after what was before it, waits for more or does not.
func (p *pending) add(before unfinished, line string, v policy.Verdict, sole bool) {
	if !v.Incomplete || len(before.text)+len(line) >= lineMax || v.Action >= sallyport.Deny {
		p.alone = true
		return
	}
	if !sole {
		before.text = slices.Clip(before.text) // another reading goes on from it
	}
	if before.text != nil {
		before.text = append(before.text, '\n')
	}
	before.text = append(before.text, line...)
	before.doc = v.Heredoc
	same := func(u unfinished) bool { return bytes.Equal(u.text, before.text) }
	if len(p.open) < maxOpen && !slices.ContainsFunc(p.open, same) {
		p.open = append(p.open, before)
	}
}

// joined returns the text that the last of the lines belongs to.
func (p *pending) joined(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	if len(p.open) == 0 || p.alone {
		return lines[0]
	}
	return string(p.open[0].text) + "\n" + lines[0]
}

// before returns the text that a line would be added to, on one line.
func (p *pending) before() string {
	if len(p.open) == 0 || p.alone {
		return ""
	}
	return strings.NewReplacer("\\\n", "", "\n", " ").Replace(string(p.open[0].text) + "\n")
}
