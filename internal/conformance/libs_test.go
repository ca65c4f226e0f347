package conformance

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"sallyport/internal/sshtest"
)

// script runs a Python script of testdata with what it needs to know.
func (s *seat) script(name string) {
	s.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	s.must(err)
	known, err := json.Marshal(map[string]any{
		"user": s.user, "host": s.host, "port": s.port, "key": here.key, "host_key": sshtest.AuthorizedLine(s.hostKey),
		"proxy": s.proxy, "here": s.here, "there": s.there, "file": here.low,
	})
	s.must(err)
	s.works(name, "/usr/bin/python3", "-W", "ignore", path, string(known))
	s.tree("what is there", s.there)
}

func paramiko(s *seat) { s.script("paramiko_client.py") }
func asyncssh(s *seat) { s.script("asyncssh_client.py") }

// PuTTY's command line tools.
func putty(s *seat) {
	s.works("its kind of key", "puttygen", here.key, "-o", "key.ppk")
	at := []string{"-batch", "-P", strconv.Itoa(s.port), "-i", "key.ppk", "-hostkey", ssh.FingerprintSHA256(s.hostKey)}
	if s.proxy != "" {
		at = append(at, "-proxycmd", s.proxy)
	}
	plink := func(cmd string) []string { return append(append([]string{"plink"}, at...), s.user+"@"+s.host, cmd) }
	s.wants("status", s.run(nil, plink("echo out; echo err >&2; exit 7")...), 7, "out\n")
	s.wants("input", s.run(strings.NewReader("abc"), plink("cat; echo end")...), 0, "abcend\n")
	s.sees("a signal", s.run(nil, plink("echo before; kill -TERM $$")...))
	s.wants("much", s.run(nil, plink("seq 50000; exit 2")...), 2, lines(50000))
	s.sees("much error output", s.run(nil, plink("seq 50000 >&2")...))
	s.sees("a terminal", s.run(strings.NewReader("exit 4\n"), append(plink("stty size; test -t 0; echo $?; read x; $x"), "-t")...))

	s.forest()
	pscp := func(what string, args ...string) {
		s.Helper()
		s.sees(what, s.run(nil, append(append([]string{"pscp", "-q"}, at...), args...)...))
	}
	far := s.user + "@" + s.host + ":" + s.there
	pscp("a directory there", "-r", "forest", far)
	pscp("a directory back, the old way", "-r", "-scp", far+"/forest", "again")
	s.tree("what came back", filepath.Join(s.here, "again"))
	// Only downwards: PuTTY 0.78 hangs in uploads of more than a megabyte, to sshd too.
	mid := s.user + "@" + s.host + ":" + here.low
	pscp("a file, the old way", "-scp", mid, "large")
	s.isLow(filepath.Join(s.here, "large"))
	pscp("a file", "-sftp", mid, "large2")
	s.isLow(filepath.Join(s.here, "large2"))
	pscp("what is not there", far+"/no-such-file", "x")
	s.write(filepath.Join(s.here, "batch"), "cd "+s.there+"\nput forest/deep/deeper/text t\nget "+here.low+" large3\nmkdir d\nmv t d/\nls d/no-such-file\nquit\n")
	psftp := append([]string{"psftp", "-b", "batch", "-be"}, at...)
	s.sees("psftp", s.run(nil, append(psftp, s.user+"@"+s.host)...))
	s.isLow(filepath.Join(s.here, "large3"))
	s.tree("what is there", s.there)
}

// Dropbear's client, alone and under scp.
func dropbear(s *seat) {
	s.works("its kind of key", "dropbearconvert", "openssh", "dropbear", here.key, "key.db")
	s.must(os.Mkdir(filepath.Join(s.here, ".ssh"), 0o700))
	s.write(filepath.Join(s.here, ".ssh", "known_hosts"), s.host+" "+sshtest.AuthorizedLine(s.hostKey)+"\n")
	at := []string{"dbclient", "-p", strconv.Itoa(s.port), "-i", filepath.Join(s.here, "key.db")}
	if s.proxy != "" {
		at = append(at, "-J", s.proxy)
	}
	dbclient := func(cmd string) []string { return append(append([]string{}, at...), s.user+"@"+s.host, cmd) }
	s.wants("status", s.run(nil, dbclient("echo out; echo err >&2; exit 7")...), 7, "out\n")
	s.wants("input", s.run(strings.NewReader("abc"), dbclient("cat; echo end")...), 0, "abcend\n")
	s.sees("a signal", s.run(nil, dbclient("echo before; kill -TERM $$")...))
	s.wants("much", s.run(nil, dbclient("seq 50000; exit 2")...), 2, lines(50000))
	s.sees("much error output", s.run(nil, dbclient("seq 50000 >&2")...))

	// It knows few of scp's -o.
	wrapper := s.write(filepath.Join(s.here, "dbssh"), `#!/bin/bash
words=()
for w; do case $w in -o*|-x) ;; --) ;; *) words+=("$w");; esac; done
exec `+quoted(at)+` "${words[@]}"
`)
	s.must(os.Chmod(wrapper, 0o755))
	s.forest()
	far := s.user + "@" + s.host + ":" + s.there
	for _, protocol := range []string{"-O", "-s"} {
		s.works("scp "+protocol+" there", "scp", "-S", wrapper, protocol, "-r", "forest", here.low, far)
		s.tree("what is there", s.there)
		s.works("scp "+protocol+" back", "scp", "-S", wrapper, protocol, far+"/low", "back")
		s.isLow(filepath.Join(s.here, "back"))
	}
}

// quoted is a command line for a shell.
func quoted(words []string) string {
	var b strings.Builder
	for _, w := range words {
		fmt.Fprintf(&b, " '%s'", strings.ReplaceAll(w, "'", `'\''`))
	}
	return b.String()
}

// curl speaks SSH by libssh2.
func curl(s *seat) {
	sum := sha256.Sum256(s.hostKey.Marshal())
	at := []string{
		"curl", "-sS", "--key", here.key, "--pubkey", here.key + ".pub", "-u", s.user + ":",
		"--hostpubsha256", strings.TrimRight(base64.StdEncoding.EncodeToString(sum[:]), "="),
	}
	if s.proxy != "" { // it runs no command to get there, but speaks SOCKS
		port := sshtest.FreePort(s)
		mux := "-oControlPath=" + filepath.Join(filepath.Dir(s.here), "m")
		socks := fmt.Sprintf("127.0.0.1:%d", port)
		s.must(s.plain("ssh", "-F", s.config, "-oControlMaster=yes", "-oControlPersist=yes", mux, "-fN", "-D", socks, "gate"))
		defer func() { s.must(s.plain("ssh", "-F", s.config, mux, "-O", "exit", "gate")) }()
		at = append(at, "-x", "socks5h://"+socks)
	}
	url := func(scheme, path string) string { return fmt.Sprintf("%s://%s:%d%s", scheme, s.host, s.port, path) }
	do := func(what string, args ...string) {
		s.Helper()
		s.sees(what, s.run(nil, append(append([]string{}, at...), args...)...))
	}
	for _, scheme := range []string{"sftp", "scp"} {
		do(scheme+" there", "-T", here.low, url(scheme, s.there+"/"+scheme))
		s.isLow(filepath.Join(s.there, scheme))
		do(scheme+" back", "-o", scheme, url(scheme, s.there+"/"+scheme))
		s.isLow(filepath.Join(s.here, scheme))
		do(scheme+" of what is not there", url(scheme, s.there+"/no-such-file"))
	}
	do("a directory", "-l", url("sftp", s.there+"/"))
	do("a part", "-r", "100-109", "-o", "part", url("sftp", s.there+"/sftp"))
	do("names", "-Q", "rename "+s.there+"/scp "+s.there+"/renamed", "-l", url("sftp", s.there+"/"))
	s.tree("what is there", s.there)
	s.tree("what is here", s.here)
}

// plain runs a command that is not part of what is compared.
func (s *seat) plain(argv ...string) error {
	s.Helper()
	if got := s.run(nil, argv...); got.status != 0 {
		return fmt.Errorf("%q: exit %d\n%s", argv, got.status, got.stderr)
	}
	return nil
}
