package front

import (
	"bytes"
	"net"
	"strings"
	"testing"
)

// What remains of the bytes after a header is what followed it, and an address
// is one whatever came.
func FuzzProxyHeader(f *testing.F) {
	v2 := func(command, family byte, rest string) []byte {
		b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), command, family, 0, byte(len(rest)))
		return append(b, rest...)
	}
	f.Add([]byte("PROXY TCP4 203.0.113.7 10.0.0.1 12345 22\r\nSSH-2.0-x\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\nSSH-2.0-x\r\n"))
	f.Add(append(v2(0x21, 0x11, "\xcb\x00\x71\x07\x0a\x00\x00\x01\x30\x39\x00\x16"), "SSH-2.0-x\r\n"...))
	f.Add(v2(0x20, 0, ""))
	f.Add([]byte("PROXY"))
	f.Fuzz(func(t *testing.T, says []byte) {
		a, b := net.Pipe()
		defer a.Close()
		go func() { _, _ = b.Write(says); b.Close() }()
		h := NewHello(a)
		addr, err := h.ProxyHeader()
		if err != nil {
			if addr != nil {
				t.Errorf("%v, and an address", err)
			}
			return
		}
		if !bytes.HasSuffix(says, h.ahead) && len(says) < 2048 {
			t.Errorf("%q is left of %q", h.ahead, says)
		}
		if addr != nil && strings.ContainsFunc(addr.String(), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("from %q", addr)
		}
	})
}
