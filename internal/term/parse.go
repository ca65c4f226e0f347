package term

import "unicode/utf8"

// state is where the parser stands in an escape sequence.
type state uint8

const (
	ground state = iota
	escape
	escapeInter // ESC and an intermediate byte: one more byte follows
	csi
	osc // OSC, DCS, APC, PM, SOS: until ST or BEL
	oscEscape
)

// maxString bounds a control string, in bytes; what is longer is text again, as
// a terminal that waits for its end for ever would show nothing.
const maxString = 1 << 20

// Write shows p. It never fails.
func (t *Terminal) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := t.run(rest)
		if n == 0 {
			t.step(rest[0])
			n = 1
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// run shows the printable ASCII at the beginning of p, at most to the end of the
// row, and returns how much that was. It is what step does, in one go.
func (t *Terminal) run(p []byte) int {
	if t.state != ground || t.nutf > 0 || t.pending {
		return 0
	}
	row := t.lines[t.y].cells
	cells := row[t.x:]
	n := 0
	for n < len(p) && n < len(cells) && p[n]-0x20 < 0x5f {
		n++
	}
	if n == 0 {
		return 0
	}
	t.split(row, t.x)
	t.split(row, t.x+n)
	for i, c := range p[:n] {
		cells[i] = cell{r: rune(c)}
	}
	t.x += n
	t.last = rune(p[n-1])
	if t.x >= t.cols {
		t.x, t.pending = t.cols-1, true
	}
	return n
}

func (t *Terminal) step(c byte) {
	if t.nutf > 0 || t.state == ground && c >= 0x80 {
		t.rune(c)
		return
	}
	switch {
	case t.state == osc || t.state == oscEscape:
		t.inString(c)
	case c == 0x1b:
		t.state = escape
	case c == 0x18 || c == 0x1a: // CAN, SUB abort a sequence
		t.state = ground
	case c < 0x20:
		t.control(c)
	case t.state == ground:
		if c != 0x7f {
			t.put(rune(c))
		}
	case t.state == escape:
		t.inEscape(c)
	case t.state == escapeInter:
		t.state = ground
	default:
		t.inCSI(c)
	}
}

// rune collects a rune of several bytes; what is no UTF-8 shows as U+FFFD.
func (t *Terminal) rune(c byte) {
	if t.nutf > 0 && c&0xc0 != 0x80 { // cut short
		t.nutf = 0
		t.put(utf8.RuneError)
		t.step(c)
		return
	}
	t.utf[t.nutf] = c
	t.nutf++
	if !utf8.FullRune(t.utf[:t.nutf]) && t.nutf < utf8.UTFMax {
		return
	}
	r, _ := utf8.DecodeRune(t.utf[:t.nutf])
	t.nutf = 0
	t.put(r)
}

func (t *Terminal) control(c byte) {
	switch c {
	case '\r':
		t.x, t.pending = 0, false
	case '\n', '\v', '\f':
		t.lineFeed()
	case '\b':
		if t.pending {
			t.pending = false
		} else if t.x > 0 {
			t.x--
		}
	case '\t':
		t.x, t.pending = min((t.x/8+1)*8, t.cols-1), false
	}
}

func (t *Terminal) inString(c byte) {
	t.stringBytes++
	switch {
	case c == 0x07, c == 0x18, c == 0x1a, t.state == oscEscape && c == '\\', t.stringBytes > maxString:
		t.state = ground
	case c == 0x1b:
		t.state = oscEscape
	case t.state == oscEscape: // a new sequence has begun
		t.state = escape
		t.inEscape(c)
	}
}

func (t *Terminal) inEscape(c byte) {
	t.state = ground
	switch c {
	case '[':
		t.state, t.nparams, t.private, t.inter = csi, 0, 0, 0
		clear(t.params[:])
	case ']', 'P', '_', '^', 'X':
		t.state, t.stringBytes = osc, 0
	case '7':
		t.sx, t.sy = t.x, t.y
	case '8':
		t.x, t.y, t.pending = t.sx, t.sy, false
	case 'D':
		t.lineFeed()
	case 'E':
		t.x = 0
		t.lineFeed()
	case 'M':
		if t.pending = false; t.y == t.from {
			t.scroll(t.from, t.to, -1)
		} else if t.y > 0 {
			t.y--
		}
	case 'c':
		t.setAlternate(false)
		t.bracketed, t.noWrap = false, false
		t.from, t.to = 0, t.rows
		t.x, t.y, t.pending = 0, 0, false
		clearLines(t.lines)
	default:
		if c >= 0x20 && c <= 0x2f {
			t.state = escapeInter
		}
	}
}

func (t *Terminal) inCSI(c byte) {
	switch {
	case c >= '0' && c <= '9':
		if t.nparams == 0 {
			t.nparams = 1
		}
		i := min(t.nparams, len(t.params)) - 1
		t.params[i] = min(t.params[i]*10+int(c-'0'), 9999)
	case c == ';' || c == ':':
		t.nparams = min(max(t.nparams, 1)+1, len(t.params))
	case c >= '<' && c <= '?':
		t.private = c
	case c >= 0x20 && c <= 0x2f:
		t.inter = c
	case c >= 0x40 && c <= 0x7e:
		t.state = ground
		if t.inter == 0 {
			t.sequence(c)
		}
	default:
		t.state = ground
	}
}

// arg returns a parameter, at least 1.
func (t *Terminal) arg(i int) int { return max(t.params[i], 1) }

func (t *Terminal) sequence(c byte) {
	if t.private != 0 {
		if t.private == '?' && (c == 'h' || c == 'l') {
			for i := range max(t.nparams, 1) {
				t.mode(t.params[i], c == 'h')
			}
		}
		return
	}
	wasPending := t.pending
	t.pending = false
	switch c {
	case 'A':
		t.y = max(t.y-t.arg(0), 0)
	case 'B', 'e':
		t.y = min(t.y+t.arg(0), t.rows-1)
	case 'C', 'a':
		t.x = min(t.x+t.arg(0), t.cols-1)
	case 'D':
		t.x = max(t.x-t.arg(0), 0)
	case 'E':
		t.x, t.y = 0, min(t.y+t.arg(0), t.rows-1)
	case 'F':
		t.x, t.y = 0, max(t.y-t.arg(0), 0)
	case 'G', '`':
		t.x = min(t.arg(0), t.cols) - 1
	case 'H', 'f':
		t.y, t.x = min(t.arg(0), t.rows)-1, min(t.arg(1), t.cols)-1
	case 'd':
		t.y = min(t.arg(0), t.rows) - 1
	case 'J':
		t.eraseScreen()
	case 'K':
		t.eraseLine(wasPending)
	case 'L':
		if t.y >= t.from && t.y < t.to {
			t.scroll(t.y, t.to, -t.arg(0))
		}
	case 'M':
		if t.y >= t.from && t.y < t.to {
			t.deleteLines()
		}
	case 'P':
		t.shift(-t.arg(0))
	case '@':
		t.shift(t.arg(0))
	case 'X':
		clear(t.lines[t.y].cells[t.x:min(t.x+t.arg(0), t.cols)])
	case 'S':
		t.scroll(t.from, t.to, t.arg(0))
	case 'T':
		t.scroll(t.from, t.to, -t.arg(0))
	case 'b':
		if t.last != 0 {
			for range min(t.arg(0), t.cols) {
				t.put(t.last)
			}
		}
	case 'r':
		from, to := t.arg(0)-1, t.params[1]
		if to == 0 || to > t.rows {
			to = t.rows
		}
		if from < to-1 {
			t.from, t.to = from, to
			t.x, t.y = 0, 0
		}
	case 's':
		t.sx, t.sy = t.x, t.y
	case 'u':
		t.x, t.y = t.sx, t.sy
	default:
		t.pending = wasPending
	}
}

// deleteLines removes rows at the cursor; it does not count as scrolling.
func (t *Terminal) deleteLines() {
	top := t.top
	t.scroll(t.y, t.to, t.arg(0))
	t.top = top
}

func (t *Terminal) mode(n int, on bool) {
	switch n {
	case 7:
		t.noWrap = !on
	case 47, 1047, 1049:
		t.setAlternate(on)
	case 2004:
		t.bracketed = on
	}
}

func (t *Terminal) eraseScreen() {
	switch t.params[0] {
	case 0:
		t.eraseRight()
		clearLines(t.lines[t.y+1:])
	case 1:
		clear(t.lines[t.y].cells[:t.x+1])
		clearLines(t.lines[:t.y])
	case 2, 3:
		clearLines(t.lines)
	}
}

func (t *Terminal) eraseLine(pending bool) {
	switch t.params[0] {
	case 0:
		if pending { // past the last column there is nothing to erase
			t.pending = true
			return
		}
		t.eraseRight()
	case 1:
		clear(t.lines[t.y].cells[:t.x+1])
	case 2:
		clear(t.lines[t.y].cells)
		t.lines[t.y].wrapped = false
	}
}

func (t *Terminal) eraseRight() {
	clear(t.lines[t.y].cells[t.x:])
	t.lines[t.y].wrapped = false
}

// shift inserts n blanks at the cursor, or deletes -n cells.
func (t *Terminal) shift(n int) {
	row := t.lines[t.y].cells[t.x:]
	if n > 0 {
		n = min(n, len(row))
		copy(row[n:], row)
		clear(row[:n])
		return
	}
	n = min(-n, len(row))
	copy(row, row[n:])
	clear(row[len(row)-n:])
}
