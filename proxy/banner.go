package proxy

import (
	"strings"

	"golang.org/x/crypto/ssh"
)

// banner returns what is shown to a client before its sign-in, its lines ended
// as RFC 4252, 5.4 wants them. One that came by a jump has seen it.
func (c *conn) banner(ssh.ConnMetadata) string {
	if c.srv.Banner == nil || c.jump != nil {
		return ""
	}
	text := strings.TrimRight(c.srv.Banner(), "\n")
	if text == "" {
		return ""
	}
	return strings.ReplaceAll(text, "\n", "\r\n") + "\r\n"
}
