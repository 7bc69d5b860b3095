#!/usr/bin/python3 -B
"""`heaptap growth` over the snapshots of a real process: a leak beside a cache that fills, steps and mere use are told apart;
folders, files and processes as input, text and JSON, and what cannot be judged."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, COMMAND, Test, clean_environment  # noqa: E402

HOST = BUILD + "/e2e/growth_host"
SECONDS = 12  # 60 snapshots of 200 ms
VERDICTS = {"forget_session": {"grows"}, "roll_log": {"steps"}, "fill_cache": {"levels"}, "handle_request": {"noise", "cycles"}}
FIELDS = {"verdict", "bytes_per_hour", "low", "high", "now_bytes", "freed_share", "began", "stack"}


def growth(*words, status=0, **variables):
    done = test.run([COMMAND, "growth", *map(str, words)], clean_environment(**variables), timeout=300)
    test.need(done.returncode == status, "growth %s: status %d, %s", words, done.returncode, done.errors)
    if status:
        test.need(len(done.errors.splitlines()) == 1 and not done.output, "growth %s: %r %r", words, done.output, done.errors)
    return done


def site_of(row):
    """The function of our host that a row is about."""
    names = [frame["function"] for frame in row["stack"]]
    return next((name for name in names if name in VERDICTS), names[0] if names else "")


def judge(rows):
    """What is what, and by how much the leak grows: 4,000 blocks of 4 kB in the time."""
    found = {site_of(row): row for row in rows}
    for name, verdicts in VERDICTS.items():
        test.need(name in found and found[name]["verdict"] in verdicts, "%s: %s", name, found.get(name, {}).get("verdict"))
    for row in rows:
        test.need(FIELDS <= set(row), "fields %s", FIELDS - set(row))
        test.need(row["verdict"] not in ("grows", "steps") or site_of(row) in ("forget_session", "roll_log"),
                  "%s grows, it is said", site_of(row))
    leak = found["forget_session"]
    true_per_hour = 4000 * 4096 / SECONDS * 3600
    # Four standard errors, and the host's own pace on a busy machine.
    test.need(abs(leak["bytes_per_hour"] - true_per_hour) < 4 * leak["error"] + 0.1 * true_per_hour,
              "the leak grows by %s an hour (low %s, high %s), in truth %d", leak["bytes_per_hour"], leak["low"], leak["high"],
              true_per_hour)
    test.need(leak["low"] < leak["bytes_per_hour"] < leak["high"] and leak["freed_share"] < 0.01, "the leak: %s", leak)
    test.need(found["handle_request"]["freed_share"] > 0.9, "of requests %s is freed", found["handle_request"]["freed_share"])
    test.need(re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", leak["began"] or ""), "began %s", leak["began"])
    test.need(leak["stack"][0]["function"] == "forget_session", "the leak's stack: %s", leak["stack"][:2])


def whole_life():
    out = test.new_folder("life")
    environment = clean_environment(HEAPTAP_RATE="16K", HEAPTAP_SEED="3")
    done = test.run([COMMAND, "run", "--interval", "200ms", "-o", out, "--", HOST, str(SECONDS)], environment, timeout=300)
    test.need(done.returncode == 0, "run: %s", done.errors)
    report = json.loads(growth("--json", out).output)
    judge(report["rows"])
    process, = report["processes"]
    test.need(process["snapshots"] >= 20 and len(process["times"]) == len(process["live_bytes"]) == process["snapshots"],
              "the process: %s", process)
    test.need(process["live_bytes"][-1] > 3 * process["live_bytes"][0], "live heap: %s", process["live_bytes"])
    # In any order, one of them twice: the same.
    files = sorted(glob.glob(out + "/*.pb.gz"), reverse=True)
    again = json.loads(growth("--json", *files, files[3]).output)
    test.need(again["rows"] == report["rows"], "other order, other figures")
    text = growth(out, LANG="C.UTF-8").output
    test.need(re.search(r"^ grows .*±.*[▁█].*forget_session", text, re.M), "text: %s", text)
    test.need("main" in text.split("is called most by:")[-1], "no stack: %s", text)
    plain = growth(out, LANG="C").output
    test.need("█" not in plain and re.search(r"^ grows .*[_#].*forget_session", plain, re.M), "plain text: %s", plain)
    limited = growth("--limit", "1G", out).output
    test.need(re.search(r"the limit is reached in \d+m\d+s \(95 %: \d+m\d+s to \d+m\d+s\)", limited), "limit: %s", limited)
    leaks = json.loads(test.run([COMMAND, "leaks", "--json", files[0]], clean_environment()).output)
    classes = {site_of(row): row["class"] for row in leaks["rows"]}
    test.need({"forget_session": "grows", "fill_cache": "bounded", "handle_request": "in use"}.items() <= classes.items(),
              "leaks: %s", classes)
    by_site = {site_of(row): row for row in leaks["rows"]}
    one, many = by_site["forget_session"], {site_of(row): row for row in report["rows"]}["forget_session"]
    test.need(abs(one["bytes_per_hour"] - many["bytes_per_hour"]) < 4 * (one["error"] + many["error"]) and
              "of all ages up to" in one["evidence"], "leaks: %s, growth: %s", one, many["bytes_per_hour"])
    done = test.run([COMMAND, "leaks", files[0]], clean_environment(LANG="C.UTF-8"))
    test.need(re.search(r"^ grows .*±.*[▁█].*forget_session", done.output, re.M) and "live samples of all ages" in done.output,
              "leaks as text: %s", done.output)
    part = json.loads(growth("--json", "--focus", "fill_cache", out).output)["rows"]
    test.need([site_of(row) for row in part] == ["fill_cache"], "--focus: %s", [site_of(row) for row in part])
    counted = json.loads(growth("--json", "--inuse-objects", out).output)["rows"]
    test.need({"forget_session": "grows"}.items() <= {site_of(row): row["verdict"] for row in counted}.items(),
              "objects: %s", {site_of(row): row["verdict"] for row in counted})
    return out, files


def what_cannot_be(out, files):
    few = test.new_folder("few")
    done = growth(few, status=1)
    test.need("there is no heaptap.*.pb.gz in it" in done.errors, "an empty folder: %s", done.errors)
    for path in files[:2]:
        shutil.copy(path, few)
    done = growth(few, status=1)
    test.need("2 snapshots" in done.errors and "--interval" in done.errors, "two snapshots: %s", done.errors)
    growth("--confidence", "2", out, status=2)
    growth("--limit", "much", out, status=2)
    growth(status=2)
    growth(test.path("nowhere"), status=1)
    broken = test.new_folder("broken")
    for path in files[:5]:
        shutil.copy(path, broken)
    with open(os.path.join(broken, "heaptap.growth_host.9.0001.interval.pb.gz"), "wb") as file:
        file.write(b"nonsense")
    done = growth(broken)
    test.need("heaptap.growth_host.9.0001" in done.errors and " snapshots over " in done.output, "a broken one: %s%s", done.output,
              done.errors)


def running():
    """A process by its pid: what it has written, and what it holds now."""
    out = test.new_folder("running")
    process = test.start([HOST, "1000"], test.shim(out, rate="16K", interval="50ms"), stdout=subprocess.PIPE)
    pid = int(process.stdout.readline())
    test.wait_for(lambda: len(glob.glob(out + "/*.interval.pb.gz")) >= 5, "no snapshots")
    before = len(glob.glob(out + "/*.interval.pb.gz"))
    report = json.loads(growth("--json", pid).output)
    test.need(report["processes"][0]["snapshots"] > before, "snapshots %d, of them %d in files", report["processes"][0]["snapshots"],
              before)
    test.need(report["processes"][0]["limit_bytes"] > 0, "no limit is known")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


with Test("growth") as test:
    what_cannot_be(*whole_life())
    running()
