// Package term is a small model of a terminal: what a screen shows after the
// bytes that were written to it. It answers nothing, blocks on nothing, and
// allocates nothing that its peer could make grow.
package term

import (
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// Bounds of a terminal's size.
const (
	minCols, minRows = 2, 1
	MaxCols, MaxRows = 1000, 500
)

// cell is one column: a rune, 0 where nothing was written, and wide for the
// right half of a wide rune.
type cell struct {
	r    rune
	mark rune // one combining mark; more are dropped
	wide bool
}

// line is one row. It is wrapped if its text goes on in the next.
type line struct {
	cells   []cell
	wrapped bool
}

// Pos is a place that stays where it is when the screen scrolls.
type Pos struct {
	Row int64 // from the first row that ever was
	Col int
}

// Terminal is the model. It is not safe for concurrent use.
type Terminal struct {
	cols, rows  int
	lines       []line // the screen
	top         int64  // the row number of lines[0]
	x, y        int    // the cursor
	pending     bool   // the cursor is past the last column: the next rune wraps
	sx, sy      int    // the saved cursor
	from, to    int    // the scroll region, to excluded
	last        rune   // for REP
	noWrap      bool
	bracketed   bool
	alternate   bool
	main        []line // the other screen while the alternate one is shown
	mx, my      int
	state       state
	params      [16]int
	nparams     int
	private     byte
	inter       byte
	utf         [utf8.UTFMax]byte
	nutf        int
	stringBytes int
	scratch     []line // of scroll
}

// New returns an empty terminal. Sizes out of bounds are clamped.
func New(cols, rows int) *Terminal {
	t := &Terminal{}
	t.cols, t.rows = clamp(cols, minCols, MaxCols), clamp(rows, minRows, MaxRows)
	t.lines = blank(t.cols, t.rows)
	t.to = t.rows
	return t
}

func clamp(n, low, high int) int { return max(low, min(n, high)) }

func blank(cols, rows int) []line {
	ls := make([]line, rows)
	for i := range ls {
		ls[i].cells = make([]cell, cols)
	}
	return ls
}

// Size returns the columns and rows.
func (t *Terminal) Size() (cols, rows int) { return t.cols, t.rows }

// Cursor returns where the next rune goes.
func (t *Terminal) Cursor() Pos {
	x := t.x
	if t.pending {
		x++
	}
	return Pos{t.top + int64(t.y), x}
}

// Bracketed reports whether bracketed paste (mode 2004) is on: a line editor
// waits at a prompt, or pretends to.
func (t *Terminal) Bracketed() bool { return t.bracketed }

// Alternate reports whether the alternate screen (mode 1049) is shown.
func (t *Terminal) Alternate() bool { return t.alternate }

// Row returns the text of a row of the screen, from 0, without the blanks at
// its end.
func (t *Terminal) Row(i int) string {
	if i < 0 || i >= t.rows {
		return ""
	}
	return strings.TrimRight(text(t.lines[i].cells), " ")
}

// From returns the text from p to the end of its logical line, over rows that
// are wrapped. It is empty where p has scrolled away.
func (t *Terminal) From(p Pos) string {
	i := p.Row - t.top
	if i < 0 || i >= int64(t.rows) || p.Col < 0 {
		return ""
	}
	var b strings.Builder
	col := min(p.Col, t.cols)
	for y := int(i); y < t.rows; y++ {
		b.WriteString(text(t.lines[y].cells[col:]))
		if !t.lines[y].wrapped {
			break
		}
		col = 0
	}
	return strings.TrimRight(b.String(), " ")
}

// Between returns the text from a up to b, b excluded, read on over the ends of
// rows. It is empty where that is not on the screen.
func (t *Terminal) Between(a, b Pos) string {
	from, to := a.Row-t.top, b.Row-t.top
	if from < 0 || to < from || to >= int64(t.rows) || a.Col < 0 || b.Col < 0 {
		return ""
	}
	var out strings.Builder
	for y := from; y <= to; y++ {
		x, end := 0, t.cols
		if y == from {
			x = min(a.Col, t.cols)
		}
		if y == to {
			end = min(b.Col, t.cols)
		}
		if x < end {
			out.WriteString(text(t.lines[y].cells[x:end]))
		}
	}
	return out.String()
}

// Left returns what stands before p on its logical line.
func (t *Terminal) Left(p Pos) string {
	y := p.Row - t.top
	if y < 0 || y >= int64(t.rows) {
		return ""
	}
	for y > 0 && t.lines[y-1].wrapped {
		y--
	}
	return t.Between(Pos{t.top + y, 0}, p)
}

// Logical returns the whole logical line that the cursor is on.
func (t *Terminal) Logical() string {
	y := t.y
	for y > 0 && t.lines[y-1].wrapped {
		y--
	}
	return t.From(Pos{t.top + int64(y), 0})
}

func text(cells []cell) string {
	var b strings.Builder
	for _, c := range cells {
		switch {
		case c.wide:
		case c.r == 0:
			b.WriteByte(' ')
		default:
			b.WriteRune(c.r)
			if c.mark != 0 {
				b.WriteRune(c.mark)
			}
		}
	}
	return b.String()
}

// Resize changes the size. Text is kept where it fits; the rows at the cursor
// stay.
func (t *Terminal) Resize(cols, rows int) {
	cols, rows = clamp(cols, minCols, MaxCols), clamp(rows, minRows, MaxRows)
	if cols == t.cols && rows == t.rows {
		return
	}
	if drop := t.y - rows + 1; drop > 0 { // the cursor stays on the screen
		t.lines = t.lines[drop:]
		t.top += int64(drop)
		t.y -= drop
	}
	t.lines = refit(t.lines, cols, rows)
	if t.main != nil {
		t.main = refit(t.main, cols, rows)
		t.mx, t.my = min(t.mx, cols-1), min(t.my, rows-1)
	}
	t.cols, t.rows = cols, rows
	t.x, t.y = min(t.x, cols-1), min(t.y, rows-1)
	t.sx, t.sy = min(t.sx, cols-1), min(t.sy, rows-1)
	t.from, t.to, t.pending = 0, rows, false
}

func refit(ls []line, cols, rows int) []line {
	fitted := blank(cols, rows)
	for i := range min(rows, len(ls)) {
		copy(fitted[i].cells, ls[i].cells)
		fitted[i].wrapped = ls[i].wrapped && len(ls[i].cells) == cols
	}
	return fitted
}

// put writes one rune at the cursor.
func (t *Terminal) put(r rune) {
	w := runewidth.RuneWidth(r)
	if w == 0 {
		t.combine(r)
		return
	}
	if t.pending || t.x+w > t.cols {
		if t.noWrap {
			t.x = t.cols - w
		} else {
			t.lines[t.y].wrapped = true
			t.x = 0
			t.lineFeed()
		}
		t.pending = false
	}
	row := t.lines[t.y].cells
	t.split(row, t.x)
	t.split(row, t.x+w)
	row[t.x] = cell{r: r}
	if w == 2 {
		row[t.x+1] = cell{wide: true}
	}
	t.x += w
	t.last = r
	if t.x >= t.cols {
		t.x, t.pending = t.cols-1, true
	}
}

// split clears a wide rune that a write at column x would cut in half.
func (t *Terminal) split(row []cell, x int) {
	if x > 0 && x < len(row) && row[x].wide {
		row[x], row[x-1] = cell{}, cell{}
	}
}

func (t *Terminal) combine(r rune) {
	x := t.x - 1
	if t.pending {
		x = t.x
	}
	row := t.lines[t.y].cells
	if x > 0 && row[x].wide {
		x--
	}
	if x >= 0 && row[x].r != 0 && row[x].mark == 0 {
		row[x].mark = r
	}
}

func (t *Terminal) lineFeed() {
	t.pending = false
	if t.y == t.to-1 {
		t.scroll(t.from, t.to, 1)
	} else if t.y < t.rows-1 {
		t.y++
	}
}

// scroll moves the rows from..to up by n (down where n is negative) and clears
// what comes free. Rows that leave the whole main screen count on.
func (t *Terminal) scroll(from, to, n int) {
	size := to - from
	n = clamp(n, -size, size)
	if n == 0 || size <= 0 {
		return
	}
	region := t.lines[from:to]
	if n == 1 { // what nearly every scroll is
		first := region[0]
		copy(region, region[1:])
		region[size-1] = first
		clearLines(region[size-1:])
		if from == 0 && !t.alternate {
			t.top++
		}
		return
	}
	moved := t.scratch[:0]
	if n > 0 {
		moved = append(append(moved, region[n:]...), region[:n]...) // at most one screen
		clearLines(moved[size-n:])
		if from == 0 && !t.alternate {
			t.top += int64(n)
		}
	} else {
		moved = append(append(moved, region[size+n:]...), region[:size+n]...)
		clearLines(moved[:-n])
	}
	copy(region, moved)
	t.scratch = moved
}

func clearLines(ls []line) {
	for i := range ls {
		clear(ls[i].cells)
		ls[i].wrapped = false
	}
}

// setAlternate switches between the two screens.
func (t *Terminal) setAlternate(on bool) {
	if on == t.alternate {
		return
	}
	if on {
		t.main, t.mx, t.my = t.lines, t.x, t.y
		t.lines = blank(t.cols, t.rows)
	} else {
		t.lines, t.x, t.y = t.main, t.mx, t.my
		t.main = nil
	}
	t.alternate, t.pending = on, false
	t.from, t.to = 0, t.rows
}
