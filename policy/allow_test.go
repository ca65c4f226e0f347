package policy

import (
	"testing"

	"sallyport"
)

func operator(t testing.TB) *Commands {
	return mustCompile(t, sallyport.Commands{Mode: sallyport.AllowList, Rules: []sallyport.CommandRule{
		{Program: "ls"},
		{Program: "cat", Args: []string{"/var/log/*", "/var/log/nginx/**"}},
		{Program: "tail", Flags: []string{"f", "n", "follow"}, Args: []string{"/var/log/*", "?"}},
		{Program: "grep"},
		{Match: "systemctl status *"},
		{Match: "systemctl restart nginx"},
		{Match: "journalctl -u *"},
		{Program: "sudo"},
		{Program: "sh"},
		{Program: "xargs"},
		{Program: "echo"},
		{Program: "kubectl", Args: []string{"get", "pods", "logs", "web*"}, Flags: []string{"n", "namespace"}},
		{Regex: `git (status|log( --oneline)?)`},
		{Program: ">", Args: []string{"/tmp/*"}},
		{Program: "uptime", Action: sallyport.Alert},
		{Program: "cat", Args: []string{"/var/log/secret"}, Action: sallyport.Deny},
	}})
}

// Attack: run something else under an allow-list: beside what is allowed, within
// it, by another name, or by what the line only seems to say.
func TestAllowList(t *testing.T) {
	c := operator(t)
	for want, lines := range map[sallyport.Action][]string{
		sallyport.Allow: {
			"", "  ", "# a comment", "ls", "ls -la /srv", "/bin/ls", "sudo ls", "ls; ls", "ls && ls || ls", "ls | grep x", "cat /var/log/syslog", "cat /var/log/nginx/a/b.log", "cat /var/log/a*", "cat '/var/log/a b'", "tail -f /var/log/syslog", "tail -fn 5 /var/log/x", "tail --follow /var/log/x",
			"systemctl status nginx", "systemctl status", "systemctl restart nginx", "journalctl -u nginx", "cd /srv", "cd /srv && ls", "export LANG=C", "LC_ALL=C ls", "x=1; ls $x", "for i in a b; do ls $i; done", "if ls; then ls; fi", "exit", "true", ":", "[ -f x ] && ls", "sh -c 'ls; ls'", "echo a | xargs ls",
			"kubectl get pods -n web", "kubectl logs web-1", "git status", "git log --oneline", "ls > /tmp/x", "ls 2>/dev/null", "ls 2>&1", "ls &", "while ls; do ls; done", "ls $(ls)", "f() { ls; }", "pwd", "test -d x", "grep x < /dev/null", "cat <<E\nx\nE\n" + "cat /var/log/x",
		},
		sallyport.Alert: {"uptime", "sudo uptime"},
		sallyport.Deny: {
			"id", "rm x", "ls; id", "ls | id", "ls $(id)", "ls `id`", "ls <(id)", "sudo id", "sudo -u bob id", "sh -c id", "sh -c 'ls; id'", "xargs id", "echo x | xargs id", "echo id | sh", "cat /var/log/x | sh", "bash", "$x", "$x ls", "l$y", "x=id; $x", "/b??/id", "{id,-u}", "eval id", "trap id EXIT", "alias ls=id", "f() { id; }",
			"cat /etc/passwd", "cat /var/log/*", // one of them is secret
			"cat /var/log/../../etc/passwd", "cat /var/log/x /etc/passwd", "cat -- /etc/passwd", "cat $x", "cat /var/log/$x", "cat /var/log/.*/x", "cat /var/log/*/x", "cat -n /var/log/x", "cat /v*/log/x", "cat ../x", "cat /var/log/secret", "cat < /etc/passwd", "tail -c 5 /var/log/x", "tail -F /var/log/x",
			"tail --follow --retry /var/log/x", "tail -f$x /var/log/x", "systemctl stop nginx", "systemctl restart nginx x", "systemctl restart", "systemctl -H h restart nginx", "systemctl restart n*", "journalctl", "journalctl x -u y", "kubectl delete pods", "kubectl get pods --kubeconfig=x", "kubectl get $x",
			"git push", "git status; id", "git statusx", "git log --oneline --output=x", "ls > /etc/passwd", "ls >> x", "ls > $x", "echo x > ~/.ssh/authorized_keys", "PATH=/tmp ls", "export PATH=/tmp", "LD_PRELOAD=x ls", "PAGER=id git log", "path=(/tmp)", "env ls", "!!", "!id", "if", "ls )", "echo 'x", "python3", "source x", ". x", "exec id",
			"ls " + string(make([]byte, 70<<10)), "let 'a[$(id)]=1'", "[[ 'a[$(id)]' -eq 0 ]]", "export 'x=$(id)'", "id # ls", "ls # x; id", "begin; id; end", "and id", "repeat 2 id", "time id", "coproc id", "ls <<< $(id)", "cat <<E\n$(id)\nE",
		},
	} {
		for _, line := range lines {
			v := c.Judge(line)
			if v.Incomplete && (line == "if" || line == "echo 'x") {
				continue
			}
			if v.Action != want {
				t.Errorf("%.60q: %s (%s %s), want %s", line, v.Action, v.Class, v.Reason, want)
			}
			if v.Action != sallyport.Allow && v.Reason == "" {
				t.Errorf("%.60q: no reason", line)
			}
		}
	}
	if v := c.Judge("cat /var/log/secret"); v.Rule == "" {
		t.Errorf("a deny rule does not win: %+v", v)
	}
	empty := mustCompile(t, sallyport.Commands{Mode: sallyport.AllowList})
	if !empty.Active() || empty.Judge("ls").Class != sallyport.ClassUnlisted || empty.Judge("cd x").Action != sallyport.Allow {
		t.Error("an empty allow-list does not refuse everything")
	}
	milder := mustCompile(t, sallyport.Commands{Mode: sallyport.AllowList, Classes: map[sallyport.Class]sallyport.Action{sallyport.ClassUnlisted: sallyport.Alert}})
	if milder.Judge("ls").Action != sallyport.Alert {
		t.Error("the class has no action of its own")
	}
	for _, bad := range []sallyport.Commands{
		{Mode: "white-list"}, {Classes: map[sallyport.Class]sallyport.Action{sallyport.ClassUnlisted: sallyport.Deny}}, {Mode: sallyport.AllowList, Rules: []sallyport.CommandRule{{Match: "a | b"}}},
	} {
		if _, err := CompileCommands(bad); err == nil {
			t.Errorf("%+v compiles", bad)
		}
	}
}

func TestExplain(t *testing.T) {
	e := typical(t).Explain(`sudo sh -c "rm -rf $x" | cat`)
	if len(e.Calls) != 4 || e.Calls[2].Words[0] != "rm" || e.Calls[2].Outer != 1 || e.Calls[1].Outer != 0 || e.Calls[3].Outer != -1 || e.Calls[0].Pipe != e.Calls[3].Pipe {
		t.Errorf("calls %+v", e.Calls)
	}
	if e.Verdict != typical(t).Judge(`sudo sh -c "rm -rf $x" | cat`) || len(e.Answers) != 2 || e.Answers[0].Call != 2 || e.Answers[1].Verdict.Class != sallyport.ClassOpaque {
		t.Errorf("answers %+v, verdict %+v", e.Answers, e.Verdict)
	}
	if e := (*Commands)(nil).Explain("ls"); len(e.Calls) != 1 || e.Verdict != (Verdict{}) {
		t.Errorf("without rules %+v", e)
	}
}

func FuzzJudge(f *testing.F) {
	deny, allow := typical(f), operator(f)
	for _, s := range []string{"rm -rf x", "cat /var/log/../x", "and not begin; ls; end", `x\x72 (a "$b(c)")`, "alias a=b; a $(c) > d", "git -c alias.x='!y' x | sed 's/a/b/e'", "*(e:'x':) ${(e):-'$(y)'}", "let 'a[`x`]=1'", "set x y; $x", "f() { g }"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, c := range []*Commands{deny, allow} {
			v, e := c.Judge(line), c.Explain(line)
			if v.Action != e.Verdict.Action || v.Rule != e.Verdict.Rule {
				t.Errorf("%q: %+v, explained as %+v", line, v, e.Verdict)
			}
			if v.Action != sallyport.Allow && v.Reason == "" {
				t.Errorf("%q: %s without a reason", line, v.Action)
			}
			for i, call := range e.Calls {
				if call.Outer >= i {
					t.Errorf("%q: call %d is within %d", line, i, call.Outer)
				}
			}
		}
	})
}
