package term

import "unicode/utf8"

// state is where the parser stands in an escape sequence.
type state uint8

const (
	ground state = iota
	escape
	escapeInter // ESC and an intermediate byte: one more byte follows
	csi
	csiIgnore // a CSI that is malformed: until its end
	osc       // until ST or BEL
	other     // DCS, APC, PM, SOS, a title of tmux: until ST
)

const (
	// maxString bounds a control string, in bytes; what is longer is text again,
	// as a terminal that waits for its end for ever would show nothing.
	maxString = 1 << 20
	// maxParams bounds the parameters of a CSI; more are dropped.
	maxParams = 32
	maxParam  = 9999
)

// parser is what was read of a sequence or a rune that is not at its end.
type parser struct {
	state       state
	params      [maxParams]int
	nparams     int
	colons      uint64 // bit i: parameter i follows a colon
	private     byte
	inter       byte
	utf         [utf8.UTFMax]byte
	nutf        int
	stringBytes int
}

// Write shows p. It never fails.
func (t *Terminal) Write(p []byte) (int, error) {
	t.WriteTraced(p, nil)
	return len(p), nil
}

// WriteTraced is Write that calls printed for each character of p that is shown:
// its n bytes at p[i], and the place where it was put. Of a character that began
// in an earlier call those are the bytes that are in this p, none if it was cut
// short before. What REP shows again is not told. printed must not use t.
func (t *Terminal) WriteTraced(p []byte, printed func(i, n int, at Pos)) {
	begun := 0 // where the rune that is being collected begins
	for i := 0; i < len(p); {
		c := p[i]
		if t.nutf > 0 || t.state == ground && c >= utf8.RuneSelf {
			r, n := rune(0), 0
			if t.nutf == 0 {
				begun = i
				r, n = utf8.DecodeRune(p[i:])
			}
			if n > 1 {
				i += n
			} else {
				var whole, used bool
				if r, whole, used = t.collect(c); used {
					i++
				}
				if !whole {
					continue
				}
			}
			if at := t.put(r); printed != nil {
				printed(begun, i-begun, at)
			}
			continue
		}
		if t.state != ground {
			if n := t.skip(p[i:]); n > 0 {
				i += n
			} else if t.step(c) {
				i++
			}
			continue
		}
		y, x := t.y, t.x
		if n := t.ascii(p[i:]); n > 0 {
			if printed != nil {
				for k := range n {
					printed(i+k, 1, Pos{t.top + int64(y), x + k})
				}
			}
			i += n
			continue
		}
		if c >= 0x20 && c < 0x7f {
			if at := t.put(t.decode(c)); printed != nil {
				printed(i, 1, at)
			}
		} else {
			t.control(c)
		}
		i++
	}
}

// skip returns how many bytes of p are the inside of a control string.
func (t *Terminal) skip(p []byte) int {
	if t.state != osc && t.state != other {
		return 0
	}
	p = p[:min(len(p), maxString-t.stringBytes)]
	n := 0
	for n < len(p) && p[n] != 0x07 && p[n] != 0x18 && p[n] != 0x1a && p[n] != 0x1b {
		n++
	}
	t.stringBytes += n
	return n
}

// step takes one byte of a sequence. It returns false where that ended the
// sequence and is text itself.
func (t *Terminal) step(c byte) bool {
	switch {
	case t.state == osc || t.state == other:
		t.inString(c)
	case c >= utf8.RuneSelf:
		t.state = ground
		return false
	case c < 0x20:
		t.control(c)
	case c == 0x7f:
	case t.state == escape:
		t.inEscape(c)
	case t.state == escapeInter:
		t.inEscapeInter(c)
	default:
		t.inCSI(c)
	}
	return true
}

// control is a control character, which works in the midst of a sequence too.
func (t *Terminal) control(c byte) {
	switch c {
	case 0x1b:
		t.state = escape
	case 0x18, 0x1a: // CAN, SUB abort a sequence
		t.state = ground
	case '\r':
		t.x, t.pending = 0, false
	case '\n', '\v', '\f':
		t.lineFeed()
	case '\b':
		t.x, t.pending = max(t.x-1, 0), false
	case '\t':
		t.tab(1)
	case 0x0e:
		t.shift = 1
	case 0x0f:
		t.shift = 0
	}
}

func (t *Terminal) inString(c byte) {
	t.stringBytes++
	switch {
	case c == 0x1b: // of ST, or a new sequence has begun
		t.state = escape
	case c == 0x18, c == 0x1a, c == 0x07 && t.state == osc, t.stringBytes > maxString:
		t.state = ground
	}
}

func (t *Terminal) inEscape(c byte) {
	t.state = ground
	switch c {
	case '[':
		t.state, t.nparams, t.colons, t.private, t.inter = csi, 0, 0, 0, 0
		clear(t.params[:])
	case ']':
		t.state, t.stringBytes = osc, 0
	case 'P', '_', '^', 'X', 'k':
		t.state, t.stringBytes = other, 0
	case '7':
		t.shown.saved = t.cursor
	case '8':
		t.restore()
	case 'D':
		t.lineFeed()
	case 'E':
		t.x = 0
		t.lineFeed()
	case 'H':
		t.tabs[t.x/64] |= 1 << (t.x % 64)
	case 'M':
		t.reverseLineFeed()
	case 'c':
		t.reset(false)
	default:
		if c <= 0x2f {
			t.state, t.inter = escapeInter, c
		}
	}
}

func (t *Terminal) inEscapeInter(c byte) {
	if c <= 0x2f {
		t.inter = 0 // of no sequence that is known here
		return
	}
	t.state = ground
	switch {
	case t.inter == '(':
		t.drawing[0] = c == '0'
	case t.inter == ')':
		t.drawing[1] = c == '0'
	case t.inter == '#' && c == '8':
		t.shown.align()
		t.from, t.to = 0, t.rows
		t.x, t.y, t.pending = 0, 0, false
	}
}

func (t *Terminal) inCSI(c byte) {
	switch {
	case c >= 0x40:
		if t.state == csi {
			t.sequence(c)
		}
		t.state = ground
	case t.state == csiIgnore:
	case c >= 0x20 && c <= 0x2f:
		t.inter = c
	case t.inter != 0, c >= '<' && (t.nparams > 0 || t.private != 0):
		t.state = csiIgnore
	case c >= '<':
		t.private = c
	case c == ';' || c == ':':
		t.nparams = min(max(t.nparams, 1)+1, maxParams+1)
		if c == ':' {
			t.colons |= 1 << (t.nparams - 1)
		}
	default:
		t.nparams = max(t.nparams, 1)
		if t.nparams <= maxParams {
			p := &t.params[t.nparams-1]
			*p = min(*p*10+int(c-'0'), maxParam)
		}
	}
}
