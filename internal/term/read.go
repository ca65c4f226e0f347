package term

import (
	"strings"
	"unicode/utf8"
)

// maxBelow bounds the rows that Below returns.
const maxBelow = 50

// row returns a row of the screen, or nil where there is none.
func (t *Terminal) row(row int64) *line {
	y := row - t.top
	if y < 0 || y >= int64(t.rows) {
		return nil
	}
	return t.shown.line(int(y))
}

// Row returns the text of a row of the screen, from 0, without the blanks at
// its end.
func (t *Terminal) Row(i int) string { return t.RowText(t.top + int64(i)) }

// RowText is Row for an absolute row; empty where that is not on the screen.
func (t *Terminal) RowText(row int64) string {
	l := t.row(row)
	if l == nil {
		return ""
	}
	return strings.TrimRight(text(l.cells[:l.used]), " ")
}

// From returns the text from p to the end of its logical line, over rows that
// are wrapped. It is empty where p has scrolled away.
func (t *Terminal) From(p Pos) string {
	if t.row(p.Row) == nil || p.Col < 0 {
		return ""
	}
	var b strings.Builder
	col := min(p.Col, t.cols)
	for l := t.row(p.Row); l != nil; l = t.row(p.Row) {
		b.WriteString(text(l.cells[col:]))
		if !l.wrapped {
			break
		}
		p.Row++
		col = 0
	}
	return strings.TrimRight(b.String(), " ")
}

// Between returns the text from a up to b, b excluded, read on over the ends of
// rows. It is empty where that is not on the screen.
func (t *Terminal) Between(a, b Pos) string {
	return t.read(a, b, func(l *line, x int) string { return text(l.cells[x:]) })
}

// Text is Between with a line feed after each row that is not wrapped, in place
// of the blanks at its end. A wrapped row keeps them, but for a column that was
// left empty at its end because a wide rune did not fit.
func (t *Terminal) Text(a, b Pos) string {
	return t.read(a, b, func(l *line, x int) string {
		if l.wrapped {
			return text(l.cells[x:])
		}
		return strings.TrimRight(text(l.cells[x:]), " ") + "\n"
	})
}

// read joins the rows from a up to b; row gives the text of each but the last.
func (t *Terminal) read(a, b Pos, row func(l *line, x int) string) string {
	if t.row(a.Row) == nil || t.row(b.Row) == nil || b.Row < a.Row || a.Col < 0 || b.Col < 0 {
		return ""
	}
	var out strings.Builder
	x := min(a.Col, t.cols)
	for ; a.Row < b.Row; a.Row++ {
		out.WriteString(row(t.row(a.Row), x))
		x = 0
	}
	if end := min(b.Col, t.cols); x < end {
		out.WriteString(text(t.row(b.Row).cells[x:end]))
	}
	return out.String()
}

// Left returns what stands before p on its logical line.
func (t *Terminal) Left(p Pos) string { return t.Between(t.LineStart(p), p) }

// Logical returns the whole logical line that the cursor is on.
func (t *Terminal) Logical() string { return t.From(t.LineStart(t.Cursor())) }

// LineStart returns the first column of the logical line that p is on, as far as
// it is on the screen.
func (t *Terminal) LineStart(p Pos) Pos {
	for l := t.row(p.Row - 1); l != nil && l.wrapped; l = t.row(p.Row - 1) {
		p.Row--
	}
	return Pos{p.Row, 0}
}

// End returns the end of the logical line that p is on: behind its last cell that
// is not blank, and never before p.
func (t *Terminal) End(p Pos) Pos {
	end := p
	row, col := p.Row, max(p.Col, 0)
	for l := t.row(row); l != nil; l = t.row(row) {
		for x := l.used - 1; x >= col; x-- {
			if c := l.cells[x]; !c.blank() || c.style&half != 0 {
				end = Pos{row, x + 1}
				break
			}
		}
		if !l.wrapped {
			break
		}
		row++
		col = 0
	}
	return end
}

// Below returns the rows below the logical line of p down to the last that is not
// blank, joined with line feeds: at most 50, and empty where all are blank or p is
// not on the screen.
func (t *Terminal) Below(p Pos) (text string) {
	l := t.row(p.Row)
	for ; l != nil && l.wrapped; l = t.row(p.Row) {
		p.Row++
	}
	if l == nil {
		return ""
	}
	var b strings.Builder
	for n := 1; n <= maxBelow && t.row(p.Row+int64(n)) != nil; n++ {
		b.WriteString(t.RowText(p.Row + int64(n)))
		b.WriteByte('\n')
	}
	return strings.TrimRight(b.String(), "\n")
}

// Ghost reports whether there is text from p to the end of its logical line, and
// all of it is drawn as shells draw a suggestion: faint, or grey.
func (t *Terminal) Ghost(from Pos) bool {
	found := false
	row, col := from.Row, max(from.Col, 0)
	for l := t.row(row); l != nil; l = t.row(row) {
		for x := col; x < l.used; x++ {
			c := l.cells[x]
			if c.blank() && c.style&half == 0 {
				continue
			}
			if !c.style.ghost() {
				return false
			}
			found = true
		}
		if !l.wrapped {
			break
		}
		row++
		col = 0
	}
	return found
}

// text returns what the cells show. U+FFFD stands for more marks than a cell has
// room for: it is not the text, and must not be taken for it.
func text(cells []cell) string {
	var b strings.Builder
	b.Grow(len(cells))
	for _, c := range cells {
		switch {
		case c.style&(half|gap) != 0:
		case c.text == 0:
			b.WriteByte(' ')
		case c.text < utf8.RuneSelf:
			b.WriteByte(byte(c.text))
		default:
			for rest := c.text &^ crowded; rest != 0; rest >>= runeBits {
				b.WriteRune(rune(rest & runeMask))
			}
			if c.text&crowded != 0 {
				b.WriteRune(utf8.RuneError)
			}
		}
	}
	return b.String()
}
