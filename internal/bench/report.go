package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// metric is one line of the table.
type metric struct {
	row        int
	name, unit string
}

// The metrics, in the order in which they are printed.
var (
	setUpGo       = metric{1, "set-up p50, Go client", "ms"}
	setUpSSH      = metric{1, "set-up p50, real ssh", "ms"}
	rate          = metric{2, "sessions/s, 16 at once", "1/s"}
	sessionCPU    = metric{3, "hop CPU per session", "ms"}
	keyP50        = metric{4, "keystroke p50", "µs"}
	keyP99        = metric{4, "keystroke p99", "µs"}
	execText      = metric{5, "text through exec, real ssh", "MB/s"}
	execTextCPU   = metric{5, "hop CPU, real ssh", "s/GB"}
	execTextGo    = metric{5, "text through exec, Go client", "MB/s"}
	execTextGoCPU = metric{5, "hop CPU, Go client", "s/GB"}
	ptyText       = metric{6, "text through a pty, real ssh", "MB/s"}
	ptyTextCPU    = metric{6, "hop CPU, real ssh", "s/GB"}
	ptyTextGo     = metric{6, "text through a pty, Go client", "MB/s"}
	ptyTextGoCPU  = metric{6, "hop CPU, Go client", "s/GB"}
	zeros         = metric{7, "zeros through exec, real ssh", "MB/s"}
	random        = metric{7, "random through exec, real ssh", "MB/s"}
	randomCPU     = metric{7, "hop CPU, real ssh", "s/GB"}
	randomGo      = metric{7, "random through exec, Go client", "MB/s"}
	randomGoCPU   = metric{7, "hop CPU, Go client", "s/GB"}
	randomWhole   = metric{7, "random, real ssh, no cap on what is kept", "MB/s"}
	sftpGet       = metric{8, "sftp get, real sftp", "MB/s"}
	sftpGetCPU    = metric{8, "hop CPU", "s/GB"}
	sftpPut       = metric{8, "sftp put, real sftp", "MB/s"}
	sftpPutCPU    = metric{8, "hop CPU of put", "s/GB"}
	scpGet        = metric{8, "scp -O from the target", "MB/s"}
	scpGetCPU     = metric{8, "hop CPU of scp", "s/GB"}
	idlePSS       = metric{9, "PSS per idle session", "KiB"}
	basePSS       = metric{9, "PSS before any session", "MiB"}
	idleCPU       = metric{9, "CPU with all of them idle", "% of a core"}
	certRate      = metric{10, "certificates, one core", "1/s"}

	metrics = []metric{
		setUpGo, setUpSSH, rate, sessionCPU, keyP50, keyP99, execText, execTextCPU, execTextGo, execTextGoCPU,
		ptyText, ptyTextCPU, ptyTextGo, ptyTextGoCPU, zeros, random, randomCPU, randomGo, randomGoCPU, randomWhole,
		sftpGet, sftpGetCPU, sftpPut, sftpPutCPU, scpGet, scpGetCPU, idlePSS, basePSS, idleCPU, certRate,
	}
)

// figure is what sallyport should reach: a share of what another path shows,
// or a number.
type figure struct {
	metric metric
	least  bool // at least, else at most
	limit  float64
	of     string // a path; "": limit is absolute
}

var figures = []figure{
	{setUpGo, false, 0.35, jump},
	{setUpGo, false, 0.65, direct},
	{setUpSSH, false, 0.5, jump},
	{rate, true, 0.75, direct},
	{rate, true, 1.3, jump},
	{sessionCPU, false, 6, ""},
	{sessionCPU, false, 0.25, jump},
	{keyP50, false, 1.10, jump},
	{keyP99, false, 1.5, jump},
	{execText, true, 1.3, jump},
	{execText, true, 2, force},
	{execTextGo, true, 1.3, jump},
	{execTextGo, true, 2, force},
	{execTextGoCPU, false, 0.5, force},
	{ptyText, true, 0.9, direct},
	{ptyText, true, 1.1, jump},
	{ptyTextGo, true, 0.9, direct},
	{ptyTextGo, true, 1.1, jump},
	{zeros, true, 1.0, jump},
	{random, true, 1.0, jump},
	{randomGo, true, 1.0, jump},
	{sftpGet, true, 0.9, direct},
	{sftpGet, true, 1.5, jump},
	{sftpGet, true, 0.95, unparsed},
	{sftpPut, true, 0.9, direct},
	{sftpPut, true, 1.5, jump},
	{sftpPut, true, 0.95, unparsed},
	{scpGet, true, 0.9, direct},
	{scpGet, true, 1.5, jump},
	{scpGet, true, 0.95, unparsed},
	{idlePSS, false, 150, ""},
	{basePSS, false, 20, ""},
	{idleCPU, false, 1, ""},
	{certRate, true, 10000, ""},
}

func (f figure) String() string {
	sign := "≤"
	if f.least {
		sign = "≥"
	}
	if f.of == "" {
		return fmt.Sprintf("%s %g %s", sign, f.limit, f.metric.unit)
	}
	return fmt.Sprintf("%s %.2f × %s", sign, f.limit, f.of)
}

// reached returns what the figure is compared with, and the verdict. known is
// false where something was not measured.
func (f figure) reached(s samples) (got float64, ok, known bool) {
	got, known = s.median(f.metric, gate)
	if f.of != "" {
		other, measured := s.median(f.metric, f.of)
		got, known = got/other, known && measured && other > 0
	}
	if f.least {
		return got, got >= f.limit, known
	}
	return got, got <= f.limit, known
}

// samples are one value per round.
type samples map[metric]map[string][]float64

func (s samples) add(m metric, path string, v float64) {
	if s[m] == nil {
		s[m] = map[string][]float64{}
	}
	s[m][path] = append(s[m][path], v)
}

func (s samples) median(m metric, path string) (float64, bool) {
	v := s[m][path]
	return quantile(v, 0.5), len(v) > 0
}

// quantile returns the q-th quantile, interpolated; NaN of nothing.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	at := q * float64(len(v)-1)
	low := int(at)
	high := min(low+1, len(v)-1)
	return v[low] + (at-float64(low))*(v[high]-v[low])
}

// print writes the medians, then the figures to reach.
func (s samples) print(out io.Writer) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "row\tmedian of the rounds\tunit")
	for _, p := range pathNames {
		fmt.Fprintf(t, "\t%s", p)
	}
	fmt.Fprintf(t, "\tlowest–highest of %s\n", gate)
	for _, m := range metrics {
		if s[m] == nil {
			continue
		}
		fmt.Fprintf(t, "%d\t%s\t%s", m.row, m.name, m.unit)
		for _, p := range pathNames {
			if v, ok := s.median(m, p); ok {
				fmt.Fprintf(t, "\t%s", number(v))
			} else {
				fmt.Fprintf(t, "\t–")
			}
		}
		if v := s[m][gate]; len(v) > 1 {
			fmt.Fprintf(t, "\t%s–%s\n", number(slices.Min(v)), number(slices.Max(v)))
		} else {
			fmt.Fprintf(t, "\t\n")
		}
	}
	fmt.Fprintf(t, "\t\t\nrow\tfigure to reach\t\tgot\t\n")
	short := 0
	for _, f := range figures {
		got, ok, known := f.reached(s)
		if !known {
			continue
		}
		shown := number(got)
		if f.of != "" {
			shown = fmt.Sprintf("%.3f", got) // a ratio near its limit
		}
		verdict := "ok"
		if !ok {
			verdict = "short"
			short++
		}
		fmt.Fprintf(t, "%d\t%s %s\t\t%s\t%s\n", f.metric.row, f.metric.name, f, shown, verdict)
	}
	_ = t.Flush() // as every other write to a terminal here
	fmt.Fprintf(out, "%d short\n", short)
}

// number prints three digits that matter.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
