package commands

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/command-cases.md")

// cases returns the whole table, in order.
func cases() []*Case {
	var all []*Case
	for _, table := range tables {
		for i := range table {
			c := table[i]
			if c.Rules == "" {
				c.Rules = denies
			}
			all = append(all, &c)
		}
	}
	return all
}

// everything reports whether all cases run: because it was said, or some were
// chosen by name.
func everything() bool {
	return os.Getenv("COMMANDS_ALL") != "" || strings.Contains(flag.Lookup("test.run").Value.String(), "/")
}

// id is the case's name among the tests.
func (c *Case) id() string { return string(c.Kind) + "/" + c.Name }

func part(all []*Case, every int) []*Case {
	if everything() {
		return all
	}
	var some []*Case
	for i, c := range all {
		if i%every == 0 && c.Kind != missed && c.Kind != hindered {
			some = append(some, c)
		}
	}
	return some
}

func runs(t *testing.T) int {
	n, err := strconv.Atoi(cmpOr(os.Getenv("COMMANDS_RUNS"), "1"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func latencies(t *testing.T) []time.Duration {
	var all []time.Duration
	for word := range strings.SplitSeq(cmpOr(os.Getenv("COMMANDS_LATENCY"), "0s"), ",") {
		if word == "0" {
			word = "0s"
		}
		d, err := time.ParseDuration(word)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// TestMain lets more cases run at once than there are cores: they wait for each
// other more than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", cmpOr(os.Getenv("COMMANDS_PARALLEL"), "4")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// The table is in order: each name once, each case with its reason.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	count := map[kind]int{}
	for _, c := range cases() {
		if seen[c.id()] || c.Name == "" || c.Reason == "" || shells[c.Shell] == nil {
			t.Errorf("%q: no name of its own, no reason or no shell", c.Name)
		}
		seen[c.id()] = true
		count[c.Kind]++
		if c.Kind.harmless() && len(c.Want) == 0 {
			t.Errorf("%q: no effect is wanted", c.Name)
		}
		if !strings.HasPrefix(c.Name, c.Shell+": ") {
			t.Errorf("%q does not begin with its shell", c.Name)
		}
	}
	t.Logf("%d forbidden, %d innocent, %d known misses", count[forbidden], count[innocent], count[missed])
}

// Attack: every way to have a forbidden line run that is in the table; and the
// user's need: whatever is no forbidden line is as if nobody judged.
func TestDirect(t *testing.T) {
	play(t, part(cases(), 9), "direct", directly)
}

// play runs cases by a way of running them.
func play(t *testing.T, chosen []*Case, by string, run func(t *testing.T, c *Case, rules ruleSet, latency time.Duration) error) {
	latencies, runs := latencies(t), runs(t)
	results := &results{by: by, cases: chosen, latencies: latencies, of: map[string]map[string]*tally{}}
	t.Cleanup(func() { results.show(t) }) // when all of them have run
	for _, c := range chosen {
		t.Run(c.id(), func(t *testing.T) {
			t.Parallel()
			err := run(t, c, off, 0)
			results.add(c, "off", err)
			if err != nil {
				t.Fatalf("%s, without a judge: %v", c.Kind, err)
			}
			for _, latency := range latencies {
				for range runs {
					err := run(t, c, c.Rules, latency)
					results.add(c, latency.String(), err)
					switch {
					case err != nil && (c.Kind == missed || c.Kind == hindered):
						t.Logf("known (%s), %v: %s", c.Kind, latency, firstLine(err))
					case err != nil:
						t.Errorf("%s, %v: %v", c.Kind, latency, err)
					}
				}
			}
		})
	}
}

func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

// tally counts the runs of one cell of the table.
type tally struct{ good, runs int }

// results is what came out.
type results struct {
	by        string
	cases     []*Case
	latencies []time.Duration

	mu sync.Mutex
	of map[string]map[string]*tally // case, column
}

func (r *results) add(c *Case, column string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of[c.id()] == nil {
		r.of[c.id()] = map[string]*tally{}
	}
	cell := r.of[c.id()][column]
	if cell == nil {
		cell = new(tally)
		r.of[c.id()][column] = cell
	}
	cell.runs++
	if err == nil {
		cell.good++
	}
}

// markdown is the table as it is shown.
func (r *results) markdown() string {
	var b strings.Builder
	columns := make([]string, len(r.latencies))
	for i, l := range r.latencies {
		columns[i] = l.String()
	}
	for _, k := range []kind{forbidden, innocent, missed, hindered} {
		good, runs := 0, 0
		var rows []string
		for _, c := range r.cases {
			if c.Kind != k || r.of[c.id()] == nil {
				continue
			}
			row := fmt.Sprintf("| %s | %s | %s | %s |", escape(c.Name), c.Rules, c.way(), escape(c.Reason))
			for _, column := range columns {
				cell := r.of[c.id()][column]
				if cell == nil {
					row += " |"
					continue
				}
				good, runs = good+cell.good, runs+cell.runs
				row += fmt.Sprintf(" %d/%d |", cell.good, cell.runs)
			}
			row += " " + without(r.of[c.id()]["off"], k) + " |"
			rows = append(rows, row)
		}
		if len(rows) == 0 {
			continue
		}
		what := map[kind]string{forbidden: "refused", innocent: "undisturbed", missed: "refused", hindered: "undisturbed"}[k]
		fmt.Fprintf(&b, "## %s: %d cases, %d of %d runs %s\n\n", title[k], len(rows), good, runs, what)
		b.WriteString("| case | rules | way | why | " + strings.Join(columns, " | ") + " | without a judge |\n|" + strings.Repeat("---|", strings.Count(rows[0], " |")) + "\n")
		b.WriteString(strings.Join(rows, "\n") + "\n\n")
	}
	return b.String()
}

var title = map[kind]string{forbidden: "Forbidden", innocent: "Innocent", missed: "Known misses", hindered: "Known to be disturbed"}

func without(cell *tally, k kind) string {
	switch {
	case cell == nil || cell.good == 0:
		return "fails"
	case k.harmless():
		return "the same"
	}
	return "damage"
}

func escape(s string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "*", `\*`, "_", `\_`, "`", "\\`").Replace(s)
}

// ways are those of passing the gateway.
var ways = []string{"login", "exec", "jump", "mux"}

func (c *Case) way() string {
	if c.Way != "" {
		return c.Way
	}
	return ways[slices.IndexFunc(cases(), func(o *Case) bool { return o.id() == c.id() })%len(ways)]
}

func (r *results) show(t *testing.T) {
	path := os.Getenv("COMMANDS_TABLE")
	r.mu.Lock()
	defer r.mu.Unlock()
	text := r.markdown()
	if path != "" {
		if err := os.WriteFile(path, []byte(header+text+answers.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
	if *update && r.by == "gateway" {
		if err := os.WriteFile("../../docs/command-cases.md", []byte(header+text), 0o644); err != nil {
			t.Error(err)
		}
	}
}

const header = `# The cases of command control

Written by ` + "`make test-commands UPDATE=1`" + `. Each case is typed at a real shell through the gateway, by stock
` + "`ssh -tt`" + ` in a terminal to an OpenSSH sshd. A forbidden case is good if the line was refused, the directory
that it would have damaged is as it was, and the session goes on (or has ended, where the rules terminate); without
a judge it does its damage. An innocent case is good if nothing was refused, its effect is exactly the one that was
wanted, and the session goes on. Known misses are what [command control](command-control.md) says it cannot see. The second
latency is added to each round trip between gateway and target.

`

// answers are how long an Enter alone waited until something was shown: the
// judging and the round trip.
var answers histogram

// histogram counts durations. It is safe for concurrent use.
type histogram struct {
	mu    sync.Mutex
	count [len(bounds) + 1]int
}

var bounds = [...]time.Duration{1e6, 5e6, 10e6, 25e6, 50e6, 100e6, 150e6, 250e6, 600e6, 1e9}

func (h *histogram) add(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.count[i]++
}

// String is one line for each bound.
func (h *histogram) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	b.WriteString("From Enter to what it shows:\n\n")
	for i, n := range h.count {
		bound := "more"
		if i < len(bounds) {
			bound = "≤ " + bounds[i].String()
		}
		fmt.Fprintf(&b, "    %-8s %5d\n", bound, n)
	}
	return b.String()
}
