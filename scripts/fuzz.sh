#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME (20s), one after the other.
set -euo pipefail

cd "$(dirname "$0")/.."
found=0
while read -r dir pkg; do
	for f in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | cut -d' ' -f2); do
		found=1
		echo "== $pkg $f"
		"${GO:-go}" test -run '^$' -fuzz "^$f\$" -fuzztime "${FUZZTIME:-20s}" "$pkg"
	done
done < <("${GO:-go}" list -f '{{.Dir}} {{.ImportPath}}' ./...)
if [ "$found" -eq 0 ]; then
	echo "no fuzz target found" >&2
	exit 1
fi
