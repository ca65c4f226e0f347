package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/config"
	"sallyport/console"
	"sallyport/control"
	"sallyport/internal/sshtest"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// blocks returns the fenced blocks of a language.
func blocks(text, lang string) []string {
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```"+lang+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// changing is what differs between two runs of the demo.
var changing = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\b[a-z2-7]{12}\b`), "ID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(Z| UTC)`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDR"},
	{regexp.MustCompile(`\d+ ms`), "N ms"},
	{regexp.MustCompile(`\b\d+s\b`), "Ns"},
	{regexp.MustCompile(`[ ]+`), " "},
}

func steady(s string) string {
	for _, c := range changing {
		s = c.re.ReplaceAllString(s, c.with)
	}
	return strings.TrimSpace(s)
}

// The demo plays its whole story, and the README shows just that.
func TestDemoIsAsTheREADMEShows(t *testing.T) {
	var out, errs bytes.Buffer
	if status := run(context.Background(), []string{"demo", "--run"}, streams{strings.NewReader(""), &out, &errs}); status != 0 {
		t.Fatalf("exit status %d: %s\n%s", status, &errs, &out)
	}
	readme := readDoc(t, "README.md")
	_, after, ok := strings.Cut(readme, "<!-- demo:")
	if !ok {
		t.Fatal("the README shows no demo")
	}
	shown := blocks(after, "")
	if diff := cmp.Diff(steady(shown[0]), steady(out.String())); diff != "" {
		t.Errorf("README (-), demo (+):\n%s", diff)
	}
}

// The README's way to one's own sshd, typed line by line in a directory that
// stands for /.
func TestTheREADMEsFiveMinutes(t *testing.T) {
	root := t.TempDir()
	_, after, ok := strings.Cut(readDoc(t, "README.md"), "## Five minutes")
	if !ok {
		t.Fatal("the README has no five minutes")
	}
	place := strings.NewReplacer("/etc/sallyport", root+"/etc/sallyport", "/var/lib/sallyport", root+"/var/lib/sallyport",
		"/usr/local/bin", root+"/bin", "0.0.0.0:2222", fmt.Sprintf("127.0.0.1:%d", sshtest.FreePort(t)))
	file := root + "/etc/sallyport/sallyport.yaml"
	var lines []string
	for _, b := range blocks(after, "sh") {
		lines = append(lines, strings.Split(strings.TrimSpace(b), "\n")...)
	}
	served := false
	for _, line := range lines {
		words := strings.Fields(place.Replace(line))
		if words[0] == "make" || slices.Contains(words, "bin/sallyport") {
			continue // this test's binary stands for the one that is built
		}
		switch words[0] {
		case "sallyport":
			if err := os.MkdirAll(root+"/var/lib", 0o755); err != nil {
				t.Fatal(err)
			}
			args := append(words[1:], "--config", file)
			if words[1] == "serve" {
				serveOnce(t, file, args)
				served = true
				continue
			}
			var out, errs bytes.Buffer
			if status := run(context.Background(), args, streams{strings.NewReader(""), &out, &errs}); status != 0 || out.Len() == 0 {
				t.Fatalf("%s: exit status %d: %s", line, status, &errs)
			}
		default:
			cmd := exec.Command(words[0], words[1:]...)
			cmd.Dir = "../.."
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", line, err, out)
			}
			if words[0] == "install" {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(place.Replace(string(text))), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if !served {
		t.Error("the README never starts the gateway")
	}
}

// serveOnce starts the gateway, waits until it answers, and stops it.
func serveOnce(t *testing.T, file string, args []string) {
	t.Helper()
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan int, 1)
	var errs bytes.Buffer
	go func() { done <- run(ctx, args, streams{strings.NewReader(""), io.Discard, &errs}) }()
	deadline := time.After(10 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if c, err := net.Dial("tcp", cfg.Listen); err == nil {
			c.Close()
			break
		}
		select {
		case status := <-done:
			t.Fatalf("serve ended with %d: %s", status, &errs)
		case <-deadline:
			t.Fatal("the gateway does not answer")
		case <-tick.C:
		}
	}
	cancel()
	if status := <-done; status != 0 {
		t.Errorf("serve ended with %d: %s", status, &errs)
	}
}

// Every verb that the README and the documents name exists.
func TestTheREADMEsVerbsExist(t *testing.T) {
	readme := readDoc(t, "README.md")
	_, table, _ := strings.Cut(readme, "## Who types what")
	table, _, _ = strings.Cut(table, "`-o json`")
	n := 0
	for _, m := range regexp.MustCompile("`(?:ssh (?:-t )?gate )?((?:ls|request|grants|sessions|lock|recordings|play|whoami)[^`]*)`").FindAllStringSubmatch(table, -1) {
		n++
		args := []string{"help"}
		for _, w := range strings.Fields(m[1]) {
			if w == "ID" || strings.HasPrefix(w, "-") {
				break
			}
			args = append(args, w)
		}
		var out, errs bytes.Buffer
		io := console.IO{Args: args, In: strings.NewReader(""), Out: &out, Err: &errs}
		if status := console.Run(context.Background(), &control.Control{}, control.Caller{User: "alice"}, io); status != 0 ||
			!strings.Contains(out.String(), strings.Join(args[1:], " ")) {
			t.Errorf("%q: exit status %d, %s%s", m[1], status, &out, &errs)
		}
		for _, flag := range regexp.MustCompile(`--[a-z]+`).FindAllString(m[1], -1) {
			if !strings.Contains(out.String(), flag) {
				t.Errorf("%q: help does not know %s", m[1], flag)
			}
		}
	}
	if n < 15 {
		t.Errorf("only %d verbs found", n)
	}
}

// The configuration snippets of the documents load.
func TestTheDocumentsSnippetsLoad(t *testing.T) {
	sample := readDoc(t, "configs/sample.yaml")
	for _, b := range blocks(readDoc(t, "docs/operations.md"), "yaml") {
		if _, err := config.Parse("operations.md", []byte(sample+b)); err != nil {
			t.Error(err)
		}
	}
	commands := blocks(readDoc(t, "docs/command-control.md"), "yaml")
	if len(commands) == 0 {
		t.Fatal("no snippet")
	}
	i := strings.Index(sample, "    commands:")
	j := strings.Index(sample, "permissions:")
	indented := "    " + strings.ReplaceAll(strings.TrimSpace(commands[0]), "\n", "\n    ") + "\n"
	if _, err := config.Parse("command-control.md", []byte(sample[:i]+indented+sample[j:])); err != nil {
		t.Error(err)
	}
}

// What the documents show of sallyport policy is what it prints, asked about the
// sample configuration.
func TestTheDocumentsShowWhatPolicySays(t *testing.T) {
	n := 0
	for _, doc := range []string{"README.md", "docs/command-control.md"} {
		for _, block := range blocks(readDoc(t, doc), "console") {
			for part := range strings.SplitSeq("\n"+block, "\n$ ") {
				line, shown, _ := strings.Cut(part, "\n")
				rest, ok := strings.CutPrefix(line, "sallyport policy ")
				if !ok {
					continue
				}
				n++
				words, err := exec.Command("sh", "-c", `printf '%s\n' `+rest).Output()
				if err != nil {
					t.Fatal(err)
				}
				args := append([]string{"policy"}, strings.Split(strings.TrimSpace(string(words)), "\n")...)
				var out, errs bytes.Buffer
				run(context.Background(), append(args, "--config", "../../configs/sample.yaml"), streams{strings.NewReader(""), &out, &errs})
				if diff := cmp.Diff(strings.TrimSpace(shown), strings.TrimSpace(out.String())); diff != "" {
					t.Errorf("%s: %s: shown (-), printed (+):\n%s%s", doc, line, diff, &errs)
				}
			}
		}
	}
	if n < 4 {
		t.Errorf("only %d are shown", n)
	}
}
