package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"sallyport"
	"sallyport/config"
)

func newServeCommand(configFile string, std streams) *cobra.Command {
	var drain time.Duration
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the gateway", Args: cobra.NoArgs,
		Long: `Run the gateway in the foreground until SIGTERM or SIGINT.

SIGTERM drains: no new sessions, a notice to the people in the live ones, an
end to what is left after --drain. A second one does not wait.
SIGHUP reloads the configuration; a bad one is refused and the old one stays.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(configFile)
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("drain") {
				drain = 0
			}
			log := zerolog.New(std.err).With().Timestamp().Logger()
			return serve(cmd.Context(), configFile, cfg, drain, log)
		},
	}
	cmd.Flags().DurationVar(&drain, "drain", 30*time.Second, "how long live sessions may go on after SIGTERM")
	return cmd
}

func serve(ctx context.Context, file string, cfg *config.Config, drain time.Duration, log zerolog.Logger) error {
	protectMemory()
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "keys")); os.IsNotExist(err) {
		return sallyport.Errorf(sallyport.CodeUnavail, "there are no keys in %s", cfg.DataDir).
			WithHint("make them: sallyport init --config %s", file)
	}
	g, err := openGateway(file, cfg, log)
	if err != nil {
		return err
	}
	defer g.close()
	g.drainFor = drain
	l, err := listen(cfg.Listen)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-hup:
				if err := g.reload(ctx); err != nil {
					log.Error().Err(err).Msg("reload refused")
				} else {
					log.Info().Msg("configuration reloaded")
				}
			case <-done:
				return
			}
		}
	}()
	// The first SIGTERM ends ctx; only what comes after it hurries the drain.
	hurry := make(chan os.Signal, 1)
	defer signal.Stop(hurry)
	context.AfterFunc(ctx, func() { signal.Notify(hurry, syscall.SIGTERM, syscall.SIGINT) })
	return g.serve(ctx, l, hurry)
}

// protectMemory keeps keys out of core dumps and other processes' reach
// (threat G6), and files from being readable by others, whatever the umask was.
// A kernel that refuses one of these has nothing better to offer.
func protectMemory() {
	syscall.Umask(0o077)
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
