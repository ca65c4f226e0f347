package policy

import "sallyport"

// defaultOpen is how many forwarded channels a session has where its role does
// not say: a browser through -D takes a few dozen.
const defaultOpen = 64

// Forwards answers where a role's forwards may lead. The nil Forwards allows
// nothing.
type Forwards struct {
	role          sallyport.Role
	local, remote []HostPort
}

func checkForwards(r sallyport.Role) error {
	for _, l := range []struct {
		key     string
		list    []string
		channel sallyport.Channel
	}{
		{"local", r.Forwards.Local, sallyport.ChannelForwardLocal},
		{"remote", r.Forwards.Remote, sallyport.ChannelForwardRemote},
		{"sockets", r.Forwards.Sockets, sallyport.ChannelForwardSocket},
	} {
		switch {
		case len(l.list) > 0 && !r.Permits(l.channel):
			return sallyport.Errorf(sallyport.CodeInvalid, "forwards: %s is nothing without the channel %s", l.key, l.channel)
		case len(l.list) == 0 && r.Permits(l.channel):
			return sallyport.Errorf(sallyport.CodeInvalid, "the channel %s is nothing without a list of where to", l.channel).
				WithHint("forwards: {%s: [ … ]}", l.key)
		}
	}
	if r.Permits(sallyport.ChannelIDE) && !r.Permits(sallyport.ChannelExec) {
		return sallyport.Errorf(sallyport.CodeInvalid, "the channel ide is nothing without exec, by which the server is started")
	}
	for _, list := range [][]string{r.Forwards.Local, r.Forwards.Remote} {
		for _, s := range list {
			if _, err := ParseHostPort(s); err != nil {
				return err
			}
		}
	}
	for _, s := range r.Forwards.Sockets {
		if s == "" || s[0] != '/' {
			return sallyport.Errorf(sallyport.CodeInvalid, "%q is no pattern of sockets", s).
				WithHint("expected a path from /, for example /run/postgresql/*")
		}
	}
	return nil
}

// compileForwards is called for a checked role.
func compileForwards(r sallyport.Role) *Forwards {
	f := &Forwards{role: r}
	compile := func(list []string) (out []HostPort) {
		for _, s := range list {
			if p, err := ParseHostPort(s); err == nil {
				out = append(out, p)
			}
		}
		return out
	}
	f.local, f.remote = compile(r.Forwards.Local), compile(r.Forwards.Remote)
	return f
}

// Local reports whether a connection from the target to host and port is allowed.
func (f *Forwards) Local(host string, port uint32) bool {
	return f.Permits(sallyport.ChannelForwardLocal) && matches(f.local, host, port)
}

// Remote reports whether the target may listen on host and port for the client.
// The empty host, which means every address there, counts as "*".
func (f *Forwards) Remote(host string, port uint32) bool {
	if host == "" {
		host = "*"
	}
	return f.Permits(sallyport.ChannelForwardRemote) && matches(f.remote, host, port)
}

// Socket reports whether a unix socket at the target may be reached or listened on.
// A path that is not in its shortest form is none of the list's.
func (f *Forwards) Socket(name string) bool {
	return f.Permits(sallyport.ChannelForwardSocket) && sallyport.MatchAnyPath(f.role.Forwards.Sockets, name)
}

// Open returns how many forwarded channels a session may have open at once.
func (f *Forwards) Open() int {
	if f == nil || f.role.Forwards.MaxOpen == 0 {
		return defaultOpen
	}
	return f.role.Forwards.MaxOpen
}

// Bytes returns what one forwarded channel may carry, both ways together; 0: no
// limit.
func (f *Forwards) Bytes() int64 {
	if f == nil {
		return 0
	}
	return f.role.Forwards.MaxBytes
}

// Permits reports whether the role allows the channel.
func (f *Forwards) Permits(c sallyport.Channel) bool { return f != nil && f.role.Permits(c) }

func matches(list []HostPort, host string, port uint32) bool {
	for _, p := range list {
		if p.Matches(host, port) {
			return true
		}
	}
	return false
}

// Forwards returns the compiled forward rules of the role; nil, which allows
// nothing, for a role that does not exist.
func (p *Policy) Forwards(role string) *Forwards { return p.forwards[role] }
