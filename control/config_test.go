package control_test

import (
	"strings"
	"testing"

	"sallyport"
	"sallyport/control"
	"sallyport/policy"
)

// Attack (A13): an address that known_hosts reads as a pattern, by which every
// user would trust the gateway in the name of every host.
func TestAnAddressIsNoPattern(t *testing.T) {
	var targets []sallyport.Target
	for i, host := range []string{"*", "a,*", "a?", "!a", "a\n@cert-authority", `"`, "|1|x|y", "10.0.0.5", "web.example", "[fe80::1]"} {
		targets = append(targets, sallyport.Target{Name: "t" + string(rune('0'+i)), Address: host + ":22", Accounts: []string{"root"}})
	}
	p, err := policy.New(nil, targets, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &control.Control{
		Policy: func() *policy.Policy { return p }, Name: "gate",
		CertAuthority: func(patterns []string) string { return strings.Join(patterns, " ") },
	}
	v, err := c.Config(control.Caller{Admin: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := "t0 t1 t2 t3 t4 t5 t6 t7 10.0.0.5 t8 web.example t9 fe80::1"; v.KnownHosts != want {
		t.Errorf("got %q, want %q", v.KnownHosts, want)
	}
}
