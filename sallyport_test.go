package sallyport

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestIDIsShortAndItsSerialIsUnique(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "random")
		id, err := NewID(bytes.NewReader(raw))
		if err != nil || len(id) != IDLength || !IsIDPrefix(id) {
			t.Fatalf("NewID(%x) = %q, %v", raw, id, err)
		}
		serial, ok := IDSerial(id)
		var want uint64
		for _, b := range raw {
			want = want<<8 | uint64(b)
		}
		if !ok || serial != want>>4 {
			t.Fatalf("serial of %q = %x, %v, want %x", id, serial, ok, want>>4)
		}
	})
	if _, ok := IDSerial("abc"); ok {
		t.Error("a prefix has no serial")
	}
}

func TestParseLogin(t *testing.T) {
	targets := map[string]Target{
		"web1": {Name: "web1", Accounts: []string{"root", "svc@corp"}},
		"w":    {Name: "web1", Accounts: []string{"root", "svc@corp"}},
	}
	lookup := func(n string) (Target, bool) { t, ok := targets[n]; return t, ok }
	root := Access{"root", "web1"}
	for _, tt := range []struct {
		in      string
		want    Login
		invalid bool
	}{
		{in: "root@web1", want: Login{Access: root}},
		{in: "root+web1", want: Login{Access: root}},
		{in: "root%web1", want: Login{Access: root}},
		{in: "root@w", want: Login{Access: root}},
		{in: "alice+root+web1", want: Login{User: "alice", Access: root}},
		{in: "alice@root@web1", want: Login{User: "alice", Access: root}},
		{in: "svc@corp@web1", want: Login{Access: Access{"svc@corp", "web1"}}},
		{in: "alice+svc@corp+web1", want: Login{User: "alice", Access: Access{"svc@corp", "web1"}}},
		{in: "root@nowhere", want: Login{Access: Access{"root", "nowhere"}}},
		{in: "alice", want: Login{User: "alice"}},
		{in: "", want: Login{}},
		{in: "root:web1", invalid: true}, // never a colon: scp splits there
		{in: "@web1", invalid: true},
		{in: "root@", invalid: true},
		{in: "root\x00@web1", invalid: true},
		{in: "root @web1", invalid: true},
		{in: "+root+web1", want: Login{}, invalid: true},
		{in: string(bytes.Repeat([]byte("a"), 300)), invalid: true},
	} {
		got, err := ParseLogin(tt.in, lookup)
		if (err != nil) != tt.invalid || !tt.invalid && got != tt.want {
			t.Errorf("ParseLogin(%q) = %+v, %v, want %+v, invalid %v", tt.in, got, err, tt.want, tt.invalid)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"1h": time.Hour, "90m": 90 * time.Minute, "1h30m": 90 * time.Minute,
		"2d": 48 * time.Hour, "1d12h": 36 * time.Hour,
	} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0", "-1h", "1", "h", "d", "1x", "99999d", "0s"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", in, got)
		}
	}
}

func TestLockCoversOnlyWhatItNames(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a := Access{"root", "web1"}
	for _, tt := range []struct {
		lock Lock
		want bool
	}{
		{Lock{}, false}, // a lock that selects nothing must not lock everybody out
		{Lock{User: "alice"}, true},
		{Lock{User: "bob"}, false},
		{Lock{Target: "web1", Account: "root"}, true},
		{Lock{Target: "web1", Account: "deploy"}, false},
		{Lock{Grant: "g"}, true},
		{Lock{User: "alice", EndsAt: now}, false},
		{Lock{User: "alice", EndsAt: now.Add(1)}, true},
	} {
		if got := tt.lock.Covers("alice", a, "g", now); got != tt.want {
			t.Errorf("%+v covers: %v, want %v", tt.lock, got, tt.want)
		}
	}
}

func TestDigestBindsEveryField(t *testing.T) {
	base := Request{
		ID: "a", User: "alice", Access: Access{"root", "web1"}, Role: "r", For: time.Hour,
		Reason: "why", Ticket: "T", CreatedAt: time.Unix(1, 0),
	}
	for name, change := range map[string]func(*Request){
		"id": func(r *Request) { r.ID = "b" }, "user": func(r *Request) { r.User = "eve" },
		"account": func(r *Request) { r.Access.Account = "x" }, "target": func(r *Request) { r.Access.Target = "x" },
		"role": func(r *Request) { r.Role = "x" }, "for": func(r *Request) { r.For++ },
		"start": func(r *Request) { r.Start = time.Unix(2, 0) }, "reason": func(r *Request) { r.Reason = "x" },
		"command": func(r *Request) { r.Command = "x" }, "ticket": func(r *Request) { r.Ticket = "x" }, "created": func(r *Request) { r.CreatedAt = time.Unix(3, 0) },
	} {
		r := base
		change(&r)
		if r.Digest() == base.Digest() {
			t.Errorf("changing the %s keeps the digest", name)
		}
	}
	// Grants outlive an upgrade: what was approved before there were commands.
	if got := base.Digest(); got != "dca834adc34940870147c63db08b752f71e12ddf56b3fcc8a7d88f09032d4df7" {
		t.Errorf("the digest of a request without a command has become %s", got)
	}
}
