package policy

import (
	"strings"
	"testing"
	"time"

	"sallyport"
)

func masking(t testing.TB, patterns ...string) *Commands {
	return mustCompile(t, sallyport.Commands{Mask: patterns})
}

// A secret that is typed as an argument is echoed, and would stand in the
// recording for everybody who may watch it.
func TestMasked(t *testing.T) {
	c := masking(t, "mysql * -p{}", "*TOKEN={}", "curl * -u *:{}", "sshpass -p {}", "--password={}", "Authorization: Bearer {}", "*://*:{}@*")
	for line, want := range map[string]string{
		"mysql -pabc":            "mysql -p•",
		"mysql -u root -pabc db": "mysql -u root -p• db",
		"mysql -p db":            "mysql -p db",
		"mysql":                  "mysql",
		"mysql -p":               "mysql -p",
		"mysql -pa":              "mysql -p•",
		"ls; mysql -pabc; ls":    "ls; mysql -p•; ls",
		"cd x && sudo /usr/bin/mysql -h h -pabc&& ls": "cd x && sudo /usr/bin/mysql -h h -p•&& ls",
		"mysql x; tar -pabc":                          "mysql x; tar -pabc",
		"mysql x | tar -pabc":                         "mysql x | tar -pabc",
		"mysql < f -pabc":                             "mysql < f -p•",
		"mysql 2>&1 -pabc":                            "mysql 2>&1 -p•",
		"mysql $(opts; x) -pabc":                      "mysql $(opts; x) -p•",
		"mysql -p'a b c' d":                           "mysql -p• d",
		`mysql "-pa b" d`:                             `mysql "-p• d`,
		`mysql -p"a b`:                                "mysql -p•",
		`mysql -p'a`:                                  "mysql -p•",
		`mysql -pa\ b c`:                              "mysql -p• c",
		"mysql -pä€ x":                                "mysql -p• x",
		`m'ys'ql -pabc`:                               `m'ys'ql -p•`,
		"mysql -pA -pB":                               "mysql -p• -p•",
		"export GH_TOKEN=abc":                         "export GH_TOKEN=•",
		"GH_TOKEN=abc GH_TOKEN=def x":                 "GH_TOKEN=• GH_TOKEN=• x",
		`export T_TOKEN="a b" X=y`:                    "export T_TOKEN=• X=y",
		"curl -s -u bob:pw https://x":                 "curl -s -u bob:• https://x",
		"curl -u bob:p:w https://x":                   "curl -u bob:• https://x",
		"curl -u 'bob:p w' https://x":                 "curl -u 'bob:• https://x",
		"sshpass -p abc ssh h":                        "sshpass -p • ssh h",
		"sshpass -p 'a b' ssh h":                      "sshpass -p • ssh h",
		"foo --password=x --bar":                      "foo --password=• --bar",
		`curl -H "Authorization: Bearer abc" x`:       `curl -H "Authorization: Bearer • x`,
		`sh -c 'mysql -pabc; ls'`:                     `sh -c 'mysql -p•; ls'`,
		"psql postgres://bob:pw@h/db":                 "psql postgres://bob:•@h/db",
		"psql postgres://bob:p@w@h/db":                "psql postgres://bob:•@h/db",
		"psql postgres://bob:pw":                      "psql postgres://bob:•",
		"psql postgres://h:5432/db x":                 "psql postgres://h:5432/db x",
		"for i in 1; do mysql -pabc; done":            "for i in 1; do mysql -p•; done",
		"echo $(mysql -pabc)":                         "echo $(mysql -p•",
		"echo `mysql -pabc` x":                        "echo `mysql -p• x",
		"mysql \\\n -pabc":                            "mysql \\\n -p•",
		"":                                            "",
		"x-mysql -pabc":                               "x-mysql -pabc",
	} {
		if got := c.Masked(line); got != want {
			t.Errorf("%q:\n got %q\nwant %q", line, got, want)
		}
	}
}

// While it is typed each character of a secret is hidden as it appears: nothing
// of it is in any beginning of the line.
func TestMaskedWhileTyped(t *testing.T) {
	c := masking(t, "mysql * -p{}", "sshpass -p {}", "*://*:{}@*")
	for _, line := range []string{"mysql -u x -pZYX db", "mysql -p'ZY X' db", `mysql "-pZ YX" db`, "sshpass -p ZYX ssh h", `sshpass -p "Z YX" h`, "a; psql pg://u:ZYX@h"} {
		for i := range line {
			if got := c.Masked(line[:i+1]); strings.ContainsAny(got, "ZYX") {
				t.Errorf("%q shows %q", line[:i+1], got)
			}
		}
	}
}

func TestMaskErrors(t *testing.T) {
	for _, pattern := range []string{"", "mysql", "{}", "* {}", "mysql {} x", "a{} {}", "mysql -p'{}'", "a; b {}", strings.Repeat("a ", 40) + "{}"} {
		if _, err := CompileCommands(sallyport.Commands{Mask: []string{pattern}}); err == nil || sallyport.HintOf(err) == "" {
			t.Errorf("%q: %v", pattern, err)
		}
	}
	if c := masking(t, "a {}"); c.Active() || !c.Masks() || (*Commands)(nil).Masks() || (*Commands)(nil).Masked("x") != "x" {
		t.Error("masking alone judges, or none masks")
	}
}

// A line made to exhaust the search takes no longer than others.
func TestMaskMonsters(t *testing.T) {
	c := masking(t, "mysql * -p{}", "*a*b*c*d={}", "*://*:{}@*", "a ?? * b*c {}d*e")
	for _, piece := range []string{"a", "a ", "mysql ", "'", `"`, `\`, "(", "$(", "`", "a:", "://", "'a b", `"a "`, "-pa ", "@", "a=", "(a)", "&>"} {
		line := strings.Repeat(piece, (64<<10)/len(piece))
		start := time.Now()
		c.Masked(line)
		if d := time.Since(start); d > 20*time.Second { // a hang, not a slow machine
			t.Errorf("%q: took %s", piece, d)
		}
	}
}

func FuzzSecrets(f *testing.F) {
	c := masking(f, "mysql * -p{}", "*TOKEN={}", "curl * -u *:{}", "sshpass -p {}", "*://*:{}@*", "a ?? * b*c {}d*e")
	for _, s := range []string{"mysql -p'a", "X_TOKEN=a$(b)`c`", "curl -u $'a\\':b' (", `sh -c "mysql -p\"a b\""`, "x://u:p@h", "ä\xff://:\\", ")))`", "&>&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		at := 0
		for i, s := range c.Secrets(line) {
			if s.From >= s.To || s.To > len(line) || s.From < at || i > 0 && s.From == at {
				t.Fatalf("%q: span %v after %d", line, s, at)
			}
			at = s.To
		}
		c.Masked(line)
	})
}

// A secret may stand where the program's name is read: then it is in no reason.
func TestReasonsHoldNoSecret(t *testing.T) {
	c := mustCompile(t, sallyport.Commands{Mode: sallyport.AllowList, Rules: []sallyport.CommandRule{{Program: "ls", Action: sallyport.Allow}}, Mask: []string{"*TOKEN={}"}})
	for _, line := range []string{"MY-TOKEN=hunter2", "ls; sudo MY-TOKEN=hunter2"} {
		v := c.Judge(line)
		if v.Action != sallyport.Deny || strings.Contains(v.Program+v.Reason, "hunter2") {
			t.Errorf("%s: %+v", line, v)
		}
	}
}
