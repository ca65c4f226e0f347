package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
)

// program writes a shell script.
func program(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// Attack: text that a shell, a terminal or a reader of lines would act upon. It
// arrives as it was, as one line of JSON, and nothing of it is run. The command
// sees nothing of the gateway's environment.
func TestTheCommandsInput(t *testing.T) {
	t.Setenv("SALLYPORT_PASSWORD", "hunter2")
	dir := t.TempDir()
	evil := "$(touch " + dir + "/a) `touch " + dir + "/b`; touch " + dir + "/c\n\x1b]0;x\a\r\u202e\u009b'\"\\ %n"
	n, _, _ := newTest()
	m, err := n.message(5, sallyport.Event{Type: "command.deny", Reason: evil, Details: map[string]string{"line": evil}})
	if err != nil {
		t.Fatal(err)
	}
	h := Hook{Command: []string{program(t, `cat > "$1/in"; env > "$1/env"; printf %s "$2" > "$1/arg"`), dir, "$(id) *"}}
	if err := n.attempt(t.Context(), h, m); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	in := read("in")
	var w wire
	if err := json.Unmarshal([]byte(in), &w); err != nil || w.Reason != evil || w.Details["line"] != evil {
		t.Errorf("%q, %v", in, err)
	}
	if strings.Count(in, "\n") != 1 || strings.ContainsAny(in, "\x1b\r\a\u202e\u009b") {
		t.Errorf("input: %q", in)
	}
	if env := read("env"); strings.Contains(env, "hunter2") || strings.Contains(env, "HOME") || !strings.Contains(env, "PATH=/usr/local/sbin") {
		t.Errorf("environment: %s", env)
	}
	if read("arg") != "$(id) *" {
		t.Errorf("argument: %q", read("arg"))
	}
	for _, name := range []string{"a", "b", "c"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was run", name)
		}
	}
}

// Attack: a command that hangs, with children that hold its output.
func TestACommandThatHangs(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	n, _, _ := newTest()
	m, err := n.message(1, sallyport.Event{Type: "x.y"})
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"sleep 1000", "exit 0"} {
		h := Hook{Command: []string{program(t, "sleep 1000 & echo $! > "+pids+"\n"+end)}, Timeout: 2 * time.Second}
		err := n.attempt(t.Context(), h, m)
		if end == "exit 0" && err != nil || end != "exit 0" && (err == nil || err.Error() != "it took longer than 2s") {
			t.Errorf("%s: %v", end, err)
		}
		b, err := os.ReadFile(pids)
		if err != nil {
			t.Fatal(err)
		}
		awaitEnd(t, strings.TrimSpace(string(b)))
	}
}

// awaitEnd waits until a process has ended.
func awaitEnd(t *testing.T, pid string) {
	t.Helper()
	for deadline := time.After(20 * time.Second); ; {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("process %s lives on: %s", pid, stat)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Attack: a command that floods the gateway with output, or says secrets in it.
func TestTheCommandsOutput(t *testing.T) {
	for text, want := range map[string]string{
		"exec yes":                  "it wrote more than 1048576 bytes of output",
		"echo hunter2; exit 3":      "it ended with exit status 3, after 8 bytes of output",
		"echo hunter2; echo no >&2": "",
		"kill -SEGV $$":             "it ended with signal: segmentation fault",
		"exec 0<&-":                 "",
	} {
		err := command(t.Context(), []string{program(t, text)}, []byte("{}\n"))
		if got := fmt.Sprint(err); err == nil && want != "" || err != nil && !strings.HasPrefix(got, want) || want == "" && err != nil {
			t.Errorf("%s: %s, want %q", text, got, want)
		}
	}
	if err := command(context.Background(), []string{"/none"}, nil); err == nil || !strings.Contains(err.Error(), "cannot be started") {
		t.Error(err)
	}
}
