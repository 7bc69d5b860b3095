#!/usr/bin/python3 -B
# Two kinds of profile beside the heap (kinds_host.c): recorded, snapped from inside and outside, dead or alive, merged,
# compared and drawn, by heaptap and by go tool pprof, and none of it mixed with the heap's.
import glob
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, Test, clean_environment, need_program  # noqa: E402
from heap_profile import Profile  # noqa: E402

COLUMNS = {"waits": [("contentions", "count"), ("delay", "nanoseconds")],
           "connections": [("opened", "count"), ("open", "count"), ("held", "bytes")],
           None: [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")]}
ROUND = {"waits": [200, 300000], "connections": [5, 4, 16384], None: [5, 500, 5, 500]}


def name_of(kind, seq, trigger, pid):
    return "heaptap.kinds_host.%d.%04d.%s%s.pb.gz" % (pid, seq, trigger, "." + kind if kind else "")


def holds(path, kind, rounds):
    if not test.need(os.path.exists(path), "there is no %s; there are %s", path, os.listdir(os.path.dirname(path))):
        return
    profile = Profile(path)
    profile.check(heap=kind is None)
    test.need(profile.sample_types == COLUMNS[kind], "%s has the columns %s", path, profile.sample_types)
    test.need(profile.totals() == [rounds * n for n in ROUND[kind]], "%s has the totals %s", path, profile.totals())
    keys = {key for sample in profile.samples for key, *_ in sample.labels}
    wanted = {"waits": {"lock"}, "connections": set(), None: {"bytes", "thread"}}[kind]
    test.need(keys == wanted, "%s has the labels %s", path, keys)
    test.need(bool(profile.drop_frames) == (kind is None), "%s drops the frames %r", path,
              profile.drop_frames)
    test.need(profile.health()["samples"] == str({"waits": 100, "connections": 5, None: 5}[kind] * rounds), "%s: samples=%s",
              path, profile.health()["samples"])


def report(*words):
    done = test.heaptap(*words)
    test.need(done.returncode == 0 and not done.errors, "heaptap %s: %d, %s", words, done.returncode, done.errors)
    return done.output


with Test("kinds") as test:
    go, = need_program("go")
    live, out = test.new_folder("live"), test.new_folder("out")
    live = os.path.join("/dev/shm", "heaptap-test.%d" % os.getpid())
    os.mkdir(live)
    try:
        host = test.start([BUILD + "/e2e/kinds_host", live, out], clean_environment(), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, bufsize=1)
        for rounds in (1, 2):
            test.need(host.stdout.readline() == "ready\n", "the host does not get ready (round %d)", rounds)
            done = test.heaptap("snap", host.pid, env=clean_environment(HEAPTAP_LIVE=live))
            test.need(done.returncode == 0, "snap: %d, %s", done.returncode, done.errors)
            for kind in COLUMNS:
                holds(os.path.join(out, name_of(kind, 2 * rounds - 2, "signal", host.pid)), kind, rounds)
                holds(os.path.join(out, name_of(kind, 2 * rounds - 1, "manual", host.pid)), kind, rounds)
            if rounds == 1:
                host.stdin.write("\n")
        host.kill()
        host.wait()
        region, = glob.glob(live + "/*.live")
        dead = test.new_folder("dead")
        done = test.heaptap("snap", "-o", dead, region)
        test.need(done.returncode == 0, "snap of the dead: %d, %s", done.returncode, done.errors)
        for kind in COLUMNS:
            recovered, = glob.glob(dead + "/*.recovered" + ("." + kind if kind else "") + ".pb.gz")
            holds(recovered, kind, 2)
    finally:
        for path in glob.glob(live + "/*"):
            os.unlink(path)
        os.rmdir(live)
    first, second = [{kind: os.path.join(out, name_of(kind, seq, "signal", host.pid)) for kind in COLUMNS} for seq in (0, 2)]
    # merged, and the difference
    merged = os.path.join(out, "merged.pb.gz")
    report("proto", "--sum", "-o", merged, first["waits"], first["waits"])
    test.need(Profile(merged).totals() == [400, 600000], "merged: %s", Profile(merged).totals())
    rows = json.loads(report("top", "--json", "--base", first["waits"], second["waits"]))["rows"]
    test.need([(r["function"], r["flat"]) for r in rows if r["flat"]] == [("take_lock", 300000)], "top with a base: %s", rows)
    text = report("diff", first["connections"], second["connections"])
    test.need("open_connection" in text and "16kB" in text.replace(" ", ""), "diff: %s", text)
    text = report("top", second["waits"])
    test.need("Type: delay" in text and "600us" in text and "take_lock" in text, "top: %s", text)
    test.need("lock" in report("tags", second["waits"]), "tags")
    # drawn
    test.need("take_lock" in report("dot", second["waits"]), "dot")
    test.need("600us" in report("flame", "--svg", second["waits"]), "flame")
    done = test.run([go, "tool", "pprof", "-top", "-nodecount=5", second["waits"]], clean_environment())
    test.need(done.returncode == 0 and "Type: delay" in done.output and "600us" in done.output, "go tool pprof: %s %s",
              done.output, done.errors)
    # two kinds have nothing to add up
    done = test.heaptap("top", first["waits"], first["connections"])
    test.need(done.returncode == 1 and done.errors.count("\n") == 1, "two kinds in one report: %d %s", done.returncode, done.errors)
