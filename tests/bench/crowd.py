#!/usr/bin/python3 -B
"""`heaptap run` over more processes at the same time than any fixed table of it would hold: one of them is killed when all are
there, and its heap is saved. HT_CROWD says how many (4300)."""
import os
import re
import resource
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, COMMAND, Test, clean_environment  # noqa: E402

CROWD = int(os.environ.get("HT_CROWD") or 4300)
ROOM = 200  # processes of others, and descriptors


def why_not():
    """What does not allow so many, None: nothing that is known before."""
    with open("/proc/sys/kernel/pid_max") as file:
        numbers = int(file.read())
    if numbers < 2 * CROWD:
        return "kernel.pid_max is %d" % numbers
    for name, limit in (("processes", resource.RLIMIT_NPROC), ("descriptors", resource.RLIMIT_NOFILE)):
        most = resource.getrlimit(limit)[1]
        if most not in (resource.RLIM_INFINITY, -1) and most < CROWD + ROOM:
            return "the limit of %s is %d" % (name, most)
    return None


with Test("crowd") as test:
    reason = why_not()
    out = test.new_folder("out")
    variables = {"HEAPTAP_RATE": "1", "HEAPTAP_EXIT": "0", "HEAPTAP_MEMORY": "512K", "HEAPTAP_OUT": out}
    run = reason or test.run([COMMAND, "run", "--", BUILD + "/e2e/crowd_host", str(CROWD)], clean_environment(**variables), timeout=3000)
    if reason or run.returncode == 77:
        print("SKIPPED: %d processes at the same time cannot be had: %s" % (CROWD, reason or run.output.strip()))
        sys.exit(77)
    test.need(run.returncode == 3, "status %s: %s", run.returncode, run.errors[-1000:])
    killed = int(run.output.split()[0]) if run.returncode == 3 else 0
    saved = test.files(out)
    test.need([os.path.basename(path) for path in saved] == ["heaptap.crowd_host.%d.0000.recovered.pb.gz" % killed],
              "process %d was killed, and these were saved: %s", killed, saved[:5])
    lines = re.findall(r"^heaptap: run: crowd_host \(process (\d+)\)", run.errors, re.M)
    test.need(lines == [str(killed)], "process %d was killed, and run said: %s", killed, run.errors[-1000:])
    for path in saved[:1]:
        test.need("hold_a_block" in test.heaptap("top", path).output, "its block is not in %s", path)
