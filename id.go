package sallyport

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// IDLength is the length of every id: 12 characters of base32, 60 bits.
const IDLength = 12

// NewID draws an id from random.
func NewID(random io.Reader) (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("drawing an id: %w", err)
	}
	return idEncoding.EncodeToString(b[:])[:IDLength], nil
}

// IsIDPrefix reports whether s can be the beginning of an id.
func IsIDPrefix(s string) bool {
	return s != "" && len(s) <= IDLength &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// IDSerial returns the 60 bits of an id as a number, for the serial of a
// certificate. It returns false for what is no whole id.
func IDSerial(id string) (uint64, bool) {
	if len(id) != IDLength || !IsIDPrefix(id) {
		return 0, false
	}
	b, err := idEncoding.DecodeString(id + "a") // 13 characters are 8 bytes
	if err != nil {
		return 0, false
	}
	return binary.BigEndian.Uint64(b) >> 4, true
}

// ParseDuration reads a duration as people type it: 1h, 90m, 1h30m, 2d.
func ParseDuration(s string) (time.Duration, error) {
	bad := func() (time.Duration, error) {
		return 0, Errorf(CodeUsage, "%q is no duration", s).WithHint("write for example 30m, 1h30m or 2d")
	}
	rest, days := s, 0
	if i := strings.IndexByte(s, 'd'); i > 0 {
		n, err := strconv.Atoi(s[:i])
		if err != nil || n < 0 || n > 3650 {
			return bad()
		}
		days, rest = n, s[i+1:]
	}
	d := time.Duration(days) * 24 * time.Hour
	if rest != "" {
		r, err := time.ParseDuration(rest)
		if err != nil {
			return bad()
		}
		d += r
	}
	if s == "" || d <= 0 {
		return bad()
	}
	return d, nil
}

// FormatDuration writes a duration as people read it: 1h, 1h30m, 45s.
func FormatDuration(d time.Duration) string {
	if d >= time.Minute || d <= -time.Minute {
		d = d.Round(time.Minute)
	} else {
		d = d.Round(time.Second)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
