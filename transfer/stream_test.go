package transfer

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport"
	"sallyport/internal/wire"
)

// conversation is one with a real sftp-server in which everything happens.
func conversation(t *testing.T, rules sallyport.FileRules) []turn {
	r := newRig(t, rules)
	h := r.openFile("f", create|wire.OpenRead)
	r.write(h, 3, "defghijklm")
	r.write(h, 0, "abc")
	r.read(h, 0, 5)
	r.read(h, 5, 100)
	r.read(h, 13, 100)
	r.ask(wire.SFTPRequest{Type: wire.SFTPFsetstat, Handle: h, Attrs: wire.FileAttrs{Flags: wire.AttrPermissions, Permissions: 0o600}})
	r.closeFile(h)
	r.ask(openFor("none", wire.OpenRead))
	r.ask(wire.SFTPRequest{Type: wire.SFTPRename, Path: "f", To: "g"})
	d := r.ask(wire.SFTPRequest{Type: wire.SFTPOpendir, Path: "."}).Handle
	r.ask(wire.SFTPRequest{Type: wire.SFTPReaddir, Handle: d})
	r.ask(wire.SFTPRequest{Type: wire.SFTPReaddir, Handle: d})
	r.closeFile(d)
	r.ask(ext("unknown@example.com", "", ""))
	r.ask(wire.SFTPRequest{Type: wire.SFTPRealpath, Path: "."})
	h = r.openFile("left", create)
	r.write(h, 0, "open")
	return r.turns
}

// replay has a conversation again, in pieces as cut says, and returns what
// either side was sent.
func replay(t testing.TB, turns []turn, rules sallyport.FileRules, cut func(p []byte) [][]byte) (in, out string, j *journal) {
	j = &journal{}
	cfg := j.config(t, rules)
	now := time.Unix(0, 0)
	cfg.Now = func() time.Time { now = now.Add(time.Second); return now }
	var target, client bytes.Buffer
	cfg.Target, cfg.Client = &target, &client
	s := NewSFTP(cfg)
	for _, turn := range turns {
		for _, p := range cut(turn.p) {
			p = bytes.Clone(p)
			var err error
			if turn.client {
				err = s.FromClient(p)
			} else {
				err = s.FromTarget(p)
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range p {
				p[i] = 0xaa // nothing was kept of it
			}
		}
	}
	if s.ClientDone() != nil || s.TargetDone() != nil {
		t.Fatal("it does not end")
	}
	s.Close()
	return target.String(), client.String(), j
}

// What passes is what came, and what is seen is the same, wherever the streams
// are cut.
func TestCutAnywhere(t *testing.T) {
	whole := func(p []byte) [][]byte { return [][]byte{p} }
	for _, rules := range []sallyport.FileRules{{}, {MaxSize: 12}, {Keep: 12, EndOnConfusion: true}} {
		turns := conversation(t, rules)
		var in, out []byte
		longest := 0
		for _, turn := range turns {
			longest = max(longest, len(turn.p))
			if turn.client {
				in = append(in, turn.p...)
			} else {
				out = append(out, turn.p...)
			}
		}
		wantIn, wantOut, want := replay(t, turns, rules, whole)
		if !rules.Restricts() && (wantIn != string(in) || wantOut != string(out)) {
			t.Error("what passes is not what came")
		}
		if len(want.confused) > 0 {
			t.Fatalf("confused: %q", want.confused)
		}
		for n := 1; n <= longest; n++ {
			for name, cut := range map[string]func(p []byte) [][]byte{
				"pieces": func(p []byte) [][]byte { return slices.Collect(slices.Chunk(p, n)) },
				"once":   func(p []byte) [][]byte { return [][]byte{p[:min(n, len(p))], p[min(n, len(p)):]} },
			} {
				gotIn, gotOut, got := replay(t, turns, rules, cut)
				if gotIn != wantIn || gotOut != wantOut || !slices.Equal(got.lines(), want.lines()) {
					t.Fatalf("%s of %d: passed %v, %v; events %q", name, n, gotIn == wantIn, gotOut == wantOut, got.lines())
				}
				for i, e := range got.events {
					if e.SHA256 != want.events[i].SHA256 || e.Reason != want.events[i].Reason {
						t.Fatalf("%s of %d: %+v, want %+v", name, n, e, want.events[i])
					}
				}
			}
		}
	}
}

// Without rules every byte passes, whatever it is.
func TestTransparency(t *testing.T) {
	turns := conversation(t, sallyport.FileRules{})
	rapid.Check(t, func(t *rapid.T) {
		// The conversation with something broken in it.
		var broken []turn
		at := rapid.IntRange(0, len(turns)-1).Draw(t, "turn")
		var in, out []byte
		for i, turn := range turns {
			p := bytes.Clone(turn.p)
			if i == at && len(p) > 0 {
				k := rapid.IntRange(0, len(p)-1).Draw(t, "byte")
				switch rapid.IntRange(0, 2).Draw(t, "how") {
				case 0:
					p[k] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
				case 1:
					p = slices.Delete(p, k, k+1)
				case 2:
					p = slices.Insert(p, k, rapid.Byte().Draw(t, "extra"))
				}
			}
			turn.p = p
			broken = append(broken, turn)
			if turn.client {
				in = append(in, p...)
			} else {
				out = append(out, p...)
			}
		}
		n := rapid.IntRange(1, 50).Draw(t, "pieces")
		var target, client bytes.Buffer
		s := NewSFTP(Config{Target: &target, Client: &client, Report: func(sallyport.FileEvent) {}})
		// A request on a broken handle waits for the files that are being opened,
		// whose answers may be broken too: then only the end lets it go on.
		pieces, fed := make(chan []byte, len(in)), make(chan error, len(in))
		go func() {
			for p := range pieces {
				fed <- s.FromClient(p)
			}
			close(fed)
		}()
		waiting := 0
		for _, turn := range broken {
			for p := range slices.Chunk(turn.p, n) {
				if !turn.client {
					if err := s.FromTarget(p); err != nil {
						t.Fatal(err)
					}
					continue
				}
				pieces <- p
				for waiting++; waiting > 0; waiting-- {
					select {
					case err := <-fed:
						if err != nil {
							t.Fatal(err)
						}
						continue
					case <-time.After(5 * time.Millisecond):
					}
					break
				}
			}
		}
		close(pieces)
		for waiting > 0 {
			select {
			case err := <-fed:
				if err != nil {
					t.Fatal(err)
				}
				waiting--
				continue
			case <-time.After(100 * time.Millisecond):
			}
			break
		}
		stuck := waiting > 0
		if !stuck {
			_ = s.ClientDone()
		}
		_ = s.TargetDone()
		for range fed { // until it is closed
		}
		s.Close()
		if !stuck && !bytes.Equal(target.Bytes(), in) || !bytes.HasPrefix(in, target.Bytes()) || !bytes.Equal(client.Bytes(), out) {
			t.Fatalf("not what came: %d of %d, %d of %d bytes", target.Len(), len(in), client.Len(), len(out))
		}
	})
}

func FuzzSFTP(f *testing.F) {
	f.Add(openFor("f", create).Append(nil), wire.AppendSFTPStatus(nil, 0, 2, "no"), uint8(0), uint8(9))
	f.Add(wire.SFTPRequest{Type: wire.SFTPWrite, Handle: "h", Length: 3}.Append(nil), []byte{0, 0, 0, 10, wire.SFTPHandle, 0, 0, 0, 0, 0, 0, 0, 1, 'h'}, uint8(1), uint8(3))
	var asked, answered []byte
	for i, q := range []wire.SFTPRequest{
		openFor("f", create),
		{Type: wire.SFTPWrite, Handle: "h", Length: 3},
		{Type: wire.SFTPRead, Handle: "h", Length: 3},
		{Type: wire.SFTPRename, Path: "a", To: "b"},
		{Type: wire.SFTPFsetstat, Handle: "h", Attrs: wire.FileAttrs{Flags: wire.AttrSize, Size: 1}},
		{Type: wire.SFTPExtended, Extension: wire.ExtCopyData, Handle: "h", ToHandle: "h"},
		{Type: wire.SFTPClose, Handle: "h"},
	} {
		q.ID = uint32(i)
		if asked = q.Append(asked); q.Type == wire.SFTPWrite {
			asked = append(asked, "abc"...)
		}
		switch q.Type {
		case wire.SFTPOpen:
			answered = append(answered, 0, 0, 0, 10, wire.SFTPHandle, 0, 0, 0, 0, 0, 0, 0, 1, 'h')
		case wire.SFTPRead:
			answered = append(answered, 0, 0, 0, 12, wire.SFTPData, 0, 0, 0, 2, 0, 0, 0, 3, 'a', 'b', 'c')
		default:
			answered = wire.AppendSFTPStatus(answered, uint32(i), 0, "ok")
		}
	}
	for rule := range uint8(4) {
		f.Add(asked, answered, rule, uint8(40))
	}
	rules := []sallyport.FileRules{{}, {Direction: sallyport.FilesDownload}, {Deny: []string{"/secret/**"}, MaxSize: 100}, {Keep: 1000}}
	f.Fuzz(func(t *testing.T, client, target []byte, rule, n uint8) {
		r := rules[int(rule)%len(rules)]
		var in, out bytes.Buffer
		reported := 0
		s := NewSFTP(Config{Rules: r, Target: &in, Client: &out, Report: func(e sallyport.FileEvent) {
			reported++
			if e.Outcome == "" || e.Op == "" {
				t.Errorf("%+v", e)
			}
		}})
		// One after the other, so a wait of the client's is ended from elsewhere.
		step := int(n)%50 + 1
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.FromClient(wire.SFTPRequest{Type: wire.SFTPInit, ID: 3}.Append(nil))
			for p := range slices.Chunk(client, step) {
				if s.FromClient(p) != nil {
					return
				}
			}
			_ = s.ClientDone()
		}()
		_ = s.FromTarget([]byte{0, 0, 0, 5, wire.SFTPVersion, 0, 0, 0, 3})
		for p := range slices.Chunk(target, step) {
			if s.FromTarget(p) != nil {
				break
			}
		}
		_ = s.TargetDone()
		s.Close()
		<-done
	})
}
