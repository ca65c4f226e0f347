package grant

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"sallyport"
	"sallyport/policy"
)

// Bounds of a command that a request names.
const (
	maxCommand = 4096 // bytes; ca certifies no more
	maxBlanks  = 8    // in a row: more would move the end out of an approver's sight
)

// checkCommand refuses what is no command, and what an approver could not be
// shown as it is. "" asks for any work.
func checkCommand(s string) error {
	if s == "" {
		return nil
	}
	if err := checkText("command", s, maxCommand); err != nil {
		return err
	}
	bad := func(format string, args ...any) *sallyport.Error {
		return sallyport.Errorf(sallyport.CodeInvalid, format, args...)
	}
	switch {
	case strings.TrimSpace(s) == "":
		return bad("the command is empty").WithHint("leave --command out to ask for any work")
	case strings.TrimSpace(s) != s:
		return bad("the command begins or ends with a blank").WithHint("it is granted in exactly its words")
	case strings.Contains(s, strings.Repeat(" ", maxBlanks+1)):
		return bad("the command holds more than %d blanks in a row", maxBlanks).WithHint("they could hide its end")
	case s == "internal-sftp" || strings.HasPrefix(s, "internal-sftp "):
		// sshd takes it for its own SFTP server: not a command but all files.
		return bad("the command internal-sftp is none").WithHint("a grant for one command moves no files by sftp")
	}
	return nil
}

// judged returns why the role does not allow the command of a request; "" where
// it does. What a role refuses in a session no approval allows.
func judged(p *policy.Policy, r sallyport.Role, command string) string {
	if command == "" {
		return ""
	}
	if !r.Permits(sallyport.ChannelExec) {
		return "the role " + r.Name + " allows no commands by themselves (exec)"
	}
	if v := p.Commands(r.Name).Judge(command); v.Action >= sallyport.Deny {
		return "the role " + r.Name + " refuses the command: " + v.Reason
	}
	return ""
}

// CommandWarning returns what an approver should look at in the command of a
// request, in one line: what the present rules of its role say, and whether it
// holds characters that look like others. "": nothing.
func CommandWarning(p *policy.Policy, r sallyport.Request) string {
	if r.Command == "" {
		return ""
	}
	var warnings []string
	role, _ := p.Role(r.Role)
	if why := judged(p, role, r.Command); why != "" {
		warnings = append(warnings, why)
	} else if v := p.Commands(r.Role).Judge(r.Command); v.Action == sallyport.Alert {
		warnings = append(warnings, "the role "+r.Role+" raises an alert: "+v.Reason)
	}
	if strings.ContainsFunc(r.Command, func(c rune) bool { return c > unicode.MaxASCII }) {
		warnings = append(warnings, fmt.Sprintf("it is not plain ASCII: %+q", r.Command))
	}
	return strings.Join(warnings, "; ")
}

// alone refuses a request for one command while the grant o for another command
// is open. So a user never has two commands at one access to choose between.
func alone(o, r sallyport.Request, now time.Time) error {
	if o.Grant == nil || o.Command == "" || r.Command == "" || o.Command == r.Command || o.Access != r.Access {
		return nil
	}
	switch state := o.Grant.StateAt(now); state {
	case sallyport.GrantActive, sallyport.GrantScheduled:
		return sallyport.Errorf(sallyport.CodeConflict, "your %s grant %s for %s is for another command: %s", state, o.ID, r.Access, o.Command).
			WithHint("grants return %s gives it back", o.ID)
	}
	return nil
}
