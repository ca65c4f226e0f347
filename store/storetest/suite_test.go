package storetest

import "testing"

func TestMemoryConforms(t *testing.T) {
	Run(t, func(*testing.T) Requests { return NewRequests() })
}
