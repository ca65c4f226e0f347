package term

// style is how a cell is drawn: two colours of 24 bits with two bits for their
// kind, the attributes, and two flags for what the cell is.
type style uint64

const (
	colourBits  = 26
	colourMask  = 1<<colourBits - 1
	bgShift     = colourBits
	palette     = 1 << 24 // kinds of colour; 0 is the default
	rgb         = 2 << 24
	brightBlack = 8
)

const (
	bold style = 1 << (2*colourBits + iota)
	faint
	italic
	underline
	blink
	inverse
	hidden
	struck
	half // the right half of a wide rune
	gap  // left empty, as a wide rune did not fit
)

func (s *style) set(attributes style, on bool) {
	*s &^= attributes
	if on {
		*s |= attributes
	}
}

func (s *style) fg(colour style) { *s = *s&^colourMask | colour }

func (s *style) bg(colour style) { *s = *s&^(colourMask<<bgShift) | colour<<bgShift }

// ghost reports whether text of this style looks like a suggestion: faint, or
// grey. Where it is drawn inverse or not at all, it does not.
func (s style) ghost() bool {
	if s&(inverse|hidden) != 0 {
		return false
	}
	if s&faint != 0 {
		return true
	}
	value := int(s & (1<<24 - 1))
	switch s & colourMask &^ (1<<24 - 1) {
	case palette:
		return value == brightBlack || value >= 232 && value <= 250 || value == 59 || value == 102 || value == 145
	case rgb:
		r, g, b := value>>16, value>>8&0xff, value&0xff
		high, low := max(r, g, b), min(r, g, b)
		return high-low <= 12 && high <= 0xa0
	}
	return false
}

// graphics is SGR: the parameters of the sequence change the style.
func (t *Terminal) graphics() {
	params := t.params[:min(max(t.nparams, 1), len(t.params))]
	for i := 0; i < len(params); {
		end := i + 1
		for end < len(params) && t.colons>>end&1 != 0 {
			end++
		}
		group := params[i:end]
		switch v := group[0]; v {
		case 38, 48, 58:
			var colour style
			var ok bool
			if len(group) > 1 {
				if group[1] == 2 && len(group) > 5 { // 38:2:space:r:g:b
					copy(group[2:], group[3:])
				}
				colour, _, ok = parseColour(group[1:])
			} else {
				var n int
				colour, n, ok = parseColour(params[end:])
				end += n
			}
			if ok && v == 38 {
				t.style.fg(colour)
			} else if ok && v == 48 {
				t.style.bg(colour)
			}
		case 4:
			t.style.set(underline, len(group) == 1 || group[1] != 0)
		default:
			t.style.graphic(v)
		}
		i = end
	}
}

// parseColour reads 5;index or 2;r;g;b, and says how many parameters that took.
func parseColour(p []int) (c style, n int, ok bool) {
	switch {
	case len(p) > 1 && p[0] == 5:
		return palette | style(p[1]&0xff), 2, p[1] <= 255
	case len(p) > 3 && p[0] == 2:
		return rgb | style(p[1]&0xff<<16|p[2]&0xff<<8|p[3]&0xff), 4, max(p[1], p[2], p[3]) <= 255
	}
	return 0, len(p), false
}

func (s *style) graphic(v int) {
	switch {
	case v == 0:
		*s = 0
	case v == 1:
		s.set(bold, true)
	case v == 2:
		s.set(faint, true)
	case v == 3:
		s.set(italic, true)
	case v == 5, v == 6:
		s.set(blink, true)
	case v == 7:
		s.set(inverse, true)
	case v == 8:
		s.set(hidden, true)
	case v == 9:
		s.set(struck, true)
	case v == 21:
		s.set(underline, true) // twice
	case v == 22:
		s.set(bold|faint, false)
	case v == 23:
		s.set(italic, false)
	case v == 24:
		s.set(underline, false)
	case v == 25:
		s.set(blink, false)
	case v == 27:
		s.set(inverse, false)
	case v == 28:
		s.set(hidden, false)
	case v == 29:
		s.set(struck, false)
	case v >= 30 && v <= 37:
		s.fg(palette | style(v-30))
	case v == 39:
		s.fg(0)
	case v >= 40 && v <= 47:
		s.bg(palette | style(v-40))
	case v == 49:
		s.bg(0)
	case v >= 90 && v <= 97:
		s.fg(palette | style(v-90+8))
	case v >= 100 && v <= 107:
		s.bg(palette | style(v-100+8))
	}
}
