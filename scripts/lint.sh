#!/usr/bin/env bash
# gofumpt, go vet and staticcheck, in the versions of internal/tools/go.mod.
set -euo pipefail

cd "$(dirname "$0")/.."
go=${GO:-go}
tool=("$go" tool -modfile=internal/tools/go.mod)

unformatted=$("${tool[@]}" gofumpt -l .)
if [ -n "$unformatted" ]; then
	echo "not formatted, run make fmt:" >&2
	echo "$unformatted" >&2
	exit 1
fi
"$go" vet ./...
"${tool[@]}" staticcheck ./...
