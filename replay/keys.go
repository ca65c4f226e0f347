package replay

import "io"

// key is what a key press asks the player to do.
type key uint8

const (
	keyPause key = iota + 1
	keyStep
	keyBack
	keyForward
	keyFaster
	keySlower
	keyQuit
)

// keyReader turns bytes into keys; an arrow may arrive in several chunks. The
// zero value is ready.
type keyReader struct {
	state state // ground, escape or csi
	odd   bool  // the sequence has parameters: a modified arrow
}

// read returns the keys in p.
func (k *keyReader) read(p []byte) []key {
	var keys []key
	for _, c := range p {
		if pressed := k.step(c); pressed != 0 {
			keys = append(keys, pressed)
		}
	}
	return keys
}

func (k *keyReader) step(c byte) key {
	switch {
	case c == 0x1b:
		k.state, k.odd = escape, false
		return 0
	case k.state == escape && (c == '[' || c == 'O'): // O: application cursor keys
		k.state = csi
		return 0
	case k.state == csi && c >= 0x20 && c < 0x40:
		k.odd = true
		return 0
	case k.state == csi:
		k.state = ground
		switch {
		case k.odd:
		case c == 'C':
			return keyForward
		case c == 'D':
			return keyBack
		}
		if c >= 0x20 {
			return 0
		}
	}
	k.state = ground
	switch c {
	case ' ':
		return keyPause
	case '.':
		return keyStep
	case 'h':
		return keyBack
	case 'l':
		return keyForward
	case '+', '=': // = is + without shift
		return keyFaster
	case '-', '_':
		return keySlower
	case 'q', 0x03, 0x04: // also Ctrl-C, Ctrl-D
		return keyQuit
	}
	return 0
}

// readKeys sends the keys of r until it ends or done is closed, and then closes
// keys. A Read that is under way outlives done: its bytes are lost.
func readKeys(r io.Reader, keys chan<- key, done <-chan struct{}) {
	defer close(keys)
	var parser keyReader
	buf := make([]byte, 64)
	for {
		n, err := r.Read(buf)
		for _, k := range parser.read(buf[:n]) {
			select {
			case keys <- k:
			case <-done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}
