package policy

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sallyport"
)

// FileOps are the operations that SFTP rules know. write covers uploads,
// appending and truncating; read downloads.
var FileOps = []string{
	"read", "write", "remove", "rename", "mkdir", "rmdir", "setstat", "symlink", "link", "list", "stat", "readlink", "copy",
}

func compileFiles(r sallyport.CommandRule) error {
	bad := func(hint, format string, args ...any) error {
		return sallyport.Errorf(sallyport.CodeInvalid, format, args...).WithHint("%s", hint)
	}
	for _, op := range r.SFTP {
		if op != "*" && !slices.Contains(FileOps, op) {
			return bad("expected "+strings.Join(FileOps, ", ")+` or "*"`, "%q is no operation of SFTP", op)
		}
	}
	for _, p := range r.Paths {
		switch {
		case !strings.HasPrefix(p, "/") && p != "~" && !strings.HasPrefix(p, "~/") && !strings.HasPrefix(p, "**"):
			return bad("expected a path from / or ~/, for example ~/.ssh/** or **.key", "%q is no pattern of paths", p)
		case path.Clean(p) != strings.TrimSuffix(p, "/") && p != "/":
			return bad("write the path in its shortest form", "%q is no pattern of paths", p)
		}
	}
	return nil
}

// JudgeFile returns what an operation on files meets, op one of [FileOps]. The
// paths are absolute, or relative to the account's home; for a deny any one of
// them is enough. One that ends in / is a directory with whatever is in it. An
// operation that is not known meets the rules with "*".
func (c *Commands) JudgeFile(op string, paths ...string) Verdict {
	return c.JudgeFileAt("", op, paths...)
}

// JudgeFileAt is JudgeFile where the account's home is known. Without it ~ fits
// what lies in /root and /home.
func (c *Commands) JudgeFileAt(home, op string, paths ...string) Verdict {
	if !c.Active() {
		return Verdict{}
	}
	var worst Verdict
	allowed := !c.allowList
	shown := sallyport.Printable(strings.Join(paths, ", "))
	for _, r := range c.rules {
		if !r.fitsFiles(home, op, paths) || !c.holds(r) {
			continue
		}
		allowed = allowed || r.action <= sallyport.Alert && r.covers(home, paths)
		if r.action > worst.Action {
			worst = Verdict{
				Action: r.action, Rule: r.text, Program: "sftp",
				Reason: fmt.Sprintf("%s of %s is not allowed here (rule: %s)", op, shown, r.text),
			}
		}
	}
	if !allowed && c.unlisted > worst.Action {
		worst = Verdict{
			Action: c.unlisted, Class: sallyport.ClassUnlisted, Program: "sftp",
			Reason: fmt.Sprintf("no rule of your role allows %s of %s", op, shown),
		}
	}
	return worst
}

// JudgesFiles reports whether what is done to files may meet anything but leave:
// op itself, or, where it is empty, any operation.
func (c *Commands) JudgesFiles(op string) bool {
	return c.Active() && (c.allowList || slices.ContainsFunc(c.rules, func(r *rule) bool {
		return len(r.sftp) > 0 && (op == "" || slices.Contains(r.sftp, op) || slices.Contains(r.sftp, "*"))
	}))
}

func (r *rule) fitsFiles(home, op string, paths []string) bool {
	if !slices.Contains(r.sftp, op) && !slices.Contains(r.sftp, "*") {
		return false
	}
	return len(r.paths) == 0 || slices.ContainsFunc(paths, func(p string) bool { return r.fitsPath(home, p) })
}

// covers reports whether every path is one of the rule's, as one that allows
// needs it.
func (r *rule) covers(home string, paths []string) bool {
	return len(r.paths) == 0 || !slices.ContainsFunc(paths, func(p string) bool { return !r.fitsPath(home, p) })
}

func (r *rule) fitsPath(home, p string) bool {
	tree := len(p) > 1 && strings.HasSuffix(p, "/")
	p = homePath(p)
	home = strings.TrimSuffix(home, "/")
	other := p // the same path, spelled from / or from ~
	switch {
	case home == "":
	case strings.HasPrefix(p, "~"):
		other = home + p[1:]
	case p == home || strings.HasPrefix(p, home+"/"):
		other = "~" + p[len(home):]
	}
	for _, pattern := range r.paths {
		if sallyport.MatchPath(pattern, p) || sallyport.MatchPath(pattern, other) {
			return true
		}
		if tree && (below(pattern, p) || below(pattern, other)) {
			return true
		}
		rest, ok := strings.CutPrefix(pattern, "~")
		if ok && home == "" && (sallyport.MatchPath("/root"+rest, p) || sallyport.MatchPath("/home/*"+rest, p)) {
			return true
		}
	}
	return false
}

// below reports whether the pattern may fit something in the directory.
func below(pattern, dir string) bool {
	some, _ := sallyport.MatchesBelow(pattern, dir)
	return some
}

// homePath returns the path in its shortest form, from / or from ~.
func homePath(p string) string {
	if strings.HasPrefix(p, "/") {
		return path.Clean(p)
	}
	if p == "~" || strings.HasPrefix(p, "~/") {
		p = p[1:]
	}
	if p = path.Clean(strings.TrimLeft(p, "/")); p == "." {
		return "~"
	}
	return "~/" + p
}
