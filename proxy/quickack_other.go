//go:build !linux

package proxy

import "net"

// handshakeConn is where Linux acknowledges at once; elsewhere it is the
// connection itself.
type handshakeConn struct {
	net.Conn
	vital
}

func newHandshakeConn(c net.Conn) *handshakeConn { return &handshakeConn{Conn: c} }

func (h *handshakeConn) finished() {}

func (h *handshakeConn) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	if n > 0 {
		h.sign()
	}
	return n, err
}
