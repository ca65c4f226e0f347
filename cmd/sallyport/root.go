package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sallyport"
)

// streams are what a verb reads and writes, so that a test can start any of them.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// defaultConfig is where the configuration is looked for.
const defaultConfig = "/etc/sallyport/sallyport.yaml"

// serverVerbs run here; all others are the people's and run at the gateway.
var serverVerbs = map[string]bool{
	"serve": true, "demo": true, "init": true, "config": true, "ca": true, "policy": true, "notify": true,
	"version": true, "help": true, "completion": true,
}

// runsHere tells the server's verbs from the people's. "config check" is the
// one, "config" the other.
func runsHere(args []string) bool {
	if args[0] == "config" {
		return len(args) > 1 && !strings.HasPrefix(args[1], "-") || slices.Contains(args, "--help") || slices.Contains(args, "-h")
	}
	return serverVerbs[args[0]] || strings.HasPrefix(args[0], "-")
}

// run runs one command line and returns the exit status. It owns all output of
// errors: one line, and a hint where there is one.
func run(ctx context.Context, args []string, std streams) int {
	configFile, rest := takeConfigFlag(args)
	var err error
	var status int
	if len(rest) > 0 && !runsHere(rest) {
		status, err = people(ctx, configFile, rest, std)
	} else {
		err = serverCommand(configFile, std, rest).ExecuteContext(ctx)
		status = sallyport.ExitStatus(err)
	}
	if errors.As(err, &refusedLines{}) {
		return exitRefused
	}
	if err != nil {
		complain(std.err, err)
	}
	return status
}

// complain prints an error as every sallyport command does.
func complain(w io.Writer, err error) {
	fmt.Fprintln(w, "sallyport:", err)
	if hint := sallyport.HintOf(err); hint != "" {
		fmt.Fprintln(w, "sallyport: hint:", hint)
	}
}

// takeConfigFlag finds --config wherever it stands, because the people's verbs
// are parsed at the gateway and know nothing of it.
func takeConfigFlag(args []string) (file string, rest []string) {
	file = defaultConfig
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "--":
			return file, append(rest, args[i:]...)
		case a == "--config" && i+1 < len(args):
			i++
			file = args[i]
		case len(a) > 9 && a[:9] == "--config=":
			file = a[9:]
		default:
			rest = append(rest, a)
		}
	}
	return file, rest
}

func serverCommand(configFile string, std streams, args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "An SSH gateway: granted, recorded, ended on time",
		Long: `An SSH gateway: granted, recorded, ended on time.

The verbs below run here, on the gateway's host. The people's verbs (ls,
request, grants, sessions, lock, recordings, play, whoami) run at the gateway:
"ssh GATEWAY VERB…" from anywhere, "sallyport VERB…" on its host.`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.PersistentFlags().String("config", defaultConfig, "configuration `file`")
	root.SetArgs(args)
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return sallyport.Errorf(sallyport.CodeUsage, "%w", err).WithHint("sallyport help")
	})
	root.AddCommand(
		newServeCommand(configFile, std), newInitCommand(configFile), newConfigCommand(configFile), newPolicyCommand(configFile),
		newCACommand(configFile), newNotifyCommand(configFile), newDemoCommand(std), newVersionCommand(),
	)
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintln(cmd.OutOrStdout(), "sallyport", version())
			return nil
		},
	}
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}
