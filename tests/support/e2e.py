"""The end-to-end tests' harness: runs a program bare, counted and under heaptap, and holds the figures together."""
import atexit
import contextlib
import glob
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib

sys.dont_write_bytecode = True
from heap_profile import BadProfile, Profile  # noqa: E402



def readable_build(build):
    """The build folder; a copy of what the tests use where other users cannot reach it (a clone in root's own folder):
    postgres and the tests of missing rights run as somebody else. A copy also where LD_PRELOAD cannot carry its path."""
    folder = build
    while folder != "/" and os.stat(folder).st_mode & 1:
        folder = os.path.dirname(folder)
    if (os.geteuid() != 0 or folder == "/") and not re.search("[ :]", build):
        return build
    copy = tempfile.mkdtemp(prefix="heaptap-build.")
    atexit.register(shutil.rmtree, copy, True)
    os.chmod(copy, 0o755)
    for name in os.listdir(build):
        path = os.path.join(build, name)
        if name in ("e2e", "programs"):
            shutil.copytree(path, os.path.join(copy, name))
        elif os.path.isfile(path) and os.access(path, os.X_OK):
            shutil.copy2(path, copy)
    return copy


BUILD = readable_build(
    os.path.abspath(os.environ.get("HT_BUILD") or os.path.join(os.path.dirname(__file__), "..", "..", "build")))
SHIM = BUILD + "/libheaptap.so"
COUNT = BUILD + "/libcount.so"
COMMAND = BUILD + "/heaptap"
if not os.path.exists(SHIM) or not os.path.exists(COUNT):
    sys.exit("FAILED: nothing is built in %s (set HT_BUILD)" % BUILD)
TYPES = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
FILE_NAME = re.compile(r"^heaptap\.(?P<program>.+)\.(?P<pid>\d+)\.(?P<seq>\d{4,})\.(?P<trigger>[a-z]+)\.pb\.gz$")


def clean_environment(**extra):
    """The environment without anything of ours, so that a developer's own settings cannot change a test."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HEAPTAP_", "HT_COUNT_", "LD_PRELOAD"))}
    env.update(extra)
    return env


def need_program(*names):
    """Paths of programs; exit status 77 (ctest's skip) and the reason when one is missing."""
    paths = []
    for name in names:
        path = shutil.which(name)
        if not path:
            print("SKIPPED: %s is not installed (tools/test installs it)" % name)
            sys.exit(77)
        paths.append(path)
    return paths


class Count:
    """One process's line of the counting preload."""

    def __init__(self, line):
        words = line.split()
        self.pid, self.program, self.totals = int(words[0]), words[1], [int(w) for w in words[2:6]]
        self.inherited = [int(w) for w in words[6:8]]
        self.lost = "lost" in words
        self.histogram = [tuple(int(n) for n in w.split(":")) for w in words[8:] if ":" in w]


# The probability of a deviation of 5 standard deviations upwards under a normal distribution.
FIVE_SIGMA = 2.87e-7


class Spread:
    """How far estimates of these processes may lie from the truth at a rate, computed from the exact counts.

    An estimate is a sum of independent terms w * B with B binomial (n blocks of one size, each seen with probability P)
    and w = 1 / P objects or size / P bytes. With few samples it is far from normal (one sample of a 16-byte block at
    512K stands for 32,768 objects), so 5 standard deviations are replaced by the deviation that Chernoff's bound gives
    the probability of 5 standard deviations: the least t with min over h of exp(K(h) - h (mean + t)) <= p, where
    K(h) = sum n ln(1 + P (exp(h w) - 1)); the same downwards with -h. For many samples the two agree.
    """

    def __init__(self, counts, rate):
        self.terms = [[], [], [], []]
        classes = {}
        for count in counts:
            for size, allocated, live in count.histogram:
                row = classes.setdefault(size, [0, 0])
                row[0] += allocated
                row[1] += live
        for size, row in classes.items() if rate > 1 else ():
            p = -math.expm1(-max(size, 1) / rate)
            for at, n in ((0, row[0]), (2, row[1])):
                if n and p < 1:
                    self.terms[at].append((n, p, 1 / p))
                    self.terms[at + 1].append((n, p, size / p))

    def sigma(self, kind):
        return math.sqrt(sum(n * (1 - p) * p * w * w for n, p, w in self.terms[kind]))

    def allowed(self, kind, sign):
        sigma, best = self.sigma(kind), math.inf
        if not sigma:
            return 0.0
        mean = sum(n * p * w for n, p, w in self.terms[kind])
        for step in range(120):
            h = 0.05 / sigma * 1.08 ** step
            grown = 0.0
            for n, p, w in self.terms[kind]:
                if h * w > 600 and sign > 0:
                    grown = math.inf
                    break
                grown += n * math.log1p(p * math.expm1(sign * h * w))
            best = min(best, (grown - math.log(FIVE_SIGMA)) / h - sign * mean)
        return best


def read_counts(path):
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [Count(line) for line in file]


class Test:
    """A test script's failures, temporary folder and child processes; use as `with Test("name") as t:`."""

    def __init__(self, name):
        self.name, self.failures, self.checks, self.processes = name, [], 0, []
        self.pids = set()

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="heaptap-e2e.")
        os.chmod(self.folder, 0o755)
        return self

    def __exit__(self, kind, error, trace):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for pid in self.pids | {p.pid for p in self.processes}:
            for path in glob.glob("/dev/shm/heaptap.*.%d.*.live" % pid):
                with contextlib.suppress(FileNotFoundError):  # another process may have cleaned up just now
                    os.unlink(path)
        shutil.rmtree(self.folder, ignore_errors=True)
        if kind in (subprocess.TimeoutExpired, BadProfile):
            self.need(False, "%s", error)
        elif kind:
            return False
        print("%s: %d checks, %s" % (self.name, self.checks, "%d FAILED" % len(self.failures) if self.failures else "ok"))
        if not self.checks:
            print("FAILED: nothing was checked")
        sys.exit(1 if self.failures or not self.checks else 0)

    def need(self, condition, text, *args):
        self.checks += 1
        if not condition:
            self.failures.append(text % args if args else text)
            print("FAILED: " + self.failures[-1], flush=True)
        return bool(condition)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def new_folder(self, name):
        path = self.path(name)
        os.makedirs(path)
        os.chmod(path, 0o777)
        return path

    def shim(self, out, count=None, **variables):
        """Environment that loads the shim (and the counting preload behind it)."""
        env = clean_environment(LD_PRELOAD=SHIM + (" " + COUNT if count else ""), HEAPTAP_OUT=out)
        if count:
            env["HT_COUNT_OUT"] = count
        env.update({"HEAPTAP_" + k.upper(): str(v) for k, v in variables.items()})
        return env

    def counted(self, count, **extra):
        return clean_environment(LD_PRELOAD=COUNT, HT_COUNT_OUT=count, **extra)

    def run(self, command, env=None, timeout=400, **options):
        """Runs to the end; returns the process object with text in stdout and stderr and its pid."""
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else subprocess.PIPE)
        data = options.pop("input", None)
        process = subprocess.Popen(command, env=env if env is not None else clean_environment(), text=True,
                                   errors="replace", **options)
        self.pids.add(process.pid)
        try:
            process.output, process.errors = process.communicate(data, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return process

    def start(self, command, env=None, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(command, env=env if env is not None else clean_environment(), text=True, **options)
        self.processes.append(process)
        return process

    def heaptap(self, *arguments, timeout=240, env=None):
        return self.run([COMMAND] + [str(a) for a in arguments], env=env, timeout=timeout)

    def wait_for(self, condition, text, timeout=60.0):
        """Polls until condition() is true; a failure after `timeout` seconds."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            value = condition()
            if value:
                self.checks += 1
                return value
            time.sleep(0.01)
        self.need(False, "waited %d s in vain: %s", timeout, text)
        return None

    def files(self, folder, trigger=None, pid=None):
        """Finished profiles in a folder, oldest first."""
        rows = []
        for name in os.listdir(folder):
            match = FILE_NAME.match(name)
            if match and (not trigger or match["trigger"] == trigger) and (not pid or int(match["pid"]) == pid):
                rows.append((int(match["pid"]), int(match["seq"]), os.path.join(folder, name)))
        return [path for _, _, path in sorted(rows)]

    def profile(self, path):
        """Reads and validates one profile."""
        self.checks += 1
        profile = Profile(path)
        profile.check()
        match = FILE_NAME.match(os.path.basename(path))
        profile.pid, profile.program, profile.trigger = int(match["pid"]), match["program"], match["trigger"]
        return profile

    def exit_profiles(self, folder):
        return [self.profile(p) for p in self.files(folder, "exit")]

    def hold(self, title, profiles, counts, rate, noise=0.0, by_pid=True):
        """Holds profiles against counts: exact at rate 1, else within the error that the rate implies (Spread).

        `noise` is the relative difference between two runs of the program itself, when the counts are those of
        another run. A process without a sample writes no file and counts as zeros.
        """
        estimate, exact, spread = [0] * 4, [0] * 4, Spread(counts, rate)
        pids = {c.pid for c in counts}
        for count in counts:
            self.need(not count.lost, "%s: the counting preload lost blocks", title)
            exact = [a + b for a, b in zip(exact, count.totals)]
        for profile in profiles:
            if not by_pid or profile.pid in pids:
                estimate = [a + b for a, b in zip(estimate, profile.totals())]
        for at, (kind, value, truth) in enumerate(zip(TYPES, estimate, exact)):
            off, sigma = value - truth, spread.sigma(at)
            allowed = spread.allowed(at, 1 if off > 0 else -1) + noise * truth
            # Every row of a profile is rounded once.
            allowed += 0 if rate == 1 else 0.5 * sum(len(p.samples) for p in profiles)
            print("  %-34s %-13s estimate %12d exact %12d  off %+11d  allowed %11.0f  z %+.2f" %
                  (title, kind, value, truth, off, allowed, off / sigma if sigma else 0), flush=True)
            self.need(abs(off) <= allowed, "%s: %s %d, exact %d, off by %d, allowed %.0f", title, kind, value,
                      truth, off, allowed)

    def hold_processes(self, title, profiles, counts, rate):
        """Holds each process of a family of forks on its own.

        A child's figures contain those of its parent's live samples, so errors of parent and children are not
        independent and a sum over them says little. A child that recorded nothing of its own writes no file: that it
        saw nothing must then be likely enough, exp(-own bytes / rate).
        """
        by_pid = {p.pid: p for p in profiles}
        for count in counts:
            name = "%s, %s %d" % (title, count.program, count.pid)
            if count.pid in by_pid:
                self.hold(name, [by_pid[count.pid]], [count], rate)
            else:
                own = count.totals[1] - count.inherited[1]
                self.need(own <= -math.log(FIVE_SIGMA) * rate, "%s: no profile, but it allocated %d bytes", name, own)

    def hold_each(self, title, profiles, counts):
        """Rate 1: every process's profile equals its count, to the object and byte."""
        by_pid = {p.pid: p for p in profiles}
        for count in counts:
            profile = by_pid.get(count.pid)
            totals = profile.totals() if profile else [0] * 4
            self.need(totals == count.totals or (not profile and not count.totals[0]),
                      "%s: %s (%d): profile %s, exact %s", title, count.program, count.pid,
                      totals if profile else "missing", count.totals)

    def same(self, title, bare, other):
        """Output and exit status are those of the bare program."""
        self.need(other.returncode == bare.returncode, "%s: exit status %s, bare %s; standard error: %s", title,
                  other.returncode, bare.returncode, other.errors[-500:])
        self.need(other.output == bare.output, "%s: standard output differs: %r ... bare %r ...", title,
                  other.output[:300], bare.output[:300])
        self.need(other.errors == bare.errors, "%s: standard error differs: %r, bare %r", title, other.errors[:500],
                  bare.errors[:500])


def terminate(process, number=signal.SIGTERM, timeout=120):
    """Sends a signal and waits; returns the exit status."""
    if process.poll() is None:
        process.send_signal(number)
    return process.wait(timeout)


RATES = (("1", 1), ("4K", 4096), ("64K", 65536), ("512K", 524288))


def judge_program(test, run, noise=0.02):
    """The common judgement of a real program.

    run(environment) does the program's deterministic work and returns a process object with output, errors and
    returncode. It runs bare, twice under the counting preload (the difference is the program's own noise), and under
    heaptap at several rates with the counting preload behind it.
    """
    bare = run(clean_environment())
    first, second = test.path("count1"), test.path("count2")
    test.same("counted", bare, run(test.counted(first)))
    test.same("counted", bare, run(test.counted(second)))
    counts = read_counts(first)
    test.need(counts, "the counting preload wrote nothing")
    sums = [[sum(c.totals[i] for c in read_counts(f)) for i in range(4)] for f in (first, second)]
    own_noise = max(abs(a - b) / max(a, 1) for a, b in zip(*sums))
    print("  two counted runs differ by %.3f %%" % (own_noise * 100))
    for name, rate in RATES:
        out, count = test.new_folder("out." + name), test.path("count." + name)
        test.same("rate " + name, bare, run(test.shim(out, count, rate=name, seed=rate + zlib.crc32(test.name.encode()) % 1000 + 1)))
        profiles, own = test.exit_profiles(out), read_counts(count)
        test.need(profiles, "rate %s: no exit profile", name)
        forks = any(c.inherited[0] for c in own)
        if rate == 1:
            test.hold_each("rate 1", profiles, own)
        elif forks:
            test.hold_processes("rate " + name, profiles, own, rate)
        else:
            test.hold("rate %s, same run" % name, profiles, own, rate)
        if forks:
            # Estimates were held against this run's own counts; those are held against the counted run's.
            for at, kind in enumerate(TYPES):
                mine, other = sum(c.totals[at] for c in own), sum(c.totals[at] for c in counts)
                test.need(abs(mine - other) <= (noise + 3 * own_noise) * other, "rate %s: %s %d in this run, %d in the "
                          "counted run", name, kind, mine, other)
        else:
            test.hold("rate %s, counted run" % name, profiles, counts, rate, noise=noise + 3 * own_noise, by_pid=False)
    return bare
