#!/usr/bin/python3 -B
"""Standard errors as `heaptap top` prints them, against what is known by construction (truth_prog.c): for the blocks that a
program holds, that it ever made, and for the difference of two snapshots, over many seeds.

For a kind of site the mean of (estimate - truth)^2 is held against the mean of error^2. For N values of about n P samples
each the first has a relative error of sqrt((2 + 1/(n P)) / N); 5 of them are allowed, and 0.05 for the error's own.
"""
import concurrent.futures
import gzip
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, COMMAND, Test, clean_environment  # noqa: E402

RATE, SEEDS, SITES = 65536, 60, 4
BLOCKS = {100: (12000, 8000), 4096: (600, 400), 65536: (120, 80)}  # size: made, kept


def run(test, seed):
    """A snapshot half way and one at the end."""
    out = test.new_folder("out%d" % seed)
    words = ["%d:%d:%d:%d" % (size, made, kept, SITES) for size, (made, kept) in BLOCKS.items()]
    process = subprocess.Popen([BUILD + "/truth_prog", "1", "pause"] + words, text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env=test.shim(out, rate=str(RATE), seed=str(seed)))
    process.stdout.readline()
    time.sleep(0.03)  # births are told in quanta of 10 ms: what was born in the one of the snapshot is not known to survive
    snap = test.heaptap("snap", process.pid)
    process.communicate("go\n", timeout=120)
    files = sorted(os.path.join(out, name) for name in os.listdir(out) if name.endswith(".pb.gz"))
    if process.returncode or snap.returncode or len(files) != 2:
        raise RuntimeError("seed %d: %s, %s, %s" % (seed, process.returncode, snap.errors, files))
    return files


def rows(test, *words):
    done = test.heaptap("top", "--json", "--no-trim", *words)
    if done.returncode:
        raise RuntimeError("top %s: %s" % (words, done.errors))
    return {row["name"]: row for row in json.loads(done.output)["rows"]}


def look(test, seed):
    """(case, size, estimate, truth, error) of each site."""
    old, new = run(test, seed)
    found = []
    for case, words, part in (("inuse_space", (new,), 1), ("inuse_objects", (new,), 1), ("alloc_space", (new,), 1),
                              ("alloc_objects", (new,), 1), ("inuse_space", ("--base", old, new), 0.5),
                              ("inuse_objects", ("--base", old, new), 0.5), ("alloc_space", ("--base", old, new), 0.5)):
        by_name = rows(test, "--sample-index", case, *words)
        for size, (made, kept) in BLOCKS.items():
            truth = part * (made if case.startswith("alloc") else kept) * (size if case.endswith("space") else 1)
            for letter in "abcd":
                row = by_name.get("site_%d_%s" % (size, letter), {"flat": 0, "flat_error": 0})
                found.append((case + (" since half" if part < 1 else ""), size, row["flat"], truth, row["flat_error"]))
    return found


def judge(test, values):
    cells = {}
    for case, size, estimate, truth, error in values:
        cells.setdefault((case, size), []).append((estimate - truth, error, truth))
    for (case, size), cell in sorted(cells.items()):
        squares = sum(difference ** 2 for difference, _, _ in cell) / len(cell)
        stated = sum(error ** 2 for _, error, _ in cell) / len(cell)
        samples = cell[0][2] / (size if "space" in case else 1) * -math.expm1(-size / RATE)
        allowed = 5 * math.sqrt((2 + 1 / samples) / len(cell)) + 0.05
        test.need(stated > 0 and abs(squares / stated - 1) <= allowed,
                  "%s, %d bytes: errors of %.6g, stated %.6g; %.0f %% are allowed", case, size, math.sqrt(squares),
                  math.sqrt(stated), 100 * allowed)


def varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def without_field(path, out):
    """The same profile without field 1000; True: it had one."""
    with gzip.open(path) as file:
        data = file.read()
    kept, at, had = b"", 0, False
    while at < len(data):
        start = at
        key, at = varint(data, at)
        length, at = varint(data, at)
        at += length if key & 7 == 2 else 0
        had = had or key >> 3 == 1000
        kept += data[start:at] if key >> 3 != 1000 else b""
    with gzip.open(out, "wb") as file:
        file.write(kept)
    return had


with Test("errors") as test:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda seed: look(test, seed), range(1, SEEDS + 1)))
    judge(test, [value for result in results for value in result])

    old, new = run(test, 100)
    text = test.heaptap("top", new).output
    test.need(re.search(r"accounting for [\d.]+[kM]B ±\d+(\.\d+)?, .* of [\d.]+[kM]B ±\d+(\.\d+)? total", text), "the head: %s", text)
    lines = text.split("cum%\n")[1].splitlines()
    test.need(len({line.index("%") for line in lines}) == 1, "columns are not aligned:\n%s", text)
    test.need(all(re.match(r" *[\d.]+[kM]?B ±[\d.]+ ", line) for line in lines if "site_" in line), "rows:\n%s", text)
    plain = test.heaptap("top", "--no-error", new).output
    test.need("±" not in plain, "--no-error:\n%s", plain)
    test.need(re.sub(r" ±[\d.]+", "", text).split() == plain.split(), "another report:\n%s\n%s", text, plain)
    test.need("±" not in test.heaptap("top", "--mean", new).output, "an error of a mean")
    # Written again, the errors are the same, but for a float's precision.
    again = test.path("again.pb.gz")
    test.heaptap("proto", "-o", again, new)
    before, after = rows(test, new), rows(test, again)
    test.need(before.keys() == after.keys() and all(math.isclose(after[name]["flat_error"], row["flat_error"], rel_tol=1e-6)
                                                    for name, row in before.items()), "written again they differ: %s", after)
    # pprof does not see the field, and heaptap has no errors without it.
    bare, go = test.path("bare.pb.gz"), shutil.which("go")
    test.need(without_field(new, bare), "%s has no field 1000", new)
    if go:
        raw = [test.run([go, "tool", "pprof", "-symbolize=none", "-raw", path], clean_environment(HOME=test.folder, PPROF_TMPDIR=test.folder))
               for path in (new, bare)]
        test.need(raw[0].returncode == 0 and "Samples:" in raw[0].output and raw[0].output == raw[1].output, "pprof -raw: %s",
                  raw[0].errors)
    test.need("±" not in test.heaptap("top", bare).output, "errors of nothing")
    # At rate 1 nothing has an error, and no column is there for it.
    out = test.new_folder("exact")
    done = test.run([BUILD + "/truth_prog", "1", "plain", "100:2000:1000:4"], test.shim(out, rate="1"))
    exact, = test.files(out)
    test.need(done.returncode == 0 and "±" not in test.heaptap("top", exact).output, "rate 1 has errors")
    head = json.loads(test.heaptap("top", "--json", exact).output)
    test.need(head["total_error"] == 0 and all(row["flat_error"] == 0 for row in head["rows"]), "rate 1: %s", head)
    # On a terminal with colours what may as well be nothing is dim: here one or two samples of 100 bytes.
    out = test.new_folder("few")
    done = test.run([BUILD + "/truth_prog", "1", "plain", "100:4000:2000:1", "65536:600:400:1"],
                    test.shim(out, rate=str(RATE), seed="3"))
    few, = test.files(out)
    shown = test.run(["script", "-qec", "%s top --no-trim %s" % (COMMAND, few), "/dev/null"], clean_environment(TERM="xterm"))
    by_name = rows(test, few)
    for line in shown.output.splitlines():
        name = next((name for name in by_name if name in line.split()), None)
        if name:
            row = by_name[name]
            noise = 0 < abs(row["flat"]) < 1.96 * row["flat_error"]
            test.need(line.startswith("\033[2m") == noise, "%s is %sdim: %r", name, "not " if noise else "", line)
    test.need(shown.output.count("\033[2m") >= 1 and "site_65536_a" in shown.output, "nothing is dim: %r", shown.output)
