package auth

import "golang.org/x/crypto/ssh"

// Algorithms are what a leg of the gateway speaks. Host key algorithms are not
// among them: those follow from the keys.
type Algorithms struct {
	Config     ssh.Config // key exchanges, ciphers, MACs
	PublicKeys []string   // signatures by users' keys; unused towards targets
}

// ServerAlgorithms are for the leg from the users.
//
// Written out, because the defaults of x/crypto still hold
// diffie-hellman-group14-sha1 and hmac-sha1-96. AES-GCM costs least. Without
// chacha20-poly1305 an OpenSSH before 10, which puts it first, takes AES, and
// Terrapin (CVE-2023-48795) finds nothing to cut even in a peer that does not
// know strict key exchange.
func ServerAlgorithms() Algorithms {
	return Algorithms{
		Config: config(),
		PublicKeys: []string{
			ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
			ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384,
			ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
		},
	}
}

// GCM returns the ciphers that cost least. They come first in the list of both
// legs: towards the targets ours is the order that decides.
func GCM() []string { return []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM} }

// ClientAlgorithms are for the leg to the targets. Targets are older than
// clients as a rule, but every sshd since 6.5 has these.
func ClientAlgorithms() Algorithms { return Algorithms{Config: config()} }

func config() ssh.Config {
	return ssh.Config{
		KeyExchanges: []string{
			ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519,
			ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384,
		},
		// PuTTY before 0.81, Dropbear and libssh2 before 1.11 have no GCM; the last
		// two no MAC of the ciphertext either.
		Ciphers: append(GCM(), ssh.CipherAES128CTR, ssh.CipherAES256CTR),
		MACs:    []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512},
	}
}
