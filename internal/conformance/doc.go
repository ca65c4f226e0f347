// Package conformance holds real clients to promise 7: what a user sees through
// the gateway is what they see directly.
//
// It is all tests. Each client of the table in clients_test.go runs once for
// each way to the same account of the same sshd: straight, by the name
// account+target@gate, by the jump. What it shows, how it exits, and what it
// leaves on both sides must be the same on every way.
package conformance
