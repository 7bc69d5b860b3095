#!/usr/bin/python3 -B
# Snapshots in every way they can be asked for, and what they say, on hosts whose heap is known: 200 blocks of 10,000 B.
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, Test, clean_environment  # noqa: E402
from heap_profile import Profile  # noqa: E402

HOST = BUILD + "/e2e/host"
KEPT = [200, 2000000, 200, 2000000]


class Host:
    """A running host and its output folder."""

    def __init__(self, *arguments, **variables):
        self.out = test.new_folder("out%d" % len(test.processes))
        variables.setdefault("rate", 1)
        self.process = test.start([HOST] + list(arguments), test.shim(self.out, **variables), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=1)
        self.pid = self.process.pid
        self.expect("ready")

    def expect(self, word):
        line = self.process.stdout.readline()
        test.need(line == word + "\n", "%s said %r instead of %r", self.process.args, line, word)

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def signal(self, number=signal.SIGUSR2):
        os.kill(self.pid, number)

    def pauses(self):
        """How often it has slept or waited."""
        with open("/proc/%d/status" % self.pid) as file:
            return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), re.M)[1])

    def goes_round(self, times):
        """Waits until the mode churn has made its round so many times; it sleeps once in each."""
        end = self.pauses() + times + 1
        test.wait_for(lambda: self.pauses() >= end, "%d rounds" % times)

    def wait_files(self, count, trigger):
        return test.wait_for(lambda: len(test.files(self.out, trigger)) >= count and test.files(self.out, trigger),
                             "%d %s profile(s) of %s" % (count, trigger, self.process.args)) or []

    def kill(self):
        self.process.kill()
        self.process.wait()

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.pid))


def holds(title, path, function="keep_blocks", values=None):
    profile = test.profile(path)
    test.need(profile.by_any(function) == (values or KEPT), "%s: %s has %s instead of %s", title, function,
              profile.by_any(function), values or KEPT)
    return profile


def snap(title, host, *arguments):
    done = test.heaptap("snap", *arguments, host.pid)
    test.need(done.returncode == 0, "%s: heaptap snap: status %d, %s", title, done.returncode, done.errors)
    path = done.output.strip()
    if not test.need(os.path.isfile(path) or os.path.isfile(os.path.join(host.out, path)),
                     "%s: heaptap snap printed %r, which is no file; %s has %s", title, done.output, host.out,
                     os.listdir(host.out)):
        return None
    path = path if os.path.isfile(path) else os.path.join(host.out, path)
    test.need(".manual.pb.gz" in path, "%s: heaptap snap wrote %s", title, path)
    return path


def signals():
    for mode in ("poll", "spin", "churn"):
        host = Host(mode)
        threads = host.threads()
        for i in (1, 2, 3):
            host.signal()
            files = host.wait_files(i, "signal")
        for path in files:
            profile = holds(mode, path)
            test.need(profile.health().get("trigger") == "signal", "%s: comments %s", mode, profile.comments)
        numbers = [int(p.split(".")[-4]) for p in files]
        test.need(numbers[0] <= 1 and numbers == list(range(numbers[0], numbers[0] + 3)), "%s: sequence numbers of %s",
                  mode, files)
        test.wait_for(lambda: host.threads() == threads, "%s: the snapshot's thread to be gone" % mode)
        test.need(not [f for f in os.listdir(host.out) if not f.endswith(".pb.gz")], "%s: left behind: %s", mode,
                  os.listdir(host.out))
        test.need(host.process.poll() is None, "%s: died of the signal", mode)
        host.kill()
    host = Host("poll", rate="65536G")
    host.signal()
    for path in host.wait_files(1, "signal"):
        test.need(test.profile(path).totals() == [0] * 4, "a profile without samples has values")
    host.kill()
    host = Host("poll", signal="USR1")
    host.signal(signal.SIGUSR1)
    host.wait_files(1, "signal")
    host.kill()
    for mode in ("poll",):
        host = Host(mode, signal="none")
        host.signal()
        test.need(host.process.wait(240) == -signal.SIGUSR2, "HEAPTAP_SIGNAL=none: SIGUSR2 did not end the host as usual")
    bare = test.run([HOST, "raise"])
    shimmed = test.run([HOST, "raise"], test.shim(test.new_folder("raise"), rate=1))
    test.need(bare.returncode == -signal.SIGUSR2, "the bare host survived its own signal")
    test.same("raise", bare, shimmed)


def claimed_signals():
    for mode in ("handler", "sigwait", "blocked"):
        host = Host(mode)
        if mode != "blocked":
            host.signal()
            host.expect("usr2")
        path = snap(mode, host)
        if path:
            profile = holds(mode, path)
            test.need(profile.health().get("trigger") == "manual", "%s: comments %s", mode, profile.comments)
        test.need(not test.files(host.out, "signal"), "%s: the host's own signal made a snapshot", mode)
        host.signal()
        if mode != "blocked":
            host.expect("usr2")
        test.need(host.process.poll() is None, "%s: the host died", mode)
        host.kill()


def endings():
    for mode in ("return", "exit", "quick_exit", "thread_exit"):
        bare = test.run([HOST, mode])
        out = test.new_folder("end." + mode)
        test.same(mode, bare, test.run([HOST, mode], test.shim(out, rate=1)))
        files = test.files(out)
        test.need(len(files) == 1 and files[0].endswith((".0000.exit.pb.gz", ".0001.exit.pb.gz")), "%s: files %s", mode, files)
        for path in files:
            holds(mode, path)
    out = test.new_folder("noexit")
    test.same("HEAPTAP_EXIT=0", test.run([HOST, "exit"]), test.run([HOST, "exit"], test.shim(out, rate=1, exit=0)))
    test.need(os.listdir(out) == [], "HEAPTAP_EXIT=0: files %s", os.listdir(out))
    out = test.new_folder("only")
    test.run([HOST, "exit"], test.shim(out, rate=1, only="other*"))
    test.need(os.listdir(out) == [], "HEAPTAP_ONLY=other*: files %s", os.listdir(out))
    test.run([HOST, "exit"], test.shim(out, rate=1, only="ho?t"))
    test.need(len(test.files(out, "exit")) == 1, "HEAPTAP_ONLY=ho?t: files %s", os.listdir(out))


def asked_then_gone():
    """What was asked for is written although the process exits at once: without a region, without a last snapshot."""
    for title, variables in (("no sample", {}), ("HEAPTAP_EXIT=0", {"rate": 1, "exit": 0}), ("rate 1", {"rate": 1})):
        for i in range(5):
            out = test.new_folder("asked.%s.%d" % (title.replace(" ", "_"), i))
            done = test.run(["bash", "-c", "(kill -USR2 $$); exit 3"], test.shim(out, **variables))
            test.need(done.returncode == 3 and not done.errors, "%s: status %d, %s", title, done.returncode, done.errors)
            test.need(len(test.files(out, "signal")) == 1, "%s: a snapshot was asked for: %s", title, os.listdir(out))


WORKER = """
import os, select, sys
held = [bytearray(1000) for _ in range(1000)]
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print("dropped", flush=True)
while not select.select([0], [], [], 0.01)[0]:
    held = [bytearray(1000) for _ in range(1000)]
"""


def users():
    """Whose process is the first to write does not decide whose profiles exist; rights that were dropped do not end them."""
    if os.geteuid() != 0:
        return
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", HOST, "exit"]
    for title, first, second in (("root last", other, [HOST, "exit"]), ("root first", [HOST, "exit"], other)):
        out = test.path(title.replace(" ", "_"), "profiles")
        done = test.run(["bash", "-c", "%s; %s; exit 0" % (" ".join(first), " ".join(second))], test.shim(out, rate=1))
        test.need(done.returncode == 0 and not done.errors, "%s: status %d, %s", title, done.returncode, done.errors)
        owners = sorted(os.stat(path).st_uid for path in test.files(out, "exit") if "heaptap.host." in path)
        test.need(owners == [0, 65534], "%s: profiles of users %s", title, owners)
        test.need(os.stat(out).st_mode & 0o7777 == 0o1733, "%s: mode %o", title, os.stat(out).st_mode)
    out = test.path("worker", "profiles")
    worker = test.start(["python3", "-c", WORKER], test.shim(out, rate=1, interval="50ms"), stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=1)
    test.need(worker.stdout.readline() == "dropped\n", "the worker says nothing")
    test.wait_for(lambda: [p for p in test.files(out, "interval") if os.stat(p).st_uid == 65534],
                  "an interval snapshot of a worker without rights")
    output, errors = worker.communicate("")
    test.need(worker.returncode == 0 and not errors, "the worker: status %s, %s", worker.returncode, errors)


def triggers():
    host = Host("churn", interval="200ms", keep="3")
    host.wait_files(3, "interval")
    test.wait_for(lambda: int(test.files(host.out)[-1].split(".")[-4]) >= 6, "the seventh snapshot")
    files = test.files(host.out)
    test.need(3 <= len(files) <= 5, "HEAPTAP_KEEP=3: %s", files)
    test.need(files and files[0].split(".")[-4] in ("0000", "0001"), "HEAPTAP_KEEP must keep the first: %s", files)
    host.kill()
    host = Host("grow", growth="8M")
    for count in range(1, 6):
        host.say("on")
        host.expect("grown")
        if count < 5:  # 8 MiB, and what it had before
            host.wait_files(count, "growth")
    test.wait_for(lambda: host.threads() == 1, "the last snapshot's thread to be gone")
    files = test.files(host.out, "growth")
    test.need(4 <= len(files) <= 5, "HEAPTAP_GROWTH=8M over 40 MiB: %d files", len(files))
    live = [test.profile(p).totals()[3] for p in files]
    test.need(all(b - a >= (7 << 20) for a, b in zip(live, live[1:])), "growth snapshots at %s live bytes", live)
    host.kill()


def forks():
    host = Host("fork", BUILD + "/e2e/libplugin_a.so")
    words = host.process.stdout.readline().split()
    test.need(words[:1] == ["child"] and words[2] == "3", "fork: the host said %s", words)
    child = int(words[1])
    test.pids.add(child)
    host.process.wait(240)
    files = test.files(host.out, "exit")
    test.need(len(files) == 2, "fork: files %s", files)
    for path in test.files(host.out, pid=host.pid):
        holds("parent", path)
    for path in test.files(host.out, pid=child):
        # Live at fork: all that was inherited; alloc_* begins there.
        profile = holds("child", path, values=[200, 2000000, 100, 1000000])
        test.need(profile.by_any("child_blocks") == [100, 1000000, 100, 1000000], "child: child_blocks %s",
                  profile.by_any("child_blocks"))
        # The child never calls into the plugin, so that its place is known from the parent alone.
        test.need(profile.by_any("alpha_blocks") == [50, 55550, 50, 55550], "child: alpha_blocks %s",
                  profile.by_any("alpha_blocks"))
    out = test.new_folder("exec")
    done = test.run([HOST, "exec", HOST, "return"], test.shim(out, rate=1))
    test.need(done.returncode == 7, "exec: status %d", done.returncode)
    files = test.files(out, "exit")
    test.need(len(files) == 1, "exec: files %s", files)
    for path in files:
        holds("after exec", path)
    test.need(not [f for f in os.listdir("/dev/shm") if ".%d." % done.pid in f], "exec left a region: %s",
              [f for f in os.listdir("/dev/shm") if ".%d." % done.pid in f])


def vforks():
    """A vfork child stands in its parent's memory: neither its signals nor its exit are the parent's."""
    host = Host("vfork")
    child = int(host.process.stdout.readline())
    os.kill(child, signal.SIGUSR2)
    host.say("leave")
    host.expect("more")
    regions = [f for f in os.listdir("/dev/shm") if f.startswith("heaptap.host.%d." % host.pid)]
    test.need(len(regions) == 1, "a vfork child left by exit: regions %s", regions)
    test.wait_for(lambda: host.threads() == 1, "no snapshot's thread")
    test.need(os.listdir(host.out) == [], "a vfork child was signalled and left by exit: files %s", os.listdir(host.out))
    host.signal()
    for path in host.wait_files(1, "signal"):
        holds("after vfork", path)
    host.kill()


def plugins():
    host = Host("plugins", BUILD + "/e2e/libplugin_a.so", BUILD + "/e2e/libplugin_b.so")
    where = host.process.stdout.readline()
    host.process.wait(240)
    if where != "same address\n":
        print("  note: the second library was not loaded where the first had been: %r" % where)
    for path in test.files(host.out, "exit"):
        profile = test.profile(path)
        test.need(profile.by_any("alpha_blocks") == [50, 55550, 50, 55550], "plugins: alpha_blocks %s",
                  profile.by_any("alpha_blocks"))
        test.need(profile.by_any("gamma_blocks") == [50, 111100, 50, 111100], "plugins: gamma_blocks %s",
                  profile.by_any("gamma_blocks"))
    test.need(len(test.files(host.out, "exit")) == 1, "plugins: files %s", os.listdir(host.out))


def killed():
    host = Host("poll")
    host.kill()
    regions = ["/dev/shm/" + f for f in os.listdir("/dev/shm") if f.startswith("heaptap.host.%d." % host.pid)]
    if not test.need(len(regions) == 1, "kill -9: regions %s", regions):
        return
    test.need(os.stat(regions[0]).st_mode & 0o777 == 0o600, "region mode %o", os.stat(regions[0]).st_mode)
    top = test.heaptap("top", regions[0])
    test.need(top.returncode == 0 and "keep_blocks" in top.output, "heaptap top FILE.live: status %d, %s %s",
              top.returncode, top.output, top.errors)
    snap_done = test.heaptap("snap", "-o", host.out, regions[0])
    files = test.files(host.out, "recovered")
    test.need(snap_done.returncode == 0 and len(files) == 1, "heaptap snap FILE.live: status %d, %s, files %s",
              snap_done.returncode, snap_done.errors, os.listdir(host.out))
    for path in files:
        holds("recovered", path)


def control():
    host = Host("dormant", active=0)
    host_state = test.heaptap("ps")
    test.need(host_state.returncode == 0, "heaptap ps: %s", host_state.errors)
    start = test.heaptap("start", host.pid)
    test.need(start.returncode == 0, "heaptap start: status %d, %s%s", start.returncode, start.output, start.errors)
    host.say("go")
    host.expect("more")
    path = snap("dormant", host)
    if path:
        profile = test.profile(path)
        test.need(profile.by_any("new_blocks") == [100, 1000000, 100, 1000000], "started: new_blocks %s",
                  profile.by_any("new_blocks"))
        test.need(profile.by_any("keep_blocks") == [0] * 4, "blocks older than the start are in the profile")
        test.need(any("unknown" in c or "since" in c or "active" in c for c in profile.comments),
                  "no comment says that older blocks are unknown: %s", profile.comments)
    host.kill()

    host = Host("churn")
    stop = test.heaptap("stop", host.pid)
    test.need(stop.returncode == 0, "heaptap stop: status %d, %s", stop.returncode, stop.errors)
    first, second = snap("stopped", host), None
    host.goes_round(50)
    second = snap("stopped", host)
    if first and second:
        a, b = test.profile(first), test.profile(second)
        test.need(b.by_any("churn_blocks")[0] - a.by_any("churn_blocks")[0] <= 10, "stopped, but churn_blocks went "
                  "from %s to %s", a.by_any("churn_blocks"), b.by_any("churn_blocks"))
        test.need(b.by_any("keep_blocks") == KEPT, "stopped: keep_blocks %s", b.by_any("keep_blocks"))
    test.need(test.heaptap("start", host.pid).returncode == 0, "heaptap start again")
    host.goes_round(50)
    third = snap("started again", host)
    if second and third:
        test.need(test.profile(third).by_any("churn_blocks")[0] > test.profile(second).by_any("churn_blocks")[0] + 10,
                  "started again, but nothing is recorded")
    rate = test.heaptap("rate", host.pid, "64K")
    test.need(rate.returncode == 0, "heaptap rate: status %d, %s", rate.returncode, rate.errors)
    shown = test.heaptap("rate", host.pid)
    test.need("64" in shown.output or "65536" in shown.output, "heaptap rate PID: %r %r", shown.output, shown.errors)
    fourth = snap("rate", host)
    if fourth:
        test.need(test.profile(fourth).period == 65536, "period %d after heaptap rate PID 64K",
                  test.profile(fourth).period)
    listed = test.heaptap("ps")
    test.need(listed.returncode == 0 and str(host.pid) in listed.output, "heaptap ps does not list %d: %s%s", host.pid,
              listed.output, listed.errors)
    top = test.heaptap("top", host.pid)
    test.need(top.returncode == 0 and "keep_blocks" in top.output, "heaptap top PID: status %d, %s%s", top.returncode,
              top.output, top.errors)
    host.kill()


def labels():
    out = test.new_folder("labels")
    done = test.run([HOST, "return"], test.shim(out, rate=1, labels="thread"))
    test.need(done.returncode == 7, "HEAPTAP_LABELS=thread: status %d", done.returncode)
    for path in test.files(out, "exit"):
        names = {sample.label("thread") for sample in test.profile(path).samples}
        test.need(names == {"host"}, "thread labels %s", names)
    for memory in ("off", "/dev/shm"):
        out = test.new_folder("live." + memory.strip("/").replace("/", "_"))
        done = test.run([HOST, "return"], test.shim(out, rate=1, live=memory))
        test.need(len(test.files(out, "exit")) == 1 and done.returncode == 7 and not done.errors,
                  "HEAPTAP_LIVE=%s: status %d, %s, files %s", memory, done.returncode, done.errors, os.listdir(out))


def run_command():
    out = test.path("made", "by", "run")
    done = test.heaptap("run", "-o", out, "--rate", "1", "--", HOST, "return", env=clean_environment())
    test.need(done.returncode == 7 and done.output == "ready\n", "heaptap run: status %d, output %r, %s", done.returncode,
              done.output, done.errors)
    files = test.files(out, "exit") if os.path.isdir(out) else []
    test.need(len(files) == 1, "heaptap run -o %s: %s", out, files)
    for path in files:
        # heaptap run leaves names behind, so nm is not asked.
        profile = Profile(path)
        test.need(profile.by_any("keep_blocks") == KEPT, "heaptap run: keep_blocks %s", profile.by_any("keep_blocks"))
    process = test.start([BUILD + "/heaptap", "run", "-o", out, "--", HOST, "poll"], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    process.stdout.readline()
    process.terminate()
    test.need(process.wait(240) in (128 + signal.SIGTERM, -signal.SIGTERM), "heaptap run: status %s after SIGTERM",
              process.returncode)


with Test("snapshots") as test:
    wanted = sys.argv[1:]
    for part in (signals, claimed_signals, endings, asked_then_gone, users, triggers, forks, vforks, plugins, killed,
                 control, labels, run_command):
        if not wanted or part.__name__ in wanted:
            begin = time.monotonic()
            part()
            print("  %-16s %.1f s" % (part.__name__, time.monotonic() - begin), flush=True)
