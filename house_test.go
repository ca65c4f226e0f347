package sallyport_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows is the picture of the house: which of our packages each package may
// import outside its tests. "." is the root, "*" stands for all of them. A package
// that is not here has no place yet: give it one in the design first.
var arrows = map[string][]string{
	".":                    {},
	"policy/shell":         {},
	"recorder/cast":        {},
	"internal/wire":        {},
	"internal/term":        {},
	"internal/sshtest":     {},
	"policy":               {".", "policy/shell"},
	"ca":                   {"."},
	"vault":                {"."},
	"audit":                {"."},
	"auth":                 {"."},
	"notify":               {"."},
	"auth/oidc":            {".", "auth"},
	"auth/ldap":            {".", "auth"},
	"auth/totp":            {".", "auth"},
	"auth/webauthn":        {".", "auth"},
	"recorder":             {".", "recorder/cast"},
	"replay":               {".", "recorder/cast", "internal/term"},
	"grant":                {".", "policy"},
	"judge":                {".", "policy", "internal/term"},
	"transfer":             {".", "internal/wire", "transfer/content", "transfer/stream", "transfer/scp"},
	"transfer/content":     {},
	"transfer/stream":      {".", "internal/wire", "transfer/content"},
	"transfer/scp":         {".", "transfer/content", "transfer/stream"},
	"store/bolt":           {"."},
	"store/etcd":           {"."},
	"store/storetest":      {"."},
	"proxy/front":          {"auth"},
	"proxy":                {".", "auth", "policy", "ca", "recorder", "judge", "transfer", "internal/wire", "proxy/front"},
	"control":              {".", "policy", "grant", "replay", "audit"},
	"console":              {".", "control", "recorder/cast"},
	"web":                  {".", "control", "recorder/cast"},
	"config":               {".", "policy"},
	"cmd/sallyport":        {"*"},
	"internal/bench":       {"*"},
	"internal/conformance": {},
	"internal/commands":    {},
}

// owners names the only packages that may import a heavy or a dangerous module,
// outside tests.
var owners = map[string][]string{
	"go.etcd.io/bbolt":               {"store/bolt"},
	"go.etcd.io/etcd":                {"store/etcd"},
	"github.com/spf13/cobra":         {"console", "cmd/sallyport"},
	"go.yaml.in/yaml":                {"config"},
	"mvdan.cc/sh":                    {"policy/shell"},
	"testing":                        {"store/storetest"},
	"github.com/gliderlabs/ssh":      {"proxy", "cmd/sallyport", "internal/sshtest"},
	"github.com/pires/go-proxyproto": {"proxy/front"},
}

const module = "sallyport"

type listedPackage struct {
	ImportPath, Dir           string
	GoFiles, CgoFiles         []string
	Imports                   []string
	TestGoFiles, XTestGoFiles []string
}

// name returns the package's place in the house.
func (p listedPackage) name() string {
	if p.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, module+"/")
}

// list reads what there is; a package that does not build is the compiler's to report.
func list(t *testing.T) []listedPackage {
	t.Helper()
	out := goTool(t, "list", "-e", "-json=ImportPath,Dir,GoFiles,CgoFiles,Imports,TestGoFiles,XTestGoFiles", "./...")
	var all []listedPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func goTool(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

func TestArrows(t *testing.T) {
	for _, p := range list(t) {
		allowed, known := arrows[p.name()]
		if !known {
			t.Errorf("package %s is not in the picture of the house", p.name())
			continue
		}
		for _, i := range p.Imports {
			for _, fault := range importFaults(p.name(), allowed, i) {
				t.Errorf("package %s imports %s: %s", p.name(), i, fault)
			}
		}
	}
}

// importFaults says what is wrong with one import of a package.
func importFaults(name string, allowed []string, path string) []string {
	var faults []string
	ours, standard := "", !strings.Contains(strings.SplitN(path, "/", 2)[0], ".")
	if path == module {
		ours, standard = ".", false
	} else if rest, ok := strings.CutPrefix(path, module+"/"); ok {
		ours, standard = rest, false
	}
	switch {
	case ours != "" && !slices.Contains(allowed, ours) && !slices.Contains(allowed, "*"):
		faults = append(faults, "there is no such arrow")
	case ours == "" && !standard && name == ".":
		faults = append(faults, "the root imports the standard library only")
	}
	if name == "." && (path == "os" || path == "net" || path == "io/fs" || strings.HasPrefix(path, "os/")) {
		faults = append(faults, "the root does no I/O")
	}
	for prefix, by := range owners {
		if (path == prefix || strings.HasPrefix(path, prefix+"/")) && !slices.Contains(by, name) {
			faults = append(faults, "this belongs to "+strings.Join(by, ", "))
		}
	}
	return faults
}

// The picture itself has no cycle and no arrow to a package that it lacks, and
// a wrong import is noticed.
func TestArrowsAreSound(t *testing.T) {
	for from, to := range arrows {
		for _, name := range to {
			if _, known := arrows[name]; !known && name != "*" {
				t.Errorf("an arrow leads from %s to %s, which is not in the picture", from, name)
			}
			if slices.Contains(arrows[name], from) {
				t.Errorf("%s and %s import each other", from, name)
			}
		}
	}
	for _, tt := range []struct {
		from, path string
		fault      bool
	}{
		{".", "slices", false},
		{".", "os", true},
		{".", "golang.org/x/crypto/ssh", true},
		{"proxy", "sallyport", false},
		{"proxy", "sallyport/recorder", false},
		{"proxy", "sallyport/grant", true},
		{"proxy", "sallyport/store/bolt", true},
		{"recorder/cast", "sallyport", true},
		{"grant", "go.etcd.io/bbolt", true},
		{"store/bolt", "go.etcd.io/bbolt", false},
		{"policy/shell", "mvdan.cc/sh/v3/syntax", false},
		{"judge", "mvdan.cc/sh/v3/syntax", true},
		{"cmd/sallyport", "sallyport/store/bolt", false},
		{"internal/sshtest", "testing", true},
	} {
		if got := importFaults(tt.from, arrows[tt.from], tt.path); (len(got) > 0) != tt.fault {
			t.Errorf("%s importing %s: faults %q", tt.from, tt.path, got)
		}
	}
}

func TestOnePackageComment(t *testing.T) {
	for _, p := range list(t) {
		var with []string
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				with = append(with, name)
			}
		}
		if len(with) != 1 && len(p.GoFiles) > 0 {
			t.Errorf("package %s has its comment in %d files %q, want exactly one", p.name(), len(with), with)
		}
	}
}

// Attack: a build against an x/crypto with a known hole; CVE-2026-56854, the
// last that concerns a server like this one, was closed in v0.55.0.
func TestCryptoFloor(t *testing.T) {
	version := strings.TrimSpace(string(goTool(t, "list", "-m", "-f", "{{.Version}}{{with .Replace}} replaced{{end}}", "golang.org/x/crypto")))
	if !atLeast(version, 0, 55) {
		t.Errorf("golang.org/x/crypto is %s, want v0.55.0 or newer", version)
	}
	for v, want := range map[string]bool{
		"v0.54.9": false, "v0.55.0": true, "v0.101.0": true, "v1.0.0": true, "v0.9.0": false, "": false, "v0.60.0 replaced": false,
	} {
		if atLeast(v, 0, 55) != want {
			t.Errorf("atLeast(%q) is not %v", v, want)
		}
	}
}

func atLeast(version string, major, minor int) bool {
	m := regexp.MustCompile(`^v(\d+)\.(\d+)\.\d+$`).FindStringSubmatch(version)
	if m == nil {
		return false
	}
	gotMajor, err1 := strconv.Atoi(m[1])
	gotMinor, err2 := strconv.Atoi(m[2])
	return err1 == nil && err2 == nil && (gotMajor > major || gotMajor == major && gotMinor >= minor)
}

// Files stay small; host keys are always checked, except by code that only
// tests use; nothing names the machine on which it was written.
func TestFiles(t *testing.T) {
	const longest = 600
	unchecked := "Insecure" + "IgnoreHostKey"
	machine := regexp.MustCompile(`(^|[^\w.])/wo` + `rk/\w|/tmp/bash` + `_jobs`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == ".git" || name == "bin" || name == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.IndexByte(b, 0) >= 0 {
			return nil // binary
		}
		if at := machine.FindIndex(b); at != nil {
			t.Errorf("%s:%d names a path of one machine", path, 1+bytes.Count(b[:at[0]], []byte("\n")))
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		if n := bytes.Count(b, []byte("\n")); n > longest {
			t.Errorf("%s has %d lines, more than %d", path, n, longest)
		}
		test := strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "internal"+string(filepath.Separator))
		if !test && bytes.Contains(b, []byte(unchecked)) {
			t.Errorf("%s takes any host key", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Tests prove something or fail: none is skipped, in short mode or otherwise.
func TestNoTestSkips(t *testing.T) {
	skips := regexp.MustCompile(`\b[tbf]\.Skip(f|Now)?\(|testing\.Short\(`)
	for _, p := range list(t) {
		for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			b, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if hit := skips.Find(b); hit != nil && name != "house_test.go" {
				t.Errorf("%s/%s skips: %s", p.name(), name, hit)
			}
		}
	}
}
