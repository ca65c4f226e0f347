package recorder

import (
	"bytes"
	"encoding/hex"
	"time"
	"unicode/utf8"

	"sallyport/recorder/cast"
)

// maxBad is how many runs of bytes that are no text a piece of text may hold;
// with more it is binary and goes to the raw track whole.
const maxBad = 8

// record adds p to the stream.
func (c *Channel) record(s *stream, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	if s == &c.in {
		c.masked = false
	}
	s.sum.write(p)
	s.bytes += int64(len(p))
	keep := p
	if c.limit >= 0 {
		keep = p[:min(int64(len(p)), c.limit-s.stored)]
	}
	s.stored += int64(len(keep))
	for len(keep) > 0 {
		piece := keep[:min(len(keep), maxPiece)]
		keep = keep[len(piece):]
		if err := c.write(func(b []byte, at time.Duration) ([]byte, error) {
			return c.piece(b, at, s, piece)
		}); err != nil {
			return err
		}
	}
	if s.stored == s.bytes || s.capped {
		return c.s.Err()
	}
	s.capped = true
	return c.write(func(b []byte, _ time.Duration) ([]byte, error) {
		return cast.Note{Op: cast.NoteCap, Stream: s.name, Stored: s.stored}.Append(b), nil
	})
}

// piece appends the lines for one piece: text as events, the rest as notes
// about the raw track. The lines are written after the bytes they speak of.
//
// An incomplete character at the end must reach the disk before the user like
// everything else, so it is noted at once, and comes again in its event.
func (c *Channel) piece(b []byte, at time.Duration, s *stream, p []byte) ([]byte, error) {
	if s.held > 0 {
		p = append(bytes.Clone(s.tail[:s.held]), p...)
		s.held = 0
	}
	cut := len(p) - cast.Tail(p)
	text := p[:cut]
	if c.hasNUL(p) {
		return c.rawLine(b, at, s, p)
	}
	if utf8.Valid(text) {
		if len(text) > 0 {
			b = c.textLine(b, at, s, text)
		}
		text = nil
	} else if tooBad(text) {
		return c.rawLine(b, at, s, p)
	}
	for len(text) > 0 {
		n := textRun(text)
		if n > 0 {
			b = c.textLine(b, at, s, text[:n])
		} else {
			n = badRun(text)
			var err error
			if b, err = c.rawLine(b, at, s, text[:n]); err != nil {
				return b, err
			}
		}
		text = text[n:]
	}
	if s.held = copy(s.tail[:], p[cut:]); s.held > 0 {
		b = cast.Note{Op: cast.NoteHold, Stream: s.name, Hex: hex.EncodeToString(s.tail[:s.held])}.Append(b)
	}
	return b, nil
}

// flush makes held bytes final: the rest of their character never came.
func (c *Channel) flush(b []byte, at time.Duration, s *stream) ([]byte, error) {
	if s.held == 0 {
		return b, nil
	}
	p := s.tail[:s.held]
	s.held = 0
	return c.rawLine(b, at, s, p)
}

func (c *Channel) textLine(b []byte, at time.Duration, s *stream, text []byte) []byte {
	if s == &c.err {
		b = cast.Note{Op: cast.NoteStream, Stream: s.name}.Append(b)
	}
	return c.enc.AppendEvent(b, at, s.code, text)
}

func (c *Channel) rawLine(b []byte, at time.Duration, s *stream, p []byte) ([]byte, error) {
	if c.raw == nil {
		t, err := c.s.track(c.name + ".raw")
		if err != nil {
			return b, err
		}
		c.raw = t
	}
	offset := c.raw.size
	if err := c.raw.write(p); err != nil {
		return b, err
	}
	return cast.Note{
		Op: cast.NoteRaw, Stream: s.name, Offset: offset, Len: int64(len(p)), Micros: at.Microseconds(),
	}.Append(b), nil
}

// hasNUL reports whether p holds what text never holds. On a terminal a NUL is
// padding.
func (c *Channel) hasNUL(p []byte) bool { return !c.pty && bytes.IndexByte(p, 0) >= 0 }

// tooBad reports whether text is better kept raw: escaping it would cost more
// than everything else.
func tooBad(text []byte) bool {
	for bad := 0; len(text) > 0; {
		n := textRun(text)
		if n == 0 {
			if bad++; bad > maxBad {
				return true
			}
			n = badRun(text)
		}
		text = text[n:]
	}
	return false
}

// textRun returns how many bytes at the beginning of p are UTF-8.
func textRun(p []byte) int {
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

// badRun returns how many bytes at the beginning of p are not.
func badRun(p []byte) int {
	n := 0
	for n < len(p) {
		if r, size := utf8.DecodeRune(p[n:]); r != utf8.RuneError || size > 1 {
			break
		}
		n++
	}
	return n
}
