// Package transfer understands file transfers in flight: which files move, which
// way, with which content, and whether a role's rules allow it.
//
// A stream of this package stands in the middle of one channel. Both directions
// are handed to it as they arrive, and it passes them on: content at once,
// everything else when it has been judged. docs/files.md says what is seen and
// what is enforced.
package transfer

import "sallyport/transfer/stream"

// The words of package stream, for those who use this one.
type (
	Config        = stream.Config
	Copy          = stream.Copy
	Stream        = stream.Stream
	ConfusedError = stream.ConfusedError
)
