package proxy

import (
	"net"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// handshakeConn acknowledges at once while a handshake runs. OpenSSH leaves
// Nagle's algorithm on until a session is interactive, so a delayed
// acknowledgement costs 40 ms in each of its round trips.
//
// TCP_QUICKACK is not sticky (tcp(7)), so it is set again after each read.
type handshakeConn struct {
	net.Conn
	vital
	raw   syscall.RawConn // nil where there is no socket below
	done  atomic.Bool
	reads int // so far; by the one who reads
}

// enoughReads is how many reads a handshake and the beginning of a session may
// take: a transfer need not pay for what no longer helps it.
const enoughReads = 256

func newHandshakeConn(c net.Conn) *handshakeConn {
	h := &handshakeConn{Conn: c}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			h.raw = raw
			h.quickack()
		}
	}
	return h
}

// finished ends the special treatment.
func (h *handshakeConn) finished() { h.done.Store(true) }

func (h *handshakeConn) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	if n > 0 {
		h.sign()
	}
	if err == nil && h.raw != nil && h.reads < enoughReads && !h.done.Load() {
		h.reads++
		h.quickack()
	}
	return n, err
}

// quickack asks for an acknowledgement now. It is an optimisation: a kernel
// that refuses it is merely slower.
func (h *handshakeConn) quickack() {
	_ = h.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}
