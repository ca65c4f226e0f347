package sallyport

import (
	"path"
	"strings"
)

// MatchPath reports whether the pattern fits the whole path. * and ? stop at a
// slash, ** does not; /srv/** fits /srv itself too. Everything else stands for
// itself. Time and memory are bounded by the product of the lengths.
func MatchPath(pattern, name string) bool {
	if base, ok := strings.CutSuffix(pattern, "/**"); ok && MatchPath(base, name) {
		return true
	}
	whole, _ := match(pattern, name)
	return whole
}

// match reports whether the pattern fits the whole name, and whether some
// beginning of it does.
func match(pattern, name string) (whole, beginning bool) {
	// fits[j]: what was read of the pattern fits name[:j].
	fits := make([]bool, len(name)+1)
	fits[0] = true
	for i := 0; i < len(pattern); i++ {
		beginning = beginning || fits[len(name)]
		star, deep := pattern[i] == '*', false
		for star && i+1 < len(pattern) && pattern[i+1] == '*' {
			deep = true
			i++
		}
		if star {
			for j := range len(name) {
				fits[j+1] = fits[j+1] || fits[j] && (deep || name[j] != '/')
			}
			continue
		}
		for j := len(name); j > 0; j-- {
			c := name[j-1]
			fits[j] = fits[j-1] && (c == pattern[i] || pattern[i] == '?' && c != '/')
		}
		fits[0] = false
	}
	return fits[len(name)], beginning || fits[len(name)]
}

// MatchAnyPath reports whether one of the patterns fits the path. A path that
// is not absolute or not in its shortest form (/a/../b) fits none: it would say
// one thing here and another at the target.
func MatchAnyPath(patterns []string, name string) bool {
	if !path.IsAbs(name) || path.Clean(name) != name || strings.ContainsRune(name, 0) {
		return false
	}
	for _, p := range patterns {
		if MatchPath(p, name) {
			return true
		}
	}
	return false
}

// MatchesBelow says what a pattern says about the paths below dir, which is
// absolute and in its shortest form: whether it may fit some of them, and
// whether it surely fits all.
func MatchesBelow(pattern, dir string) (some, all bool) {
	// Whatever is left of a pattern fits something.
	whole, some := match(pattern, strings.TrimSuffix(dir, "/")+"/")
	return some, whole && strings.HasSuffix(pattern, "**")
}
