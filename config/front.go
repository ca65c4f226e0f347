package config

import (
	"net/netip"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// proxyProtocol reads who may say for whom a connection is.
func (d *decoder) proxyProtocol(n *yaml.Node) (from []netip.Prefix) {
	d.mapping(n, "proxy_protocol",
		field{"from", false, func(n *yaml.Node) {
			d.texts(n, "from", func(n *yaml.Node, s string) {
				if p, ok := d.balancer(n, s); ok {
					from = append(from, p)
				}
			})
		}},
	)
	return from
}

func (d *decoder) balancer(n *yaml.Node, s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Is4In6():
		d.bad(n, "%q is no address of a load balancer (expected 192.0.2.1 or 10.0.0.0/8)", s)
	case p.Bits() == 0:
		d.bad(n, "%q is everybody, and everybody could choose the address under which they are seen (expected those of the load balancers only)", s)
	case p != p.Masked():
		d.bad(n, "%q has bits behind its length (expected %s, or %s)", s, p.Addr(), p.Masked())
	default:
		return p, true
	}
	return p, false
}

// maxBanner bounds the banner, in bytes: it goes to whoever connects.
const maxBanner = 8 << 10

// banner reads the text that is shown before the sign-in.
func (d *decoder) banner(n *yaml.Node) string {
	s := d.text(n)
	if len(s) > maxBanner {
		d.bad(n, "the banner has %d bytes (expected %d at most)", len(s), maxBanner)
	}
	line := 0
	for _, r := range s {
		switch {
		case r == '\n':
			line++
		case r == '\t', unicode.IsPrint(r), unicode.Is(unicode.Zs, r):
		default:
			at := *n
			if n.Style&yaml.LiteralStyle != 0 { // its first line is the one after |
				at.Line += 1 + line
			}
			d.bad(&at, "the banner holds %+q, which could steer a terminal (expected text, with line feeds and tabs)", r)
			return s
		}
	}
	return s
}

// Bounds of keepalive: more often is noise, less often lets the dead live on.
const minKeepalive, maxKeepalive = 5 * time.Second, 10 * time.Minute

func (d *decoder) keepalive(n *yaml.Node) time.Duration {
	before := len(d.errs)
	v := d.duration(n)
	if len(d.errs) == before && (v < minKeepalive || v > maxKeepalive) {
		d.bad(n, "a keepalive of %s is not useful (expected 5s to 10m)", v)
	}
	return v
}
