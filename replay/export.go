package replay

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"sallyport"
	"sallyport/recorder/cast"
)

// Format is a form in which a recording leaves the gateway.
type Format string

// The formats.
const (
	FormatCast Format = "cast" // asciicast v3, the file as it is stored
	FormatV2   Format = "v2"   // asciicast v2 for older players
	FormatText Format = "txt"  // lines of text, for reading and searching
	FormatRaw  Format = "raw"  // one stream, byte for byte
)

// ExportOptions say what to write.
type ExportOptions struct {
	Format  Format
	Channel string // empty: the first
	Stream  string // for FormatRaw: "out" (also when empty), "err" or "in"
}

// Export writes one channel of a recording to w. It stops early when ctx is
// done and closes nothing.
//
// cast and raw are evidence: exact, and so as hostile to a terminal as the
// target was: do not write raw to one, nor what is decoded from cast. v2 and
// txt are for watching and reading: their output went through [Filter]. In raw what was typed where the target
// did not echo is missing.
func Export(ctx context.Context, w io.Writer, r Recording, o ExportOptions) error {
	channel, err := r.channel(o.Channel)
	if err != nil {
		return err
	}
	if o.Format == FormatCast {
		return r.copyCast(ctx, w, channel)
	}
	write, err := writerFor(o)
	if err != nil {
		return err
	}
	s, err := r.openSource(channel)
	if err != nil {
		return err
	}
	defer s.close()
	buf := bufio.NewWriterSize(w, 64<<10)
	// Flush also what came before an error: of a damaged recording people want
	// all that there is.
	return errors.Join(write(ctx, buf, s), buf.Flush())
}

func writerFor(o ExportOptions) (func(context.Context, *bufio.Writer, *source) error, error) {
	switch o.Format {
	case FormatV2:
		return writeV2, nil
	case FormatText:
		return writeText, nil
	case FormatRaw:
		switch o.Stream {
		case "":
			o.Stream = cast.StreamOut
		case cast.StreamOut, cast.StreamErr, cast.StreamIn:
		default:
			return nil, sallyport.Errorf(sallyport.CodeUsage, "%q is no stream", clip(o.Stream, 40)).
				WithHint("the streams are out, err and in")
		}
		return rawWriter(o.Stream), nil
	}
	return nil, sallyport.Errorf(sallyport.CodeUsage, "%q is no format", clip(string(o.Format), 40)).
		WithHint("the formats are cast, v2, txt and raw")
}

func (r Recording) copyCast(ctx context.Context, w io.Writer, channel string) error {
	f, err := r.open(channel + castSuffix)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return f.Read(p)
	}))
	return err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// each calls do for every event of s.
func each(ctx context.Context, s *source, do func(cast.Event) error) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e, err := s.event()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(e); err != nil {
			return err
		}
	}
}

func rawWriter(stream string) func(context.Context, *bufio.Writer, *source) error {
	return func(ctx context.Context, w *bufio.Writer, s *source) error {
		return each(ctx, s, func(e cast.Event) error {
			if e.Stream != stream || e.Masked {
				return nil
			}
			_, err := w.Write(e.Data)
			return err
		})
	}
}

// headerV2 is the first line of asciicast v2.
type headerV2 struct {
	Version   int               `json:"version"`
	Width     int               `json:"width"`
	Height    int               `json:"height"`
	Timestamp int64             `json:"timestamp,omitempty"`
	Command   string            `json:"command,omitempty"`
	Title     string            `json:"title,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
}

// writeV2 writes asciicast v2: times since the start instead of intervals, and
// no comments and no exit status, which v2 does not know.
func writeV2(ctx context.Context, w *bufio.Writer, s *source) error {
	h := s.header
	width, height := cast.Size(h.Width, h.Height)
	env := map[string]string{}
	for k, v := range h.Env {
		env[k] = v
	}
	if h.Term != "" {
		env["TERM"] = h.Term // v3 keeps it elsewhere
	}
	line := lineWriter(w)
	err := line(headerV2{2, width, height, h.Timestamp, h.Command, h.Title, env})
	if err != nil {
		return err
	}
	filters := map[string]*Filter{cast.StreamOut: {}, cast.StreamErr: {}}
	crlf := newlines{on: !s.pty}
	return each(ctx, s, func(e cast.Event) error {
		switch e.Code {
		case cast.CodeOutput:
			e.Data = filters[e.Stream].Write(crlf.write(e.Data))
		case cast.CodeExit:
			return nil
		}
		if len(e.Data) == 0 {
			return nil
		}
		return line([]any{seconds(e.At), string(e.Code), string(e.Data)})
	})
}

// lineWriter returns what writes a value as a line of JSON without a control
// that acts: only output goes through [Filter], and a command or a label is as
// hostile.
func lineWriter(w io.Writer) func(v any) error {
	var text bytes.Buffer
	var safe []byte
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	return func(v any) error {
		text.Reset()
		if err := enc.Encode(v); err != nil {
			return err
		}
		safe = cast.AppendSafe(safe[:0], text.Bytes())
		_, err := w.Write(safe)
		return err
	}
}

// newlines turns LF into CR LF, for the output of what had no terminal.
type newlines struct {
	on bool
	cr bool // the last byte was CR
}

func (n *newlines) write(p []byte) []byte {
	if !n.on {
		return p
	}
	out := make([]byte, 0, len(p)+len(p)/16)
	for _, c := range p {
		if c == '\n' && !n.cr {
			out = append(out, '\r')
		}
		out = append(out, c)
		n.cr = c == '\r'
	}
	return out
}
