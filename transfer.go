package sallyport

import "time"

// Direction says which way files may move. The zero value counts as both.
type Direction string

// The directions, as the user sees them: an upload goes to the target.
const (
	FilesNone     Direction = "none"
	FilesUpload   Direction = "upload"
	FilesDownload Direction = "download"
	FilesBoth     Direction = "both"
)

// Directions lists every direction.
var Directions = []Direction{FilesNone, FilesUpload, FilesDownload, FilesBoth}

// FileRules say which files a role may move. The zero value allows every file
// and keeps none. A shell makes them advice: whoever has one can move bytes
// through it.
type FileRules struct {
	Direction Direction `json:"direction,omitempty"`
	// Allow and Deny are patterns of absolute paths at the target: * and ? stop
	// at a slash, ** does not. An empty Allow allows every path; Deny wins.
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
	// MaxSize bounds one file, in bytes; 0: no limit.
	MaxSize int64 `json:"max_size,omitempty"`
	// Keep keeps a copy of each file up to this size beside the recording, in
	// bytes; 0: none.
	Keep int64 `json:"keep,omitempty"`
	// EndOnConfusion ends a transfer that cannot be understood. Where the rules
	// restrict anything that is always so.
	EndOnConfusion bool `json:"end_on_confusion,omitempty"`
}

// Restricts reports whether the rules refuse anything.
func (r FileRules) Restricts() bool {
	return r.Direction != "" && r.Direction != FilesBoth || len(r.Allow) > 0 || len(r.Deny) > 0 || r.MaxSize > 0
}

// May reports whether files may move in direction d, one of FilesUpload and
// FilesDownload.
func (r FileRules) May(d Direction) bool {
	return r.Direction == "" || r.Direction == FilesBoth || r.Direction == d
}

// FileOp is what was done to a file.
type FileOp string

// The operations. Upload and download move content; so do copy, at the target
// itself, and the others change names and attributes.
const (
	OpUpload   FileOp = "upload"
	OpDownload FileOp = "download"
	OpCopy     FileOp = "copy"
	OpRename   FileOp = "rename"
	OpRemove   FileOp = "remove"
	OpMkdir    FileOp = "mkdir"
	OpRmdir    FileOp = "rmdir"
	OpChmod    FileOp = "setattr" // mode, owner, times or size
	OpSymlink  FileOp = "symlink"
	OpHardlink FileOp = "hardlink"
)

// How an operation on a file ended.
const (
	FileComplete = "complete" // closed in order; of an operation: done
	FileBroken   = "broken"   // the channel ended before the file was closed
	FileFailed   = "failed"   // the target said no
	FileRefused  = "refused"  // the gateway said no
)

// FileEvent is one line of files.jsonl: a file that moved, or was to move, or
// something that was done to one.
type FileEvent struct {
	Time    time.Time `json:"time"`              // when it began
	EndedAt time.Time `json:"ended_at,omitzero"` // zero: at once
	Channel string    `json:"channel,omitempty"`
	Op      FileOp    `json:"op"`
	Path    string    `json:"path"`               // as asked; bytes that are no UTF-8 are replaced
	PathHex string    `json:"path_hex,omitempty"` // the exact bytes where Path is not exact
	To      string    `json:"to,omitempty"`       // of a rename, a link or a copy
	ToHex   string    `json:"to_hex,omitempty"`
	Detail  string    `json:"detail,omitempty"` // of a setattr: "mode=0644 size=10"

	Bytes  int64  `json:"bytes,omitempty"`  // that moved
	Size   int64  `json:"size,omitempty"`   // the end of the furthest byte that moved
	SHA256 string `json:"sha256,omitempty"` // of bytes 0 to Size, where all of them moved
	NoSum  string `json:"no_sum,omitempty"` // why there is no SHA256

	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"` // of a refusal or a failure
	Kept    string `json:"kept,omitempty"`   // the file beside the recording that holds a copy
}
