package front

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"

	proxyproto "github.com/pires/go-proxyproto"
)

// Why a connection ended before it said anything of SSH.
var (
	ErrNoHeader  = errors.New("a load balancer sent no PROXY header")
	errBadHeader = errors.New("a load balancer sent a malformed PROXY header")
	errNoTCP     = errors.New("a load balancer sent a PROXY header of something else than TCP")
	errSpoofed   = errors.New("a PROXY header from an address that is not in proxy_protocol")
	errNoSSH     = errors.New("what was sent is not SSH")
)

// ProxyHeader reads the PROXY header of a load balancer, before Greet, and returns
// the client's address; nil where the balancer speaks for itself, or for a client
// that it cannot name. It returns io.EOF when nothing was said at all.
func (h *Hello) ProxyHeader() (*net.TCPAddr, error) {
	if !h.readAhead(func(p []byte) bool { return headerSize(p) <= len(p) }) {
		if len(h.ahead) == 0 {
			return nil, io.EOF
		}
		return nil, ErrNoHeader
	}
	// The package reads a header lazily, in RemoteAddr too, and a v1 header only
	// where it arrives in one piece: it is given what is complete.
	whole := bytes.NewReader(h.ahead)
	r := bufio.NewReader(whole)
	header, err := proxyproto.Read(r)
	switch {
	case errors.Is(err, proxyproto.ErrNoProxyProtocol):
		return nil, ErrNoHeader
	case err != nil:
		return nil, errBadHeader
	}
	h.ahead = h.ahead[len(h.ahead)-whole.Len()-r.Buffered():]
	if len(h.ahead) == 0 {
		h.ahead = nil
	}
	if header.Command.IsLocal() {
		return nil, nil
	}
	source, ok := header.SourceAddr.(*net.TCPAddr)
	if !ok {
		return nil, errNoTCP
	}
	return source, nil
}

// maxHeaderV1 is the longest line of version 1, with its end.
const maxHeaderV1 = 107

// headerSize returns how long the PROXY header at the beginning of p is, or how
// much of p it takes to tell. What is none, or too long, is long enough.
func headerSize(p []byte) int {
	v1, v2 := proxyproto.SIGV1, proxyproto.SIGV2
	switch {
	case len(p) == 0:
		return 1
	case bytes.HasPrefix(p, v1):
		if bytes.IndexByte(p[:min(len(p), maxHeaderV1)], '\n') >= 0 {
			return len(p)
		}
		return maxHeaderV1
	case bytes.HasPrefix(p, v2):
		if len(p) < len(v2)+4 {
			return len(v2) + 4
		}
		n := binary.BigEndian.Uint16(p[len(v2)+2:])
		if n > proxyproto.MaxV2HeaderSize {
			return len(p) // to be refused
		}
		return len(v2) + 4 + int(n)
	case bytes.HasPrefix(v1, p), bytes.HasPrefix(v2, p):
		return len(p) + 1
	}
	return len(p)
}

// Identifies reports whether what was read ahead can be the identification of an
// SSH client: the first line, and not one after others, as x/crypto would take
// (RFC 4253, 4.2, allows those to the server only; OpenSSH refuses them in kex.c,
// kex_exchange_identification).
func (h *Hello) Identifies() error {
	line, _, _ := strings.Cut(string(h.ahead[:min(len(h.ahead), maxIdent)]), "\n")
	switch {
	case len(h.ahead) == 0, strings.HasPrefix(line, "SSH-"):
		return nil
	case bytes.HasPrefix(h.ahead, proxyproto.SIGV1), bytes.HasPrefix(h.ahead, proxyproto.SIGV2):
		return errSpoofed
	}
	return errNoSSH
}
