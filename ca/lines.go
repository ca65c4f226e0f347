package ca

import (
	"strings"

	"golang.org/x/crypto/ssh"
)

// TrustedUserCA returns the line that sshd's TrustedUserCAKeys file takes,
// with its newline.
func TrustedUserCA(pub ssh.PublicKey) string {
	return line(pub) + " sallyport user CA\n"
}

// CertAuthorityLine returns the known_hosts line that makes a client trust pub
// for the hosts that the patterns match, with its newline.
func CertAuthorityLine(patterns []string, pub ssh.PublicKey) string {
	return "@cert-authority " + strings.Join(patterns, ",") + " " + line(pub) + " sallyport host CA\n"
}

// line returns a public key as in an authorized_keys file, without a newline.
func line(pub ssh.PublicKey) string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(pub)), "\n")
}
