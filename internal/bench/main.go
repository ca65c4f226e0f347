// Command bench measures what a session through sallyport costs, beside a
// direct connection, an OpenSSH ProxyJump and a ForceCommand bastion that
// records with script. All four reach the same sshd on loopback, in turn, in
// one run; a figure is the median of the rounds.
//
// It must run as root, which sshd needs to log in as another account. It
// listens on 127.0.0.1 only, and ends and removes all that it started.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are the flags, with the sizes that follow from them.
type options struct {
	rounds int
	rows   []int         // nil: all
	idle   int           // idle sessions of row 9
	rest   time.Duration // how long they idle before their memory is read
	limit  time.Duration // of the whole run
	quick  bool
}

func parseFlags(args []string, errs io.Writer) (options, error) {
	var o options
	var rows string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errs)
	f.IntVar(&o.rounds, "rounds", 5, "interleaved rounds, of which the median counts")
	f.StringVar(&rows, "rows", "", "only these rows, such as 1,4,9 (default all: "+strings.Trim(fmt.Sprint(knownRows()), "[]")+")")
	f.IntVar(&o.idle, "idle", 1000, "idle interactive sessions of row 9")
	f.DurationVar(&o.rest, "rest", 20*time.Second, "how long those idle before their memory is read")
	f.DurationVar(&o.limit, "limit", 15*time.Minute, "stop measuring after this long")
	f.BoolVar(&o.quick, "quick", false, "see that it works: one round, small sizes; the figures mean little")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.quick {
		if !given["rounds"] {
			o.rounds = 1
		}
		if !given["idle"] {
			o.idle = 20
		}
		if !given["rest"] {
			o.rest = 2 * time.Second
		}
	}
	for field := range strings.FieldsFuncSeq(rows, func(r rune) bool { return r == ',' || r == ' ' }) {
		n, err := strconv.Atoi(field)
		if err != nil || !slices.Contains(knownRows(), n) {
			return o, fmt.Errorf("there is no row %q", field)
		}
		o.rows = append(o.rows, n)
	}
	if f.NArg() > 0 || o.rounds < 1 || o.idle < 1 || o.rest < 0 || o.limit <= 0 {
		return o, errors.New("flags out of range, or words that are no flags")
	}
	return o, nil
}

// pick returns the size for a full or for a quick run.
func (o options) pick(full, quick int) int {
	if o.quick {
		return quick
	}
	return full
}

// bench is one run.
type bench struct {
	options
	*world
	samples samples
	log     io.Writer
}

// measurements are the rows that share a set-up.
var measurements = []struct {
	name string
	rows []int
	run  func(*bench, context.Context) error
}{
	{"set-up", []int{1}, (*bench).setUp},
	{"sessions at once", []int{2, 3}, (*bench).rush},
	{"keystrokes", []int{4}, (*bench).keystrokes},
	{"text through exec", []int{5}, (*bench).execText},
	{"text through a pty", []int{6}, (*bench).ptyText},
	{"binary through exec", []int{7}, (*bench).execBinary},
	{"file transfers", []int{8}, (*bench).transfers},
	{"idle sessions", []int{9}, (*bench).idling},
	{"certificates", []int{10}, (*bench).certificates},
}

func knownRows() []int { return []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10} }

func main() {
	o, err := parseFlags(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err = run(ctx, o, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures and prints. What was measured is printed also when a part
// failed; the error tells which.
func run(ctx context.Context, o options, out, log io.Writer) (err error) {
	started := time.Now()
	facts := machine(ctx)
	fmt.Fprintln(log, "bench: building and starting")
	w, err := newWorld(ctx, o)
	defer w.close() // also what a failed start left
	if err != nil {
		return err
	}
	// Building is not measuring: a cold build cache may take minutes.
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("the limit of %v is reached", o.limit))
	defer cancel()
	b := &bench{options: o, world: w, samples: samples{}, log: log}
	var failed []error
	for _, m := range measurements {
		if o.rows != nil && !slices.ContainsFunc(m.rows, func(n int) bool { return slices.Contains(o.rows, n) }) {
			continue
		}
		begun := time.Now()
		err := m.run(b, ctx)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", m.name, err))
		}
		fmt.Fprintf(log, "bench: %s: %.1f s\n", m.name, time.Since(begun).Seconds())
		if ctx.Err() != nil {
			failed = append(failed, context.Cause(ctx))
			break
		}
	}
	b.samples.print(out)
	fmt.Fprintln(out)
	for _, f := range append(facts, w.facts()...) {
		fmt.Fprintln(out, f)
	}
	fmt.Fprintf(out, "%d rounds, %.0f s in all\n", o.rounds, time.Since(started).Seconds())
	if o.quick {
		fmt.Fprintln(out, "a quick run: the sizes are too small for figures")
	}
	if len(failed) > 0 {
		failed = append(failed, w.gateLog())
	}
	return errors.Join(failed...)
}
