package front

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sallyport/auth"
)

func TestPrefersCTR(t *testing.T) {
	for ident, want := range map[string]bool{
		"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10": true,
		"SSH-2.0-OpenSSH_for_Windows_8.1":         true,
		"SSH-2.0-OpenSSH_6.2":                     true,
		"SSH-2.0-OpenSSH_6.1":                     false,
		"SSH-2.0-OpenSSH_5.9p1":                   false,
		"SSH-2.0-OpenSSH_10.0p2":                  false,
		"SSH-2.0-OpenSSH_sallyport":               false,
		"SSH-2.0-OpenSSH_9":                       false,
		"SSH-2.0-OpenSSH_.":                       false,
		"SSH-2.0-PuTTY_Release_0.78":              false,
		"SSH-2.0-Go":                              false,
		"":                                        false,
	} {
		if got := prefersCTR(ident); got != want {
			t.Errorf("prefersCTR(%q) = %v", ident, got)
		}
	}
}

// recordedHello is what a client of x/crypto says first, under another name.
func recordedHello(t *testing.T, ciphers ...string) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer there.Close()
	go func() {
		_, _, _, _ = ssh.NewClientConn(here, "", &ssh.ClientConfig{
			Config: ssh.Config{Ciphers: ciphers}, ClientVersion: "SSH-2.0-OpenSSH_9.2p1",
			HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		here.Close()
	}()
	go func() { _, _ = io.WriteString(there, IdentLine) }()
	var got []byte
	buf := make([]byte, 4096)
	for {
		n, err := there.Read(buf)
		if got = append(got, buf[:n]...); err != nil {
			t.Fatal(err)
		}
		if _, rest, ok := bytes.Cut(got, []byte("\n")); ok {
			if size, known := packetSize(rest); known && len(rest) >= size {
				return got
			}
		}
	}
}

func TestHelloChoosesByTheClientsList(t *testing.T) {
	all := auth.ServerAlgorithms().Config.Ciphers
	both := recordedHello(t, ssh.CipherAES128CTR, ssh.CipherAES256GCM)
	ctr := recordedHello(t, ssh.CipherAES256CTR)
	line := func(s string) []byte { return append([]byte(s), both[bytes.IndexByte(both, '\n'):]...) }
	broken := bytes.Clone(both)
	broken[bytes.IndexByte(both, '\n')+5] = 250 // the padding
	for _, tt := range []struct {
		name string
		says []byte
		want []string
	}{
		{"both", both, auth.GCM()},
		{"restricted", ctr, all},
		{"OpenSSH 10", line("SSH-2.0-OpenSSH_10.0"), all},
		{"Go", line("SSH-2.0-Go\r"), all},
		{"malformed", broken, all},
		{"no list", []byte("SSH-2.0-OpenSSH_9.2p1\r\n"), all},
		{"a huge packet", []byte("SSH-2.0-OpenSSH_9.2p1\r\n\xff\xff\xff\xff...."), all},
		{"half a list", both[:len(both)-9], all},
		{"a line without an end", bytes.Repeat([]byte{'S'}, 3000), all},
		{"nothing", nil, all},
	} {
		for _, step := range []int{4096, 7} {
			here, there := net.Pipe()
			go func() {
				_, _ = io.ReadFull(there, make([]byte, len(IdentLine)))
				for p := range slices.Chunk(tt.says, step) {
					if _, err := there.Write(p); err != nil {
						break
					}
				}
				there.Close()
			}()
			h := NewHello(here)
			if got := h.Greet(); !slices.Equal(got, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
			}
			if n, err := h.Write([]byte(IdentLine)); n != len(IdentLine) || err != nil {
				t.Errorf("%s: the second line: %d, %v", tt.name, n, err)
			}
			if b, _ := io.ReadAll(h); !bytes.Equal(b, tt.says) {
				t.Errorf("%s: x/crypto reads %d bytes of %d", tt.name, len(b), len(tt.says))
			}
			here.Close()
		}
	}
}

// A client that waits for the gateway's list before it sends its own waits a
// second and no longer.
func TestHelloDoesNotWaitForEver(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	go func() {
		_, _ = io.ReadFull(there, make([]byte, len(IdentLine)))
		_, _ = io.WriteString(there, "SSH-2.0-OpenSSH_9.2p1\r\n")
	}()
	h := NewHello(here)
	begun := time.Now()
	if got := h.Greet(); len(got) != len(auth.ServerAlgorithms().Config.Ciphers) {
		t.Errorf("offered %v", got)
	}
	if d := time.Since(begun); d > kexInitWait+time.Second {
		t.Errorf("waited %v", d)
	}
}
