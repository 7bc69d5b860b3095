#!/usr/bin/python3 -B
"""Every system call of the command fails, one at a time, at each place where it is made, with each error that it can have:
it ends with the right status and a line that says why, or does without; nothing is lost, and nothing half written stays.

HT_FAULTS=all tries everything (the target `faults`), else a part that is the same each time. Arguments: names of
scenarios; PLACE=WHAT repeats one fault, as a failure says it."""
import atexit
import collections
import difflib
import glob
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, COMMAND, FILE_NAME, Test, clean_environment  # noqa: E402
from faults import FAULTING, fault, opening, read_log, sample, side_by_side, sticking, tries, wished  # noqa: E402
from heap_profile import BadProfile, Profile  # noqa: E402

HOST = BUILD + "/e2e/host"
PATIENCE_S = 400
OLD = b"what was there before\n"

# The command's words: {pid}, {file} and {live} stand for what is looked at, {out} for a file that is there, {dir} for an
# empty folder, {device} for what no file may take the place of. `alone`: it looks at all processes, and one at a time must be tried. `cached`: the names have been looked up
# before. `tells`: what it prints is what it could find out, with as many rows as ever, or "less".
Scenario = collections.namedtuple("Scenario", "words alone cached tells statuses")


def scenario(line, alone=False, cached=False, tells=False, statuses=(0, 1)):
    return Scenario(line.split(), alone, cached, tells, statuses)


SCENARIOS = {
    "top_pid": scenario("top {pid}"),
    "top_file": scenario("top {file}"),
    "top_cached": scenario("top {file}", cached=True),
    "top_live": scenario("top {live}", cached=True),
    "top_output": scenario("top -o {out} {file}", cached=True),
    "diff": scenario("diff {file} {file}", cached=True),
    "check": scenario("check --junit {out} {file} {file}", cached=True),
    "flame": scenario("flame -o {out} {file}", cached=True),
    "proto": scenario("proto -o {out} {file}", cached=True),
    "symbolize": scenario("symbolize -o {out} {file}"),
    "device": scenario("proto -o {device} {file}", cached=True),
    "device_named": scenario("symbolize -o {device} {file}", cached=True),
    "snap": scenario("snap {pid} -o {dir}"),
    "snap_home": scenario("snap {pid}"),
    "snap_dead": scenario("snap {live} -o {dir}"),
    "ps": scenario("ps --over 10ms", alone=True, tells=True),
    "ps_dead": scenario("ps --dead --over 10ms", alone=True, tells=True),
    "clean": scenario("ps --dead --clean", alone=True, tells=True),
    "doctor": scenario("doctor {pid}", tells="less"),
    "doctor_live": scenario("doctor {live}", tells=True),
    "rate": scenario("rate {pid} 1"),
    "run": scenario("run -o {dir} -- " + HOST + " return", statuses=(7, 125, 126, 127)),
}


class Run:
    """One run of the command: how it ended, what it said and left."""

    def __init__(self, what, faults):
        self.faults = faults
        self.folder = tempfile.mkdtemp(dir=test.folder)
        self.out, self.dir = self.folder + "/out", self.folder + "/dir"
        with open(self.out, "wb") as file:
            file.write(OLD)
        os.mkdir(self.dir)
        self.device = self.folder + "/device"
        if "{device}" in what.words:
            os.mkfifo(self.device)
            self.reader = os.open(self.device, os.O_RDONLY | os.O_NONBLOCK)
        if what.cached:
            shutil.copytree(cache, self.folder + "/cache")
        words = [word.format(out=self.out, dir=self.dir, device=self.device, **looked_at) for word in what.words]
        options = [word for pair in faults for word in ("-f", fault(*pair))]
        begin = time.monotonic()
        try:
            self.process = test.run([FAULTING, "-m", main_offset, "-l", self.folder + "/calls"] + options + ["--", COMMAND] + words,
                                    clean_environment(XDG_CACHE_HOME=self.folder + "/cache", HOME=self.folder, LC_ALL="C",
                                                      HEAPTAP_LIVE=own_live),
                                    timeout=PATIENCE_S, cwd=self.folder)
        except subprocess.TimeoutExpired:
            self.process = None
        self.seconds = time.monotonic() - begin
        self.calls, self.hit = read_log(self.folder + "/calls")
        self.wrong = []

    def need(self, condition, text, *args):
        if not condition:
            self.wrong.append(text % args)

    def output(self):
        """Without what differs from run to run."""
        text = re.sub(r"/proc/\d+/root", "", self.process.output.replace(self.folder, "FOLDER"))
        return re.sub(" +", " ", re.sub(r"[0-9.]+(m\d\ds|h\d\dm|ms|s)?", "#", text))

    def check(self, what, clean):
        if self.process is None:
            self.wrong.append("it hangs")
            return
        status, errors = self.process.returncode, self.process.errors.splitlines()
        self.need(status in what.statuses, "status %d, %r", status, errors[-3:])
        self.need(all(line.startswith(("heaptap: ", "  ")) for line in errors), "standard error %r", errors[:5])
        told = [line for line in errors if not line.startswith(("heaptap: warning: ", "  "))]
        if clean and status != clean.process.returncode:
            unheard = any("*/write/" in where for where, _ in self.faults)
            self.need(len(told) == 1 or unheard, "status %d and %d lines: %r", status, len(told), errors[:4])
        elif clean:
            # A reader that has gone wants no more.
            unread = any("/write/" in where and error == "EPIPE" for where, error in self.faults)
            same = self.output() == clean.output()
            same |= what.tells == "less" or what.tells and self.output().count("\n") >= clean.output().count("\n")
            self.need(errors or unread or same, "status %d, not a word, and\n%s", status, "\n".join(difflib.unified_diff(clean.output().splitlines(), self.output().splitlines(), "else", "now", n=0)))
        self.check_files(clean)

    def check_files(self, clean):
        calls = {where.split("/")[1] for where, _ in self.faults}
        self.need(os.path.exists(living), "the region of a living process is gone")
        left = set(os.listdir(self.folder)) - {"out", "dir", "cache", "calls", "device"}
        if "device" in os.listdir(self.folder):
            self.need(stat.S_ISFIFO(os.lstat(self.device).st_mode), "a file has taken the place of a device")
            os.close(self.reader)
        self.need(not left or calls & {"unlink", "unlinkat"}, "left: %s", left)
        with open(self.out, "rb") as file:
            self.new = file.read()
        if clean:
            # With a warning, of missing names for one, it may say less.
            whole = self.new in (OLD, clean.new) or (self.process.errors and not self.new.startswith(OLD))
            self.need(whole, "the file that was there is neither the old nor the new one: %d bytes", len(self.new))
            self.need(self.process.returncode != 0 or clean.new == OLD or self.new != OLD, "status 0, and the file is the old one")
        for name in os.listdir(self.dir):
            self.check_profile(self.dir + "/" + name, calls)
        for folder, _, names in os.walk(self.folder + "/cache"):
            for name in names:
                self.need(not name.endswith(".tmp") and not name.startswith(".") or calls & {"unlink", "unlinkat"},
                          "%s is left in the cache", name)

    def check_profile(self, path, calls):
        name = os.path.basename(path)
        if not FILE_NAME.match(name):
            self.need(calls & {"unlink", "unlinkat"}, "%s is left", name)
            return
        try:
            Profile(path).check()
        except (BadProfile, EOFError, OSError, IndexError) as error:
            self.wrong.append("%s: %s" % (name, error))

    def end(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def repeat(name, faults):
    return "%s %s %s" % (os.path.relpath(__file__), name, " ".join("=".join(pair) for pair in faults))


def try_one(name, clean, pair):
    run = Run(SCENARIOS[name], [pair])
    run.check(SCENARIOS[name], clean)
    for text in run.wrong:
        print("FAILED: %s: %s\n  again: %s" % ("=".join(pair), text, repeat(name, [pair])), flush=True)
    if wished():
        print("status %s\n%s%s" % (run.process and run.process.returncode, run.process and run.process.output,
                                   run.process and run.process.errors))
    run.end()
    return run


def try_scenario(name):
    what = SCENARIOS[name]
    clean = Run(what, [])
    clean.check(what, None)
    test.need(not clean.wrong and not clean.process.errors, "%s, without a fault: %s %s", name, "; ".join(clean.wrong),
              clean.process and clean.process.errors)
    # Once the living were taken for dead, once this was asked for ever, and once devices were replaced.
    always = {"clean": opening(clean.calls, living, "EMFILE") + opening(clean.calls, "/proc/%d/stat" % third.pid, "ENFILE") +
                       opening(clean.calls, "/proc/%d/maps" % third.pid, "EACCES"),
              "run": [("*/poll/0+", "ENOMEM")], "snap": [("*/linkat/0+", "EEXIST")], "device": [("*/newfstatat/0+", "EIO")],
              "device_named": [("*/newfstatat/0+", "EIO")]}.get(name, [])
    test.need(len(always) > 2 or name != "clean", "nobody looks whether %d lives", third.pid)
    pairs = wished() or sample(list(tries(clean.calls, collections.Counter())) + list(sticking(clean.calls)), 14, always)
    one = lambda pair: try_one(name, clean, pair)  # noqa: E731
    runs = [one(pair) for pair in pairs] if what.alone else side_by_side(one, pairs)
    missed = [run for run in runs if run.process and not run.hit]
    for run in runs:
        test.need(not run.wrong, "%s: %s", name, run.faults)
    slowest = max(runs, key=lambda run: run.seconds, default=clean)
    print("%-12s %5d calls, %4d faults, %d of them did not come to be; the slowest %.1f s: %s" % (
        name, len(clean.calls), len(runs), len(missed), slowest.seconds, slowest.faults), flush=True)
    test.need(len(missed) <= 1 + len(runs) // 5, "%s: of %d faults %d did not come to be: %s", name, len(runs), len(missed),
              [run.faults for run in missed][:5])
    clean.end()


def look_at():
    """A running process, a killed one's region, a profile; and the cache as it is when all names have been looked up."""
    out = test.new_folder("profile")
    alive = test.start([HOST, "poll"], test.shim(out, rate=1), stdout=subprocess.PIPE)
    alive.stdout.readline()
    dead = test.start([HOST, "poll"], test.shim(out, rate=1), stdout=subprocess.PIPE)
    dead.stdout.readline()
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    test.run([HOST, "return"], test.shim(out, rate=1))
    live = glob.glob("/dev/shm/heaptap.host.%d.*.live" % dead.pid)
    found = {"pid": alive.pid, "live": live[0], "file": test.files(out)[0]}
    for path in found["live"], found["file"]:
        test.run([COMMAND, "top", path], clean_environment(XDG_CACHE_HOME=cache))
    return found


def stand_alone():
    """Begins again among no other processes and regions, as far as that may be done here."""
    if os.environ.get("HT_ALONE"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"], check=True)
        return True
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() != 0 or subprocess.run(command + ["true"], capture_output=True).returncode != 0:
        return False
    os.environ["HT_ALONE"] = "1"
    os.execvp(command[0], command + [sys.executable, "-B"] + sys.argv)
    return None


def main_of_command():
    """Where main() is, for the loader's and the libraries' own calls come before; 0 where the symbol is stripped."""
    lines = subprocess.run([os.environ.get("HT_NM") or "nm", COMMAND], capture_output=True, text=True).stdout
    found = re.search(r"^(\w+) T main$", lines, re.M)
    return found[1] if found else "0"


alone = stand_alone()
with Test("faults of the command") as test:
    if subprocess.run([FAULTING, "--", "/bin/true"], stdout=subprocess.DEVNULL).returncode == 77:
        print("SKIPPED: no system call can be made to fail here")
        sys.exit(77)
    main_offset, cache = main_of_command(), test.path("full cache")
    own_live = tempfile.mkdtemp(prefix="heaptap-faults.", dir="/dev/shm")
    atexit.register(shutil.rmtree, own_live, True)
    looked_at = look_at()
    third = test.start([HOST, "poll"], test.shim(test.folder, rate=1, live=own_live), stdout=subprocess.PIPE)
    third.stdout.readline()
    living = glob.glob(own_live + "/heaptap.host.*.live")[0]
    for wanted in [word for word in sys.argv[1:] if "=" not in word] or list(SCENARIOS):
        if SCENARIOS[wanted].alone and not alone:
            print("%-12s not tried: it needs a pid namespace, which only root can make" % wanted)
            continue
        try_scenario(wanted)
