package cast

import "time"

// Seal is the content of seal.json: what a finished recording consists of.
type Seal struct {
	Version   int         `json:"version"` // 1
	Session   string      `json:"session"`
	SealedAt  time.Time   `json:"sealed_at"`
	Truncated bool        `json:"truncated"` // the gateway or the disk failed before the end
	Files     []FileSum   `json:"files"`     // by name; all of the directory but seal.json
	Streams   []StreamSum `json:"streams"`
}

// FileSum identifies one file.
type FileSum struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// StreamSum identifies the whole of one stream of one channel. Stored is less
// than Bytes where the content was capped. Of a truncated recording it covers
// what was stored.
type StreamSum struct {
	Channel string `json:"channel"`
	Stream  string `json:"stream"`
	Bytes   int64  `json:"bytes"`
	Stored  int64  `json:"stored"`
	SHA256  string `json:"sha256"`
}
