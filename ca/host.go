package ca

import (
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
)

// hostLife is how long a host certificate of the gateway's is valid: it is made
// anew for each connection.
const hostLife = 24 * time.Hour

// HostAuthority certifies host keys, for what the gateway serves in a target's
// name. Its fields are set before use; safe for concurrent use as far as Signer
// and Random are.
type HostAuthority struct {
	Signer ssh.Signer // a plain key, never a certificate
	Random io.Reader
	Now    func() time.Time
}

// Certify returns key with a certificate for the host names and addresses.
func (a *HostAuthority) Certify(key ssh.Signer, names []string) (ssh.Signer, error) {
	if len(names) == 0 {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "a host certificate needs a name")
	}
	for _, n := range names {
		if _, err := netip.ParseAddr(n); err != nil && !sallyport.ValidName(n) {
			return nil, sallyport.Errorf(sallyport.CodeInvalid, "%q cannot be the principal of a host certificate", n)
		}
	}
	now := a.Now()
	cert := &ssh.Certificate{
		Key: key.PublicKey(), CertType: ssh.HostCert, KeyId: "sallyport host " + names[0], ValidPrincipals: names,
		ValidAfter: uint64(now.Add(-backdate).Unix()), ValidBefore: uint64(now.Add(hostLife).Unix()),
	}
	if err := cert.SignCert(a.Random, a.Signer); err != nil {
		return nil, fmt.Errorf("signing the host certificate: %w", err)
	}
	return ssh.NewCertSigner(cert, key)
}
