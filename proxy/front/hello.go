// Package front is what meets a connection before it is known who is there, and
// tells whether it still lives: the lobby, which bounds those that have not
// authenticated, the beginning of the handshake, and the heart. It knows nothing
// of grants, targets or sessions.
package front

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport/auth"
)

// Version is the gateway's software version on the wire. It begins with
// OpenSSH_ because OpenSSH sends eow@openssh.com and no-more-sessions only to
// its own kind (compat.c, SSH_NEW_OPENSSH); it tells nothing else to whoever
// has not authenticated.
const Version = "OpenSSH_sallyport"

// IdentLine is what the gateway says first on every connection of a client.
const IdentLine = "SSH-2.0-" + Version + "\r\n"

// Bounds of what is read before x/crypto reads it again.
const (
	maxIdent   = 255 // RFC 4253, 4.2
	maxKexInit = 8 << 10
	// kexInitWait bounds the wait for the client's list. OpenSSH sends it as
	// soon as it has seen our line; who does not gets the whole list.
	kexInitWait = time.Second
)

// Hello begins the handshake ahead of x/crypto.
type Hello struct {
	*Conn
	said  bool   // our line was written, and x/crypto has not tried to yet
	ahead []byte // was read, and x/crypto has not read it yet
}

// NewHello wraps the connection of a client.
func NewHello(c net.Conn) *Hello { return &Hello{Conn: NewConn(c)} }

func (h *Hello) Write(p []byte) (int, error) {
	if h.said && string(p) == IdentLine {
		h.said = false
		return len(p), nil
	}
	return h.Conn.Write(p)
}

func (h *Hello) Read(p []byte) (int, error) {
	if len(h.ahead) > 0 {
		n := copy(p, h.ahead)
		if h.ahead = h.ahead[n:]; len(h.ahead) == 0 {
			h.ahead = nil
		}
		return n, nil
	}
	return h.Conn.Read(p)
}

// Greet begins the handshake of a client and returns the ciphers to offer.
//
// Among the ciphers that both sides have, the client's order decides, and
// OpenSSH from 6.2 to 9 puts AES-CTR before AES-GCM, which costs Go half as much.
// Such a client is offered GCM alone, but only after its own list, read ahead
// here, was seen to have it: who has restricted their ciphers still gets in.
// See docs/adr/0006.
//
// What is read ahead x/crypto reads again, and what was written ahead it does
// not write again; its transcript is the same. An error of reading is found
// once more by x/crypto.
func (h *Hello) Greet() []string {
	all := auth.ServerAlgorithms().Config.Ciphers
	if _, err := h.Conn.Write([]byte(IdentLine)); err != nil {
		return all
	}
	h.said = true
	if !h.readAhead(func(p []byte) bool { return len(p) >= maxIdent || bytes.IndexByte(p, '\n') >= 0 }) {
		return all
	}
	line, rest, ok := bytes.Cut(h.ahead, []byte{'\n'})
	if !ok || !prefersCTR(strings.TrimRight(string(line), "\r")) {
		return all
	}
	begin := len(h.ahead) - len(rest)
	_ = h.SetReadDeadline(time.Now().Add(kexInitWait))
	whole := h.readAhead(func(p []byte) bool {
		n, known := packetSize(p[begin:])
		return known && (n > maxKexInit || len(p)-begin >= n)
	})
	_ = h.SetReadDeadline(time.Time{})
	if gcm := auth.GCM(); whole && listsBoth(h.ahead[begin:], gcm) {
		return gcm
	}
	return all
}

// readAhead reads until enough says so. It reports whether it did.
func (h *Hello) readAhead(enough func(p []byte) bool) bool {
	for buf := make([]byte, 2048); !enough(h.ahead); {
		n, err := h.Conn.Read(buf)
		h.ahead = append(h.ahead, buf[:n]...)
		if err != nil {
			return enough(h.ahead)
		}
	}
	return true
}

// prefersCTR reports whether a client's line is that of an OpenSSH that knows
// GCM (6.2) and prefers CTR to it (before 10).
func prefersCTR(ident string) bool {
	v, ok := strings.CutPrefix(ident, "SSH-2.0-OpenSSH_")
	if !ok {
		return false
	}
	v = strings.TrimPrefix(v, "for_Windows_")
	major, minor, ok := strings.Cut(v, ".")
	if !ok {
		return false
	}
	if i := strings.IndexFunc(minor, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		minor = minor[:i]
	}
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	return err1 == nil && err2 == nil && a < 10 && (a > 6 || a == 6 && b >= 2)
}

// packetSize returns how long the unencrypted packet at the beginning of p is,
// false where p is too short to tell.
func packetSize(p []byte) (int, bool) {
	if len(p) < 4 {
		return 0, false
	}
	n := binary.BigEndian.Uint32(p)
	return 4 + int(min(n, maxKexInit)), true
}

// listsBoth reports whether p begins with a SSH_MSG_KEXINIT whose ciphers, in
// both directions, hold one of want.
func listsBoth(p []byte, want []string) bool {
	n, known := packetSize(p)
	if !known || n > len(p) || n < 6 || int(p[4])+1 > n-4 {
		return false
	}
	payload := p[5 : n-int(p[4])]
	const sshMsgKexInit = 20
	if len(payload) == 0 || payload[0] != sshMsgKexInit {
		return false
	}
	var m struct {
		Cookie                                             [16]byte `sshtype:"20"`
		Kex, HostKey, CiphersIn, CiphersOut, MACIn, MACOut []string
		CompressIn, CompressOut, LanguageIn, LanguageOut   []string
		Follows                                            bool
		Reserved                                           uint32
	}
	if err := ssh.Unmarshal(payload, &m); err != nil {
		return false
	}
	has := func(list []string) bool {
		return slices.ContainsFunc(want, func(c string) bool { return slices.Contains(list, c) })
	}
	return has(m.CiphersIn) && has(m.CiphersOut)
}
