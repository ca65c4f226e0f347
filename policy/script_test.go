package policy

import (
	"fmt"
	"strings"
	"testing"
)

// Attack: ask for a harmless-looking shell, or for something that starts one,
// and send it the forbidden commands on standard input, where an exec filter
// does not look.
func TestReadsScript(t *testing.T) {
	for want, lines := range map[bool][]string{
		true: {
			"bash", "/bin/sh", "sh -s", "sudo bash", "bash -x", "env LANG=C dash -", "cd /tmp && sh", "sh -c bash", "true; exec bash", "nice bash", "env bash", "busybox sh", "command sh", "nohup sh", "timeout 5 sh",
			// options are no script, nor are their values
			"bash +x", "bash +o posix", "bash -o posix", "bash -O extglob", "bash +O extglob", "bash -eo pipefail", "bash --rcfile F", "bash --init-file F", "bash --norc", "bash --posix", "bash --norc --rcfile /x -l -i",
			"bash --", "bash -s a b", "bash -xs -- a", "sh -c", "zsh --emulate sh", "bash $x", "bash $x-s", `bash "$x"`,
			// versions and others
			"bash5.1", "bash-5.2", "ksh93", "zsh-5.9", "yash", "posh", "mksh", "lksh", "csh", "fish", "pwsh", "pwsh -NoLogo", "pwsh -Command -", "rbash",
			// a shell where no command is given
			"sudo -i", "sudo -s", "sudo -si", "sudo --login", "sudo -u bob -i", "sudo -ubob -s", "sudo su -", "sudo su", "su", "su -", "su - bob", "su bob", "su -l bob", "su -s /bin/sh bob", "su bob -s /bin/sh", "runuser -l bob", "doas -s", "doas -u bob -s",
			"chroot /x", "sudo chroot /x", "nsenter -t 1 -a", "unshare", "unshare -r -m", "newgrp", "newgrp grp", "sg grp", "sg - grp", "script -q f", "script", "login", "login -f root", "machinectl shell", "machinectl shell web", "machinectl login web", "pkexec", "run0",
			"setarch", "linux32", "fakeroot", "systemd-run -S", "systemd-run --pty --shell", "systemd-nspawn -D /x", "lxc-attach -n c", "ssh localhost", "ssh -p 22 root@localhost -T", "capsh --", "ssh-agent bash",
			"docker exec -i c sh", "docker run -i x", "docker attach c", "kubectl exec -i p -- bash", "podman exec -it c bash", "docker exec -iu root c sh",
			// the input by another name
			"sh /dev/stdin", "bash /dev/fd/0", "bash /proc/self/fd/0", "bash //dev/./stdin", "bash /dev/std?n", ". /dev/stdin", "source /dev/stdin", "source -- /dev/stdin", `. "$x"`, `eval "$(cat)"`, "eval $(cat)", `sh -c "$(cat)"`, "/dev/stdin", "bash <(cat)", "bash < /dev/stdin", "cat | sh",
			"read x; eval $x", "while read x; do $x; done", "$(cat)", "$SHELL", "$SHELL -l", "/bin/ba?h", "xargs -I{} sh -c {}", "at now", "batch", "find . -exec sh ;",
		},
		false: {
			"bash -c 'echo hi'", "sh script.sh", "bash -lc uptime", "uptime", "cat bash", "", "bash -- file", "bash - file", "bash -x file", "bash -eo pipefail file", "bash --norc file", "bash +x file a", "bash -sc ls", "fish --command=ls", "pwsh -Command ls", "pwsh -File x.ps1", "pwsh x.ps1",
			"sudo -l", "sudo ls", "sudo -uroot ls", "sudo -usia ls", "sudo -i ls", "sudo -s ls", "sudo su -c ls", "su -c ls bob", "su bob -c ls", "su - bob -- -c ls", "runuser -u bob ls", "doas ls", "chroot /x ls", "nsenter -t 1 -a ls", "unshare ls", "sg grp ls", "sg grp -c ls", "script -qc ls f",
			"machinectl list", "machinectl shell web /bin/ls", "ssh host ls", "ssh -N host", "docker ps", "docker exec c ls", "docker login -u x", "docker run x", "kubectl logs login", "systemd-run ls", "scp -t /tmp", "rsync --server -logDtpre.iLsfxC . /x", "git-receive-pack 'x'", "/usr/lib/openssh/sftp-server",
			"tar xf -", "cat > f", "sh -c 'cat > f'", `sh -c "cd $x && tar xf -"`, "$SHELL -c 'tar xf -'", "$x/git-upload-pack y", "source .profile", "sh <<E\nls\nE", "echo ls | sh", "python3", "perl", "crontab -", "awk -f -", "at -l", "at -f x now",
		},
	} {
		for _, line := range lines {
			if got := ReadsScript(line); got != want {
				t.Errorf("ReadsScript(%q) = %v", line, got)
			}
		}
	}
	if !ReadsScript("ls " + strings.Repeat("x", 70<<10)) {
		t.Error("what cannot be read is taken for harmless")
	}
}

func TestPrograms(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/bin/scp -t -- 'a b'":             "[[scp -t -- a b]]",
		"LC_ALL=C exec mosh-server new":        "[[exec mosh-server new] [mosh-server new]]",
		"sudo rsync --server --sender . /srv":  "[[sudo rsync --server --sender . /srv] [rsync --server --sender . /srv]]",
		"cat $x; ls":                           "[[ls]]",
		"git-upload-pack 'x.git' && echo done": "[[git-upload-pack x.git] [echo done]]",
		"":                                     "[]",
		"echo '":                               "[]",
	} {
		if got := fmt.Sprint(Programs(line)); got != want {
			t.Errorf("Programs(%q) = %s, want %s", line, got, want)
		}
	}
}
