#!/usr/bin/python3 -B
# Figures that some machine held: several snapshots of one process mean the newest, a forked family counts what it shares
# once, two runs have no growth per minute, and what the exit had freed is told.
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, COMMAND, SHIM, Test, clean_environment  # noqa: E402
from heap_profile import Profile  # noqa: E402

HOST = BUILD + "/e2e/family_host"
SHARED, OWN = 400 * 10000, 20 * 5000


def start(*arguments, program=HOST, **variables):
    out = test.new_folder("out%d" % len(test.processes))
    host = test.start([program, *arguments], test.shim(out, rate=1, **variables), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                      bufsize=1)
    return out, host, [int(word) for word in host.stdout.readline().split()]


def snap(pid, out):
    return test.heaptap("snap", "-o", out, pid).output.strip()


def held(paths, *options):
    """Bytes that the reports shows as held, by function, and what was said beside it."""
    done = test.heaptap("top", "--json", "--nodefraction=0", *options, *map(str, paths))
    test.need(done.returncode == 0, "top %s: %s", options, done.errors)
    rows = {row.get("function", row["name"]): row["flat"] for row in json.loads(done.output)["rows"]} if done.output else {}
    return rows, done.errors


def need_held(title, paths, shared, own, *options, says=None):
    rows, errors = held(paths, *options)
    test.need(rows.get("load_shared", 0) == shared and rows.get("load_own", 0) == own, "%s: %s instead of %d and %d", title, rows,
              shared, own)
    test.need(says is None or says in errors, "%s: says %s", title, errors)
    test.need(says is not None or "warning" not in errors, "%s: says %s", title, errors)


def family():
    out, host, pids = start()
    parent, first, second, third = [snap(pid, out) for pid in pids]
    workers = [first, second, third]
    once = "are counted once; --sum counts them for each"
    need_held("the family", [parent, *workers], SHARED, 6 * OWN, says=once)
    need_held("its sum", [parent, *workers], 4 * SHARED - 1000000, 6 * OWN, "--sum")
    need_held("workers alone", workers, SHARED, 6 * OWN, says=once)
    need_held("the one that freed some, and its parent", [third, parent], SHARED, 3 * OWN, says=once)
    need_held("one worker", [first], SHARED, OWN)
    rows, _ = held([parent, *workers], "--by", "process")
    test.need({name: rows.get("family_host %d" % pid) for name, pid in zip("pabc", pids)} ==
              {"p": SHARED + sum(extra(parent)), "a": OWN, "b": 2 * OWN, "c": 3 * OWN}, "--by process: %s of %s", rows, pids)
    rows, _ = held([first, second], "--by", "process")
    test.need(rows.get("inherited from %d" % pids[0], 0) >= SHARED, "--by process without the parent: %s", rows)
    rows, _ = held(workers, "--alloc-space")
    test.need(rows.get("load_shared") == SHARED, "alloc_space of workers: %s", rows)
    # With names, and read by others: nothing is lost, nothing counted twice.
    named = test.path("named.pb.gz")
    test.need(test.heaptap("symbolize", first, "-o", named).returncode == 0, "symbolize fails")
    need_held("with names", [named, parent], SHARED, OWN, says=once)
    test.need(Profile(named).by_any("load_shared")[3] == SHARED, "another reader: %s", Profile(named).by_any("load_shared"))
    health = test.profile(first).health()
    test.need(health.get("parent_pid") == str(pids[0]) and health.get("inherited_pid") == str(pids[0]), "comments: %s", health)

    host.stdin.write("m")
    host.stdin.flush()
    host.stdout.readline()
    newer = snap(pids[0], out)
    need_held("two of one process", [newer, parent], SHARED, 25000,
              says="these are 2 snapshots of one process (family_host %d): the newest is shown; --sum adds them up" % pids[0])
    need_held("their sum", [parent, newer], 2 * SHARED, 25000, "--sum")
    need_held("the family's newest", [parent, *workers, newer], SHARED, 6 * OWN + 25000, says="the newest")
    change = json.loads(test.heaptap("diff", "--json", parent, newer).output)
    test.need(change["total"]["change_per_minute"] > 0 and change["minutes"] > 0, "growth of one process: %s", change["total"])
    other = json.loads(test.heaptap("diff", "--json", parent, first).output)
    test.need(other["total"].get("change_per_minute") is None and other.get("minutes") is None, "two processes: %s", other["total"])
    text = test.heaptap("diff", parent, first).output
    total = [line.split() for line in text.splitlines() if line.endswith("  total")]
    test.need(len(total) == 1 and total[0][3] == "-", "two processes:\n%s", text)
    test.need("Between the snapshots" not in text, "two processes:\n%s", text)
    times = [json.loads(test.heaptap("top", "--json", *options, newer).output)["time_ns"] for options in ((), ("--base", parent))]
    test.need(times[0] == times[1] == test.profile(newer).time_nanos, "the time under --base: %s", times)
    host.stdin.close()
    host.wait(timeout=60)


def extra(path):
    """What the process holds beside our blocks (stdio, ...)."""
    return [row for name, row in held([path])[0].items() if name not in ("load_shared", "load_own")]


def at_exit():
    """Everything freed a moment before: the last profile says so, and reports find something to say."""
    for how, words in (("tidy", ["held within the last second were freed", "allocated were freed again; --alloc-space shows"]),
                       ("", [])):
        out, host, _ = start("alone", *how.split())
        host.stdin.close()
        host.wait(timeout=60)
        path, = test.files(out, "exit")
        lately = int(test.profile(path).health().get("held_lately", 0))
        test.need(SHARED <= lately < SHARED + 100000, "%s: held_lately=%d", how or "untidy", lately)
        rows, errors = held([path])
        test.need(rows.get("load_shared", 0) == (0 if how else SHARED), "%s: %s", how or "untidy", rows)
        for word in words:
            test.need(word in errors, "%s: says %s", how, errors)
        if words:
            test.need(words[1] not in test.heaptap("comments", path).errors, "comments are about no figures")
        test.need(words or "freed" not in errors, "untidy: says %s", errors)


def arguments():
    """argv as it was at the start, in one line; left out on demand."""
    for wanted, variables in (("%s alone a\\x20b\\x0ac\\\\" % HOST, {}), (None, {"argv": 0})):
        out, host, _ = start("alone", "a b\nc\\", **variables)
        host.stdin.close()
        host.wait(timeout=60)
        health = test.profile(test.files(out, "exit")[0]).health()
        test.need(health.get("argv") == (wanted and wanted.replace("\\\\", "\\x5c")), "argv=%s", health.get("argv"))
        test.need(health.get("uid") == str(os.geteuid()) and health.get("parent_pid") == str(os.getpid()), "%s", health)


def container():
    """The number that a process has in its container leads to it from outside, and both are shown."""
    words = ["unshare", "--pid", "--fork", "--mount-proc"]
    if os.geteuid() != 0 or subprocess.run([*words, "true"], capture_output=True).returncode != 0:
        return
    out = test.new_folder("container")
    preload = ["LD_PRELOAD=%s" % SHIM, "HEAPTAP_OUT=%s" % out, "HEAPTAP_RATE=1"]
    host = test.start([*words, "env", *preload, HOST, "alone"], clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                      bufsize=1)
    test.need(host.stdout.readline() == "1\n", "not the first process of its namespace")
    with open("/proc/%d/task/%d/children" % (host.pid, host.pid)) as file:
        pid = int(file.read())
    for number in (pid, 1):
        done = test.heaptap("ps", "--json", "--over", 0, number)
        row, = json.loads(done.output)["processes"]
        test.need((row["pid"], row["container_pid"]) == (pid, 1), "ps %d: %s", number, row)
    test.need("is the number of a process in its container, which is %d here" % pid in done.errors, "ps 1 says %s", done.errors)
    rows, _ = held([1])
    test.need(rows.get("load_shared") == SHARED, "top 1: %s", rows)
    host.stdin.close()
    host.wait(timeout=60)


def where_it_was_built():
    """A name means the process also where its program lies under that name; a snapshot of that name is a snapshot."""
    folder = test.new_folder("built")
    shutil.copy(HOST, folder + "/built_here")
    out, host, _ = start("alone", program=folder + "/built_here")
    for words in (["ps", "built_here"], ["top", "built_here"], ["top", "-n", "3", "built_here"], ["snap", "-o", out, "built_here"],
                  ["rate", "built_here", "1"], ["diff", "PROFILE", "built_here"]):
        words = [test.files(out)[0] if word == "PROFILE" else word for word in words]
        done = test.run([COMMAND, *words], cwd=folder)
        test.need(done.returncode == 0, "%s where the program lies: %d %s", words, done.returncode, done.errors)
    done = test.run([COMMAND, "top", "./built_here"], cwd=folder)
    test.need(done.returncode == 2 and "is a program" in done.errors, "./built_here: %s", done.errors)
    os.unlink(folder + "/built_here")
    shutil.copy(test.files(out)[0], folder + "/built_here")
    os.chmod(folder + "/built_here", 0o644)
    test.heaptap("stop", host.pid)
    done = test.run([COMMAND, "comments", "built_here"], cwd=folder)
    test.need("# heaptap: trigger=manual" in done.output and "active=0" not in done.output, "a snapshot of that name: %s%s",
              done.output, done.errors)
    host.stdin.close()
    host.wait(timeout=60)


with Test("several") as test:
    family()
    at_exit()
    arguments()
    container()
    where_it_was_built()
