package stream

import (
	"path"
	"slices"
	"strings"

	"sallyport"
	"sallyport/internal/wire"
)

// Refusal is an answer that the gateway gives itself.
type Refusal struct {
	Code uint32
	Text string
}

func (r *Refusal) Error() string { return strings.TrimPrefix(r.Text, Prefix) }

// Refuse returns a refusal with a code of SFTP's.
func Refuse(code uint32, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Text: Ours(format, args...)}
}

// Denied is the refusal of what a role may not do.
func Denied(format string, args ...any) *Refusal {
	return Refuse(wire.FxPermissionDenied, format, args...)
}

// Rules are a role's, with what follows from them.
type Rules struct {
	sallyport.FileRules
	Restrict bool // they refuse something
}

// NewRules returns the rules of a role.
func NewRules(r sallyport.FileRules) Rules { return Rules{r, r.Restricts()} }

// Globs reports whether they look at paths.
func (r Rules) Globs() bool { return len(r.Allow) > 0 || len(r.Deny) > 0 }

// CheckDirection refuses what moves content, or changes something, the wrong way.
func (r Rules) CheckDirection(d sallyport.Direction) *Refusal {
	if r.May(d) {
		return nil
	}
	if d == sallyport.FilesUpload {
		return Denied("your role may not upload or change files")
	}
	return Denied("your role may not download files")
}

// CheckSize refuses a file that would be too large.
func (r Rules) CheckSize(end uint64) *Refusal {
	if r.MaxSize > 0 && end > uint64(r.MaxSize) {
		return Denied("your role allows files of %d bytes at most", r.MaxSize)
	}
	return nil
}

// CheckPath refuses an absolute path in its shortest form.
func (r Rules) CheckPath(p string) *Refusal {
	switch {
	case !r.Globs():
		return nil
	case !path.IsAbs(p) || path.Clean(p) != p || strings.IndexByte(p, 0) >= 0:
		return Denied("%s is no absolute path", sallyport.Printable(p))
	case len(p) > MaxPath:
		return Denied("the path is too long")
	case sallyport.MatchPath("/proc/**", p): // /proc/self/mem is the server itself
		return Denied("where paths are limited, /proc is not allowed")
	case sallyport.MatchAnyPath(r.Deny, p), len(r.Allow) > 0 && !sallyport.MatchAnyPath(r.Allow, p):
		return Denied("your role does not allow %s", sallyport.Printable(p))
	}
	return nil
}

// CheckWritten refuses a path that nobody resolves: where it does not say by itself
// which file it is, too.
func (r Rules) CheckWritten(p string) *Refusal {
	switch {
	case !r.Globs():
		return nil
	case !path.IsAbs(p):
		return Denied("your role limits paths, so they must begin with a slash: %s", sallyport.Printable(p))
	case slices.Contains(strings.Split(p, "/"), ".."):
		return Denied("your role limits paths, so they may not go up: %s", sallyport.Printable(p))
	}
	return r.CheckPath(path.Clean(p))
}

// CheckPattern refuses a path that a shell at the target would make others of.
func (r Rules) CheckPattern(p string) *Refusal {
	if r.Globs() && strings.ContainsAny(p, "*?[") {
		return Denied("your role limits paths, so they may hold no pattern: %s", sallyport.Printable(p))
	}
	return nil
}

// CheckTree refuses a directory below which something would be refused: it may not
// move, nor may one come to its place, because the rules would then say
// something else about what is in it.
func (r Rules) CheckTree(dir string) *Refusal {
	allowed := len(r.Allow) == 0
	for _, p := range r.Allow {
		_, all := sallyport.MatchesBelow(p, dir)
		allowed = allowed || all
	}
	for _, p := range r.Deny {
		some, _ := sallyport.MatchesBelow(p, dir)
		allowed = allowed && !some
	}
	if !allowed {
		return Denied("your role does not allow all of %s", sallyport.Printable(dir))
	}
	return nil
}
