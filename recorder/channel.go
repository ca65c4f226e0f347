package recorder

import (
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"sallyport"
	"sallyport/recorder/cast"
)

// DefaultContentCap bounds the content kept of each stream of a channel
// without a terminal, in bytes.
const DefaultContentCap = 16 << 20

// maxPiece bounds one event, in bytes before escaping, and with it the lines of
// a cast and the memory for one of them.
const maxPiece = 64 << 10

// ChannelInfo describes a channel at its start.
type ChannelInfo struct {
	Name          string // unique in the session, a valid name: "0", "1"
	Kind          sallyport.Channel
	Command       string // of an exec or a subsystem
	Term          string
	Width, Height int // of the terminal, in characters
	PTY           bool
	Env           map[string]string
	ContentCap    int64 // bytes per stream without a PTY; 0: DefaultContentCap
}

// Channel is the recording of one channel. Safe for concurrent use: the order
// of the calls is the order in the recording. A call returns after its bytes
// were handed to the operating system; with an error, they must not be
// delivered.
type Channel struct {
	s     *Session
	name  string
	pty   bool
	limit int64 // of a stream's content; negative: none
	start time.Time

	mu           sync.Mutex
	cast         *track
	raw          *track // nil until something is no text
	enc          cast.Encoder
	out, err, in stream
	masked       bool // the last input was masked
	closed       bool
	closeErr     error
}

// stream is one direction of a channel, whole.
type stream struct {
	name   string
	code   byte
	sum    digest
	bytes  int64
	stored int64
	capped bool
	tail   [4]byte // the beginning of a character, already on file as a note
	held   int     // how much of tail counts
}

func (r *Recorder) newStream(name string, code byte) stream {
	return stream{name: name, code: code, sum: newDigest(&r.bufs)}
}

// Channel starts the recording of a channel: its cast is there when Channel
// returns. The caller closes it.
func (s *Session) Channel(info ChannelInfo) (*Channel, error) {
	if !sallyport.ValidName(info.Name) {
		return nil, sallyport.Errorf(sallyport.CodeInternal, "%q is no name of a channel", info.Name)
	}
	c := &Channel{
		s: s, name: info.Name, pty: info.PTY, limit: info.ContentCap, start: s.rec.now(),
		out: s.rec.newStream(cast.StreamOut, cast.CodeOutput),
		err: s.rec.newStream(cast.StreamErr, cast.CodeOutput),
		in:  s.rec.newStream(cast.StreamIn, cast.CodeInput),
	}
	switch {
	case info.PTY:
		c.limit = -1
	case info.ContentCap == 0:
		c.limit = DefaultContentCap
	}
	c.mu.Lock() // whoever finds it in the map waits until it is whole
	defer c.mu.Unlock()
	s.mu.Lock()
	err := s.err
	switch {
	case err != nil:
	case s.sealing:
		err = errClosed
	case s.channels[info.Name] != nil:
		err = sallyport.Errorf(sallyport.CodeInternal, "there is a channel %q already", info.Name)
	default:
		s.channels[info.Name] = c
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := c.open(info); err != nil {
		c.closed, c.closeErr = true, err
		if c.cast != nil {
			c.cast.done.Store(true)
		}
		return nil, s.fail(err)
	}
	return c, nil
}

func (c *Channel) open(info ChannelInfo) (err error) {
	own, err := json.Marshal(map[string]any{
		"session": c.s.id, "channel": info.Name, "kind": info.Kind, "pty": info.PTY,
	})
	if err != nil {
		return err
	}
	title := string(info.Kind) + " " + c.s.id + "/" + info.Name
	header, err := cast.Header{
		Width: info.Width, Height: info.Height, Term: info.Term, Timestamp: c.start.Unix(),
		Title: title, Command: info.Command, Env: info.Env, Sallyport: own,
	}.Append(nil)
	if err != nil {
		return err
	}
	if c.cast, err = c.s.track(c.name + ".cast"); err != nil {
		return err
	}
	return c.cast.write(header)
}

// Output records what the target wrote to its standard output or screen.
func (c *Channel) Output(p []byte) error { return c.record(&c.out, p) }

// Stderr records what the target wrote to its standard error.
func (c *Channel) Stderr(p []byte) error { return c.record(&c.err, p) }

// Input records what the client sent and the target showed.
func (c *Channel) Input(p []byte) error { return c.record(&c.in, p) }

// InputMasked records that n bytes were typed that the target did not show.
// Neither they nor their number nor their digest are kept, and of the calls up
// to the next Input only the first leaves a trace: the rhythm of typing gives a
// password away too.
func (c *Channel) InputMasked(n int) error {
	if n <= 0 {
		return nil
	}
	return c.append(func(b []byte, at time.Duration) ([]byte, error) {
		if c.masked {
			return b, nil
		}
		c.masked = true
		b, err := c.flush(b, at, &c.in)
		b = cast.Note{Op: cast.NoteMasked}.Append(b)
		return c.enc.AppendEvent(b, at, cast.CodeInput, []byte("•")), err
	})
}

// Resize records a new size of the terminal, in characters.
func (c *Channel) Resize(w, h int) error {
	w, h = cast.Size(w, h)
	return c.event(cast.CodeResize, strconv.Itoa(w)+"x"+strconv.Itoa(h))
}

// Marker records a label: a command, an alert, a warning.
func (c *Channel) Marker(text string) error {
	return c.event(cast.CodeMarker, text[:min(len(text), maxPiece)])
}

// Exit records the exit status; of a signal it is 128+n.
func (c *Channel) Exit(code int) error { return c.event(cast.CodeExit, strconv.Itoa(code)) }

func (c *Channel) event(code byte, data string) error {
	return c.append(func(b []byte, at time.Duration) ([]byte, error) {
		return c.enc.AppendEvent(b, at, code, []byte(data)), nil
	})
}

// append writes the lines that lines makes, in one Write.
func (c *Channel) append(lines func(b []byte, at time.Duration) ([]byte, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	return c.write(lines)
}

func (c *Channel) write(lines func(b []byte, at time.Duration) ([]byte, error)) error {
	if err := c.s.Err(); err != nil {
		return err
	}
	buf := buffer(&c.s.rec.bufs)
	b, err := lines(*buf, c.s.rec.now().Sub(c.start))
	*buf = b
	if err == nil && len(b) > 0 {
		err = c.cast.writeBuffer(buf, b)
	} else {
		c.s.rec.bufs.Put(buf)
	}
	if err != nil {
		return c.s.fail(err)
	}
	return nil
}

// Close ends the channel: held bytes become final, the digests of its streams
// are noted. The files are synced and closed in the background, at the latest
// by Seal. Later calls on the channel fail; a second Close returns what the
// first did.
func (c *Channel) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.closeErr
	}
	c.closed = true
	c.closeErr = c.write(func(b []byte, at time.Duration) ([]byte, error) {
		var err error
		for _, s := range []*stream{&c.out, &c.err, &c.in} {
			if err == nil {
				b, err = c.flush(b, at, s)
			}
			if s.bytes > 0 {
				b = cast.Note{
					Op: cast.NoteSum, Stream: s.name, Bytes: s.bytes, Stored: s.stored,
					SHA256: s.sum.hex(),
				}.Append(b)
			}
		}
		return b, err
	})
	c.cast.done.Store(true)
	if c.raw != nil {
		c.raw.done.Store(true)
	}
	return c.closeErr
}

// sums is asked for when the channel is closed.
func (c *Channel) sums() []cast.StreamSum {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sums []cast.StreamSum
	for _, s := range []*stream{&c.out, &c.err, &c.in} {
		if s.bytes > 0 {
			sums = append(sums, cast.StreamSum{
				Channel: c.name, Stream: s.name, Bytes: s.bytes, Stored: s.stored,
				SHA256: s.sum.hex(),
			})
		}
	}
	return sums
}
