package wire

import "errors"

// Direct is the payload of a direct-tcpip channel (RFC 4254, section 7.2), and
// of a forwarded-tcpip one, where Host and Port are those that were listened on.
type Direct struct {
	Host     string
	Port     uint32
	From     string // the originator's address
	FromPort uint32
}

// What no address and no path is longer than: a name of DNS has 255 bytes, a path
// 4096. Each is written down.
const maxHost, maxPath = 255, 4096

var errLong = errors.New("wire: the address is too long")

// atMost returns errLong where s has more than n bytes.
func atMost(n int, s string, err error) error {
	if err == nil && len(s) > n {
		return errLong
	}
	return err
}

// ParseDirect reads the payload of direct-tcpip and forwarded-tcpip.
func ParseDirect(payload []byte) (Direct, error) {
	var d Direct
	err := unmarshal(payload, &d)
	return d, atMost(maxHost, d.From, atMost(maxHost, d.Host, err))
}

// Listen is the payload of tcpip-forward and its cancel (RFC 4254, section 7.1).
type Listen struct {
	Host string // empty: every address
	Port uint32 // 0: any
}

// ParseListen reads a tcpip-forward or a cancel-tcpip-forward.
func ParseListen(payload []byte) (Listen, error) {
	var l Listen
	err := unmarshal(payload, &l)
	return l, atMost(maxHost, l.Host, err)
}

// ParsePort reads the answer to a tcpip-forward with port 0.
func ParsePort(payload []byte) (uint32, error) {
	var p struct{ Port uint32 }
	return p.Port, unmarshal(payload, &p)
}

// DirectSocket is the payload of direct-streamlocal@openssh.com (OpenSSH's
// PROTOCOL, section 2.4).
type DirectSocket struct {
	Path      string
	Reserved  string
	Reserved2 uint32
}

// ParseDirectSocket reads the payload of direct-streamlocal@openssh.com.
func ParseDirectSocket(payload []byte) (DirectSocket, error) {
	var d DirectSocket
	err := unmarshal(payload, &d)
	return d, atMost(maxPath, d.Path, err)
}

// ForwardedSocket is the payload of forwarded-streamlocal@openssh.com.
type ForwardedSocket struct {
	Path     string
	Reserved string
}

// ParseForwardedSocket reads the payload of forwarded-streamlocal@openssh.com.
func ParseForwardedSocket(payload []byte) (ForwardedSocket, error) {
	var d ForwardedSocket
	err := unmarshal(payload, &d)
	return d, atMost(maxPath, d.Path, err)
}

// X11 is the payload of x11-req (RFC 4254, section 6.3.1). Its cookie is a secret.
type X11 struct {
	Single   bool
	Protocol string
	Cookie   string
	Screen   uint32
}

// ParseX11 reads an x11-req.
func ParseX11(payload []byte) (X11, error) {
	var x X11
	return x, unmarshal(payload, &x)
}

// Origin is the payload of an x11 channel (RFC 4254, section 6.3.2).
type Origin struct {
	Host string
	Port uint32
}

// ParseOrigin reads the payload of an x11 channel.
func ParseOrigin(payload []byte) (Origin, error) {
	var o Origin
	err := unmarshal(payload, &o)
	return o, atMost(maxHost, o.Host, err)
}
