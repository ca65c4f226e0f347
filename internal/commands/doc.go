// Package commands holds the judge to its promise: a table of command lines,
// each typed at a real bash, zsh, fish or dash under a real terminal, by a person
// who may know all the tricks.
//
// It is all tests. A forbidden case does damage where nothing judges, and must be
// refused where the judge does. An innocent case must do exactly what its user
// wanted. A miss is known and documented: it is shown, not counted.
//
// TestDirect puts the judge between a person and a shell in one process; it is
// for work on the judge. TestGateway is the whole way: stock ssh -tt in a
// terminal, the gateway, an OpenSSH sshd, a login shell. Both run a part of the
// table; COMMANDS_ALL=1, or a -run that names cases, runs all of it:
//
//	go test ./internal/commands -run 'TestDirect/forbidden/bash:_plain$'
//
// COMMANDS_RUNS=10 repeats each case. COMMANDS_LATENCY=0,120ms adds so much to
// each round trip between judge and shell. COMMANDS_PARALLEL=4 runs so many cases
// at once. COMMANDS_TABLE=FILE writes what came out as a table, TestGateway -update
// writes it to docs/command-cases.md. make test-commands does all of this.
package commands
