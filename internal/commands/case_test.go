package commands

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// kind says what a case is to prove.
type kind string

const (
	forbidden kind = "forbidden" // refused; does damage where nothing judges
	innocent  kind = "innocent"  // not disturbed: the effect is exactly the wanted one
	hindered  kind = "hindered"  // innocent, and known to be disturbed
	missed    kind = "missed"
)

// ruleSet names the rules of a case; see rules.
type ruleSet string

const (
	denies     ruleSet = "deny" // the default
	terminates ruleSet = "term"
	opaque     ruleSet = "opaque" // denies what is opaque, too
	off        ruleSet = "off"    // no rules: nothing is judged
)

// Case is one row of the table: what somebody types, and why.
type Case struct {
	Name   string
	Shell  string // bash, zsh, fish, dash
	Kind   kind
	Reason string // in one line
	Rules  ruleSet

	RC         string            // more for the shell's rc file
	Files      map[string]string // in the working directory; those under bin can be run
	Cols, Rows int               // 0: 80, 24
	Lang       string            // LC_ALL; "": C.UTF-8
	Way        string            // how the gateway is passed; "": they take turns
	Early      bool              // types before the first prompt

	Steps []Step
	After []Step // forbidden: leads back to the shell's prompt after the refusal

	Want   map[string]string // innocent: files and their exact contents afterwards; gone: there is none
	Secret string            // must not be in the recording
}

// gone is the content of a file that must not be there.
const gone = "\x00gone"

// Step is something that a person does, or waits for.
type Step func(p *person)

// Keys types keys in one packet.
func Keys(keys string) Step {
	return func(p *person) { p.types(keys) }
}

// Slow types one key after the other, as people do.
func Slow(keys string) Step {
	return func(p *person) {
		for _, r := range keys {
			p.types(string(r))
			time.Sleep(30 * time.Millisecond) // a fast typist's rhythm
		}
	}
}

// Bytes types one byte per packet, so that escape sequences are split.
func Bytes(keys string) Step {
	return func(p *person) {
		for i := range len(keys) {
			p.types(keys[i : i+1])
			time.Sleep(3 * time.Millisecond) // or they would travel in one packet
		}
	}
}

// Think lets time pass, as part of the typing.
func Think(ms int) Step {
	return func(*person) { time.Sleep(time.Duration(ms) * time.Millisecond) }
}

// Shown waits until the line at the cursor shows text.
func Shown(text string) Step {
	return func(p *person) {
		p.until("the line showing "+text, func() bool {
			return strings.Contains(p.screen.Logical(), text)
		})
	}
}

// Hidden waits until the line at the cursor does not show text.
func Hidden(text string) Step {
	return func(p *person) {
		p.until("the line not showing "+text, func() bool { return !strings.Contains(p.screen.Logical(), text) })
	}
}

// OnScreen waits until a row of the screen shows text.
func OnScreen(text string) Step {
	return func(p *person) {
		p.until("the screen showing "+text, func() bool {
			_, rows := p.screen.Size()
			for i := range rows {
				if strings.Contains(p.screen.Row(i), text) {
					return true
				}
			}
			return false
		})
	}
}

// Wait waits for text in the output, after what was waited for before.
func Wait(text string) Step {
	return func(p *person) { p.until("the output "+text, func() bool { return p.expect(text) }) }
}

// Prompt waits for the next prompt of the shell.
func Prompt(p *person) { PromptAs(ready)(p) }

// PromptAs is Prompt where it does not look as usual.
func PromptAs(text string) Step {
	return func(p *person) {
		p.until("a prompt", func() bool { return p.expect(promptMark) })
		p.until("the prompt "+text, func() bool { return p.expect(text) })
	}
}

// Interrupt is Ctrl-C until there is a prompt: a bash that it meets at work draws
// none, and keeps the line.
func Interrupt(p *person) {
	for range 5 {
		p.types(ctrlC)
		if p.soon(2*time.Second, func() bool { return p.expect(promptMark) }) &&
			p.soon(2*time.Second, func() bool { return p.expect(ready) }) {
			return
		}
	}
	panic(stop{errors.New("no prompt after Ctrl-C")})
}

// More waits for a secondary prompt.
func More(p *person) { Wait("more> ")(p) }

// Enter runs what was typed.
func Enter(p *person) { p.types("\r") }

// Line types a line, sees it, and runs it.
func Line(line string) Step { return all(Keys(line), Shown(line), Enter) }

// Run is Line and waiting for the prompt after it.
func Run(line string) Step { return all(Line(line), Prompt) }

// Paste is what a terminal sends for pasted text.
func Paste(text string) Step { return Keys("\x1b[200~" + text + "\x1b[201~") }

// Resize changes the size of the window.
func Resize(cols, rows int) Step {
	return func(p *person) {
		p.mu.Lock()
		p.screen.Resize(cols, rows)
		p.mu.Unlock()
		p.resize(cols, rows)
	}
}

// File waits until a file is in the working directory.
func File(name string) Step {
	return func(p *person) {
		p.until("the file "+name, func() bool {
			_, err := os.Stat(filepath.Join(p.dir, name))
			return err == nil
		})
	}
}

// Holds waits until a file in the working directory has this content.
func Holds(name, content string) Step {
	return func(p *person) {
		p.until("the content of "+name, func() bool {
			b, err := os.ReadFile(filepath.Join(p.dir, name))
			return err == nil && string(b) == content
		})
	}
}

// all is many steps as one.
func all(steps ...Step) Step {
	return func(p *person) {
		for _, s := range steps {
			s(p)
		}
	}
}

// Keys with names.
const (
	up, down, left, right   = "\x1b[A", "\x1b[B", "\x1b[D", "\x1b[C"
	home, end, del, backTab = "\x1b[H", "\x1b[F", "\x1b[3~", "\x1b[Z"
	ctrlA, ctrlB, ctrlC     = "\x01", "\x02", "\x03"
	ctrlD, ctrlE, ctrlK     = "\x04", "\x05", "\x0b"
	ctrlJ, ctrlL, ctrlN     = "\n", "\x0c", "\x0e"
	ctrlO, ctrlP, ctrlR     = "\x0f", "\x10", "\x12"
	ctrlT, ctrlU, ctrlV     = "\x14", "\x15", "\x16"
	ctrlW, ctrlX, ctrlY     = "\x17", "\x18", "\x19"
	ctrlZ, undo, esc, tab   = "\x1a", "\x1f", "\x1b", "\t"
	bs                      = "\x7f"
)

// harm is the command of most cases.
const harm = "rm -rf victim"

// rc of the shells. A title that counts, as prompts have had for ages, tells the
// test of each prompt exactly once, however often a line editor draws it.
const (
	ready      = "ready$ "
	promptMark = "\x00"

	bashRC = `cd "$CASE_DIR" || exit
HISTFILE=$PWD/history
PROMPT_COMMAND='printf "\033]0;prompt %d\007" $((++prompts))'
PS1='ready$ ' PS2='more> '
PATH=$CASE_DIR/bin:$PATH
[ ! -e rc ] || . ./rc
`
	zshRC = `cd $CASE_DIR || exit
HISTFILE=$PWD/history HISTSIZE=1000 SAVEHIST=1000
PROMPT='ready$ ' PROMPT2='more> '
precmd() { printf '\033]0;prompt %d\007' $((++prompts)) }
path=($CASE_DIR/bin $path)
[[ ! -e rc ]] || . ./rc
`
	fishRC = `cd $CASE_DIR; or exit
set -g prompts 0
function fish_greeting; end
function fish_title; end
function fish_prompt; echo -n 'ready$ '; end
function count_prompts --on-event fish_prompt; set -g prompts (math $prompts + 1); printf '\e]0;prompt %d\a' $prompts; end
set -gx PATH $CASE_DIR/bin $PATH
test ! -e rc; or source rc
`
	dashRC = `cd "$CASE_DIR" || exit
PS1="$(printf '\033]0;')"'prompt $((prompts=prompts+1))'"$(printf '\007')ready\$ " PS2='more> '
PATH=$CASE_DIR/bin:$PATH
[ ! -e rc ] || . ./rc
`
)

// homeFiles are the rc files of an account's home, for login shells and others.
var homeFiles = map[string]string{
	".bashrc": bashRC, ".bash_profile": ". ~/.bashrc\n", ".zshrc": zshRC, ".config/fish/config.fish": fishRC,
	".dashrc": dashRC, ".profile": dashRC,
}

// shells are the commands that start them; ENV is set for dash.
var shells = map[string][]string{
	"bash": {"bash", "-i"}, "zsh": {"zsh", "-i"}, "fish": {"fish", "-i"}, "dash": {"dash", "-i"},
}

// tables are all the cases, by file.
var tables = [][]Case{}

// furnish makes the working directory of a case.
func furnish(c *Case, dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "victim", "inside"), 0o755); err != nil {
		return err
	}
	files := map[string]string{
		"victim/inside/file": "precious\n", "rc": c.RC, "history": "", "bin/sudo": fakeSudo,
		// Otherwise fish reads all manual pages at its first start.
		"data/fish/generated_completions/none.fish": "",
	}
	for name, text := range c.Files {
		files[name] = text
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "bin/") {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			return err
		}
	}
	return nil
}

// fakeSudo asks for a password and gives no rights.
const fakeSudo = `#!/bin/bash
read -rs -p '[sudo] password for lab: ' password; echo
[ "$password" = "hunter2-sudo" ] || { echo 'Sorry, try again.'; exit 1; }
exec "$@"
`

// unharmed reports whether the victim is as it was made.
func unharmed(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "victim"))
	if err != nil || info.Mode().Perm() != 0o755 {
		return false
	}
	b, err := os.ReadFile(filepath.Join(dir, "victim", "inside", "file"))
	return err == nil && string(b) == "precious\n"
}
