package term

// cell is one column: a rune and up to two marks that are drawn with it, 21 bits
// each, 0 where nothing was written; the highest bit where there were more marks.
type cell struct {
	text  uint64
	style style
}

const (
	runeBits = 21
	runeMask = 1<<runeBits - 1
	crowded  = 1 << 63
)

// blank reports whether nothing is to be seen in the cell.
func (c cell) blank() bool { return c.text == 0 || c.text == ' ' }

func (c *cell) combine(r rune) {
	switch {
	case c.text>>runeBits == 0:
		if c.text == 0 {
			c.text = ' '
		}
		c.text |= uint64(r) << runeBits
	case c.text>>(2*runeBits) == 0:
		c.text |= uint64(r) << (2 * runeBits)
	default:
		c.text |= crowded
	}
}

// line is one row.
type line struct {
	cells   []cell
	used    int  // the cells from here on were never written
	wrapped bool // its text goes on in the next row
	aligned bool // full of E (DECALN), which is filled in when the row is needed
}

func (l *line) erase() {
	clear(l.cells[:l.used])
	l.used, l.wrapped, l.aligned = 0, false, false
}

// eraseCells erases from..to, and the other half of a wide rune that is cut.
func (l *line) eraseCells(from, to int) {
	to = min(to, len(l.cells))
	if from >= to {
		return
	}
	l.split(from)
	l.split(to)
	if from < l.used {
		clear(l.cells[from:min(to, l.used)])
	}
	if to == len(l.cells) {
		l.wrapped = false
		l.used = min(l.used, from)
	}
}

// split clears a wide rune that a write up to or from column x would cut in half.
func (l *line) split(x int) {
	if x > 0 && x < len(l.cells) && l.cells[x].style&half != 0 {
		l.cells[x], l.cells[x-1] = cell{}, cell{}
	}
}

// insert moves the cells from x on right by n, and clears what comes free.
func (l *line) insert(x, n int) {
	l.split(x)
	row := l.cells[x:]
	n = min(n, len(row))
	l.split(len(l.cells) - n)
	copy(row[n:], row)
	clear(row[:n])
	l.used = min(max(l.used, x)+n, len(l.cells))
}

// remove moves the cells right of x+n left by n.
func (l *line) remove(x, n int) {
	n = min(n, len(l.cells)-x)
	l.split(x)
	l.split(x + n)
	if x >= l.used {
		return
	}
	row := l.cells[x:l.used]
	n = min(n, len(row))
	copy(row, row[n:])
	clear(row[len(row)-n:])
	l.used -= n
}

// screen is what is shown, or would be, if the other one were not. Rows move by
// their number in order, which is all that scrolling writes.
type screen struct {
	lines []line
	order []uint16
	saved cursor
}

func newScreen(cols, rows int) screen {
	s := screen{lines: make([]line, rows), order: make([]uint16, rows)}
	cells := make([]cell, cols*rows)
	for i := range s.lines {
		s.lines[i].cells, cells = cells[:cols:cols], cells[cols:]
		s.order[i] = uint16(i)
	}
	return s
}

var alignedRow = func() (row [MaxCols]cell) {
	for i := range row {
		row[i].text = 'E'
	}
	return row
}()

// line returns a row, to read or to write.
func (s *screen) line(y int) *line {
	l := &s.lines[s.order[y]]
	if l.aligned {
		copy(l.cells, alignedRow[:])
		l.used, l.aligned = len(l.cells), false
	}
	return l
}

func (s *screen) erase(from, to int) {
	for _, i := range s.order[from:to] {
		if l := &s.lines[i]; l.used > 0 || l.wrapped || l.aligned {
			l.erase()
		}
	}
}

func (s *screen) align() {
	for i := range s.lines {
		s.lines[i].wrapped, s.lines[i].aligned = false, true
	}
}

// scroll moves the rows from..to up by n, down where n is negative, and clears
// what comes free.
func (s *screen) scroll(from, to, n int, scratch *[MaxRows]uint16) {
	region := s.order[from:to]
	size := len(region)
	if n > 0 {
		n = min(n, size)
		moved := scratch[:copy(scratch[:], region[:n])]
		copy(region, region[n:])
		copy(region[size-n:], moved)
		s.erase(to-n, to)
		return
	}
	n = min(-n, size)
	moved := scratch[:copy(scratch[:], region[size-n:])]
	copy(region[n:], region)
	copy(region, moved)
	s.erase(from, from+n)
}

// refit returns the screen in another size, without its first drop rows.
func (s *screen) refit(cols, rows, drop int) screen {
	fitted := newScreen(cols, rows)
	for y := range min(rows, len(s.lines)-drop) {
		l, old := &fitted.lines[y], s.line(y+drop)
		l.used = copy(l.cells, old.cells[:old.used])
		l.wrapped = old.wrapped && len(old.cells) == cols
		if cols < len(old.cells) && old.cells[cols].style&half != 0 { // cut in half
			l.cells[cols-1] = cell{}
		}
	}
	fitted.saved = s.saved
	fitted.saved.y -= drop
	fitted.saved.clamp(cols, rows)
	return fitted
}

func (s *screen) clone() screen {
	c := screen{saved: s.saved}
	if s.lines == nil {
		return c
	}
	c = newScreen(len(s.lines[0].cells), len(s.lines))
	c.saved = s.saved
	for y := range s.lines {
		l, old := &c.lines[y], s.line(y)
		copy(l.cells, old.cells[:old.used])
		l.used, l.wrapped = old.used, old.wrapped
	}
	return c
}
