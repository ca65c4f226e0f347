// Package term is a small model of a terminal: what a screen shows after the
// bytes that were written to it. It answers nothing, blocks on nothing, and
// allocates nothing that its peer could make grow.
//
// It is xterm with UTF-8 where terminals differ: on a resize the rows are cut or
// lengthened, not filled anew; a backspace behind the last column goes to the
// column before it; the alternate screen shares the cursor and the margins. It
// departs from xterm where a reader of text fares better: erasing to the right
// behind the last column erases nothing (so do VTE and tmux), erased cells have
// no colour, ESC k is a title (so it is for tmux and screen), and a sequence that
// is broken off by a character beyond ASCII shows the character.
package term

import "math/bits"

// Bounds of a terminal's size. A cell takes 16 bytes: the largest terminal takes
// 8 MB, and 16 MB once its alternate screen was used; 80×24 takes 31 kB.
const (
	minCols, minRows = 2, 1
	MaxCols, MaxRows = 1000, 500
)

// Pos is a place that stays where it is when the screen scrolls.
type Pos struct {
	Row int64 // from the first row that ever was
	Col int
}

// cursor is what DECSC saves.
type cursor struct {
	x, y    int
	pending bool // past the last column: the next rune wraps
	origin  bool // rows count from the top of the scroll region
	style   style
	drawing [2]bool // G0, G1 is the line drawing set
	shift   int     // which of them is in use
}

func (c *cursor) clamp(cols, rows int) {
	c.x, c.y, c.pending = clamp(c.x, 0, cols-1), clamp(c.y, 0, rows-1), false
}

// Terminal is the model. It is not safe for concurrent use.
type Terminal struct {
	cursor
	cols, rows int
	screens    [2]screen // main and alternate; the latter is made when first used
	shown      *screen
	top        int64 // the absolute row of the first row of the screen
	mainY      int   // the row of the cursor when the main screen was left
	from, to   int   // the scroll region, to excluded
	tabs       [(MaxCols + 63) / 64]uint64
	last       rune // for REP
	noWrap     bool
	insert     bool
	bracketed  bool
	alternate  bool
	on, off    uint64 // how often bracketed paste was switched
	parser
	scratch [MaxRows]uint16 // of scroll
}

// New returns an empty terminal. Sizes out of bounds are clamped.
func New(cols, rows int) *Terminal {
	t := &Terminal{}
	t.cols, t.rows = clamp(cols, minCols, MaxCols), clamp(rows, minRows, MaxRows)
	t.screens[0] = newScreen(t.cols, t.rows)
	t.shown = &t.screens[0]
	t.to = t.rows
	t.resetTabs()
	return t
}

func clamp(n, low, high int) int { return max(low, min(n, high)) }

// Size returns the columns and rows.
func (t *Terminal) Size() (cols, rows int) { return t.cols, t.rows }

// Cursor returns where the next rune goes: behind the last column where it will
// wrap.
func (t *Terminal) Cursor() Pos {
	x := t.x
	if t.pending && !t.noWrap {
		x++
	}
	return Pos{t.top + int64(t.y), x}
}

// Scrolled returns the absolute row of the first row of the screen.
func (t *Terminal) Scrolled() int64 { return t.top }

// Bracketed reports whether bracketed paste (mode 2004) is on: a line editor
// waits at a prompt, or pretends to.
func (t *Terminal) Bracketed() bool { return t.bracketed }

// Events returns how often bracketed paste was switched on and off, counting
// where it was so already. A reset counts as off where it was on.
func (t *Terminal) Events() (bracketedOn, bracketedOff uint64) { return t.on, t.off }

// Alternate reports whether the alternate screen (mode 1049) is shown. It has the
// row numbers of the main screen, and does not count its scrolling.
func (t *Terminal) Alternate() bool { return t.alternate }

// Resize changes the size, within the bounds. Text is kept where it fits; the row
// of the cursor stays on the screen. The scroll region is the screen again.
func (t *Terminal) Resize(cols, rows int) {
	cols, rows = clamp(cols, minCols, MaxCols), clamp(rows, minRows, MaxRows)
	if cols == t.cols && rows == t.rows {
		return
	}
	drop := max(t.y-rows+1, 0)
	if t.alternate {
		t.screens[1] = t.screens[1].refit(cols, rows, drop)
		t.y -= drop
		drop = max(t.mainY-rows+1, 0)
		t.mainY -= drop
	} else {
		t.screens[1] = screen{saved: t.screens[1].saved}
		t.screens[1].saved.clamp(cols, rows)
		t.y -= drop
	}
	t.screens[0] = t.screens[0].refit(cols, rows, drop)
	t.top += int64(drop)
	t.cols, t.rows = cols, rows
	t.cursor.clamp(cols, rows)
	t.from, t.to = 0, rows
}

// Clone returns a copy that has nothing in common with t.
func (t *Terminal) Clone() *Terminal {
	c := *t
	c.screens = [2]screen{t.screens[0].clone(), t.screens[1].clone()}
	c.shown = &c.screens[0]
	if c.alternate {
		c.shown = &c.screens[1]
	}
	return &c
}

// Equal reports whether both look alike: the text and styles that are shown,
// where rows wrap, the cursor, the size, Scrolled and the modes.
func (t *Terminal) Equal(o *Terminal) bool {
	if t.cols != o.cols || t.rows != o.rows || t.top != o.top || t.Cursor() != o.Cursor() ||
		t.noWrap != o.noWrap || t.insert != o.insert || t.origin != o.origin ||
		t.bracketed != o.bracketed || t.alternate != o.alternate {
		return false
	}
	for y := range t.rows {
		a, b := t.shown.line(y), o.shown.line(y)
		if a.wrapped != b.wrapped {
			return false
		}
		for x := range max(a.used, b.used) {
			ca, cb := a.cells[x], b.cells[x]
			if ca != cb && (ca.style != cb.style || !ca.blank() || !cb.blank()) {
				return false
			}
		}
	}
	return true
}

func (t *Terminal) resetTabs() {
	for i := range t.tabs {
		t.tabs[i] = 0x0101010101010101
	}
}

// tab moves the cursor to the nth stop to the right, or to the last column.
func (t *Terminal) tab(n int) {
	for ; n > 0 && t.x < t.cols-1; n-- {
		x := t.x + 1
		for x < t.cols {
			if word := t.tabs[x/64] >> (x % 64); word != 0 {
				x += bits.TrailingZeros64(word)
				break
			}
			x = (x/64 + 1) * 64
		}
		t.x = min(x, t.cols-1)
	}
}

// tabBack moves it to the nth stop to the left, or to the first column.
func (t *Terminal) tabBack(n int) {
	for ; n > 0 && t.x > 0; n-- {
		x := t.x - 1
		for x >= 0 {
			if word := t.tabs[x/64] << (63 - x%64); word != 0 {
				x -= bits.LeadingZeros64(word)
				break
			}
			x = x/64*64 - 1
		}
		t.x = max(x, 0)
	}
}
