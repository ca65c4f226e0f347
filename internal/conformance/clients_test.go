package conformance

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// client is one use of one client.
type client struct {
	name    string
	run     func(*seat)
	without map[string]string // ways that it cannot go, and why
}

var clients = []client{
	{name: "ssh/status", run: sshStatus},
	{name: "ssh/input", run: sshInput},
	{name: "ssh/streams", run: sshStreams},
	{name: "ssh/words", run: sshWords},
	{name: "ssh/options", run: sshOptions},
	{name: "ssh/large", run: sshLarge},
	{name: "ssh/terminal", run: sshTerminal},
	{name: "ssh/shell", run: sshShell},
	{name: "ssh/channels", run: sshChannels},
	{name: "ssh/rapid", run: sshRapid},
	{name: "ssh/parallel", run: sshParallel},
	{name: "scp", run: scpNew},
	{name: "scp -O", run: scpOld},
	{name: "sftp", run: sftp},
	{name: "rsync", run: rsync},
	{name: "git", run: git},
	{name: "ansible", run: ansible},
	{name: "paramiko", run: paramiko},
	{name: "asyncssh", run: asyncssh},
	{name: "putty", run: putty},
	{name: "dropbear", run: dropbear},
	{name: "lftp", run: lftp},
	{name: "sshfs", run: sshfs},
	{name: "curl", run: curl},
}

// Each client on each way, with the same outcome.
func TestClients(t *testing.T) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.compare(t)
		})
	}
}

// compare runs the client on each way and holds the others against the first.
func (c client) compare(t *testing.T) {
	notes := map[string]string{}
	for _, w := range here.ways {
		if why := c.without[w.name]; why != "" {
			t.Logf("not by %s: %s", w.name, why)
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			s := sit(t, w)
			c.run(s)
			notes[w.name] = s.notes.String()
		})
	}
	straight := here.ways[0].name
	for _, w := range here.ways[1:] {
		if got, ok := notes[w.name]; ok {
			if diff := cmp.Diff(notes[straight], got); diff != "" {
				t.Errorf("%s is not %s:\n%s", w.name, straight, diff)
			}
		}
	}
}
