package config

import (
	"crypto/rsa"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
	"golang.org/x/crypto/ssh"

	"sallyport"
	"sallyport/policy"
)

// config reads the whole document.
func (d *decoder) config(doc *yaml.Node) *Config {
	c := &Config{
		Listen: DefaultListen, Name: DefaultName, DataDir: DefaultDataDir,
		Permissions:  map[sallyport.Permission]sallyport.Members{},
		RequestLapse: DefaultRequestLapse, Drain: DefaultDrain, SpaceReserve: DefaultSpaceReserve,
		Limits: DefaultLimits(), Keepalive: DefaultKeepalive,
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		d.errs = append(d.errs, problem{file: d.file, text: "the file is empty (expected listen, data_dir, users, targets and roles)"})
		return c
	}
	d.mapping(doc.Content[0], "the configuration",
		field{"listen", false, func(n *yaml.Node) { c.Listen = d.listen(n) }},
		field{"name", false, func(n *yaml.Node) {
			c.Name = d.text(n)
			if c.Name != "" && !sallyport.ValidName(c.Name) {
				d.bad(n, "%q is no name for the gateway (expected what users type after ssh, for example %s)", c.Name, DefaultName)
			}
		}},
		field{"data_dir", false, func(n *yaml.Node) {
			c.DataDir = d.text(n)
			if c.DataDir != "" && !filepath.IsAbs(c.DataDir) {
				d.bad(n, "data_dir %q depends on where sallyport is started (expected a path from /)", c.DataDir)
			}
		}},
		field{"users", true, func(n *yaml.Node) {
			d.sequence(n, "users", func(n *yaml.Node) { c.Users = append(c.Users, d.user(n)) })
		}},
		field{"targets", true, func(n *yaml.Node) {
			d.sequence(n, "targets", func(n *yaml.Node) { c.Targets = append(c.Targets, d.target(n)) })
		}},
		field{"roles", true, func(n *yaml.Node) {
			d.sequence(n, "roles", func(n *yaml.Node) { c.Roles = append(c.Roles, d.role(n)) })
		}},
		field{"permissions", false, func(n *yaml.Node) { d.permissions(n, c.Permissions) }},
		field{"request_lapse", false, func(n *yaml.Node) { c.RequestLapse = d.duration(n) }},
		field{"drain", false, func(n *yaml.Node) { c.Drain = d.duration(n) }},
		field{"space_reserve", false, func(n *yaml.Node) { c.SpaceReserve = d.size(n) }},
		field{"limits", false, func(n *yaml.Node) { d.limits(n, &c.Limits) }},
		field{"banner", false, func(n *yaml.Node) { c.Banner = d.banner(n) }},
		field{"keepalive", false, func(n *yaml.Node) { c.Keepalive = d.keepalive(n) }},
		field{"proxy_protocol", false, func(n *yaml.Node) { c.Balancers = d.proxyProtocol(n) }},
		field{"notify", false, func(n *yaml.Node) {
			d.sequence(n, "notify", func(n *yaml.Node) { c.Notify = append(c.Notify, d.hook(n)) })
		}},
	)
	d.across(c)
	return c
}

func (d *decoder) limits(n *yaml.Node, l *Limits) {
	d.mapping(n, "limits",
		field{"unauthenticated", false, func(n *yaml.Node) { l.Unauthenticated = d.number(n, 1) }},
		field{"per_address", false, func(n *yaml.Node) { l.PerAddress = d.number(n, 1) }},
		field{"login_grace", false, func(n *yaml.Node) { l.LoginGrace = d.duration(n) }},
		field{"channels", false, func(n *yaml.Node) { l.Channels = d.number(n, 1) }},
		field{"channels_per_second", false, func(n *yaml.Node) { l.ChannelsPerSec = d.number(n, 1) }},
		field{"channels_per_user", false, func(n *yaml.Node) { l.ChannelsPerUser = d.number(n, 1) }},
		field{"sessions_per_user", false, func(n *yaml.Node) { l.SessionsPerUser = d.number(n, 1) }},
	)
}

func (d *decoder) user(n *yaml.Node) sallyport.User {
	u := sallyport.User{Kind: sallyport.KindPerson}
	d.mapping(n, "a user",
		field{"name", true, func(n *yaml.Node) { u.Name = d.name(n, "user", &d.users) }},
		field{"groups", false, func(n *yaml.Node) { u.Groups = d.texts(n, "groups", d.group) }},
		field{"kind", false, func(n *yaml.Node) {
			u.Kind = oneOf(d, n, "kind", sallyport.KindPerson, sallyport.KindVendor, sallyport.KindService, sallyport.KindBreakGlass)
		}},
		field{"keys", false, func(n *yaml.Node) { u.Keys = d.texts(n, "keys", d.userKey) }},
	)
	return u
}

func (d *decoder) target(n *yaml.Node) sallyport.Target {
	var t sallyport.Target
	d.mapping(n, "a target",
		field{"name", true, func(n *yaml.Node) { t.Name = d.name(n, "target", &d.targets) }},
		field{"address", true, func(n *yaml.Node) { t.Address = d.address(n) }},
		field{"aliases", false, func(n *yaml.Node) {
			d.sequence(n, "aliases", func(n *yaml.Node) { t.Aliases = append(t.Aliases, d.name(n, "target", &d.targets)) })
		}},
		field{"labels", false, func(n *yaml.Node) { t.Labels = d.labels(n) }},
		field{"accounts", true, func(n *yaml.Node) { t.Accounts = d.accounts(n) }},
		field{"host_keys", false, func(n *yaml.Node) { t.HostKeys = d.texts(n, "host_keys", d.key) }},
		field{"host_ca", false, func(n *yaml.Node) { t.HostCA = d.texts(n, "host_ca", d.key) }},
		field{"source_address", false, func(n *yaml.Node) { t.SourceAddress = d.texts(n, "source_address", d.network) }},
	)
	if n = resolve(n); n.Kind == yaml.MappingNode && len(t.HostKeys)+len(t.HostCA) == 0 {
		d.bad(n, "target %q has neither host_keys nor host_ca (expected its public keys: ssh-keyscan shows them)", t.Name)
	}
	return t
}

func (d *decoder) role(n *yaml.Node) sallyport.Role {
	r := sallyport.Role{Justification: true, Recording: sallyport.Recording{ContentCap: DefaultContentCap}}
	d.roles.lines = append(d.roles.lines, resolve(n).Line)
	d.roleLines = append(d.roleLines, roleLines{})
	at := &d.roleLines[len(d.roleLines)-1]
	var channels *yaml.Node
	strict := false
	d.mapping(n, "a role",
		field{"name", true, func(n *yaml.Node) { r.Name = d.name(n, "role", &d.roles) }},
		field{"eligible", true, func(n *yaml.Node) { r.Eligible = d.memberList(n, "eligible") }},
		field{"targets", true, func(n *yaml.Node) { r.Targets = d.selector(n) }},
		field{"accounts", true, func(n *yaml.Node) { r.Accounts, at.accounts = d.accounts(n), n.Line }},
		field{"max_duration", true, func(n *yaml.Node) { r.MaxDuration = d.duration(n) }},
		field{"justification", false, func(n *yaml.Node) {
			r.Justification = oneOf(d, n, "justification", "required", "optional") != "optional"
		}},
		field{"approval", true, func(n *yaml.Node) { r.Approval, at.stages = d.approval(n) }},
		field{"channels", false, func(n *yaml.Node) {
			d.sequence(n, "channels", func(n *yaml.Node) {
				r.Channels = append(r.Channels, oneOf(d, n, "channel", sallyport.Channels...))
			})
			channels = n
		}},
		field{"profile", false, func(n *yaml.Node) {
			strict = oneOf(d, n, "profile", "strict") == "strict"
		}},
		field{"env", false, func(n *yaml.Node) { r.Env = d.texts(n, "env", d.variable) }},
		field{"commands", false, func(n *yaml.Node) { r.Commands = d.commands(n) }},
		field{"recording", false, func(n *yaml.Node) { d.recording(n, &r.Recording) }},
		field{"files", false, func(n *yaml.Node) { r.Files = d.files(n) }},
		field{"forwards", false, func(n *yaml.Node) { r.Forwards = d.forwards(n) }},
		field{"idle_timeout", false, func(n *yaml.Node) { r.IdleTimeout = d.duration(n) }},
	)
	switch n = resolve(n); {
	case n.Kind != yaml.MappingNode: // told
	case strict && channels != nil && !slices.Equal(r.Channels, []sallyport.Channel{sallyport.ChannelSFTP}):
		d.bad(channels, "the profile strict is sftp and nothing else (expected no channels, or [sftp])")
	case strict:
		r.Channels, r.Files.EndOnConfusion = []sallyport.Channel{sallyport.ChannelSFTP}, true
	case channels == nil:
		d.bad(n, `a role has no "channels" (expected a list such as [shell, exec, sftp], or profile: strict)`)
	}
	return r
}

// files is a direction, or a mapping with one.
func (d *decoder) files(n *yaml.Node) sallyport.FileRules {
	r := sallyport.FileRules{Direction: sallyport.FilesBoth}
	if n.Kind == yaml.ScalarNode {
		r.Direction = oneOf(d, n, "direction for files", sallyport.Directions...)
		return r
	}
	patterns := func(list *[]string, what string) field {
		return field{what, false, func(n *yaml.Node) {
			*list = d.texts(n, what, func(n *yaml.Node, s string) {
				if !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "**") {
					d.bad(n, "%q is no pattern of absolute paths (expected a path from /, for example /srv/** or **.key)", s)
				}
			})
		}}
	}
	d.mapping(n, "files",
		field{"direction", false, func(n *yaml.Node) {
			r.Direction = oneOf(d, n, "direction for files", sallyport.Directions...)
		}},
		patterns(&r.Allow, "allow"),
		patterns(&r.Deny, "deny"),
		field{"max_size", false, func(n *yaml.Node) { r.MaxSize = d.size(n) }},
		field{"keep", false, func(n *yaml.Node) { r.Keep = d.size(n) }},
		field{"on_confusion", false, func(n *yaml.Node) {
			r.EndOnConfusion = oneOf(d, n, "answer to a transfer that is not understood", "pass", "end") == "end"
		}},
	)
	return r
}

func (d *decoder) forwards(n *yaml.Node) sallyport.ForwardRules {
	var r sallyport.ForwardRules
	addresses := func(list *[]string, what string) field {
		return field{what, false, func(n *yaml.Node) {
			*list = d.texts(n, what, func(n *yaml.Node, s string) {
				if _, err := policy.ParseHostPort(s); err != nil {
					d.bad(n, "%s%s", err, hint(err))
				}
			})
		}}
	}
	d.mapping(n, "forwards",
		addresses(&r.Local, "local"),
		addresses(&r.Remote, "remote"),
		field{"sockets", false, func(n *yaml.Node) {
			r.Sockets = d.texts(n, "sockets", func(n *yaml.Node, s string) {
				if !strings.HasPrefix(s, "/") {
					d.bad(n, "%q is no pattern of sockets (expected a path from /, for example /run/postgresql/*)", s)
				}
			})
		}},
		field{"max_open", false, func(n *yaml.Node) { r.MaxOpen = d.number(n, 1) }},
		field{"max_bytes", false, func(n *yaml.Node) { r.MaxBytes = d.size(n) }},
	)
	return r
}

func (d *decoder) recording(n *yaml.Node, r *sallyport.Recording) {
	d.mapping(n, "recording",
		field{"on_failure", false, func(n *yaml.Node) {
			r.ContinueOnFailure = oneOf(d, n, "answer to a failed recording", "end", "continue") == "continue"
		}},
		field{"content_cap", false, func(n *yaml.Node) {
			before := len(d.errs)
			if r.ContentCap = d.size(n); r.ContentCap == 0 && len(d.errs) == before {
				d.bad(n, "content_cap cannot be 0: something of a session is always kept (expected at least 1, for example 16MiB)")
			}
		}},
	)
}

func (d *decoder) memberList(n *yaml.Node, what string) sallyport.Members {
	var m sallyport.Members
	d.mapping(n, what,
		field{"users", false, func(n *yaml.Node) {
			m.Users = d.texts(n, "users", func(n *yaml.Node, s string) {
				d.members = append(d.members, ref{s, n.Line})
			})
		}},
		field{"groups", false, func(n *yaml.Node) { m.Groups = d.texts(n, "groups", d.group) }},
	)
	return m
}

func (d *decoder) selector(n *yaml.Node) sallyport.Selector {
	var s sallyport.Selector
	d.mapping(n, "targets",
		field{"names", false, func(n *yaml.Node) {
			s.Names = d.texts(n, "names", func(n *yaml.Node, p string) {
				if _, err := filepath.Match(p, ""); err != nil {
					d.bad(n, "%q is no pattern (expected a name, perhaps with * and ?)", p)
				} else if !strings.ContainsAny(p, `*?[\`) {
					d.selected = append(d.selected, ref{p, n.Line})
				}
			})
		}},
		field{"labels", false, func(n *yaml.Node) { s.Labels = d.labels(n) }},
	)
	return s
}

// approval also returns the line of each stage.
func (d *decoder) approval(n *yaml.Node) (a sallyport.Approval, lines []int) {
	if n.Kind == yaml.ScalarNode {
		a.Auto = oneOf(d, n, "approval", "auto", "{stages: [ … ]}") == "auto"
		return a, nil
	}
	d.mapping(n, "approval", field{"stages", true, func(n *yaml.Node) {
		d.sequence(n, "stages", func(n *yaml.Node) {
			s := sallyport.Stage{Need: 1}
			d.mapping(n, "a stage",
				field{"approvers", true, func(n *yaml.Node) { s.Approvers = d.memberList(n, "approvers") }},
				field{"need", false, func(n *yaml.Node) { s.Need = d.number(n, 1) }},
			)
			a.Stages, lines = append(a.Stages, s), append(lines, n.Line)
		})
	}})
	return a, lines
}

func (d *decoder) action(n *yaml.Node) sallyport.Action {
	s := d.text(n)
	if s == "" {
		return sallyport.Allow
	}
	a, err := sallyport.ParseAction(s)
	if err != nil {
		d.bad(n, "%q is no action (expected allow, alert, deny or terminate)", s)
	}
	return a
}

func (d *decoder) permissions(n *yaml.Node, all map[sallyport.Permission]sallyport.Members) {
	var fields []field
	for _, p := range sallyport.Permissions {
		fields = append(fields, field{string(p), false, func(n *yaml.Node) { all[p] = d.memberList(n, string(p)) }})
	}
	d.mapping(n, "permissions", fields...)
}

func (d *decoder) accounts(n *yaml.Node) []string {
	all := d.texts(n, "accounts", func(n *yaml.Node, s string) {
		if !sallyport.ValidAccount(s) {
			d.bad(n, "%q cannot be an account (expected letters, digits, dot, underscore, dash and @)", s)
		}
	})
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		d.bad(n, "accounts is empty (expected at least one)")
	}
	return all
}

func (d *decoder) labels(n *yaml.Node) map[string]string {
	labels := map[string]string{}
	if n.Kind != yaml.MappingNode {
		d.bad(n, "labels must be a mapping (expected {env: prod})")
		return labels
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if _, ok := labels[key]; ok {
			d.bad(n.Content[i], "a second label %q", key)
		}
		labels[key] = d.text(n.Content[i+1])
	}
	return labels
}

func (d *decoder) group(n *yaml.Node, s string) {
	if !sallyport.ValidName(s) {
		d.bad(n, "%q cannot name a group (expected letters, digits, dot, underscore and dash)", s)
	}
}

func (d *decoder) variable(n *yaml.Node, s string) {
	if strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" || s[0] >= '0' && s[0] <= '9' {
		d.bad(n, "%q cannot name a variable (expected letters, digits and underscore)", s)
	}
}

// Sizes of RSA keys, in bits.
const (
	minRSA = 3072
	maxRSA = 8192
)

// key checks a public key, as in a line of authorized_keys, of a kind that the
// gateway will accept.
func (d *decoder) key(n *yaml.Node, s string) { d.parseKey(n, s) }

// userKey checks a key that must belong to one user only: it says who they are.
func (d *decoder) userKey(n *yaml.Node, s string) {
	k := d.parseKey(n, s)
	if k == nil {
		return
	}
	if d.keys == nil {
		d.keys = map[string]int{}
	}
	id := string(k.Marshal())
	if first, ok := d.keys[id]; ok {
		d.bad(n, "the key %s is given twice (the first is at line %d)", ssh.FingerprintSHA256(k), first)
		return
	}
	d.keys[id] = n.Line
}

func (d *decoder) parseKey(n *yaml.Node, s string) ssh.PublicKey {
	const expected = `(expected the line of a .pub file, for example "ssh-ed25519 AAAA… alice@laptop")`
	k, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(s))
	if err != nil || len(rest) > 0 {
		d.bad(n, "%.40q is no public key %s", s, expected)
		return nil
	}
	if len(options) > 0 {
		d.bad(n, "options before a key are not honoured %s", expected)
	}
	switch k.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
	case ssh.KeyAlgoRSA:
		ck, ok := k.(ssh.CryptoPublicKey)
		if !ok {
			d.bad(n, "the RSA key cannot be read %s", expected)
			return nil
		}
		if p, ok := ck.CryptoPublicKey().(*rsa.PublicKey); !ok || p.N.BitLen() < minRSA || p.N.BitLen() > maxRSA {
			d.bad(n, "the size of the RSA key is not accepted (expected %d to %d bits)", minRSA, maxRSA)
		}
	default:
		d.bad(n, "a key of type %s is not accepted (expected ed25519, ECDSA P-256 or P-384, RSA of %d bits or more, or sk-)", k.Type(), minRSA)
	}
	return k
}

// policyError reports what only shows when everything is put together.
func (d *decoder) policyError(err error) {
	p := problem{file: d.file, text: err.Error() + hint(err)}
	var re *policy.RoleError
	if errors.As(err, &re) && re.Index < len(d.roles.lines) {
		p.line = d.roles.lines[re.Index]
	}
	d.errs = append(d.errs, p)
}

func hint(err error) string {
	if h := sallyport.HintOf(err); h != "" {
		return " (" + h + ")"
	}
	return ""
}
