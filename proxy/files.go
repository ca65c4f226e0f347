package proxy

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"sallyport"
	"sallyport/policy"
	"sallyport/transfer"
)

// moves returns what the channel is about to move, nil where that cannot be
// followed. Its error refuses the channel.
func (b *bridge) moves(command string) (*transfer.Command, error) {
	rules := b.role().Files
	cfg := b.judgesFiles(transfer.Config{})
	restricts := rules.Restricts() || cfg.Judge != nil
	if b.kind == sallyport.ChannelSFTP {
		if b.pty.Load() != nil { // a terminal would change the bytes (pty-req before subsystem, session.c)
			return nil, errors.New("sftp needs a channel without a terminal")
		}
		return &transfer.Command{Kind: transfer.KindSFTP, Direction: sallyport.FilesBoth, Exact: true}, nil
	}
	if b.kind != sallyport.ChannelExec {
		return nil, nil
	}
	runs, single := policy.Runs(command)
	for i, words := range slices.Backward(runs) {
		c, ok := transfer.Recognise(words, policy.Known)
		if !ok {
			continue
		}
		err := c.Check(rules)
		if err == nil {
			err = c.Judge(cfg)
		}
		followed := single && i == len(runs)-1 && b.pty.Load() == nil
		if err == nil && !followed && restricts {
			err = errors.New("your role limits files: let " + string(c.Kind) + " run by itself and without a terminal")
		}
		if err != nil {
			e := c.Event(sallyport.FileRefused, err.Error())
			e.Time = b.x.srv.Now()
			b.moved(e)
			return nil, err
		}
		if followed {
			return &c, nil
		}
	}
	return nil, nil
}

// unparsed is set by the linker alone, for a gateway that bench measures beside the
// real one: it follows no files.
var unparsed string

// follow puts the file-transfer parser between the client and the target.
func (b *bridge) follow(c *transfer.Command) {
	if c == nil || b.judge != nil || unparsed != "" {
		return
	}
	cfg := transfer.Config{
		Rules:    b.role().Files,
		Target:   b.up,
		Client:   writerFunc(func(p []byte) (int, error) { return len(p), b.deliver(b.ch, p, nil, false) }),
		Report:   b.moved,
		Confused: b.confused,
		Exited: func() (int, bool) {
			n := b.status.Load()
			return int(n) - 1, n > 0
		},
		Now: b.x.srv.Now,
	}
	cfg = b.judgesFiles(cfg)
	if b.x.rec != nil {
		cfg.Copy = func() (transfer.Copy, error) { return b.x.rec.Copy(b.name) }
	}
	b.files = c.Stream(cfg)
}

// judgesFiles adds the command rules about files to what a stream works with,
// where there are any.
func (b *bridge) judgesFiles(cfg transfer.Config) transfer.Config {
	rules := b.x.commands()
	if !rules.JudgesFiles("") {
		return cfg
	}
	cfg.Judges = rules.JudgesFiles
	cfg.Judge = func(home, op string, paths ...string) error {
		v := rules.JudgeFileAt(home, op, paths...)
		if v.Action > sallyport.Allow {
			b.judged(rules, "sftp "+op+" "+strings.Join(paths, " "), v)
		}
		if v.Action < sallyport.Deny {
			return nil
		}
		if v.Action == sallyport.Terminate {
			go b.x.guarded(func() { b.x.end(&sallyport.Ending{Cause: sallyport.CauseForbiddenCommand, Reason: v.Reason}) })
		}
		return errors.New(v.Reason)
	}
	return cfg
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// maxRefusals is how many refusals of files one channel puts on the screen.
const maxRefusals = 20

// moved writes down what happened to a file: in the recording, then in the audit
// log.
func (b *bridge) moved(f sallyport.FileEvent) {
	f.Channel = b.name
	if b.x.rec != nil {
		if err := b.x.rec.File(f); err != nil {
			b.x.recordingFailed(err)
		}
	}
	b.mark(label(f))
	verb := string(f.Op)
	if f.Outcome == sallyport.FileRefused {
		verb = "refuse"
	}
	e := b.x.event("file." + verb)
	e.Channel, e.Outcome, e.Reason = b.name, f.Outcome, f.Reason
	e.Details = map[string]string{"path": f.Path}
	for key, value := range map[string]string{"to": f.To, "sha256": f.SHA256, "no_sum": f.NoSum, "kept": f.Kept, "what": f.Detail} {
		if value != "" {
			e.Details[key] = value
		}
	}
	if f.Bytes > 0 {
		e.Details["bytes"] = strconv.FormatInt(f.Bytes, 10)
	}
	if f.Outcome == sallyport.FileRefused {
		e.Severity, e.Details["op"] = sallyport.SeverityWarning, string(f.Op)
		b.x.conn.sparingly(e)
		// Clients show no more of a refusal than "Permission denied", and scp of
		// OpenSSH 9.2 not even that of a write.
		if b.files != nil && b.refusals.Add(1) <= maxRefusals {
			b.say(string(f.Op) + " of " + f.Path + " refused: " + f.Reason)
		}
		return
	}
	if b.x.conn.files.take(&e) {
		b.x.conn.note(e)
	}
}

// label tells of a file in one line of plain text.
func label(f sallyport.FileEvent) string {
	s := string(f.Op) + " " + sallyport.Printable(f.Path)
	if f.To != "" {
		s += " to " + sallyport.Printable(f.To)
	}
	if f.Op == sallyport.OpUpload || f.Op == sallyport.OpDownload {
		s += " " + strconv.FormatInt(f.Bytes, 10) + " bytes"
	}
	if f.SHA256 != "" {
		s += " sha256 " + f.SHA256
	}
	if f.Outcome != sallyport.FileComplete {
		s += " " + f.Outcome
	}
	if f.Reason != "" {
		s += ": " + sallyport.Printable(f.Reason)
	}
	return s
}

// confused says that the rest of the channel is not understood.
func (b *bridge) confused(reason string) {
	b.mark("file transfer not understood: " + reason)
	e := b.x.event("file.confused")
	e.Channel, e.Severity, e.Reason, e.Outcome = b.name, sallyport.SeverityAlert, reason, "passed unread"
	if rules := b.role().Files; rules.EndOnConfusion || rules.Restricts() || b.judgesFiles(transfer.Config{}).Judge != nil {
		e.Outcome = "ended"
	}
	b.x.conn.sparingly(e)
}

// unfollowed ends a channel that may not go on because it is not understood.
func (b *bridge) unfollowed(err error) {
	var confused *transfer.ConfusedError
	if errors.As(err, &confused) {
		b.confusion.Do(func() {
			go b.x.guarded(func() { b.goodbye(confused.Error(), sallyport.ExitEnded) })
		})
	}
}
