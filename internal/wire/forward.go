package wire

// Direct is the payload of a direct-tcpip channel (RFC 4254, section 7.2), and
// of a forwarded-tcpip one, where Host and Port are those that were listened on.
type Direct struct {
	Host     string
	Port     uint32
	From     string // the originator's address
	FromPort uint32
}

// ParseDirect reads the payload of direct-tcpip and forwarded-tcpip.
func ParseDirect(payload []byte) (Direct, error) {
	var d Direct
	return d, unmarshal(payload, &d)
}
