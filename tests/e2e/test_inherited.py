#!/usr/bin/python3 -B
# What a forked worker holds of its parent's is in its profiles from the first snapshot on, also when it has recorded nothing
# itself; and no later one calls it growth.
import json
import os
import pwd
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, Test  # noqa: E402
from heap_profile import Profile  # noqa: E402

ALL = [200, 2000000, 200, 2000000]


def snapshot(count):
    """The worker's profile number `count`, by its signal."""
    os.kill(worker, signal.SIGUSR2)
    files = test.wait_for(lambda: len(test.files(out, "signal", worker)) >= count and test.files(out, "signal", worker),
                          "snapshot %d of the worker" % count)
    return sorted(files)[count - 1] if files else None


def tell(word):
    host.stdin.write(word)
    host.stdin.flush()
    test.need(host.stdout.readline() == "done\n", "the worker does not answer")


with Test("inherited") as test:
    out = test.new_folder("out")
    host = test.start([BUILD + "/e2e/inherit_host"], test.shim(out, rate=1), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                      bufsize=1)
    worker = int(host.stdout.readline())
    tell("h")  # it runs: its fork handlers are behind it
    # From outside, before it has recorded anything: what its parent still holds of before the fork.
    row, = json.loads(test.heaptap("ps", "--json", "--over", 0, worker).output)["processes"]
    test.need((row["live_bytes"], row.get("at_least"), row["state"]) == (2000000, True, "inherited"), "ps: %s", row)
    test.need(row["user"] == pwd.getpwuid(os.geteuid()).pw_name and row["rss_bytes"] > 1000000 and
              row["arguments"] == BUILD + "/e2e/inherit_host", "ps: %s", row)
    both = json.loads(test.heaptap("ps", "--json", "--over", 0, "inherit_host").output)["processes"]
    test.need([r["pid"] for r in both] == sorted([host.pid, worker]), "ps of a name: %s", both)
    test.need(">1.91MB" in test.heaptap("ps", "--over", 0, worker).output, "ps shows no lower bound")
    seen = test.heaptap("top", "--json", worker)
    test.need(json.loads(seen.output)["total"] == 2000000 and "at least" in seen.errors, "top: %s%s", seen.output, seen.errors)
    path = test.heaptap("snap", worker).output.strip()
    outside = Profile(path)
    outside.check()
    test.need(outside.by_any("load_blocks") == ALL and outside.health().get("at_least") == "1" and
              outside.health().get("inherited_pid") == str(host.pid) and outside.health().get("pid") == str(worker),
              "snap: %s %s", outside.by_any("load_blocks"), outside.health())
    sum_of = json.loads(test.heaptap("top", "--json", "inherit_host").output)
    test.need(sum_of["total"] < 2100000, "top of both: %s", sum_of["total"])
    test.need(test.heaptap("rate", worker, "64K").returncode == 1, "the rate of its parent's region can be set by way of it")
    idle = snapshot(1)
    test.need(test.profile(idle).by_any("load_blocks") == ALL, "idle: %s", test.profile(idle).by_any("load_blocks"))
    test.need(test.profile(idle).health().get("raw_fork") is None, "idle: a raw fork")
    tell("s")
    served = snapshot(2)
    test.need(test.profile(served).by_any("load_blocks") == ALL, "served: %s", test.profile(served).by_any("load_blocks"))
    text = test.heaptap("diff", idle, served).output
    test.need("load_blocks" not in text, "diff of idle and served:\n%s", text)
    tell("r")
    released = snapshot(3)
    test.need(test.profile(released).by_any("load_blocks") == [200, 2000000, 100, 1000000], "released: %s",
              test.profile(released).by_any("load_blocks"))
    series = json.loads(test.heaptap("growth", "--json", "--focus", "load_blocks", idle, served, released).output)
    test.need(series["processes"][0]["live_bytes"] == [2000000, 2000000, 1000000], "growth: %s", series["processes"])
    host.stdin.close()
    test.need(host.wait(timeout=60) == 0, "the host ends with %s", host.returncode)
    last, = test.files(out, "exit", host.pid)
    test.need(test.profile(last).by_any("load_blocks") == ALL, "the parent: %s", test.profile(last).by_any("load_blocks"))
