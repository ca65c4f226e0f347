package front

import (
	"net"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Conn acknowledges at once while a handshake runs. OpenSSH leaves
// Nagle's algorithm on until a session is interactive, so a delayed
// acknowledgement costs 40 ms in each of its round trips.
//
// TCP_QUICKACK is not sticky (tcp(7)), so it is set again after each read.
type Conn struct {
	net.Conn
	Vital
	raw   syscall.RawConn // nil where there is no socket below
	done  atomic.Bool
	reads int // so far; by the one who reads
}

// enoughReads is how many reads a handshake and the beginning of a session may
// take: a transfer need not pay for what no longer helps it.
const enoughReads = 256

// NewConn wraps a connection whose handshake begins.
func NewConn(c net.Conn) *Conn {
	h := &Conn{Conn: c}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			h.raw = raw
			h.quickack()
		}
	}
	return h
}

// Finished ends the special treatment: the handshake is over, or what comes is
// no longer of that kind.
func (h *Conn) Finished() { h.done.Store(true) }

func (h *Conn) Read(p []byte) (int, error) {
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
func (h *Conn) quickack() {
	_ = h.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}
