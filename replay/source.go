package replay

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"

	"sallyport"
	"sallyport/recorder/cast"
)

// source reads one channel of a recording in order, in bounded memory.
type source struct {
	header cast.Header
	pty    bool

	files []io.Closer
	next  func() (cast.Event, error, bool)
	stop  func()
}

// openSource opens a channel. The caller closes the source.
func (r Recording) openSource(channel string) (*source, error) {
	s := &source{stop: func() {}}
	f, err := r.open(channel + castSuffix)
	if err != nil {
		return nil, err
	}
	s.files = append(s.files, f)
	reader, err := cast.NewReader(f)
	if err != nil {
		s.close()
		return nil, damaged(channel, err)
	}
	s.header = reader.Header
	var ours struct {
		PTY *bool `json:"pty"`
	}
	if len(s.header.Sallyport) > 0 && json.Unmarshal(s.header.Sallyport, &ours) != nil {
		ours.PTY = nil
	}
	s.pty = ours.PTY == nil || *ours.PTY // a cast of another origin is of a terminal

	var raw io.ReaderAt
	switch f, err := r.open(channel + rawSuffix); {
	case err == nil:
		s.files = append(s.files, f)
		raw = f
	case !errors.Is(err, fs.ErrNotExist):
		s.close()
		return nil, err
	}
	s.next, s.stop = iter.Pull2(cast.Events(reader, raw))
	return s, nil
}

// event returns the next event, whose Data is valid until the one after, and
// io.EOF at the end.
func (s *source) event() (cast.Event, error) {
	e, err, ok := s.next()
	switch {
	case !ok:
		return e, io.EOF
	case err != nil:
		return e, damaged("", err)
	}
	return e, nil
}

func (s *source) close() {
	s.stop()
	for _, f := range s.files {
		f.Close()
	}
}

func damaged(channel string, err error) error {
	if _, ok := errors.AsType[*os.PathError](err); ok {
		return unreadable(err)
	}
	if channel != "" {
		return sallyport.Errorf(sallyport.CodeInvalid, "the recording of channel %s is damaged: %w", channel, err)
	}
	return sallyport.Errorf(sallyport.CodeInvalid, "the recording is damaged: %w", err)
}

// seconds writes a time as asciicast v2 does.
func seconds(d time.Duration) json.Number {
	b, _ := json.Marshal(d.Round(time.Microsecond).Seconds()) // a float64 that is finite
	return json.Number(b)
}
