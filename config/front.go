package config

import (
	"net/netip"

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
