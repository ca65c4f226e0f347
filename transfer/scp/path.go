package scp

import (
	"path"
	"strings"

	"sallyport/transfer/stream"
)

// argument is where a file lies that scp -f sends, by the name that it is sent
// under: which of the arguments it belongs to. An argument may be a pattern that
// the shell at the target has expanded.
func (s *Stream) argument(name string) []string {
	var all []string
	for _, arg := range s.cmd.Paths {
		if arg != "/" {
			arg = strings.TrimRight(arg, "/") // source in scp.c strips them
		}
		dir, base := path.Split(arg)
		if ok, err := path.Match(base, name); base == name || err == nil && ok {
			all = append(all, dir+name)
		}
	}
	if len(all) == 0 {
		all = []string{name}
	}
	return all
}

// judged asks the command rules about a file or a directory.
func (s *Stream) judged(r record, paths []string) *stream.Refusal {
	op := "read"
	switch {
	case s.cfg.Judge == nil:
		return nil
	case !s.cmd.Exact:
		return stream.Denied("your role has rules about files, and the command does not tell which")
	case s.cmd.Upload && r == dir:
		op = "mkdir"
	case s.cmd.Upload:
		op = "write"
	}
	return s.cfg.Judged("", op, paths...)
}
