package policy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport"
)

func mustCompile(t testing.TB, c sallyport.Commands) *Commands {
	t.Helper()
	out, err := CompileCommands(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// typical are rules as a role would have them.
func typical(t testing.TB) *Commands {
	return mustCompile(t, sallyport.Commands{Rules: []sallyport.CommandRule{
		{Program: "rm", Flags: []string{"r", "R", "recursive"}, Action: sallyport.Terminate},
		{Program: "shutdown", Action: sallyport.Terminate},
		{Program: "find", Args: []string{"-delete"}, Action: sallyport.Deny},
		{Program: "mkfs*", Action: sallyport.Deny},
		{Program: "cat", Args: []string{"/etc/shadow"}, Action: sallyport.Deny},
		{Match: "curl * | sh", Action: sallyport.Deny},
		{Match: "chmod -R 777 /*", Action: sallyport.Deny},
	}})
}

// The attacker knows that "rm -r" ends the session and writes it in another
// way: quoted, bundled, wrapped, piped, built from variables (JumpServer #5346,
// #11527, #13149, koko#285, #309). Each must meet the rule all the same.
func TestBypassesMeetTheRule(t *testing.T) {
	c := typical(t)
	for _, line := range []string{
		"rm -r x", "rm -rf /", "rm -fr /", "rm -vfR x", "rm x -r", "rm x y --recursive", "rm --recurs x", "rm --r x",
		"  rm   -r\tx", "ls;rm -r x", "ls; rm -r x", "true&&rm -r x", "false || rm -r x", "ls | rm -r x", "rm -r x &", "ls & rm -r x",
		"ls\nrm -r x", "ls\rrm -r x", "{ rm -r x; }", "(rm -r x)", "((1)); rm -r x", "! rm -r x", "if rm -r x; then :; fi",
		"while rm -r x; do :; done", "for i in 1; do rm -r x; done", "case a in *) rm -r x;; esac", "f() { rm -r x; }; f",
		"function f { rm -r x; }", "coproc rm -r x", "time rm -r x", "time -p rm -r x", "select i in a; do rm -r x; done",
		// quoting
		`r''m -r x`, `r""m -r x`, `'rm' -r x`, `"rm" -r x`, `\rm -r x`, `\r\m -r x`, `r\m \-r x`, `rm '-r' x`, `rm -"r" x`,
		`$'rm' -r x`, `$'\x72m' -r x`, `$'\162\155' $'-\x72' x`, `$"rm" -r x`, "r\\\nm -r x", "rm \\\n-r x", `"r"'m' -r x`,
		`/bin/rm -r x`, `/usr/bin/../bin/rm -r x`, `./rm -r x`, `=rm -r x`, `//bin//rm -r x`,
		// expansion
		"{rm,-r,x}", "{r,}m -r x", "rm -{r,f} x", "x=rm; $x -r y", "x=rm\n$x -r y", "x=r; y=m; $x$y -r z", `x=rm; "$x" -r y`, "x=rm; ${x} -r y",
		`x="rm -r y"; $x`, "a=-r; rm $a x", "x=mr; ${x:1}${x:0:1} -r y", "r$@m -r x", "r$*m -r x", "r${nothing}m -r x", "r$()m -r x",
		"r``m -r x", `r"$@"m -r x`, "rm -$@r x", "${x:-rm} -r y", "${x:=rm} -r y", "$nothing rm -r x", "$SUDO rm -r x", `$(echo rm) -r x`, "`echo rm` -r x",
		"$(printf rm) -r x", `$(printf %s rm) -r x`, "rm${IFS}-r${IFS}x", "x=ls; x=rm; $x -r y", "x=rm; true || x=ls; $x -r y",
		"x=ls; false && x=rm; $x -r y", "a=(rm -r x); ${a[@]}", "export x=rm; $x -r y", "declare x=rm; $x -r y", "x=r; x+=m; $x -r y",
		"for x in ls rm; do $x -r y; done", "/bin/r? -r x", "/bin/r[m] -r x", "/???/rm -r x", "echo $(rm -r x)", "echo `rm -r x`", `echo "$(rm -r x)"`,
		"cat <(rm -r x)", "ls > >(rm -r x)", "x=$(rm -r x)", "echo ${x:-$(rm -r y)}", "[[ -n $(rm -r x) ]]", "echo $(( $(rm -r x) ))",
		"export x=$(rm -r y)", "cat <<< $(rm -r x)", "cat <<E\n$(rm -r x)\nE", "ls > $(rm -r x)", "a[$(rm -r x)]=1", "[ -d x ] && rm -r x",
		// wrappers
		"sudo rm -r x", "sudo -u root rm -r x", "sudo -uroot -n rm -r x", "sudo --user root rm -r x", "sudo --user=root -- rm -r x", "sudo A=b rm -r x",
		"sudo -s rm -r x", "sudo -i rm -r x", "sudo sudo rm -r x", "sudo -E env rm -r x", "doas rm -r x", "doas -u root rm -r x", "pkexec rm -r x",
		"env rm -r x", "env -i A=b rm -r x", "env -u HOME rm -r x", "env -S 'rm -r x'", "env -S'rm -r x'", "env --split-string='rm -r x'",
		"/usr/bin/env rm -r x", "A=b rm -r x", "nohup rm -r x", "nice rm -r x", "nice -n 5 rm -r x", "nice -5 rm -r x", "ionice -c3 rm -r x",
		"timeout 5 rm -r x", "timeout -s KILL 5 rm -r x", "timeout --signal=KILL 5 rm -r x", "timeout -k 1 5 rm -r x", "stdbuf -oL rm -r x",
		"setsid rm -r x", "setsid -f rm -r x", "command rm -r x", "command -p rm -r x", "builtin command rm -r x", "exec rm -r x", "exec -a ls rm -r x",
		"busybox rm -r x", "/bin/busybox rm -r x", "toybox rm -r x", "chroot / rm -r x", "unshare -m rm -r x", "nsenter -t 1 -m rm -r x",
		"xargs rm -r", "echo x | xargs rm -r", "xargs -0 -n 1 rm -r", "xargs -I {} rm -r {}", "xargs -I{} sh -c 'rm -r {}'", "echo -r | xargs rm",
		"echo rm -r x | xargs sudo", "echo rm | xargs -I% % -r x", "find . -exec rm -r {} ;", `find . -exec rm -r {} \;`, "find . -exec rm -r {} +",
		"find . -name x -execdir rm -r {} +", "find . -type f -ok rm -r {} ';'", "find . -exec sh -c 'rm -r x' {} +",
		"sh -c 'rm -r x'", `sh -c "rm -r x"`, `bash -c rm\ -r\ x`, "bash -xec 'rm -r x'", "bash -l -c 'rm -r x'", "bash -o pipefail -c 'rm -r x'",
		"bash --norc -c 'rm -r x'", "bash +x -c 'rm -r x'", "zsh -c 'rm -r x'", "sh -c 'sh -c \"rm -r x\"'", "/bin/sh -c 'ls; rm -r x'", "busybox sh -c 'rm -r x'",
		"su -c 'rm -r x'", "su root -c 'rm -r x'", "su - root -c 'rm -r x'", "su --command='rm -r x'", "runuser -u x -- rm -r x", "runuser -l x -c 'rm -r x'", "sg x 'rm -r x'",
		"script -qc 'rm -r x' /dev/null", "watch rm -r x", "watch -n 1 'rm -r x'", "watch -n1 -x rm -r x", "eval rm -r x", "eval 'rm -r x'", `eval "r""m -r x"`, "eval r\\m -r x",
		"x='rm -r y'; eval $x", `x='rm -r y'; eval "$x"`, "eval eval rm -r x", "eval -- rm -r x", "trap 'rm -r x' EXIT", "trap -- 'rm -r x' 0", "alias l='rm -r x'", "alias l=rm\\ -r",
		"ssh localhost rm -r x", "ssh -p 22 -o A=b root@localhost 'rm -r x'", "flock /tmp/l rm -r x", "flock /tmp/l -c 'rm -r x'", "flock -w 5 /tmp/l rm -r x",
		"echo 'rm -r x' | sh", "echo rm -r x | bash", "printf 'rm -r x' | sh", `printf 'rm -r x\n' | sudo sh`, "printf '%s' 'rm -r x' | sh", "echo 'rm -r x' | bash -s", "echo rm -r x | at now",
		"sudo -i <<E\nrm -r x\nE", "su - bob <<< 'rm -r x'", "ssh h <<E\nrm -r x\nE", "docker exec -i c sh <<E\nrm -r x\nE", "echo rm -r x | bash -s y", "echo rm -r x | bash5.1 +x -o posix", "exec <<E\nrm -r x\nE", "sudo -ueve rm -r x", "fish --command='rm -r x'", "pwsh -c rm -r x",
		"setarch i686 rm -r x", "setarch x86_64 -R rm -r x", "capsh -- -c 'rm -r x'", "su bob -- -c 'rm -r x'",
		// where bash ends a here-document: lines that are joined, a bracket
		"cat <<E\nE\\\n\nrm -r x", "cat <<E\n\\\nE\nrm -r x", "cat <<E\nx\nE\\\n\nrm -r x\nE", "eval \"$(cat <<E\nrm -r x\nE)\"", "cat <<A <<B\nA\nB\nrm -r x",
		"bash <<< 'rm -r x'", "sh <<E\nrm -r x\nE", "sh <<'E'\nrm -r x\nE", "sh <<-E\n\trm -r x\n\tE", "cat <<E | sh\nrm -r x\nE", "sh <<E\nrm -r x", "sudo -u x bash <<E\nrm -r x\nE",
		"ip netns exec n rm -r x", "docker exec -it c rm -r x", "kubectl exec p -- rm -r x", "strace -f rm -r x", "systemd-run --wait rm -r x", "/lib64/ld-linux-x86-64.so.2 /bin/rm -r x", "noglob rm -r x",
		"time sudo env A=b nice -n 5 timeout 5 sh -c 'exec r\"\"m -r x'", "hash -p /bin/rm ls; ls -r x; rm -r x", "find / | xargs -P4 sudo rm -r --", "tar cf x y --checkpoint-action=exec='rm -r x'",
		// the line goes on, is broken, or is of another shell
		"rm -r x; if true", "echo hi # x; rm -r y", "rm -r x; begin; end )", "for x in a; rm -r x; end", "rm -r x # nothing", "ls $(", "ls; rm -r x; echo $((",
	} {
		v := c.Judge(line)
		if line == "ls $(" {
			if !v.Incomplete {
				t.Errorf("%q: not incomplete", line)
			}
			continue
		}
		if v.Action != sallyport.Terminate {
			t.Errorf("%q: %s %q", line, v.Action, v.Reason)
		}
	}
}

// Work must not be disturbed: what only mentions a forbidden word is allowed
// without any alert (koko#285: a prompt or host name that holds the word).
func TestInnocentsPass(t *testing.T) {
	c := typical(t)
	for _, line := range []string{
		"", " ", "ls", "ls -la /", "rm x", "rm -f x", "rm -- -r", "rm -i x y", "echo rm -r x", "echo 'rm -r x'", `echo "rm -rf /"`, "grep -r rm .", "grep -r 'rm -rf' /etc",
		"man rm", "man shutdown", "which rm", "command -v rm", "command -V shutdown", "type rm", "git rm x", "git commit -m 'rm -r x; shutdown'", "cat rm", "vi rm", "less /var/log/shutdown.log",
		"echo hi # rm -r x", "# rm -r x", "ls # don't", "cd /rm", "./confirm -r", "farm -r", "rmdir x", "rm.sh -r", "ls rm -r", "cp -r rm x", "find . -name rm", "find . -name '*.rm' -print", "find . -type d",
		"docker run --rm -it x", "docker ps", "cat <<E\nrm -r x\nE", "cat > f <<'E'\nrm -r x; shutdown now\nE", "echo rm -r x > file", "echo rm -r x | cat", "echo rm -r x | tee file", "ssh host", "ssh -r host",
		"sudo ls", "sudo -l", "sudo -u rm ls", "env", "env A=rm ls -r", "x=rm", "x=rm; echo $x -r", "for i in 1 2 3; do echo $i; done", `if [ -f x ]; then echo "$HOME"; fi`, `[ "$x" = rm ] && echo yes`,
		"ps aux | grep -v grep | awk '{print $2}'", "kill -9 $$", "tail -f /var/log/syslog", "journalctl -u rm -r", "systemctl status x", "apt-get update && apt-get -y upgrade", "tar czf x.tgz *", "echo $((1+2))", "echo $PATH",
		"ls *.txt", "cat /etc/passwd", "cat ~/x", "curl https://example.org/x?a=b", "curl -O x | tee y", "sh x.sh", "bash", "exit", "export A=b", "history", "python3 x.py", "python3 -c 'print(1)'", "perl -ne 'print if /x/' f",
		"awk '/x/ {print $1}' f", "sed -i 's/rm -r/x/' f", "chmod -R 755 /srv/x", "chmod 777 x", "scp -t /tmp", "rsync --server -logDtpre.iLsfxC . /x", "trap - EXIT", "time ls", "make -r", "stty -a", "echo !", "echo 'a!b'", "[ ! -f x ]", "! true",
		"xargs -n1 echo < x", "find . -exec grep -r x {} +", "nice make", "watch -n 5 df -h", "timeout 5 ls -r", "while read -r l; do echo \"$l\"; done < f", "printf '%s\\n' a b", "diff <(sort a) <(sort b)", "test -d x || mkdir x",
		"mysql -e 'select 1'", "git log --oneline -r", "PGPASSWORD=x psql -c 'drop'", "openssl x509 -in x -noout -text", "vim +10 x", "kubectl get pods -A", "alias ll='ls -l'", "cd /tmp && ls | wc -l", "cat a > b 2>&1", "echo a\\;rm -r", "tar xf rm.tar -r",
		"psql -c 'select 1' db", "mysql -e 'drop table x' db", "sqlite3 f.db 'select 1'", "npm run build", "tmux new -s x", "screen -S x", "tmux attach", "nc -z h 22", "apt-get -o Debug::x=1 install y", "ansible all -m ping", "vim -c 'set nu' f", "gdb -ex run --args x", "perf top", "socat - TCP:h:80", "zip -r x y", "git rebase -i main", "git commit -m 'rm -rf x'",
		"sudo -i", "su - bob", "bash -l", "python3 --version", "python3 -V", "python3 -m http.server", "python3 -u x.py", "python3 -W ignore x.py a", "perl -v", "perl -pi.bak -e s/a/b/ f", "perl -I lib x.pl", "perl x.pl", "ruby -e 'puts 1'", "ruby x.rb", "node -v", "node x.js", "node -r ./a b.js", "node -p 1+1",
		"php -v", "php -r 'echo 1;'", "php artisan x", "php -f x.php", "lua x.lua", "lua -e 'print(1)'", "tclsh x.tcl", "Rscript x.R", "deno run x.ts", "bun x", "awk -f x.awk f", "sed -f x f", "make -f x", "crontab -l", "crontab -e", "crontab f", "at -l", "exec 3< f", "exec < /dev/null", "exec bash", "docker login",
	} {
		if v := c.Judge(line); v.Action != sallyport.Allow {
			t.Errorf("%q: %s %s %q", line, v.Action, v.Class, v.Reason)
		}
	}
}

// What cannot be read is never safe: it raises the alert of its class.
func TestOpaqueAndTamper(t *testing.T) {
	c := typical(t)
	for class, lines := range map[sallyport.Class][]string{
		sallyport.ClassOpaque: {
			"$x -r y", "$(cat f) x", "`cat f`", "${x}y", "eval $x", `eval "$(cat f)"`, "sh -c $x", `sh -c "$x"`, "curl x | bash", "cat f | sh", "base64 -d <<< cm0gLXI= | sh", "sh < f", "echo cm0= | base64 -d | sudo bash -s",
			"bash <(curl x)", "source <(curl x)", ". /dev/stdin", "sh /dev/stdin", "!!", "!rm", "sudo !!", "^ls^rm", "ls !$", "python3 -c 'import os; os.system(\"x\")'", "perl -e 'system(\"x\")'", "perl -e 'exec x'", "ruby -e '`x`'",
			"awk 'BEGIN{system(\"x\")}'", "rm $x y", "cat $f", "cat /etc/$x", "cat /etc/sha{d,}$x", "cat $(echo /etc/$x)", "xargs cat", "cat x | xargs rm", "/bin/* x", "/usr/bin/?? x", "enable -f x y", "vim -c ':!ls'", "cat f | python3", "at now < f", "xargs -I{} sh -c {}",
			"./a*b", "python3", "python3 -", "sudo python3.11 -u", "python3 -W ignore", "python3 /dev/stdin", "perl", "perl -w", "perl -I lib", "perl - x", "ruby", "node", "node -", "tclsh", "php", "php -d x=y", "lua", "lua5.4 -", "expect -f -", "deno run -", "awk -f -", "awk --file=/dev/stdin f", "sed -f -", "make -f -",
			"ed", "ed x", "ex -s x", "vim -es x", "at now", "batch", "crontab -", "crontab -u bob -", "crontab", "exec < f", "exec <&3", "ssh h < f", "sh $x", "su < f", "find . | parallel", "while read x; do $x; done < f", "read x; $x", "x=$(cat f); $x", "rm -- $x; rm -$x y",
		},
		sallyport.ClassTamper: {
			"PS1=x", "export PS1=", "PROMPT_COMMAND=x", "declare PROMPT_COMMAND=x", "bind -x '\"a\":ls'", "bind '\"a\": \"ls\"'", "stty -echo", "LD_PRELOAD=/x ls", "export LD_PRELOAD=/x", "env LD_PRELOAD=/x ls", "sudo LD_PRELOAD=/x ls", "exec 2>/dev/null",
			"TERM=dumb", "set -o vi", "BASH_ENV=x bash", "read PS1 < f", "printf -v PS1 x", "bindkey -v", "stty raw", "for PS1 in x; do ls; done; PS1=$PS1",
		},
	} {
		for _, line := range lines {
			if v := c.Judge(line); v.Class != class || v.Action != sallyport.Alert {
				t.Errorf("%q: %s %q %q, want %s", line, v.Action, v.Class, v.Reason, class)
			}
		}
	}
}

func TestRules(t *testing.T) {
	c := typical(t)
	for line, want := range map[string]sallyport.Action{
		"find . -delete": sallyport.Deny, "find . -name x -delete": sallyport.Deny, "find . -d": sallyport.Allow, "mkfs /dev/sda": sallyport.Deny, "mkfs.ext4 /dev/sda": sallyport.Deny, "mk /dev": sallyport.Allow,
		"cat /etc/shadow": sallyport.Deny, "cat /etc//shadow": sallyport.Deny, "cat /etc/./x/../shadow": sallyport.Deny, "cat /etc/sha?ow": sallyport.Deny, "cat /etc/s*": sallyport.Deny, "cat /etc/{passwd,shadow}": sallyport.Deny, "cat /e*/shadow": sallyport.Deny,
		"cat '/etc'/shadow": sallyport.Deny, "cat /etc/shadow-": sallyport.Allow, "cat /etc/p*": sallyport.Allow, "cat *": sallyport.Allow,
		"curl x | sh": sallyport.Deny, "curl -sSL https://x.y/z | sudo sh -s -- a": sallyport.Deny, "curl x | tee y | sh": sallyport.Deny, `sh -c "$(curl x)"`: sallyport.Deny, "sh <(curl x)": sallyport.Deny, "curl x | (cat; sh)": sallyport.Deny,
		"curl x; sh y": sallyport.Allow, "sh x | curl y": sallyport.Allow, "curl x && sh y": sallyport.Allow, `eval "$(curl x)" `: sallyport.Alert, "curl | sh": sallyport.Deny,
		"chmod -R 777 /": sallyport.Deny, "chmod --recursive 777 /etc": sallyport.Deny, "chmod 777 -R /": sallyport.Deny, "chmod 777 /": sallyport.Allow, "chmod -R 755 /": sallyport.Allow, "chmod -R 777 /srv/x/y": sallyport.Allow, "chmod -R 777 /*": sallyport.Deny,
		"shutdown": sallyport.Terminate, "sudo /sbin/shutdown -h now": sallyport.Terminate,
	} {
		if v := c.Judge(line); v.Action != want {
			t.Errorf("%q: %s %q, want %s", line, v.Action, v.Reason, want)
		}
	}
}

func TestVerdictSaysWhy(t *testing.T) {
	c := typical(t)
	v := c.Judge("sudo /bin/rm -rf /srv")
	if v.Rule != "rm -r|-R|--recursive" || v.Program != "rm" || v.Class != "" || !strings.Contains(v.Reason, v.Rule) {
		t.Errorf("got %+v", v)
	}
	for _, line := range []string{"if true; then", "echo 'a", "ls |", "ls &&", "cat <<E", "for i in 1", "echo \"", "ls \\\n", "(ls"} {
		if v := c.Judge(line); !v.Incomplete && line != "ls \\\n" {
			t.Errorf("%q: not incomplete", line)
		}
	}
	if v := c.Judge("ls; ls"); v.Incomplete {
		t.Error("a whole line is incomplete")
	}
}

// A line made to exhaust the parser is refused, quickly, and is never allowed.
func TestMonstersAreUnverifiable(t *testing.T) {
	c := typical(t)
	for name, line := range map[string]string{
		"long": "ls " + strings.Repeat("x", 70<<10), "parens": strings.Repeat("(", 5000), "subst": strings.Repeat("$(", 5000), "braces": strings.Repeat("{a,b}", 30), "sequence": "echo {1..10000000}{1..1000000}",
		"sudo": strings.Repeat("sudo ", 5000) + "ls", "eval": strings.Repeat("eval ", 300) + "ls", "calls": strings.Repeat("ls;", 20000), "backticks": strings.Repeat("`", 1000), "nested": strings.Repeat("echo $(cat <<< $(", 40) + strings.Repeat("))", 40),
		"power": "$((2**4611686018427387904)) x", "range": "$x{1..99999999999} x", "class": "rm -" + strings.Repeat("[", 4000) + " " + strings.Repeat("*a", 4000), "for": "for ((;;)); do $x; done",
		"doubling": "a=xxxxxxxxxx;" + strings.Repeat("a=$a$a$a$a;", 200), "fish": strings.Repeat("echo (a) ", 5000) + ")", "brackets": "and " + strings.Repeat("(a ", 90) + strings.Repeat("x (", 9), "escapes": strings.Repeat(`\x72 `, 12000), "subscripts": "let " + strings.Repeat("'a[$(x)]' ", 4000),
		"aliases": "alias sudo='env sudo' env='sudo env';" + strings.Repeat("sudo ", 30) + "ls", "expansion": "a='" + strings.Repeat("y ", 2000) + "';ls " + strings.Repeat("$a", 5000),
	} {
		start := time.Now()
		v := c.Judge(line)
		if d := time.Since(start); d > 30*time.Second { // a hang, not a slow machine
			t.Errorf("%s: took %s", name, d)
		}
		if v.Action == sallyport.Allow && !v.Incomplete && name != "doubling" && name != "nested" && name != "power" { // long ways to say ls or 0
			t.Errorf("%s: allowed: %+v", name, v)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for name, r := range map[string]sallyport.CommandRule{
		"no action": {Program: "rm"}, "unknown action": {Program: "rm", Action: 9}, "nothing": {Action: sallyport.Deny}, "both": {Program: "rm", Match: "rm", Action: sallyport.Deny}, "path": {Program: "/bin/rm", Action: sallyport.Deny},
		"words": {Program: "rm -r", Action: sallyport.Deny}, "flag": {Program: "rm", Flags: []string{"--"}, Action: sallyport.Deny}, "list": {Match: "a; b", Action: sallyport.Deny}, "empty stage": {Match: "a | ", Action: sallyport.Deny},
		"variable": {Match: "$x", Action: sallyport.Deny}, "or": {Match: "a || b", Action: sallyport.Deny}, "match and flags": {Match: "a", Flags: []string{"r"}, Action: sallyport.Deny}, "empty arg": {Program: "rm", Args: []string{""}, Action: sallyport.Deny},
	} {
		ok := sallyport.CommandRule{Program: "ls", Action: sallyport.Alert}
		_, err := CompileCommands(sallyport.Commands{Rules: []sallyport.CommandRule{ok, r}})
		var re *RuleError
		if !errors.As(err, &re) || re.Index != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := CompileCommands(sallyport.Commands{Classes: map[sallyport.Class]sallyport.Action{"x": sallyport.Deny}}); err == nil {
		t.Error("an unknown class compiles")
	}
}

func TestNothingToJudge(t *testing.T) {
	var none *Commands
	zero := mustCompile(t, sallyport.Commands{})
	for _, c := range []*Commands{none, zero} {
		if c.Active() || c.Judge("rm -rf /") != (Verdict{}) || c.Unverifiable() != (Verdict{}) {
			t.Error("no rules, yet it judges")
		}
	}
	only := mustCompile(t, sallyport.Commands{Classes: map[sallyport.Class]sallyport.Action{sallyport.ClassOpaque: sallyport.Deny}})
	if !only.Active() || only.Judge("$x").Action != sallyport.Deny || only.Judge("PS1=x").Action != sallyport.Allow {
		t.Error("a class alone must judge, and nothing else")
	}
	if v := typical(t).Unverifiable(); v.Action != sallyport.Deny || v.Class != sallyport.ClassUnverifiable {
		t.Errorf("got %+v", v)
	}
}

func BenchmarkJudge(b *testing.B) {
	c := typical(b)
	for name, line := range map[string]string{
		"plain": "ls -la /var/log", "pipe": `ps aux | grep -v grep | awk '{print $2}'`, "wrapped": `sudo -u root bash -c 'for i in 1 2; do echo "$i" > /tmp/$i; done'`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Judge(line)
			}
		})
	}
}
