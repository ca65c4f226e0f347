package policy_test

import (
	"testing"

	"sallyport"
	"sallyport/policy"
)

func TestHostPort(t *testing.T) {
	for _, tt := range []struct {
		pattern, host string
		port          uint32
		want          bool
	}{
		{"db1:5432", "db1", 5432, true},
		{"db1:5432", "DB1.", 5432, true},
		{"db1:5432", "db1", 5433, false},
		{"db1:5432", "db1", 5432 + 65536, false}, // ports wrap around in some parsers
		{"*.svc:443", "a.svc", 443, true},
		{"*.svc:443", "svc", 443, false},
		{"*.svc:443", "a/b.svc", 443, false},
		{"127.0.0.1:8000-8099", "127.0.0.1", 8050, true},
		{"127.0.0.1:8000-8099", "127.0.0.1", 8100, false},
		{"[::1]:*", "::1", 1, true},
		{"127.0.0.1:80", "localhost", 80, true},
		{"localhost:80", "::1", 80, true},
		{"127.0.0.1:80", "127.0.0.2", 80, false},
		{"*:80", "*", 80, true}, // every address, as -R asks for it
		{"*:*", "", 80, false},
		{"*:0", "127.0.0.1", 0, true},
		{"*:80", "127.0.0.1 x", 80, false},
		{"10.0.*:80", "10.0.0.5", 80, true},
		{"10.0.*:80", "10.0.evil.example", 80, false}, // a name that leads wherever its owner says
		{"10.0.0.?:80", "10.0.0.x", 80, false},
		{"[fd00:*]:80", "fd00::1", 80, true},
		{"[fd00:*]:80", "fd00:x.evil.example", 80, false},
		{"*1:80", "db1", 80, true},
		{"db*:80", "db1.evil.example", 80, true},
		{"*:80", "a\x00b", 80, false},
	} {
		p, err := policy.ParseHostPort(tt.pattern)
		if err != nil {
			t.Errorf("ParseHostPort(%q): %v", tt.pattern, err)
			continue
		}
		if got := p.Matches(tt.host, tt.port); got != tt.want {
			t.Errorf("%q matches %s:%d: %v", tt.pattern, tt.host, tt.port, got)
		}
	}
	for _, bad := range []string{"", "db1", "db1:", ":80", "db1:http", "db1:9-1", "db1:70000", "a[b:80", "db1:80:90"} {
		if _, err := policy.ParseHostPort(bad); err == nil {
			t.Errorf("ParseHostPort(%q) is accepted", bad)
		}
	}
}

// Attack: another spelling of an address, as inet_aton and getaddrinfo take it.
func TestPlain(t *testing.T) {
	for spelling, want := range map[string]string{
		"WEB1.": "web1", "10.0.0.5": "10.0.0.5", "10.5": "10.0.0.5", "0xa.0.5": "10.0.0.5", "012.0.0.5": "10.0.0.5",
		"167772165": "10.0.0.5", "::ffff:10.0.0.5": "10.0.0.5", "::FFFF:a00:5": "10.0.0.5", "::10.0.0.5": "10.0.0.5",
		"FE80:0::1%eth0": "fe80::1", "::": "::", "::1": "::1", "0": "0.0.0.0", "1.2.3.4.5": "1.2.3.4.5", "256": "0.0.1.0",
		"1.256.1": "1.256.1", "4294967296": "4294967296", "0b1": "0b1", "1_0": "1_0", "": "", "db1": "db1", "10.evil": "10.evil",
	} {
		if got := policy.Plain(spelling); got != want {
			t.Errorf("Plain(%q) = %q, want %q", spelling, got, want)
		}
	}
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST.": true, "x.localhost": true, "127.1": true, "127.255.0.1": true, "::ffff:127.0.0.1": true,
		"0": true, "0.0.0.0": true, "::": true, "::1%lo": true, "10.0.0.5": false, "localhost.example.org": false, "128.0.0.1": false, "": false,
	} {
		if got := policy.IsHere(host); got != want {
			t.Errorf("IsHere(%q) = %v", host, got)
		}
	}
}

func TestForwards(t *testing.T) {
	role := func(channels ...sallyport.Channel) sallyport.Role {
		return sallyport.Role{
			Name: "r", Channels: channels, Approval: sallyport.Approval{Auto: true},
		}
	}
	forwards := func(r sallyport.Role) *policy.Forwards {
		t.Helper()
		p, err := policy.New(nil, nil, []sallyport.Role{r}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p.Forwards("r")
	}
	r := role(sallyport.ChannelForwardLocal, sallyport.ChannelForwardRemote, sallyport.ChannelForwardSocket)
	r.Forwards = sallyport.ForwardRules{
		Local: []string{"db1:5432"}, Remote: []string{"127.0.0.1:8000-8001"}, Sockets: []string{"/run/pg/*"},
	}
	all := forwards(r)
	if !all.Local("db1", 5432) || all.Local("db2", 5432) || all.Local("127.0.0.1", 8000) {
		t.Error("forward-local does not follow its list")
	}
	if !all.Remote("127.0.0.1", 8001) || all.Remote("127.0.0.1", 8002) || all.Remote("", 8000) || all.Remote("db1", 5432) {
		t.Error("forward-remote does not follow its list")
	}
	for socket, want := range map[string]bool{
		"/run/pg/a": true, "/run/pg/../x": false, "/run/pg//a": false, "run/pg/a": false, "/run/pg/a\x00b": false, "/run/pg/a/b": false,
	} {
		if got := all.Socket(socket); got != want {
			t.Errorf("socket %q: %v", socket, got)
		}
	}
	for _, f := range []*policy.Forwards{forwards(role(sallyport.ChannelShell)), nil} {
		if f.Local("db1", 5432) || f.Remote("127.0.0.1", 8000) || f.Socket("/run/pg/a") {
			t.Error("a forward is allowed that no channel allows")
		}
	}
	for name, bad := range map[string]sallyport.Role{
		"a pattern without a port":    {Channels: []sallyport.Channel{"forward-local"}, Forwards: sallyport.ForwardRules{Local: []string{"db1"}}},
		"a list without its channel":  {Forwards: sallyport.ForwardRules{Local: []string{"db1:1"}}},
		"a channel without its list":  {Channels: []sallyport.Channel{"forward-socket"}},
		"a socket that is no path":    {Channels: []sallyport.Channel{"forward-socket"}, Forwards: sallyport.ForwardRules{Sockets: []string{"*"}}},
		"an IDE without exec":         {Channels: []sallyport.Channel{"ide"}},
		"a pattern of relative paths": {Files: sallyport.FileRules{Allow: []string{"srv/*"}}},
		"no direction":                {Files: sallyport.FileRules{Direction: "sideways"}},
	} {
		bad.Name, bad.Approval.Auto = "r", true
		if _, err := policy.New(nil, nil, []sallyport.Role{bad}, nil); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
