package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/config"
	"sallyport/policy"
)

// exitRefused is the status of policy test where something is denied.
const exitRefused = 3

// policyOptions say whose lines are judged.
type policyOptions struct {
	user, access, role string
	sftp               string
	format             string
	at                 string
}

func newPolicyCommand(configFile string) *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Ask the command rules what a line would meet"}
	cmd.AddCommand(newPolicyTestCommand(configFile), newPolicyExplainCommand(configFile))
	return cmd
}

func (o *policyOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.user, "user", "", "the `user` who types it; empty: rules for some users count for this one")
	f.StringVar(&o.access, "access", "", "the `account@target` where it is typed")
	f.StringVar(&o.role, "role", "", "the `role` under which it is; needed where the access has several, or none is named")
	f.StringVar(&o.sftp, "sftp", "", "the arguments are paths, of this `operation`: "+strings.Join(policy.FileOps, ", "))
	f.StringVar(&o.at, "at", "", "the `time` at which it is, as 2006-01-02T15:04; empty: now")
	f.StringVarP(&o.format, "output", "o", "text", "`format`: text or json")
}

func newPolicyTestCommand(configFile string) *cobra.Command {
	var o policyOptions
	cmd := &cobra.Command{
		Use: "test LINE...", Short: "Tell what lines would meet", Args: cobra.MinimumNArgs(1),
		Long: `Tell what lines would meet: the action, the rule or class, and why. - reads them
from the standard input, one in each line.

The status is 3 where a line would be denied or end the session, else 0.`,
		Example: `  sallyport policy test --user alice --access root@web1 'rm -rf /srv'
  sallyport policy test --role prod-root --sftp write '~/.ssh/authorized_keys'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			rules, err := o.rules(configFile)
			if err != nil {
				return err
			}
			lines, err := linesOf(args, cmd.InOrStdin())
			if err != nil {
				return err
			}
			refused := false
			for _, line := range lines {
				v := rules.Judge(line)
				if o.sftp != "" {
					v = rules.JudgeFile(o.sftp, line)
				}
				refused = refused || v.Action >= sallyport.Deny
				if err := o.print(cmd.OutOrStdout(), line, v); err != nil {
					return err
				}
			}
			if refused {
				return refusedLines{}
			}
			return nil
		},
	}
	o.addFlags(cmd)
	return cmd
}

func newPolicyExplainCommand(configFile string) *cobra.Command {
	var o policyOptions
	cmd := &cobra.Command{
		Use: "explain LINE", Short: "Show how a line is read, and which rule answers what", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.sftp != "" {
				return sallyport.Errorf(sallyport.CodeUsage, "there is nothing to explain about a path").WithHint("sallyport policy test --sftp %s %s", o.sftp, args[0])
			}
			rules, err := o.rules(configFile)
			if err != nil {
				return err
			}
			lines, err := linesOf(args, cmd.InOrStdin())
			if err != nil {
				return err
			}
			line := strings.Join(lines, "\n")
			e := rules.Explain(line)
			if o.format == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(explanationOf(line, e))
			}
			explain(cmd.OutOrStdout(), line, rules, e)
			return nil
		},
	}
	o.addFlags(cmd)
	return cmd
}

// refusedLines is the error of policy test that says nothing more: its output
// has said it.
type refusedLines struct{}

func (refusedLines) Error() string { return "refused" }

// rules finds the rules that hold for the session that the options describe.
func (o *policyOptions) rules(configFile string) (*policy.Commands, error) {
	if o.format != "text" && o.format != "json" {
		return nil, sallyport.Errorf(sallyport.CodeUsage, "%q is no format", o.format).WithHint("text or json")
	}
	cfg, err := config.Load(configFile)
	if err != nil {
		return nil, err
	}
	p := cfg.Policy
	facts := policy.Facts{User: o.user, Role: o.role, Now: time.Now}
	if o.at != "" {
		at, err := time.ParseInLocation("2006-01-02T15:04", o.at, time.Local)
		if err != nil {
			return nil, sallyport.Errorf(sallyport.CodeUsage, "%q is no time", o.at).WithHint("for example 2026-03-02T22:30")
		}
		facts.Now = func() time.Time { return at }
	}
	if o.user != "" {
		u, ok := p.User(o.user)
		if !ok {
			return nil, sallyport.Errorf(sallyport.CodeNotFound, "no user is named %q", o.user).WithHint("see users in %s", configFile)
		}
		facts.Groups = u.Groups
	}
	if o.access != "" {
		a, err := sallyport.ParseAccess(o.access)
		if err != nil {
			return nil, err
		}
		t, ok := p.Target(a.Target)
		if !ok {
			return nil, sallyport.Errorf(sallyport.CodeNotFound, "no target is named %q", a.Target).WithHint("see targets in %s", configFile)
		}
		a.Target = t.Name
		facts.Target, facts.Labels, facts.Account = t.Name, t.Labels, a.Account
		if o.role == "" {
			if facts.Role, err = onlyRole(p, o.user, a); err != nil {
				return nil, err
			}
		}
	}
	switch _, ok := p.Role(facts.Role); {
	case facts.Role == "":
		return nil, sallyport.Errorf(sallyport.CodeUsage, "whose rules?").WithHint("--user NAME --access ACCOUNT@TARGET, or --role ROLE")
	case !ok:
		return nil, sallyport.Errorf(sallyport.CodeNotFound, "no role is named %q", facts.Role).WithHint("see roles in %s", configFile)
	}
	rules := p.Commands(facts.Role)
	if o.user == "" && o.access == "" {
		return rules, nil // nothing is known: each rule with a condition counts
	}
	return rules.For(facts), nil
}

// onlyRole is the role under which the user may have the access, where there is
// one.
func onlyRole(p *policy.Policy, user string, a sallyport.Access) (string, error) {
	if user == "" {
		return "", sallyport.Errorf(sallyport.CodeUsage, "who has the access?").WithHint("--user NAME, or --role ROLE")
	}
	roles := p.Eligible(user, a)
	switch len(roles) {
	case 0:
		return "", sallyport.Errorf(sallyport.CodeUsage, "%s may not have %s under any role", user, a).WithHint("name one all the same: --role ROLE")
	case 1:
		return roles[0].Name, nil
	}
	var names []string
	for _, r := range roles {
		names = append(names, r.Name)
	}
	return "", sallyport.Errorf(sallyport.CodeUsage, "%s may have %s under several roles", user, a).WithHint("%s", "--role "+strings.Join(names, " or --role "))
}

// linesOf returns the lines that were given, or those of the input for -.
func linesOf(args []string, in io.Reader) ([]string, error) {
	if len(args) != 1 || args[0] != "-" {
		return args, nil
	}
	var lines []string
	s := bufio.NewScanner(in)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	return lines, s.Err()
}

// verdictJSON is a verdict as scripts read it.
type verdictJSON struct {
	Line       string `json:"line,omitempty"`
	Action     string `json:"action"`
	Rule       string `json:"rule,omitempty"`
	Class      string `json:"class,omitempty"`
	Program    string `json:"program,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Incomplete bool   `json:"incomplete,omitempty"`
}

func verdictOf(line string, v policy.Verdict) verdictJSON {
	return verdictJSON{line, v.Action.String(), v.Rule, string(v.Class), v.Program, v.Reason, v.Incomplete}
}

func (o *policyOptions) print(w io.Writer, line string, v policy.Verdict) error {
	if o.format == "json" {
		return json.NewEncoder(w).Encode(verdictOf(line, v))
	}
	fmt.Fprintf(w, "%-9s  %s\n", v.Action, sallyport.Printable(line))
	if v.Action != sallyport.Allow {
		fmt.Fprintf(w, "%-9s  %s: %s\n", "", answerOf(v), sallyport.Printable(v.Reason))
	}
	if v.Incomplete {
		fmt.Fprintf(w, "%-9s  the shell would ask for more, and the whole is judged then\n", "")
	}
	return nil
}

// answerOf names the rule or class of a verdict.
func answerOf(v policy.Verdict) string {
	if v.Rule != "" {
		return "rule " + v.Rule
	}
	return "class " + string(v.Class)
}

var readers = map[policy.Reader]string{
	policy.ReadsNothing: "nobody, it waits for the next prompt", policy.ReadsInput: "a program, as its data", policy.ReadsShell: "a shell, as commands",
}

// explain prints how a line was read and judged.
func explain(w io.Writer, line string, rules *policy.Commands, e policy.Explanation) {
	fmt.Fprintf(w, "%s\n", sallyport.Printable(rules.Masked(line)))
	fmt.Fprintln(w, "would run:")
	if len(e.Calls) == 0 {
		fmt.Fprintln(w, "  nothing")
	}
	for i, c := range e.Calls {
		depth := 1
		for at := c.Outer; at >= 0 && depth < 32; at = e.Calls[at].Outer {
			depth++
		}
		fmt.Fprintf(w, "  %d %s%s", i+1, strings.Repeat("  ", depth-1), sallyport.Printable(rules.Masked(strings.Join(c.Words, " "))))
		if c.Outer >= 0 {
			fmt.Fprintf(w, "   (by %d)", c.Outer+1)
		}
		if c.Pipe > 0 {
			fmt.Fprintf(w, "   (pipeline %d)", c.Pipe)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "answers:")
	if len(e.Answers) == 0 {
		fmt.Fprintf(w, "  none of the rules of this %s\n", rules.Mode())
	}
	for _, a := range e.Answers {
		about := "line"
		if a.Call >= 0 {
			about = fmt.Sprint(a.Call + 1)
		}
		fmt.Fprintf(w, "  %-4s %-9s %s: %s\n", about, a.Verdict.Action, answerOf(a.Verdict), sallyport.Printable(a.Verdict.Reason))
	}
	fmt.Fprintf(w, "what is typed while it runs is read by %s\n", readers[e.Reads])
	if e.Verdict.Incomplete {
		fmt.Fprintln(w, "the shell would ask for more, and the whole is judged then")
	}
	fmt.Fprintf(w, "verdict: %s", e.Verdict.Action)
	if e.Verdict.Action != sallyport.Allow {
		fmt.Fprintf(w, " (%s)", answerOf(e.Verdict))
	}
	fmt.Fprintln(w)
}

type explanationJSON struct {
	verdictJSON
	Calls   []callJSON   `json:"calls"`
	Answers []answerJSON `json:"answers"`
}

type callJSON struct {
	Words []string `json:"words"`
	By    int      `json:"by,omitempty"` // the number of the call that runs it, from 1
	Pipe  int      `json:"pipeline,omitempty"`
}

type answerJSON struct {
	Call int `json:"call,omitempty"` // from 1; absent: the line
	verdictJSON
}

func explanationOf(line string, e policy.Explanation) explanationJSON {
	out := explanationJSON{verdictJSON: verdictOf(line, e.Verdict), Calls: []callJSON{}, Answers: []answerJSON{}}
	for _, c := range e.Calls {
		out.Calls = append(out.Calls, callJSON{c.Words, c.Outer + 1, c.Pipe})
	}
	for _, a := range e.Answers {
		out.Answers = append(out.Answers, answerJSON{a.Call + 1, verdictOf("", a.Verdict)})
	}
	return out
}
