#!/usr/bin/python3 -B
# The soak: mixed threads, forks, dlopen and snapshots for HT_SOAK_SECONDS (default 30); every profile must be valid, totals
# must never go back, and at the end the exact count and the estimates must agree.
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, Test, read_counts  # noqa: E402

SECONDS = float(os.environ.get("HT_SOAK_SECONDS", "30"))
RATE = 16384

with Test("soak") as test:
    out, count = test.new_folder("out"), test.path("count")
    host = test.start([BUILD + "/soak_prog", BUILD + "/e2e/libplugin_a.so"],
                      test.shim(out, count, rate=RATE, keep=20, interval="2s", memory="16M"), stdout=subprocess.PIPE)
    end, snapshots, last = time.monotonic() + SECONDS, 0, [0, 0]
    while time.monotonic() < end and host.poll() is None:
        time.sleep(random.uniform(0, 0.2))
        if random.random() < 0.5:
            os.kill(host.pid, signal.SIGUSR2)
            continue
        done = test.heaptap("snap", "-o", out, host.pid)
        snapshots += 1
        if not test.need(done.returncode == 0, "heaptap snap: status %d, %s", done.returncode, done.errors):
            break
        path = done.output.strip()
        totals = test.profile(path if os.path.exists(path) else os.path.join(out, path)).totals()
        test.need(totals[0] >= last[0] and totals[1] >= last[1], "totals went back from %s to %s", last, totals[:2])
        last = totals[:2]
        health = test.heaptap("ps", host.pid)
        test.need(health.returncode == 0, "heaptap ps: %s", health.errors)
    test.need(host.poll() is None, "the host ended with status %s", host.returncode)
    host.terminate()
    test.need(host.wait(120) == 0, "the host's status is %s", host.returncode)
    for path in test.files(out):
        test.profile(path)
    mine = [c for c in read_counts(count) if c.pid == host.pid]
    final = [test.profile(p) for p in test.files(out, "exit", host.pid)]
    test.need(len(mine) == 1 and len(final) == 1, "no final figures: %d counts, %d exit profiles", len(mine), len(final))
    if mine and final:
        print("  comments:", *[c for c in final[0].comments if "drop" in c or "thin" in c or "unmatched" in c])
        test.hold("soak, %d snapshots" % snapshots, final, mine, max(RATE, final[0].period))
