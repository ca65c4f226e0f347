package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"sallyport/ca"
	"sallyport/config"
	"sallyport/internal/sshtest"
)

func newDemoCommand(std streams) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use: "demo", Short: "Show everything on this machine, in a temporary directory", Args: cobra.NoArgs,
		Long: `Run a gateway, a target and three people (alice, bob and eve) on loopback in a
temporary directory, play their story, and stay up for you to try it yourself.
Nothing is installed and nothing outside the directory is touched.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, ok := std.out.(*os.File)
			stay := !once && ok && term.IsTerminal(int(f.Fd()))
			return demo(cmd.Context(), std, stay)
		},
	}
	cmd.Flags().BoolVar(&once, "run", false, "end after the story")
	return cmd
}

// stage is where the demo plays: a gateway, a target and people with keys.
type stage struct {
	dir     string
	gateway *gateway
	target  *sshtest.Target
	addr    string
	people  map[string]person
	stop    func() error
}

// person has a name and a key.
type person struct {
	name   string
	signer ssh.Signer
	line   string // the public key, as configured
	host   ssh.PublicKey
	addr   string
}

var demoPeople = []string{"alice", "bob", "eve"}

const demoConfig = `listen: {{.Listen}}
data_dir: {{.Dir}}/data
users:
  - {name: alice, groups: [admins], keys: ["{{.Alice}}"]}
  - {name: bob, groups: [approvers], keys: ["{{.Bob}}"]}
  - {name: eve, groups: [soc], keys: ["{{.Eve}}"]}
targets:
  - name: web1
    address: {{.Target}}
    labels: {env: prod}
    accounts: [lab]
    host_keys: ["{{.HostKey}}"]
roles:
  - name: prod-lab
    eligible: {groups: [admins]}
    targets: {labels: {env: prod}}
    accounts: [lab]
    max_duration: 4h
    justification: required
    approval: {stages: [{approvers: {groups: [approvers]}, need: 1}]}
    channels: [shell, exec, sftp]
    commands:
      rules:
        - {program: rm, flags: [r, R, recursive], action: terminate}
        - {program: shutdown, action: terminate}
      classes: {opaque: alert, tamper: alert, unverifiable: deny}
permissions:
  sessions: {groups: [soc]}
  recordings: {groups: [soc]}
  audit: {groups: [soc]}
  admin: {groups: [soc]}
`

// sshConfig is one person's, for ssh -F.
const sshConfig = `Host gate
  HostName 127.0.0.1
  Port {{.Port}}
  HostKeyAlias gate
  UserKnownHostsFile {{.Dir}}/known_hosts
  IdentityFile {{.Dir}}/{{.Name}}.key
  IdentitiesOnly yes
  IdentityAgent none
  StrictHostKeyChecking yes

# As "ssh gate config" prints it.
Host web1
  ProxyJump gate
  User lab
  UserKnownHostsFile {{.Dir}}/known_hosts
  StrictHostKeyChecking yes
`

func demo(ctx context.Context, std streams, stay bool) (err error) {
	dir, err := os.MkdirTemp("", "sallyport-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	st, err := setStage(dir)
	if err != nil {
		return err
	}
	defer func() {
		if e := st.stop(); err == nil {
			err = e
		}
	}()
	if err := st.story(ctx, std.out); err != nil {
		return fmt.Errorf("the demo's story did not go as it should: %w", err)
	}
	if !stay {
		return nil
	}
	st.invite(std.out)
	// A terminal window that is closed ends the demo as Ctrl-C does.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	<-ctx.Done()
	fmt.Fprintln(std.out, "\nThe demo is over; its directory is removed.")
	return nil
}

// setStage writes the files of a small installation and starts it.
func setStage(dir string) (*stage, error) {
	st := &stage{dir: dir, people: map[string]person{}}
	for _, name := range demoPeople {
		p, err := newPerson(dir, name)
		if err != nil {
			return nil, err
		}
		st.people[name] = p
	}
	keys := filepath.Join(dir, "data", "keys")
	if err := os.MkdirAll(filepath.Dir(keys), 0o700); err != nil {
		return nil, err
	}
	if _, err := ca.Init(keys, rand.Reader); err != nil {
		return nil, err
	}
	gk, err := ca.Load(keys)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, "web1")
	if err := os.MkdirAll(filepath.Join(home, "precious"), 0o700); err != nil {
		return nil, err
	}
	profile := "PS1='lab@web1:\\w$ '\ncd " + home + "\n"
	if err := os.WriteFile(filepath.Join(home, ".profile"), []byte(profile), 0o600); err != nil {
		return nil, err
	}
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	hostSigner, err := ssh.NewSignerFromKey(hostKey)
	if err != nil {
		return nil, err
	}
	st.target, err = sshtest.NewTarget(sshtest.TargetConfig{
		UserCA: gk.UserCA.PublicKey(), HostKey: hostSigner, Accounts: []string{"lab"}, Dir: home,
	})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		st.target.Close()
		return nil, err
	}
	st.addr = l.Addr().String()
	if err := st.writeFiles(gk.HostKey.PublicKey(), gk.HostCA.PublicKey()); err != nil {
		st.target.Close()
		l.Close()
		return nil, err
	}
	file := filepath.Join(dir, "sallyport.yaml")
	cfg, err := config.Load(file)
	if err == nil {
		cfg.Drain = time.Second
		st.gateway, err = openGateway(file, cfg, zerolog.Nop())
	}
	if err != nil {
		st.target.Close()
		l.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- st.gateway.serve(ctx, l, nil) }()
	st.stop = func() error {
		cancel()
		err := <-done
		st.gateway.close()
		st.target.Close()
		return err
	}
	return st, nil
}

func newPerson(dir, name string) (person, error) {
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return person{}, err
	}
	signer, err := ssh.NewSignerFromKey(priv)
	if err != nil {
		return person{}, err
	}
	block, err := ssh.MarshalPrivateKey(priv, name+"@demo")
	if err != nil {
		return person{}, err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))) + " " + name + "@demo"
	return person{name: name, signer: signer, line: line},
		os.WriteFile(filepath.Join(dir, name+".key"), pem.EncodeToMemory(block), 0o600)
}

// writeFiles writes the gateway's configuration and each person's ssh_config.
func (st *stage) writeFiles(host, hostCA ssh.PublicKey) error {
	write := func(name, text string, data any) error {
		t, err := template.New(name).Parse(text)
		if err != nil {
			return err
		}
		var b strings.Builder
		if err := t.Execute(&b, data); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(st.dir, name), []byte(b.String()), 0o600)
	}
	_, port, err := net.SplitHostPort(st.addr)
	if err != nil {
		return err
	}
	for name, p := range st.people {
		p.host, p.addr = host, st.addr
		st.people[name] = p
		if err := write(name, sshConfig, map[string]string{"Port": port, "Dir": st.dir, "Name": name}); err != nil {
			return err
		}
	}
	known := "gate " + string(ssh.MarshalAuthorizedKey(host)) + ca.CertAuthorityLine([]string{"web1"}, hostCA)
	if err := write("known_hosts", known, nil); err != nil {
		return err
	}
	return write("sallyport.yaml", demoConfig, map[string]string{
		"Listen": st.addr, "Dir": st.dir, "Target": st.target.Addr(), "HostKey": st.target.HostKey(),
		"Alice": st.people["alice"].line, "Bob": st.people["bob"].line, "Eve": st.people["eve"].line,
	})
}

// invite prints the commands to paste, in order.
func (st *stage) invite(w interface{ Write([]byte) (int, error) }) {
	f := func(name string) string { return "ssh -F " + filepath.Join(st.dir, name) }
	fmt.Fprintf(w, `
Now you. The gateway is up; paste these into other terminals, in order:

  %[1]s lab@web1@gate                 # as alice: it asks why and for how long, and waits
  %[2]s gate request ls               # as bob: what is waiting for you?
  %[2]s gate request approve ID       # …and alice is in, at that moment
  %[1]s web1                          # the same by its plain name, through the jump
  %[3]s gate sessions ls              # as eve, the SOC: who is in?
  %[3]s gate sessions kill ID --reason "not today"
  %[3]s gate recordings ls
  %[3]s -t gate play ID               # space pauses, arrows seek, q quits

Everything lies in %[4]s. Ctrl-C ends the demo and removes it.
`, f("alice"), f("bob"), f("eve"), st.dir)
}
