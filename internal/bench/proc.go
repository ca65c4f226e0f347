package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 on Linux for
// every program, whatever the kernel's own clock.
const tick = 10 * time.Millisecond

// stat is what /proc/PID/stat tells about a process.
type stat struct {
	parent int
	cpu    time.Duration // its own, and that of the children it has waited for
}

func parseStat(b []byte) (stat, error) {
	// pid (name) state ppid …; the name may contain anything.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 15 {
		return stat{}, fmt.Errorf("%d fields in a process's stat", len(f))
	}
	var s stat
	var err error
	if s.parent, err = strconv.Atoi(f[1]); err != nil {
		return stat{}, err
	}
	for _, field := range f[11:15] { // utime stime cutime cstime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return stat{}, err
		}
		s.cpu += time.Duration(n) * tick
	}
	return s, nil
}

// processes reads all there are; what ends meanwhile is left out.
func processes() map[int]stat {
	all := map[int]stat{}
	paths, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is sound
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if s, bad := parseStat(b); err == nil && bad == nil {
			all[pid] = s
		}
	}
	return all
}

// tree returns pid and all below it.
func tree(all map[int]stat, pid int) []int {
	children := map[int][]int{}
	for p, s := range all {
		children[s.parent] = append(children[s.parent], p)
	}
	ids := []int{pid}
	for i := 0; i < len(ids); i++ {
		ids = append(ids, children[ids[i]]...)
	}
	return ids
}

// usage returns what a process and its descendants, living and waited for,
// have used so far, and how many live.
func usage(pid int) (cpu time.Duration, living int) {
	all := processes()
	ids := tree(all, pid)
	for _, id := range ids {
		cpu += all[id].cpu
	}
	return cpu, len(ids)
}

// settled returns the usage of a hop once its sessions are gone, their
// children are waited for and it has come to rest.
func settled(ctx context.Context, pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, ctx.Err()
	}
	const step, patience = 50 * time.Millisecond, 10 * time.Second
	last := time.Duration(-1)
	for begun := time.Now(); ; {
		cpu, living := usage(pid)
		if living == 1 && cpu == last {
			return cpu, ctx.Err()
		}
		if last = cpu; time.Since(begun) > patience {
			return 0, fmt.Errorf("the hop does not come to rest: %d processes", living)
		}
		if err := pause(ctx, step); err != nil {
			return 0, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pss returns the proportional set size of a process and its descendants, in
// bytes: memory that several share is divided among them.
func pss(pid int) (int64, error) {
	var sum int64
	for _, id := range tree(processes(), pid) {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(id), "smaps_rollup"))
		if os.IsNotExist(err) {
			continue // it has just ended
		}
		if err != nil {
			return 0, err
		}
		n, err := parsePSS(string(b))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func parsePSS(rollup string) (int64, error) {
	for line := range strings.Lines(rollup) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" && f[2] == "kB" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no Pss in smaps_rollup")
}
