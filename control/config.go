package control

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"sallyport"
)

// Config is what a user adds to ssh's own files to reach targets by their plain
// names, through the jump.
type Config struct {
	SSHConfig  string `json:"ssh_config"`
	KnownHosts string `json:"known_hosts"`
}

// Config returns the lines for the targets that the caller may use or ask for;
// for root on the gateway's own socket, for all.
func (c *Control) Config(caller Caller) (Config, error) {
	var v Config
	var patterns []string
	var b strings.Builder
	p := c.Policy()
	for _, t := range p.Targets() {
		accounts := t.Accounts
		if !caller.Admin {
			accounts = slices.DeleteFunc(slices.Clone(accounts), func(account string) bool {
				return len(p.Eligible(caller.User, sallyport.Access{Account: account, Target: t.Name})) == 0
			})
		}
		if len(accounts) == 0 {
			continue
		}
		names := append([]string{t.Name}, t.Aliases...)
		b.WriteString("Host " + strings.Join(names, " ") + "\n  ProxyJump " + c.gate() + "\n")
		if len(accounts) == 1 && !strings.ContainsAny(accounts[0], "%@") {
			b.WriteString("  User " + accounts[0] + "\n")
		}
		if host, _, err := net.SplitHostPort(t.Address); err == nil && !slices.Contains(patterns, host) {
			// As in the certificate of the jump; a * would be a pattern here.
			if _, err := netip.ParseAddr(host); err == nil || sallyport.ValidName(host) {
				names = append(names, host)
			}
		}
		patterns = append(patterns, names...)
	}
	if len(patterns) == 0 {
		return v, sallyport.Errorf(sallyport.CodeNotFound, "there is no access that you may ask for").
			WithHint("ask whoever runs the gateway for a role")
	}
	v.SSHConfig = b.String()
	if c.CertAuthority != nil {
		v.KnownHosts = c.CertAuthority(patterns)
	}
	return v, nil
}
