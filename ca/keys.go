package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/crypto/ssh"

	"sallyport"
)

// The names of the key files.
const (
	UserCAFile   = "user_ca"
	HostCAFile   = "host_ca"
	HostKeyFile  = "host_key"
	AuditKeyFile = "audit_key"
)

// files lists what Init makes. The user CA is P-256, because sshd verifies that
// fastest and does so at every login.
func files() []struct {
	name string
	draw func(io.Reader) (any, error)
} {
	edKey := func(r io.Reader) (any, error) {
		_, k, err := ed25519.GenerateKey(r)
		return k, err
	}
	p256Key := func(r io.Reader) (any, error) { return ecdsa.GenerateKey(elliptic.P256(), r) }
	return []struct {
		name string
		draw func(io.Reader) (any, error)
	}{{UserCAFile, p256Key}, {HostCAFile, edKey}, {HostKeyFile, edKey}, {AuditKeyFile, edKey}}
}

// Keys are the gateway's own keys.
type Keys struct {
	UserCA   ssh.Signer // signs a certificate for each session
	HostCA   ssh.Signer // signs host certificates for what the gateway serves
	HostKey  ssh.Signer // of the gateway itself
	AuditKey ed25519.PrivateKey
}

// Init makes the keys that are missing in dir, and dir itself, and returns the
// paths of the private keys that it made. A key that exists is left as it is.
// random may be nil: crypto/rand.
func Init(dir string, random io.Reader) (created []string, err error) {
	if random == nil {
		random = rand.Reader
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory for keys: %w", err)
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	for _, f := range files() {
		path := filepath.Join(dir, f.name)
		key, err := readKey(path)
		if errors.Is(err, fs.ErrNotExist) {
			if key, err = f.draw(random); err != nil {
				return created, fmt.Errorf("drawing %s: %w", f.name, err)
			}
			if err = writeKey(path, key); err == nil {
				created = append(created, path)
			}
		}
		if err != nil {
			return created, err
		}
		if err := writePublic(path, key); err != nil {
			return created, err
		}
	}
	return created, nil
}

// Load reads the keys that Init made. It refuses a directory or a file that
// anybody but the gateway's own user could read or replace.
func Load(dir string) (*Keys, error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	var k Keys
	for name, to := range map[string]*ssh.Signer{UserCAFile: &k.UserCA, HostCAFile: &k.HostCA, HostKeyFile: &k.HostKey} {
		path := filepath.Join(dir, name)
		key, err := readKey(path)
		if err != nil {
			return nil, missing(path, err)
		}
		if *to, err = ssh.NewSignerFromKey(key); err != nil {
			return nil, unusable(path)
		}
	}
	path := filepath.Join(dir, AuditKeyFile)
	key, err := readKey(path)
	if err != nil {
		return nil, missing(path, err)
	}
	audit, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, unusable(path)
	}
	k.AuditKey = audit
	return &k, k.distinct()
}

// distinct refuses one key in two places: whoever holds the one would hold the
// other.
func (k *Keys) distinct() error {
	audit, err := ssh.NewPublicKey(k.AuditKey.Public())
	if err != nil {
		return fmt.Errorf("reading the audit key: %w", err)
	}
	seen := map[string]string{}
	for _, f := range []struct {
		name string
		key  ssh.PublicKey
	}{{UserCAFile, k.UserCA.PublicKey()}, {HostCAFile, k.HostCA.PublicKey()}, {HostKeyFile, k.HostKey.PublicKey()}, {AuditKeyFile, audit}} {
		id := string(f.key.Marshal())
		if other, ok := seen[id]; ok {
			return sallyport.Errorf(sallyport.CodeInvalid, "%s and %s are the same key", other, f.name).
				WithHint("remove one of them and run: sallyport init")
		}
		seen[id] = f.name
	}
	return nil
}

func missing(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return sallyport.Errorf(sallyport.CodeNotFound, "there is no key %s", path).WithHint("run: sallyport init")
	}
	return err
}

func unusable(path string) error {
	return sallyport.Errorf(sallyport.CodeInvalid, "%s holds no private key that can be used", path).
		WithHint("restore it from a backup, or remove it and run: sallyport init")
}

// checkDir refuses a directory in which others could swap a key.
func checkDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return missing(dir, err)
	}
	if !info.IsDir() {
		return sallyport.Errorf(sallyport.CodeInvalid, "%s is no directory", dir).WithHint("symbolic links are not followed here")
	}
	return checkOwner(dir, info, "700")
}

// checkOwner refuses what belongs to another user or is open to others.
func checkOwner(path string, info fs.FileInfo, want string) error {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return sallyport.Errorf(sallyport.CodeInvalid, "%s belongs to another user", path).
			WithHint("run: chown %d %s", os.Geteuid(), path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return sallyport.Errorf(sallyport.CodeInvalid, "%s is open to other users (mode %04o)", path, mode).
			WithHint("run: chmod %s %s", want, path)
	}
	return nil
}

// readKey reads a private key: ed25519.PrivateKey or *ecdsa.PrivateKey as a
// rule. The checks are made on the open file, so that it cannot be swapped
// between check and read.
func readKey(path string) (any, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%s is a symbolic link", path).WithHint("put the key itself there")
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%s is no regular file", path).WithHint("put the key itself there")
	}
	if err := checkOwner(path, info, "600"); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	key, err := ssh.ParseRawPrivateKey(b)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%s is protected by a passphrase", path).
			WithHint("the gateway starts without anybody to type one; run: ssh-keygen -p -f %s", path)
	}
	if err != nil {
		// The parser's words may quote the file.
		return nil, unusable(path)
	}
	if k, ok := key.(*ed25519.PrivateKey); ok {
		key = *k
	}
	return key, nil
}

// writeKey writes a private key in OpenSSH's format. The file appears whole or
// not at all, and never replaces another.
func writeKey(path string, key any) error {
	block, err := ssh.MarshalPrivateKey(key, "sallyport "+filepath.Base(path))
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return writeFile(path, pem.EncodeToMemory(block), 0o600, os.Link)
}

// writePublic keeps the .pub file beside the private key right.
func writePublic(path string, key any) error {
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return unusable(path)
	}
	text := []byte(line(signer.PublicKey()) + " sallyport " + filepath.Base(path) + "\n")
	path += ".pub"
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return writeFile(path, text, 0o644, os.Rename)
}

// writeFile writes beside path, syncs, and lets place put it there.
func writeFile(path string, b []byte, mode fs.FileMode, place func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = place(f.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
