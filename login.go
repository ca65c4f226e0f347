package sallyport

import "strings"

// Login is what an SSH login name at the gateway says: where to, and perhaps who.
type Login struct {
	User   string // the person it names; empty where it names none
	Access Access // the zero Access means the console
}

// Console reports whether the login asks for the gateway's own console.
func (l Login) Console() bool { return l.Access == Access{} }

const loginSeparators = "@+%"

// maxLogin bounds a login name, in bytes.
const maxLogin = 256

// ParseLogin reads a login name: root@web1, root+web1, root%web1, each perhaps
// with the person before it (alice+root+web1), or a name without a separator
// for the console.
//
// The last separator splits off the target, because OpenSSH splits user@host
// at its last @. target resolves a name or alias and lists the accounts there;
// an account may itself hold a separator (svc@corp) and is then recognised
// whole. An unknown target is no error here: whoever asks for it gets the same
// refusal as for one that is not theirs.
func ParseLogin(s string, target func(name string) (Target, bool)) (Login, error) {
	bad := func() (Login, error) {
		return Login{}, Errorf(CodeUsage, "the login name is not understood").
			WithHint("write account@target, for example root@web1")
	}
	if len(s) > maxLogin {
		return bad()
	}
	for _, c := range []byte(s) {
		if !isNameByte(c) && !strings.ContainsRune(loginSeparators, rune(c)) {
			return bad()
		}
	}
	i := strings.LastIndexAny(s, loginSeparators)
	if i < 0 {
		return Login{User: s}, nil
	}
	rest, name := s[:i], s[i+1:]
	if rest == "" || name == "" {
		return bad()
	}
	t, known := target(name)
	if known {
		name = t.Name
		for _, a := range t.Accounts {
			if a == rest {
				return Login{Access: Access{Account: a, Target: name}}, nil
			}
		}
		for _, a := range t.Accounts {
			if user, ok := strings.CutSuffix(rest, a); ok && len(user) > 1 &&
				strings.ContainsAny(user[len(user)-1:], loginSeparators) {
				return Login{User: user[:len(user)-1], Access: Access{Account: a, Target: name}}, nil
			}
		}
	}
	var user string
	if j := strings.IndexAny(rest, loginSeparators); j >= 0 {
		user, rest = rest[:j], rest[j+1:]
		if user == "" || rest == "" {
			return bad()
		}
	}
	return Login{User: user, Access: Access{Account: rest, Target: name}}, nil
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '.' || c == '_' || c == '-'
}

// ValidName reports whether s can name a user, a group, a role or a target:
// letters, digits, dot, underscore and dash, at most 64, not beginning with a
// dash or a dot.
func ValidName(s string) bool {
	return validChars(s, "") && s[0] != '-' && s[0] != '.'
}

// ValidAccount reports whether s can name an account on a target. It is also
// what the CA accepts as a principal: no comma, blank, NUL or wildcard, which
// sshd or a parser on the way could read as something else (CVE-2026-35414).
func ValidAccount(s string) bool {
	return validChars(s, "@") && s[0] != '-'
}

func validChars(s, more string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !isNameByte(c) && !strings.ContainsRune(more, rune(c)) {
			return false
		}
	}
	return true
}
