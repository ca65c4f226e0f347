package policy

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sallyport"
)

// Attack: remove a directory past the sample configuration, in every way that the
// shells of a target know. Each line is first run for real, in a directory of its
// own and without rules: a line that does no damage would prove nothing. Then it
// has to meet the rule, or, where the line does not tell what it runs, the class
// that says so.
func TestRemovePastTheRules(t *testing.T) {
	c := typical(t)
	attacks := map[string][]string{
		"bash": {
			`rm -rf victim`, `\rm -rf victim`, `'rm' -rf victim`, `r"m" -rf victim`, `r''m -r''f victim`, `$'\x72m' -rf victim`, `$'\162\u006d' -rf victim`, `rm$IFS-rf${IFS}victim`, `IFS=,; x=rm,-rf,victim; $x`,
			`{rm,-rf,victim}`, `rm -{r,f} victim`, `/bin/rm -rf victim`, `/b??/rm -rf victim`, `/bin/r[m] -rf victim`, `command rm -rf victim`, `command -p rm -rf victim`, `exec -a ls rm -rf victim`, `exec -cl rm -rf victim`, `builtin eval rm -rf victim`, `builtin command rm -rf victim`,
			`eval rm -rf victim`, `eval "r""m -rf victim"`, `x=rm; $x -rf victim`, `x=r; y=m; $x$y -rf victim`, `x='rm -rf victim'; $x`, `x=(rm -rf victim); "${x[@]}"`, `x=xrm; ${x#x} -rf victim`, `x=rmx; ${x%x} -rf victim`, `x=mr; ${x:1}${x:0:1} -rf victim`, `x=RM; ${x,,} -rf victim`, `x=ls; ${x/ls/rm} -rf victim`,
			`declare -n y=x; x=rm; $y -rf victim`, `x=y; y=rm; ${!x} -rf victim`, `printf -v x %s rm; $x -rf victim`, `read x <<< rm; $x -rf victim`, `read -r x y z <<< 'rm -rf victim'; $x $y $z`, `set -- rm -rf victim; "$@"`, `f() { "$@"; }; f rm -rf victim`, `f() { rm -rf $1; }; f victim`,
			`xargs rm -rf <<< victim`, `echo victim | xargs rm -rf`, `echo -rf victim | xargs rm`, `echo rm -rf victim | xargs env`, `echo rm -rf victim | sh`, `sh <<< 'rm -rf victim'`, "sh <<E\nrm -rf victim\nE", "cat <<E | bash\nrm -rf victim\nE", `source <(echo rm -rf victim)`, `. /dev/stdin <<< 'rm -rf victim'`, `bash <(echo rm -rf victim)`,
			`find victim -delete`, `find victim -exec rm -rf {} +`, `find . -name victim -exec rm -r {} \;`, `find . -name victim -execdir sh -c 'rm -rf victim' \;`, `find . -name victim -print0 | xargs -0 rm -rf`,
			`env rm -rf victim`, `env -S 'rm -rf victim'`, `env -i /bin/rm -rf victim`, `nohup rm -rf victim`, `nice -n5 rm -rf victim`, `timeout 5 rm -rf victim`, `time rm -rf victim`, `setsid -w rm -rf victim`, `stdbuf -o0 rm -rf victim`, `chrt -o 0 rm -rf victim`, `taskset 1 rm -rf victim`, `ionice -c2 rm -rf victim`, `setarch x86_64 rm -rf victim`, `flock lock rm -rf victim`, `flock lock -c 'rm -rf victim'`,
			`/lib64/ld-linux-x86-64.so.2 /bin/rm -rf victim`, `coproc rm -rf victim; wait`, `trap 'rm -rf victim' EXIT; exit`, `trap 'rm -rf victim' DEBUG; :`, "shopt -s expand_aliases; alias x='rm -rf victim'\nx", `if test -d victim; then rm -rf victim; fi`, `for x in victim; do rm -rf $x; done`, `while rm -rf victim; do break; done`, `case x in x) rm -rf victim;; esac`,
			`[[ -n $(rm -rf victim) ]]`, `: $(rm -rf victim)`, ": `rm -rf victim`", `: "${x:=$(rm -rf victim)}"`, `(( $(rm -rf victim; echo 1) ))`, `x=$(rm -rf victim)`, `a[$(rm -rf victim; echo 0)]=1`, `cat <<< $(rm -rf victim)`,
			`let 'a[$(rm -rf victim)0]=1'`, `test -v 'a[$(rm -rf victim)0]'`, `[[ -v 'a[$(rm -rf victim)0]' ]]`, `[[ 'a[$(rm -rf victim)0]' -eq 0 ]]`, `x='a[$(rm -rf victim)0]'; echo $((x))`, `printf -v 'a[$(rm -rf victim)0]' x`, `declare 'a[$(rm -rf victim)0]=1'`, `read 'a[$(rm -rf victim)0]' <<< x`, `x='$(rm -rf victim)'; : "${x@P}"`, `PS4='$(rm -rf victim)'; set -x; :`, `x=1; x='a[$(rm -rf victim)0]'; (( x ))`,
			`cp /bin/rm ls; ./ls -rf victim`, `ln -s /bin/rm ls; ./ls -rf victim`, `hash -p /bin/rm ls; ls -rf victim`, `enable -n kill; function rm2 { command rm "$@"; }; rm2 -rf victim`,
			`BASH_ENV=<(echo rm -rf victim) bash -c :`, `mapfile -C 'rm -rf victim; :' -c 1 x <<< y`, `perl -e 'system("rm -rf victim")'`, `perl -e 'use File::Path; rmtree("victim")'`, `python3 -c 'import os;os.system("rm -rf victim")'`, `python3 -c 'import shutil;shutil.rmtree("victim")'`, `python3 <<< 'import shutil;shutil.rmtree("victim")'`, `echo 'system("rm -rf victim")' | perl`,
			`awk 'BEGIN{system("rm -rf victim")}'`, `awk 'BEGIN{print "rm -rf victim" | "sh"}'`, `awk 'BEGIN{"rm -rf victim" | getline}'`, `sed -n '1e rm -rf victim' /etc/passwd`, `sed '1s/.*/rm -rf victim/e;q' /etc/passwd`, `tar cf /dev/null /etc/passwd --checkpoint=1 --checkpoint-action=exec='rm -rf victim'`,
			`git -c alias.x='!rm -rf victim' x`, `printf 'all:\n\trm -rf victim\n' | make -f -`, `make --eval 'all:;rm -rf victim'`, `printf '!rm -rf victim\nq\n' | ed`, `split --filter='rm -rf victim' /etc/passwd`,
			"{ rm -rf victim\n}", "if true\nthen\nrm -rf victim\nfi", "rm \\\n-rf \\\nvictim", "r\\\nm -rf victim", `: ; rm -rf victim #x`, `true && ! rm -rf victim`, `rm -rf victim &
wait`, `(rm -rf victim)`, `cd victim && rm -rf ../victim`, `rm -rf -- victim`, `rm victim -rf`, `rm --recursive --force victim`, `rm --rec -f victim`, `rm -f --r victim`,
			`script -qc 'rm -rf victim' /dev/null`, `su -c 'rm -rf '$PWD/victim`, `runuser -u root -- rm -rf victim`, `sg root 'rm -rf victim'`, `setpriv --nnp rm -rf victim`, `chroot / rm -rf $PWD/victim`, `prlimit rm -rf victim`, `choom -n 0 -- rm -rf victim`, `eval eval rm -rf victim`, `eval $'rm\x20-rf\x20victim'`, `bash -c "$(echo rm -rf victim)"`, `bash -c '$0 $1 $2' rm -rf victim`, `bash -c '"$@"' x rm -rf victim`, `sh -c 'rm -rf $0' victim`, `bash -c 'exec "$@"' -- rm -rf victim`, `rm -rf vic*`, `rm -rf ?ictim`, `dir=victim; rm -rf "$dir"`, `echo cm0gLXJmIHZpY3RpbQ== | base64 -d | sh`, `$(echo cm0gLXJmIHZpY3RpbQ== | base64 -d)`, `vim -es -c '!rm -rf victim' -c q`, `compgen -C 'rm -rf victim'`, `select x in a; do rm -rf victim; break; done <<< 1`, `PROMPT_COMMAND='rm -rf victim' bash -i <<< :`, `ENV=<(echo rm -rf victim) sh -i <<< :`, `history -s rm -rf victim; fc -s rm`,
		},
		"dash": {
			`rm -rf victim`, `x=rm; $x -rf victim`, `eval "rm -rf victim"`, `echo 'rm -rf victim' | sh`, `set -- rm -rf victim; $*`, `trap 'rm -rf victim' 0`, `. /dev/stdin <<E
rm -rf victim
E`, `command -p rm -rf victim`, `alias x='rm -rf victim'
x`, `: ${x:=$(rm -rf victim)}`, `exec rm -rf victim`, `env x=y rm -rf victim`,
		},
		"zsh": {
			`rm -rf victim`, `=rm -rf victim`, `noglob rm -rf victim`, `nocorrect rm -rf victim`, `command rm -rf victim`, `exec rm -rf victim`, `x=(rm -rf victim); $x`, `x='rm -rf victim'; ${=x}`, `x='rm -rf victim'; ${(z)x}`, `x=rm; $x -rf victim`, `alias -g X='rm -rf victim'; eval X`, `alias -s txt='rm -rf victim'; eval a.txt`, `repeat 1 rm -rf victim`, `for x (victim) rm -rf $x`, `if [[ -d victim ]] rm -rf victim`, `while rm -rf victim; do break; done`, `() { rm -rf victim }`, `() { rm -rf $1 } victim`, `f() rm -rf victim; f`, `function f { rm -rf victim }; f`, `foreach x (victim); rm -rf $x; end`, `case x { (x) rm -rf victim ;; }`, `{ rm -rf victim } always { : }`, `eval ${(L):-RM -RF VICTIM}`, `${(L):-RM} -rf victim`, `zmodload zsh/files; zf_rm -rf victim`, `cat =(rm -rf victim)`, `echo *(e:'rm -rf victim':)`, `autoload -U zargs; zargs victim -- rm -rf`, `trap 'rm -rf victim' EXIT`, `TRAPEXIT() { rm -rf victim }`, `precmd() { rm -rf victim }; precmd`, `functions[f]='rm -rf victim'; f`, `aliases[x]='rm -rf victim'; eval x`, `$commands[rm] -rf victim`, `${commands[rm]} -rf victim`, `echo ${(e):-'$(rm -rf victim)'}`, `coproc rm -rf victim; wait`, `r\m -rf victim`, `$'rm' -rf victim`, `source =(echo rm -rf victim)`, `. <(echo rm -rf victim)`, `emulate sh -c 'rm -rf victim'`, `(( ${:-$(rm -rf victim)0} ))`, `let 'a[$(rm -rf victim)1]=1'`, `typeset -A a; a[rm]=rm; $a[rm] -rf victim`, `x=victim; rm -rf $x:A`, `rm -rf victim(N)`, `rm -rf v*(/)`,
		},
		"fish": {
			`rm -rf victim`, `command rm -rf victim`, `and rm -rf victim`, `not rm -rf victim`, `false; or rm -rf victim`, `begin; rm -rf victim; end`, `if test -d victim; rm -rf victim; end`, `if true
rm -rf victim
end`, `for x in victim; rm -rf $x; end`, `while rm -rf victim; break; end`, `function f; rm -rf victim; end; f`, `function f
rm -rf $argv
end
f victim`, `switch x; case x; rm -rf victim; end`, `set x rm; $x -rf victim`, `set x rm -rf victim; $x`, `set x rm -rf victim; eval $x`, `eval rm -rf victim`, `echo (rm -rf victim)`, `echo $(rm -rf victim)`, `echo rm -rf victim | source`, `echo rm -rf victim | fish`, `source (echo rm -rf victim | psub)`, `alias x 'rm -rf victim'; x`, `alias x='rm -rf victim'; x`, `exec rm -rf victim`, `builtin eval rm -rf victim`, `test -d victim && rm -rf victim`, `rm -rf victim &
wait`, `env rm -rf victim`, `echo victim | xargs rm -rf`, `r\m -rf victim`, `'rm' -rf victim`, `r"m" -rf victim`, `\x72m -rf victim`, `rm -r{f,} victim`, `function f --on-event x; rm -rf victim; end; emit x`, `function f --on-variable x; rm -rf victim; end; set -g x 1`, `trap 'rm -rf victim' EXIT`, `string collect (rm -rf victim)`, `set x (rm -rf victim)`, `eval (string replace x m "rx -rf victim")`, `rm -rf vic*`, `time rm -rf victim`, `echo a; and rm -rf victim`, `not begin; rm -rf victim; end`, `if not rm -rf victim; end`, `if true; and rm -rf victim; end`, `begin
rm -rf victim
end | cat`, `bash -c 'rm -rf victim'`, `fish -c 'rm -rf victim'`, `fish -C 'rm -rf victim' -c ''`, `fish --init-command='rm -rf victim' -c ''`, `complete -c x -a '(rm -rf victim)'; complete -C 'x '`, `string join \n rm\ -rf\ victim | source`,
		},
	}
	// What the machine may not have, or does only elsewhere: at a prompt, as root.
	judged := []string{
		"echo <(rm -rf victim)", ": > >(rm -rf victim)", "rm -rf victim &!", "rm -rf victim &|", "busybox rm -rf victim", "busybox sh -c 'rm -rf victim'", "toybox rm -rf victim", "start-stop-daemon -S -x /bin/rm -- -rf victim", "if [[ -d victim ]] { rm -rf victim }", "- rm -rf victim", "echo victim(+f)", "bind -x '\"a\": rm -rf victim'",
		"complete -C 'rm -rf victim' x", "abbr -a x 'rm -rf victim'", "sched +0 rm -rf victim", "unset 'a[$(rm -rf victim)0]'", "GIT_PAGER='rm -rf victim; cat' git -p config -l", "git -c core.pager='rm -rf victim' log", "git config alias.x '!rm -rf victim'", "git submodule foreach 'rm -rf victim'",
		"git rebase -x 'rm -rf victim' main", "git bisect run rm -rf victim", "tar cf x -I 'rm -rf victim' y", "tar xf x --to-command='rm -rf victim'", "watch rm -rf victim", "run-parts .", "nsenter -t 1 -m rm -rf victim", "unshare -r rm -rf victim", "ssh h rm -rf victim", "ssh h 'rm -rf victim'", "doas rm -rf victim",
		"rsync -e 'rm -rf victim' a b:c", "EDITOR='rm -rf victim' visudo", "export PAGER='rm -rf victim'", "man -P 'rm -rf victim' ls", "less '+!rm -rf victim' f", "vim '+!rm -rf victim'", "sudo -u bob -- sh -c 'cd /; rm -rf victim'", "docker run -v /:/x i rm -rf /x", "kubectl exec p -c c -- rm -rf victim", "alias ls='rm -rf victim'",
		"alias x=rm\nx -rf victim", "!rm", "^ls^rm -rf", "fc -s rm", "ssh -o ProxyCommand='rm -rf victim' x", "ssh -oProxyCommand='rm -rf victim' x", "mysql -e '\\! rm -rf victim'", "psql -c '\\! rm -rf victim'", "sqlite3 x '.shell rm -rf victim'", "gdb -ex '!rm -rf victim'", "gdb --args rm -rf victim", "xterm -e rm -rf victim", "perf stat rm -rf victim", "valgrind rm -rf victim",
		"emacs --batch --eval '(shell-command \"rm -rf victim\")'", "socat - EXEC:'rm -rf victim'", "nc -c 'rm -rf victim' h 1", "tmux new-session 'rm -rf victim'", "screen rm -rf victim", "screen -dm sh -c 'rm -rf victim'", "tmux send-keys 'rm -rf victim' Enter", "tmux run-shell 'rm -rf victim'", "ls | entr rm -rf victim", "vim --cmd '!rm'", "vim -c ':call system(\"rm -rf victim\")'",
		"sudo VAR=x -u bob rm -rf victim", "npm exec -- rm -rf victim", "npx rm -rf victim", "poetry run rm -rf victim", "ansible all -a 'rm -rf victim'", "salt x cmd.run 'rm -rf victim'", "vagrant ssh -c 'rm -rf victim'", "oc rsh p rm -rf victim", "distrobox enter x -- rm -rf victim", "adb shell rm -rf victim", "mosh h -- rm -rf victim", "rsh h rm -rf victim",
		"sshpass -p x ssh h rm -rf victim", "faketime x rm -rf victim", "chpst -u x rm -rf victim", "setlock f rm -rf victim", "bwrap --bind / / -- rm -rf victim", "hyperfine 'rm -rf victim'", "zip x y -T -TT 'rm -rf victim'", "apt-get -o APT::Update::Pre-Invoke::='rm -rf victim' update", "PROMPT_COMMAND='rm -rf victim'", "PS1='$(rm -rf victim)'",
	}
	for _, line := range judged {
		if v := c.Judge(line); v.Action == sallyport.Allow {
			t.Errorf("%q passes", line)
		}
	}
	for shell, lines := range attacks {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Errorf("%s is missing: scripts/prepare.sh installs it", shell)
			continue
		}
		rules := 0
		for _, line := range lines {
			v := c.Judge(line)
			switch {
			case v.Action == sallyport.Allow:
				t.Errorf("%s: %q passes", shell, line)
			case v.Rule != "":
				rules++
			}
		}
		t.Logf("%s: %d attacks, %d meet the rule, the others a class", shell, len(lines), rules)
		if rules < len(lines)*3/4 {
			t.Errorf("%s: only %d of %d meet the rule itself", shell, rules, len(lines))
		}
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			for _, line := range lines {
				if !damages(t, path, line) {
					t.Errorf("%q removes nothing", line)
				}
			}
		})
	}
}

// What the line does not tell cannot be found on it. These pass, and the
// documentation says so.
func TestLimitsOfReading(t *testing.T) {
	c := typical(t)
	for _, line := range []string{
		"./cleanup.sh", "cleaned", "./ls -rf victim", "make clean", "python3 cleanup.py", "unlink victim", "find victim -exec rmdir {} +", "mv victim /dev/shm", "crontab f", "perl x.pl", "vim f",
	} {
		if v := c.Judge(line); v.Action != sallyport.Allow {
			t.Errorf("%q: %s %q: no limit any more", line, v.Action, v.Reason)
		}
	}
}

// damages runs the line in a directory of its own and reports whether the victim
// in it is gone.
func damages(t *testing.T, shell, line string) bool {
	t.Helper()
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim", "deep")
	if err := os.MkdirAll(victim, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell, "-c", line)
	cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + dir, "TERM=xterm", "LANG=C.UTF-8"}
	cmd.WaitDelay = time.Second
	_ = cmd.Run() // many of them fail, having done it
	_, err := os.Stat(filepath.Join(dir, "victim"))
	return os.IsNotExist(err)
}
