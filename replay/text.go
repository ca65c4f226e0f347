package replay

import (
	"bufio"
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	"sallyport/recorder/cast"
)

// writeText writes what a channel showed as lines of text. It edits within the
// line, as a shell's user does, and begins a new one where the cursor is placed
// elsewhere: unlike a picture of the last screen this loses nothing that was
// ever shown, full-screen programs included.
func writeText(ctx context.Context, w *bufio.Writer, s *source) error {
	out, errs := &lines{w: w}, &lines{w: w}
	err := each(ctx, s, func(e cast.Event) error {
		switch e.Stream {
		case cast.StreamOut:
			return out.write(e.Data)
		case cast.StreamErr:
			return errs.write(e.Data)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := out.end(); err != nil {
		return err
	}
	return errs.end()
}

// maxText bounds a line, in characters; a longer one is broken.
const maxText = 16 << 10

// lines is a terminal of a single, endless line.
type lines struct {
	w      *bufio.Writer
	filter Filter
	row    []rune
	col    int // may be beyond the row's end
}

// write takes what the filter leaves: text and whole sequences.
func (l *lines) write(p []byte) error {
	for p = l.filter.Write(p); len(p) > 0; {
		r, n := utf8.DecodeRune(p)
		var err error
		switch {
		case r == 0x1b:
			n = sequenceLen(p)
			err = l.sequence(string(p[1:n]))
		case r == '\n', r == '\v', r == '\f':
			err = l.flush()
		case r == '\r':
			l.col = 0
		case r == '\b':
			l.col = max(l.col-1, 0)
		case r == '\t':
			l.move(l.col/8*8 + 8)
		case r >= 0x20:
			err = l.put(r)
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// sequenceLen returns the length of the escape sequence that p begins with. The
// filter writes them whole.
func sequenceLen(p []byte) int {
	isCSI := len(p) > 1 && p[1] == '['
	for i := 1; i < len(p); i++ {
		switch c := p[i]; {
		case isCSI && i == 1:
		case isCSI && c >= 0x40, !isCSI && c >= 0x30:
			return i + 1
		}
	}
	return len(p)
}

func (l *lines) put(r rune) error {
	if l.col >= maxText {
		if err := l.flush(); err != nil {
			return err
		}
	}
	for len(l.row) <= l.col {
		l.row = append(l.row, ' ')
	}
	l.row[l.col] = r
	l.col++
	return nil
}

func (l *lines) move(col int) { l.col = min(max(col, 0), maxText) }

func (l *lines) flush() error {
	text := strings.TrimRight(string(l.row), " ")
	l.row, l.col = l.row[:0], 0
	_, err := l.w.WriteString(text + "\n")
	return err
}

// end writes what is left without a newline.
func (l *lines) end() error {
	if strings.TrimRight(string(l.row), " ") == "" {
		return nil
	}
	return l.flush()
}

// elsewhere begins a new line of text, unless there is nothing on this one.
func (l *lines) elsewhere() error {
	err := l.end()
	l.row, l.col = l.row[:0], 0
	return err
}

// sequence does what a sequence, without its ESC, does to the line.
func (l *lines) sequence(s string) error {
	if s == "" {
		return nil
	}
	if s[0] != '[' {
		switch s {
		case "D", "E", "M":
			return l.elsewhere()
		}
		return nil
	}
	final, params := s[len(s)-1], s[1:len(s)-1]
	n, err := strconv.Atoi(params)
	if err != nil || n < 1 {
		n = 1
	}
	end := len(l.row)
	switch final {
	case 'C', 'a':
		l.move(l.col + n)
	case 'D':
		l.move(l.col - n)
	case 'G', '`':
		l.move(n - 1)
	case 'K':
		l.erase(params)
	case 'P': // delete characters
		if l.col < end {
			l.row = append(l.row[:l.col], l.row[min(l.col+n, end):]...)
		}
	case 'X': // erase characters
		for i := l.col; i < min(l.col+n, end); i++ {
			l.row[i] = ' '
		}
	case '@': // insert blanks
		if n = min(n, maxText-end); l.col < end && n > 0 {
			l.row = append(l.row[:l.col], append([]rune(strings.Repeat(" ", n)), l.row[l.col:]...)...)
		}
	case 'b': // REP
		if l.col > 0 && l.col <= end {
			for r := l.row[l.col-1]; n > 0; n-- {
				if err := l.put(r); err != nil {
					return err
				}
			}
		}
	case 'J':
		if params == "" || params == "0" {
			l.row = l.row[:min(l.col, end)] // as a shell does before it redraws
			return nil
		}
		return l.elsewhere()
	case 'H', 'f', 'A', 'B', 'E', 'F', 'd', 'e', 'S', 'T', 'L', 'M', 'u':
		return l.elsewhere()
	case 'h', 'l':
		if strings.HasPrefix(params, "?") && strings.HasSuffix(params, "49") { // the alternate screen
			return l.elsewhere()
		}
	}
	return nil
}

func (l *lines) erase(params string) {
	switch params {
	case "", "0":
		l.row = l.row[:min(l.col, len(l.row))]
	case "1":
		for i := range min(l.col+1, len(l.row)) {
			l.row[i] = ' '
		}
	case "2":
		l.row = l.row[:0]
	}
}
