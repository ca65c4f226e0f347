package term

import (
	"bytes"
	"strconv"
)

// After returns the place behind text that is drawn from p on.
func (t *Terminal) After(p Pos, text string) Pos {
	for _, r := range text {
		w := width(r)
		if p.Col+w > t.cols {
			p = Pos{p.Row + 1, 0}
		}
		p.Col += w
	}
	return p
}

// Redraw returns what makes a terminal that shows before show what t does. It
// moves the cursor relative to where it is, so that it does not matter in which
// row of its window a terminal began. It is false where that cannot be said: the
// screen was switched, reset, resized or has scrolled away. Cells that hidden names
// are drawn as bullets; hidden may be nil.
func (t *Terminal) Redraw(before *Terminal, hidden func(Pos) bool) ([]byte, bool) {
	if t.Equal(before) {
		return nil, true
	}
	if t.cols != before.cols || t.rows != before.rows || t.alternate != before.alternate || t.noWrap != before.noWrap ||
		t.insert || before.insert || t.origin || before.origin || t.drawing != before.drawing || t.shift != before.shift ||
		t.top < before.top || t.top-before.top >= int64(t.rows) {
		return nil, false
	}
	d := &drawer{t: t, row: before.top + int64(before.y), hidden: hidden}
	d.out.WriteByte('\r')
	d.pen = before.style
	end := t.top + int64(t.rows)
	for row := t.top; row < end; row++ {
		if sameRow(t.row(row), before.row(row)) {
			continue
		}
		d.move(row)
		d.line(t.row(row))
	}
	d.move(t.top + int64(t.y))
	if t.x > 0 {
		d.sequence(t.x, 'C')
	}
	if t.pending { // the last cell again, so that the next one wraps
		l := t.shown.line(t.y)
		x := t.x
		if l.cells[x].style&half != 0 {
			x--
			d.out.WriteByte('\b')
		}
		d.cell(l.cells[x], x)
	}
	d.style(t.style)
	if t.bracketed != before.bracketed {
		d.out.WriteString("\x1b[?2004" + map[bool]string{true: "h", false: "l"}[t.bracketed])
	}
	return d.out.Bytes(), true
}

// sameRow reports whether two rows look alike; one that is nil is blank.
func sameRow(a, b *line) bool {
	if b == nil {
		b = &line{}
	}
	for x := range max(a.used, b.used) {
		var ca, cb cell
		if x < a.used {
			ca = a.cells[x]
		}
		if x < b.used {
			cb = b.cells[x]
		}
		if ca != cb && (ca.style != cb.style || !ca.blank() || !cb.blank()) {
			return false
		}
	}
	return true
}

// drawer writes rows of a terminal for another.
type drawer struct {
	t   *Terminal
	out bytes.Buffer
	row int64 // where the cursor is, in the first column but after line
	pen style

	hidden func(Pos) bool
}

func (d *drawer) sequence(n int, c byte) {
	d.out.WriteString("\x1b[" + strconv.Itoa(n))
	d.out.WriteByte(c)
}

// move goes to the first column of a row. Down it goes by line feeds, as a row
// may have to be scrolled in.
func (d *drawer) move(row int64) {
	d.out.WriteByte('\r')
	if row < d.row {
		d.sequence(int(d.row-row), 'A')
	}
	for ; d.row < row; d.row++ {
		d.out.WriteByte('\n')
	}
	d.row = row
}

func (d *drawer) line(l *line) {
	d.style(0)
	d.out.WriteString("\x1b[2K")
	used := l.used
	for used > 0 && l.cells[used-1].blank() && l.cells[used-1].style == 0 {
		used--
	}
	for x, c := range l.cells[:used] {
		d.cell(c, x)
	}
	d.style(0)
}

func (d *drawer) cell(c cell, x int) {
	hide := d.hidden != nil && d.hidden(Pos{d.row, x})
	if c.style&(half|gap) != 0 && !hide {
		return
	}
	d.style(c.style &^ (half | gap))
	if hide {
		d.out.WriteString("•")
		return
	}
	d.out.WriteString(text([]cell{c}))
}

// style is SGR.
func (d *drawer) style(s style) {
	if s == d.pen {
		return
	}
	d.pen = s
	d.out.WriteString("\x1b[0")
	for _, a := range []struct {
		style style
		code  string
	}{{bold, ";1"}, {faint, ";2"}, {italic, ";3"}, {underline, ";4"}, {blink, ";5"}, {inverse, ";7"}, {hidden, ";8"}, {struck, ";9"}} {
		if s&a.style != 0 {
			d.out.WriteString(a.code)
		}
	}
	d.colour(38, s&colourMask)
	d.colour(48, s>>bgShift&colourMask)
	d.out.WriteByte('m')
}

func (d *drawer) colour(what int, c style) {
	value := int(c & (1<<24 - 1))
	switch c &^ (1<<24 - 1) {
	case palette:
		d.out.WriteString(";" + strconv.Itoa(what) + ";5;" + strconv.Itoa(value))
	case rgb:
		d.out.WriteString(";" + strconv.Itoa(what) + ";2;" + strconv.Itoa(value>>16) + ";" +
			strconv.Itoa(value>>8&0xff) + ";" + strconv.Itoa(value&0xff))
	}
}
