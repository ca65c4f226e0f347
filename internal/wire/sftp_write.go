package wire

import "encoding/binary"

// Append appends the packet with its length. The payload of SFTPWrite is for
// the caller to append.
func (q SFTPRequest) Append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, q.Type)
	dst = binary.BigEndian.AppendUint32(dst, q.ID)
	schema := requests[q.Type]
	switch q.Type {
	case SFTPWrite:
		dst = appendString(dst, q.Handle)
		dst = binary.BigEndian.AppendUint64(dst, q.Offset)
		dst = binary.BigEndian.AppendUint32(dst, uint32(q.Length))
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4)+uint32(q.Length))
		return dst
	case SFTPExtended:
		dst = appendString(dst, q.Extension)
		schema = extensions[q.Extension]
	}
	for _, field := range schema {
		switch field {
		case 'p', 'q':
			dst = appendString(dst, q.Path)
		case 't', 'u':
			dst = appendString(dst, q.To)
		case 'h':
			dst = appendString(dst, q.Handle)
		case 'H':
			dst = appendString(dst, q.ToHandle)
		case 'o':
			dst = binary.BigEndian.AppendUint64(dst, q.Offset)
		case 'O':
			dst = binary.BigEndian.AppendUint64(dst, q.ToOffset)
		case 'l':
			dst = binary.BigEndian.AppendUint64(dst, q.Length)
		case 'n':
			dst = binary.BigEndian.AppendUint32(dst, uint32(q.Length))
		case 'f':
			dst = binary.BigEndian.AppendUint32(dst, q.Flags)
		case 'a':
			dst = q.Attrs.append(dst)
		}
	}
	dst = append(dst, q.Rest...)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// AppendSFTPStatus appends an SFTPStatus with its length.
func AppendSFTPStatus(dst []byte, id, code uint32, message string) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(1+4+4+4+len(message)+4))
	dst = binary.BigEndian.AppendUint32(append(dst, SFTPStatus), id)
	dst = binary.BigEndian.AppendUint32(dst, code)
	return appendString(appendString(dst, message), "")
}

func appendString(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}

func (a FileAttrs) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, a.Flags)
	if a.Flags&AttrSize != 0 {
		dst = binary.BigEndian.AppendUint64(dst, a.Size)
	}
	if a.Flags&AttrUIDGID != 0 {
		dst = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, a.UID), a.GID)
	}
	if a.Flags&AttrPermissions != 0 {
		dst = binary.BigEndian.AppendUint32(dst, a.Permissions)
	}
	if a.Flags&AttrTimes != 0 {
		dst = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, a.Atime), a.Mtime)
	}
	if a.Flags&AttrExtended != 0 {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(a.Extended)/2))
		for _, s := range a.Extended {
			dst = appendString(dst, s)
		}
	}
	return dst
}
