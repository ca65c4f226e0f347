package cast

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// MaxLine is the longest line that a Reader takes, in bytes.
const MaxLine = 4 << 20

// SyntaxError says which line of a cast is no line of a cast.
type SyntaxError struct {
	Line   int   // from 1
	Offset int64 // of its first byte
	Err    error
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d of the cast: %v", e.Line, e.Err) }

func (e *SyntaxError) Unwrap() error { return e.Err }

// Line is one line after the header: an event, or a comment.
type Line struct {
	At      time.Duration // since the start of the cast; of a comment, that of the event before it
	Code    byte          // 0 for a comment
	Data    string        // of an event
	Comment string        // of a comment, without "# "
}

// Reader reads a cast, line by line, in bounded memory. A last line without its
// newline was torn by a crash: it is left out, and Torn tells. Not safe for
// concurrent use; it closes nothing.
type Reader struct {
	Header Header

	r      *bufio.Reader
	line   int
	at     time.Duration
	offset int64 // behind the last good line
	torn   bool
	err    error
}

// NewReader reads the header. Its error is io.ErrUnexpectedEOF for a file that
// ends within the header, and a *SyntaxError for another one that is no cast.
func NewReader(r io.Reader) (*Reader, error) {
	cr := &Reader{r: bufio.NewReaderSize(r, 64<<10)}
	line, err := cr.readLine()
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	if cr.Header, err = parseHeader(line); err != nil {
		return nil, &SyntaxError{Line: 1, Err: err}
	}
	cr.offset = int64(len(line)) + 1
	return cr, nil
}

// Torn reports whether the cast ended within a line.
func (r *Reader) Torn() bool { return r.torn }

// Offset is the size of the good part: everything up to and including the last
// line that Next returned.
func (r *Reader) Offset() int64 { return r.offset }

// Next returns the next line, io.EOF at the end, and a *SyntaxError for a line
// that is none. After an error it returns that error again.
func (r *Reader) Next() (Line, error) {
	if r.err != nil {
		return Line{}, r.err
	}
	for {
		line, err := r.readLine()
		if err != nil {
			r.err = err
			return Line{}, err
		}
		if text := bytes.TrimSpace(line); len(text) == 0 {
			r.offset += int64(len(line)) + 1
			continue
		}
		l, err := r.parse(line)
		if err != nil {
			r.err = &SyntaxError{Line: r.line, Offset: r.offset, Err: err}
			return Line{}, r.err
		}
		r.offset += int64(len(line)) + 1
		return l, nil
	}
}

// readLine returns a line without its newline.
func (r *Reader) readLine() ([]byte, error) {
	r.line++
	var long []byte
	for {
		part, err := r.r.ReadSlice('\n')
		if len(long)+len(part) > MaxLine {
			return nil, &SyntaxError{Line: r.line, Offset: r.offset, Err: fmt.Errorf("longer than %d bytes", MaxLine)}
		}
		switch {
		case err == nil && long == nil:
			return part[:len(part)-1], nil
		case err == nil:
			long = append(long, part...)
			return long[:len(long)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, part...)
		case errors.Is(err, io.EOF):
			r.torn = len(long)+len(part) > 0
			return nil, io.EOF
		default:
			return nil, err
		}
	}
}

var (
	errNoEvent  = errors.New("neither an event nor a comment")
	errInterval = errors.New("the interval is no number of seconds")
)

// maxInterval bounds one interval, in seconds: a century.
const maxInterval = 100 * 366 * 24 * 3600

func (r *Reader) parse(line []byte) (Line, error) {
	if line[0] == '#' {
		text := bytes.TrimPrefix(line[1:], []byte{' '})
		return Line{At: r.at, Comment: string(text)}, nil
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(line, &parts); err != nil || len(parts) != 3 {
		return Line{}, errNoEvent
	}
	var seconds float64
	if err := json.Unmarshal(parts[0], &seconds); err != nil || seconds < 0 || seconds > maxInterval {
		return Line{}, errInterval
	}
	at := r.at + time.Duration(math.Round(seconds*1e6))*time.Microsecond
	if at < r.at {
		return Line{}, errInterval
	}
	var code string
	if err := json.Unmarshal(parts[1], &code); err != nil || len(code) != 1 {
		return Line{}, errors.New("the code is not one character")
	}
	var data string
	if err := json.Unmarshal(parts[2], &data); err != nil {
		var status int // some writers give x a bare number
		if code[0] != CodeExit || json.Unmarshal(parts[2], &status) != nil {
			return Line{}, errors.New("the data is no string")
		}
		data = strconv.Itoa(status)
	}
	r.at = at
	return Line{At: at, Code: code[0], Data: data}, nil
}
