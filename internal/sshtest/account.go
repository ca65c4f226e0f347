package sshtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"syscall"
)

// ensureAccounts makes the local accounts that are missing. Packages are tested
// at once: they take turns, or two would add the account that both found missing.
func ensureAccounts(names []string) error {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "sallyport-sshtest.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() // and with it the lock
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	for _, name := range names {
		_, err := user.Lookup(name)
		if unknown := user.UnknownUserError(""); errors.As(err, &unknown) {
			err = addAccount(name)
		}
		if err != nil {
			return fmt.Errorf("account %s: %w", name, err)
		}
	}
	return nil
}

func addAccount(name string) error {
	for _, args := range [][]string{
		{"useradd", "-m", "-s", "/bin/bash", name},
		{"usermod", "-p", "*", name}, // "!" would lock the account: sshd refuses keys too without PAM
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", args[0], err, out)
		}
	}
	return nil
}
