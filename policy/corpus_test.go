package policy_test

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mvdan.cc/sh/v3/syntax"

	"sallyport/config"
	"sallyport/policy"
)

// everything asks for the whole corpus: SALLYPORT_CORPUS=all.
func everything() bool { return os.Getenv("SALLYPORT_CORPUS") == "all" }

// scripts returns the shell scripts of the machine's own system.
func scripts(t testing.TB) []string {
	shebang := regexp.MustCompile(`^#! ?(?:/usr)?/bin/(?:env )?(?:ba|da)?sh\b`)
	var files []string
	roots := []string{"/etc", "/usr/bin", "/usr/sbin", "/var/lib/dpkg/info"}
	if everything() {
		roots = append(roots, "/usr/lib", "/usr/share")
	}
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // what cannot be read is no part of the corpus
			}
			f, err := os.Open(path)
			if err != nil {
				return nil
			}
			defer f.Close()
			head := make([]byte, 40)
			if n, _ := f.Read(head); shebang.Match(head[:n]) {
				files = append(files, path)
			}
			return nil
		})
	}
	slices.Sort(files)
	if len(files) < 20 {
		t.Fatalf("only %d scripts on this machine", len(files))
	}
	return files
}

// typed returns the commands of a script as a person would type them: what a
// shell would read before it runs something, a loop as a whole.
func typed(file string) []string {
	b, err := os.ReadFile(file)
	if err != nil || len(b) > 1<<20 || bytes.IndexByte(b, 0) >= 0 {
		return nil
	}
	var lines []string
	p := syntax.NewParser(syntax.Variant(syntax.LangBash))
	for s, err := range p.StmtsSeq(bytes.NewReader(b)) {
		if err != nil || s == nil {
			continue
		}
		from, to := int(s.Pos().Offset()), int(s.End().Offset())
		if from < to && to <= len(b) {
			lines = append(lines, string(b[from:to]))
		}
	}
	return lines
}

// told are what the lines that a rule is about must hold: where a line does, the
// rule is right about it, and its alarm is no false one.
var told = map[string]*regexp.Regexp{
	"rm ":      regexp.MustCompile(`\brm\b[^;|&]*\s(?:-\w*[rR]|--r)`),
	"shutdown": regexp.MustCompile(`\bshutdown\b`),
	"reboot":   regexp.MustCompile(`\breboot\b`),
	"find ":    regexp.MustCompile(`-delete\b`),
	"mkfs":     regexp.MustCompile(`\bmkfs`),
	"chmod":    regexp.MustCompile(`\bchmod\b.*777`),
	"dd ":      regexp.MustCompile(`\bof=`),
	">":        regexp.MustCompile(`>`),
	"curl ":    regexp.MustCompile(`\bcurl\b.*\|`),
	"wget ":    regexp.MustCompile(`\bwget\b.*\|`),
}

func truly(rule, line string) bool {
	for prefix, re := range told {
		if strings.HasPrefix(rule, prefix) {
			return re.MatchString(strings.ReplaceAll(line, "\\\n", " "))
		}
	}
	return false
}

// The sample configuration over the scripts of a real system: work must not be
// disturbed. A line that meets a rule and does not have what the rule is about is
// a false alarm; fewer than 3 in 1,000 lines may be.
func TestCorpus(t *testing.T) {
	files := scripts(t)
	limit := 3000 // lines
	if everything() {
		limit = 1 << 30
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	rules := sampleRules(t)
	var took []time.Duration
	met, falsely, refused := 0, 0, 0
	classes := map[string]int{}
	for _, file := range files {
		for _, line := range typed(file) {
			if len(took) >= limit {
				break
			}
			start := time.Now()
			v := rules.Judge(line)
			took = append(took, time.Since(start))
			classes[string(v.Class)]++
			if v.Class == "unverifiable" {
				refused++
				t.Logf("unverifiable: %s: %.100q: %s", file, line, v.Reason)
			}
			if v.Rule == "" {
				continue
			}
			met++
			if !truly(v.Rule, line) {
				falsely++
				t.Logf("false alarm of %s: %s: %.200q", v.Rule, file, line)
			}
		}
	}
	n := len(took)
	slices.Sort(took)
	percent := func(k int) float64 { return 100 * float64(k) / float64(n) }
	t.Logf("%d lines: %.2f%% meet a rule, %.3f%% falsely; opaque %.2f%%, tamper %.2f%%, unverifiable %.3f%%; median %s, 99%% below %s, longest %s",
		n, percent(met), percent(falsely), percent(classes["opaque"]), percent(classes["tamper"]), percent(refused), took[n/2], took[n*99/100], took[n-1])
	if percent(falsely) >= 0.3 {
		t.Errorf("%d of %d lines meet a rule falsely", falsely, n)
	}
}

func sampleRules(t testing.TB) *policy.Commands {
	cfg, err := config.Load("../configs/sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Policy.Commands("prod-root")
}

// BenchmarkCorpus judges lines of real scripts, one in each iteration.
func BenchmarkCorpus(b *testing.B) {
	var lines []string
	for _, file := range scripts(b) {
		lines = append(lines, typed(file)...)
	}
	rules := sampleRules(b)
	took := make([]time.Duration, 0, 1<<16)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		rules.Judge(lines[i%len(lines)])
		if len(took) < cap(took) {
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "median-ns")
}
