package wire

import (
	"encoding/binary"
	"errors"
	"strings"
)

// ErrSFTP is returned for a packet that is not what its type says.
var ErrSFTP = errors.New("malformed SFTP packet")

// The types of SFTP packets (draft-ietf-secsh-filexfer-02, section 3).
const (
	SFTPInit          = 1
	SFTPVersion       = 2
	SFTPOpen          = 3
	SFTPClose         = 4
	SFTPRead          = 5
	SFTPWrite         = 6
	SFTPLstat         = 7
	SFTPFstat         = 8
	SFTPSetstat       = 9
	SFTPFsetstat      = 10
	SFTPOpendir       = 11
	SFTPReaddir       = 12
	SFTPRemove        = 13
	SFTPMkdir         = 14
	SFTPRmdir         = 15
	SFTPRealpath      = 16
	SFTPStat          = 17
	SFTPRename        = 18
	SFTPReadlink      = 19
	SFTPSymlink       = 20
	SFTPStatus        = 101
	SFTPHandle        = 102
	SFTPData          = 103
	SFTPName          = 104
	SFTPAttrs         = 105
	SFTPExtended      = 200
	SFTPExtendedReply = 201
)

// The codes of SFTPStatus (section 7).
const (
	FxOK               = 0
	FxEOF              = 1
	FxNoSuchFile       = 2
	FxPermissionDenied = 3
	FxFailure          = 4
	FxOpUnsupported    = 8
)

// The flags of SFTPOpen (section 6.3).
const (
	OpenRead   = 0x01
	OpenWrite  = 0x02
	OpenAppend = 0x04
	OpenCreate = 0x08
	OpenTrunc  = 0x10
	OpenExcl   = 0x20
)

// The flags of FileAttrs (section 5).
const (
	AttrSize        = 0x01
	AttrUIDGID      = 0x02
	AttrPermissions = 0x04
	AttrTimes       = 0x08
	AttrExtended    = 0x80000000
)

// The extensions that are read (OpenSSH's PROTOCOL, section 4).
const (
	ExtPosixRename = "posix-rename@openssh.com"
	ExtStatvfs     = "statvfs@openssh.com"
	ExtFstatvfs    = "fstatvfs@openssh.com"
	ExtHardlink    = "hardlink@openssh.com"
	ExtFsync       = "fsync@openssh.com"
	ExtLsetstat    = "lsetstat@openssh.com"
	ExtLimits      = "limits@openssh.com"
	ExtExpandPath  = "expand-path@openssh.com"
	ExtCopyData    = "copy-data"
	ExtHomeDir     = "home-directory"
	ExtUsersGroups = "users-groups-by-id@openssh.com"
)

// MaxSFTPPacket bounds a packet without its length: sftp-server's own limit,
// SFTP_MAX_MSG_LENGTH, and room for the header of a payload of that size.
const MaxSFTPPacket = 256<<10 + 1024

// MaxSFTPHandle bounds a handle (section 6.2).
const MaxSFTPHandle = 256

// FileAttrs are the attributes of a file. Flags says which count.
type FileAttrs struct {
	Flags        uint32
	Size         uint64
	UID, GID     uint32
	Permissions  uint32
	Atime, Mtime uint32
	Extended     []string // names and values, by turns
}

// SFTPRequest is a packet of the client's. Type says which fields count.
type SFTPRequest struct {
	Type      byte
	ID        uint32 // the version, of SFTPInit
	Extension string // the name, of SFTPExtended
	Known     bool   // false: an SFTPExtended or a type that is not read
	Path      string // or the first of two; of SFTPSymlink what the link says, as OpenSSH has it
	To        string
	Handle    string
	ToHandle  string
	Offset    uint64
	ToOffset  uint64
	Length    uint64 // of SFTPRead, SFTPWrite and copy-data
	Flags     uint32 // of SFTPOpen
	Attrs     FileAttrs
	Rest      []byte // what follows and is not read: of SFTPInit, and where it is not Known
}

// requests says what a packet holds behind its id:
//
//	p t  paths: Path, To            h H  handles: Handle, ToHandle
//	o O  uint64: Offset, ToOffset   l n  Length as uint64, as uint32
//	f a  Flags, Attrs               q u  strings that are no paths, in Path and To
var requests = map[byte]string{
	SFTPOpen: "pfa", SFTPClose: "h", SFTPRead: "hon", SFTPLstat: "p", SFTPFstat: "h",
	SFTPSetstat: "pa", SFTPFsetstat: "ha", SFTPOpendir: "p", SFTPReaddir: "h", SFTPRemove: "p",
	SFTPMkdir: "pa", SFTPRmdir: "p", SFTPRealpath: "p", SFTPStat: "p", SFTPRename: "pt",
	SFTPReadlink: "p", SFTPSymlink: "pt",
}

var extensions = map[string]string{
	ExtPosixRename: "pt", ExtStatvfs: "p", ExtFstatvfs: "h", ExtHardlink: "pt", ExtFsync: "h",
	ExtLsetstat: "pa", ExtLimits: "", ExtExpandPath: "p", ExtCopyData: "holHO", ExtHomeDir: "p",
	ExtUsersGroups: "qu",
}

// SFTPHead returns how many bytes of a packet, its length included, must be
// there to judge it, given that b is its beginning: all of it, or up to the
// payload of SFTPWrite and SFTPData. While b is too short to say it returns a
// number above len(b). total is the length of the packet, 0 while unknown.
func SFTPHead(b []byte) (head, total int, err error) {
	if len(b) < 5 {
		if len(b) == 4 && binary.BigEndian.Uint32(b) == 0 {
			return 0, 0, ErrSFTP
		}
		return 5, 0, nil
	}
	n := binary.BigEndian.Uint32(b)
	if n == 0 || n > MaxSFTPPacket {
		return 0, 0, ErrSFTP
	}
	total = 4 + int(n)
	switch b[4] {
	case SFTPData:
		head = 13
	case SFTPWrite:
		if head = 13; len(b) >= head {
			h := binary.BigEndian.Uint32(b[9:])
			if h > MaxSFTPHandle {
				return 0, 0, ErrSFTP
			}
			head += int(h) + 12
		}
	case SFTPName, SFTPAttrs, SFTPExtendedReply:
		head = 9
	default:
		return total, total, nil
	}
	if head > total {
		return 0, 0, ErrSFTP
	}
	return head, total, nil
}

// ParseSFTPRequest reads a packet as SFTPHead cuts it, with its length. The
// payload of SFTPWrite is not looked at.
func ParseSFTPRequest(b []byte) (SFTPRequest, error) {
	r := reader{b: b}
	n := r.uint32()
	q := SFTPRequest{Type: r.byte(), ID: r.uint32()}
	if r.bad {
		return q, ErrSFTP
	}
	schema, known := requests[q.Type]
	switch q.Type {
	case SFTPInit:
		q.Known, q.Rest = true, r.b
		return q, nil
	case SFTPWrite:
		q.Known = true
		q.Handle, q.Offset, q.Length = r.handle(), r.uint64(), uint64(r.uint32())
		if r.bad || len(r.b) != 0 || uint64(n) != uint64(len(b)-4)+q.Length {
			return q, ErrSFTP
		}
		return q, nil
	case SFTPExtended:
		q.Extension = r.string()
		schema, known = extensions[q.Extension]
	}
	if uint64(n) != uint64(len(b)-4) || r.bad {
		return q, ErrSFTP
	}
	if !known {
		q.Rest = r.b
		return q, nil
	}
	q.Known = true
	r.fields(&q, schema)
	if r.bad || len(r.b) != 0 {
		return q, ErrSFTP
	}
	return q, nil
}

// SFTPAnswer is a packet of the target's. Of SFTPName only the first name is
// kept.
type SFTPAnswer struct {
	Type    byte
	ID      uint32 // the version, of SFTPVersion
	Code    uint32 // of SFTPStatus
	Message string
	Handle  string
	Length  uint32 // of SFTPData
	Names   uint32
	Name    string
	Attrs   FileAttrs
}

// ParseSFTPAnswer reads a packet, with its length: as SFTPHead cuts it, or, of
// SFTPName and SFTPAttrs, whole. Of those it reads the id alone where the rest
// is missing.
func ParseSFTPAnswer(b []byte) (SFTPAnswer, error) {
	r := reader{b: b}
	n := r.uint32()
	a := SFTPAnswer{Type: r.byte(), ID: r.uint32()}
	if r.bad {
		return a, ErrSFTP
	}
	whole := uint64(n) == uint64(len(b)-4)
	switch a.Type {
	case SFTPVersion:
		if !whole {
			return a, ErrSFTP
		}
		return a, nil // extensions follow
	case SFTPData:
		a.Length = r.uint32()
		if r.bad || len(r.b) != 0 || uint64(n) != 9+uint64(a.Length) {
			return a, ErrSFTP
		}
		return a, nil
	case SFTPStatus:
		a.Code = r.uint32()
		if len(r.b) > 0 { // servers before version 3 end here
			a.Message, _ = r.string(), r.string()
		}
	case SFTPHandle:
		a.Handle = r.handle()
	case SFTPExtendedReply:
		return a, nil
	case SFTPName:
		if !whole {
			return a, nil
		}
		a.Names = r.uint32()
		for i := range a.Names {
			name, _ := r.string(), r.string()
			if r.attrs(); r.bad {
				break
			}
			if i == 0 {
				a.Name = name
			}
		}
	case SFTPAttrs:
		if !whole {
			return a, nil
		}
		a.Attrs = r.attrs()
	default:
		return a, ErrSFTP
	}
	if !whole || r.bad || len(r.b) != 0 {
		return a, ErrSFTP
	}
	return a, nil
}

// reader takes fields off b. After one that is not there everything is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if p := r.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if p := r.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

func (r *reader) string() string { return string(r.take(uint64(r.uint32()))) }

// path is a string without NUL: sftp-server takes none with one
// (sshbuf_get_cstring), and others would read half of it.
func (r *reader) path() string {
	s := r.string()
	r.bad = r.bad || strings.IndexByte(s, 0) >= 0
	return s
}

func (r *reader) handle() string {
	s := r.string()
	r.bad = r.bad || len(s) > MaxSFTPHandle
	return s
}

func (r *reader) attrs() (a FileAttrs) {
	a.Flags = r.uint32()
	if a.Flags&^(AttrSize|AttrUIDGID|AttrPermissions|AttrTimes|AttrExtended) != 0 {
		r.bad = true
		return a
	}
	if a.Flags&AttrSize != 0 {
		a.Size = r.uint64()
	}
	if a.Flags&AttrUIDGID != 0 {
		a.UID, a.GID = r.uint32(), r.uint32()
	}
	if a.Flags&AttrPermissions != 0 {
		a.Permissions = r.uint32()
	}
	if a.Flags&AttrTimes != 0 {
		a.Atime, a.Mtime = r.uint32(), r.uint32()
	}
	if a.Flags&AttrExtended != 0 {
		for n := r.uint32(); n > 0 && !r.bad; n-- {
			a.Extended = append(a.Extended, r.string(), r.string())
		}
	}
	return a
}

func (r *reader) fields(q *SFTPRequest, schema string) {
	for _, field := range schema {
		switch field {
		case 'p':
			q.Path = r.path()
		case 't':
			q.To = r.path()
		case 'q':
			q.Path = r.string()
		case 'u':
			q.To = r.string()
		case 'h':
			q.Handle = r.handle()
		case 'H':
			q.ToHandle = r.handle()
		case 'o':
			q.Offset = r.uint64()
		case 'O':
			q.ToOffset = r.uint64()
		case 'l':
			q.Length = r.uint64()
		case 'n':
			q.Length = uint64(r.uint32())
		case 'f':
			q.Flags = r.uint32()
		case 'a':
			q.Attrs = r.attrs()
		}
	}
}
