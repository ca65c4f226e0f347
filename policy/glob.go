package policy

import (
	"strings"

	"sallyport/policy/shell"
)

// Both a rule and a line may hold globs: "rm /et?" may remove what a rule about
// /etc protects. So the question is whether some text fits both.

type symbol struct {
	r    rune // 0 for any one
	star bool // any number of any
	deep bool // it may stand for a slash
	text bool // from Unknown: the line does not tell
}

func symbols(s string, deep bool) []symbol {
	out := make([]symbol, 0, len(s))
	runes := []rune(s)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; r {
		case '*':
			star := symbol{star: true, deep: deep}
			for i+1 < len(runes) && runes[i+1] == '*' {
				i++
				star.deep = true
			}
			out = append(out, star)
		case '?':
			out = append(out, symbol{deep: deep})
		case '[':
			end := closing(runes, i)
			if end < 0 {
				out = append(out, symbol{r: r})
				continue
			}
			out = append(out, symbol{deep: deep})
			i = end
		case shell.Unknown:
			out = append(out, symbol{star: true, deep: true, text: true})
		default:
			out = append(out, symbol{r: r})
		}
	}
	return out
}

// closing returns the index of the ] that ends the class at i, or -1.
func closing(runes []rune, i int) int {
	j := i + 1
	if j < len(runes) && (runes[j] == '!' || runes[j] == '^') {
		j++
	}
	for j++; j < len(runes); j++ {
		if runes[j] == ']' {
			return j
		}
	}
	return -1
}

// matchText reports whether some text fits both the rule's pattern and the
// word of a line. In a path a star of the rule does not cross slashes, two do.
func matchText(pattern, word string, isPath bool) match {
	if pattern == word && !strings.ContainsRune(word, shell.Unknown) {
		return yes
	}
	plain := func(s string) bool { return !strings.ContainsAny(s, "*?["+string(shell.Unknown)) }
	if plain(pattern) && plain(word) {
		return no
	}
	a := symbols(pattern, !isPath)
	if strings.ContainsRune(word, shell.Unknown) {
		// What is known may suffice: r$@m is rm where $@ is empty.
		if known := strings.ReplaceAll(word, string(shell.Unknown), ""); known != "" && meet(a, symbols(known, false)) {
			return yes
		}
		if meet(a, symbols(word, false)) {
			return maybe
		}
		return no
	}
	if !meet(a, symbols(word, false)) {
		return no
	}
	if strings.Trim(word, "*") == "" && strings.Trim(pattern, "*") != "" {
		return maybe // a lone star names everything and nothing
	}
	return yes
}

// meet reports whether some text fits both, in time and memory bounded by the
// product of their lengths.
func meet(a, b []symbol) bool {
	const limit = 4096 // of symbols; longer words are cut, a rule is shorter
	a, b = a[:min(len(a), limit)], b[:min(len(b), limit)]
	next, cur := make([]bool, len(b)+1), make([]bool, len(b)+1)
	for i := len(a); i >= 0; i-- {
		for j := len(b); j >= 0; j-- {
			switch {
			case i == len(a) && j == len(b):
				cur[j] = true
			default:
				cur[j] = i < len(a) && a[i].star && (next[j] || j < len(b) && fits(a[i], b[j]) && cur[j+1]) ||
					j < len(b) && b[j].star && (cur[j+1] || i < len(a) && fits(b[j], a[i]) && next[j]) ||
					i < len(a) && j < len(b) && !a[i].star && !b[j].star && fits(a[i], b[j]) && next[j+1]
			}
		}
		next, cur = cur, next
	}
	return next[0]
}

// fits reports whether x may stand for what y stands for.
func fits(x, y symbol) bool {
	switch {
	case x.star && y.star:
		return true
	case x.r != 0 && y.r != 0:
		return x.r == y.r
	case x.r == '/':
		return y.deep
	case y.r == '/':
		return x.deep
	}
	return true
}
