// Package ca signs the certificates with which the gateway enters targets,
// checks the keys that targets show, and keeps the gateway's own keys.
package ca

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport"
)

// Bounds of a certificate's life.
const (
	DefaultMaxLife = 2 * time.Minute
	minLife        = time.Second
	// backdate allows for a target's clock that is behind ours.
	backdate = time.Minute
)

// Authority signs user certificates. Its fields are set before use and not
// changed afterwards; Issue is then safe for concurrent use as far as Signer
// and Random are.
type Authority struct {
	Signer  ssh.Signer       // a plain key, never a certificate
	Random  io.Reader        // nil: crypto/rand
	Now     func() time.Time // nil: time.Now
	MaxLife time.Duration    // 0: DefaultMaxLife
}

// Request says what a certificate is for. Every field up to NotAfter is
// required.
type Request struct {
	Account       string        // the one principal
	Session       string        // its id becomes the serial
	User          string        // who works under it
	Grant         string        // the grant's id
	SourceAddress []string      // addresses or CIDR from which the target sees the gateway
	Life          time.Duration // from now; at least 1 s, at most MaxLife
	NotAfter      time.Time     // the grant's end, which the certificate never outlives
	PTY           bool          // permit-pty
	Agent         bool          // permit-agent-forwarding
	X11           bool          // permit-X11-forwarding
	Forward       bool          // permit-port-forwarding
	ForceCommand  string        // the only command it may run; empty: any
}

// Issue draws a fresh ed25519 key, which lives in memory only, and certifies
// it. The signer presents the certificate. Whatever is missing or out of
// bounds is an error; nothing is widened silently.
func (a *Authority) Issue(r Request) (ssh.Signer, *ssh.Certificate, error) {
	cert, err := a.certificate(r)
	if err != nil {
		return nil, nil, err
	}
	random := a.Random
	if random == nil {
		random = rand.Reader
	}
	_, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return nil, nil, fmt.Errorf("drawing the session key: %w", err)
	}
	key, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		return nil, nil, fmt.Errorf("drawing the session key: %w", err)
	}
	cert.Key = key.PublicKey()
	if err := cert.SignCert(random, a.Signer); err != nil {
		return nil, nil, fmt.Errorf("signing the certificate: %w", err)
	}
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing the certificate: %w", err)
	}
	return signer, cert, nil
}

// certificate checks r and lays the certificate out, without key and signature.
func (a *Authority) certificate(r Request) (*ssh.Certificate, error) {
	if a.Signer == nil {
		return nil, errors.New("the user CA has no key")
	}
	// sshd takes an empty list for "never" only since 10.3, and splits at
	// commas; ValidAccount lets neither through (CVE-2026-35414).
	if !sallyport.ValidAccount(r.Account) {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%q cannot be the principal of a certificate", r.Account)
	}
	serial, ok := sallyport.IDSerial(r.Session)
	if !ok {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "%q is no session id", r.Session)
	}
	// Both go into the key id, which sshd writes to its log unquoted.
	if !sallyport.ValidName(r.User) || !sallyport.ValidName(r.Grant) {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "a certificate needs a user and a grant, not %q and %q", r.User, r.Grant)
	}
	sources, err := sourceAddress(r.SourceAddress)
	if err != nil {
		return nil, err
	}
	after, before, err := a.validity(r)
	if err != nil {
		return nil, err
	}
	cert := &ssh.Certificate{
		CertType:        ssh.UserCert,
		Serial:          serial,
		KeyId:           fmt.Sprintf("sallyport session=%s user=%s grant=%s", r.Session, r.User, r.Grant),
		ValidPrincipals: []string{r.Account},
		ValidAfter:      after,
		ValidBefore:     before,
	}
	cert.CriticalOptions = map[string]string{"source-address": sources}
	cert.Extensions = map[string]string{}
	for extension, wanted := range map[string]bool{
		"permit-pty": r.PTY, "permit-agent-forwarding": r.Agent, "permit-X11-forwarding": r.X11, "permit-port-forwarding": r.Forward,
	} {
		if wanted {
			cert.Extensions[extension] = ""
		}
	}
	if r.ForceCommand != "" {
		if len(r.ForceCommand) > 4096 || strings.ContainsAny(r.ForceCommand, "\x00\r\n") {
			return nil, sallyport.Errorf(sallyport.CodeInvalid, "the forced command is too long or has more than one line")
		}
		cert.CriticalOptions["force-command"] = r.ForceCommand
	}
	return cert, nil
}

// validity returns the bounds in Unix seconds. The end is rounded down, so that
// it is never after the grant's.
func (a *Authority) validity(r Request) (after, before uint64, err error) {
	limit := a.MaxLife
	if limit == 0 {
		limit = DefaultMaxLife
	}
	if r.Life < minLife || r.Life > limit {
		return 0, 0, sallyport.Errorf(sallyport.CodeInvalid, "a certificate cannot live for %v, only from %v to %v", r.Life, minLife, limit)
	}
	now := time.Now
	if a.Now != nil {
		now = a.Now
	}
	start := now()
	end := start.Add(r.Life)
	if r.NotAfter.Before(end) { // so is the zero time
		end = r.NotAfter
	}
	from, to := start.Add(-backdate).Unix(), end.Unix()
	if to <= start.Unix() {
		return 0, 0, sallyport.Errorf(sallyport.CodeDenied, "the grant has ended")
	}
	// Both become unsigned; a clock before 1970, or sums that overflow, must not
	// turn into "for ever".
	if from <= 0 || to <= from || to > math.MaxUint32 || to-from > int64((limit+backdate)/time.Second)+1 {
		return 0, 0, sallyport.Errorf(sallyport.CodeInvalid, "the clock says %v, which cannot be", start.UTC())
	}
	return uint64(from), uint64(to), nil
}

// sourceAddress writes the list as sshd reads it (addr_match_cidr_list, which
// refuses host bits in a CIDR).
func sourceAddress(list []string) (string, error) {
	bad := func(s string) (string, error) {
		return "", sallyport.Errorf(sallyport.CodeInvalid, "%q is no source address", s).
			WithHint("write an address or a network, for example 10.0.0.5 or 10.0.0.0/28")
	}
	if len(list) == 0 || len(list) > 32 {
		return "", sallyport.Errorf(sallyport.CodeInvalid, "a certificate needs 1 to 32 source addresses, not %d", len(list))
	}
	out := make([]string, len(list))
	for i, s := range list {
		if addr, err := netip.ParseAddr(s); err == nil {
			if addr.IsUnspecified() {
				return bad(s)
			}
			out[i] = addr.Unmap().WithZone("").String()
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil || p.Bits() == 0 || p.Addr().Is4In6() {
			return bad(s)
		}
		out[i] = p.Masked().String()
	}
	return strings.Join(out, ","), nil
}
