package judge

import (
	"bytes"
	"strings"

	"sallyport"
)

// scripted judges the standard input of a shell line by line: a line is sent
// when it is known to be allowed. j.sending is held.
func (j *Judge) scripted(p []byte) error {
	if err := j.cfg.Record(p, false); err != nil {
		return err
	}
	j.script = append(j.script, p...)
	for {
		i := bytes.IndexByte(j.script, '\n')
		if i < 0 {
			break
		}
		if err := j.scriptLine(j.script[:i+1]); err != nil {
			return err
		}
		j.script = j.script[i+1:]
	}
	if len(j.script) > lineMax {
		// A line of this length is no line: nobody could have read it.
		v := j.cfg.Commands.Unverifiable()
		if v.Action >= sallyport.Deny {
			j.cfg.Judged("", v)
			return j.stopScript(v.Reason)
		}
		rest := j.script
		j.script = nil
		return j.cfg.Send(rest)
	}
	return nil
}

// endScript judges and sends a last line without an end.
func (j *Judge) endScript() error {
	if len(j.script) == 0 || j.ended.Load() || j.isClosed() {
		return nil
	}
	rest := j.script
	j.script = nil
	return j.scriptLine(rest)
}

func (j *Judge) scriptLine(raw []byte) error {
	text := strings.TrimRight(string(raw), "\r\n")
	var next pending
	v := j.pending.judge(j.cfg.Commands, j.rules, text, true, &next)
	j.pending = next
	if strings.TrimSpace(text) != "" {
		j.cfg.Judged(text, v)
	}
	switch v.Action {
	case sallyport.Terminate, sallyport.Deny:
		// The rest of a script whose line was dropped would do something that
		// nobody wrote: it ends here.
		return j.stopScript(v.Reason)
	}
	return j.cfg.Send(raw)
}

func (j *Judge) stopScript(reason string) error {
	j.ended.Store(true)
	j.cfg.Terminate(reason)
	return ErrTerminate
}
