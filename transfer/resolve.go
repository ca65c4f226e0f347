package transfer

import (
	"path"
	"strings"

	"sallyport/internal/wire"
	"sallyport/transfer/stream"
)

// ask asks the target on the gateway's behalf and waits for the answer. It is
// called with mu held, by FromClient, which sends nothing else meanwhile: so the
// client cannot take the id before the answer is there.
func (s *SFTP) ask(q wire.SFTPRequest) (wire.SFTPAnswer, error) {
	for s.pending[s.ownID] != nil {
		s.ownID--
	}
	q.ID = s.ownID
	reply := replies[q.Type]
	s.mu.Unlock()
	err := s.client.flush()
	s.mu.Lock()
	if err == nil && s.err != nil {
		err = s.err
	}
	if err != nil {
		return wire.SFTPAnswer{}, err
	}
	p := &pending{typ: q.Type, reply: reply, own: true}
	s.push(q.ID, p)
	s.mu.Unlock()
	err = s.toTarget(q.Append(nil))
	s.mu.Lock()
	for err == nil && s.err == nil && p.answer == nil {
		s.cond.Wait()
	}
	switch {
	case err != nil:
		return wire.SFTPAnswer{}, err
	case p.answer == nil:
		return wire.SFTPAnswer{}, s.err
	}
	return *p.answer, nil
}

// resolution is what an operation does with a link at the end of its path.
type resolution int

const (
	follow resolution = iota // works on what it leads to
	stay                     // works on the link itself
)

// checkPath refuses a path unless it is allowed both as it was asked and where it
// leads to now. Somebody at the target may turn it elsewhere before it is used.
func (s *SFTP) checkPath(asked string, how resolution) error {
	if !s.rules.Globs() {
		return nil
	}
	_, _, err := s.resolve(asked, how)
	return err
}

// resolve checks a path, and returns it in its shortest form as it was asked and
// as the target resolves it.
func (s *SFTP) resolve(asked string, how resolution) (lexical, real string, err error) {
	if len(asked) > stream.MaxPath {
		return "", "", stream.Denied("the path is too long")
	}
	if s.home == "" {
		a, err := s.ask(wire.SFTPRequest{Type: wire.SFTPRealpath, Path: "."})
		if err != nil {
			return "", "", err
		}
		if a.Type != wire.SFTPName || !path.IsAbs(a.Name) {
			return "", "", stream.Denied("the target does not tell where its home is")
		}
		s.home = path.Clean(a.Name)
	}
	lexical = s.absolute(s.home, asked)
	if no := s.rules.CheckPath(lexical); no != nil {
		return "", "", no
	}
	if how == follow {
		real, err = s.realpath(asked)
		return lexical, real, err
	}
	bare := strings.TrimRight(asked, "/")
	dir, base := path.Split(bare)
	if base == "" || base == "." || base == ".." || bare != asked {
		// No name of its own, or one that the kernel follows.
		if bare == "" {
			bare = asked
		}
		if real, err = s.realpath(bare); err != nil {
			return "", "", err
		}
		if base == "" || base == "." || base == ".." {
			return lexical, real, nil
		}
	}
	if dir == "" {
		dir = "."
	}
	parent, err := s.realpath(dir, base)
	return lexical, parent, err
}

func (s *SFTP) absolute(from, p string) string {
	if path.IsAbs(p) {
		return path.Clean(p)
	}
	return path.Join(from, p)
}

// realpath has the target resolve p, and checks what comes of it with the names
// below it.
func (s *SFTP) realpath(p string, below ...string) (string, error) {
	a, err := s.ask(wire.SFTPRequest{Type: wire.SFTPRealpath, Path: p})
	if err != nil {
		return "", err
	}
	if a.Type == wire.SFTPStatus {
		code := uint32(wire.FxPermissionDenied)
		if a.Code == wire.FxNoSuchFile {
			code = wire.FxNoSuchFile
		}
		return "", stream.Refuse(code, "the target cannot resolve the path: %s", statusText(a))
	}
	if a.Type != wire.SFTPName || a.Names != 1 || !path.IsAbs(a.Name) {
		return "", stream.Denied("the target does not resolve the path")
	}
	real := path.Join(append([]string{path.Clean(a.Name)}, below...)...)
	if no := s.rules.CheckPath(real); no != nil {
		return "", no
	}
	return real, nil
}

// checkRename checks both names. A directory takes along what is below it, so
// nothing there may be judged otherwise before or after.
func (s *SFTP) checkRename(from, to string) error {
	var all []string
	for _, p := range []string{from, to} {
		lexical, real, err := s.resolve(p, stay)
		if err != nil {
			return err
		}
		all = append(all, lexical, real)
	}
	var no *stream.Refusal
	for _, p := range all {
		if no == nil {
			no = s.rules.CheckTree(p)
		}
	}
	if no == nil {
		return nil
	}
	a, err := s.ask(wire.SFTPRequest{Type: wire.SFTPLstat, Path: from})
	if err != nil {
		return err
	}
	const kind, directory = 0o170000, 0o040000
	if a.Type == wire.SFTPStatus && a.Code == wire.FxNoSuchFile {
		return nil // the target will say so
	}
	if a.Type != wire.SFTPAttrs || a.Attrs.Flags&wire.AttrPermissions == 0 || a.Attrs.Permissions&kind == directory || a.Attrs.Permissions&kind == 0 {
		return no
	}
	return nil
}

// checkSymlink checks where a link is to be and what it is to say: relative to
// where it is, and, for a server that takes the two the other way round, as the
// draft has it, each as if it were the other.
func (s *SFTP) checkSymlink(says, link string) error {
	lexical, real, err := s.resolve(link, stay)
	if err != nil {
		return err
	}
	for _, at := range []string{lexical, real} {
		if no := s.rules.CheckPath(s.absolute(path.Dir(at), says)); no != nil {
			return no
		}
	}
	if path.IsAbs(says) {
		_, _, err = s.resolve(says, follow)
		if no, ok := err.(*stream.Refusal); ok && no.Code == wire.FxNoSuchFile {
			return nil // a link may lead nowhere yet; its use is judged again
		}
		return err
	}
	return nil
}
