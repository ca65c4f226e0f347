package cast

import (
	"encoding/binary"
	"io"
	"math/bits"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// Encoder turns events into lines. It remembers the time that was written, so
// that rounding never adds up. The zero value is ready; not safe for concurrent
// use.
type Encoder struct {
	last int64 // microseconds since the start, as written so far
}

// AppendEvent appends one event that happened at the time at since the start of
// the cast. Time never runs backwards: an earlier at counts as the latest one.
// data must be UTF-8; what is not becomes U+FFFD.
func (e *Encoder) AppendEvent(dst []byte, at time.Duration, code byte, data []byte) []byte {
	now := max(at.Round(time.Microsecond).Microseconds(), e.last)
	dst = append(dst, '[')
	dst = appendSeconds(dst, now-e.last)
	e.last = now
	dst = append(dst, ',', '"', code, '"', ',', '"')
	dst = appendEscaped(dst, data)
	return append(dst, '"', ']', '\n')
}

// Skip tells the encoder that the cast already reaches to the time at.
func (e *Encoder) Skip(at time.Duration) { e.last = max(e.last, at.Microseconds()) }

// AppendComment appends a comment line. A control character in text becomes a
// blank.
func AppendComment(dst []byte, text string) []byte {
	dst = append(dst, '#', ' ')
	for _, r := range text {
		if unicode.IsControl(r) {
			r = ' '
		}
		dst = utf8.AppendRune(dst, r)
	}
	return append(dst, '\n')
}

func appendSeconds(dst []byte, micros int64) []byte {
	dst = strconv.AppendInt(dst, micros/1e6, 10)
	frac := micros%1e6 + 1e6 // a leading 1 keeps the zeros
	at := len(dst)
	dst = strconv.AppendInt(dst, frac, 10)
	dst[at] = '.'
	return dst
}

// appendEscaped escapes by hand and copies runs: json.Marshal costs twice the
// whole recording.
func appendEscaped(dst, p []byte) []byte {
	for !utf8.Valid(p) {
		n := validPrefix(p)
		dst = append(appendValid(dst, p[:n]), "\ufffd"...)
		p = p[n+1:]
	}
	return appendValid(dst, p)
}

// validPrefix returns how many bytes at the beginning of p are UTF-8.
func validPrefix(p []byte) int {
	n := 0
	for n < len(p) {
		r, size := utf8.DecodeRune(p[n:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		n += size
	}
	return n
}

// appendValid escapes p, which is UTF-8.
func appendValid(dst, p []byte) []byte {
	for {
		n := plain(p)
		dst = append(dst, p[:n]...)
		if n == len(p) {
			return dst
		}
		switch c := p[n]; c {
		case c1Lead:
			n++
			if isC1(p[n]) {
				dst = appendControl(dst, p[n])
			} else {
				dst = append(dst, c, p[n])
			}
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = appendControl(dst, c)
		}
		p = p[n+1:]
	}
}

// The C1 controls, U+0080 to U+009F, do in a terminal what ESC and a letter do.
// In UTF-8 they are this byte and their own number.
const c1Lead = 0xc2

func isC1(second byte) bool { return second >= 0x80 && second < 0xa0 }

func appendControl(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// AppendSafe appends JSON text with those controls escaped that encoding/json
// leaves as they are: DEL, and the C1 controls, which would steer the terminal
// of whoever looks at the file. What the text means stays the same.
func AppendSafe(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == 0x7f:
			dst = appendControl(dst, c)
		case c == c1Lead && i+1 < len(text) && isC1(text[i+1]):
			i++
			dst = appendControl(dst, text[i])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// plain returns how many bytes at the beginning of p surely need no escape. It looks
// at eight at a time.
func plain(p []byte) int {
	n := 0
	for ; len(p)-n >= 8; n += 8 {
		if s := special(binary.LittleEndian.Uint64(p[n:])); s != 0 {
			return n + bits.TrailingZeros64(s)/8
		}
	}
	for ; n < len(p); n++ {
		if c := p[n]; c < 0x20 || c == '"' || c == '\\' || c == 0x7f || c == c1Lead {
			break
		}
	}
	return n
}

// special returns a word whose lowest set bit is in the first byte of w that
// may need an escape; 0 where none does. (x-1)&^x has the high bit of a byte where
// the byte is zero; a borrow can set others, but only above that one.
func special(w uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	quote, slash, del, c1 := w^ones*'"', w^ones*'\\', w^ones*0x7f, w^ones*c1Lead
	return ((w-ones*0x20)&^w | (quote-ones)&^quote | (slash-ones)&^slash | (del-ones)&^del | (c1-ones)&^c1) & high
}

// Tail returns how many bytes at the end of p may be the beginning of a
// character whose rest is still to come: 0 to 3.
func Tail(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if rest := p[len(p)-n:]; utf8.RuneStart(rest[0]) {
			if utf8.FullRune(rest) {
				return 0
			}
			return n
		}
	}
	return 0
}

// Writer writes a cast for a player: an incomplete character at the end of an
// event waits for the next event of the same code. It does one Write for each
// event. Not safe for concurrent use; it does not close what it writes to.
type Writer struct {
	w    io.Writer
	enc  Encoder
	held map[byte][]byte
	buf  []byte
}

// NewWriter writes the header to w.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	b, err := h.Append(nil)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	return &Writer{w: w, held: map[byte][]byte{}, buf: b[:0]}, nil
}

// Event writes one event, see [Encoder.AppendEvent].
func (w *Writer) Event(at time.Duration, code byte, data []byte) error {
	if held := w.held[code]; len(held) > 0 {
		data = append(held[:len(held):len(held)], data...)
	}
	cut := len(data) - Tail(data)
	w.held[code] = append([]byte(nil), data[cut:]...)
	if cut == 0 && len(data) > 0 {
		return nil
	}
	w.buf = w.enc.AppendEvent(w.buf[:0], at, code, data[:cut])
	_, err := w.w.Write(w.buf)
	return err
}

// Comment writes a comment line.
func (w *Writer) Comment(text string) error {
	w.buf = AppendComment(w.buf[:0], text)
	_, err := w.w.Write(w.buf)
	return err
}
