package sshtest

import (
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// openPTY opens a pseudo-terminal whose master can be closed while it is read.
// creack/pty leaves the master in blocking mode, where a read outlives Close.
func openPTY() (master, slave *os.File, err error) {
	blocking, slave, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer blocking.Close()
	fd, err := unix.FcntlInt(blocking.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
		master = os.NewFile(uintptr(fd), blocking.Name())
	}
	if err != nil {
		if master != nil {
			master.Close()
		}
		slave.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

// setSize sets the size of a terminal in cells and pixels. Not pty.Setsize,
// which would bring blocking mode back.
func setSize(f *os.File, cols, rows, width, height uint32) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{
			Col: uint16(cols), Row: uint16(rows), Xpixel: uint16(width), Ypixel: uint16(height),
		})
	})
	return err == nil && failed == nil
}
