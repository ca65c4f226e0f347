package audit

import (
	"strings"
	"syscall"
	"testing"

	"sallyport"
)

// Who follows hears what the log has, in its order and as it has it, and once
// for each failure that it failed, however often it is tried.
func TestFollow(t *testing.T) {
	l, d := openFaulty(t)
	var heard []string
	var last Record
	l.Follow = func(r Record) { heard, last = append(heard, r.Type), r }
	mustAppend(t, l, "a")
	full := error(syscall.ENOSPC)
	d.writeErr.Store(&full)
	for range 3 {
		if l.Append(sallyport.Event{Type: "b"}) == nil {
			t.Fatal("a full disk took a record")
		}
	}
	if last.Seq != 0 || last.Severity != sallyport.SeverityCritical || last.Time.IsZero() || !strings.Contains(last.Reason, "no space") {
		t.Errorf("the failure is told as %+v", last)
	}
	d.writeErr.Store(nil)
	if err := l.Append(sallyport.Event{Type: "c", Reason: strings.Repeat("x", 9000)}); err != nil {
		t.Fatal(err)
	}
	if len(last.Reason) > maxReason+64 || last.Seq != 3 {
		t.Errorf("told as number %d with a reason of %d bytes", last.Seq, len(last.Reason))
	}
	if got := strings.Join(heard, " "); got != "a audit.failed audit.resume c" {
		t.Errorf("heard: %s", got)
	}
	d.writeErr.Store(&full)
	_ = l.Append(sallyport.Event{Type: "d"})
	if last.Type != "audit.failed" {
		t.Errorf("the second failure is not told: %+v", last)
	}
}
