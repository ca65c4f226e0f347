package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// maxOutput bounds what a command may write, in bytes. Nobody reads it: only its
// length is told.
const maxOutput = 1 << 20

// lingering is how long a process that a command left behind may hold its output.
const lingering = time.Second

// command runs a command with the input: no shell, no variable of ours, a process
// group of its own, which ends with it.
func command(ctx context.Context, argv []string, input []byte) error {
	var out counter
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	kill := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = kill
	cmd.WaitDelay = lingering
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("it cannot be started: %w", err)
	}
	err := cmd.Wait()
	_ = kill() // what it left behind, however it ended
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ended, failed := errors.AsType[*exec.ExitError](err)
	switch {
	case out.tooMuch:
		return fmt.Errorf("it wrote more than %d bytes of output", maxOutput)
	case failed:
		return fmt.Errorf("it ended with %s, after %d bytes of output", ended.ProcessState, out.bytes)
	case errors.Is(err, exec.ErrWaitDelay):
		return nil // it succeeded itself
	}
	return err
}

// counter counts what is written, and refuses what is too much. Writes do not
// meet: os/exec makes one pipe of standard output and error when both go here.
type counter struct {
	bytes   int
	tooMuch bool
}

func (c *counter) Write(p []byte) (int, error) {
	if c.bytes+len(p) > maxOutput {
		c.tooMuch = true
		return 0, errors.New("too much output")
	}
	c.bytes += len(p)
	return len(p), nil
}
