#!/usr/bin/python3 -B
"""Runs one hazard program bare and under the shim in every variant: exit status, output and errors must be equal.

A program says in its own head what it needs, in lines that start with `//@`:

    //@ skip VARIANT: REASON     leaves a variant out that has no meaning for this program
    //@ set NAME=VALUE           HEAPTAP_NAME=VALUE under the shim (log=none where every snapshot must fail)
    //@ preload before|after LIB another library of this folder preloaded in front of or behind the shim
    //@ arguments WORDS          arguments of the program
    //@ shower tree              in the variant `signals` its children are signalled as well
    //@ root: REASON             needs to be root; skipped for others
    //@ profiles none|any        none: no profile may be written (any: the default)
    //@ cflags FLAGS             for the compiler and //@ ldflags FLAGS for the linker (tests/CMakeLists.txt)

In the variant `signals` SIGUSR2 arrives all the time. The bare run is then given an empty handler (support/
empty_handler.c), so that calls which no handler's return restarts, like poll, fare alike.
"""
import glob
import os
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, SHIM, Test, clean_environment  # noqa: E402

JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
EMPTY_HANDLER = BUILD + "/libempty_handler.so"
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
            else:
                assert word in ("cflags", "ldflags"), line

    def preload(self, *libraries):
        return " ".join(self.before + list(libraries) + self.after)


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


def run(env, signals=False):
    command = [BUILD + "/programs/" + name] + needs.arguments
    if not signals:
        return test.run(command, env, timeout=50)
    stop = threading.Event()
    started = []
    original = test.pids.add

    def note(pid):
        original(pid)
        started.append(threading.Thread(target=shower, args=(pid, needs.tree, stop)))
        started[-1].start()

    test.pids = type("Pids", (set,), {"add": lambda self, pid: note(pid)})(test.pids)
    try:
        return test.run(command, env, timeout=50)
    finally:
        stop.set()
        started[0].join()
        test.pids = set(test.pids)


def bare_for(variant):
    """The run that a variant is held against."""
    if variant == "jemalloc":
        return run(clean_environment(LD_PRELOAD=needs.preload(JEMALLOC)))
    if variant == "signals":
        return run(clean_environment(LD_PRELOAD=needs.preload(EMPTY_HANDLER)), True)
    return bare


name = sys.argv[1] if len(sys.argv) > 1 else sys.exit("usage: run.py PROGRAM [VARIANT]")
here = os.path.dirname(os.path.abspath(__file__))
needs = Needs([p for p in (here + "/%s.c" % name, here + "/%s.cpp" % name) if os.path.exists(p)][0])
if needs.root and os.geteuid() != 0:
    print("SKIPPED: needs root")
    sys.exit(77)
with Test(name) as test:
    preload = {"LD_PRELOAD": needs.preload()} if needs.preload() else {}
    bare = run(clean_environment(**preload))
    test.need(bare.returncode != 77 or bare.output, "bare: a skip has to say why")
    if bare.returncode == 77:
        print("SKIPPED: " + bare.output)
        os._exit(77)
    # A program that ends by a signal on purpose prints "ok" first; any other failure of a check prints to stderr.
    test.need("ok" in bare.output and not bare.errors, "bare: status %d, output %r, %s", bare.returncode, bare.output[-200:],
              bare.errors)
    for variant, variables in VARIANTS.items():
        if variant in needs.skip or len(sys.argv) > 2 and sys.argv[2] != variant:
            continue
        if variant == "jemalloc" and not os.path.exists(JEMALLOC):
            continue
        out = test.new_folder(variant)
        env = test.shim(out, **{**variables, **needs.set})
        env["LD_PRELOAD"] = needs.preload(SHIM, JEMALLOC) if variant == "jemalloc" else needs.preload(SHIM)
        test.same(variant, bare_for(variant), run(env, variant == "signals"))
        files = test.files(out)
        test.need(needs.profiles == "any" or not files, "%s: a profile was written: %s", variant, files)
        for path in files:
            test.profile(path)
    # Regions stay behind where no file could be written, also those of grandchildren.
    for path in glob.glob("/dev/shm/heaptap.%s.*.live" % name[:40]):
        if not os.path.exists("/proc/" + path.split(".")[-3]):
            os.unlink(path)
