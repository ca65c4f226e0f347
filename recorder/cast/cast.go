// Package cast reads and writes asciicast v3, the recording format of
// asciinema: one JSON header, then one JSON array per event, then nothing; each
// on its own line, so that a file can only grow and can only be torn at its end.
//
// On top of the standard it knows the notes of sallyport (see [Note]): comment
// lines that other players skip, and that keep what JSON cannot hold.
package cast

import (
	"encoding/json"
	"fmt"
)

// The codes of the events.
const (
	CodeOutput = 'o' // what the terminal showed
	CodeInput  = 'i' // what was typed
	CodeResize = 'r' // "80x24"
	CodeMarker = 'm' // a label
	CodeExit   = 'x' // the exit status, a decimal number
)

// Header is the first line of a cast.
type Header struct {
	Version   int    // 3; Append writes 3 always
	Width     int    // columns
	Height    int    // rows
	Term      string // the type of the terminal, such as xterm-256color
	Timestamp int64  // Unix seconds
	Title     string
	Command   string
	Env       map[string]string
	Sallyport json.RawMessage // our own key; nil where there is none
}

type headerJSON struct {
	Version int `json:"version"`
	Term    struct {
		Cols int    `json:"cols"`
		Rows int    `json:"rows"`
		Type string `json:"type,omitempty"`
	} `json:"term"`
	Timestamp int64             `json:"timestamp,omitempty"`
	Command   string            `json:"command,omitempty"`
	Title     string            `json:"title,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
	Sallyport json.RawMessage   `json:"sallyport,omitempty"`
}

// The size of a terminal that has none: 0x0 is not valid.
const (
	defaultCols = 80
	defaultRows = 24
	maxSide     = 10000
)

// Size returns a size that every player takes: nothing below 1 or absurdly large.
func Size(w, h int) (int, int) {
	if w <= 0 {
		w = defaultCols
	}
	if h <= 0 {
		h = defaultRows
	}
	return min(w, maxSide), min(h, maxSide)
}

// Append appends the header as a line.
func (h Header) Append(dst []byte) ([]byte, error) {
	var j headerJSON
	j.Version = 3
	j.Term.Cols, j.Term.Rows = Size(h.Width, h.Height)
	j.Term.Type = h.Term
	j.Timestamp, j.Command, j.Title, j.Env, j.Sallyport = h.Timestamp, h.Command, h.Title, h.Env, h.Sallyport
	b, err := json.Marshal(j)
	if err != nil {
		return dst, fmt.Errorf("writing the header of a cast: %w", err)
	}
	return append(AppendSafe(dst, b), '\n'), nil
}

func parseHeader(line []byte) (Header, error) {
	var j headerJSON
	if err := json.Unmarshal(line, &j); err != nil {
		return Header{}, fmt.Errorf("the header is no JSON object of a cast: %w", err)
	}
	if j.Version != 3 {
		return Header{}, fmt.Errorf("version %d of asciicast, where 3 was expected", j.Version)
	}
	w, h := Size(j.Term.Cols, j.Term.Rows)
	return Header{
		Version: 3, Width: w, Height: h, Term: j.Term.Type, Timestamp: j.Timestamp,
		Title: j.Title, Command: j.Command, Env: j.Env, Sallyport: j.Sallyport,
	}, nil
}
