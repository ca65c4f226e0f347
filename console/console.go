// Package console is the people's verbs over package control: the same command
// tree for who comes over SSH and for root on the gateway's own socket.
//
// Texts that somebody else wrote (reasons, names, versions) are hostile to a
// terminal: every byte of them that is not printable is escaped on the way out.
package console

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/control"
)

// IO is what is in front of the caller.
type IO struct {
	Args          []string
	In            io.Reader // its Read returns an error when the context of Run or Hold ends
	Out, Err      io.Writer
	Terminal      bool
	Columns, Rows int // of the terminal; 0: unknown

	// Internal, where it is not nil, is told the errors that the caller does not
	// get to see in full.
	Internal func(error)
}

// app is one run of one command.
type app struct {
	ctx    context.Context
	c      *control.Control
	caller control.Caller
	io     IO
	output string
}

// Run runs one command for the caller and returns its exit status. It reads
// nothing but io and closes nothing.
func Run(ctx context.Context, c *control.Control, caller control.Caller, io IO) int {
	a := &app{ctx: ctx, c: c, caller: caller, io: io}
	err := a.run()
	a.complain(err)
	return sallyport.ExitStatus(err)
}

func (a *app) run() error {
	args := joinFreeText(a.io.Args) // never nil: cobra would read os.Args
	if len(args) > 0 && strings.HasPrefix(args[0], "__") {
		return unknown(args[0], "") // cobra's own hidden verbs
	}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(""))
	root.SetOut(a.io.Out)
	root.SetErr(a.io.Err)
	return root.ExecuteContext(a.ctx)
}

// complain tells the caller what went wrong, each line marked as the gateway's.
func (a *app) complain(err error) {
	if err == nil {
		return
	}
	var told *sallyport.Error
	if !errors.As(err, &told) || told.Code == sallyport.CodeInternal {
		if a.io.Internal != nil {
			a.io.Internal(err)
		}
		switch {
		case errors.As(err, &told), a.caller.Admin:
		case a.ctx.Err() != nil:
			err = sallyport.Errorf(sallyport.CodeInternal, "interrupted")
		default:
			err = sallyport.Errorf(sallyport.CodeInternal, "an internal error").
				WithHint("tell the operator of the gateway; time: %s", a.c.Clock().UTC().Format(time.RFC3339))
		}
	}
	a.say(err.Error())
	if hint := sallyport.HintOf(err); hint != "" {
		a.say(hint)
	}
}

// say writes one line of the gateway's own to stderr.
func (a *app) say(text string) {
	_, _ = io.WriteString(a.io.Err, "sallyport: "+sallyport.Printable(text)+"\n")
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "ask for access, decide, watch and end sessions",
		Annotations: map[string]string{
			cobra.CommandDisplayNameAnnotation: strings.TrimSuffix(a.c.Command(a.caller, ""), " "),
		},
		SilenceErrors: true, SilenceUsage: true, DisableSuggestions: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.output != "text" && a.output != "json" {
				return sallyport.Errorf(sallyport.CodeUsage, "there is no output format %.40q", a.output).
					WithHint("write -o json or -o text")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknown(args[0], "")
			}
			if err := a.accesses(); err != nil {
				return err
			}
			if a.output == "text" {
				a.say("the verbs: " + a.c.Command(a.caller, "help"))
			}
			return nil
		},
	}
	root.PersistentFlags().StringVarP(&a.output, "output", "o", "text", "text or json")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return sallyport.Errorf(sallyport.CodeUsage, "%s", err.Error()).WithHint("see: %s", a.help(cmd))
	})
	root.AddCommand(a.ls(), a.request(), a.grants(), a.sessions(), a.lock(), a.recordings(), a.play(), a.config(), a.whoami(), a.version())
	root.SetHelpCommand(a.helpVerb(root))
	return root
}

// helpVerb is cobra's help with an error for what there is no help on.
func (a *app) helpVerb(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [VERB…]", Short: "what there is, or one verb in full",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || cmd == nil || len(rest) > 0 {
				return unknown(strings.Join(args, " "), "")
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

func (a *app) help(cmd *cobra.Command) string {
	path := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().CommandPath())
	return a.c.Command(a.caller, "help"+path)
}

func unknown(verb, group string) error {
	if group != "" {
		group += " "
	}
	return sallyport.Errorf(sallyport.CodeUsage, "there is no verb %.60q", group+verb).WithHint("see: help")
}

// group is a verb that only has verbs below it.
func (a *app) group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknown(args[0], use)
			}
			return sallyport.Errorf(sallyport.CodeUsage, "%s what?", use).WithHint("see: %s", a.help(cmd))
		},
	}
	g.AddCommand(verbs...)
	return g
}

// verb is a command that takes exactly the named arguments.
func (a *app) verb(use, short string, run func(args []string) error) *cobra.Command {
	want := len(strings.Fields(strings.SplitN(use, " [", 2)[0])) - 1
	return &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == want {
				return nil
			}
			what := "too many words"
			if len(args) < want {
				what = strings.Fields(use)[1+len(args)] + " is missing"
			}
			return sallyport.Errorf(sallyport.CodeUsage, "%s", what).WithHint("write: %s", a.c.Command(a.caller, a.usage(cmd)))
		},
		RunE: func(_ *cobra.Command, args []string) error { return run(args) },
	}
}

func (a *app) usage(cmd *cobra.Command) string {
	u := cmd.Use
	if p := cmd.Parent(); p != nil && p.HasParent() {
		u = p.Name() + " " + u
	}
	return u
}
