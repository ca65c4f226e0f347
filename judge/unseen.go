package judge

import (
	"sallyport"
	"sallyport/policy"
)

// unseen reports whether the line was typed without being shown: then no word of
// it is told. j.mu is held.
func (j *Judge) unseen(r *readings) bool { return !r.seen && j.echo.unseen() }

// unshown is the verdict on a line that may be a password: a rule counts, what a
// class of lines makes of it does not, and no word of the line is told.
func unshown(v policy.Verdict) policy.Verdict {
	if v.Action == sallyport.Allow || v.Rule == "" && v.Class != sallyport.ClassUnverifiable {
		return policy.Verdict{}
	}
	v.Program, v.Reason = "", "a line that was not shown"
	if v.Rule != "" {
		v.Reason += " meets the rule " + v.Rule
	}
	return v
}
