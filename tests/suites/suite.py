"""The suites' harness: a real program's own checks run bare and under the shim, in the same folder, and are compared.

Under the shim everything is recorded (rate 1), a snapshot is taken every 20 ms, and another process (this one) sends the
snapshot signal all the time to every process below it whose handler for it is in place. What is compared: each command's
exit status and output, facts that a suite notes, the result files, the descriptors, threads and children of programs that
still run, and that no process is left behind. All profiles must be valid; regions stay only behind processes that
wrote no exit profile (those that end by _exit, exec or a signal), and each of them must open.
"""
import ctypes
import difflib
import glob
import hashlib
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, COMMAND, FILE_NAME, SHIM, Test, clean_environment, need_program  # noqa: E402,F401
from heap_profile import BadProfile, Profile  # noqa: E402

LONG = os.environ.get("HT_SUITE_LONG", "") not in ("", "0")
# Instead of the shim an empty handler for the signal: shows whether a difference comes from EINTR alone.
HANDLER = os.environ.get("HT_SUITE_HANDLER", "") not in ("", "0")
PR_SET_CHILD_SUBREAPER = 36
# A process is sent the signal when it has run the same program for so long: between an exec and the shim's constructor
# SIGUSR2 ends the process, as it does bare. On a busy machine that is not enough for programs that fork and exec all the
# time; their suites use SIGURG (postgres: SIGWINCH) as the snapshot signal, which has no effect at its default.
SETTLED_SECONDS = 0.06
TEMPORARY = re.compile(r"^\.heaptap\.(?P<program>.+)\.(?P<pid>\d+)\.[0-9a-f]+\.tmp$")
REGION_NAME = re.compile(r"^heaptap\.(?P<program>.+)\.(?P<pid>\d+)\.[0-9a-f]+\.(?P<stage>live|new)$")
START_TICKS_OFFSET = 48  # of struct ht_region_header: also an unfinished region, which no report reads, says whose it is
# Counters in the comments that say that something went wrong; the rest is told in the suite's last lines.
BAD_HEALTH = ("failed", "snapshot_failures", "drop_no_region", "drop_live_full", "unmatched")


def children(pid):
    """The processes that this one's threads have started and that are still there."""
    found = []
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, thread)) as file:
                found += [int(p) for p in file.read().split()]
    except (OSError, ValueError):
        pass
    return found


def descendants(pid):
    found, todo = [], [pid]
    while todo:
        below = children(todo.pop())
        found += below
        todo += below
    return found


def status_of(pid):
    """Fields of /proc/PID/status, or nothing when the process is gone or a zombie."""
    try:
        with open("/proc/%d/status" % pid) as file:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        return fields if fields.get("State", "Z")[0] not in "ZX" else {}
    except OSError:
        return {}


def is_running(pid):
    return bool(status_of(pid))


class Shower(threading.Thread):
    """Sends the snapshot signal to every process below this one, again and again, from stop to stop.

    `spare(name, arguments)` says which programs are left alone: those that have the signal for themselves (their handler is
    not told from ours here), and those that take EINTR badly.
    """

    def __init__(self, number, period, spare):
        super().__init__(daemon=True)
        self.number, self.period, self.spare = number, period, spare
        self.stopped, self.paused, self.sent, self.seen, self.programs = threading.Event(), False, 0, {}, {}

    def run(self):
        while not self.stopped.wait(self.period):
            if self.paused:
                continue
            below = descendants(os.getpid())
            self.seen = {pid: self.seen[pid] for pid in below if pid in self.seen}
            for pid in below:
                try:
                    self.hit(pid)
                except (OSError, KeyError, ValueError):
                    pass

    def hit(self, pid):
        now, program = time.monotonic(), os.readlink("/proc/%d/exe" % pid)
        if self.seen.get(pid, ("", 0))[0] != program:
            self.seen[pid] = program, now
        name = os.path.basename(program)
        with open("/proc/%d/cmdline" % pid) as file:
            arguments = file.read().split("\0")
        if now - self.seen[pid][1] < SETTLED_SECONDS or self.spare(name, arguments):
            return
        fields, bit = status_of(pid), 1 << (self.number - 1)
        # A blocked signal stays pending, and an exec would make it deadly.
        if int(fields["SigCgt"], 16) & bit and not int(fields["SigBlk"], 16) & bit:
            os.kill(pid, self.number)
            self.sent += 1
            self.programs[name] = self.programs.get(name, 0) + 1

    def stop(self):
        self.stopped.set()
        self.join()


class Side:
    """One of the two runs. `work` is the same path in both; what it leaves is compared afterwards."""

    def __init__(self, suite, name, env):
        self.suite, self.name, self.env = suite, name, env
        self.entries, self.expected, self.work = [], {}, suite.path("work")
        self.shim = name == "shim"

    def note(self, title, value):
        """A fact that must be the same on both sides."""
        self.entries.append((title, value))
        return value

    def run(self, command, title=None, normalise=None, record=True, status_only=False, env=None, timeout=300, **options):
        """Runs a command to its end and notes its exit status, output and errors."""
        options.setdefault("cwd", self.work)
        process = self.suite.run(command, {**self.env, **(env or {})}, timeout=timeout, **options)
        output, errors = process.output or "", process.errors or ""
        if normalise:
            output, errors = normalise(output), normalise(errors)
        if record:
            title = title or " ".join(os.path.basename(c) if i == 0 else c for i, c in enumerate(command))[:160]
            value = "status %s\n" % process.returncode
            if not status_only:
                value += "--- output\n%s--- errors\n%s" % (output, errors)
            self.note(title, value)
        return process

    def shell(self, script, **options):
        """A bash script; `set -e` is the script's own business."""
        return self.run(["/bin/bash", "-c", script], options.pop("title", script.strip()[:100]), **options)

    def start(self, command, env=None, **options):
        options.setdefault("cwd", self.work)
        return self.suite.start(command, {**self.env, **(env or {})}, **options)

    def idle(self, title, pid, settle=20.0):
        """Notes what a running program holds: descriptors by kind, threads and children, once nothing of it moves; under the
        shim once it is what it was bare, since the last snapshot may still be under way."""
        if self.suite.shower:
            self.suite.shower.paused = True
        end, last, since = time.monotonic() + settle, None, time.monotonic()
        while time.monotonic() < end:
            state = self.state(pid)
            if state != last:
                last, since = state, time.monotonic()
            if time.monotonic() - since > 0.3 and self.expected.get(title, state) == state:
                break
            time.sleep(0.05)
        if self.suite.shower:
            self.suite.shower.paused = False
        return self.note(title, last)

    @staticmethod
    def state(pid):
        kinds = []
        for name in os.listdir("/proc/%d/fd" % pid):
            try:
                kinds.append("%s -> %s" % (name, re.sub(r"\[\d+\]|\.\w{6,}$", "[]", os.readlink("/proc/%d/fd/%s" % (pid, name)))))
            except OSError:
                pass
        threads = sorted(open("/proc/%d/task/%s/comm" % (pid, t)).read() for t in os.listdir("/proc/%d/task" % pid))
        return "descriptors:\n%s\nthreads:\n%schildren: %d\n" % (
            "\n".join(sorted(kinds, key=lambda k: int(k.split()[0]))), "".join(threads), len(children(pid)))

    def wait_for_end(self, title):
        """Waits until no process of this side is left, and notes which ones do not go."""
        end = time.monotonic() + 20
        while time.monotonic() < end and any(is_running(p) for p in descendants(os.getpid())):
            time.sleep(0.02)
        left = sorted(status_of(p).get("Name", "?") for p in descendants(os.getpid()) if is_running(p))
        self.note(title, "\n".join(left))
        for pid in descendants(os.getpid()):
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
        self.suite.processes = [p for p in self.suite.processes if p.poll() is None]
        try:
            while not self.suite.processes and os.waitpid(-1, 0)[0]:
                pass
        except ChildProcessError:
            pass


def tree(folder, ignore=lambda path: False, normalise=None):
    """Everything below a folder: kind, rights, owner, content."""
    rows = {}
    for root, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(root, name)
            inner = os.path.relpath(path, folder)
            if ignore(inner):
                if name in folders:
                    folders.remove(name)
                continue
            info = os.lstat(path)
            row = "%s %d:%d" % (stat.filemode(info.st_mode), info.st_uid, info.st_gid)
            if stat.S_ISLNK(info.st_mode):
                row += " -> " + os.readlink(path)
            elif stat.S_ISREG(info.st_mode):
                with open(path, "rb") as file:
                    data = file.read()
                data = normalise(inner, data) if normalise else data
                row += " %d bytes %s" % (len(data), hashlib.sha256(data).hexdigest())
            rows[inner] = row
    return rows


def check_profile(path):
    """(path, error or "", health) of one file; a function of its own for a pool of processes."""
    try:
        profile = Profile(path)
        profile.check()
        return path, "", profile.health()
    except (BadProfile, OSError, ValueError, IndexError, KeyError, EOFError) as error:
        return path, "%s: %s" % (type(error).__name__, error), {}


def check_gzip(path):
    """"" when the file is one whole gzip member."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        reader = zlib.decompressobj(31)
        reader.decompress(data)
        return "" if reader.eof and not reader.unused_data else "not one whole gzip member"
    except zlib.error as error:
        return str(error)


class Suite(Test):
    """A package's suite; use as `with Suite("git") as suite: suite.both(work)`."""

    def __init__(self, name, signal_number=signal.SIGUSR2, period=0.05, spare=lambda name, arguments: False, **variables):
        super().__init__(name)
        self.signal_number, self.period, self.spare, self.variables = signal_number, period, spare, variables
        self.full_checks, self.shower = 10000 if LONG else 40, None
        self.log, self.allowed_log = None, r"(?!)"
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def __enter__(self):
        super().__enter__()
        os.chmod(self.folder, 0o755)
        self.regions = tempfile.mkdtemp(prefix="heaptap-suite.", dir="/dev/shm")
        os.chmod(self.regions, 0o1777)
        self.log = self.path("log")
        with open(self.log, "w", encoding="utf-8"):
            os.chmod(self.log, 0o666)
        return self

    def __exit__(self, kind, error, trace):
        for pid in descendants(os.getpid()):
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
        keep = os.environ.get("HT_SUITE_KEEP")
        if keep and (self.failures or kind):
            shutil.copytree(self.folder, os.path.join(keep, os.path.basename(self.folder)), symlinks=True)
        shutil.rmtree(self.regions, ignore_errors=True)
        return super().__exit__(kind, error, trace)

    def both(self, work, same_tree=True, ignore=lambda path: False, normalise=None, mode=0o755):
        """Runs work(side) bare and under the shim, and compares. Returns the two sides."""
        bare = self.one_side(work, Side(self, "bare", clean_environment()), mode)
        out = self.new_folder("profiles")
        variables = {"rate": 1, "interval": "20ms", "live": self.regions, "log": self.log,
                     "signal": int(self.signal_number), **self.variables}
        if self.signal_number == signal.SIGUSR2:
            del variables["signal"]
        side = Side(self, "shim", self.shim(out, **variables))
        if HANDLER:
            side.env = clean_environment(LD_PRELOAD=BUILD + "/libsuite_handler.so", HT_HANDLER_SIGNAL=str(int(self.signal_number)))
        side.expected = dict(bare.entries)
        self.shower = shower = Shower(int(self.signal_number), self.period, self.spare)
        shower.start()
        try:
            self.one_side(work, side, mode)
        finally:
            shower.stop()
            self.shower = None
        self.compare(bare, side)
        if same_tree:
            self.compare_trees(*(tree(self.path("work." + s), ignore, normalise) for s in ("bare", "shim")))
        print("  %d snapshot signals to %s" % (shower.sent, " ".join(
            "%s:%d" % row for row in sorted(shower.programs.items())) or "nobody"), flush=True)
        if not HANDLER:
            self.judge(out)
        return bare, side

    def one_side(self, work, side, mode):
        begin, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        os.mkdir(side.work)
        os.chmod(side.work, mode)
        work(side)
        side.wait_for_end("processes left behind")
        os.rename(side.work, side.work + "." + side.name)
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        print("  %s: %.1f s, %.1f s of processor, %d facts" % (
            side.name, time.monotonic() - begin, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, len(side.entries)), flush=True)
        return side

    def compare(self, bare, side):
        self.need([t for t, _ in bare.entries] == [t for t, _ in side.entries], "the two runs took different steps:\n%s",
                  "\n".join(difflib.unified_diff([t for t, _ in bare.entries], [t for t, _ in side.entries], lineterm="")))
        for (title, expected), (_, value) in zip(bare.entries, side.entries):
            if not self.need(value == expected, "%s: differs", title):
                rows = difflib.unified_diff(str(expected).splitlines(), str(value).splitlines(), "bare", "shim", "", "", 3, "")
                print("\n".join(row[:300] for row in list(rows)[:80]), flush=True)

    def compare_trees(self, bare, other):
        for path in sorted(set(bare) | set(other)):
            self.need(bare.get(path) == other.get(path), "result file %s: %s, bare %s", path, other.get(path), bare.get(path))

    def judge(self, out):
        """Profiles, file names and regions that a run left."""
        names = sorted(os.listdir(out))
        ended = {FILE_NAME.match(n).group("program", "pid"): n for n in names if n.endswith(".exit.pb.gz")}
        strange = [n for n in names if not FILE_NAME.match(n) and not self.was_cut_off(out, n, ended)]
        self.need(not strange, "files that are no finished profiles: %s", strange[:5])
        temporary = sum(1 for n in names if TEMPORARY.match(n))
        paths = [os.path.join(out, n) for n in names if FILE_NAME.match(n)]
        self.need(paths, "no profile was written")
        chooser = random.Random(1)
        last = [p for p in paths if FILE_NAME.match(os.path.basename(p))["trigger"] == "exit"]
        rest = sorted(set(paths) - set(last))
        chosen = set(chooser.sample(last, min(len(last), self.full_checks // 2 + 1)))
        chosen |= set(chooser.sample(rest, min(len(rest), self.full_checks - len(chosen))))
        for path in set(paths) - chosen:
            problem = check_gzip(path)
            self.need(not problem, "%s: %s", os.path.basename(path), problem)
        lines = self.log_lines()
        strange = [line for line in lines if not re.search(self.allowed_log, line)]
        self.need(not strange, "in the log: %s", strange[:5])
        bad = [key for key in BAD_HEALTH if key != "snapshot_failures" or not lines]
        sums = {}
        with multiprocessing.Pool(2) as pool:
            for path, problem, health in pool.imap_unordered(check_profile, sorted(chosen), 4):
                self.need(not problem, "%s: %s", os.path.basename(path), problem)
                for key in (k for k in health if re.fullmatch(r"\d+", health[k])):
                    sums[key] = sums.get(key, 0) + int(health[key])
                for key in (k for k in bad if k in health):
                    self.need(False, "%s: %s=%s", os.path.basename(path), key, health[key])
        triggers = [FILE_NAME.match(os.path.basename(p))["trigger"] for p in paths]
        print("  %d profiles (%s), %d cut off by exec, _exit or a signal, %d read whole; %s" % (
            len(paths), ", ".join("%d %s" % (triggers.count(t), t) for t in sorted(set(triggers))), temporary, len(chosen),
            " ".join("%s=%d" % (k, sums[k]) for k in sorted(sums) if k.startswith(
                ("drop_", "failed_", "truncated_", "thinn", "inherit_lost", "raw_fork", "overflow_", "unmatched", "snapshot_")))), flush=True)
        self.judge_regions(paths)

    def log_lines(self):
        """What the shim had to say in all processes of the run."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()

    @staticmethod
    def was_cut_off(out, name, ended):
        """Whether an exec, _exit or signal in the middle of a snapshot explains a temporary file.

        Not where the same program wrote its exit profile, unless that one began later: it was executed anew.
        """
        match = TEMPORARY.match(name)
        if not match or match.group("program", "pid") not in ended:
            return bool(match)
        created = Profile(os.path.join(out, ended[match.group("program", "pid")])).health().get("created", "0")
        return os.stat(os.path.join(out, name)).st_mtime < int(created) / 1e9

    def judge_regions(self, profiles):
        """A region that its process cannot remove, because it has become another user since, is the one kind that may stay
        beside an exit profile. One that was killed while it made its region, as a child may be before its first
        instruction, has left no profile at all."""
        of_process = {}
        for path in profiles:
            of_process.setdefault(FILE_NAME.match(os.path.basename(path)).group("program", "pid"), []).append(path)
        regions = sorted(glob.glob(self.regions + "/*"))
        stages = []
        for path in regions:
            name = os.path.basename(path)
            match = REGION_NAME.match(name)
            if not self.need(match, "%s in the folder of regions", name):
                continue
            with open(path, "rb") as file:
                file.seek(START_TICKS_OFFSET)
                start = str(int.from_bytes(file.read(8), "little"))
            # A long run uses a pid more than once; the same process has the same start.
            own = [FILE_NAME.match(os.path.basename(p))["trigger"] for p in of_process.get(match.group("program", "pid"), [])
                   if os.stat(p).st_uid == os.stat(path).st_uid and Profile(p).health().get("start") == start]
            if match["stage"] == "new":
                self.need(not own, "%s wrote profiles, and its region is not finished", name)
            else:
                self.need("exit" not in own, "%s wrote its exit profile, and its region is left", name)
                top = subprocess.run([COMMAND, "top", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
                                     env=clean_environment(DEBUGINFOD_URLS=""), check=False)
                self.need(top.returncode == 0, "heaptap top %s: status %d, %s", name, top.returncode, top.stderr[-300:])
            stages.append("%s%s" % (match["program"], "" if match["stage"] == "live" else "(killed in the making)"))
        print("  %d regions of processes that ended without exit(): %s" % (len(regions), " ".join(stages)), flush=True)
        for path in regions:
            os.unlink(path)
