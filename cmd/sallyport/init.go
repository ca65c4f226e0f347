package main

import (
	"crypto/rand"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"sallyport/ca"
	"sallyport/config"
)

// keysDir is where a gateway keeps its keys.
func keysDir(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "keys") }

func newInitCommand(configFile string) *cobra.Command {
	return &cobra.Command{
		Use: "init", Short: "Create the gateway's keys, where they are missing", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(configFile)
			if err != nil {
				return err
			}
			created, err := ca.Init(keysDir(cfg), rand.Reader)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, f := range created {
				fmt.Fprintln(out, "created", f)
			}
			if len(created) == 0 {
				fmt.Fprintln(out, "every key is there already, in", keysDir(cfg))
			}
			return nil
		},
	}
}
