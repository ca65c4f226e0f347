package shell

import (
	"slices"
	"strings"
	"testing"
)

// show writes calls as people would: program and words, pipelines apart.
func show(s Script) []string {
	var out []string
	for _, c := range s.Calls {
		line := c.Program
		for _, a := range c.Args {
			line += " " + string(a)
		}
		out = append(out, strings.ReplaceAll(line, unknown, "…"))
	}
	return out
}

func TestParse(t *testing.T) {
	for line, want := range map[string][]string{
		"":                                   nil,
		"ls -l  x":                           {"ls -l x"},
		"/bin/ls":                            {"ls"},
		"a; b && c || d & e":                 {"a", "b", "c", "d", "e"},
		`e'c'h"o" \a $'\x62' "c d"`:          {"echo a b c d"},
		"echo {a,b}{1..2}":                   {"echo a1 a2 b1 b2"},
		"x=a y=b; echo $x$y $z":              {"echo ab …"},
		`echo "$x" '$x' ~ ~root/x`:           {"echo … $x ~ ~root/x"},
		"sudo -u bob env -i A=b nice -n 5 x": {"sudo -u bob env -i A=b nice -n 5 x", "env -i A=b nice -n 5 x", "nice -n 5 x", "x"},
		"sh -c 'a; b'":                       {"sh -c a; b", "a", "b"},
		"find . -exec a {} + -exec b ';'":    {"find . -exec a {} + -exec b ;", "a …", "b"},
		"echo a b | xargs rm":                {"echo a b", "xargs rm", "rm a b"},
		"cat f | xargs rm":                   {"cat f", "xargs rm", "rm …"},
		"export A=b c":                       {"export A=b c"},
		"$x a":                               {"… a", "a", "a"}, // with $x unknown, and empty
		"echo $(a)":                          {"a", "echo …"},
		"echo # a":                           {"echo"},
		"cat <<E\n$(a)\nE":                   {"a", "cat"},
		"cat <<'E'\n$(a)\nE":                 {"cat"},
		"timeout -k 1 5 ssh -p 22 h -- a b":  {"timeout -k 1 5 ssh -p 22 h -- a b", "ssh -p 22 h -- a b", "a b"},
		"if a; then b; else c; fi":           {"a", "b", "c"},
		"rm -r x; echo 'a":                   {"rm -r x"},
	} {
		if got := show(Parse(line)); !slices.Equal(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", line, got, want)
		}
	}
}

func TestPipesAndSubstitutionsBelongTogether(t *testing.T) {
	for line, together := range map[string]bool{
		"a | b": true, "a |& b": true, "a | (c; b)": true, "a | sudo b": true, "b $(a)": true, "b <(a)": true, `b "$(a)"`: true, "a | while read x; do b; done": true,
		"a; b": false, "a && b": false, "a\nb": false, "if a; then b; fi": false, "a & b": false, "a | c; b": false,
	} {
		pipe := map[string]int{}
		for _, c := range Parse(line).Calls {
			pipe[c.Program] = c.Pipe
		}
		if got := pipe["a"] == pipe["b"] && pipe["a"] != 0; got != together {
			t.Errorf("%q: together %t", line, got)
		}
	}
}

func TestIncomplete(t *testing.T) {
	for line, want := range map[string]bool{
		"ls": false, "ls;": false, "ls |": true, "ls &&": true, "echo 'a": true, `echo "a`: true, "if a; then": true, "cat <<E": true, "cat <<E\nx": true, "cat <<E\nx\nE": false,
		"f() {": true, "(a": true, "echo $(a": true, "for i in a; do b": true, "a )": false, "fi": false, "case a in": true, "echo `a": true,
		`rm \`: true, `rm \\`: false, `rm \\\`: true, "rm \\\n-r": false,
	} {
		if got := Parse(line).Incomplete; got != want {
			t.Errorf("%q: incomplete %t", line, got)
		}
	}
}

func TestHistoryExpansion(t *testing.T) {
	for line, want := range map[string]bool{
		"!!": true, "!rm": true, "ls !$": true, `echo "!x"`: true, "^a^b": true, "!-1": true, "!?x": true, "a'b'!x": true,
		"!": false, "! ls": false, "echo '!x'": false, `echo \!x`: false, "[ ! -f x ]": false, "echo $!": false, "[[ a != b ]]": false, "ls [!a]*": false, "echo hi!": false, "": false,
	} {
		if got := historyExpansion(line); got != want {
			t.Errorf("%q: %t", line, got)
		}
	}
}

// The words of a plain line take a short cut; it must find what the parser does.
func TestShortCutAgrees(t *testing.T) {
	for _, line := range []string{"ls -la /x", "sudo rm -r x", "env a", "sh", "eval ls", "xargs rm -r", "ls  x ", "command -v ls", "nice nice ls", "stty raw"} {
		if !plain(line) {
			t.Errorf("%q takes no short cut", line)
		}
		if a, b := Parse(line), Parse(line+" #"); !slices.Equal(show(a), show(b)) || !slices.Equal(a.Findings, b.Findings) || a.Input != b.Input {
			t.Errorf("%q: %q, parsed %q", line, show(a), show(b))
		}
	}
	for _, line := range []string{"if a", "export x", "time ls", "a=b", "a;b", "~/x", "é", "coproc a", "a\nb"} {
		if plain(line) {
			t.Errorf("%q takes the short cut", line)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"ls -l", `r''m -r\x "$x" $'\x41' {a,b}`, "sudo -u x env A=b sh -c 'eval \"rm $x\"'", "cat <<E | sh\n$(a)\nE", "find . -exec a {} + | xargs -I% b %", "x=(a b); ${x[@]:1} ${y:-$(c)} $((1+2))",
		"for i in a; do $i; done; case x in y) z;; esac", "f() { f; }; f | f &", "!! ^a^b", "((((", "echo ${x//a/b} ${!x} ${#x} ${x@Q} ~u", "<<E", "trap -- a 0; alias b='c d'; . <(e)", "\x00\xff", "echo ${x:=y} a[$(b)]=c", "a=$a$a; b+=(${a})", "tar --to-command=x -I 'a b'",
		"printf -v", "printf -v x", "xargs -I", "su -c", "env -S", "option -", "sh -", "sh -o", "timeout", "flock -c", "docker exec", "ip netns exec", "hash -p", "vim + ''", "less ''",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s := Parse(line)
		if s.Unread == "the parser failed" {
			t.Errorf("a panic was recovered: %q", line)
		}
		if len(s.Calls) > maxCalls || len(s.Findings) > maxCalls {
			t.Error("unbounded")
		}
	})
}

func TestHeredoc(t *testing.T) {
	for text, want := range map[string]*Heredoc{
		"ls": nil, "cat <<E\nx\nE": nil, "cat <<< E": nil, "sh -c 'cat <<E'": nil,
		"cat <<E": {Delimiter: "E"}, "cat > f <<-E; ls": {Delimiter: "E", Tabs: true}, "cat << 'a b'\nx $(y)": {Delimiter: "a b", Quoted: true},
		`cat <<\E`: {Delimiter: "E", Quoted: true}, "cat <<E'x'": {Delimiter: "Ex"}, "cat <<''": {Quoted: true}, "cat <<A <<B": {Delimiter: "A"}, "cat <<A <<B\nA": {Delimiter: "B"},
		// what is in it counts
		"sh <<E": {Delimiter: "E", Code: true}, "cat <<E | sudo bash -s": {Delimiter: "E", Code: true}, "xargs rm <<'E'": {Delimiter: "E", Quoted: true, Code: true}, "{ sh; } <<E": {Delimiter: "E", Code: true},
		"cat <<E\n$(": nil, "cat <<E\n$(x)": {Delimiter: "E", Code: true}, "cat <<E\n$\\\n(": {Delimiter: "E", Code: true}, "cat <<E\nx \\": {Delimiter: "E", Code: true}, "cat <<E\nx \\\ny $z": {Delimiter: "E"},
		"cat <<E\nE\\\n": {Delimiter: "E", Code: true}, "ls \"$(cat <<E\nE)": {Delimiter: "E", Code: true},
	} {
		got := Parse(text).Heredoc
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	h := &Heredoc{Delimiter: "E"}
	for line, want := range map[string]bool{
		"": true, "rm -r x": true, " E": true, "$x `": false, "$(x": false, "x\\": false, `x\y`: true, "E": false, "\tE": false, "E)": false, "x\rE": false, "${x": false, "$x": true,
	} {
		if got := h.Text(line); got != want {
			t.Errorf("%q is text: %t", line, got)
		}
	}
	if !(&Heredoc{Delimiter: "E", Quoted: true}).Text("$(x) \\") || (&Heredoc{Delimiter: "E", Code: true}).Text("x") || (*Heredoc)(nil).Text("x") {
		t.Error("a quoted delimiter, code, or none")
	}
	// A shell that reads no more lines runs it: it must be read to be judged.
	if Parse("rm x "+strings.Repeat("<<E ", 50)).Unread == "" {
		t.Error("too many are no matter")
	}
}
