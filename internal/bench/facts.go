package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine tells what the figures depend on, one line each, as it was before
// the run.
func machine(ctx context.Context) []string {
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel := "unknown kernel"
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		kernel = "Linux " + string(bytes.TrimRight(u.Release[:], "\x00"))
	}
	load := "unknown"
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(b))[:3], " ")
	}
	return []string{
		fmt.Sprintf("machine: %d × %s, %s, load at the start %s", runtime.NumCPU(), model, kernel, load),
		fmt.Sprintf("programs: %s, %s, %s; revision %s", runtime.Version(),
			firstLine(ctx, "ssh", "-V"), firstLine(ctx, "script", "--version"), firstLine(ctx, "git", "describe", "--always", "--dirty")),
	}
}

// firstLine returns the first line that a program prints.
func firstLine(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return name + ": unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// facts tell what was measured with.
func (w *world) facts() []string {
	disk := "unknown"
	var fs unix.Statfs_t
	if unix.Statfs(w.dir, &fs) == nil {
		disk = map[int64]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs"}[int64(fs.Type)]
		if disk == "" {
			disk = fmt.Sprintf("file system %#x", fs.Type)
		}
	}
	return []string{
		"recordings: on " + disk + ", removed between measurements; command rules of the sample; loopback, client and target on the same cores",
		fmt.Sprintf("sizes: text %d MiB, through a pty %d, zeros %d, random %d", w.sizes.text>>20, w.sizes.ptyText>>20, w.sizes.zeros>>20, w.sizes.random>>20),
	}
}
