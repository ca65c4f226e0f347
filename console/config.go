package console

import (
	"io"

	"github.com/spf13/cobra"
)

// config prints what a user adds to their own files, so that plain ssh finds
// the way: nothing but the lines goes to standard output.
func (a *app) config() *cobra.Command {
	var known bool
	cmd := a.verb("config [--known-hosts]", "the lines for ~/.ssh/config, or for ~/.ssh/known_hosts, to reach targets by their names", func([]string) error {
		v, err := a.c.Config(a.caller)
		if err != nil {
			return err
		}
		switch {
		case a.output == "json":
			return a.json(v)
		case known:
			_, err = io.WriteString(a.io.Out, v.KnownHosts)
		default:
			_, err = io.WriteString(a.io.Out, v.SSHConfig)
			a.say("add these lines to ~/.ssh/config, and to ~/.ssh/known_hosts those of: " + a.c.Command(a.caller, "config --known-hosts"))
		}
		return err
	})
	cmd.Flags().BoolVar(&known, "known-hosts", false, "print the line for known_hosts: it makes ssh trust the gateway in the targets' names")
	return cmd
}
