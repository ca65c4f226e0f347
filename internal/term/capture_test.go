package term

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// With -record the captures are made anew, from the programs themselves and, for
// what they show, from tmux. It needs bash, dash, fish, less, tmux, vim, zsh,
// zsh-autosuggestions and zsh-syntax-highlighting of Debian.
var record = flag.String("record", "", "record those of testdata/*.raw and *.txt anew whose name has this in it")

const (
	left   = "\x1b[D"
	up     = "\x1b[A"
	long   = "echo the quick brown fox jumps over the lazy dog and then over the fence, too"
	zshrc  = "PS1='%% '; PROMPT_EOL_MARK=; HISTSIZE=100\n. /usr/share/zsh-autosuggestions/zsh-autosuggestions.zsh\n. /usr/share/zsh-syntax-highlighting/zsh-syntax-highlighting.zsh\n"
	fishrc = "function fish_prompt; echo -n '> '; end; function fish_greeting; end"
)

// captures are programs, and the keys that were pressed in them, one after the
// other. ghost is where a suggestion is shown at the cursor.
var captures = []struct {
	name  string
	argv  []string
	keys  []string
	ghost bool
	line  string // the logical line at the cursor, as the shell has it
}{
	{"bash-history", []string{"bash", "--norc", "-i"}, []string{"echo one\r", "echo two\r", up + up, left + left + left + "X", "\x12tw"}, false, ""},
	{"bash-wrap", []string{"bash", "--norc", "-i"}, []string{long, strings.Repeat(left, 50) + "\x7f\x7fZZZ", "\x05!"}, false, "$ " + long[:len(long)-52] + "ZZZ" + long[len(long)-50:] + "!"},
	{"bash-shorter", []string{"bash", "--norc", "-i"}, []string{long, "\x17\x17\x17\x17", "end"}, false, "$ echo the quick brown fox jumps over the lazy dog and then end"},
	// bash writes a blank where the wide rune does not fit, as if it had been typed.
	{"bash-wide", []string{"bash", "--norc", "-i"}, []string{"echo " + strings.Repeat("日本", 15), "e\u0301é", left + left + "x"}, false, "$ echo " + strings.Repeat("日本", 13) + " " + strings.Repeat("日本", 2) + "xe\u0301é"},
	{"bash-complete", []string{"bash", "--norc", "-i"}, []string{"cat al", "\t", "\t\t", "p\t"}, false, ""},
	{"zsh-history", []string{"zsh", "-i"}, []string{"echo one\r", "echo two\r", up + up, left + left + left + "X"}, false, "% echo Xone"},
	{"zsh-ghost", []string{"zsh", "-i"}, []string{"echo hello world\r", "ec", "h"}, true, "% echo hello world"},
	{"zsh-ghost-wrap", []string{"zsh", "-i"}, []string{long + "\r", "ec", "h"}, true, "% " + long},
	{"zsh-wrap", []string{"zsh", "-i"}, []string{long, strings.Repeat(left, 40) + "\x7f\x7fZZZ", "\x05!"}, false, "% " + long[:len(long)-42] + "ZZZ" + long[len(long)-40:] + "!"},
	{"zsh-wide", []string{"zsh", "-i"}, []string{"echo '" + strings.Repeat("日本", 15), "é'", left + left + "x"}, false, "% echo '" + strings.Repeat("日本", 15) + "xé'"},
	{"fish-ghost", []string{"fish", "-C", fishrc}, []string{"echo hello world\r", "ec", "h"}, true, "> echo hello world"},
	{"fish-wrap", []string{"fish", "-C", fishrc}, []string{long, strings.Repeat(left, 40) + "\x7f\x7fZZZ", "\x05!"}, false, "> " + long[:len(long)-42] + "ZZZ" + long[len(long)-40:] + "!"},
	{"dash", []string{"dash", "-i"}, []string{"echo onw\x7fe\r", long + "\x7f\x7f", "\r"}, false, ""},
	{"vim", []string{"vim", "-u", "NONE", "-N", "-n", "lines"}, []string{"5j", "cwedited 日本\x1b", ":split\r", "G", "\x04", "dd"}, false, ""},
	{"vim-left", []string{"vim", "-u", "NONE", "-N", "-n", "lines"}, []string{"5jdd", ":q!\r"}, false, ""},
	{"less", []string{"less", "-N", "lines"}, []string{"  ", "b", "/40\r", "kk"}, false, ""},
	{"less-left", []string{"less", "lines"}, []string{"  ", "q"}, false, ""},
	{"tmux", []string{"tmux", "-u", "-S", "s", "-f", ".tmux.conf", "new-session", "bash --norc -i"}, []string{"head -40 lines\r", "\x02%", "echo right\r", "\x02\"", long, "\x02o"}, false, ""},
}

func recordCaptures(t *testing.T, o *oracle) {
	home := t.TempDir()
	var lines strings.Builder
	for i := range 60 {
		lines.WriteString(strings.Repeat("line of text ", i%7+1) + string(rune('0'+i/10)) + string(rune('0'+i%10)) + "\n")
	}
	for name, text := range map[string]string{"lines": lines.String(), "alpha": "a\n", "alpine": "b\n", ".zshrc": zshrc, ".tmux.conf": "set -g status off\n"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range captures {
		if !strings.Contains(c.name, *record) {
			continue
		}
		raw := capture(t, home, c.argv, c.keys)
		if bytes.Contains(raw, []byte(home)) {
			t.Errorf("%s: a path of this machine is in it", c.name)
		}
		file := filepath.Join("testdata", c.name)
		if err := os.WriteFile(file+".raw", raw, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file+".txt", []byte(o.show(t, raw).String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// capture runs a program on a terminal of its own and returns what it wrote. It
// is only for recording: it knows by the silence that the program waits for keys.
func capture(t *testing.T, home string, argv, keys []string) []byte {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = home
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + home, "TERM=xterm-256color", "LC_ALL=C.UTF-8", "PS1=$ ", "LESSHISTFILE=-", "SHELL=/bin/sh", "ZDOTDIR=" + home}
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: testRows, Cols: testCols})
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte)
	go func() {
		defer close(read)
		for {
			b := make([]byte, 1<<16)
			n, err := tty.Read(b)
			if n > 0 {
				read <- b[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	var raw []byte
	quiet := func() {
		for {
			select {
			case b, ok := <-read:
				if !ok {
					return
				}
				raw = append(raw, b...)
			case <-time.After(700 * time.Millisecond):
				return
			}
		}
	}
	quiet()
	for _, k := range keys {
		if _, err := tty.Write([]byte(k)); err != nil {
			t.Fatal(err)
		}
		quiet()
	}
	_ = cmd.Process.Kill()
	go func() {
		for range read { // until the terminal is closed
		}
	}()
	tty.Close()
	_ = cmd.Wait()
	return raw
}

// What real programs wrote shows as it does in tmux: as it did when it was
// recorded, and as it does now.
func TestCaptures(t *testing.T) {
	o := newOracle(t)
	if *record != "" {
		recordCaptures(t, o)
	}
	for _, c := range captures {
		t.Run(c.name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join("testdata", c.name+".raw"))
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join("testdata", c.name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			ours := New(testCols, testRows)
			ours.Write(raw)
			if got := see(ours).String(); got != string(want) {
				t.Errorf("it shows\n%s\nnot\n%s", got, want)
			}
			if now := o.show(t, raw).String(); now != string(want) {
				t.Errorf("the tmux of this machine shows\n%s", now)
			}
			if got := ours.Ghost(ours.Cursor()); got != c.ghost {
				t.Errorf("a suggestion at the cursor: %v", got)
			}
			if got := ours.Logical(); c.line != "" && got != c.line {
				t.Errorf("the line is %q, not %q", got, c.line)
			}
		})
	}
}
