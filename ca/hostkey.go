package ca

import (
	"bytes"
	"crypto/rsa"
	"fmt"
	"net"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
)

// HostChecker says whether a target is who it says. Use both fields in an
// ssh.ClientConfig; both may be used concurrently.
type HostChecker struct {
	Callback   ssh.HostKeyCallback
	Algorithms []string // of the keys that are configured, so that the target shows one of those
}

// HostKeyError says that a target did not prove who it is. It is an alert: the
// target was rebuilt, or somebody sits between.
type HostKeyError struct {
	Target    string
	Presented string // fingerprint of the key that was shown
	Reason    string
}

func (e *HostKeyError) Error() string {
	return fmt.Sprintf("the host key %s is not %s's: %s", e.Presented, e.Target, e.Reason)
}

// HostKeyCallback prepares the check of t's host key against t.HostKeys and
// t.HostCA. No usable line in either is an error: there is no way to accept a
// key unchecked.
func HostKeyCallback(t sallyport.Target) (*HostChecker, error) {
	return hostKeyCallback(t, time.Now)
}

func hostKeyCallback(t sallyport.Target, now func() time.Time) (*HostChecker, error) {
	h := hostCheck{target: t, now: now}
	var err error
	if h.keys, err = parseLines(t.Name, "host_keys", t.HostKeys); err != nil {
		return nil, err
	}
	if h.authorities, err = parseLines(t.Name, "host_ca", t.HostCA); err != nil {
		return nil, err
	}
	if len(h.keys) == 0 && len(h.authorities) == 0 {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "target %s has neither host_keys nor host_ca", t.Name).
			WithHint("ssh-keyscan shows its keys; compare them with the target's console")
	}
	var algorithms []string
	if len(h.authorities) > 0 {
		algorithms = append(algorithms, ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01,
			ssh.CertAlgoECDSA521v01, ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01)
	}
	for _, k := range h.keys {
		for _, a := range keyAlgorithms(k) {
			if !slices.Contains(algorithms, a) {
				algorithms = append(algorithms, a)
			}
		}
	}
	return &HostChecker{Callback: h.check, Algorithms: algorithms}, nil
}

type hostCheck struct {
	target      sallyport.Target
	keys        []ssh.PublicKey
	authorities []ssh.PublicKey
	now         func() time.Time
}

// check is the ssh.HostKeyCallback.
func (h *hostCheck) check(_ string, _ net.Addr, key ssh.PublicKey) error {
	reason := ""
	if cert, ok := key.(*ssh.Certificate); ok {
		reason = h.checkCert(cert)
	} else if !contains(h.keys, key) {
		reason = "it is not the configured one"
	}
	if reason == "" {
		return nil
	}
	return &HostKeyError{Target: h.target.Name, Presented: ssh.FingerprintSHA256(plain(key)), Reason: reason}
}

// checkCert returns what is wrong with the certificate, "" for nothing.
//
// It is stricter than x/crypto's CertChecker, which takes an empty list of
// principals for all hosts (certs.go, CheckCert).
func (h *hostCheck) checkCert(cert *ssh.Certificate) string {
	switch {
	case cert.CertType != ssh.HostCert:
		return "it is no host certificate"
	case !contains(h.authorities, cert.SignatureKey):
		return "its authority is not configured"
	case cert.Signature == nil || cert.Signature.Format == ssh.KeyAlgoRSA:
		return "its signature uses SHA-1"
	case len(cert.CriticalOptions) > 0:
		return "it has critical options that are not known for hosts"
	case len(cert.ValidPrincipals) == 0 || slices.Contains(cert.ValidPrincipals, ""):
		return "it has an empty list of principals"
	case cert.ValidAfter >= cert.ValidBefore:
		return "its life is empty"
	}
	if err := checkSize(cert.Key); err != nil {
		return err.Error()
	}
	names := append([]string{h.target.Name}, h.target.Aliases...)
	if host, _, err := net.SplitHostPort(h.target.Address); err == nil {
		names = append(names, host)
	}
	i := slices.IndexFunc(names, func(n string) bool { return slices.Contains(cert.ValidPrincipals, n) })
	if i < 0 {
		return fmt.Sprintf("it is valid for %q, not for %q", cert.ValidPrincipals, names)
	}
	checker := ssh.CertChecker{Clock: h.now}
	if err := checker.CheckCert(names[i], cert); err != nil {
		return err.Error()
	}
	return ""
}

// contains compares byte for byte. A certificate is never equal to a key, and
// never an authority (CVE-2025-49825).
func contains(list []ssh.PublicKey, key ssh.PublicKey) bool {
	if key == nil || isCert(key) {
		return false
	}
	b := key.Marshal()
	return slices.ContainsFunc(list, func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), b) })
}

func isCert(key ssh.PublicKey) bool {
	_, ok := key.(*ssh.Certificate)
	return ok
}

// plain returns the key inside a certificate, whose fingerprint people know.
func plain(key ssh.PublicKey) ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key
	}
	return key
}

// parseLines reads the lines of an authorized_keys file that hold one plain
// public key each.
func parseLines(target, field string, lines []string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for i, s := range lines {
		bad := func(why string) error {
			return sallyport.Errorf(sallyport.CodeInvalid, "%s[%d] of target %s %s", field, i, target, why).
				WithHint("write the type and the key, for example \"ssh-ed25519 AAAA…\"")
		}
		key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(s))
		switch {
		case err != nil:
			return nil, bad("is no public key")
		case len(options) > 0 || len(bytes.TrimSpace(rest)) > 0:
			return nil, bad("is more than a public key")
		case isCert(key):
			return nil, bad("is a certificate, not a key")
		}
		if err := checkSize(key); err != nil {
			return nil, bad(err.Error())
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// checkSize refuses kinds and sizes of keys that prove nothing any more. Hosts
// of before 2019 have RSA keys of 2048 bits.
func checkSize(key ssh.PublicKey) error {
	if len(keyAlgorithms(key)) == 0 {
		return fmt.Errorf("is of the kind %s, which is not accepted", key.Type())
	}
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if k, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && (k.N.BitLen() < 2048 || k.N.BitLen() > 8192) {
			return fmt.Errorf("is an RSA key of %d bits, which is not accepted", k.N.BitLen())
		}
	}
	return nil
}

// keyAlgorithms returns the signature algorithms for a host key, none for a
// kind that is not accepted.
func keyAlgorithms(key ssh.PublicKey) []string {
	switch t := key.Type(); t {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return []string{t}
	case ssh.KeyAlgoRSA:
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	default:
		return nil
	}
}
