package term

import (
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// widths does not depend on the locale of this process.
var widths = &runewidth.Condition{StrictEmojiNeutral: true}

func width(r rune) int {
	switch {
	case r < 0x300 && r != 0xad && (r < 0x7f || r > 0x9f):
		return 1
	case r >= 0x4e00 && r <= 0x9fff, r >= 0xac00 && r <= 0xd7a3: // CJK, Hangul
		return 2
	}
	return widths.RuneWidth(r)
}

// drawings are the runes that 0x5f to 0x7e stand for in the line drawing set.
var drawings = []rune("\u00a0◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")

// put writes one rune at the cursor, and returns where.
func (t *Terminal) put(r rune) Pos {
	w := width(r)
	if w == 0 {
		return t.combine(r)
	}
	l := t.shown.line(t.y)
	if t.pending || t.x+w > t.cols {
		if t.noWrap {
			t.x = t.cols - w
		} else {
			if !t.pending && l.cells[t.x].blank() {
				l.eraseCells(t.x, t.cols)
				l.cells[t.x].style = gap
				l.used = t.cols
			}
			l.wrapped = true
			t.x = 0
			t.lineFeed()
			l = t.shown.line(t.y)
		}
		t.pending = false
	}
	if t.insert {
		l.insert(t.x, w)
	}
	l.split(t.x)
	l.split(t.x + w)
	l.cells[t.x] = cell{uint64(r), t.style}
	if w == 2 {
		l.cells[t.x+1] = cell{style: t.style | half}
	}
	at := Pos{t.top + int64(t.y), t.x}
	t.last = r
	t.forward(l, w)
	return at
}

// forward moves the cursor over what was written.
func (t *Terminal) forward(l *line, n int) {
	t.x += n
	l.used = max(l.used, t.x)
	if t.x >= t.cols {
		t.x, t.pending = t.cols-1, true
	}
}

// combine adds a mark to the rune before the cursor, also where that is at the
// end of the row above.
func (t *Terminal) combine(r rune) Pos {
	x, y := t.x-1, t.y
	switch {
	case t.pending:
		x = t.x
	case x < 0 && y > 0 && t.shown.line(y-1).wrapped:
		x, y = t.cols-1, y-1
	case x < 0:
		return t.Cursor() // there is nothing that it could be drawn with
	}
	l := t.shown.line(y)
	for x > 0 && l.cells[x].style&(half|gap) != 0 {
		x--
	}
	l.cells[x].combine(r)
	l.used = max(l.used, x+1)
	return Pos{t.top + int64(y), x}
}

// repeat is REP: it shows a rune again, at most a row of it.
func (t *Terminal) repeat(r rune, n int) {
	w := width(r)
	for n = min(n, t.cols/w); n > 0; n-- {
		t.put(r) // wraps
		l := t.shown.line(t.y)
		more := min(n-1, (t.cols-t.x)/w)
		if t.pending || more == 0 {
			continue
		}
		if t.insert {
			l.insert(t.x, more*w)
		}
		l.split(t.x)
		l.split(t.x + more*w)
		for x := t.x; x < t.x+more*w; x += w {
			l.cells[x] = cell{uint64(r), t.style}
			if w == 2 {
				l.cells[x+1] = cell{style: t.style | half}
			}
		}
		t.forward(l, more*w)
		n -= more
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

func (t *Terminal) reverseLineFeed() {
	t.pending = false
	if t.y == t.from {
		t.scroll(t.from, t.to, -1)
	} else if t.y > 0 {
		t.y--
	}
}

// scroll moves rows up, down where n is negative. Rows that leave the main screen
// at its top count on.
func (t *Terminal) scroll(from, to, n int) {
	t.shown.scroll(from, to, n, &t.scratch)
	if n > 0 && from == 0 && !t.alternate {
		t.top += int64(min(n, to))
	}
}

// shiftLines inserts n rows at the cursor, or removes -n. That is no scrolling.
func (t *Terminal) shiftLines(n int) {
	if t.y >= t.from && t.y < t.to {
		t.shown.scroll(t.y, t.to, -n, &t.scratch)
	}
}

// moveTo sets the cursor, from 0; in origin mode within the scroll region.
func (t *Terminal) moveTo(x, y int) {
	low, high := 0, t.rows-1
	if t.origin {
		low, high = t.from, t.to-1
	}
	t.x, t.y, t.pending = clamp(x, 0, t.cols-1), clamp(low+y, low, high), false
}

// moveRows moves the cursor n rows, not out of the scroll region.
func (t *Terminal) moveRows(n int) {
	low, high := 0, t.rows-1
	if t.y >= t.from {
		low = t.from
	}
	if t.y < t.to {
		high = t.to - 1
	}
	t.y, t.pending = clamp(t.y+n, low, high), false
}

// setAlternate switches between the two screens.
func (t *Terminal) setAlternate(on bool) {
	if on == t.alternate {
		return
	}
	t.alternate, t.pending = on, false
	t.shown = &t.screens[0]
	if on {
		t.mainY = t.y
		if t.screens[1].lines == nil {
			saved := t.screens[1].saved
			t.screens[1] = newScreen(t.cols, t.rows)
			t.screens[1].saved = saved
		}
		t.shown = &t.screens[1]
	}
}

func (t *Terminal) restore() {
	t.cursor = t.shown.saved
	if t.origin {
		t.y = min(t.y, t.to-1)
	}
}

// reset is RIS, and DECSTR where it is soft.
func (t *Terminal) reset(soft bool) {
	x, y := t.x, t.y
	if !soft {
		t.setAlternate(false)
		t.setBracketed(false, t.bracketed)
		t.resetTabs()
		t.shown.erase(0, t.rows)
		t.last = 0
		x, y = 0, 0
	}
	t.noWrap, t.insert = false, false
	t.from, t.to = 0, t.rows
	t.cursor = cursor{}
	t.screens[0].saved, t.screens[1].saved = cursor{}, cursor{}
	t.x, t.y = x, y
}

func (t *Terminal) setBracketed(on, count bool) {
	t.bracketed = on
	switch {
	case !count:
	case on:
		t.on++
	default:
		t.off++
	}
}

// decode returns the rune that c stands for in the set in use.
func (t *Terminal) decode(c byte) rune {
	if c >= 0x5f && t.drawing[t.shift] {
		return drawings[c-0x5f]
	}
	return rune(c)
}

// ascii shows the printable ASCII at the beginning of p, at most to the end of
// the row, and returns how much that was. It is what step does, in one go.
func (t *Terminal) ascii(p []byte) int {
	if t.pending || t.drawing[t.shift] {
		return 0
	}
	p = p[:min(len(p), t.cols-t.x)]
	n := 0
	for n < len(p) && p[n]-0x20 < 0x5f {
		n++
	}
	if n == 0 {
		return 0
	}
	l := t.shown.line(t.y)
	if t.insert {
		l.insert(t.x, n)
	}
	l.split(t.x)
	l.split(t.x + n)
	cells := l.cells[t.x:]
	for i, c := range p[:n] {
		cells[i] = cell{uint64(c), t.style}
	}
	t.last = rune(p[n-1])
	t.forward(l, n)
	return n
}

// collect adds a byte to a rune of several bytes. It returns the rune once it is
// whole, U+FFFD for what is no UTF-8, and whether c was used for it.
func (t *Terminal) collect(c byte) (r rune, whole, used bool) {
	if t.nutf > 0 && c&0xc0 != 0x80 { // cut short
		t.nutf = 0
		return utf8.RuneError, true, false
	}
	t.utf[t.nutf] = c
	t.nutf++
	if !utf8.FullRune(t.utf[:t.nutf]) && t.nutf < utf8.UTFMax {
		return 0, false, true
	}
	r, _ = utf8.DecodeRune(t.utf[:t.nutf])
	t.nutf = 0
	return r, true, true
}
