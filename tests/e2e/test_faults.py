#!/usr/bin/python3 -B
"""Every system call of the shim fails, one at a time, at each place where it is made, with each error that it can have: the
program fares as it does bare, and what is left behind is whole.

HT_FAULTS=all tries everything (the target `faults`), else a part that is the same each time. Arguments: names of
scenarios; PLACE=WHAT repeats one fault, as a failure says it."""
import collections
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, FILE_NAME, SHIM, Test, clean_environment  # noqa: E402
from faults import FAULTING, fault, opening, read_log, sample, side_by_side, sticking, tries, wished  # noqa: E402
from heap_profile import BadProfile, Profile  # noqa: E402

HOST = BUILD + "/e2e/refused_host"
PATIENCE_S = 400
NOBODY = 1 << 23  # beyond pid_max
LEFTOVERS = 9  # of the dead: one more than may stay

# What a run is given beside the fault: arguments of the host, variables, faults that are there all the time, so that the
# ways around them are taken. Of a scenario those calls are tried that were not made in the ones before.
Scenario = collections.namedtuple("Scenario", "arguments variables always")
SCENARIOS = {
    "default": Scenario([], {}, []),
    "much": Scenario(["much"], {}, []),
    "small": Scenario(["much"], {"memory": "1M"}, []),
    "snapshots": Scenario(["few"], {"growth": "2K", "keep": 1, "labels": "thread"}, []),
    "no_folder": Scenario([], {"out": "missing/two", "log": "log", "verbose": 1}, []),
    "no_region": Scenario([], {"live": "off"}, []),
    "no_populate": Scenario(["few"], {}, [("*/madvise/0+", "EINVAL")]),
    "no_tmpfile": Scenario([], {}, [("*/linkat/0+", "EPERM")]),
    "no_renaming": Scenario([], {}, [("*/linkat/0+", "EPERM"), ("*/renameat2/0+", "EINVAL")]),
    "no_naming": Scenario([], {}, [("*/linkat/0+", "EPERM"), ("*/renameat2/0+", "EINVAL"), ("*/renameat/0+", "EPERM")]),
    "no_sending": Scenario([], {}, [("*/linkat/0+", "EPERM"), ("*/sendfile/0+", "EINVAL")]),
    "no_range": Scenario(["few"], {}, [("*/close_range/0+", "ENOSYS")]),
    "no_thread": Scenario(["few"], {}, [("*/clone/0+", "EAGAIN")]),
}


class Run:
    """One run of the host: what it said, which profiles it left, which calls were made."""

    def __init__(self, scenario, faults):
        self.faults = faults
        self.folder = tempfile.mkdtemp(dir=test.folder)
        self.live = tempfile.mkdtemp(prefix="heaptap-faults.", dir="/dev/shm")
        self.out = os.path.join(self.folder, str(scenario.variables.get("out", "out")))
        variables = dict(scenario.variables, log=os.path.join(self.folder, "log") if "log" in scenario.variables else "stderr")
        variables = {"rate": 1, "live": self.live, "seed": 7, **variables, "out": self.out}
        if "out" not in scenario.variables:
            os.mkdir(self.out)
        for name, head in planted.items():
            with open(os.path.join(self.live, name), "wb") as file:
                file.write(head)
        options = [word for pair in scenario.always + faults for word in ("-f", fault(*pair))]
        begin = time.monotonic()
        try:
            self.process = test.run([FAULTING, "-o", "libheaptap.so", "-l", self.folder + "/calls"] + options + ["--", HOST] +
                                    scenario.arguments, test.shim(variables.pop("out"), **variables), timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process = None
        self.seconds = time.monotonic() - begin
        self.calls, self.hit = read_log(self.folder + "/calls")
        self.said, self.profiles, self.wrong = [], {}, []

    def need(self, condition, text, *args):
        if not condition:
            self.wrong.append(text % args)

    def check(self, bare):
        """As bare, but for one line of ours from each process."""
        if self.process is None:
            self.wrong.append("it hangs")
            return
        lines = self.process.errors.splitlines()
        self.said = [line for line in lines if line.startswith("heaptap: ")]
        rest = [line for line in lines if not line.startswith("heaptap: ")]
        self.need(self.process.returncode == bare.returncode, "status %d, bare %d", self.process.returncode, bare.returncode)
        self.need(self.process.output == bare.output, "output %r, bare %r", self.process.output[-300:], bare.output[-300:])
        self.need(not rest, "standard error %r", rest[:5])
        self.need(len(self.said) <= 2, "more than a line from each process: %r", self.said[:5])
        self.check_files()

    def check_files(self):
        calls = {where.split("/")[1] for where, _ in self.faults}
        for name in os.listdir(self.out) if os.path.isdir(self.out) else ():
            if not FILE_NAME.match(name):
                self.need(calls & {"unlinkat"}, "%s is left", name)
                continue
            try:
                profile = Profile(os.path.join(self.out, name))
                profile.check()
                self.profiles[name] = profile
            except (BadProfile, EOFError, OSError, IndexError) as error:
                self.wrong.append("%s: %s" % (name, error))
        for name in planted:
            # Who is told that there is no such process is told that it has ended.
            if name.endswith("alive.live") and all(error != "ENOENT" for _, error in self.faults):
                self.need(os.path.exists(os.path.join(self.live, name)), "the region of a living process is gone")

    def exits(self):
        """Objects in the exit profiles, parent's and child's: allocated, in use."""
        return sorted((profile.totals()[0], profile.totals()[2]) for name, profile in self.profiles.items() if ".exit." in name)

    def end(self):
        shutil.rmtree(self.live, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def regions_of_others():
    """What the shim finds where its region is to be: those of dead processes, and an older one that lives, with its pid."""
    found, living = {}, None
    for life in ("alive", "dead"):
        live = tempfile.mkdtemp(prefix="heaptap-faults.", dir="/dev/shm")
        process = test.start([BUILD + "/e2e/host", "poll"], test.shim(test.folder, rate=1, live=live), stdout=subprocess.PIPE)
        process.stdout.readline()
        path = glob.glob(live + "/heaptap.*.live")[0]
        if life == "dead":
            process.send_signal(signal.SIGKILL)
            process.wait()
        living = living or process.pid
        with open(path, "rb") as file:
            head = file.read(65536)
        shutil.rmtree(live)
        for i in range(LEFTOVERS if life == "dead" else 1):
            # Of a number that nobody has: whose the file is, is looked up in it, and its number then.
            found["heaptap.host.%d.%015x%d.%s.live" % (NOBODY, 0, i, life)] = head
    return found, living


def repeat(name, faults):
    return "%s %s %s" % (os.path.relpath(__file__), name, " ".join("=".join(pair) for pair in faults))


def try_one(name, scenario, bare, clean, pair):
    run = Run(scenario, [pair])
    run.check(bare)
    # What is not in the profiles is said, there or by a line, or is in the region; where there was no memory to begin with
    # the program's calls are forwarded, and no more.
    left = glob.glob(run.live + "/heaptap.refused_host.*.live")
    counted = {key for profile in run.profiles.values() for key in profile.health()} - \
        {key for profile in clean.profiles.values() for key in profile.health()}
    estimated = any("thinned_since" in profile.health() for profile in clean.profiles.values())
    told = estimated or run.wrong or run.said or left or counted or (not run.exits() and "/mmap/" in pair[0])
    run.need(told or run.exits() == clean.exits(), "exit profiles %s, else %s, and not a word", run.exits(), clean.exits())
    for text in run.wrong:
        print("FAILED: %s: %s   (again: %s)" % ("=".join(pair), text, repeat(name, [pair])), flush=True)
    run.end()
    return run


def try_scenario(name, seen):
    scenario = SCENARIOS[name]
    bare = test.run([HOST] + scenario.arguments, clean_environment())
    clean = Run(scenario, [])
    clean.check(bare)
    test.need(not clean.wrong, "%s, without a fault: %s", name, "; ".join(clean.wrong))
    pairs, always = list(tries(clean.calls, seen)), []
    if name == "default":
        pairs += list(sticking(clean.calls))
        # Once it was taken for dead, once this was asked for ever, and once nothing was recorded then (below).
        always = opening(clean.calls, "/proc/%d/stat" % alive, "EMFILE") + [("*/madvise/0+", "EAGAIN")]
        test.need(len(always) > 1, "nobody looks whether %d lives", alive)
    if name == "no_populate":
        always = [("0/fallocate/2", "ENOSPC")]  # there is room for the header, and for nothing more
    pairs = wished() or sample(pairs, {"default": 20, "snapshots": 4}.get(name, 2), always)
    runs = side_by_side(lambda pair: try_one(name, scenario, bare, clean, pair), pairs)
    missed = [run for run in runs if run.process and not run.hit]
    for run in runs:
        test.need(not run.wrong, "%s: %s", run.faults, "; ".join(run.wrong))
    slowest = max(runs, key=lambda run: run.seconds, default=clean)
    print("%-12s %5d calls, %4d faults, %d of them did not come to be; the slowest %.1f s: %s" % (
        name, len(clean.calls), len(runs), len(missed), slowest.seconds, slowest.faults), flush=True)
    # Which calls there are depends on threads: a place may not be reached again, of many threads most often.
    few = len(runs) * 3 // 4 if name == "snapshots" else 1 + len(runs) // 5
    test.need(len(missed) <= few, "%s: of %d faults %d did not come to be: %s", name, len(runs), len(missed),
              [run.faults for run in missed][:5])
    clean.end()


with Test("faults") as test:
    if subprocess.run([FAULTING, "--", "/bin/true"], stdout=subprocess.DEVNULL).returncode == 77:
        print("SKIPPED: no system call can be made to fail here")
        sys.exit(77)
    planted, alive = regions_of_others()
    seen = collections.Counter()
    for wanted in [word for word in sys.argv[1:] if "=" not in word] or list(SCENARIOS):
        try_scenario(wanted, seen)
