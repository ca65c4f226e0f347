package transfer

import (
	"sallyport"
	"sallyport/internal/wire"
	"sallyport/transfer/stream"
)

// ruled asks the command rules about a request: of the paths as they were asked
// and where they lead. What makes a file appear at a path counts as writing it,
// too: a rename, a link. A refusal is a *stream.Refusal.
func (s *SFTP) ruled(q wire.SFTPRequest, p *pending) error {
	if s.cfg.Judge == nil {
		return nil
	}
	switch q.Type {
	case wire.SFTPOpen:
		if p.opened.write {
			if err := s.judge("write", follow, q.Path); err != nil {
				return err
			}
		}
		if p.opened.read {
			return s.judge("read", follow, q.Path)
		}
	case wire.SFTPOpendir:
		return s.judge("list", follow, q.Path)
	case wire.SFTPStat:
		return s.judge("stat", follow, q.Path)
	case wire.SFTPLstat:
		return s.judge("stat", stay, q.Path)
	case wire.SFTPReadlink:
		return s.judge("readlink", stay, q.Path)
	case wire.SFTPRemove:
		return s.judge("remove", stay, q.Path)
	case wire.SFTPRmdir:
		return s.judge("rmdir", stay, q.Path)
	case wire.SFTPMkdir:
		return s.judge("mkdir", stay, q.Path)
	case wire.SFTPSetstat:
		return s.judgeAttrs(q, follow, q.Path)
	case wire.SFTPFsetstat:
		if p.file != nil {
			return s.judgeAttrs(q, follow, p.file.path)
		}
	case wire.SFTPRename:
		return s.judgeRename(q)
	case wire.SFTPSymlink: // the link is the second path (OpenSSH), or the first (the draft)
		if err := s.judge("symlink", stay, q.Path, q.To); err != nil {
			return err
		}
		return s.judge("write", stay, q.To)
	case wire.SFTPExtended:
		switch q.Extension {
		case wire.ExtPosixRename:
			return s.judgeRename(q)
		case wire.ExtHardlink: // whoever writes the one writes the other
			if err := s.judge("link", follow, q.Path, q.To); err != nil {
				return err
			}
			return s.judge("write", follow, q.Path, q.To)
		case wire.ExtLsetstat:
			return s.judgeAttrs(q, stay, q.Path)
		case wire.ExtStatvfs:
			return s.judge("stat", follow, q.Path)
		case wire.ExtCopyData:
			if p.event != nil {
				return s.judge("copy", follow, p.event.Path, p.event.To)
			}
		}
	}
	return nil
}

// judgeAttrs: cutting a file is writing it.
func (s *SFTP) judgeAttrs(q wire.SFTPRequest, how resolution, asked string) error {
	if err := s.judge("setstat", how, asked); err != nil || q.Attrs.Flags&wire.AttrSize == 0 {
		return err
	}
	return s.judge("write", how, asked)
}

// judgeRename: a directory brings along what is in it.
func (s *SFTP) judgeRename(q wire.SFTPRequest) error {
	if err := s.judge("rename", stay, q.Path, q.To); err != nil {
		return err
	}
	if !s.cfg.Judges("write") {
		return nil
	}
	a, err := s.ask(wire.SFTPRequest{Type: wire.SFTPLstat, Path: q.Path})
	if err != nil {
		return err
	}
	const kind, directory = 0o170000, 0o040000
	tree := a.Type != wire.SFTPAttrs || a.Attrs.Flags&wire.AttrPermissions == 0 || a.Attrs.Permissions&kind == directory
	paths, err := s.named(stay, q.To)
	if err != nil {
		return err
	}
	if tree && !(a.Type == wire.SFTPStatus && a.Code == wire.FxNoSuchFile) {
		for i := range paths {
			paths[i] += "/"
		}
	}
	return refusal(s.cfg.Judged(s.home, "write", paths...))
}

// judge asks about one operation.
func (s *SFTP) judge(op string, how resolution, asked ...string) error {
	if !s.cfg.Judges(op) {
		return nil
	}
	paths, err := s.named(how, asked...)
	if err != nil {
		return err
	}
	return refusal(s.cfg.Judged(s.home, op, paths...))
}

// named returns the paths in their shortest form, as they were asked and as the
// target resolves them.
func (s *SFTP) named(how resolution, asked ...string) ([]string, error) {
	var all []string
	for _, p := range asked {
		lexical, real, err := s.resolve(p, how)
		if err != nil {
			return nil, err
		}
		if all = append(all, lexical); real != lexical {
			all = append(all, real)
		}
	}
	return all, nil
}

// refusal is no as an error, without the nil that is none.
func refusal(no *stream.Refusal) error {
	if no == nil {
		return nil
	}
	return no
}

// Judge is an error where the command rules refuse a command of which only the
// line is read: rsync and git write or read whatever is below their paths. What
// SFTP and scp do is the stream's business.
func (c Command) Judge(cfg Config) error {
	if cfg.Judge == nil || c.Kind == KindSFTP || c.Kind == KindSCP {
		return nil
	}
	for op, d := range map[string]sallyport.Direction{"write": sallyport.FilesUpload, "read": sallyport.FilesDownload} {
		if c.Direction != d && c.Direction != sallyport.FilesBoth || !cfg.Judges(op) {
			continue
		}
		if !c.Exact {
			return stream.Denied("your role has rules about files, and the command does not tell which")
		}
		for _, p := range c.Paths {
			if no := cfg.Judged("", op, p+"/"); no != nil {
				return no
			}
		}
	}
	return nil
}
