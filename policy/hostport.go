package policy

import (
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"sallyport"
)

// HostPort is a pattern of addresses: host:port, where * and ? match in the
// host as in a shell, and the port is a number, a range such as 8000-8099, or *.
type HostPort struct {
	host       string
	low, high  uint16
	everything bool // of the ports
	address    bool // the host is a pattern of addresses
}

// ParseHostPort reads a pattern.
func ParseHostPort(s string) (HostPort, error) {
	bad := func() (HostPort, error) {
		return HostPort{}, sallyport.Errorf(sallyport.CodeInvalid, "%q is no pattern of addresses", s).
			WithHint(`write host:port, for example "db1.internal:5432", "*.svc:443" or "127.0.0.1:8000-8099"`)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return bad()
	}
	if _, err := path.Match(host, ""); err != nil || strings.ContainsAny(host, `[]\`) {
		return bad()
	}
	p := HostPort{host: strings.ToLower(host)}
	p.address = strings.Contains(host, ":") || host[0] >= '0' && host[0] <= '9' && strings.Trim(host, "0123456789.*?") == ""
	if port == "*" {
		p.everything = true
		return p, nil
	}
	low, high, isRange := strings.Cut(port, "-")
	if !isRange {
		high = low
	}
	l, err1 := strconv.ParseUint(low, 10, 16)
	h, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil || h < l {
		return bad()
	}
	p.low, p.high = uint16(l), uint16(h)
	return p, nil
}

// Matches reports whether the address is one of the pattern's. Case and a dot
// at the end of the host do not count, and the three names of the loopback,
// localhost, 127.0.0.1 and ::1, are one.
func (p HostPort) Matches(host string, port uint32) bool {
	if port > 65535 || !p.everything && (port < uint32(p.low) || port > uint32(p.high)) {
		return false
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	// A blank ends an address for some resolvers.
	if host == "" || strings.ContainsAny(host, "/\\\x7f") || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' }) {
		return false
	}
	if IsLoopback(p.host) && IsLoopback(host) {
		return true
	}
	if _, err := netip.ParseAddr(host); err != nil && p.address {
		return false // 10.0.evil.example is nobody's 10.0.*
	}
	ok, err := path.Match(p.host, host)
	return err == nil && ok
}

// IsLoopback reports whether host is one of the loopback's three names.
func IsLoopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// locals are names of the loopback besides localhost, as systems ship them.
var locals = []string{
	"localhost", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback",
	"localhost.localdomain", "localhost4.localdomain4", "localhost6.localdomain6",
}

// IsHere reports whether host leads to the machine that connects there, in any
// spelling that a resolver takes without asking anybody: 127.0.0.2, 127.1,
// 0x7f000001, ::ffff:127.0.0.1, and 0.0.0.0, which connects to the loopback too.
func IsHere(host string) bool {
	host = Plain(host)
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsLoopback() || a.IsUnspecified()
	}
	return slices.Contains(locals, host) || strings.HasSuffix(host, ".localhost")
}

// Plain returns the one spelling of host that all its spellings have: names in
// lower case and without the dot at the end, addresses as netip writes them.
func Plain(host string) string {
	host = strings.TrimRight(strings.ToLower(host), ".")
	bare, _, _ := strings.Cut(host, "%") // the zone says by which way
	a, err := netip.ParseAddr(bare)
	if err != nil {
		if a, err = parseOld(bare); err != nil {
			return host
		}
	}
	if b := a.As16(); a.Is6() && !a.IsLoopback() && !a.IsUnspecified() && [12]byte(b[:12]) == [12]byte{} { // ::10.0.0.5
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	return a.Unmap().String()
}

// parseOld reads an IPv4 address as inet_aton does, and so getaddrinfo: one to
// four numbers, decimal, octal or hexadecimal, of which the last fills the rest.
func parseOld(s string) (netip.Addr, error) {
	parts := strings.Split(s, ".")
	last := len(parts) - 1
	if last > 3 {
		return netip.Addr{}, strconv.ErrSyntax
	}
	var all uint64
	for i, p := range parts {
		bits := 8
		if i == last {
			bits = 32 - 8*last
		}
		if strings.ContainsRune(p, '_') || strings.HasPrefix(p, "0b") || strings.HasPrefix(p, "0o") { // Go's own
			return netip.Addr{}, strconv.ErrSyntax
		}
		n, err := strconv.ParseUint(p, 0, bits)
		if err != nil {
			return netip.Addr{}, err
		}
		all = all<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(all >> 24), byte(all >> 16), byte(all >> 8), byte(all)}), nil
}
