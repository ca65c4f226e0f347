package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"
)

func TestParseStat(t *testing.T) {
	const line = "77 (a) (b 1 2) S 42 77 77 0 -1 4194560 100 200 0 0 3 4 50 600 20 0 9 0 123 1 2 3"
	got, err := parseStat([]byte(line))
	if want := (stat{42, 657 * tick}); err != nil || got != want {
		t.Errorf("parseStat = %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "77", "77 (x) S 42", strings.Replace(line, "600", "x", 1), strings.Replace(line, "S 42", "S x", 1)} {
		if s, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parseStat(%q) = %v", bad, s)
		}
	}
}

func TestTree(t *testing.T) {
	all := map[int]stat{2: {parent: 1}, 3: {parent: 2}, 4: {parent: 3}, 5: {parent: 1}, 6: {parent: 2}}
	got := tree(all, 2)
	slices.Sort(got)
	if want := []int{2, 3, 4, 6}; !slices.Equal(got, want) {
		t.Errorf("tree = %v, want %v", got, want)
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	all := processes()
	if len(all) == 0 {
		t.Fatal("no processes in /proc")
	}
	for pid := range all {
		cpu, living := usage(pid)
		if cpu < 0 || living < 1 {
			t.Errorf("usage(%d) = %v, %d", pid, cpu, living)
		}
		break
	}
}

func TestParsePSS(t *testing.T) {
	const rollup = "5500-7ffd ---p 00000000 00:00 0 [rollup]\nRss:     900 kB\nPss:     123 kB\nPss_Dirty:  7 kB\n"
	if n, err := parsePSS(rollup); err != nil || n != 123<<10 {
		t.Errorf("parsePSS = %d, %v", n, err)
	}
	for _, bad := range []string{"", "Pss_Dirty: 7 kB\n", "Pss: x kB\n"} {
		if n, err := parsePSS(bad); err == nil {
			t.Errorf("parsePSS(%q) = %d", bad, n)
		}
	}
}

func TestQuantile(t *testing.T) {
	for _, tt := range []struct {
		v    []float64
		q    float64
		want float64
	}{
		{[]float64{3}, 0.5, 3},
		{[]float64{9, 1, 5}, 0.5, 5},
		{[]float64{4, 1, 2, 3}, 0.5, 2.5},
		{[]float64{1, 2, 3, 4, 5}, 0, 1},
		{[]float64{5, 4, 3, 2, 1}, 1, 5},
		{[]float64{0, 100}, 0.99, 99},
	} {
		before := slices.Clone(tt.v)
		if got := quantile(tt.v, tt.q); got != tt.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", tt.v, tt.q, got, tt.want)
		}
		if !slices.Equal(tt.v, before) {
			t.Errorf("quantile reordered %v", before)
		}
	}
	if got := quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("quantile of nothing is %v", got)
	}
}

func TestFigures(t *testing.T) {
	s := samples{}
	for _, v := range []float64{1, 3, 100} {
		s.add(rate, gate, v)
		s.add(rate, jump, 2*v)
	}
	s.add(keyP50, gate, 5)
	for _, tt := range []struct {
		f     figure
		got   float64
		ok    bool
		known bool
	}{
		{figure{rate, true, 3, ""}, 3, true, true},
		{figure{rate, true, 3.1, ""}, 3, false, true},
		{figure{rate, false, 2.9, ""}, 3, false, true},
		{figure{rate, true, 0.5, jump}, 0.5, true, true},
		{figure{rate, false, 0.4, jump}, 0.5, false, true},
	} {
		if got, ok, known := tt.f.reached(s); got != tt.got || ok != tt.ok || known != tt.known {
			t.Errorf("%v: %v %v %v, want %v %v %v", tt.f, got, ok, known, tt.got, tt.ok, tt.known)
		}
	}
	for _, f := range []figure{{keyP50, false, 1, jump}, {keyP99, false, 1, ""}} {
		if got, _, known := f.reached(s); known {
			t.Errorf("%v %v was not measured, and is %v", f.metric, f, got)
		}
	}
}

// Every figure is about a metric that is printed, and every row has a measurement.
func TestTablesAgree(t *testing.T) {
	var rows []int
	for _, m := range measurements {
		rows = append(rows, m.rows...)
	}
	if !slices.Equal(rows, knownRows()) {
		t.Errorf("rows %v are measured, %v are known", rows, knownRows())
	}
	for _, f := range figures {
		if !slices.Contains(metrics, f.metric) || f.of != "" && f.of != unparsed && !slices.Contains(pathNames, f.of) {
			t.Errorf("%v %v is about nothing that is measured", f.metric, f)
		}
	}
}

func TestPrint(t *testing.T) {
	s := samples{}
	s.add(setUpGo, gate, 50)
	s.add(setUpGo, jump, 100)
	var out bytes.Buffer
	s.print(&out)
	for _, want := range []string{"set-up p50, Go client", "50.0", "≤ 0.35 × jump", "0.500", "short", "1 short\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "keystroke") {
		t.Errorf("a row that was not measured is in\n%s", &out)
	}
}

func TestParseFlags(t *testing.T) {
	for _, tt := range []struct {
		args   string
		rows   []int
		rounds int
		idle   int
	}{
		{"", nil, 5, 1000},
		{"-quick", nil, 1, 20},
		{"-quick -rounds 3 -idle 7", nil, 3, 7},
		{"-rows 1,8,10", []int{1, 8, 10}, 5, 1000},
	} {
		o, err := parseFlags(strings.Fields(tt.args), io.Discard)
		if err != nil || !slices.Equal(o.rows, tt.rows) || o.rounds != tt.rounds || o.idle != tt.idle {
			t.Errorf("%q: %+v, %v", tt.args, o, err)
		}
	}
	for _, bad := range []string{"-rows 11", "-rows x", "-rounds 0", "-idle 0", "-limit 0s", "more", "-nothing"} {
		if o, err := parseFlags(strings.Fields(bad), io.Discard); err == nil {
			t.Errorf("%q: %+v", bad, o)
		}
	}
}

func TestText(t *testing.T) {
	b := text(100_000)
	if len(b) != 100_000 || !utf8.Valid(b) || b[len(b)-1] != '\n' || bytes.IndexByte(b, '\r') >= 0 {
		t.Errorf("%d bytes, valid %v, end %q", len(b), utf8.Valid(b), b[len(b)-20:])
	}
	// Where a letter of three bytes is cut, too.
	for n := 1; n < 900; n++ {
		if b := text(n); len(b) != n || !utf8.Valid(b) {
			t.Fatalf("text(%d) has %d bytes, valid %v", n, len(b), utf8.Valid(b))
		}
	}
}

func TestAtOnceDo(t *testing.T) {
	var n atomic.Int64
	if err := atOnceDo(4, 10, func() error { n.Add(1); return nil }); err != nil || n.Load() != 10 {
		t.Errorf("%d calls, %v", n.Load(), err)
	}
	broken := errors.New("broken")
	n.Store(0)
	err := atOnceDo(1, 1000, func() error {
		if n.Add(1) == 3 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) || n.Load() != 3 {
		t.Errorf("%d calls, %v", n.Load(), err)
	}
}

func TestTurns(t *testing.T) {
	paths := []*path{{name: "a"}, {name: "b"}, {name: "c"}}
	for round, want := range []string{"abc", "bca", "cab", "abc"} {
		var got string
		_ = inTurn(paths, round, func(p *path) error { got += p.name; return nil })
		if got != want {
			t.Errorf("round %d: %s, want %s", round, got, want)
		}
	}
}

func TestSettled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if cpu, err := settled(ctx, 0); cpu != 0 || err != nil {
		t.Errorf("no hop: %v, %v", cpu, err)
	}
	cancel()
	if _, err := settled(ctx, os.Getpid()); err == nil {
		t.Error("a run that has ended goes on")
	}
}
