package policy

import (
	"testing"
	"time"

	"sallyport"
)

func TestWhen(t *testing.T) {
	facts := Facts{User: "bob", Groups: []string{"vendors"}, Target: "db1", Labels: map[string]string{"env": "prod", "dc": "a"}, Account: "root"}
	at := func(day int, clock string) func() time.Time { // 2 March 2026 is a Monday
		c, err := time.Parse("15:04", clock)
		if err != nil {
			t.Fatal(err)
		}
		return func() time.Time { return time.Date(2026, 3, 1+day, c.Hour(), c.Minute(), 30, 0, time.UTC) }
	}
	type cond = sallyport.CommandWhen
	for name, tt := range map[string]struct {
		when cond
		now  func() time.Time
		want bool
	}{
		"user":            {when: cond{Users: []string{"eve", "bob"}}, want: true},
		"other user":      {when: cond{Users: []string{"eve"}}},
		"group":           {when: cond{Groups: []string{"vendors"}}, want: true},
		"user or group":   {when: cond{Users: []string{"eve"}, Groups: []string{"vendors"}}, want: true},
		"label":           {when: cond{Labels: map[string]string{"env": "prod"}}, want: true},
		"all labels":      {when: cond{Labels: map[string]string{"env": "prod", "dc": "b"}}},
		"target":          {when: cond{Targets: []string{"db*"}}, want: true},
		"account":         {when: cond{Accounts: []string{"deploy"}}},
		"each kind":       {when: cond{Users: []string{"bob"}, Accounts: []string{"deploy"}}},
		"in time":         {when: cond{Time: "08:00-17:00", Zone: "UTC"}, now: at(1, "08:00"), want: true},
		"end":             {when: cond{Time: "08:00-17:00", Zone: "UTC"}, now: at(1, "17:00")},
		"early":           {when: cond{Time: "08:00-17:00", Zone: "UTC"}, now: at(1, "07:59")},
		"night":           {when: cond{Time: "22:00-06:00", Zone: "UTC"}, now: at(1, "23:10"), want: true},
		"after midnight":  {when: cond{Time: "22:00-06:00", Zone: "UTC"}, now: at(1, "05:59"), want: true},
		"day":             {when: cond{Time: "22:00-06:00", Zone: "UTC"}, now: at(1, "12:00")},
		"zone":            {when: cond{Time: "08:00-17:00", Zone: "Asia/Tokyo"}, now: at(1, "23:30"), want: true},
		"monday":          {when: cond{Days: []string{"mon"}, Zone: "UTC"}, now: at(1, "00:00"), want: true},
		"sunday":          {when: cond{Days: []string{"mon"}, Zone: "UTC"}, now: at(7, "23:59")},
		"friday's night":  {when: cond{Days: []string{"fri"}, Time: "22:00-06:00", Zone: "UTC"}, now: at(6, "03:00"), want: true},
		"friday's own":    {when: cond{Days: []string{"fri"}, Time: "22:00-06:00", Zone: "UTC"}, now: at(5, "03:00")},
		"to midnight":     {when: cond{Time: "22:00-24:00", Zone: "UTC"}, now: at(5, "23:59"), want: true},
		"past midnight":   {when: cond{Time: "22:00-24:00", Zone: "UTC"}, now: at(5, "00:00")},
		"no clock":        {when: cond{Time: "08:00-17:00", Zone: "UTC"}, want: true}, // fail closed
		"time, not bob":   {when: cond{Users: []string{"eve"}, Time: "08:00-17:00", Zone: "UTC"}},
		"time and person": {when: cond{Users: []string{"bob"}, Time: "08:00-17:00", Zone: "UTC"}, now: at(2, "09:00"), want: true},
	} {
		c := mustCompile(t, sallyport.Commands{Rules: []sallyport.CommandRule{
			{Program: "ls", Action: sallyport.Deny, When: &tt.when}, {SFTP: []string{"remove"}, Action: sallyport.Deny, When: &tt.when},
		}})
		if c.Judge("ls").Action != sallyport.Deny {
			t.Errorf("%s: without facts the rule does not hold", name)
		}
		facts.Now = tt.now
		with := c.For(facts)
		if got := with.Judge("ls").Action == sallyport.Deny; got != tt.want {
			t.Errorf("%s: holds %t", name, got)
		}
		if got := with.JudgeFile("remove", "/x").Action == sallyport.Deny; got != tt.want {
			t.Errorf("%s: of files: holds %t", name, got)
		}
		allow := mustCompile(t, sallyport.Commands{Mode: sallyport.AllowList, Rules: []sallyport.CommandRule{{Program: "ls", When: &tt.when}}})
		if allow.Judge("ls").Action == sallyport.Allow {
			t.Errorf("%s: without facts the rule allows", name)
		}
		if tt.want = tt.want && name != "no clock"; allow.For(facts).Judge("ls").Action == sallyport.Allow != tt.want {
			t.Errorf("%s: allows %t", name, !tt.want)
		}
	}
	if (*Commands)(nil).For(facts) != nil {
		t.Error("no rules become some")
	}
	for _, bad := range []cond{{}, {Time: "8-17"}, {Time: "08:00"}, {Time: "08:00-08:00"}, {Time: "24:00-08:00"}, {Time: "08:60-09:00"}, {Time: "-1:00-09:00"}, {Days: []string{"monday"}}, {Zone: "UTC"}, {Zone: "Mars/Base", Days: []string{"mon"}}, {Targets: []string{"a["}}} {
		if _, err := CompileCommands(sallyport.Commands{Rules: []sallyport.CommandRule{{Program: "ls", Action: sallyport.Deny, When: &bad}}}); err == nil || sallyport.HintOf(err) == "" {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// Attack: another spelling of the path of a file that shall not be written, as
// SFTP servers take it.
func TestJudgeFile(t *testing.T) {
	c := mustCompile(t, sallyport.Commands{Rules: []sallyport.CommandRule{
		{SFTP: []string{"remove", "rmdir"}, Action: sallyport.Deny},
		{SFTP: []string{"write", "rename", "symlink"}, Paths: []string{"~/.ssh/*", "~/.bashrc", "/etc/cron*/**", "**.key"}, Action: sallyport.Terminate},
		{SFTP: []string{"read"}, Paths: []string{"/etc/shadow"}, Action: sallyport.Alert},
	}})
	for _, tt := range []struct {
		home, op string
		paths    []string
		want     sallyport.Action
	}{
		{"", "remove", []string{"/x"}, sallyport.Deny},
		{"", "rmdir", []string{"x"}, sallyport.Deny},
		{"", "write", []string{"/x"}, sallyport.Allow},
		{"", "write", []string{".bashrc"}, sallyport.Terminate},
		{"", "write", []string{"./x/../.bashrc"}, sallyport.Terminate},
		{"", "write", []string{"~/.bashrc"}, sallyport.Terminate},
		{"", "write", []string{"/root/.bashrc"}, sallyport.Terminate},
		{"", "write", []string{"/home/bob/.ssh/authorized_keys"}, sallyport.Terminate},
		{"/data/bob", "write", []string{"/data/bob/.ssh/authorized_keys"}, sallyport.Terminate},
		{"/data/bob/", "write", []string{"/data/bob//.ssh/./authorized_keys"}, sallyport.Terminate},
		{"/data/bob", "write", []string{".ssh/authorized_keys"}, sallyport.Terminate},
		{"/data/bob", "write", []string{"/data/bobby/.bashrc"}, sallyport.Allow},
		{"/etc/cron.d", "write", []string{"x"}, sallyport.Terminate},
		{"", "write", []string{"/etc/cron.d/x"}, sallyport.Terminate},
		{"", "write", []string{"/etc/cron.d/x/y"}, sallyport.Terminate},
		{"", "write", []string{"/etc/x/../cron.d/x"}, sallyport.Terminate},
		{"", "rename", []string{"/tmp/x", "/root/.bashrc"}, sallyport.Terminate},
		{"", "rename", []string{"/tmp/x", "/tmp/y"}, sallyport.Allow},
		{"/data/bob", "write", []string{"/data/bob/.ssh/"}, sallyport.Terminate}, // with what is in it
		{"/data/bob", "write", []string{"/data/bob/.ssh"}, sallyport.Allow},
		{"", "symlink", []string{"/tmp/a.key"}, sallyport.Terminate},
		{"", "read", []string{"/etc/shadow"}, sallyport.Alert},
		{"", "read", []string{"/etc/passwd"}, sallyport.Allow},
		{"", "list", []string{"/etc"}, sallyport.Allow},
	} {
		if v := c.JudgeFileAt(tt.home, tt.op, tt.paths...); v.Action != tt.want || v.Action != sallyport.Allow && v.Rule == "" {
			t.Errorf("%s %q with home %q: %+v, want %s", tt.op, tt.paths, tt.home, v, tt.want)
		}
	}
	allow := mustCompile(t, sallyport.Commands{Mode: sallyport.AllowList, Rules: []sallyport.CommandRule{
		{SFTP: []string{"list", "stat"}}, {SFTP: []string{"read", "rename"}, Paths: []string{"/srv/**"}}, {SFTP: []string{"*"}, Paths: []string{"/srv/x/**"}, Action: sallyport.Alert}, {SFTP: []string{"read"}, Paths: []string{"**.key"}, Action: sallyport.Deny},
	}})
	for _, tt := range []struct {
		op    string
		paths []string
		want  sallyport.Action
	}{
		{"list", []string{"/"}, sallyport.Allow},
		{"read", []string{"/srv/a"}, sallyport.Allow},
		{"read", []string{"/srv/../etc/x"}, sallyport.Deny},
		{"read", []string{"/srv/a.key"}, sallyport.Deny},
		{"rename", []string{"/srv/a", "/srv/b"}, sallyport.Allow},
		{"rename", []string{"/srv/a", "/etc/b"}, sallyport.Deny},
		{"write", []string{"/srv/a"}, sallyport.Deny},
		{"write", []string{"/srv/x/a"}, sallyport.Alert},
	} {
		if v := allow.JudgeFile(tt.op, tt.paths...); v.Action != tt.want {
			t.Errorf("allow-list: %s %q: %+v", tt.op, tt.paths, v)
		}
	}
	if c.JudgeFile("remove", "/x").Rule != "sftp remove|rmdir" || !c.JudgesFiles("") || !c.JudgesFiles("write") || c.JudgesFiles("stat") || !allow.JudgesFiles("stat") || typical(t).JudgesFiles("") || (*Commands)(nil).JudgeFile("remove", "/x") != (Verdict{}) {
		t.Error("what is told of rules about files")
	}
	for _, bad := range []sallyport.CommandRule{
		{SFTP: []string{"delete"}}, {SFTP: []string{"write"}, Paths: []string{"x"}}, {SFTP: []string{"write"}, Paths: []string{"/a/../b"}}, {Program: "x", Paths: []string{"/x"}}, {SFTP: []string{"write"}, Program: "x"}, {SFTP: []string{"write"}, Args: []string{"x"}}, {Regex: "("}, {Regex: "a", Match: "a"},
	} {
		bad.Action = sallyport.Deny
		if _, err := CompileCommands(sallyport.Commands{Rules: []sallyport.CommandRule{bad}}); err == nil || sallyport.HintOf(err) == "" {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
