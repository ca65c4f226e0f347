package transfer

import (
	"path"
	"slices"
	"strings"

	"sallyport"
	"sallyport/internal/wire"
)

// refusal is an answer that the gateway gives itself.
type refusal struct {
	code uint32
	text string
}

func (r *refusal) Error() string { return strings.TrimPrefix(r.text, prefix) }

func denied(format string, args ...any) *refusal {
	return &refusal{wire.FxPermissionDenied, ours(format, args...)}
}

// rules are a role's, with what follows from them.
type rules struct {
	sallyport.FileRules
	restricts bool
}

func newRules(r sallyport.FileRules) rules { return rules{r, r.Restricts()} }

func (r rules) globs() bool { return len(r.Allow) > 0 || len(r.Deny) > 0 }

// direction refuses what moves content, or changes something, the wrong way.
func (r rules) direction(d sallyport.Direction) *refusal {
	if r.May(d) {
		return nil
	}
	if d == sallyport.FilesUpload {
		return denied("your role may not upload or change files")
	}
	return denied("your role may not download files")
}

// size refuses a file that would be too large.
func (r rules) size(end uint64) *refusal {
	if r.MaxSize > 0 && end > uint64(r.MaxSize) {
		return denied("your role allows files of %d bytes at most", r.MaxSize)
	}
	return nil
}

// path refuses an absolute path in its shortest form.
func (r rules) path(p string) *refusal {
	switch {
	case !r.globs():
		return nil
	case !path.IsAbs(p) || path.Clean(p) != p || strings.IndexByte(p, 0) >= 0:
		return denied("%s is no absolute path", sallyport.Printable(p))
	case len(p) > maxPath:
		return denied("the path is too long")
	case sallyport.MatchPath("/proc/**", p): // /proc/self/mem is the server itself
		return denied("where paths are limited, /proc is not allowed")
	case sallyport.MatchAnyPath(r.Deny, p), len(r.Allow) > 0 && !sallyport.MatchAnyPath(r.Allow, p):
		return denied("your role does not allow %s", sallyport.Printable(p))
	}
	return nil
}

// written refuses a path that nobody resolves: where it does not say by itself
// which file it is, too.
func (r rules) written(p string) *refusal {
	switch {
	case !r.globs():
		return nil
	case !path.IsAbs(p):
		return denied("your role limits paths, so they must begin with a slash: %s", sallyport.Printable(p))
	case slices.Contains(strings.Split(p, "/"), ".."):
		return denied("your role limits paths, so they may not go up: %s", sallyport.Printable(p))
	}
	return r.path(path.Clean(p))
}

// tree refuses a directory below which something would be refused: it may not
// move, nor may one come to its place, because the rules would then say
// something else about what is in it.
func (r rules) tree(dir string) *refusal {
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
		return denied("your role does not allow all of %s", sallyport.Printable(dir))
	}
	return nil
}
