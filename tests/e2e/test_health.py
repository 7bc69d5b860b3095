#!/usr/bin/python3 -B
"""Never wrong silently: what was lost, estimated or given up stands in the profile, in ps -v and in front of reports."""
import glob
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, COMMAND, Test  # noqa: E402


def program(name):
    return BUILD + "/programs/" + name


def one_exit_profile(title, name, arguments=(), **variables):
    out = test.new_folder(title)
    done = test.run([program(name), *arguments], test.shim(out, **variables))
    test.need(done.returncode == 0, "%s: %s ends with %s: %s", title, name, done.returncode, done.errors)
    files = test.files(out, "exit")
    test.need(len(files) >= 1, "%s: no exit profile", title)
    return files[0] if files else None


def figures():
    """Every profile says what the recorder cost and how many samples there were."""
    path = one_exit_profile("figures", "thread_churn", rate=1)
    health = test.profile(path).health()
    test.need(int(health.get("samples", 0)) > 1000, "samples=%s", health.get("samples"))
    test.need(int(health.get("recorder_ns", 0)) > 0, "recorder_ns is missing: %s", health)
    test.need(int(health.get("own_bytes", 0)) > 100000, "own_bytes=%s", health.get("own_bytes"))
    test.need(int(health.get("private_bytes", 0)) > 10000, "private_bytes=%s", health.get("private_bytes"))
    quiet = test.heaptap("top", path)
    test.need("lost" not in quiet.errors, "a warning without a reason: %s", quiet.errors)


def thinned():
    """Too little memory for rate 1: the report says what the sampling has become, on standard error."""
    out = test.new_folder("thinned")
    env = test.shim(out, rate=1, memory="1M")
    env["PYTHONMALLOC"] = "malloc"
    done = test.run(["/usr/bin/python3", "-c", "print(len([str(i) for i in range(200000)]))"], env)
    test.need(done.output == "200000\n", "python3: %s%s", done.output, done.errors)
    path = test.files(out, "exit")[0]
    health = test.profile(path).health()
    test.need(int(health.get("thinnings", 0)) > 0, "no thinning: %s", health)
    top = test.heaptap("top", path)
    test.need("sampling became coarser" in top.errors, "thinned, but top only says: %s", top.errors)
    test.need("coarser" not in top.output, "the warning is in the report")


def given_up():
    """A region that was written over: recording ends, one line says so, once."""
    out = test.new_folder("given_up")
    done = test.run([program("wild_stores")], test.shim(out, rate=1))
    lines = [line for line in done.errors.splitlines() if "switched off" in line]
    test.need(done.returncode == 0 and done.output == "ok\n", "status %s: %s", done.returncode, done.errors)
    test.need(len(lines) == 1 and lines[0].startswith("heaptap: "), "the log has: %s", done.errors)


def sealed():
    """A program in a sandbox of its own: no file from inside, the region is there for the command."""
    out = test.new_folder("sealed")
    done = test.run([program("sandboxed")], test.shim(out, rate=1))
    test.need(done.returncode == 0, "sandboxed: status %s: %s", done.returncode, done.errors)
    test.need(not test.files(out), "a file from inside a sandbox: %s", os.listdir(out))
    regions = glob.glob("/dev/shm/heaptap.sandboxed.*.live")
    if not test.need(len(regions) == 1, "regions: %s", regions):
        return
    top = test.heaptap("top", "-sample_index=alloc_space", regions[0])
    test.need("in_the_sandbox" in top.output, "what was allocated inside is missing: %s%s", top.output, top.errors)
    snap = test.heaptap("snap", regions[0])
    test.need(snap.returncode == 0, "snap: %s", snap.errors)
    files = test.files(out, "recovered")
    if test.need(len(files) == 1, "recovered: %s", os.listdir(out)):
        health = test.profile(files[0]).health()
        test.need(health.get("sealed") == "1", "sealed is not in the comments: %s", health)


WORKER = """
import os, sys
if os.fork() == 0:
    os.setgid(65534)
    os.setuid(65534)
    kept = [bytearray(1 << 16) for i in range(100)]
    sys.stdin.read()
else:
    os.wait()
"""


def gave_up_root():
    """A worker that may not write where root may: heaptap run saves its heap; its own pid is explained."""
    if os.geteuid() != 0:
        return
    out = test.new_folder("gave_up_root")
    os.chmod(out, 0o700)  # what root itself makes is open to all
    run = test.start([COMMAND, "run", "-v", "--interval", "500ms", "--no-symbolize", "--rate", "64K", "-o", out, "/usr/bin/python3",
                      "-c", WORKER], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    test.wait_for(lambda: os.path.isdir(out) and len({p.split(".")[-5] for p in test.files(out, "interval")}) == 2,
                  "snapshots of both by the interval")
    top = test.heaptap("top", run.pid)
    test.need(top.returncode == 1 and re.search(r": is heaptap itself; the program that it runs is \d+$", top.errors.strip()),
              "top of heaptap's own pid: %s", top.errors)
    _, errors = run.communicate(timeout=240)
    test.need(run.returncode == 0, "status %s: %s", run.returncode, errors)
    saved = test.files(out, "recovered")
    if test.need(len(saved) == 1 and "could not write at exit" in errors, "%s: %s", os.listdir(out), errors):
        worker = test.profile(saved[0]).pid
        test.need(test.files(out, "interval", worker), "no snapshot of the worker by the interval: %s", os.listdir(out))
        test.need(not glob.glob("/dev/shm/heaptap.*.%d.*.live" % worker), "its region is still there")


with Test("health") as test:
    figures()
    thinned()
    given_up()
    sealed()
    gave_up_root()
