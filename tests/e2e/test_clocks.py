#!/usr/bin/python3 -B
"""The clock is set back and forth while a program runs, and while the command looks at it: the program fares as it does bare,
no profile is lost or is garbled, and no wait is endless. support/faulting.c takes the vdso away and answers what the clocks
say, for the shim's looks alone or for the command's."""
import atexit
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, COMMAND, Test, clean_environment  # noqa: E402

FAULTING = BUILD + "/faulting"
HOST, STAYS = BUILD + "/e2e/refused_host", BUILD + "/e2e/host"
YEAR = 365 * 86400
# Seconds that each look is off by, in turn. The monotonic clock never goes back, they say; kernels and hypervisors have had
# it jump.
REAL = {"a year ahead": [YEAR], "a year ago": [-YEAR], "before 1970": [-100 * YEAR], "beyond 2262": [300 * YEAR],
        "back and forth": [0, YEAR, -YEAR, 1, -1]}
MONOTONIC = {"ahead": [YEAR], "at 0": [-100 * YEAR], "back and forth": [0, 2, -1, 3, 0], "far back and forth": [0, YEAR, 5, -YEAR]}


def turned(clock, offsets):
    return ["-t", "%d:%s" % (clock, ",".join(map(str, offsets)))]


def kinds_of(name, clock):
    """Snapshots at exit alone, and where clocks go back and forth also those whose times are reckoned with. Not an interval
    by a clock that leaps over it at each look."""
    yield "exit", {}
    if "back" in name and clock == 0:
        yield "interval", {"interval": "10ms", "keep": 3}
    if "back" in name:
        yield "growth", {"growth": "2K"}


def under_the_shim():
    bare = test.run([HOST, "few"], clean_environment())
    sizes = None
    clocks = [("nothing turned", 0, [0])]
    clocks += [("real time " + name, 0, offsets) for name, offsets in REAL.items()]
    clocks += [("monotonic time " + name, 1, offsets) for name, offsets in MONOTONIC.items()]
    for name, clock, offsets in clocks:
        for kind, variables in kinds_of(name, clock):
            title = "%s, %s" % (name, kind)
            out = test.new_folder(title)
            done = test.run([FAULTING, "-o", "libheaptap.so"] + turned(clock, offsets) + ["--", HOST, "few"],
                            test.shim(out, rate=1, **variables), timeout=400)
            said = [line for line in done.errors.splitlines() if line.startswith("heaptap: ")]
            test.need(len(said) <= 2 and (clock == 1 or not said), "%s: %s", title, said)
            done.errors = "".join(line for line in done.errors.splitlines(True) if not line.startswith("heaptap: "))
            test.same(title, bare, done)
            profiles = [test.profile(path) for path in test.files(out)]
            exits = sorted(profile.totals()[0] for profile in profiles if profile.trigger == "exit")
            # Deadlines go by the monotonic clock: they pass when it runs away.
            sizes = sizes or exits
            test.need(len(exits) == 2 and exits == sizes or clock == 1, "%s: exit profiles of %s objects, else %s", title, exits, sizes)
            test.need(kind != "growth" or clock == 1 or len(profiles) > 2, "%s: %d profiles", title, len(profiles))


def under_the_command():
    out, live = test.new_folder("out"), tempfile.mkdtemp(prefix="heaptap-clocks.", dir="/dev/shm")
    atexit.register(shutil.rmtree, live, True)
    hosts = [test.start([STAYS, "poll"], test.shim(out, rate=1, live=live), stdout=subprocess.PIPE) for _ in range(2)]
    for host in hosts:
        host.stdout.readline()
    hosts[1].send_signal(signal.SIGKILL)
    hosts[1].wait()
    dead = glob.glob(live + "/heaptap.host.%d.*.live" % hosts[1].pid)[0]
    commands = (["ps", hosts[0].pid, "--over", "10ms"], ["top", hosts[0].pid], ["snap", hosts[0].pid, "-o", out],
                ["snap", dead, "-o", out], ["doctor", dead], ["run", "-o", out, "--", STAYS, "return"])
    turns = [(0, name, REAL[name]) for name in ("before 1970", "beyond 2262", "back and forth")]
    turns += [(1, name, MONOTONIC[name]) for name in ("at 0", "far back and forth")]
    for clock, name, offsets in turns:
        for words in commands:
            title = "%s, clock %d %s" % (words[:2], clock, name)
            done = test.run([FAULTING] + turned(clock, offsets) + ["--", COMMAND] + [str(word) for word in words],
                            clean_environment(XDG_CACHE_HOME=test.path("cache")), timeout=400)
            test.need(done.returncode == (7 if words[0] == "run" else 0), "%s: status %d, %s", title, done.returncode, done.errors)
            test.need(not re.search(r"\bnan\b", done.output), "%s: %s", title, done.output)
            if words[0] == "snap" and test.need(done.output, "%s: no profile", title):
                test.need(test.profile(done.output.strip()).totals()[3] >= 2000000, "%s: %s", title, done.output)
    for path in test.files(out):
        test.profile(path)


with Test("clocks") as test:
    if subprocess.run([FAULTING, "--", "/bin/true"], stdout=subprocess.DEVNULL).returncode == 77:
        print("SKIPPED: no clock can be turned here")
        sys.exit(77)
    under_the_shim()
    under_the_command()
