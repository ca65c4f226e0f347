package term

// arg returns a parameter, at least 1.
func (t *Terminal) arg(i int) int { return max(t.params[i], 1) }

// sequence does what a CSI asks for that ends with c.
func (t *Terminal) sequence(c byte) {
	switch {
	case t.inter == '!' && c == 'p' && t.private == 0:
		t.reset(true)
	case t.inter != 0:
	case t.private == '?' && (c == 'h' || c == 'l'):
		for i := range min(max(t.nparams, 1), maxParams) {
			t.mode(t.params[i], c == 'h')
		}
	case t.private == 0, t.private == '?' && (c == 'J' || c == 'K'):
		if !t.move(c) {
			t.edit(c)
		}
	}
}

// move is the sequences that move the cursor.
func (t *Terminal) move(c byte) bool {
	x, y := t.x, t.y
	if t.origin {
		y -= t.from
	}
	switch c {
	case 'A':
		t.moveRows(-t.arg(0))
	case 'B':
		t.moveRows(t.arg(0))
	case 'C', 'a':
		t.x, t.pending = min(x+t.arg(0), t.cols-1), false
	case 'D':
		t.x, t.pending = max(x-t.arg(0), 0), false
	case 'E':
		t.x = 0
		t.moveRows(t.arg(0))
	case 'F':
		t.x = 0
		t.moveRows(-t.arg(0))
	case 'G', '`':
		t.x, t.pending = min(t.arg(0), t.cols)-1, false
	case 'H', 'f':
		t.moveTo(t.arg(1)-1, t.arg(0)-1)
	case 'd':
		t.moveTo(x, t.arg(0)-1)
	case 'e':
		t.moveTo(x, y+t.arg(0))
	case 'I':
		t.tab(t.arg(0))
	case 'Z':
		t.tabBack(t.arg(0))
		t.pending = false
	case 's':
		t.shown.saved = t.cursor
	case 'u':
		t.restore()
	default:
		return false
	}
	return true
}

// edit is the sequences that change what is shown, and the modes.
func (t *Terminal) edit(c byte) {
	l := t.shown.line(t.y)
	switch c {
	case 'J':
		t.eraseScreen(l)
	case 'K':
		t.eraseLine(l)
	case 'L':
		t.pending = false
		t.shiftLines(t.arg(0))
	case 'M':
		t.pending = false
		t.shiftLines(-t.arg(0))
	case 'P':
		t.pending = false
		l.remove(t.x, t.arg(0))
	case '@':
		t.pending = false
		l.insert(t.x, t.arg(0))
	case 'X':
		t.pending = false
		l.eraseCells(t.x, t.x+t.arg(0))
	case 'S':
		t.scroll(t.from, t.to, t.arg(0))
	case 'T':
		if t.nparams <= 1 { // with more it is about the mouse
			t.scroll(t.from, t.to, -t.arg(0))
		}
	case 'b':
		if t.last != 0 {
			t.repeat(t.last, t.arg(0))
		}
	case 'g':
		switch t.params[0] {
		case 0:
			t.tabs[t.x/64] &^= 1 << (t.x % 64)
		case 3:
			clear(t.tabs[:])
		}
	case 'h', 'l':
		for i := range min(max(t.nparams, 1), maxParams) {
			if t.params[i] == 4 {
				t.insert = c == 'h'
			}
		}
	case 'm':
		t.graphics()
	case 'r':
		t.margins()
	}
}

// margins sets the scroll region.
func (t *Terminal) margins() {
	from, to := t.arg(0)-1, t.params[1]
	if to == 0 || to > t.rows {
		to = t.rows
	}
	if from < to-1 {
		t.from, t.to = from, to
		t.moveTo(0, 0)
	}
}

func (t *Terminal) mode(n int, on bool) {
	switch n {
	case 6:
		t.origin = on
		t.moveTo(0, 0)
	case 7:
		t.noWrap = !on
	case 47:
		t.setAlternate(on)
	case 1047:
		if t.alternate && !on {
			t.shown.erase(0, t.rows)
		}
		t.setAlternate(on)
	case 1048:
		if on {
			t.shown.saved = t.cursor
		} else {
			t.restore()
		}
	case 1049:
		if on {
			t.shown.saved = t.cursor
			t.setAlternate(true)
			t.shown.erase(0, t.rows)
		} else {
			t.setAlternate(false)
			t.restore()
		}
	case 2004:
		t.setBracketed(on, true)
	}
}

func (t *Terminal) eraseScreen(l *line) {
	switch t.params[0] {
	case 0:
		t.eraseRight(l)
		t.shown.erase(t.y+1, t.rows)
	case 1:
		l.eraseCells(0, t.x+1)
		t.shown.erase(0, t.y)
	case 2:
		t.shown.erase(0, t.rows)
	}
}

func (t *Terminal) eraseLine(l *line) {
	switch t.params[0] {
	case 0:
		t.eraseRight(l)
	case 1:
		l.eraseCells(0, t.x+1)
	case 2:
		l.erase()
	}
}

func (t *Terminal) eraseRight(l *line) {
	l.wrapped = false
	if !t.pending || t.noWrap { // else there is nothing to erase
		l.eraseCells(t.x, t.cols)
	}
}
