package wire

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var sftpRequests = []SFTPRequest{
	{Type: SFTPInit, ID: 3, Known: true, Rest: []byte("\x00\x00\x00\x01a\x00\x00\x00\x01b")},
	{Type: SFTPOpen, ID: 1, Known: true, Path: "/srv/a b", Flags: OpenWrite | OpenCreate | OpenTrunc, Attrs: FileAttrs{Flags: AttrPermissions, Permissions: 0o644}},
	{Type: SFTPClose, ID: 2, Known: true, Handle: "\x00\x00\x00\x00"},
	{Type: SFTPRead, ID: 3, Known: true, Handle: "h", Offset: 1 << 40, Length: 32768},
	{Type: SFTPWrite, ID: 4, Known: true, Handle: "h", Offset: 7, Length: 5},
	{Type: SFTPFsetstat, ID: 5, Known: true, Handle: "h", Attrs: FileAttrs{
		Flags: AttrSize | AttrUIDGID | AttrPermissions | AttrTimes | AttrExtended,
		Size:  9, UID: 1, GID: 2, Permissions: 3, Atime: 4, Mtime: 5, Extended: []string{"k", "v", "k2", ""},
	}},
	{Type: SFTPRename, ID: 6, Known: true, Path: "a", To: "b"},
	{Type: SFTPSymlink, ID: 7, Known: true, Path: "says", To: "link"},
	{Type: SFTPExtended, ID: 8, Known: true, Extension: ExtCopyData, Handle: "r", Offset: 1, Length: 2, ToHandle: "w", ToOffset: 3},
	{Type: SFTPExtended, ID: 9, Known: true, Extension: ExtLimits},
	{Type: SFTPExtended, ID: 10, Known: true, Extension: ExtUsersGroups, Path: "\x00\x00\x00\x01", To: ""},
	{Type: SFTPExtended, ID: 11, Extension: "vendor@example.com", Rest: []byte("anything")},
	{Type: 42, ID: 12, Rest: []byte{1, 2}},
}

func TestSFTPRequestsRoundTrip(t *testing.T) {
	for _, want := range sftpRequests {
		b := want.Append(nil)
		head, total, err := SFTPHead(b)
		if err != nil || head != len(b) || total != len(b)+writePayload(want) {
			t.Fatalf("%+v: head %d, total %d of %d: %v", want, head, total, len(b), err)
		}
		got, err := ParseSFTPRequest(b)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	}
}

func writePayload(q SFTPRequest) int {
	if q.Type == SFTPWrite {
		return int(q.Length)
	}
	return 0
}

func TestSFTPAnswers(t *testing.T) {
	status := AppendSFTPStatus(nil, 7, FxNoSuchFile, "gone")
	a, err := ParseSFTPAnswer(status)
	if err != nil || a.ID != 7 || a.Code != FxNoSuchFile || a.Message != "gone" {
		t.Errorf("status: %+v, %v", a, err)
	}
	name := append([]byte{0, 0, 0, 0, SFTPName, 0, 0, 0, 9, 0, 0, 0, 1}, "\x00\x00\x00\x02/x\x00\x00\x00\x01l\x00\x00\x00\x00"...)
	binary.BigEndian.PutUint32(name, uint32(len(name)-4))
	if a, err := ParseSFTPAnswer(name); err != nil || a.ID != 9 || a.Names != 1 || a.Name != "/x" {
		t.Errorf("name: %+v, %v", a, err)
	}
	if a, err := ParseSFTPAnswer(name[:9]); err != nil || a.ID != 9 || a.Names != 0 {
		t.Errorf("the head of a name: %+v, %v", a, err)
	}
	if _, err := ParseSFTPAnswer([]byte{0, 0, 0, 11, SFTPData, 0, 0, 0, 1, 0, 0, 0, 3}); err == nil {
		t.Error("data whose two lengths differ are read")
	}
	if _, err := ParseSFTPAnswer([]byte{0, 0, 0, 5, 99, 0, 0, 0, 1}); err == nil {
		t.Error("an unknown answer is read")
	}
}

// Attack: packets that one reader takes for something else than the next:
// trailing bytes, a NUL in a path, lengths that do not fit, unknown attributes.
func TestSFTPIsReadStrictly(t *testing.T) {
	open := sftpRequests[1].Append(nil)
	trailing := append(bytes.Clone(open), 0)
	binary.BigEndian.PutUint32(trailing, uint32(len(trailing)-4))
	nul := SFTPRequest{Type: SFTPRemove, Path: "/etc/passwd\x00.txt"}.Append(nil)
	flags := SFTPRequest{Type: SFTPSetstat, Path: "/a", Attrs: FileAttrs{Flags: 0x10}}.Append(nil)
	handle := SFTPRequest{Type: SFTPClose, Handle: string(make([]byte, 257))}.Append(nil)
	write := SFTPRequest{Type: SFTPWrite, Handle: "h", Length: 5}.Append(nil)
	binary.BigEndian.PutUint32(write, uint32(len(write)))
	for name, b := range map[string][]byte{
		"trailing": trailing, "nul": nul, "flags": flags, "handle": handle, "write": write,
		"short": {0, 0, 0, 1, SFTPOpen},
	} {
		if q, err := ParseSFTPRequest(b); err == nil {
			t.Errorf("%s: read as %+v", name, q)
		}
	}
	for name, b := range map[string][]byte{
		"empty": {0, 0, 0, 0}, "huge": {0, 4, 8, 0, 1}, "handle": {0, 0, 9, 0, SFTPWrite, 0, 0, 0, 1, 0, 0, 1, 1},
		"short data": {0, 0, 0, 5, SFTPData},
	} {
		if head, total, err := SFTPHead(b); err == nil {
			t.Errorf("%s: head %d of %d", name, head, total)
		}
	}
}

func FuzzSFTP(f *testing.F) {
	for _, q := range sftpRequests {
		f.Add(q.Append(nil))
	}
	f.Add(AppendSFTPStatus(nil, 1, FxOK, "done"))
	f.Fuzz(func(t *testing.T, b []byte) {
		head, total, err := SFTPHead(b)
		if err != nil {
			return
		}
		if head <= len(b) && head > total || total > MaxSFTPPacket+4 {
			t.Fatalf("head %d of %d", head, total)
		}
		if len(b) < head {
			return
		}
		if q, err := ParseSFTPRequest(b[:head]); err == nil {
			if got := q.Append(nil); !bytes.Equal(got, b[:head]) {
				t.Errorf("%x reads as %+v, which is %x", b[:head], q, got)
			}
		}
		_, _ = ParseSFTPAnswer(b[:head])
		_, _ = ParseSFTPAnswer(b[:min(total, len(b))])
	})
}
