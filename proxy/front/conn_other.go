//go:build !linux

package front

import "net"

// Conn is where Linux acknowledges at once; elsewhere it is the
// connection itself.
type Conn struct {
	net.Conn
	Vital
}

// NewConn wraps a connection whose handshake begins.
func NewConn(c net.Conn) *Conn { return &Conn{Conn: c} }

// Finished does nothing here.
func (h *Conn) Finished() {}

func (h *Conn) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	if n > 0 {
		h.sign()
	}
	return n, err
}
