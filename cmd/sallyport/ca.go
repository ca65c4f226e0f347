package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/ca"
	"sallyport/config"
)

func newCACommand(configFile string) *cobra.Command {
	cmd := &cobra.Command{Use: "ca", Short: "The gateway's certificate authorities"}
	cmd.AddCommand(&cobra.Command{
		Use: "show user|host", Short: "Print what a target (user) or a user (host) has to trust",
		Long: `Print what others have to trust:

  user   the line for the file that TrustedUserCAKeys names in a target's sshd_config
  host   the @cert-authority line for the users' known_hosts`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), oneOf("user", "host")),
		ValidArgs: []string{"user", "host"},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(configFile)
			if err != nil {
				return err
			}
			keys, err := ca.Load(keysDir(cfg))
			if err != nil {
				return err
			}
			line := ca.TrustedUserCA(keys.UserCA.PublicKey())
			if args[0] == "host" {
				line = ca.CertAuthorityLine(hostPatterns(cfg), keys.HostCA.PublicKey())
			}
			fmt.Fprintln(cmd.OutOrStdout(), strings.TrimRight(line, "\n"))
			return nil
		},
	})
	return cmd
}

// hostPatterns are the names that the host CA may vouch for: the targets, by
// every name that users may type.
func hostPatterns(cfg *config.Config) []string {
	var names []string
	for _, t := range cfg.Targets {
		names = append(names, t.Name)
		names = append(names, t.Aliases...)
	}
	return names
}

// oneOf checks the only argument.
func oneOf(words ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		for _, w := range words {
			if args[0] == w {
				return nil
			}
		}
		return sallyport.Errorf(sallyport.CodeUsage, "%q is not one of %s", args[0], strings.Join(words, ", ")).
			WithHint("sallyport help %s", strings.TrimPrefix(cmd.CommandPath(), "sallyport "))
	}
}
