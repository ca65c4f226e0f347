package transfer

import (
	"fmt"
	"slices"
	"strings"

	"sallyport"
	"sallyport/internal/wire"
	"sallyport/transfer/content"
	"sallyport/transfer/stream"
)

// op is what a file was opened for.
func (f *handle) op() sallyport.FileOp {
	if f.write {
		return sallyport.OpUpload
	}
	return sallyport.OpDownload
}

func (s *SFTP) eventOf(f *handle, op sallyport.FileOp) sallyport.FileEvent {
	e := sallyport.FileEvent{Time: f.at, EndedAt: s.cfg.Clock(), Op: op}
	stream.SetPath(&e, f.path)
	return e
}

// finish returns the events of a file that is over: one for each way in which
// content moved.
func (s *SFTP) finish(f *handle, outcome, reason string) []sallyport.FileEvent {
	s.mu.Lock()
	was := *f
	s.mu.Unlock()
	var events []sallyport.FileEvent
	if was.up != nil {
		if r := was.up.Finish(); was.write || was.wrote > 0 {
			e := s.eventOf(&was, sallyport.OpUpload)
			was.fill(&e, r, outcome, reason)
			e.Detail = stream.Sentence(was.remainder(r), r.Unkept)
			events = append(events, e)
		}
	}
	if was.down != nil {
		r := was.down.Finish()
		if r.Moved == 0 && !was.eof && r.NoSum == "" {
			r.Sum, r.NoSum = "", "nothing was read"
		}
		e := s.eventOf(&was, sallyport.OpDownload)
		was.fill(&e, r, outcome, reason)
		e.Detail = r.Unkept
		events = append(events, e)
	}
	return events
}

// fill tells what moved and how it ended.
func (f *handle) fill(e *sallyport.FileEvent, r content.Result, outcome, reason string) {
	e.Bytes, e.Size, e.SHA256, e.NoSum, e.Kept = r.Moved, r.Size, r.Sum, r.NoSum, r.Kept
	e.Outcome, e.Reason = outcome, reason
	switch {
	case f.refused != "":
		e.Outcome, e.Reason = sallyport.FileRefused, strings.TrimPrefix(f.refused, stream.Prefix)
	case outcome == sallyport.FileComplete && f.failed != "":
		e.Outcome, e.Reason = sallyport.FileFailed, f.failed
	}
}

// remainder says what the file at the target may have behind the last byte that
// has moved.
func (f *handle) remainder(r content.Result) string {
	switch {
	case r.Length > r.Size:
		return fmt.Sprintf("stretched to %d bytes", r.Length)
	case r.Length < 0 && f.flags&(wire.OpenTrunc|wire.OpenExcl) == 0:
		return "not truncated: an older file may go on behind it"
	}
	return ""
}

// sortEvents puts events into the order in which things began.
func sortEvents(events []sallyport.FileEvent) {
	slices.SortStableFunc(events, func(a, b sallyport.FileEvent) int {
		if c := a.Time.Compare(b.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Path, b.Path)
	})
}
