package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sallyport/internal/sshtest"
)

// regress is where Debian's openssh-tests puts OpenSSH's own tests.
const regress = "/usr/lib/openssh/regress/"

// scripts are those of OpenSSH's tests that ask something of a connection and
// nothing of the configuration of a private sshd. As Debian ships them,
// broken-pipe reads a configuration that nobody writes, so that ssh always
// fails and its pipeline never does; and scp-uri connects to nobody: it replaces
// the ssh under scp, or sftp-server at its other end. Here its scp connects.
var scripts = []string{
	"connect", "exit-status", "exit-status-signal", "transfer", "stderr-data", "stderr-after-eof", "yes-head", "broken-pipe",
	"scp-uri", "sftp-uri",
}

// OpenSSH's own tests, with the gateway in the place of their sshd: test-exec.sh
// takes another sshd, and this one leads to the gateway. They sleep a lot, so all
// run at once.
func TestRegress(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for _, w := range here.ways[1:] { // the scripts know what is right
		port := w.port
		if w.proxy != "" { // the jump, as a port
			port = forwarded(t, w)
		}
		for _, script := range scripts {
			s := sit(t, w)
			cmd, obj := s.regress(script, port)
			all.Go(func() {
				out, err := cmd.CombinedOutput()
				if err != nil {
					log, logErr := os.ReadFile(filepath.Join(obj, "failed-ssh.log"))
					t.Errorf("%s, %s: %v\n%s\n%s %v", script, w.name, err, out, tail(log), logErr)
				}
				killLeft(t, filepath.Join(obj, "remote_pid"))
			})
		}
	}
	all.Wait()
}

// forwarded returns a port that leads where the jump does.
func forwarded(t *testing.T, w *way) int {
	port := sshtest.FreePort(t)
	s := sit(t, w)
	mux := "-oControlPath=" + filepath.Join(filepath.Dir(s.here), "m")
	s.must(s.plain("ssh", "-F", w.config, "-oControlMaster=yes", "-oControlPersist=yes", "-oExitOnForwardFailure=yes", mux, "-fN",
		"-L", fmt.Sprintf("127.0.0.1:%d:web1:22", port), "gate"))
	t.Cleanup(func() { s.must(s.plain("ssh", "-F", w.config, mux, "-O", "exit", "gate")) })
	return port
}

// regress prepares one script: it runs as the account at the target, as its two
// sides share a directory.
func (s *seat) regress(script string, port int) (cmd *exec.Cmd, obj string) {
	s.Helper()
	obj = s.there
	user := s.user
	if strings.HasSuffix(script, "-uri") {
		user = strings.Replace(user, "+", "%2B", 1) // in a URI, OpenSSH takes + for a blank
	}
	known, alias := "known_hosts.gate", "gate"
	if s.proxy != "" {
		known, alias = "known_hosts.jump", "web1"
	}
	files := map[string]string{
		// The account at the target, as the client has to name it.
		"whoami": "echo " + user,
		// One kind of key is enough, and is there.
		"ssh": `case "$*" in *"-Q key-plain") echo ssh-ed25519; exit;; esac
exec /usr/bin/ssh -oUserKnownHostsFile=` + filepath.Join(here.root, known) + ` -oGlobalKnownHostsFile=none -oHostKeyAlias=` + alias + ` -oUpdateHostKeys=no "$@"`,
		"scp": `for w; do shift; [ -z "$skip" ] && case "$w" in -[SD]) skip=1;; *) set -- "$@" "$w";; esac || skip=; done
exec /usr/bin/scp -S ` + obj + `/bin/ssh -F ` + obj + `/ssh_config "$@"`,
		"sshd": `case " $* " in *" -t "*) exit;; *" -i "*) exec ` + regress + `netcat 127.0.0.1 ` + strconv.Itoa(port) + `;; esac
sh -c 'trap "rm -f $1; kill \$s" TERM; sleep 1000 & s=$!; echo $$ >$1.new; mv $1.new $1; wait' sh ` + obj + `/pidfile </dev/null >/dev/null 2>&1 &`,
	}
	bin := filepath.Join(obj, "bin")
	s.must(os.Mkdir(bin, 0o755))
	for name, text := range files {
		s.must(os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	for from, to := range map[string]string{here.key: "ssh-ed25519", here.key + ".pub": "ssh-ed25519.pub"} {
		b, err := os.ReadFile(from)
		s.must(err)
		path := filepath.Join(obj, to)
		s.must(os.WriteFile(path, b, 0o600))
		s.must(os.Chown(path, here.uid, here.gid))
	}
	s.must(os.Symlink(regress+"netcat", filepath.Join(obj, "netcat")))

	cmd, cancel := s.slow(patience, "sh", regress+"test-exec.sh", obj, regress+script+".sh")
	s.Cleanup(cancel)
	cmd.Dir = obj
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(here.uid), Gid: uint32(here.gid)}
	cmd.Env = []string{
		"PATH=" + bin + ":/usr/bin:/bin:/usr/sbin", "HOME=" + obj, "TEST_SHELL=sh", "BUILDDIR=" + regress, "TEST_SSH_PORT=" + strconv.Itoa(port),
		"TEST_SSH_SSH=" + bin + "/ssh", "TEST_SSH_SSHD=" + bin + "/sshd", "TEST_SSH_SCP=" + bin + "/scp",
		"TEST_SSH_SFTPSERVER=/usr/lib/openssh/sftp-server", "TEST_SSH_UNSAFE_PERMISSIONS=1",
	}
	return cmd, obj
}

// killLeft ends what exit-status-signal leaves at the target: sshd ends no
// command without a terminal when its client is gone. The gateway does.
func killLeft(t *testing.T, pidFile string) {
	b, err := os.ReadFile(pidFile)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b)))
	if err != nil || pid < 2 {
		t.Errorf("%s: %q, %v", pidFile, b, err)
		return
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
}
