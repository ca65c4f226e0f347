package cast

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Event is what happened, exactly: an event of the cast, or a piece of the raw
// track in its place.
type Event struct {
	At     time.Duration // since the start
	Code   byte          // CodeOutput for standard error too
	Stream string        // of output and input; empty otherwise
	Data   []byte        // any bytes; valid until the next event
	Masked bool          // Data hides what was typed
}

// maxPiece bounds a piece of the raw track, so that a forged note cannot ask
// for all memory.
const maxPiece = 1 << 20

// Events returns what r has in order, with the bytes of the raw track where
// they belong; raw may be nil where there is none. The Data of all events of a
// stream that are not masked, one after another, is that stream byte for byte
// (up to its cap). A raw track that is too short yields what it has.
func Events(r *Reader, raw io.ReaderAt) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		var (
			stream string                // of the next output event; "" is StreamOut
			masked bool                  // the next event is
			held   = map[string][]byte{} // by stream
			last   time.Duration
		)
		for {
			line, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
			last = max(last, line.At)
			if line.Code != 0 {
				e := Event{At: line.At, Code: line.Code, Data: []byte(line.Data), Masked: masked}
				switch {
				case line.Code == CodeOutput && stream != "":
					e.Stream = stream
				case line.Code == CodeOutput:
					e.Stream = StreamOut
				case line.Code == CodeInput:
					e.Stream = StreamIn
				}
				if !masked {
					delete(held, e.Stream)
				}
				stream, masked = "", false
				if !yield(e, nil) {
					return
				}
				continue
			}
			n, ok := ParseNote(line.Comment)
			if !ok {
				continue
			}
			switch n.Op {
			case NoteStream:
				stream = n.Stream
			case NoteMasked:
				masked = true
			case NoteHold:
				if len(n.Hex) < 2*4 && codeOf(n.Stream) != 0 {
					held[n.Stream] = n.held()
				}
			case NoteRaw:
				e, err := n.piece(raw)
				if err != nil {
					yield(Event{}, err)
					return
				}
				delete(held, n.Stream)
				e.At = max(e.At, last)
				if len(e.Data) > 0 && !yield(e, nil) {
					return
				}
			}
		}
		for _, s := range []string{StreamOut, StreamErr, StreamIn} {
			if len(held[s]) > 0 && !yield(Event{At: last, Code: codeOf(s), Stream: s, Data: held[s]}, nil) {
				return
			}
		}
	}
}

func codeOf(stream string) byte {
	switch stream {
	case StreamOut, StreamErr:
		return CodeOutput
	case StreamIn:
		return CodeInput
	}
	return 0
}

// piece reads the bytes that a raw note speaks of.
func (n Note) piece(raw io.ReaderAt) (Event, error) {
	code := codeOf(n.Stream)
	if code == 0 || n.Offset < 0 || n.Len < 0 || n.Len > maxPiece {
		return Event{}, fmt.Errorf("a raw note of the cast makes no sense: stream %q, %d bytes at %d", n.Stream, n.Len, n.Offset)
	}
	e := Event{At: time.Duration(min(n.Micros, maxInterval*1e6)) * time.Microsecond, Code: code, Stream: n.Stream}
	if raw == nil {
		return e, nil
	}
	e.Data = make([]byte, n.Len)
	got, err := raw.ReadAt(e.Data, n.Offset)
	e.Data = e.Data[:got]
	if err != nil && !errors.Is(err, io.EOF) {
		return Event{}, fmt.Errorf("reading the raw track: %w", err)
	}
	return e, nil
}
