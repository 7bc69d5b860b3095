#!/usr/bin/python3 -B
# go tool pprof reads every file: each report it has, for each sample type, and its figures are those in the file.
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, TYPES, Test, clean_environment, need_program  # noqa: E402

GO, = need_program("go")
need_program("dot")
UNITS = {"": 1, "B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def pprof(*arguments, ok=True):
    env = clean_environment(HOME=test.folder, PPROF_TMPDIR=test.folder, GOFLAGS="-mod=mod", GO111MODULE="off")
    done = test.run([GO, "tool", "pprof"] + list(arguments), env)
    if ok:
        test.need(done.returncode == 0 and done.output, "pprof %s: status %d, %s", " ".join(arguments), done.returncode,
                  done.errors[-400:])
    return done.output


def raw_totals(path):
    """The sums of the sample values as pprof -raw prints them."""
    text = pprof("-symbolize=none", "-raw", path)
    sums, in_samples = [0] * 4, False
    for line in text.splitlines():
        if line.startswith("Samples:"):
            in_samples = True
        elif line.startswith("Locations"):
            break
        elif in_samples:
            match = re.match(r"^\s*(-?\d+)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+):", line)
            if match:
                sums = [s + int(v) for s, v in zip(sums, match.groups())]
    return sums


def reads(title, path):
    profile = test.profile(path)
    totals = profile.totals()
    test.need(raw_totals(path) == totals, "%s: pprof -raw adds up to %s, the file to %s", title, raw_totals(path), totals)
    for kind, total in zip(TYPES, totals):
        text = pprof("-top", "-unit=" + ("B" if kind.endswith("space") else "count"), "-sample_index=" + kind, path)
        test.need("Type: " + kind in text, "%s: -top says %r", title, text[:100])
        match = re.search(r"of ([0-9.]+)([a-zA-Z]*) total", text)
        test.need(bool(match) and int(float(match[1])) == total, "%s: -top %s total %s, the file has %d", title, kind,
                  match and match[0], total)
    test.need("Type: inuse_space" in pprof("-top", path), "%s: the default sample type", title)
    for option in ("-peek=.", "-tree", "-traces", "-tags", "-comments", "-dot", "-svg", "-proto", "-text", "-callgrind"):
        target = test.path("out" + option.strip("-=."))
        done = test.run([GO, "tool", "pprof", option, "-output", target, path], clean_environment(HOME=test.folder))
        test.need(done.returncode == 0 and os.path.getsize(target) > 0, "%s: pprof %s: status %d, %s", title, option,
                  done.returncode, done.errors[-400:])
    with open(test.path("outsvg")) as file:
        test.need("</svg>" in file.read(), "%s: -svg is no picture", title)
    test.need(raw_totals(test.path("outproto")) == totals, "%s: -proto does not give the same figures", title)
    return profile


with Test("pprof") as test:
    out = test.new_folder("out")
    # The demo server: names, files and lines, by go's own DWARF reader.
    server = test.start([BUILD + "/demo_server"], test.shim(out, rate="4K"), stdout=subprocess.PIPE)
    server.stdout.readline()

    def leaked():
        shown = test.heaptap("top", "-unit=B", "-sample_index=inuse_space", server.pid).output
        return sum(int(bytes) for bytes in re.findall(r"^ *(\d+)B .* open_session$", shown, re.M))

    before = 0
    for count in (1, 2):
        test.wait_for(lambda: leaked() > before + (256 << 10), "more is leaked")
        before = leaked()
        os.kill(server.pid, signal.SIGUSR2)
        test.wait_for(lambda: len(test.files(out, "signal")) >= count, "signal profile %d of demo_server" % count)
    server.terminate()
    test.need(server.wait(240) == 0, "demo_server: status %s", server.returncode)
    files = test.files(out)
    test.need(len(files) == 3, "demo_server: files %s", files)
    for path in files:
        reads(os.path.basename(path), path)
    if len(files) == 3:
        listing = pprof("-list=open_session", "-sample_index=inuse_space", files[1])
        test.need("demo_server.c" in listing and "malloc(HISTORY_BYTES)" in listing,
                  "-list=open_session shows no source: %s", listing[:400])
        test.need("open_session" in pprof("-peek=open_session", files[1]), "-peek=open_session")
        difference = pprof("-top", "-sample_index=inuse_space", "-diff_base", files[0], files[1])
        rows = [l for l in difference.splitlines() if re.search(r"%\s+(\S+%\s+)*\S", l) and "Showing" not in l]
        test.need(any("open_session" in r and not r.strip().startswith("-") for r in rows), "the leak is missing: %s",
                  difference)
        same = pprof("-top", "-diff_base", files[0], files[0])
        test.need("accounting for 0, 0%" in same, "a profile against itself: %s", same)
        sample = test.profile(files[1])
        program = sample.mappings[0]
        test.need(sample.string(program[5]).endswith("/demo_server"), "first mapping is %s", sample.string(program[5]))
        note = test.run(["readelf", "-n", BUILD + "/demo_server"]).output
        build_id = re.search(r"Build ID: ([0-9a-f]+)", note)
        test.need(build_id and sample.string(program[6]) == build_id[1], "build id %s, readelf says %s",
                  sample.string(program[6]), build_id and build_id[1])
        segment = [l for l in test.run(["readelf", "-lW", BUILD + "/demo_server"]).output.splitlines()
                   if "LOAD" in l and " R E " in l][0].split()
        test.need(program[4] == int(segment[1], 16) & ~4095, "file offset %#x, readelf says %s", program[4], segment[1])

    # An empty profile, a program without debug info, one of rate 1 with many stacks.
    empty = test.new_folder("empty")
    host = test.start([BUILD + "/e2e/host", "poll"], test.shim(empty, rate="65536G"), stdout=subprocess.PIPE)
    host.stdout.readline()
    os.kill(host.pid, signal.SIGUSR2)
    test.wait_for(lambda: test.files(empty), "the empty profile")
    for path in test.files(empty):
        test.need(test.profile(path).samples == [], "not empty")
        test.need("Type: inuse_space" in pprof("-top", path), "pprof does not read an empty profile")
        test.need("heaptap" in pprof("-comments", path), "no comments in an empty profile")
    stripped = test.new_folder("stripped")
    test.run(["cat", "/etc/passwd"], test.shim(stripped, rate=1))
    for path in test.files(stripped):
        reads("cat", path)
    test.need(test.files(stripped), "no profile of cat")
