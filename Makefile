GO ?= go
export GO

.PHONY: demo build test test-commands prepare lint fmt bench fuzz clean

# The whole gateway on loopback, in a temporary directory; nothing is installed.
demo: build
	bin/sallyport demo

build:
	$(GO) build -o bin/sallyport ./cmd/sallyport

# Everything. A part that is missing is installed or an error, never skipped. The
# conformance suite keeps both cores busy by itself, so it comes late; last a part
# of the table of command lines.
test: prepare lint
	$(GO) test -race -timeout 9m $$($(GO) list ./... | grep -vE '/(conformance|commands)$$')
	$(GO) test -race -timeout 20m -p 1 ./internal/conformance ./internal/commands

# The whole table of command lines, through the gateway; UPDATE=1 writes
# docs/command-cases.md, RUNS=10 repeats each case.
test-commands: prepare
	mkdir -p bin
	rm -f bin/command-cases.md
	COMMANDS_ALL=1 COMMANDS_RUNS=$${RUNS:-1} COMMANDS_LATENCY=$${LATENCY:-0,120ms} COMMANDS_TABLE=$(CURDIR)/bin/command-cases.md \
		$(GO) test -count=1 -timeout 3h -run 'TestTable|TestGateway' ./internal/commands -args $${UPDATE:+-update}; \
		status=$$?; cat bin/command-cases.md; exit $$status

prepare:
	scripts/prepare.sh

lint:
	scripts/lint.sh

fmt:
	$(GO) tool -modfile=internal/tools/go.mod gofumpt -w .

bench: prepare
	$(GO) run ./internal/bench

# FUZZTIME=20s for each target.
fuzz:
	scripts/fuzz.sh

clean:
	rm -rf bin
