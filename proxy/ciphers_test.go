package proxy

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The real ssh, whatever its ciphers are restricted to.
func TestRealSSHCiphers(t *testing.T) {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatal("no ssh: run scripts/prepare.sh")
	}
	w := newWorld(t)
	host, port, _ := net.SplitHostPort(w.addr)
	for list, want := range map[string]string{
		"":                                  "aes128-gcm@openssh.com",
		"aes256-ctr":                        "aes256-ctr",
		"aes256-ctr,aes256-gcm@openssh.com": "aes256-gcm@openssh.com",
	} {
		args := []string{
			"-vv", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "IdentityAgent=none", "-o", "IdentityFile=/nonexistent",
			"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-p", port,
		}
		if list != "" {
			args = append(args, "-o", "Ciphers="+list)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		out, _ := exec.CommandContext(ctx, ssh, append(args, "x@"+host, "true")...).CombinedOutput() // it has no key
		cancel()
		if text := string(out); !strings.Contains(text, "server->client cipher: "+want+" ") || !strings.Contains(text, "Permission denied") {
			t.Errorf("Ciphers=%s: no %s in\n%s", list, want, text)
		}
	}
}
