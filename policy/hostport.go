package policy

import (
	"net"
	"path"
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
	if host == "" || strings.ContainsAny(host, "/\\") {
		return false
	}
	if IsLoopback(p.host) && IsLoopback(host) {
		return true
	}
	ok, err := path.Match(p.host, host)
	return err == nil && ok
}

// IsLoopback reports whether host is one of the loopback's three names.
func IsLoopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}
