package cast

import (
	"encoding/hex"
	"encoding/json"
	"strings"
)

// The streams of a channel.
const (
	StreamOut = "out" // the target's standard output, or the screen
	StreamErr = "err" // the target's standard error
	StreamIn  = "in"  // what the client sent
)

// Note is a comment line of sallyport, "# sallyport {…}". It keeps what an
// event cannot hold. Op says which of the fields count.
type Note struct {
	Op     string `json:"op"`
	Stream string `json:"stream,omitempty"`

	// NoteRaw: Len bytes of the stream stand at Offset of the raw track; they
	// came Micros microseconds after the start of the cast.
	Offset int64 `json:"offset,omitempty"`
	Len    int64 `json:"len,omitempty"`
	Micros int64 `json:"us,omitempty"`

	// NoteHold: the stream's last bytes, in hex, are the beginning of a
	// character. They come again in the stream's next event or raw piece; at
	// the end of the file they count themselves.
	Hex string `json:"hex,omitempty"`

	// NoteSum: the whole stream, whether kept or not; NoteCap: Stored bytes are
	// kept and no more; NoteTorn: Len bytes at the end of a cast were no line.
	Bytes  int64  `json:"bytes,omitempty"`
	Stored int64  `json:"stored,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// The ops of a note.
const (
	NoteStream = "stream" // the next event belongs to Stream
	NoteMasked = "masked" // the next event hides a secret
	NoteRaw    = "raw"
	NoteHold   = "hold"
	NoteCap    = "cap"
	NoteSum    = "sum"
	NoteTorn   = "torn"
)

const notePrefix = "sallyport "

// Append appends the note as a line.
func (n Note) Append(dst []byte) []byte {
	b, err := json.Marshal(n)
	if err != nil {
		panic("cast: a note of plain fields does not marshal: " + err.Error())
	}
	dst = AppendSafe(append(dst, "# "+notePrefix...), b)
	return append(dst, '\n')
}

// ParseNote reads a comment as [Reader.Next] returns it. It returns false for
// a comment that is no note.
func ParseNote(comment string) (Note, bool) {
	s, ok := strings.CutPrefix(comment, notePrefix)
	if !ok {
		return Note{}, false
	}
	var n Note
	if err := json.Unmarshal([]byte(s), &n); err != nil {
		return Note{}, false
	}
	return n, n.Op != ""
}

func (n Note) held() []byte {
	b, err := hex.DecodeString(n.Hex)
	if err != nil {
		return nil
	}
	return b
}
