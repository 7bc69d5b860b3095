#!/usr/bin/python3 -B
"""heaptap doctor FILE.live: the region of a running process, of a dead one, of none, and one with each structure damaged."""
import glob
import json
import os
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, Test  # noqa: E402

# Of its own: in /dev/shm the regions of the dead give way to those of other programs.
LIVE = tempfile.mkdtemp(prefix="heaptap-doctor.", dir="/dev/shm")
ROWS = ["header", "stacks", "strings", "modules", "kinds", "entries", "live_samples", "live_sums"]


def ask(test, path, works):
    """The checks by name, of an answer whose summary and exit status are as expected."""
    done = test.heaptap("doctor", "--json", path)
    test.need(done.returncode == (1 if works == "no" else 0) and done.errors == "", "%s: exit status %s: %s", path,
              done.returncode, done.errors)
    answer = json.loads(done.output)
    test.need(answer["works"] == works, "%s: works %s: %s", path, answer["works"],
              [c for c in answer["checks"] if c["status"] != "ok"])
    checks = {check["check"]: check for check in answer["checks"]}
    test.need(all(row in checks for row in ROWS), "%s: rows %s", path, list(checks))
    test.need(all(check["status"] == "ok" or check["advice"] for check in answer["checks"]), "%s: no advice", path)
    return answer, checks


def host(test, *mode):
    process = test.start([BUILD + "/e2e/host"] + list(mode), env=test.shim(test.path("out"), rate=1, live=LIVE), stdout=-1)
    process.stdout.readline()
    found = glob.glob(LIVE + "/heaptap.host.%d.*.live" % process.pid)
    test.need(len(found) == 1, "regions: %s", found)
    return process, found[0]


def check_running(test):
    process, region = host(test, "churn")
    answer, checks = ask(test, region, "yes")
    test.need(answer["pid"] == process.pid and "runs with it" in checks["process"]["seen"], "alive: %s", answer)
    test.need("of host, pid %d" % process.pid in checks["region"]["seen"], "identity: %s", checks["region"])
    for _ in range(20):  # whatever it is at
        ask(test, region, "yes")
    process.kill()
    process.wait()
    answer, checks = ask(test, region, "yes")
    test.need("pid" not in answer and "has ended" in checks["process"]["seen"], "dead: %s", answer)
    return region


def check_damaged(test, region):
    for row in ROWS:
        copy = test.path("heaptap.host.1.%s.live" % row)
        shutil.copyfile(region, copy)
        done = test.run([BUILD + "/e2e/region_damage", copy, row])
        test.need(done.returncode == 0, "cannot damage %s: %s", row, done.returncode)
        _, checks = ask(test, copy, "no")
        test.need(checks[row]["status"] == "problem", "%s is damaged: %s", row, checks[row])
        before = ROWS[:ROWS.index(row)]
        test.need(all(checks[other]["status"] == "ok" for other in before), "%s is damaged, and: %s", row,
                  [checks[other] for other in before])
        text = test.heaptap("doctor", copy)
        test.need(text.returncode == 1 and "the region is sound: no (" in text.output.splitlines()[-1] and
                  row.replace("_", " ") in text.output.splitlines()[-1], "%s: %s", row, text.output)


def check_counters(test):
    """What was counted is told, and is no damage."""
    process = test.start([BUILD + "/e2e/host", "churn"], env=test.shim(test.path("out"), rate=1, live=LIVE, memory="1M"),
                         stdout=-1)
    process.stdout.readline()
    region = glob.glob(LIVE + "/heaptap.host.%d.*.live" % process.pid)[0]
    process.send_signal(signal.SIGKILL)
    process.wait()
    answer, _ = ask(test, region, "yes")
    counters = [c["seen"].split(" ")[0] for c in answer["checks"] if c["check"] == "counters"]
    test.need("recorder_ns" in counters, "counters: %s", counters)


def check_others(test, region):
    cut = test.path("heaptap.cut.1.1.live")
    with open(region, "rb") as file:
        start = file.read(30000)
    for size, words in ((100, "too short"), (20000, "was cut off")):
        with open(cut, "wb") as file:
            file.write(start[:size])
        done = test.heaptap("doctor", cut)
        test.need(done.returncode == 1 and words in done.errors and done.errors.count("\n") == 1 and done.output == "",
                  "%d bytes: %s %s", size, done.returncode, done.errors)
    done = test.heaptap("doctor", "/nonexistent/x.live")
    test.need(done.returncode == 1 and "cannot be opened" in done.errors, "none: %s", done.errors)
    text = test.heaptap("doctor", region)
    test.need(text.returncode == 0 and text.output.splitlines()[-1] == "the region is sound: yes", "%s", text.output)


try:
    with Test("doctor_region") as test:
        test.new_folder("out")
        region = check_running(test)
        check_damaged(test, region)
        check_counters(test)
        check_others(test, region)
finally:
    shutil.rmtree(LIVE)
