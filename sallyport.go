// Package sallyport holds the words of the gateway and their rules: users,
// targets, roles, requests, grants, sessions, locks and events.
//
// It does no I/O and imports the standard library only. Every other package
// adapts these types to something: SSH, bbolt, YAML, a terminal.
package sallyport

import (
	"path"
	"slices"
	"strings"
	"time"
)

// Kind says what stands behind a user's name.
type Kind string

// The kinds of user. The zero value counts as a person.
const (
	KindPerson     Kind = "person"
	KindVendor     Kind = "vendor"
	KindService    Kind = "service"
	KindBreakGlass Kind = "break-glass"
)

// User is a person or a service known to the gateway.
type User struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups,omitempty"`
	Kind   Kind     `json:"kind,omitempty"`
	Keys   []string `json:"-"` // public keys, as lines of an authorized_keys file
}

// Members selects users by name or by group. The zero value selects nobody.
type Members struct {
	Users  []string `json:"users,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

// Has reports whether u is selected.
func (m Members) Has(u User) bool {
	if u.Name == "" {
		return false
	}
	if slices.Contains(m.Users, u.Name) {
		return true
	}
	return slices.ContainsFunc(u.Groups, func(g string) bool { return slices.Contains(m.Groups, g) })
}

// Actor is who does something to the gateway: by a verified key, or by the
// word of the kernel on the gateway's own socket.
type Actor struct {
	User  string
	From  string // the client's address
	Admin bool   // root on the gateway's own socket: has every permission
}

// Target is an SSH host behind the gateway.
type Target struct {
	Name     string            `json:"name"`
	Aliases  []string          `json:"aliases,omitempty"`
	Address  string            `json:"address"` // host:port
	Labels   map[string]string `json:"labels,omitempty"`
	Accounts []string          `json:"accounts"`

	// HostKeys are the target's public keys, HostCA the keys that may sign its
	// host certificates; both as lines of an authorized_keys file. At least one
	// of the two lists is not empty: an unchecked host key is never accepted.
	HostKeys []string `json:"-"`
	HostCA   []string `json:"-"`

	// SourceAddress replaces the gateway's own address in the source-address
	// option of certificates, for a target that sees the gateway through NAT.
	// CIDR or plain addresses.
	SourceAddress []string `json:"-"`
}

// Selector selects targets: by name, where * and ? match as in a shell, or by
// labels, all of which must be equal. With both, either is enough.
type Selector struct {
	Names  []string          `json:"names,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
}

// Matches reports whether t is selected. The zero Selector selects nothing.
func (s Selector) Matches(t Target) bool {
	for _, n := range s.Names {
		if ok, err := path.Match(n, t.Name); err == nil && ok {
			return true
		}
	}
	if len(s.Labels) == 0 {
		return false
	}
	for k, v := range s.Labels {
		if got, ok := t.Labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// Access is one account on one target, written root@web1.
type Access struct {
	Account string `json:"account"`
	Target  string `json:"target"`
}

// String returns the access as account@target.
func (a Access) String() string { return a.Account + "@" + a.Target }

// ParseAccess reads account@target. The last @ splits, as in OpenSSH.
func ParseAccess(s string) (Access, error) {
	i := strings.LastIndexByte(s, '@')
	if i <= 0 || i == len(s)-1 {
		return Access{}, Errorf(CodeUsage, "%q is no access", s).WithHint("write account@target, for example root@web1")
	}
	return Access{Account: s[:i], Target: s[i+1:]}, nil
}

// Channel names a thing that a session may do, as roles list it.
type Channel string

// The channels of this version.
const (
	ChannelShell Channel = "shell"
	ChannelExec  Channel = "exec"
	ChannelSFTP  Channel = "sftp"
	ChannelAgent Channel = "agent"
	ChannelX11   Channel = "x11"

	ChannelForwardLocal  Channel = "forward-local"  // connections from the target to elsewhere: -L, -D
	ChannelForwardRemote Channel = "forward-remote" // connections to a port at the target: -R
	ChannelForwardSocket Channel = "forward-socket" // the same with unix sockets, both ways

	// ChannelIDE lets an editor reach the server that it starts at the target:
	// forwards to what the session's own processes listen on, and nothing else.
	ChannelIDE Channel = "ide"
)

// Channels lists every channel that a role may name.
var Channels = []Channel{
	ChannelShell, ChannelExec, ChannelSFTP, ChannelAgent, ChannelX11,
	ChannelForwardLocal, ChannelForwardRemote, ChannelForwardSocket, ChannelIDE,
}

// Role is what may be activated, and on what terms.
type Role struct {
	Name          string        `json:"name"`
	Eligible      Members       `json:"eligible"`
	Targets       Selector      `json:"targets"`
	Accounts      []string      `json:"accounts"`
	MaxDuration   time.Duration `json:"max_duration"`
	Justification bool          `json:"justification"` // a reason must be given
	Approval      Approval      `json:"approval"`
	Channels      []Channel     `json:"channels"`
	Env           []string      `json:"env,omitempty"` // variables besides LANG and LC_*
	Commands      Commands      `json:"commands"`
	Recording     Recording     `json:"recording"`
	Files         FileRules     `json:"files"`
	Forwards      ForwardRules  `json:"forwards"`
	// IdleTimeout ends a session in which nothing was typed for so long, and
	// nothing was moved without a terminal either; 0: never.
	IdleTimeout time.Duration `json:"idle_timeout,omitempty"`
}

// Permits reports whether the role allows the channel.
func (r Role) Permits(c Channel) bool { return slices.Contains(r.Channels, c) }

// Approval says who must agree before a request becomes a grant.
type Approval struct {
	Auto   bool    `json:"auto"`
	Stages []Stage `json:"stages,omitempty"`
}

// Stage is one round of approval: Need different approvers must agree.
type Stage struct {
	Approvers Members `json:"approvers"`
	Need      int     `json:"need"`
}

// Recording says what happens where evidence costs something.
type Recording struct {
	// ContinueOnFailure lets a session go on when its recording cannot be
	// written. The default, false, ends it: recorded or refused.
	ContinueOnFailure bool `json:"continue_on_failure"`
	// ContentCap bounds, in bytes per stream, the content kept of a channel
	// without a terminal; the digest always covers everything.
	ContentCap int64 `json:"content_cap"`
}

// Action is what a command rule does, in rising order of severity.
type Action int

// The actions. Deny refuses the line, Terminate ends the session.
const (
	Allow Action = iota
	Alert
	Deny
	Terminate
)

var actionNames = []string{"allow", "alert", "deny", "terminate"}

// String returns the action's name in the configuration.
func (a Action) String() string {
	if a < 0 || int(a) >= len(actionNames) {
		return "unknown"
	}
	return actionNames[a]
}

// ParseAction reads an action's name.
func ParseAction(s string) (Action, error) {
	if i := slices.Index(actionNames, s); i >= 0 {
		return Action(i), nil
	}
	return Allow, Errorf(CodeInvalid, "%q is no action", s).WithHint("expected alert, deny or terminate")
}

// Class groups lines that no rule names but that deserve an answer of their own.
type Class string

// The classes of lines.
const (
	ClassOpaque       Class = "opaque"       // what runs cannot be read from the line
	ClassTamper       Class = "tamper"       // the line changes what is seen of later lines
	ClassUnverifiable Class = "unverifiable" // the line itself could not be read
	ClassUnlisted     Class = "unlisted"     // an allow-list does not allow it
)

// Mode says what command rules do with a line that none of them names.
type Mode string

// The modes. The zero value counts as DenyList.
const (
	DenyList  Mode = "deny-list"  // it is allowed
	AllowList Mode = "allow-list" // it is of the class unlisted
)

// Modes lists every mode.
var Modes = []Mode{DenyList, AllowList}

// Commands are the command rules of a role. The zero value judges nothing.
type Commands struct {
	Mode    Mode             `json:"mode,omitempty"`
	Rules   []CommandRule    `json:"rules,omitempty"`
	Classes map[Class]Action `json:"classes,omitempty"`
	// Mask are patterns of lines that hold a secret, which stands at {}:
	// "mysql * -p{}".
	Mask []string `json:"mask,omitempty"`
}

// CommandRule names a program and what makes it dangerous, or what is done to
// files by SFTP. A rule has one of Program (with Flags and Args narrowing it),
// Match, Regex and SFTP (with Paths narrowing it).
//
// In an allow-list a rule whose action is Allow or Alert says what may run: with
// Flags or Args the program may be given nothing else, and a Match is the whole
// command.
type CommandRule struct {
	Program string       `json:"program,omitempty"` // base name; * and ? match
	Flags   []string     `json:"flags,omitempty"`   // any of these, without dashes, however bundled
	Args    []string     `json:"args,omitempty"`    // any of these arguments; * and ? match
	Match   string       `json:"match,omitempty"`   // a shell-like pattern of a whole command: "rm -rf /*", "curl * | sh"
	Regex   string       `json:"regex,omitempty"`   // of a program with its words, as they are after quotes are undone
	SFTP    []string     `json:"sftp,omitempty"`    // any of these operations: remove, rmdir, rename, write…
	Paths   []string     `json:"paths,omitempty"`   // any of these; ~ is the account's home, ** crosses slashes
	When    *CommandWhen `json:"when,omitempty"`    // nil: always
	Action  Action       `json:"action"`
}

// CommandWhen bounds a rule. Of users and groups one must fit, of targets and
// labels one (of labels all), and of each of the others that is given one.
type CommandWhen struct {
	Users    []string          `json:"users,omitempty"`
	Groups   []string          `json:"groups,omitempty"`
	Targets  []string          `json:"targets,omitempty"` // names; * and ? match
	Labels   map[string]string `json:"labels,omitempty"`
	Accounts []string          `json:"accounts,omitempty"`
	Time     string            `json:"time,omitempty"` // "22:00-06:00", the end not included
	Days     []string          `json:"days,omitempty"` // mon to sun, the day on which Time begins
	Zone     string            `json:"zone,omitempty"` // IANA name; empty: the gateway's
}

// Permission names what a user may do on the gateway itself.
type Permission string

// The permissions.
const (
	PermSessions   Permission = "sessions"   // list, watch, kill, lock
	PermRecordings Permission = "recordings" // list, play, export
	PermAudit      Permission = "audit"
	PermAdmin      Permission = "admin" // everything above, and other people's requests and grants
)

// Permissions lists every permission.
var Permissions = []Permission{PermSessions, PermRecordings, PermAudit, PermAdmin}

// Lock is a standing refusal. Its non-empty selectors must all match.
type Lock struct {
	ID        string    `json:"id"`
	User      string    `json:"user,omitempty"`
	Target    string    `json:"target,omitempty"`
	Account   string    `json:"account,omitempty"`
	Grant     string    `json:"grant,omitempty"`
	Reason    string    `json:"reason"`
	By        string    `json:"by"`
	CreatedAt time.Time `json:"created_at"`
	EndsAt    time.Time `json:"ends_at,omitzero"` // zero: until removed
	Kill      bool      `json:"kill,omitempty"`   // made by killing a session: it ends as killed, not as locked
}

// Covers reports whether the lock refuses user this access under this grant at
// the time now. A lock that selects nothing covers nothing.
func (l Lock) Covers(user string, a Access, grant string, now time.Time) bool {
	if !l.EndsAt.IsZero() && !now.Before(l.EndsAt) {
		return false
	}
	if l.User == "" && l.Target == "" && l.Account == "" && l.Grant == "" {
		return false
	}
	return (l.User == "" || l.User == user) &&
		(l.Target == "" || l.Target == a.Target) &&
		(l.Account == "" || l.Account == a.Account) &&
		(l.Grant == "" || l.Grant == grant)
}
