#!/usr/bin/python3 -B
"""Runs one hazard program bare and under the shim in every variant: exit status, output and errors must be equal.

A program says in its own head what it needs, in lines that start with `//@`:

    //@ skip VARIANT: REASON     leaves a variant out that has no meaning for this program
    //@ set NAME=VALUE           HEAPTAP_NAME=VALUE under the shim (log=none where every snapshot must fail)
    //@ preload before|after LIB another library of this folder preloaded in front of or behind the shim
    //@ arguments WORDS          arguments of the program
    //@ shower tree              in the variant `signals` its children are signalled as well
    //@ root: REASON             needs to be root; skipped for others
    //@ profiles none|some|any   none: no profile may be written, some: at least one (any: the default)
    //@ inuse LEAST MOST         bytes in use that the exit profile has to show wherever everything is recorded
    //@ objects LEAST MOST       the same for objects that were allocated
    //@ absent KEY               no profile has a comment `# heaptap: KEY=...`
    //@ out full|readonly|file|missing  HEAPTAP_OUT is a full disk, a read-only one, no directory, not there yet
    //@ garbled                  its profiles need not make sense, for it writes over our tables: only be whole files
    //@ allocators WORDS         every variant once more behind a companion: jemalloc, tcmalloc and mimalloc with that
                                 allocator (where it is installed), alone: each companion without one, linked:NAME: the
                                 program is linked with it
    //@ unwiped                  every variant once more where MADV_WIPEONFORK is answered with 0 and not done
    //@ says TEXT                one line "heaptap: TEXT..." is what the shim adds to standard error
    //@ cflags FLAGS             for the compiler and //@ ldflags FLAGS for the linker (tests/CMakeLists.txt)

In the variant `signals` SIGUSR2 arrives all the time. The bare run is then given an empty handler (support/
empty_handler.c), so that calls which no handler's return restarts, like poll, fare alike.
"""
import atexit
import contextlib
import glob
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, SHIM, Test, clean_environment  # noqa: E402

JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
ALLOCATORS = {"jemalloc": ("libjemalloc.so.2",), "tcmalloc": ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4"),
              "mimalloc": ("libmimalloc.so.2", "libmimalloc.so.3")}
EMPTY_HANDLER = BUILD + "/libempty_handler.so"
# A filter that the program inherits (support/refusing.c): madvise(..., MADV_WIPEONFORK) returns 0 and does nothing.
UNWIPED = [BUILD + "/refusing", "%d/2=18:0" % {"x86_64": 28, "aarch64": 233}[os.uname().machine], "--"]
VARIANTS = {
    "default": {},
    "rate1": {"rate": 1},
    "signals": {"rate": 1, "interval": "20ms"},
    "jemalloc": {"rate": 1},
    "live_off": {"rate": 1, "live": "off"},
    "memory": {"rate": 1, "memory": "1M"},
}


class Needs:
    """What the program's head asks for."""

    def __init__(self, path):
        self.skip, self.set, self.before, self.after = {}, {}, [], []
        self.arguments, self.tree, self.root, self.profiles = [], False, False, "any"
        self.inuse = self.objects = None
        self.out, self.says, self.absent, self.unwiped, self.garbled = None, None, None, False, False
        self.allocators, self.companion, self.allocator = [], [], []  # the latter two: of the turn that is run
        with open(path) as file:
            lines = [line[3:].strip() for line in file if line.startswith("//@")]
        for line in lines:
            word, _, rest = line.partition(" ")
            rest = rest.strip()
            if word == "skip":
                variant, _, reason = rest.partition(":")
                assert variant in VARIANTS and reason.strip(), line
                self.skip[variant] = reason.strip()
            elif word == "set":
                key, _, value = rest.partition("=")
                self.set[key] = value
            elif word == "preload":
                side, library = rest.split()
                {"before": self.before, "after": self.after}[side].append("%s/programs/%s.so" % (BUILD, library))
            elif word == "arguments":
                self.arguments = rest.split()
            elif word == "shower":
                self.tree = True
            elif word == "root:":
                self.root = True
            elif word == "profiles":
                self.profiles = rest
            elif word == "inuse":
                self.inuse = tuple(int(number) for number in rest.split())
            elif word == "objects":
                self.objects = tuple(int(number) for number in rest.split())
            elif word == "out":
                self.out = rest
                self.root = self.root or rest in ("full", "readonly")
            elif word in ("unwiped", "garbled"):
                setattr(self, word, True)
            elif word == "allocators":
                self.allocators = rest.split()
            elif word == "says":
                self.says = rest
            elif word == "absent":
                self.absent = rest
            else:
                assert word in ("cflags", "ldflags"), line

    def preload(self, *libraries):
        """The shim, if it is among the libraries, brings the companion of this turn."""
        companion = self.companion if SHIM in libraries else []
        return " ".join(self.before + list(libraries) + companion + self.allocator + self.after)

    def turns(self):
        """Name, companion and allocator: one turn without both, and what the head asks for."""
        yield "", [], []
        for word in self.allocators:
            linked, _, name = word.rpartition(":")
            for one in ("cxx", *ALLOCATORS) if word == "alone" else (name,):
                companion = ["%s/libheaptap-%s.so" % (BUILD, one)]
                if linked or word == "alone":
                    yield "%s %s" % (linked or word, one), companion, []
                    continue
                for library in ALLOCATORS[one]:
                    paths = glob.glob("/usr/lib/*-linux-gnu/" + library)
                    if paths:
                        yield library, companion, paths[:1]


def descendants(pid):
    """The process and everything below it."""
    found = [pid]
    for at in found:
        for path in glob.glob("/proc/%d/task/*/children" % at):
            try:
                with open(path) as file:
                    found += [int(word) for word in file.read().split()]
            except OSError:
                pass
    return found


def shower(pid, tree, stop):
    """Sends SIGUSR2 every 5 ms to whoever has a handler for it: without one it would end the process, as it does bare."""
    while not stop.is_set():
        for target in descendants(pid) if tree else [pid]:
            try:
                with open("/proc/%d/status" % target) as file:
                    caught = re.search(r"^SigCgt:\s*(\w+)", file.read(), re.M)
                if caught and int(caught[1], 16) >> (signal.SIGUSR2 - 1) & 1:
                    os.kill(target, signal.SIGUSR2)
            except (OSError, ValueError):
                pass
        time.sleep(0.005)


def run(env, signals=False, unwiped=False):
    command = (UNWIPED if unwiped else []) + [BUILD + "/programs/" + name] + needs.arguments
    if not signals:
        return test.run(command, env, timeout=250)
    stop = threading.Event()
    started = []
    original = test.pids.add

    def note(pid):
        original(pid)
        started.append(threading.Thread(target=shower, args=(pid, needs.tree, stop)))
        started[-1].start()

    test.pids = type("Pids", (set,), {"add": lambda self, pid: note(pid)})(test.pids)
    try:
        return test.run(command, env, timeout=250)
    finally:
        stop.set()
        started[0].join()
        test.pids = set(test.pids)


def output_of(variant):
    """A new HEAPTAP_OUT, as the program wishes it."""
    folder = test.new_folder(variant)
    if needs.out in ("full", "readonly"):
        options = "size=64k" + (",ro" if needs.out == "readonly" else "")
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)
        mounted.append(folder)
        atexit.register(subprocess.run, ["umount", "-l", folder], stderr=subprocess.DEVNULL)  # if all goes wrong
    if needs.out == "full":
        with open(folder + "/filler", "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass
    if needs.out == "file":
        folder += "/file"
        open(folder, "w").close()
    if needs.out == "missing":
        folder += "/not/yet/there"
    return folder


def without_line(variant, process):
    """Takes the one line out that the program's head announces."""
    line = "heaptap: " + needs.says
    lines = process.errors.splitlines(True)
    test.need(sum(l.startswith(line) for l in lines) == 1, "%s: not one line %r on standard error: %r", variant, line,
              process.errors[-500:])
    process.errors = "".join(l for l in lines if not l.startswith(line))
    return process


def bare_for(variant, unwiped):
    """The run that a variant is held against."""
    if variant == "jemalloc":
        return run(clean_environment(LD_PRELOAD=needs.preload(JEMALLOC)), False, unwiped)
    if variant == "signals":
        return run(clean_environment(LD_PRELOAD=needs.preload(EMPTY_HANDLER)), True, unwiped)
    preload = {"LD_PRELOAD": needs.preload()} if needs.preload() else {}
    return run(clean_environment(**preload), False, unwiped) if unwiped else bare


def check_variant(turn, variant, unwiped):
    """Holds the program in this variant against the bare one; unwiped: both under the filter."""
    shown_as = ", ".join(word for word in (variant, turn, "unwiped" if unwiped else "") if word)
    out = output_of(shown_as)
    env = test.shim(out, **{**VARIANTS[variant], **needs.set})
    env["LD_PRELOAD"] = needs.preload(SHIM, JEMALLOC) if variant == "jemalloc" else needs.preload(SHIM)
    other = run(env, variant == "signals", unwiped)
    test.same(shown_as, bare_for(variant, unwiped), without_line(shown_as, other) if needs.says else other)
    files = test.files(out) if os.path.isdir(out) else []
    test.need(needs.profiles != "none" or not files, "%s: a profile was written: %s", shown_as, files)
    test.need(needs.profiles != "some" or files, "%s: no profile was written", shown_as)
    halves = glob.glob(out + "/.heaptap.*") if needs.out else []
    test.need(not halves, "%s: left behind: %s", shown_as, halves)
    for path in files if needs.garbled else []:
        test.need(test.run(["gzip", "-t", path]).returncode == 0, "%s: %s is not whole", shown_as, path)
    for path in [] if needs.garbled else files:
        comments = test.profile(path).health()
        test.need(needs.absent not in comments, "%s: %s: %s", shown_as, path, comments)
    # Elsewhere they are estimates, or include what jemalloc's own libraries keep.
    for text, at, wanted in (("bytes in use", 3, needs.inuse), ("objects allocated", 0, needs.objects)):
        if wanted and variant in ("rate1", "signals", "live_off"):
            shown = [p.totals()[at] for p in test.exit_profiles(out)]
            test.need(len(shown) == 1 and wanted[0] <= shown[0] <= wanted[1], "%s: %s at exit: %s, not %d to %d",
                      shown_as, text, shown, *wanted)


name = sys.argv[1] if len(sys.argv) > 1 else sys.exit("usage: run.py PROGRAM [VARIANT]")
here = os.path.dirname(os.path.abspath(__file__))
mounted = []
needs = Needs([p for p in (here + "/%s.c" % name, here + "/%s.cpp" % name) if os.path.exists(p)][0])
if needs.root and os.geteuid() != 0:
    print("SKIPPED: needs root")
    sys.exit(77)
def run_turn(turn):
    """The program bare, and under the shim in every variant."""
    global bare
    preload = {"LD_PRELOAD": needs.preload()} if needs.preload() else {}
    bare = run(clean_environment(**preload))
    test.need(bare.returncode != 77 or bare.output, "bare: a skip has to say why")
    if bare.returncode == 77:
        print("SKIPPED: " + bare.output)
        os._exit(77)
    # A program that ends by a signal on purpose prints "ok" first; any other failure of a check prints to stderr.
    test.need("ok" in bare.output and not bare.errors, "bare: status %d, output %r, %s", bare.returncode, bare.output[-200:],
              bare.errors)
    for variant in VARIANTS:
        if variant in needs.skip or len(sys.argv) > 2 and sys.argv[2] != variant:
            continue
        if variant == "jemalloc" and (turn or not os.path.exists(JEMALLOC)):
            continue
        for unwiped in (False, True) if needs.unwiped else (False,):
            check_variant(turn, variant, unwiped)


with Test(name) as test:
    for turn, needs.companion, needs.allocator in needs.turns():
        run_turn(turn)
    # Regions stay behind where no file could be written, also those of grandchildren.
    for path in glob.glob("/dev/shm/heaptap.%s.*.live" % name[:40]):
        if not os.path.exists("/proc/" + path.split(".")[-3]):
            with contextlib.suppress(FileNotFoundError):  # another process may have cleaned up just now
                os.unlink(path)
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)
