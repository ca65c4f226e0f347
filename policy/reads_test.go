package policy

import (
	"strings"
	"testing"
)

// Attack: let a program that seems to read the terminal end at once or never
// start, and type the forbidden line while the shell waits for something else:
// only what surely reads to the end of the line takes typed lines as its data.
func TestReads(t *testing.T) {
	for want, lines := range map[Reader][]string{
		ReadsInput: {
			"cat", "cat -", "cat > f", "cat >> f", "sudo cat > f", "read x", "read -r x y", "tee f", "mysql", "mysql -u root -p", "psql db", "python3", "python3 -i x.py", "bc", "bc -l", "ed", "ed f", "passwd", "passwd bob", "sudo passwd bob", "telnet h",
			"ftp h", "sqlite3", "sqlite3 f.db", "head", "head -n 5", "xargs", "xargs rm", "wc", "wc -l", "vim", "vim f", "vi f", "nano f", "less f", "a; cat", "cd /x && cat > f", "cd x && mysql", "node", "irb", "gdb x", "grep x", "sort", "env A=b cat", "nohup cat",
			"time cat", "(cat)", "{ ls; cat; }", "sh -c cat", "sh -c 'ls; cat'", "bash -c 'cat > f'", "cat | grep x", "cat | sort > f", "ssh h cat", "docker exec -it c cat", "docker exec -it c psql", "base64 -d", "tr a b", "sed s/a/b/", "awk '{print}'", "sqlplus x", "redis-cli", "man ls", "top", "sftp h", "nc -l 80", "mysql 2> f",
		},
		ReadsShell: {
			"sh", "bash", "su", "su -", "sudo -i", "sudo su -", "ssh host", "docker exec -it c sh", "kubectl exec -it p -- bash", "screen", "screen -S x", "tmux", "tmux a", "cat | sh", "source /dev/stdin", ". /dev/stdin", "a; bash", "bash; a", "cat; bash", "exec bash", "chroot /x", "$x", "tmux new -s x", "zsh -l", "fish",
			"script", "newgrp x", "mosh h", "sudo -s", "ls " + strings.Repeat("x", 70<<10),
		},
		ReadsNothing: {
			"", "ls", "sleep 5", "make", "cat f", "cat < f", "cat <<E\nx\nE", "ls | cat", "ls | wc -l", "head f", "head -n 5 f", "tee < f", "mysql -e 'select 1'", "mysql < f", "psql -c x", "python3 x.py", "python3 -c 'x'", "grep x f", "grep -r x", "screen -ls", "tmux ls", "vim --version", "mysql --help",
			"cat &", "cat; ls", "false && cat", "! sleep 9 && cat", "true || cat", "sleep 9 || cat", "if false; then cat; fi", "while read x; do sleep 9; done < f", "f() { cat; }", "alias c=cat", "trap cat EXIT", "cat $x", "cat; sleep 9", "{ cat; sleep 9; }", "sh -c 'cat; sleep 9'", "read -t 0 x", "sudo ls", "coproc cat", "find . -name x", "cat <(ls)",
			"for i in; do cat; done", "case x in y) cat;; esac", "cat | sleep 9 &", "timeout 1 sleep 9",
		},
	} {
		for _, line := range lines {
			if got := Reads(line); got != want {
				t.Errorf("Reads(%.40q) = %d, want %d", line, got, want)
			}
			if want == ReadsShell != ReadsScript(line) && !multiplexed(line) {
				t.Errorf("ReadsScript(%.40q) disagrees", line)
			}
		}
	}
}

func multiplexed(line string) bool {
	return strings.HasPrefix(line, "screen") || strings.HasPrefix(line, "tmux") || strings.HasPrefix(line, "mosh")
}

// Attack: have the judge believe that the next line is for read, when it is for
// the shell.
func TestAsksFirst(t *testing.T) {
	for line, want := range map[string]bool{
		"read x": true, `printf "$ask"; read x; echo`: true, "echo $(sleep 1); read x": false, "sleep 1; echo; read x": false, "stty -echo; read x": true, `read -s -p "$ask" x; echo "$x" > out`: true, `read -p "Name? " x; echo`: true, "read -r x y": true,
		"read x < /dev/null; sleep 1": false, "read -t 0 x; sleep 1": false, "read -n0 x; sleep 1": false, "read x & sleep 1": false,
		"true | read x; sleep 1": false, "sleep 1; read x": false, "read -u3 x; sleep 1": false, "ready; sleep 1": false, "if read x": false,
		"read x || sleep 1": false, "read $x; sleep 1": false, `read -p x "$y"`: false, "read -d '' x; sleep 1": false, "alias read=true": false, "": false,
	} {
		if got := AsksFirst(line); got != want {
			t.Errorf("%q: %t, want %t", line, got, want)
		}
	}
}
