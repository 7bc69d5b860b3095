#!/usr/bin/python3 -B
# The bench: bare, empty shim, heaptap and others side by side, separate processes run alternately; prints tables.
#
# Every round runs every variant once, in an order that is rotated each round, pinned to the last cores; the table
# shows the fastest round and the median over rounds of the ratio to the empty shim *of the same round*, which
# neither drift nor a slow start of the machine can move. Nothing here passes or fails: figures are for reading.
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD  # noqa: E402

ROUNDS = int(os.environ.get("HT_BENCH_ROUNDS", "11"))
JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
HEAPTRACK = "/usr/lib/heaptrack/libheaptrack_preload.so"
CORES = sorted(os.sched_getaffinity(0))


def variants(out):
    rows = {
        "bare": {},
        "empty": {"LD_PRELOAD": "%s/libempty_shim.so" % BUILD},
        "heaptap": {"LD_PRELOAD": "%s/libheaptap.so" % BUILD, "HEAPTAP_OUT": out, "HEAPTAP_EXIT": "0"},
    }
    if os.path.exists(JEMALLOC):
        rows["jemalloc"] = {"LD_PRELOAD": JEMALLOC}
        rows["jemalloc prof"] = {"LD_PRELOAD": JEMALLOC, "MALLOC_CONF": "prof:true,prof_active:true,lg_prof_sample:19"}
    if os.path.exists(HEAPTRACK):
        rows["heaptrack"] = {"LD_PRELOAD": HEAPTRACK, "DUMP_HEAPTRACK_OUTPUT": "/dev/null"}
    return rows


def run(environment, command, cores):
    env = {k: v for k, v in os.environ.items() if not k.startswith("HEAPTAP_")}
    env.update(environment)
    done = subprocess.run(["taskset", "-c", ",".join(str(c) for c in cores), "env"] +
                          ["%s=%s" % item for item in environment.items()] + command,
                          env={k: v for k, v in env.items() if k not in environment},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit("bench: %s failed: %s" % (" ".join(command), done.stderr))
    return done


def table(title, rows, command, threads):
    cores = CORES[-threads:]
    times = {name: [] for name in rows}
    names = list(rows)
    for i in range(ROUNDS):
        turn = i % len(names)
        for name in names[turn:] + names[:turn]:
            times[name].append(float(run(rows[name], command, cores).stdout))
    for name in names:
        ratios = [t / e for t, e in zip(times[name], times["empty"])]
        print("%-22s %-14s %9.2f ns %9.3f x" % (title, name, min(times[name]), statistics.median(ratios)), flush=True)
    return times


def instructions(mode, environment, out):
    """Instructions for one operation: two counts of callgrind, so that start and end cancel."""
    totals = []
    for operations in (20000, 120000):
        done = run(environment, ["valgrind", "--tool=callgrind", "--callgrind-out-file=%s/callgrind" % out,
                                 "%s/bench_pairs" % BUILD, mode, "1", str(operations)], CORES[-1:])
        totals.append(int(next(l for l in done.stderr.splitlines() if "Collected" in l).split(":")[1]))
    return (totals[1] - totals[0]) / 100000


def main():
    out = tempfile.mkdtemp(prefix="heaptap-bench.")
    rows = variants(out)
    try:
        print("rounds %d; fastest round; median ratio to the empty shim of the same round" % ROUNDS)
        for mode in ("pair16", "pair64", "pair1024", "ring64", "realloc", "calloc64"):
            table(mode + ", 1 thread", rows, ["%s/bench_pairs" % BUILD, mode, "1"], 1)
        if len(CORES) > 1:
            for mode in ("pair64", "ring64"):
                table(mode + ", 2 threads", rows, ["%s/bench_pairs" % BUILD, mode, "2"], 2)
        exact = {"bare": {}, "empty": rows["empty"], "heaptap": dict(rows["heaptap"], HEAPTAP_RATE="1")}
        if "heaptrack" in rows:
            exact["heaptrack"] = rows["heaptrack"]
        for frames in ("25", "100"):
            times = table("sample, %s frames" % frames, exact, ["%s/bench_sample" % BUILD, frames], 1)
            cost = [h - e for h, e in zip(times["heaptap"], times["empty"])]
            print("%-22s a warm sample with its free costs %.0f ns (fastest round), %.0f ns (median)" %
                  ("", min(cost), statistics.median(cost)))
        if shutil.which("valgrind"):
            for mode in ("pair16", "pair64", "ring64", "realloc", "calloc64"):
                counts = {n: instructions(mode, rows[n], out) for n in ("bare", "empty", "heaptap")}
                print("%-22s instructions an operation: " % mode +
                      ", ".join("%s %.1f" % item for item in counts.items()), flush=True)
    finally:
        shutil.rmtree(out, ignore_errors=True)


if __name__ == "__main__":
    main()
