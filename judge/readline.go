package judge

import (
	"bytes"
	"slices"
	"unicode"
	"unicode/utf8"
)

// readline returns the line that readline, with its default keys, would make
// of these from an empty line, and what it would then yank. It is one reading
// of the line among others: history, completion, undo and counts are not
// modelled.
func readline(keys, kill []byte) (line string, killed []byte) {
	e := editor{kill: kill}
	for len(keys) > 0 {
		n := 1
		killing := e.killing
		e.killing = false
		switch b := keys[0]; {
		case b == esc:
			n = sequence(keys)
			e.escape(string(keys[1:n]), killing)
		case (b == ctrlV || b == ctrlQ) && len(keys) > 1:
			_, size := utf8.DecodeRune(keys[1:])
			n += size
			e.insert(keys[1:n])
		case b < 0x20 || b == del:
			e.control(b, killing)
		default:
			_, n = utf8.DecodeRune(keys)
			e.insert(keys[:n])
		}
		keys = keys[n:]
	}
	return string(e.text), e.kill
}

// Keys of the line editor.
const (
	ctrlA = 0x01
	ctrlB = 0x02
	ctrlE = 0x05
	ctrlF = 0x06
	ctrlK = 0x0b
	ctrlQ = 0x11
	ctrlT = 0x14
	ctrlV = 0x16
	ctrlY = 0x19
)

// editor is a line and a cursor in it.
type editor struct {
	text    []byte
	at      int
	kill    []byte
	killing bool // the last key killed: the next kill adds to it
}

func (e *editor) insert(p []byte) {
	e.text = slices.Insert(e.text, e.at, p...)
	e.at += len(p)
}

// cut removes text[from:to].
func (e *editor) cut(from, to int) {
	e.text = slices.Delete(e.text, from, to)
	e.at = from
}

// take cuts into what is yanked.
func (e *editor) take(from, to int, more bool) {
	cut := slices.Clone(e.text[from:to])
	switch {
	case !more:
		e.kill = cut
	case from < e.at:
		e.kill = append(cut, e.kill...)
	default:
		e.kill = append(slices.Clip(e.kill), cut...)
	}
	e.cut(from, to)
	e.killing = true
}

func (e *editor) left() int {
	_, n := utf8.DecodeLastRune(e.text[:e.at])
	return e.at - n
}

func (e *editor) right() int {
	_, n := utf8.DecodeRune(e.text[e.at:])
	return e.at + n
}

// word returns where the word ends, or with back begins, that is of letters and
// digits.
func (e *editor) word(back bool) int {
	c := editor{text: e.text, at: e.at}
	step := c.right
	if back {
		step = c.left
	}
	for inside := false; ; {
		to := step()
		r, _ := utf8.DecodeRune(e.text[min(c.at, to):])
		letter := unicode.IsLetter(r) || unicode.IsDigit(r)
		if to == c.at || inside && !letter {
			return c.at
		}
		inside, c.at = letter, to
	}
}

func (e *editor) control(b byte, killing bool) {
	switch b {
	case ctrlA:
		e.at = 0
	case ctrlE:
		e.at = len(e.text)
	case ctrlB:
		e.at = e.left()
	case ctrlF:
		e.at = e.right()
	case ctrlD:
		e.cut(e.at, e.right())
	case backspace, del:
		e.cut(e.left(), e.at)
	case ctrlK:
		e.take(e.at, len(e.text), killing)
	case ctrlU:
		e.take(0, e.at, killing)
	case ctrlW:
		before := bytes.TrimRight(e.text[:e.at], " \t")
		e.take(bytes.LastIndexAny(before, " \t")+1, e.at, killing)
	case ctrlY:
		e.insert(e.kill[:min(len(e.kill), max(0, lineMax-len(e.text)))])
	case ctrlT:
		if e.at == len(e.text) {
			e.at = e.left()
		}
		if from, to := e.left(), e.right(); from < e.at && e.at < to {
			swapped := append(slices.Clone(e.text[e.at:to]), e.text[from:e.at]...)
			copy(e.text[from:to], swapped)
			e.at = to
		}
	}
}

func (e *editor) escape(s string, killing bool) {
	switch s {
	case "[C", "OC":
		e.at = e.right()
	case "[D", "OD":
		e.at = e.left()
	case "[H", "OH", "[1~", "[7~":
		e.at = 0
	case "[F", "OF", "[4~", "[8~":
		e.at = len(e.text)
	case "[3~":
		e.cut(e.at, e.right())
	case "f", "[1;5C", "[1;3C":
		e.at = e.word(false)
	case "b", "[1;5D", "[1;3D":
		e.at = e.word(true)
	case "d":
		e.take(e.at, e.word(false), killing)
	case string(rune(del)), string(rune(backspace)):
		e.take(e.word(true), e.at, killing)
	}
}

// cooked returns what a terminal keeps of keys that are typed while no line
// editor reads: its own erase keys have worked on all that came before them.
func cooked(keys []byte) []byte {
	var out []byte
	for i := 0; i < len(keys); i++ {
		switch b := keys[i]; b {
		case del:
			_, n := utf8.DecodeLastRune(out)
			out = out[:len(out)-n]
		case ctrlU:
			out = out[:0]
		case ctrlW:
			before := bytes.TrimRight(out, " \t")
			out = out[:bytes.LastIndexAny(before, " \t")+1]
		case ctrlV:
			out = append(out, b)
			if i++; i < len(keys) {
				out = append(out, keys[i])
			}
		default:
			out = append(out, b)
		}
	}
	return out
}
