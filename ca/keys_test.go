package ca

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"sallyport"
)

func initKeys(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	created, err := Init(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(created) != 4 {
		t.Fatalf("created %v", created)
	}
	return dir
}

func TestInitAndLoad(t *testing.T) {
	dir := initKeys(t)
	k, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := k.UserCA.PublicKey().Type(); got != ssh.KeyAlgoECDSA256 {
		t.Errorf("the user CA is %s", got)
	}
	for name, s := range map[string]ssh.Signer{UserCAFile: k.UserCA, HostCAFile: k.HostCA, HostKeyFile: k.HostKey} {
		pub, err := os.ReadFile(filepath.Join(dir, name+".pub"))
		if err != nil || !strings.HasPrefix(string(pub), line(s.PublicKey())+" ") {
			t.Errorf("%s.pub is %q, %v", name, pub, err)
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		if out, err := exec.Command("ssh-keygen", "-y", "-f", filepath.Join(dir, name)).CombinedOutput(); err != nil ||
			!strings.HasPrefix(string(out), line(s.PublicKey())) {
			t.Errorf("ssh-keygen -y %s: %s, %v", name, out, err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestInitIsIdempotent(t *testing.T) {
	dir := initKeys(t)
	before, err := os.ReadFile(filepath.Join(dir, UserCAFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{HostKeyFile, UserCAFile + ".pub"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	created, err := Init(dir, nil)
	if err != nil || len(created) != 1 || filepath.Base(created[0]) != HostKeyFile {
		t.Errorf("the second run created %v, %v", created, err)
	}
	after, err := os.ReadFile(filepath.Join(dir, UserCAFile))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the second run changed the user CA: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, UserCAFile+".pub")); err != nil {
		t.Error(err)
	}
}

func TestKeysOpenToOthersAreRefused(t *testing.T) {
	// Threats G6 and O5: the CA key is readable by another user of the host, or
	// sits in a directory in which another user can swap it, or is a link to a
	// file that somebody else keeps.
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, dir string) error
		hint  string
	}{
		"file for everybody":      {func(_ *testing.T, d string) error { return os.Chmod(filepath.Join(d, UserCAFile), 0o644) }, "chmod 600 "},
		"file for the group":      {func(_ *testing.T, d string) error { return os.Chmod(filepath.Join(d, AuditKeyFile), 0o640) }, "chmod 600 "},
		"file others may write":   {func(_ *testing.T, d string) error { return os.Chmod(filepath.Join(d, HostCAFile), 0o602) }, "chmod 600 "},
		"directory for everybody": {func(_ *testing.T, d string) error { return os.Chmod(d, 0o755) }, "chmod 700 "},
		"directory, group":        {func(_ *testing.T, d string) error { return os.Chmod(d, 0o710) }, "chmod 700 "},
		"linked key": {func(t *testing.T, d string) error {
			elsewhere := filepath.Join(t.TempDir(), "k")
			if err := os.Rename(filepath.Join(d, UserCAFile), elsewhere); err != nil {
				return err
			}
			return os.Symlink(elsewhere, filepath.Join(d, UserCAFile))
		}, "key itself"},
		"linked directory": {func(t *testing.T, d string) error {
			elsewhere := filepath.Join(t.TempDir(), "k")
			if err := os.Rename(d, elsewhere); err != nil {
				return err
			}
			return os.Symlink(elsewhere, d)
		}, "symbolic links"},
		"directory as key": {func(_ *testing.T, d string) error {
			p := filepath.Join(d, UserCAFile)
			if err := os.Remove(p); err != nil {
				return err
			}
			return os.Mkdir(p, 0o700)
		}, "key itself"},
		"missing key": {func(_ *testing.T, d string) error { return os.Remove(filepath.Join(d, HostKeyFile)) }, "sallyport init"},
		"torn key":    {func(_ *testing.T, d string) error { return os.Truncate(filepath.Join(d, HostKeyFile), 100) }, "backup"},
		"one key in two places": {func(_ *testing.T, d string) error {
			b, err := os.ReadFile(filepath.Join(d, HostCAFile))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(d, HostKeyFile), b, 0o600)
		}, "sallyport init"},
		"audit key of another kind": {func(_ *testing.T, d string) error {
			b, err := os.ReadFile(filepath.Join(d, UserCAFile))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(d, AuditKeyFile), b, 0o600)
		}, "backup"},
		"passphrase": {func(_ *testing.T, d string) error {
			return exec.Command("ssh-keygen", "-q", "-p", "-N", "secret", "-f", filepath.Join(d, UserCAFile)).Run()
		}, "ssh-keygen -p"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := initKeys(t)
			if err := tt.spoil(t, dir); err != nil {
				t.Fatal(err)
			}
			_, err := Load(dir)
			if err == nil {
				t.Fatal("the keys are loaded")
			}
			if !strings.Contains(err.Error(), "key") || !strings.Contains(sallyport.HintOf(err), tt.hint) {
				t.Errorf("the error says %q, the hint %q; want %q", err, sallyport.HintOf(err), tt.hint)
			}
			if strings.Contains(err.Error(), "BEGIN") {
				t.Errorf("the error quotes the key: %q", err)
			}
		})
	}
}

func TestInitRefusesLooseDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if created, err := Init(dir, nil); err == nil {
		t.Errorf("wrote %v into a directory that everybody can read", created)
	}
}

func TestKeyOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		// Only root can give a file away; everybody can look at one of root's.
		info, err := os.Lstat("/")
		if err != nil {
			t.Fatal(err)
		}
		if checkOwner("/", info, "700") == nil {
			t.Error("accepted root's file")
		}
		return
	}
	dir := initKeys(t)
	if err := os.Chown(filepath.Join(dir, UserCAFile), 65534, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(sallyport.HintOf(err), "chown") {
		t.Errorf("a key of another user: %v", err)
	}
}

func FuzzReadKey(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "keys")
	if _, err := Init(dir, nil); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{UserCAFile, HostCAFile} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{0x30}}))
	path := filepath.Join(f.TempDir(), "key")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := readKey(path); err == nil && key == nil {
			t.Error("no key and no error")
		}
	})
}

func TestLines(t *testing.T) {
	pub := newSigner(t).PublicKey()
	got := TrustedUserCA(pub)
	back, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(got))
	if err != nil || !bytes.Equal(back.Marshal(), pub.Marshal()) || comment == "" || len(options)+len(rest) > 0 {
		t.Errorf("%q reads as %v %q %q %q %v", got, back, comment, options, rest, err)
	}
	got = CertAuthorityLine([]string{"*.gate", "web1"}, pub)
	marker, hosts, back, _, _, err := ssh.ParseKnownHosts([]byte(got))
	if err != nil || marker != "cert-authority" || strings.Join(hosts, " ") != "*.gate web1" || !bytes.Equal(back.Marshal(), pub.Marshal()) {
		t.Errorf("%q reads as %q %q %v %v", got, marker, hosts, back, err)
	}
}
