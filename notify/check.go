package notify

import (
	"encoding/base64"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"

	"sallyport"
)

// CheckCommand says what is wrong with a program, at an absolute path: it must be
// there, and nobody else may be able to change it.
func CheckCommand(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return sallyport.Errorf(sallyport.CodeInvalid, "the command cannot be found: %w", err)
	}
	mode := info.Mode()
	switch {
	case !mode.IsRegular() || mode.Perm()&0o111 == 0:
		return sallyport.Errorf(sallyport.CodeInvalid, "%s is no program", path).WithHint("run: chmod +x %s", path)
	case mode.Perm()&0o022 != 0:
		return sallyport.Errorf(sallyport.CodeInvalid, "%s can be written by others than its owner", path).
			WithHint("run: chmod go-w %s", path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() && os.Geteuid() != 0 {
		return sallyport.Errorf(sallyport.CodeInvalid, "%s belongs to another user", path).
			WithHint("it should belong to root: chown root %s", path)
	}
	return nil
}

// The length of a secret, in bytes, as Standard Webhooks has it.
const minSecret, maxSecret = 24, 64

const secretPrefix = "whsec_"

// ReadSecret reads the secret of a webhook from a file that nobody but its owner
// can read: whsec_ and 24 to 64 bytes in base64. The owner is this process's
// user; root may read anybody's.
func ReadSecret(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%s is a symbolic link", path).WithHint("put the secret itself there")
	}
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "the secret cannot be read: %w", err).WithHint("%s", makeSecret(path))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "the secret cannot be read: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%s is no regular file", path).WithHint("put the secret itself there")
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() && os.Geteuid() != 0 {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%s belongs to another user", path).
			WithHint("run: chown %d %s", os.Geteuid(), path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%s is open to other users (mode %04o)", path, mode).
			WithHint("run: chmod 600 %s", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "the secret cannot be read: %w", err)
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(string(b)), secretPrefix)
	secret, err := base64.StdEncoding.DecodeString(text)
	// The error of the decoder would tell a part of the secret.
	if !ok || err != nil || len(secret) < minSecret || len(secret) > maxSecret {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%s holds no secret: %s and %d to %d bytes in base64", path, secretPrefix, minSecret, maxSecret).
			WithHint("%s", makeSecret(path))
	}
	return secret, nil
}

func makeSecret(path string) string {
	return `make one: (umask 077; echo "whsec_$(openssl rand -base64 32)" > ` + path + `)`
}
