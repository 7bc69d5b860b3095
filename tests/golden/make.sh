#!/bin/bash
# Makes profiles/ with Go and expected/ with `go tool pprof` anew; needs Go 1.19 (Debian's golang-go). Commit both together.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
place=/srv/golden # its name stands in the profiles
mkdir -p "$place"
trap 'rm -rf "$place"' EXIT
export GO111MODULE=off GOCACHE=$place/cache
cp "$here/program.go" "$place/"
(cd "$place" && go build -trimpath -o demo program.go && ./demo)
mkdir -p "$here/profiles" "$here/expected"
cp "$place"/*.pb.gz "$here/profiles/"
python3 "$here/odd.py"
rm -f "$here"/expected/*
cd "$here/profiles"
grep -v '^#' "$here/cases.txt" | while IFS='|' read -r name options profiles; do
    # shellcheck disable=SC2086 # options and profiles are lists
    TZ=UTC PPROF_BINARY_PATH=/nowhere go tool pprof -top $options $profiles \
        > "$here/expected/$(echo $name).txt" 2> /dev/null < /dev/null || echo "failed: $name" >&2
done
