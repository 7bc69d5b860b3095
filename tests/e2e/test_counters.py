#!/usr/bin/python3 -B
"""Each counter of a profile's comments counts, in a real process that gives it a reason; and none does without one."""
import os
import platform
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, Test  # noqa: E402

HOST = BUILD + "/e2e/host"
PYTHON = "/usr/bin/python3"
# Copies itself behind libc's back, by the clone system call alone; both processes leave normally.
RAW_COPY = """
import ctypes, os, platform
kept = [str(i) * 50 for i in range(1000)]
number = 56 if platform.machine() == "x86_64" else 220
pid = ctypes.CDLL(None).syscall(number, 17, 0, 0, 0, 0)
kept += [str(i) * 50 for i in range(1000)]
if pid:
    os.waitpid(pid, 0)
"""


def ended(title, command, profiles=1, **variables):
    """The comments of the exit profiles of a program that ends well."""
    out = test.new_folder(title)
    env = test.shim(out, **{"rate": 1, **variables})
    env["PYTHONMALLOC"] = "malloc"
    done = test.run(command, env)
    test.need(done.returncode in (0, 7), "%s: status %d, %s", title, done.returncode, done.errors)
    files = test.files(out, "exit")
    test.need(len(files) == profiles, "%s: %d exit profiles", title, len(files))
    return [test.profile(path).health() for path in files]


def reasons():
    """Programs that have a counter's reason in them."""
    wanted = {"wild_frames": "failed_unwinds", "deep_recursion": "truncated_stacks", "hidden_frees": "unmatched"}
    if platform.machine() == "x86_64":
        wanted["self_stepped"] = "drop_reentrant"
    for program, key in wanted.items():
        for health in ended(program, [BUILD + "/programs/" + program]):
            test.need(int(health.get(key, 0)) > 0, "%s: no %s: %s", program, key, health)
            extra = [k for k in health if k.startswith(("drop_", "inherit", "raw_fork", "snapshot_f")) and k != key]
            test.need(not extra, "%s: %s without a reason", program, extra)


def raw_copy():
    copies = [int(health.get("raw_fork", 0)) for health in ended("raw", [PYTHON, "-c", RAW_COPY], 2)]
    test.need(sorted(copies) == [0, 1], "raw_fork of the parent and the child: %s", copies)


def failures():
    """A snapshot that cannot be written stands in the next one that can."""
    out = test.new_folder("failures")
    os.rmdir(out)
    open(out, "w").close()
    host = test.start([HOST, "churn"], test.shim(out, rate=1), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    host.stdout.readline()
    os.kill(host.pid, signal.SIGUSR2)
    line = host.stderr.readline()
    test.need("cannot write a snapshot" in line, "the log has %r", line)
    shown = test.heaptap("ps", host.pid).output
    test.need("1 snapshot could not be written into %s;" % out in shown, "ps says: %s", shown)
    os.unlink(out)
    os.kill(host.pid, signal.SIGUSR2)
    for path in test.wait_for(lambda: os.path.isdir(out) and test.files(out), "a profile") or []:
        health = test.profile(path).health()
        test.need(health.get("snapshot_failures") == "1", "snapshot_failures: %s", health)
    host.kill()
    host.wait()


def room():
    """Where there is memory enough nothing is given up, however much else the program maps meanwhile."""
    text = "import mmap; kept = [(str(i) * 9, i % 1000 or mmap.mmap(-1, 1 << 20)) for i in range(60000)]"
    for health in ended("room", [PYTHON, "-c", text], memory="64M"):
        lost = [key for key in health if key.startswith(("thinn", "drop_", "overflow_", "failed"))
                and key != "failed_unwinds"]
        test.need(not lost and int(health.get("own_bytes", 0)) > 6 << 20, "64M was not enough: %s", health)


def elsewhere():
    """On a disk there is no region, and yet the profile is complete."""
    for folder in (test.path(), BUILD, "/var/tmp"):
        kind = subprocess.run(["stat", "-f", "-c", "%T", folder], stdout=subprocess.PIPE, text=True).stdout.strip()
        if kind != "tmpfs":
            break
    else:
        print("  not tested: no folder that is not on a tmpfs")
        return
    out = test.new_folder("elsewhere")
    host = test.start([HOST, "poll"], test.shim(out, rate=1, live=folder), stdout=subprocess.PIPE)
    host.stdout.readline()
    regions = [name for name in os.listdir(folder) if ".%d." % host.pid in name]
    test.need(not regions, "a region on %s: %s", kind, regions)
    os.kill(host.pid, signal.SIGUSR2)
    for path in test.wait_for(lambda: test.files(out), "a profile") or []:
        test.need(test.profile(path).by_any("keep_blocks") == [200, 2000000, 200, 2000000], "%s: keep_blocks %s", kind,
                  test.profile(path).by_any("keep_blocks"))
    host.kill()
    host.wait()


def refused_filter():
    """A filter that was not installed seals nothing."""
    health, = ended("refused", [HOST, "refused_filter"])
    test.need("sealed" not in health and int(health["samples"]) >= 300, "after a refused filter: %s", health)


def sealed_walks():
    """Behind a filter, where nobody can ask which pages can be read, the stacks are whole all the same."""
    out = test.new_folder("sealed")
    done = test.run([BUILD + "/programs/sandboxed"], test.shim(out, rate=1))
    regions = ["/dev/shm/" + name for name in os.listdir("/dev/shm") if name.startswith("heaptap.sandboxed.")]
    test.need(done.returncode == 0 and len(regions) == 1, "status %d, regions %s", done.returncode, regions)
    for region in regions:
        test.need(test.heaptap("snap", region).returncode == 0, "heaptap snap %s", region)
    for path in test.files(out, "recovered"):
        profile = test.profile(path)
        test.need(profile.by_any("in_the_sandbox")[0] > 0 and "failed_unwinds" not in profile.health(), "sandboxed: %s",
                  profile.health())


with Test("counters") as test:
    for part in (reasons, raw_copy, failures, room, elsewhere, refused_filter, sealed_walks):
        part()
