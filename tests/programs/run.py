#!/usr/bin/python3 -B
# Runs one hazard program bare and under the shim in every variant: exit status, output and errors must be equal.
#
# In the variant `signals` SIGUSR2 arrives all the time; bare it is held against a run in which nothing arrives, so a
# program here restarts its own calls on EINTR.
import glob
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, SHIM, Test, clean_environment  # noqa: E402

JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
# Programs for which a variant has no meaning, and why.
LEFT_OUT = {
    ("signals_own", "signals"): "it has the signal for itself and counts it",
    ("limits", "jemalloc"): "jemalloc maps more address space than the limit leaves",
    ("allocator_semantics", "jemalloc"): "it tests glibc's failure values",
}
# A limit of 0 bytes on files makes every snapshot fail, which is worth a line; the host must not notice otherwise.
EXTRA = {"limits": {"log": "none"}}


def shower(pid, stop):
    """Sends SIGUSR2 every 5 ms, once the shim's handler is there: before, it would end the process as it does bare."""
    while not stop.is_set():
        try:
            with open("/proc/%d/status" % pid) as file:
                caught = [l for l in file if l.startswith("SigCgt")][0]
            if int(caught.split()[1], 16) >> (signal.SIGUSR2 - 1) & 1:
                os.kill(pid, signal.SIGUSR2)
        except (OSError, IndexError):
            return
        time.sleep(0.005)


def run(program, env, signals=False):
    if not signals:
        return test.run([program], env, timeout=50)
    stop = threading.Event()
    started = []
    original = test.pids.add

    def note(pid):
        original(pid)
        started.append(threading.Thread(target=shower, args=(pid, stop)))
        started[-1].start()

    test.pids = type("Pids", (set,), {"add": lambda self, pid: note(pid)})(test.pids)
    try:
        return test.run([program], env, timeout=50)
    finally:
        stop.set()
        started[0].join()
        test.pids = set(test.pids)


name = sys.argv[1] if len(sys.argv) > 1 else sys.exit("usage: run.py PROGRAM [VARIANT]")
program = BUILD + "/programs/" + name
VARIANTS = {
    "default": {},
    "rate1": {"rate": 1},
    "signals": {"rate": 1, "interval": "20ms"},
    "jemalloc": {"rate": 1},
    "live_off": {"rate": 1, "live": "off"},
    "memory": {"rate": 1, "memory": "1M"},
}
with Test(name) as test:
    bare = run(program, clean_environment())
    test.need(bare.returncode >= 0 and not bare.errors, "bare: status %d, %s", bare.returncode, bare.errors)
    for variant, variables in VARIANTS.items():
        if (name, variant) in LEFT_OUT or len(sys.argv) > 2 and sys.argv[2] != variant:
            continue
        out = test.new_folder(variant)
        env, against = test.shim(out, **variables, **EXTRA.get(name, {})), bare
        if variant == "jemalloc":
            if not os.path.exists(JEMALLOC):
                continue
            env["LD_PRELOAD"] = SHIM + " " + JEMALLOC
            against = run(program, clean_environment(LD_PRELOAD=JEMALLOC))
        test.same(variant, against, run(program, env, variant == "signals"))
        for path in test.files(out):
            test.profile(path)
    # Regions stay behind where no file could be written, also those of grandchildren.
    for path in glob.glob("/dev/shm/heaptap.%s.*.live" % name):
        if not os.path.exists("/proc/" + path.split(".")[-3]):
            os.unlink(path)
