#!/usr/bin/python3 -B
# The black box: programs are killed, crash and leave without notice at random moments under load; what their regions
# hold must be whole, within the bounds of what the programs had written down, and become normal profiles.
#
# HT_KILLS: how many deaths (default 40; the target `black_box` has 500). HT_SEED: repeats a run. Arguments: names of
# parts (run, workers, leftovers, refused, deaths), all without any.
import array
import atexit
import collections
import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, COMMAND, Spread, Test, clean_environment  # noqa: E402

KILLS = int(os.environ.get("HT_KILLS", "40"))
SEED = int(os.environ.get("HT_SEED", "0")) or int.from_bytes(os.urandom(3), "little") + 1
HOST = BUILD + "/e2e/black_box_host"
GO = shutil.which("go")

# The layout of the host's log; see black_box_host.c.
SITE_BYTES = (0, 8, 16, 40, 100, 250, 1000, 3000, 64, 129, 520, 9000, 700, 262144)
SITES, THREADS, PROCESSES, COUNTERS = len(SITE_BYTES), 4, 16, 4
INHERITED = 3
OWN = INHERITED + 3 * SITES * COUNTERS + 2
RECORD = OWN + THREADS * SITES * COUNTERS
SITE_NAMES = {"site_%02d" % i: i for i in range(SITES)}
# From the site to the root.
CHAIN = re.compile(r"^(site_\d\d) (via_[ab] ){1,6}(work (worker|child_process fork_one worker|lose_worker main|"
                   r"part_from_leavers main)|leak (lose_worker )?main) $")


def class_bound(size):
    """The upper bound of a size's class: the label `bytes`."""
    if size <= 16:
        return size
    shift = (size - 1).bit_length() - 4
    return (((size - 1) >> shift) + 1) << shift


SITE_OF_BOUND = {class_bound(size): i for i, size in enumerate(SITE_BYTES)}
assert len(SITE_OF_BOUND) == SITES


class Logged:
    """What one process had written down by the time it died: bounds of blocks, allocated and live, for each site."""

    def __init__(self, words, others):
        self.pid, self.running, parent = words[:INHERITED]
        blocks = [words[INHERITED + i * SITES * COUNTERS:][:SITES * COUNTERS] for i in range(3)]
        seen_by_child, seen_by_parent = words[OWN - 2:OWN]
        behind = blocks[2] if seen_by_parent else blocks[1]
        self.known = bool(self.running and (not others or seen_by_child or seen_by_parent))
        self.bounds, self.inherited = [], []
        for site in range(SITES):
            begun, done, begun_free, done_free = (
                sum(words[OWN + (thread * SITES + site) * COUNTERS + which] for thread in range(THREADS))
                for which in range(COUNTERS))
            low = high = 0
            if others:
                # Of what is inherited: the copy was made somewhere between the two looks at the parent.
                before, after = blocks[0][site * COUNTERS:][:COUNTERS], behind[site * COUNTERS:][:COUNTERS]
                low, high = others[parent].inherited[site]
                low, high = max(low + before[1] - after[2], 0), high + after[0] - before[3]
            self.inherited.append((low, high))
            self.bounds.append(((low + done, high + begun),
                                (max(low + done - begun_free, 0), high + begun - done_free)))
        self.least = sum(b[0][0] for b in self.bounds)
        own = words[OWN:OWN + THREADS * SITES * COUNTERS]
        self.calls = sum(own[1::2])  # that have come back: allocations and frees


def read_log(path):
    words, logged = array.array("Q"), []
    if os.path.exists(path):  # else it was killed before it had begun
        with open(path, "rb") as file:
            words.frombytes(file.read())
    for i in range(min(words[0], PROCESSES) if words else 0):
        logged.append(Logged(words[1 + i * RECORD:1 + (i + 1) * RECORD], logged))
    return logged


class MemoryGroup:
    """A control group with a memory limit, of version 1 or 2; `path` is None where none can be made."""

    def __init__(self, limit):
        self.path = None
        with open("/proc/self/cgroup") as file:
            rows = [line.rstrip("\n").split(":", 2) for line in file]
        folders = ["/sys/fs/cgroup/memory" + p for _, names, p in rows if "memory" in names.split(",")]
        folders += ["/sys/fs/cgroup" + p for number, names, p in rows if number == "0" and not names]
        for folder in folders:
            path = "%s/heaptap-black-box.%d" % (folder.rstrip("/"), os.getpid())
            try:
                os.mkdir(path)
                name = [n for n in ("memory.limit_in_bytes", "memory.max") if os.path.exists(path + "/" + n)]
                with open(path + "/" + (name[0] if name else "memory.max"), "w") as file:
                    file.write(str(limit))
                self.path = path
                break
            except OSError:
                if os.path.isdir(path):
                    os.rmdir(path)

    def enter(self):
        with open(self.path + "/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))

    def kills(self):
        for name in ("memory.oom_control", "memory.events"):
            try:
                with open(self.path + "/" + name) as file:
                    return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
            except OSError:
                pass
        return 0

    def remove(self):
        for _ in range(100 if self.path else 0):
            try:
                os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.02)  # the kernel takes the dead out of it by and by


class Truth:
    """An upper bound of the blocks, in the shape that Spread takes."""

    def __init__(self, size, allocated, live):
        self.histogram = [(size, allocated, live)]


def frames_of(profile, sample):
    """Function names from the leaf up as far as they are the host's, one string; cached by location."""
    names = []
    for location in sample.locations:
        if location not in profile.cache:
            row = profile.location_of[location]
            mapping = profile.mapping_of.get(row[2])
            own = mapping is None or profile.string(mapping[5]).endswith("/black_box_host")
            profile.cache[location] = (profile.name(row), own)
        names.append(profile.cache[location])
    own = [name for name, is_own in names if is_own and name != "_start"]
    # Foreign frames stand at the root only (threads, libc's start), or all along (what libc takes for itself).
    whole = [is_own for _, is_own in names if _ != "_start"] == [True] * len(own) + [False] * (
        len([1 for n, _ in names if n != "_start"]) - len(own))
    return "".join(name + " " for name in own), whole


def site_of(profile, sample):
    """The site a sample belongs to, None: none of the host's own. -1: no allocation has such a stack."""
    chain, whole = frames_of(profile, sample)
    if chain == "[overflow] ":
        return SITE_OF_BOUND.get(sample.label("bytes") or 0)
    if "site_" not in chain:
        return -1 if profile.cache[sample.locations[0]][1] else None
    match = CHAIN.match(chain)
    return SITE_NAMES[match[1]] if match and whole else -1


def judge(title, profile, logged, rate):
    """Holds a recovered profile against the bounds of the log; `rate` is the one it was started with."""
    profile.cache = {}
    health = profile.health()
    sums = [[0] * 4 for _ in range(SITES)]
    rows = [0] * SITES
    thinned, strange, torn = "thinned_since" in health, [], []
    for sample in profile.samples:
        site = site_of(profile, sample)
        if site == -1:
            strange.append([profile.cache[l][0] for l in sample.locations])
        if site is None or site == -1:
            continue
        size, values = SITE_BYTES[site], sample.values
        test.need((sample.label("bytes") or 0) == class_bound(size), "%s: site %d has the label bytes=%s", title, site,
                  sample.label("bytes"))
        # A torn entry: objects and bytes do not belong together. In estimates each of them is rounded by itself.
        slack = 0 if rate == 1 and not thinned else size + 1
        for objects, space in ((values[0], values[1]), (values[2], values[3])):
            if abs(space - objects * size) > slack:
                torn.append("%d objects of %d bytes take %d" % (objects, size, space))
        sums[site] = [a + b for a, b in zip(sums[site], values)]
        rows[site] += 1
    totals["torn"] += len(torn)
    test.need(not strange, "%s: %d stacks that no allocation has, as %s", title, len(strange), strange[:1])
    test.need(not torn, "%s: %d torn entries, as %s", title, len(torn), torn[:1])
    # A block that another thread freed between the copy for a child and the fork itself is unmatched in the child.
    for key in ("drop_live_full", "drop_scratch", "drop_no_region", "drop_reentrant", "raw_fork") + (
            () if "inherited" in health else ("unmatched",)):
        test.need(int(health.get(key, 0)) == 0, "%s: %s=%s", title, key, health.get(key))
    if not logged.known or int(health.get("inherit_lost", 0)):
        return
    for site, (allocated, live) in enumerate(logged.bounds):
        size = SITE_BYTES[site]
        spread = Spread([Truth(size, allocated[1], live[1])], max(profile.period, rate))
        for kind, (low, high) in enumerate((allocated, (allocated[0] * size, allocated[1] * size), live,
                                            (live[0] * size, live[1] * size))):
            rounding = 0 if rate == 1 and not thinned else rows[site] + 1
            below, above = spread.allowed(kind, -1) + rounding, spread.allowed(kind, 1) + rounding
            test.need(low - below <= sums[site][kind] <= high + above,
                      "%s: site %d, %s: %d, but the log says %d to %d (allowed -%.0f +%.0f), %s", title, site,
                      ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")[kind], sums[site][kind], low, high,
                      below, above, health)


def pprof_reads(title, path, profile):
    """go tool pprof reads the file and adds up the same."""
    if not GO:
        return
    env = clean_environment(HOME=test.folder, PPROF_TMPDIR=test.folder, GOFLAGS="-mod=mod", GO111MODULE="off")
    for arguments in (["-symbolize=none", "-raw"], ["-symbolize=none", "-top", "-unit=B"]):
        done = test.run([GO, "tool", "pprof"] + arguments + [path], env)
        if not test.need(done.returncode == 0, "%s: pprof %s: %s", title, arguments[1], done.errors[-300:]):
            return
        if arguments[1] == "-top":
            match = re.search(r"of ([0-9.]+)B? total", done.output)
            test.need(match and int(float(match[1])) == profile.totals()[3], "%s: pprof -top says %s, the file has %d",
                      title, match and match[0], profile.totals()[3])


def top_json(title, path):
    done = test.heaptap("top", "--json", "--no-trim", path)
    errors = re.sub(r"heaptap: warning: .*\n", "", done.errors)  # thinning, and other counters
    test.need(done.returncode == 0 and not errors, "%s: heaptap top %s: status %d, %s", title, path, done.returncode,
              errors)
    try:
        return json.loads(done.output)
    except ValueError:
        test.need(False, "%s: heaptap top --json %s: %r", title, path, done.output[:200])
        return None


def look_at_region(title, path, logged, rate, out, with_pprof):
    """Everything that is asked of one dead process's region; removes what it looked at."""
    totals["regions"] += 1
    before = top_json(title, path)
    done = test.heaptap("snap", "-o", out, path)
    profiles = [p for p in test.files(out, "recovered") if p == done.output.strip()]
    if test.need(done.returncode == 0 and len(profiles) == 1, "%s: heaptap snap: status %d, %r, %s", title,
                 done.returncode, done.output, done.errors):
        profile = test.profile(profiles[0])
        totals["samples"] += len(profile.samples)
        totals["thinned"] += "thinned_since" in profile.health()
        test.need(profile.health().get("trigger") == "recovered", "%s: trigger %s", title, profile.health().get("trigger"))
        judge(title, profile, logged, rate)
        after = top_json(title, profiles[0])
        for report in (before, after):
            for key in ("time_ns",):
                if report:
                    report.pop(key, None)
        test.need(before == after, "%s: top says %s of the region and %s of the profile", title, str(before)[:300],
                  str(after)[:300])
        if with_pprof:
            totals["pprof"] += 1
            pprof_reads(title, profiles[0], profile)
        os.unlink(profiles[0])
    os.unlink(path)


def regions(pid="*", suffix="live"):
    return sorted(glob.glob("%s/heaptap.*.%s.*.%s" % (LIVE, pid, suffix)))


VARIANTS = (("rate 1", 1, {}), ("rate 1, 1M", 1, {"memory": "1M"}), ("rate 4K", 4096, {}),
            ("rate 4K, 1M", 4096, {"memory": "1M"}))
KINDS = ("kill", "oom", "segv", "abort", "_exit")
totals = collections.Counter()


def die_once(number, kind, variant, chance):
    """One program's life and death."""
    name, rate, variables = variant
    title = "%d: %s, %s" % (number, kind, name)
    out, log = test.path("out"), test.path("log.%d" % number)
    delay = chance.choice((chance.uniform(0, 0.03), chance.uniform(0.02, 0.25), chance.uniform(0.02, 0.25)))
    group = None
    how = {"kill": "wait", "oom": "leak"}.get(kind, kind)
    limit = chance.randrange(24, 64) << 20
    if kind == "oom":
        group = MemoryGroup(limit)
        if not group.path:
            totals["oom without a control group"] += 1
            how, kind = "wait", "kill"
    env = test.shim(out, rate="4K" if rate == 4096 else "1", seed=SEED * 1000 + number, live=LIVE,
                    **variables)
    host = subprocess.Popen(
        [HOST, log, how, str(int(delay * 1e6)), str(SEED * 1000 + number), str(chance.randint(2, 4)),
         str(chance.choice((0, 0, 0, 2, 6)))], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, start_new_session=True, preexec_fn=group.enter if group and group.path else None)
    test.processes.append(host)
    if kind == "kill":
        time.sleep(delay)
        os.killpg(host.pid, signal.SIGKILL)
    try:
        status = host.wait(240)
    except subprocess.TimeoutExpired:
        test.need(False, "%s: it did not die", title)
    try:
        os.killpg(host.pid, signal.SIGKILL)  # its children, at a moment of their own
    except ProcessLookupError:
        pass
    errors = host.stderr.read()  # to its end: the last of them is dead
    host.stderr.close()
    test.processes.remove(host)
    expected = {"kill": -9, "oom": -9, "segv": -11, "abort": -6, "_exit": 3}[kind]
    test.need(status == expected and not errors, "%s: status %s, %s", title, status, errors)
    if kind == "oom":
        test.need(group.kills() > 0, "%s: the kernel's out-of-memory killer was not at work", title)
    if group:
        group.remove()
    totals[kind] += 1
    records = read_log(log)
    for index, logged in enumerate(records):
        test.pids.add(logged.pid)
        paths = regions(logged.pid) if logged.pid else []
        test.need(len(paths) <= 1, "%s: %d regions of process %d", title, len(paths), logged.pid)
        if index == 0 and rate == 1 and logged.least > 0:
            test.need(paths, "%s: no region, and %d blocks were allocated", title, logged.least)
        for path in regions(logged.pid, "new") if logged.pid else []:
            # It died while it made its region, in its very first call: there was nothing to show yet.
            totals["unfinished"] += 1
            test.need(not paths and (rate != 1 or logged.calls == 0), "%s: an unfinished region after %d calls", title,
                      logged.calls)
            os.unlink(path)
        for path in paths:
            totals["children" if index else "programs"] += 1
            look_at_region(title + (", child %d" % index if index else ""), path, logged, rate, out, number % 8 == 0)
    os.unlink(log) if os.path.exists(log) else None
    for path in glob.glob(out + "/*"):
        os.unlink(path)


def deaths():
    chance = random.Random(SEED)
    print("  %d deaths, HT_SEED=%d" % (KILLS, SEED), flush=True)
    begin = time.monotonic()
    for number in range(KILLS):
        failed = len(test.failures)
        die_once(number, KINDS[number % len(KINDS)], VARIANTS[number // len(KINDS) % len(VARIANTS)], chance)
        if number % 50 == 49:
            print("  %d: %d failures, %.0f s" % (number + 1, len(test.failures), time.monotonic() - begin), flush=True)
        if len(test.failures) > failed + 20 or len(test.failures) > 100:
            print("  too many failures")
            break
    print("  " + ", ".join("%s %d" % (k, v) for k, v in sorted(totals.items())), flush=True)


def saved(folder):
    """Recovered profiles in a folder by pid."""
    return {test.profile(path).pid: test.profile(path) for path in test.files(folder, "recovered")}


def run_host(how, delay=0.1, forks=0, limit=None, options=("--rate", "1"), **more):
    """Starts `heaptap run` with the host; returns the process, the folder of profiles, the log and the group.

    None where there has to be a limit and none can be set: without one the host takes all memory there is.
    """
    group = MemoryGroup(limit) if limit else None
    if group and not group.path:
        return None
    out, log = tempfile.mkdtemp(dir=test.folder), tempfile.mktemp(dir=test.folder)
    host = subprocess.Popen(
        [COMMAND, "run", "-o", out] + list(options) + ["--", HOST, log, how, str(int(delay * 1e6)), str(SEED), "2", str(forks)],
        env=clean_environment(HEAPTAP_LIVE=LIVE), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True, preexec_fn=group.enter if group else None, **more)
    test.processes.append(host)
    return host, out, log, group


def run():
    """heaptap run saves the heap of its child by itself."""
    for kind, status, number in (("wait", 137, 9), ("segv", 139, 11), ("abort", 134, 6), ("_exit", 3, None),
                                 ("leak", 137, 9), ("exit", 0, None)):
        started = run_host(kind, limit=48 << 20 if kind == "leak" else None)
        if not started:
            print("  note: no control group can be made here; the out-of-memory kill is left out")
            continue
        host, out, log, group = started
        if kind == "wait":
            test.wait_for(lambda: read_log(log) and regions(read_log(log)[0].pid),
                          "the region of the child of heaptap run")
            test.wait_for(lambda: records(regions(read_log(log)[0].pid)[0]), "its first samples")
            os.kill(read_log(log)[0].pid, signal.SIGKILL)
        errors = host.communicate(timeout=240)[1]
        if group:
            group.remove()
        profiles, logged = saved(out), read_log(log)
        test.need(host.returncode == status, "run, %s: status %s", kind, host.returncode)
        if kind == "exit":
            test.need(not profiles and not errors and len(test.files(out, "exit")) == 1, "run, exit: %s, %s", errors,
                      os.listdir(out))
            continue
        if number:
            test.need(errors.count("\n") == 1 and "died of signal %d (" % number in errors and
                      "its heap was saved: " + out in errors, "run, %s: it says %r", kind, errors)
        else:
            test.need(not errors, "run, %s: it says %r", kind, errors)
        if test.need(list(profiles) == [logged[0].pid], "run, %s: profiles of %s", kind, list(profiles)):
            judge("run, " + kind, profiles[logged[0].pid], logged[0], 1)
        test.need(not regions(logged[0].pid), "run, %s: the region is still there", kind)


def workers():
    """Processes below the child are saved as well, while the child goes on."""
    for kind in ("worker", "orphan", "leakworker"):
        started = run_host(kind, limit=64 << 20 if kind == "leakworker" else None)
        if not started:
            print("  note: no control group can be made here; the out-of-memory kill of a child is left out")
            continue
        host, out, log, group = started
        said = host.stdout.readline()
        test.need(said == "the worker is dead\n", "%s: the host said %r", kind, said)
        test.wait_for(lambda: test.files(out, "recovered"), "%s: its profile while the program goes on" % kind)
        profiles, logged = saved(out), read_log(log)
        test.need(host.poll() is None, "%s: the program did not go on", kind)
        if test.need(list(profiles) == [logged[1].pid], "%s: profiles of %s, not %d", kind, list(profiles), logged[1].pid):
            judge(kind, profiles[logged[1].pid], logged[1], 1)
        errors = host.communicate(timeout=240)[1]
        if group:
            group.remove()
        if kind == "orphan" and not errors:
            pass  # on kernels that do not tell how it ended
        else:
            test.need(errors.count("\n") == 1 and "(process %d) died of signal 9 (Killed); its heap was saved: " %
                      logged[1].pid in errors, "%s: it says %r", kind, errors)
        test.need(host.returncode == 0 and not regions(logged[1].pid) and len(test.files(out, "recovered")) == 1,
                  "%s: status %s, files %s, regions %s", kind, host.returncode, os.listdir(out), regions())
    # Children that leave by _exit mean to: no file for each of them.
    host, out, log, _ = run_host("leavers", forks=40)
    errors = host.communicate(timeout=240)[1]
    tells = tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2]) >= (6, 15)
    count = len(test.files(out, "recovered"))
    test.need(host.returncode == 0 and not errors and count <= (0 if tells else 8),
              "children that left by _exit: status %s, %r, %d recovered", host.returncode, errors, count)
    test.need(len(test.files(out, "exit")) >= 10, "children that left by exit: %s", os.listdir(out))
    clean("after leavers")


def clean(title):
    """heaptap ps --dead --clean."""
    done = test.heaptap("ps", "--dead", "--clean", env=clean_environment(HEAPTAP_LIVE=LIVE))
    test.need(done.returncode == 0 and not done.errors and not regions(), "%s: ps --dead --clean: %s%s, left: %s", title,
              done.output, done.errors, regions())
    return done.output


def records(region):
    """Whether a region has samples in it by now."""
    top = test.heaptap("top", region)
    return top.returncode == 0 and len(top.output.splitlines()) > 10


def start_host(how="wait", delay=0.0, **variables):
    """A host without heaptap run; returns it and its region when there is one."""
    log = tempfile.mktemp(dir=test.folder)
    host = test.start([HOST, log, how, str(int(delay * 1e6)), str(SEED), "2", "0"],
                      test.shim(test.path("out"), rate=1, live=LIVE, **variables), stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL)
    found = test.wait_for(lambda: regions(host.pid), "a region of %d" % host.pid)
    test.wait_for(lambda: records(found[0]), "its first samples")
    return host, found[0] if found else None


def leftovers():
    """At most eight dead regions stay, whatever else has their names; the command lists and removes them."""
    hostile = ["%s/heaptap.black_box_host.%d.bad%d.live" % (LIVE, os.getpid(), i) for i in range(5)]
    os.symlink("/etc/passwd", hostile[0])
    os.mkfifo(hostile[1])
    os.mkdir(hostile[2])
    with open(hostile[3], "w") as file:
        file.write("none of ours " * 10000)
    dead = []
    for _ in range(12):
        host, region = start_host()
        host.kill()
        host.wait()
        dead.append(region)
        if len(dead) == 1:
            os.link(region, hostile[4])  # a second name: not to be touched any more
    # Bounded when a region is made: the last one, then still alive, does not count.
    test.need([os.path.exists(p) for p in dead] == [True] + [False] * 2 + [True] * 9, "leftovers: %s",
              [os.path.exists(p) for p in dead])
    test.need(all(os.path.lexists(p) for p in hostile), "a foreign file is gone: %s", [os.path.lexists(p) for p in hostile])
    host, region = start_host()
    env = clean_environment(HEAPTAP_LIVE=LIVE)
    listed = json.loads(test.heaptap("ps", "--dead", "--json", "--over", "0", env=env).output)["processes"]
    states = {row["region"]: row["state"] for row in listed if row["region"]}
    test.need(states.get(region) == "recording" and all(states.get(p) == "dead" for p in dead[4:]), "ps --dead: %s", states)
    done = test.heaptap("ps", "--dead", "--clean", env=env)
    test.need(done.returncode == 0 and not done.errors, "ps --dead --clean: status %d, %s", done.returncode, done.errors)
    test.need(done.output.count("removed ") == 8 and not any(os.path.exists(p) for p in dead[4:]),
              "ps --dead --clean: %s", done.output)
    test.need(os.path.exists(region) and os.path.exists(dead[0]) and all(os.path.lexists(p) for p in hostile),
              "ps --dead --clean took what is not dead or not ours: %s", done.output)
    test.need(test.heaptap("top", region).returncode == 0, "the living region is gone after ps --dead --clean")
    host.kill()
    host.wait()
    for path in hostile:
        os.rmdir(path) if path == hostile[2] else os.unlink(path)
    clean("leftovers")
    for arguments in (["--clean"], ["--dead", "--clean", "1"]):
        test.need(test.heaptap("ps", *arguments).returncode == 2, "ps %s is no usage error", arguments)


def refused():
    """A region that was cut or overwritten, its process alive or not: one clear line, and nothing else."""
    host, region = start_host(memory="4M")
    os.kill(host.pid, signal.SIGSTOP)  # it would die of SIGBUS where its file is cut
    test.wait_for(lambda: " T " in open("/proc/%d/stat" % host.pid).read(), "the process has stopped")
    with open(region, "rb") as file:
        whole = file.read()
    used = int.from_bytes(whole[24:32], "little")
    chance = random.Random(SEED)
    noise = chance.randbytes(used)
    cases = {
        "empty": b"", "one byte": whole[:1], "half a header": whole[:5000], "a header": whole[:16384],
        "half": whole[:used // 2], "all but its last page": whole[:used - 4096],
        "zeros": bytes(len(whole)), "no magic": bytes(8) + whole[8:], "version 77": whole[:8] + b"M" + whole[9:],
        "its tables overwritten": whole[:16384] + noise[:used - 16384] + whole[used:],
        "text": b"all work and no play " * 5000,
    }
    for name, content in cases.items():
        for target in (region, "%s/heaptap.copy.%d.c.live" % (LIVE, host.pid)):
            with open(target, "r+b" if os.path.exists(target) else "wb") as file:
                file.write(content)
                file.truncate(len(content))
            for command in (["top", target], ["snap", "-o", test.folder, target]):
                done = test.heaptap(*command)
                test.need(done.returncode == 1 and not done.output and done.errors.count("\n") == 1 and target in done.errors,
                          "%s: heaptap %s: status %d, %r, %r", name, command[0], done.returncode, done.output[:200],
                          done.errors[:500])
        for command in (["top", str(host.pid)], ["ps", str(host.pid), "--over", "0"]):
            done = test.heaptap(*command)
            test.need(done.returncode in (0, 1) and done.errors.count("\n") <= 1 and len(done.output.split("\n")) <= 3,
                      "%s: heaptap %s PID: status %d, %r, %r", name, command[0], done.returncode, done.output[:200],
                      done.errors[:500])
    with open(region, "r+b") as file:
        file.write(whole)
    test.need(test.heaptap("top", region).returncode == 0, "the restored region cannot be read")
    host.kill()
    host.wait()
    os.unlink("%s/heaptap.copy.%d.c.live" % (LIVE, host.pid))
    clean("refused")


with Test("black_box") as test:
    wanted = sys.argv[1:]
    # A folder of our own: any other program of this user bounds the leftovers in /dev/shm.
    LIVE = tempfile.mkdtemp(prefix="heaptap-black-box.", dir="/dev/shm")
    atexit.register(shutil.rmtree, LIVE, True)
    test.new_folder("out")
    for part in (run, workers, leftovers, refused, deaths):
        if not wanted or part.__name__ in wanted:
            begin = time.monotonic()
            part()
            print("  %-16s %.1f s" % (part.__name__, time.monotonic() - begin), flush=True)
