package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/audit"
	"sallyport/config"
	"sallyport/notify"
)

// hooksOf makes the hooks of a configuration, and reads their files.
func hooksOf(file string, cfg *config.Config) ([]notify.Hook, error) {
	var hooks []notify.Hook
	for _, c := range cfg.Notify {
		h := notify.Hook{
			Name: c.Name, Severity: c.Severity, Events: c.Events,
			Command: c.Command, URL: c.URL, Timeout: c.Timeout,
		}
		var err error
		if len(c.Command) > 0 {
			err = notify.CheckCommand(c.Command[0])
		} else {
			h.Secret, err = notify.ReadSecret(c.SecretFile)
		}
		if err != nil {
			return nil, sallyport.Errorf(sallyport.CodeInvalid, "%s:%d: hook %q: %w", file, c.Line, c.Name, err).
				WithHint("%s", sallyport.HintOf(err))
		}
		hooks = append(hooks, h)
	}
	return hooks, nil
}

// newNotifier makes what calls the hooks about what l records.
func newNotifier(gateway string, l *audit.Log, log zerolog.Logger) *notify.Notifier {
	n := &notify.Notifier{Gateway: gateway, Audit: l, Log: log, Random: rand.Reader}
	l.Follow = func(r audit.Record) { n.Offer(r.Seq, r.Event) }
	return n
}

func newNotifyCommand(configFile string) *cobra.Command {
	cmd := &cobra.Command{Use: "notify", Short: "The hooks that hear of alerts"}
	var name string
	try := &cobra.Command{
		Use: "test", Short: "Send a test event through the hooks", Args: cobra.NoArgs,
		Long: `Send a test event (notify.test) through every hook of the configuration, or
through one, whatever its severity and events are. Each is called once, by this
command and not by a running gateway. The exit status is 0 when all have taken it.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(configFile)
			if err != nil {
				return err
			}
			hooks, err := hooksOf(configFile, cfg)
			if err != nil {
				return err
			}
			return tryHooks(cmd, cfg.Name, hooks, name)
		},
	}
	try.Flags().StringVar(&name, "name", "", "only the hook of this `name`")
	cmd.AddCommand(try)
	return cmd
}

// tryHooks calls the hook of this name, or all of them where it is empty.
func tryHooks(cmd *cobra.Command, gateway string, hooks []notify.Hook, name string) error {
	n := &notify.Notifier{Gateway: gateway, Random: rand.Reader}
	ctx := cmd.Context()
	tried, failed := 0, 0
	for _, h := range hooks {
		if name != "" && h.Name != name {
			continue
		}
		tried++
		switch err := n.Try(ctx, h); {
		case errors.Is(err, context.Canceled):
			return err
		case err != nil:
			failed++
			fmt.Fprintf(cmd.OutOrStdout(), "%s: failed: %s\n", h.Name, sallyport.Printable(err.Error()))
		default:
			fmt.Fprintf(cmd.OutOrStdout(), "%s: delivered\n", h.Name)
		}
	}
	switch {
	case tried == 0 && name != "":
		return sallyport.Errorf(sallyport.CodeNotFound, "no hook is named %q", name).WithHint("see notify in the configuration")
	case tried == 0:
		return sallyport.Errorf(sallyport.CodeNotFound, "no hook is configured").WithHint("add one under notify in the configuration")
	case failed > 0:
		return sallyport.Errorf(sallyport.CodeUnavail, "%d of %d hooks did not take the event", failed, tried)
	}
	return nil
}
