#!/usr/bin/python3 -B
"""A region is written to while the command reads it: each command ends by itself, with a report or a line that says why not,
and what it writes is whole. HT_COMMAND: another build of the command (with sanitizers, for one)."""
import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, COMMAND, Test, clean_environment, terminate  # noqa: E402

HEAPTAP = os.environ.get("HT_COMMAND") or COMMAND
ROUNDS = int(os.environ.get("HT_ROUNDS", "6"))


def look(words):
    done = test.run([HEAPTAP] + [str(word) for word in words], clean_environment(XDG_CACHE_HOME=test.path("cache")), timeout=120)
    lines = done.errors.splitlines()
    told = [line for line in lines if not line.startswith("heaptap: warning: ")]
    test.need(done.returncode in (0, 1), "%s: status %d, %s", words, done.returncode, done.errors[-2000:])
    test.need(all(line.startswith("heaptap: ") for line in lines), "%s: %s", words, done.errors[-2000:])
    test.need(done.returncode == 0 or len(told) == 1 or words[0] == "doctor", "%s: status %d and %s", words, done.returncode, lines)
    return done.returncode == 0


with Test("region changed") as test:
    out = test.new_folder("out")
    host = test.start([BUILD + "/e2e/host", "poll"], test.shim(out, rate=1, signal="none", exit=0), stdout=subprocess.PIPE)
    host.stdout.readline()
    path = glob.glob("/dev/shm/heaptap.host.%d.*.live" % host.pid)[0]
    storms = [test.start([BUILD + "/e2e/region_storm", path, str(seed)], stdout=subprocess.PIPE) for seed in (12345, 67891)]
    for storm in storms:
        storm.stdout.readline()
    commands = (["ps", host.pid, "--over", "0"], ["ps", "-v", host.pid, "--over", "1ms"], ["top", host.pid], ["top", path],
                ["raw", path], ["proto", "-o", out + "/proto", path], ["comments", path], ["snap", host.pid, "-o", out],
                ["snap", path, "-o", out], ["doctor", host.pid], ["doctor", path], ["diff", path, path])
    good = sum(look(words) for _ in range(ROUNDS) for words in commands)
    for storm in storms:
        terminate(storm)
    test.need(good > ROUNDS, "hardly anything could be read: %d of %d", good, ROUNDS * len(commands))
    print("  %d of %d looks brought a report" % (good, ROUNDS * len(commands)))
    for name in test.files(out):
        done = test.run([HEAPTAP, "top", name], clean_environment(XDG_CACHE_HOME=test.path("cache")))
        test.need(done.returncode == 0, "%s: %s", name, done.errors)
    test.need(host.poll() is None, "the host ended")
