// Package wire reads and writes the payloads of SSH channel requests
// (RFC 4254, section 6) and the packets of SFTP version 3
// (draft-ietf-secsh-filexfer-02, OpenSSH's PROTOCOL), as far as the gateway has
// to understand them on their way through.
//
// Parsing is strict: trailing bytes are an error, so that what was judged is
// all that is sent.
package wire

import (
	"encoding/binary"
	"errors"
	"iter"

	"golang.org/x/crypto/ssh"
)

// ErrMalformed is returned for a payload that is not what its request type says.
var ErrMalformed = errors.New("malformed request")

// Pty is the payload of pty-req (RFC 4254, section 6.2).
type Pty struct {
	Term          string
	Columns, Rows uint32 // characters
	Width, Height uint32 // pixels
	Modes         string // encoded terminal modes, passed on as they came
}

// Window is the payload of window-change (RFC 4254, section 6.7).
type Window struct {
	Columns, Rows uint32
	Width, Height uint32
}

// Env is the payload of env (RFC 4254, section 6.4).
type Env struct {
	Name, Value string
}

// ExitSignal is the payload of exit-signal (RFC 4254, section 6.10).
type ExitSignal struct {
	Signal  string // without SIG
	Core    bool
	Message string
	Lang    string
}

type text struct{ S string }

func unmarshal(payload []byte, v any) error {
	if err := ssh.Unmarshal(payload, v); err != nil {
		return ErrMalformed
	}
	return nil
}

// ParsePty reads a pty-req.
func ParsePty(payload []byte) (Pty, error) {
	var p Pty
	return p, unmarshal(payload, &p)
}

// VERASE is the terminal mode that names the erase key (RFC 4254, section 8).
const VERASE = 3

// Mode returns a mode of the terminal, if the client has named it.
func (p Pty) Mode(op byte) (value uint32, ok bool) {
	for one := range p.modes() {
		if one[0] == op {
			return binary.BigEndian.Uint32([]byte(one[1:])), true
		}
	}
	return 0, false
}

// Keep drops the modes that keep does not want.
func (p *Pty) Keep(keep func(op byte) bool) (dropped bool) {
	var kept []byte
	for one := range p.modes() {
		if keep(one[0]) {
			kept = append(kept, one...)
		} else {
			dropped = true
		}
	}
	if dropped {
		p.Modes = string(append(kept, 0)) // TTY_OP_END
	}
	return dropped
}

// modes yields the modes, five bytes each. Those from 160 on are not defined yet
// and end the list (RFC 4254, section 8).
func (p Pty) modes() iter.Seq[string] {
	return func(yield func(string) bool) {
		for m := p.Modes; len(m) >= 5 && m[0] != 0 && m[0] < 160; m = m[5:] {
			if !yield(m[:5]) {
				return
			}
		}
	}
}

// ParseWindow reads a window-change.
func ParseWindow(payload []byte) (Window, error) {
	var w Window
	return w, unmarshal(payload, &w)
}

// ParseEnv reads an env.
func ParseEnv(payload []byte) (Env, error) {
	var e Env
	return e, unmarshal(payload, &e)
}

// ParseString reads the single string of exec, subsystem and signal.
func ParseString(payload []byte) (string, error) {
	var t text
	return t.S, unmarshal(payload, &t)
}

// ParseExitStatus reads an exit-status.
func ParseExitStatus(payload []byte) (uint32, error) {
	var s struct{ Status uint32 }
	return s.Status, unmarshal(payload, &s)
}

// ParseExitSignal reads an exit-signal.
func ParseExitSignal(payload []byte) (ExitSignal, error) {
	var s ExitSignal
	return s, unmarshal(payload, &s)
}

// Marshal encodes a payload type of this package.
func Marshal(v any) []byte { return ssh.Marshal(v) }

// String encodes the payload of exec, subsystem and signal.
func String(s string) []byte { return ssh.Marshal(text{s}) }

// ExitStatus encodes the payload of exit-status.
func ExitStatus(status uint32) []byte { return ssh.Marshal(struct{ Status uint32 }{status}) }

// signals are those of RFC 4254, section 6.10, with their numbers on Linux.
var signals = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9,
	"USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15,
}

// SignalNumber returns the number of a signal by its SSH name, 0 for one that
// is not known.
func SignalNumber(name string) int { return signals[name] }
