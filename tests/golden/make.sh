#!/bin/bash
# Makes profiles/ with Go, heaptap and odd.py, and expected*/ with `go tool pprof`, anew. Needs Go 1.19 (Debian's golang-go),
# redis-server and a build of heaptap (HT_BUILD). Commit all of it together. `make.sh expected` leaves profiles/ alone.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${HT_BUILD:-$here/../../build}" && pwd)

record() { # NAME PROGRAM ARGUMENTS...: leaves $written; stores it with names
    local name=$1
    shift
    rm -rf "$place/out"
    HEAPTAP_OUT=$place/out HEAPTAP_LABELS=thread HEAPTAP_SEED=1 LD_PRELOAD=$build/libheaptap.so "$@" > /dev/null
    written=$(echo "$place"/out/*.exit.pb.gz)
    "$build/heaptap" proto -o "$here/profiles/$name.pb.gz" "$written" 2> /dev/null
}

make_profiles() {
    place=/srv/golden # its name stands in the profiles
    mkdir -p "$place" "$here/profiles"
    trap 'rm -rf "$place"' EXIT
    export GO111MODULE=off GOCACHE=$place/cache
    cp "$here"/program.* "$place/"
    (cd "$place" && go build -trimpath -o demo program.go && ./demo)
    cp "$place"/*.pb.gz "$here/profiles/"
    (cd "$place" && g++ -std=c++17 -O2 -g -o native program.cpp -pthread)
    HEAPTAP_RATE=16K record native "$place/native"
    "$build/heaptap" proto --symbolize=none -o "$here/profiles/native-addresses.pb.gz" "$written"
    HEAPTAP_RATE=256K record python /usr/bin/python3 -c 'import json, re; x = [str(i) * 9 for i in range(60000)]; json.dumps(x)'
    redis_script=$'local n = 0 for i = 1, 30000 do redis.call("set", "key" .. i, string.rep("x", i % 200)) end'
    redis_script+=$' redis.call("hset", "h", "a", 1) for i = 1, 5000 do redis.call("rpush", "list", i) end return 1'
    HEAPTAP_RATE=128K record redis sh -c 'redis-server --port 0 --unixsocket '"$place"'/socket --save "" &
        for i in 1 2 3 4 5 6 7 8 9; do sleep 0.3; LD_PRELOAD= redis-cli -s '"$place"'/socket ping && break; done
        LD_PRELOAD= redis-cli -s '"$place"'/socket eval "$1" 0
        LD_PRELOAD= redis-cli -s '"$place"'/socket shutdown nosave; wait' sh "$redis_script"
    python3 -B "$here/odd.py"
}

[ "${1:-}" = expected ] || make_profiles
python3 -B "$here/test_golden.py" --store
python3 -B "$here/test_graph.py" --store
