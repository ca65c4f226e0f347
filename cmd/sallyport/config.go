package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/config"
)

func newConfigCommand(configFile string) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Look at the configuration"}
	cmd.AddCommand(&cobra.Command{
		Use: "check", Short: "Check the configuration file", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(configFile)
			if err != nil {
				return err
			}
			if _, err := hooksOf(configFile, cfg); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is good: %d users, %d targets, %d roles\n",
				configFile, len(cfg.Users), len(cfg.Targets), len(cfg.Roles))
			return nil
		},
	})
	return cmd
}
