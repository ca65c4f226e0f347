package commands

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/internal/term"
)

// person is somebody at a terminal.
type person struct {
	c      *Case
	rules  ruleSet
	dir    string // the working directory of the shell
	in     io.Writer
	resize func(cols, rows int)

	mu     sync.Mutex
	more   chan struct{} // closed and replaced at each change
	raw    []byte        // all that was shown
	plain  []byte        // without escape sequences; promptMark for each prompt
	seen   int           // of plain, up to what was expected last
	strip  stripper
	screen *term.Terminal
	ended  bool // the session has

	entered time.Time // when Enter was typed and nothing was shown since
}

func newPerson(c *Case, rules ruleSet, dir string) *person {
	cols, rows := c.size()
	return &person{c: c, rules: rules, dir: dir, more: make(chan struct{}), screen: term.New(cols, rows)}
}

func (c *Case) size() (cols, rows int) {
	if c.Cols == 0 {
		return 80, 24
	}
	return c.Cols, c.Rows
}

// shows is called with what comes from the session, ends at its end.
func (p *person) shows(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.entered.IsZero() {
		answers.add(time.Since(p.entered))
		p.entered = time.Time{}
	}
	p.raw = append(p.raw, b...)
	p.plain = p.strip.append(p.plain, b)
	_, _ = p.screen.Write(b)
	p.changed()
}

func (p *person) ends() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.changed()
}

func (p *person) changed() {
	close(p.more)
	p.more = make(chan struct{})
}

// patience is how long something may take before the case has failed. It is for
// machines that do much else.
const patience = 15 * time.Second

// stop ends the steps of a case: with an error, or with none where the line was
// refused and nothing more will come.
type stop struct{ error }

// until returns when cond holds. Files are looked at now and then.
func (p *person) until(what string, cond func() bool) {
	if !p.soon(patience, cond) {
		panic(stop{errors.New(what + " did not come")})
	}
}

func (p *person) soon(limit time.Duration, cond func() bool) bool {
	late := time.After(limit)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		p.mu.Lock()
		ok, more := cond(), p.more
		over := !ok && (p.ended || p.c.Kind == forbidden && p.refused())
		p.mu.Unlock()
		switch {
		case ok:
			return true
		case over && p.c.Kind == forbidden:
			panic(stop{})
		case over:
			return false
		}
		select {
		case <-more:
		case <-tick.C:
		case <-late:
			return false
		}
	}
}

// expect reports whether text has come, and goes on behind it. p.mu is held.
func (p *person) expect(text string) bool {
	i := bytes.Index(p.plain[p.seen:], []byte(text))
	if i < 0 {
		return false
	}
	p.seen += i + len(text)
	return true
}

func (p *person) types(keys string) {
	if keys == "\r" {
		p.mu.Lock()
		p.entered = time.Now()
		p.mu.Unlock()
	}
	if _, err := io.WriteString(p.in, keys); err != nil {
		if p.c.Kind == forbidden {
			panic(stop{}) // it has ended, and is asked why
		}
		panic(stop{fmt.Errorf("typing %q: %w", keys, err)})
	}
}

const notRun = "not run: "

// harmless reports whether a case does what nobody forbids.
func (k kind) harmless() bool { return k == innocent || k == hindered }

// refused reports whether a line was. p.mu is held.
func (p *person) refused() bool { return bytes.Contains(p.plain, []byte(notRun)) || p.kept() }

// kept reports whether a line waits for a prompt that never comes. p.mu is held.
func (p *person) kept() bool { return bytes.Contains(p.plain, []byte("held until a prompt appears")) }

// lives runs a command at the shell, which shows that everything typed before
// has been run. A person whose prompt was lost to a Ctrl-C types it again.
func (p *person) lives(tries int) error {
	alive := filepath.Join(p.dir, "alive")
	for range tries {
		if _, err := io.WriteString(p.in, "touch alive\r"); err != nil {
			return fmt.Errorf("the session does not go on: %w", err)
		}
		for late, tick := time.After(patience/3), time.NewTicker(25*time.Millisecond); ; {
			if _, err := os.Stat(alive); err == nil {
				return nil
			}
			select {
			case <-tick.C:
				continue
			case <-late:
			}
			break
		}
	}
	return errors.New("the session does not go on")
}

// run does the steps of the case and returns how it failed.
func (p *person) run() (err error) {
	defer func() {
		if err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			err = fmt.Errorf("%w\nshown: %q\nscreen:\n%s", err, p.raw[max(0, len(p.raw)-3000):], picture(p.screen))
		}
	}()
	steps := p.c.Steps
	if !p.c.Early {
		steps = append([]Step{Prompt}, steps...)
	}
	if err := p.does(steps); err != nil {
		return err
	}
	switch {
	case !p.c.Kind.harmless() && p.rules == off:
		return p.damaged()
	case p.c.Kind.harmless():
		return p.undisturbed()
	}
	return p.refusedOnly()
}

// does takes steps until one stops the case.
func (p *person) does(steps []Step) (err error) {
	at := 0
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stop:
			if err = r.error; err != nil {
				err = fmt.Errorf("step %d: %w", at, err)
			}
		default:
			panic(r)
		}
	}()
	for i, s := range steps {
		at = i
		s(p)
	}
	return nil
}

// damaged waits for what nothing prevents.
func (p *person) damaged() error {
	for late, tick := time.After(patience), time.NewTicker(25*time.Millisecond); ; {
		if !unharmed(p.dir) {
			return nil
		}
		select {
		case <-tick.C:
		case <-late:
			return errors.New("the case proves nothing: no damage was done without a judge")
		}
	}
}

// refusedOnly checks that the line was not run, and that nothing else was lost.
func (p *person) refusedOnly() error {
	var ended, refused bool
	for late, tick := time.After(patience), time.NewTicker(25*time.Millisecond); !ended && !refused; {
		p.mu.Lock()
		ended, refused = p.ended, p.refused()
		p.mu.Unlock()
		if !unharmed(p.dir) {
			return errors.New("the forbidden line was run")
		}
		select {
		case <-tick.C:
		case <-late:
			return errors.New("the line was neither run nor refused")
		}
	}
	switch {
	case p.rules == terminates && !p.endedByTheJudge():
		return errors.New("the session was not ended")
	case p.rules != terminates:
		if ended {
			return errors.New("the session has ended, where a line was to be denied")
		}
		p.mu.Lock()
		kept := p.kept()
		p.mu.Unlock()
		if kept {
			p.types(ctrlC)
		}
		if err := p.after(p.c.After); err != nil {
			return fmt.Errorf("after the refusal: %w", err)
		}
		if err := p.lives(3); err != nil {
			return err
		}
	}
	if !unharmed(p.dir) {
		return errors.New("the forbidden line was run, after all")
	}
	return nil
}

// after takes steps that no refusal stops.
func (p *person) after(steps []Step) error {
	old := p.c
	defer func() { p.c = old }()
	c := *old
	c.Kind = innocent
	p.c = &c
	return p.does(steps)
}

// endedByTheJudge waits for the end of a session that the judge has ended.
func (p *person) endedByTheJudge() bool {
	late, tick := time.After(patience), time.NewTicker(25*time.Millisecond)
	for {
		p.mu.Lock()
		ended := p.ended && bytes.Contains(p.plain, []byte("sallyport: "))
		p.mu.Unlock()
		if ended {
			return true
		}
		select {
		case <-tick.C:
		case <-late:
			return false
		}
	}
}

// undisturbed checks that an innocent case had exactly its effect.
func (p *person) undisturbed() error {
	if err := p.lives(1); err != nil {
		return err
	}
	p.mu.Lock()
	refused, ended := p.refused(), p.ended
	p.mu.Unlock()
	var faults []string
	if refused {
		faults = append(faults, "a line was refused")
	}
	if ended {
		faults = append(faults, "the session has ended")
	}
	if !unharmed(p.dir) && p.c.Want["victim"] != gone {
		faults = append(faults, "the victim was harmed")
	}
	for name, want := range p.c.Want {
		b, err := os.ReadFile(filepath.Join(p.dir, name))
		switch {
		case want == gone && !os.IsNotExist(err):
			faults = append(faults, name+" is still there")
		case want != gone && err != nil:
			faults = append(faults, "no file "+name)
		case want != gone && string(b) != want:
			faults = append(faults, fmt.Sprintf("%s is %q, want %q", name, b, want))
		}
	}
	if len(faults) > 0 {
		slices.Sort(faults)
		return errors.New(strings.Join(faults, "; "))
	}
	return nil
}

// picture is the screen with its cursor's row marked.
func picture(t *term.Terminal) string {
	var b strings.Builder
	_, rows := t.Size()
	for i := range rows {
		if row := t.Row(i); row != "" {
			fmt.Fprintf(&b, "%3d|%s\n", i, row)
		}
	}
	return b.String()
}

// stripper takes escape sequences out of a stream.
type stripper struct {
	state byte // 0, ESC, [ within a control sequence, ] within a string
	title []byte
}

func (s *stripper) append(to, b []byte) []byte {
	for _, c := range b {
		switch s.state {
		case 0:
			if c == '\x1b' {
				s.state = c
			} else if c != 0 && c != '\a' {
				to = append(to, c)
			}
		case '\x1b':
			switch c {
			case '[', ']':
				s.state, s.title = c, nil
			case 'P', '_', '^', 'k':
				s.state, s.title = ']', nil
			case '(', ')', '#', '%':
				s.state = '('
			default:
				s.state = 0
			}
		case '(':
			s.state = 0
		case '[':
			if c == '\x1b' {
				s.state = c // the sequence before it is given up
			} else if c >= 0x40 && c < 0x7f {
				s.state = 0
			}
		case ']':
			if c == '\a' || c == '\x1b' {
				if bytes.HasPrefix(s.title, []byte("0;prompt ")) {
					to = append(to, promptMark...)
				}
				s.state = 0
				if c == '\x1b' {
					s.state = '(' // the rest of ST
				}
				continue
			}
			s.title = append(s.title, c)
		}
	}
	return to
}
