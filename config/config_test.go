package config

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

const samplePath = "../configs/sample.yaml"

func sample(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(samplePath)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSample(t *testing.T) {
	c, err := Parse(samplePath, []byte(sample(t)))
	if err != nil {
		t.Fatal(err)
	}
	r, ok := c.Policy.Role("prod-root")
	if !ok || len(r.Commands.Rules) < 10 || len(r.Commands.Mask) < 10 || r.Commands.Rules[11].When.Time != "08:00-18:00" || !r.Justification || r.MaxDuration != 4*time.Hour ||
		r.Commands.Classes[sallyport.ClassUnverifiable] != sallyport.Deny || r.Approval.Stages[0].Need != 1 {
		t.Errorf("role: %+v", r)
	}
	if len(c.Policy.Eligible("alice", sallyport.Access{Account: "root", Target: "web1"})) != 1 ||
		!c.Policy.Can("eve", sallyport.PermSessions) || c.Policy.Can("bob", sallyport.PermSessions) {
		t.Error("the policy is not that of the sample")
	}
	want := Limits{Unauthenticated: 512, PerAddress: 128, LoginGrace: 20 * time.Second, Channels: 64, ChannelsPerSec: 50, ChannelsPerUser: 512, SessionsPerUser: 100}
	if c.Keepalive != 15*time.Second || c.Banner != "" || len(c.Balancers) != 0 {
		t.Errorf("defaults: %+v", c)
	}
	if c.Listen != "0.0.0.0:2222" || c.DataDir != "/var/lib/sallyport" || c.Drain != 30*time.Second ||
		c.RequestLapse != 24*time.Hour || c.SpaceReserve != 64<<20 || c.Limits != want || r.Recording.ContentCap != 16<<20 {
		t.Errorf("defaults: %+v", c)
	}
}

func TestEveryOptionalField(t *testing.T) {
	s := sample(t)
	s = strings.Replace(s, "10.0.0.5:22", "2001:db8::1\n    aliases: [w, www]\n    source_address: [192.0.2.1, 198.51.100.0/24]", 1)
	s = strings.Replace(s, "justification: required", "justification: optional", 1)
	s = strings.Replace(s, "    channels:", "    env: [EDITOR]\n    recording: {on_failure: continue, content_cap: 512KiB}\n    channels:", 1)
	s = strings.Replace(s, "exec, sftp]", `exec, sftp, agent, x11, ide, forward-local, forward-remote, forward-socket]
    forwards: {local: ["db1:5432"], remote: ["127.0.0.1:8000-8099"], sockets: [/run/pg/*], max_open: 8, max_bytes: 1GiB}
    files: {direction: upload, allow: [/srv/**], deny: ["**.key"], max_size: 1GiB, keep: 10MiB, on_confusion: end}
    idle_timeout: 15m`, 1)
	s = strings.Replace(s, "{stages: [{approvers: {groups: [approvers]}, need: 1}]}", "auto", 1)
	s += `
request_lapse: 2d
drain: 5s
space_reserve: 1GiB
limits: {unauthenticated: 1, per_address: 2, login_grace: 3s, channels: 4, channels_per_second: 6, channels_per_user: 7, sessions_per_user: 5}
keepalive: 30s
banner: |
  Authorised use only.

  	Ünïcode, and a tab.
proxy_protocol: {from: [10.0.0.0/8, 192.0.2.1, "2001:db8::/64"]}
`
	c, err := Parse("c.yaml", []byte(s))
	if err != nil {
		t.Fatal(err)
	}
	tg, r := c.Targets[0], c.Roles[0]
	if tg.Address != "[2001:db8::1]:22" || len(tg.Aliases) != 2 || len(tg.SourceAddress) != 2 {
		t.Errorf("target: %+v", tg)
	}
	if r.Justification || !r.Approval.Auto || !r.Recording.ContinueOnFailure || r.Recording.ContentCap != 512<<10 || len(r.Env) != 1 {
		t.Errorf("role: %+v", r)
	}
	if r.Files.Direction != sallyport.FilesUpload || r.Files.Keep != 10<<20 || r.Files.MaxSize != 1<<30 || len(r.Files.Allow) != 1 ||
		len(r.Files.Deny) != 1 || !r.Files.EndOnConfusion || r.IdleTimeout != 15*time.Minute {
		t.Errorf("files: %+v, idle %v", r.Files, r.IdleTimeout)
	}
	if f := r.Forwards; len(f.Local) != 1 || len(f.Remote) != 1 || len(f.Sockets) != 1 || f.MaxOpen != 8 || f.MaxBytes != 1<<30 {
		t.Errorf("forwards: %+v", f)
	}
	if got := fmt.Sprint(c.Balancers); got != "[10.0.0.0/8 192.0.2.1/32 2001:db8::/64]" {
		t.Errorf("load balancers: %s", got)
	}
	if c.Banner != "Authorised use only.\n\n\tÜnïcode,\u00a0and a tab.\n" || c.Keepalive != 30*time.Second {
		t.Errorf("banner %q, keepalive %v", c.Banner, c.Keepalive)
	}
	want := Limits{1, 2, 3 * time.Second, 4, 6, 7, 5}
	if c.Limits != want || c.RequestLapse != 48*time.Hour || c.Drain != 5*time.Second || c.SpaceReserve != 1<<30 {
		t.Errorf("%+v", c)
	}
}

func TestAddressGetsPort22(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.5": "10.0.0.5:22", "host": "host:22", "host:2200": "host:2200",
		`"::1"`: "[::1]:22", `"[::1]"`: "[::1]:22", `"[::1]:2200"`: "[::1]:2200",
	} {
		c, err := Parse("c.yaml", []byte(strings.Replace(sample(t), "10.0.0.5:22", in, 1)))
		if err != nil || c.Targets[0].Address != want {
			t.Errorf("%s: %v, %v", in, c, err)
		}
	}
}

func TestTheStrictProfile(t *testing.T) {
	s := regexp.MustCompile(`(?m)^    channels: .*$`).ReplaceAllString(sample(t), "    profile: strict\n    files: upload")
	c, err := Parse("c.yaml", []byte(s))
	if err != nil {
		t.Fatal(err)
	}
	r := c.Roles[0]
	if !slices.Equal(r.Channels, []sallyport.Channel{sallyport.ChannelSFTP}) || !r.Files.EndOnConfusion || r.Files.Direction != sallyport.FilesUpload {
		t.Errorf("%+v", r)
	}
}

// Each change of the sample is one mistake of a user's. Its message must have
// the line of the mistake and say what was expected.
func TestMistakes(t *testing.T) {
	const rsa2048 = `ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDMv4oDTxtZPm3vRdXvTZ8xqaCU0YmCGOxdNSr5R1hGaRpY8cYNAKlVnvSDKmYE3yYl2p0pOn1bFs0hYF2QZ0k4Y9uQ3m4lqPZp0nVZbV3m2QnqQ0y5r4pQfXoD8N1GkMZ0kF3y4c5l0x5bC3yH9n6K7qkqf5o0wQ5H8kzqTn7v9w==`
	for name, tt := range map[string]struct {
		old, new string
		want     string // in the line that has this change; all after "c.yaml:N: "
	}{
		"unknown field":      {"data_dir:", "datadir:", `unknown field "datadir" in the configuration (expected listen, name, data_dir, users`},
		"unknown in role":    {"max_duration: 4h", "max_duration: 4h\n    mfa: true", `unknown field "mfa" in a role`},
		"unknown in flow":    {"{name: bob,", "{name: bob, shell: x,", `unknown field "shell" in a user (expected name, groups, kind and keys)`},
		"field twice":        {"accounts: [root]", "accounts: [root]\n    accounts: [root]", `accounts`},
		"bad duration":       {"4h", "4 hours", `"4 hours" is no duration (expected for example 30m`},
		"bad listen":         {"0.0.0.0:2222", "2222", `"2222" is no address to listen on (expected host:port`},
		"bad address":        {"10.0.0.5:22", "10.0.0.5:ssh", `"10.0.0.5:ssh" is no address (expected host or host:port)`},
		"port zero":          {"10.0.0.5:22", "10.0.0.5:0", `is no address`},
		"relative data_dir":  {"/var/lib/sallyport", "data", `expected a path from /`},
		"bad key":            {"ssh-ed25519 AAAA", "ssh-ed25519 BBBB", `is no public key (expected the line of a .pub file`},
		"short RSA key":      {`keys: ["ssh-ed25519`, `keys: ["` + rsa2048 + `", "ssh-ed25519`, `key`},
		"key options":        {`keys: ["ssh-ed25519`, `keys: ["no-pty ssh-ed25519`, `options before a key are not honoured`},
		"bad action":         {"[r, R, recursive], action: terminate", "[r], action: kill", `"kill" is no action (expected allow, alert, deny or terminate)`},
		"rule without end":   {"{program: shutdown, action: terminate}", "{match: \"rm 'x\", action: terminate}", `the rule does not compile: `},
		"rule of nothing":    {"{program: shutdown, action: terminate}", "{action: terminate}", `the rule does not compile: `},
		"bad class":          {"opaque: alert", "opaq: alert", `unknown field "opaq" in classes (expected opaque, tamper, unverifiable and unlisted)`},
		"bad mode":           {"      rules:", "      mode: white-list\n      rules:", `"white-list" is no mode of command rules (expected deny-list or allow-list)`},
		"rules are no list":  {"      rules:\n", "      rules: {}\n      other:\n", `rules must be a list (expected [ … ])`},
		"bad mask":           {`- "sshpass * -p{}"`, `- "sshpass * -p"`, `the mask does not compile: "sshpass * -p" is no pattern of a line with a secret: {} must stand for the secret once (expected for example`},
		"bad operation":      {"sftp: [write]", "sftp: [upload]", `the rule does not compile: "upload" is no operation of SFTP (expected read, write,`},
		"bad path":           {`"~/.bashrc"`, `".bashrc"`, `the rule does not compile: ".bashrc" is no pattern of paths (expected a path from / or ~/`},
		"bad when":           {"labels: {env: prod}, days", "label: {env: prod}, days", `unknown field "label" in when (expected users, groups, targets, labels, accounts, time, days and zone)`},
		"bad time":           {`"08:00-18:00"`, `"8-18"`, `the rule does not compile: when: "8-18" is no time of the day (expected for example "22:00-06:00")`},
		"bad day":            {"days: [mon,", "days: [monday,", `the rule does not compile: when: "monday" is no day (expected mon, tue`},
		"unknown when user":  {"when: {labels", "when: {users: [bbo], labels", `no user is named "bbo"`},
		"unknown when host":  {"when: {labels", "when: {targets: [wbe1], labels", `no target is named "wbe1"`},
		"bad regex":          {"program: shutdown", "regex: \"(\"", `the rule does not compile: error parsing regexp`},
		"unlisted":           {"{opaque: alert", "{unlisted: deny, opaque: alert", `only an allow-list has lines that are unlisted (expected mode: allow-list beside it)`},
		"bad channel":        {"exec, sftp]", "exec, scp]", `"scp" is no channel (expected shell, exec, sftp, agent, x11, forward-local, forward-remote, forward-socket or ide)`},
		"bad justification":  {"justification: required", "justification: yes", `"yes" is no justification (expected required or optional)`},
		"bad approval":       {"approval: {stages: [{approvers: {groups: [approvers]}, need: 1}]}", "approval: none", `"none" is no approval (expected auto`},
		"need nobody":        {"need: 1", "need: 0", `"0" is no number (expected 1 or more)`},
		"unknown approver":   {"{approvers: {groups: [approvers]}", "{approvers: {users: [bbo]}", `no user is named "bbo" (expected a name under users)`},
		"unknown member":     {"eligible: {groups: [admins]}", "eligible: {users: [alcie], groups: [admins]}", `no user is named "alcie"`},
		"unknown SOC":        {"  audit: {groups: [soc]}", "  audit: {users: [evee]}", `no user is named "evee"`},
		"unknown target":     {"targets: {labels: {env: prod}}", "targets: {names: [wbe1]}", `no target is named "wbe1" (expected a name or an alias under targets`},
		"no such account":    {"    accounts: [root]", "    accounts: [toor]", `no account of role "prod-root" is on any of its targets (expected one of root, deploy)`},
		"too few approvers":  {"need: 1", "need: 2", `an approval of role "prod-root" needs 2, but only 1 may approve it`},
		"a stage of nobody":  {"approvers: {groups: [approvers]}", "approvers: {groups: [aprovers]}", `needs 1, but only 0 may approve it`},
		"keep nothing":       {"    channels:", "    recording: {content_cap: 0}\n    channels:", `content_cap cannot be 0`},
		"strict and more":    {"    channels:", "    profile: strict\n    channels:", `the profile strict is sftp and nothing else`},
		"no such profile":    {"    channels:", "    profile: lax\n    channels:", `"lax" is no profile (expected strict)`},
		"neither of them":    {"    channels: [shell, exec, sftp]", "    env: []", `a role has no "channels"`},
		"files sideways":     {"    channels:", "    files: sideways\n    channels:", `"sideways" is no direction for files (expected none, upload, download or both)`},
		"relative files":     {"    channels:", "    files: {allow: [srv]}\n    channels:", `"srv" is no pattern of absolute paths`},
		"forward anywhere":   {"    channels:", "    forwards: {local: [db1]}\n    channels:", `"db1" is no pattern of addresses (write host:port`},
		"forward no socket":  {"    channels:", "    forwards: {sockets: [pg]}\n    channels:", `"pg" is no pattern of sockets`},
		"no such channel":    {"    channels:", "    forwards: {local: [\"db1:5432\"]}\n    channels:", `local is nothing without the channel forward-local`},
		"no list":            {"exec, sftp]", "exec, forward-local]", `the channel forward-local is nothing without a list`},
		"keep no KiB":        {"    channels:", "    recording: {content_cap: 0KiB}\n    channels:", `content_cap cannot be 0`},
		"second user":        {"{name: bob", "{name: alice", `a second user named "alice" (the first is at line 6)`},
		"a key of two":       {"{name: bob, groups: [approvers], keys: [", "{name: bob, groups: [approvers], keys: [KEY, ", `is given twice (the first is at line 6)`},
		"no host key":        {"host_keys:", "#", `target "web1" has neither host_keys nor host_ca`},
		"no name":            {"- name: prod-root\n    eligible", "- eligible", `a role has no "name"`},
		"name with blank":    {"name: web1", "name: web 1", `"web 1" cannot name a target (expected letters`},
		"bad account":        {"accounts: [root, deploy]", `accounts: ["root,deploy"]`, `"root,deploy" cannot be an account`},
		"no accounts":        {"accounts: [root, deploy]", "accounts: []", `accounts is empty`},
		"null":               {"address: 10.0.0.5:22", "address:", `a value is missing`},
		"list for mapping":   {"eligible: {groups: [admins]}", "eligible: [admins]", `eligible must be a mapping (expected users and groups)`},
		"unknown right":      {"  audit: {", "  audits: {", `unknown field "audits" in permissions (expected sessions, recordings, audit and admin)`},
		"no balancer":        {"data_dir:", "proxy_protocol: {from: [lb1]}\ndata_dir:", `"lb1" is no address of a load balancer (expected 192.0.2.1 or 10.0.0.0/8)`},
		"all balancers":      {"data_dir:", "proxy_protocol: {from: [0.0.0.0/0]}\ndata_dir:", `"0.0.0.0/0" is everybody`},
		"a mapped balancer":  {"data_dir:", "proxy_protocol: {from: [\"::ffff:10.0.0.0/104\"]}\ndata_dir:", `is no address of a load balancer`},
		"bits of balancers":  {"data_dir:", "proxy_protocol: {from: [10.0.0.7/8]}\ndata_dir:", `has bits behind its length (expected 10.0.0.7, or 10.0.0.0/8)`},
		"a balancer alone":   {"data_dir:", "proxy_protocol: [10.0.0.7]\ndata_dir:", `proxy_protocol must be a mapping (expected from)`},
		"keepalive often":    {"data_dir:", "keepalive: 100ms\ndata_dir:", `a keepalive of 100ms is not useful (expected 5s to 10m)`},
		"keepalive seldom":   {"data_dir:", "keepalive: 1h\ndata_dir:", `a keepalive of 1h0m0s is not useful`},
		"no keepalive":       {"data_dir:", "keepalive: never\ndata_dir:", `"never" is no duration`},
		"no channels":        {"data_dir:", "limits: {channels_per_second: 0}\ndata_dir:", `"0" is no number (expected 1 or more)`},
		"a banner that acts": {"data_dir:", "banner: \"hello \\e[2J\"\ndata_dir:", `the banner holds '\x1b', which could steer a terminal`},
		"a reordered banner": {"data_dir:", "banner: |\n  hello\n\n  and \u202e more\ndata_dir:", `:7: the banner holds '\u202e'`},
		"a huge banner":      {"data_dir:", "banner: " + strings.Repeat("x", 8193) + "\ndata_dir:", `the banner has 8193 bytes (expected 8192 at most)`},
		"no banner":          {"data_dir:", "banner:\ndata_dir:", `a value is missing`},
		"tab":                {"    accounts: [root]", "\taccounts: [root]", `no YAML: `},
		"unclosed":           {"labels: {env: prod}\n", "labels: {env: prod\n", `no YAML: `},
	} {
		t.Run(name, func(t *testing.T) {
			s := sample(t)
			key := s[strings.Index(s, `"ssh-ed25519`):]
			key = key[:strings.Index(key[1:], `"`)+2]
			change := strings.ReplaceAll(tt.new, "KEY", key)
			if !strings.Contains(s, tt.old) {
				t.Fatalf("the sample has no %q", tt.old)
			}
			s = strings.Replace(s, tt.old, change, 1)
			_, err := Parse("c.yaml", []byte(s))
			if sallyport.CodeOf(err) != sallyport.CodeInvalid {
				t.Fatalf("err = %v", err)
			}
			found := false
			for l := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(l, "c.yaml:") {
					t.Errorf("a line without its file: %s", l)
				}
				found = found || strings.Contains(l, tt.want) && l[len("c.yaml:")] >= '1' && l[len("c.yaml:")] <= '9'
			}
			if !found {
				t.Errorf("want %q in:\n%v", tt.want, err)
			}
		})
	}
}

func TestAllMistakesAtOnceInOrder(t *testing.T) {
	_, err := Parse("c.yaml", []byte(`listen: here
users:
  - name: alice
    colour: red
  - name: alice
targets: []
roles:
  - name: r
    eligible: {users: [nobody]}
    targets: {names: ["["]}
    accounts: [root]
    max_duration: soon
    approval: auto
    channels: [shell]
    commands: {rules: [{match: "(", action: deny}]}
`))
	if err == nil {
		t.Fatal("no error")
	}
	var lines []string
	for l := range strings.SplitSeq(err.Error(), "\n") {
		lines = append(lines, strings.Join(strings.SplitN(l, ":", 3)[:2], ":"))
	}
	want := []string{"c.yaml:1", "c.yaml:4", "c.yaml:5", "c.yaml:9", "c.yaml:10", "c.yaml:12", "c.yaml:15"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("%s\n%v", diff, err)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.yaml")
	if err := os.WriteFile(empty, []byte("# nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, empty, filepath.Join(dir, "absent.yaml")} {
		if _, err := Load(path); sallyport.CodeOf(err) != sallyport.CodeInvalid {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := Parse("c.yaml", []byte(sample(t)+"---\nlisten: 0.0.0.0:1\n")); err == nil {
		t.Error("a second document is ignored")
	}
}

// What only looks like a mistake: names to come, and other names of a target.
func TestNoMistakes(t *testing.T) {
	for name, tt := range map[string]struct{ old, new string }{
		"a group of nobody":     {"eligible: {groups: [admins]}", "eligible: {groups: [admins, interns]}"},
		"a pattern for nothing": {"targets: {labels: {env: prod}}", `targets: {names: ["db*"]}`},
		"a label of nothing":    {"targets: {labels: {env: prod}}", "targets: {labels: {env: test}}"},
		"accounts to come":      {"    accounts: [root]", "    accounts: [root, postgres]"},
		"one approver of many":  {"{name: alice, groups: [admins]", "{name: alice, groups: [admins, approvers]"},
	} {
		s := sample(t)
		if !strings.Contains(s, tt.old) {
			t.Fatalf("the sample has no %q", tt.old)
		}
		if _, err := Parse("c.yaml", []byte(strings.Replace(s, tt.old, tt.new, 1))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := strings.Replace(sample(t), "targets: {labels: {env: prod}}", "targets: {names: [www]}", 1)
	c, err := Parse("c.yaml", []byte(strings.Replace(s, "    address:", "    aliases: [www]\n    address:", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Policy.Eligible("alice", sallyport.Access{Account: "root", Target: "web1"})) != 1 {
		t.Error("a role for an alias is for no target")
	}
}

// Attack (O5): another account of the gateway's host adds itself to the
// configuration.
func TestAFileThatOthersCanWriteIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(sample(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o644: true, 0o440: true, 0o660: false, 0o602: false, 0o666: false} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file)
		if (err == nil) != ok || !ok && sallyport.HintOf(err) != "chmod go-w "+file {
			t.Errorf("%o: %v (%s)", mode, err, sallyport.HintOf(err))
		}
	}
}

func TestAnchorsWork(t *testing.T) {
	s := strings.Replace(sample(t), "sessions: {groups: [soc]}", "sessions: &soc {groups: [soc]}", 1)
	c, err := Parse("c.yaml", []byte(strings.Replace(s, "audit: {groups: [soc]}", "audit: *soc", 1)))
	if err != nil || !c.Policy.Can("eve", sallyport.PermAudit) {
		t.Errorf("%v", err)
	}
}

// The unit must start what it installs, and give the drain its time.
func TestServiceUnit(t *testing.T) {
	unit := readLines(t, "../configs/sallyport.service")
	section := ""
	got := map[string]string{}
	for _, l := range unit {
		if strings.HasPrefix(l, "[") {
			section = strings.Trim(l, "[]")
			continue
		}
		k, v, ok := strings.Cut(l, "=")
		if !ok || section == "" {
			t.Errorf("no setting: %q", l)
		}
		got[section+"."+k] = v
	}
	for k, want := range map[string]string{
		"Service.User": "sallyport", "Service.UMask": "0077", "Service.LimitCORE": "0",
		"Service.StateDirectoryMode": "0700", "Service.NoNewPrivileges": "yes",
	} {
		if got[k] != want {
			t.Errorf("%s = %q, want %q", k, got[k], want)
		}
	}
	stop, err := time.ParseDuration(got["Service.TimeoutStopSec"] + "s")
	if err != nil || stop <= DefaultDrain {
		t.Errorf("TimeoutStopSec = %v, %v: systemd would kill sessions that still drain", stop, err)
	}
	if !strings.Contains(got["Service.ExecStart"], "sallyport serve --config /") || !strings.Contains(got["Service.ExecReload"], "HUP") {
		t.Errorf("ExecStart %q, ExecReload %q", got["Service.ExecStart"], got["Service.ExecReload"])
	}
	if c, err := Parse(samplePath, []byte(sample(t))); err != nil || c.DataDir != "/var/lib/"+got["Service.StateDirectory"] {
		t.Errorf("StateDirectory %q is not the data_dir of the sample", got["Service.StateDirectory"])
	}
}

// What the target's sshd must not be left to its defaults with.
func TestSSHDSnippet(t *testing.T) {
	got := map[string]string{}
	for _, l := range readLines(t, "../configs/sshd_config.snippet") {
		k, v, _ := strings.Cut(l, " ")
		if _, ok := got[k]; ok {
			t.Errorf("%s twice: sshd takes the first", k)
		}
		got[k] = v
	}
	for k, want := range map[string]string{"AllowTcpForwarding": "no", "AllowAgentForwarding": "no", "PermitTunnel": "no", "PasswordAuthentication": "no"} {
		if got[k] != want {
			t.Errorf("%s = %q, want %q", k, got[k], want)
		}
	}
	if !filepath.IsAbs(got["TrustedUserCAKeys"]) {
		t.Errorf("TrustedUserCAKeys = %q", got["TrustedUserCAKeys"])
	}
}

func readLines(t *testing.T, path string) (lines []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if l := strings.TrimSpace(s.Text()); l != "" && !strings.HasPrefix(l, "#") {
			lines = append(lines, l)
		}
	}
	return lines
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample(f)))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("users: {}\ntargets: 1\nroles:\n- *x"))
	f.Add([]byte("roles: [{name: r, approval: {stages: [{need: -1}]}}]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("c.yaml", b)
		if (c == nil) == (err == nil) {
			t.Fatalf("%v, %v", c, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "c.yaml") {
			t.Fatalf("a line without its file: %v", err)
		}
	})
}
