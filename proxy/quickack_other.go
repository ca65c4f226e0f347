//go:build !linux

package proxy

import "net"

// handshakeConn is where Linux acknowledges at once; elsewhere it is the
// connection itself.
type handshakeConn struct{ net.Conn }

func newHandshakeConn(c net.Conn) *handshakeConn { return &handshakeConn{Conn: c} }

func (h *handshakeConn) finished() {}
