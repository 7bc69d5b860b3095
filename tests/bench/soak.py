#!/usr/bin/python3 -B
# The soak: for HT_SOAK_SECONDS (default 30) three hosts of soak_prog.c run under the shim while commands and signals come
# from outside: snapshots of every kind, changes of rate, start and stop, looks. All the time profiles must be valid, totals
# must never go back and our memory must stay within its limit. At the end nothing is left (descriptors, threads, children,
# temporary files, regions beyond the bound), the tables' own checks hold, each counter of what was lost has its reason, and
# the exact count and the estimates agree.
import glob
import json
import os
import random
import select
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, COMMAND, Test, read_counts  # noqa: E402

SECONDS = float(os.environ.get("HT_SOAK_SECONDS", "30"))
SEED = int(os.environ.get("HT_SOAK_SEED") or random.SystemRandom().randrange(1 << 32))
RATES = (16384, 4096, 65536)  # the first is what hosts start with
OWN_SLACK_BYTES = 4 << 20  # .data and .bss of the shim, the filter
MEGABYTE = 1 << 20
# Counters that tell of work done, and what may have made the others rise here.
WORK = {"snapshots", "thinned", "thinnings", "inherited", "snapshot_ns", "recorder_ns", "blocked_ns", "private_bytes"}
REASONS = {
    "snapshot_skipped": "a snapshot was asked for while another was being written",
    "failed_unwinds": "a sample in code without unwind tables, at most 1 in 1,000",
    "overflow_stacks": "the smallest HEAPTAP_MEMORY is full of stacks",
    "unmatched": "a block freed while recording was stopped, its address given out again",
}


class Host:
    """One soak_prog under the shim."""

    def __init__(self, test, name, workers, counted=False, may_stop=False, **variables):
        self.test, self.name, self.may_stop = test, name, may_stop
        self.out = test.new_folder("out." + name)
        self.count = test.path("count." + name) if counted else None
        self.memory = int(variables["memory"][:-1]) * MEGABYTE
        environment = test.shim(self.out, self.count, **variables)
        environment["HEAPTAP_LOG"] = self.log = test.path("log." + name)
        self.process = test.start([BUILD + "/soak_prog", BUILD + "/soak_plugin.so", str(workers)], environment,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid, self.last, self.snapshots, self.signals, self.commands, self.looks = self.process.pid, [0, 0], 0, 0, 0, []
        self.live, self.keep = variables.get("live") != "off", variables["keep"]
        self.judged = set()

    def region(self):
        paths = glob.glob("/dev/shm/heaptap.soak_prog.%d.*.live" % self.pid)
        self.test.need(len(paths) == 1, "%s: regions %s", self.name, paths)
        return paths[0] if paths else "/nonexistent"

    def command(self, *arguments):
        done = self.test.heaptap(*arguments)
        self.judge_command(arguments, done.returncode, done.errors)
        return done.output

    def judge_command(self, arguments, status, errors):
        self.commands += 1
        errors = [e for e in errors.splitlines() if e.strip() and not e.startswith("heaptap: warning: ")]
        self.test.need(status == 0 and not errors, "%s: heaptap %s: status %d, %s", self.name,
                       " ".join(map(str, arguments)), status, errors[:3])

    def commands_at_once(self):
        """Several readers and writers of one region at the same moment."""
        wanted = [("snap", "-o", self.out, self.pid), ("top", self.pid), ("snap", "-o", self.out, self.pid),
                  ("ps", "-v", "--over", "0", self.pid), ("rate", self.pid, RATES[1])]
        running = [self.test.start([COMMAND] + [str(a) for a in arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                   for arguments in wanted]
        self.process.send_signal(signal.SIGUSR2)
        for arguments, process in zip(wanted, running):
            _, errors = process.communicate(timeout=240)
            self.judge_command(arguments, process.returncode, errors)
            self.test.processes.remove(process)

    def snap(self):
        path = self.command("snap", "-o", self.out, self.pid).strip()
        self.snapshots += 1
        if os.path.basename(path) in self.judged or not path:
            return
        path = path if os.path.exists(path) else os.path.join(self.out, os.path.basename(path))
        try:
            totals = self.test.profile(path).totals()
        except FileNotFoundError:
            return  # HEAPTAP_KEEP was faster
        self.test.need(totals[0] >= self.last[0] and totals[1] >= self.last[1], "%s: totals went back from %s to %s",
                       self.name, self.last, totals[:2])
        self.last = totals[:2]

    def look(self):
        """Memory of the process and of ours in it, mappings."""
        own = rss = lines = 0
        path = ""
        try:
            with open("/proc/%d/smaps" % self.pid) as file:
                for line in file:
                    words = line.split()
                    if "-" in words[0]:
                        lines += 1
                        path = words[5] if len(words) > 5 else ""
                    elif words[0] == "Rss:":
                        rss += int(words[1]) << 10
                        own += int(words[1]) << 10 if "heaptap" in path else 0
        except OSError:
            return
        self.looks.append((rss, own, lines))
        self.test.need(own <= self.memory + OWN_SLACK_BYTES, "%s: %d bytes of ours are in memory", self.name, own)

    def judge_files(self, most):
        """Validates some of what processes wrote, and removes what children wrote."""
        paths = [p for p in self.test.files(self.out) if os.path.basename(p) not in self.judged]
        chosen = set(random.sample(paths, min(most, len(paths))))
        for path in paths:
            try:
                profile = self.test.profile(path) if path in chosen else None
                # HEAPTAP_KEEP is for what a process writes by itself, not for what `heaptap snap` was asked for.
                if ".%d." % self.pid not in os.path.basename(path) or ".manual." in path:
                    os.unlink(path)
                elif profile:
                    self.judged.add(os.path.basename(path))
            except FileNotFoundError:
                continue  # HEAPTAP_KEEP was faster

    def quieten(self):
        """Asks the host to come to its end; it says what is left, and waits."""
        self.test.need(self.process.poll() is None, "%s ended with status %s", self.name, self.process.returncode)
        if self.process.poll() is not None:
            return False
        self.process.send_signal(signal.SIGTERM)
        ready, _, _ = select.select([self.process.stdout], [], [], 120)
        line = self.process.stdout.readline().strip() if ready else "nothing within 120 s"
        return self.test.need(line == "left: descriptors 0, threads 0", "%s: %s", self.name, line)

    def judge_tables(self):
        check = self.test.run([BUILD + "/soak_check", self.region()])
        self.test.need(check.returncode == 0, "%s: the tables' checks: %s", self.name, check.errors)
        print("  %s: %d commands, %d signals from outside; %s" % (self.name, self.commands, self.signals, check.output.strip()))

    def judge_health(self, counters, samples):
        shown = {k: int(v) for k, v in counters.items() if int(v)}
        print("  %s: %s" % (self.name, " ".join("%s=%d" % row for row in sorted(shown.items()))))
        for key, value in shown.items():
            if key in WORK:
                continue
            allowed = {"snapshot_skipped": value, "failed_unwinds": samples / 1000,
                       "overflow_stacks": value if self.memory <= MEGABYTE else 0,
                       "unmatched": value if self.may_stop else 0}.get(key, 0)
            self.test.need(value <= allowed, "%s: %s=%d has no reason (%s)", self.name, key, value, REASONS.get(key, "must be 0"))

    def judge_growth(self):
        """Between the second quarter and the last neither memory nor mappings may have grown for good."""
        quarter = len(self.looks) // 4
        if quarter < 5:
            return
        early, late = self.looks[quarter:2 * quarter], self.looks[-quarter:]
        rss, own, lines = ([statistics.median(look[i] for look in part) for part in (early, late)] for i in range(3))
        print("  %s: resident %.1f -> %.1f MB, of it ours %.1f -> %.1f MB, %d -> %d mappings" %
              (self.name, rss[0] / MEGABYTE, rss[1] / MEGABYTE, own[0] / MEGABYTE, own[1] / MEGABYTE, lines[0], lines[1]))
        self.test.need(rss[1] <= rss[0] * 1.15 + 8 * MEGABYTE, "%s: the process grew from %d to %d bytes", self.name, *rss)
        self.test.need(lines[1] <= lines[0] + 50, "%s: mappings grew from %d to %d", self.name, *lines)

    def finish(self):
        if not self.quieten():
            return
        if self.live:
            self.judge_tables()
            row = json.loads(self.command("ps", "--json", "--over", "0", self.pid))
            row = row["processes"][0] if isinstance(row, dict) and "processes" in row else row[0] if isinstance(row, list) else row
            self.command("snap", "-o", self.out, self.pid)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.test.need(self.process.wait(240) == 0, "%s: status %s", self.name, self.process.returncode)
        self.judge_files(20)
        final = [self.test.profile(p) for p in self.test.files(self.out, "exit", self.pid)]
        if not self.test.need(len(final) == 1, "%s: %d exit profiles", self.name, len(final)):
            return
        comments = dict(c[len("# heaptap: "):].split("=", 1) for c in final[0].comments if c.startswith("# heaptap: "))
        samples = int(comments.get("samples", 0)) or sum(s.values[0] for s in final[0].samples)
        health = row["health"] if self.live else {k: v for k, v in comments.items() if k in WORK or k in REASONS}
        self.judge_health(health, samples)
        self.judge_growth()
        left = [n for n in os.listdir(self.out) if not n.endswith(".pb.gz")]
        # A child that was killed, aborted or called _exit while its snapshot was being written leaves that.
        mine = [n for n in left if ".%d." % self.pid in n or not n.endswith(".tmp")]
        self.test.need(not mine, "%s: left in the folder: %s", self.name, mine)
        if left:
            print("  %s: %d temporary files of children that ended while they wrote" % (self.name, len(left)))
        kept = [p for p in self.test.files(self.out, pid=self.pid) if ".manual." not in p]
        self.test.need(len(kept) <= self.keep + 2, "%s: HEAPTAP_KEEP left %d files", self.name, len(kept))
        lines = open(self.log).read() if os.path.exists(self.log) else ""
        self.test.need(not lines, "%s: the log says %s", self.name, lines[:500])
        if self.count:
            mine = [c for c in read_counts(self.count) if c.pid == self.pid]
            self.test.need(len(mine) == 1, "%s: %d counts", self.name, len(mine))
            self.test.hold("soak", final, mine, max(RATES))


def act(host):
    """Something from outside."""
    choice = random.random()
    if choice < 0.25 or not host.live:
        host.process.send_signal(signal.SIGUSR2)
        host.signals += 1
    elif choice < 0.35:
        host.process.send_signal(signal.SIGUSR1)
    elif choice < 0.6:
        host.snap()
    elif choice < 0.65:
        host.commands_at_once()
    elif choice < 0.7:
        host.command("rate", host.pid, random.choice(RATES))
    elif choice < 0.8:
        host.command("ps", "-v", "--over", random.choice(("0", "100ms")), host.pid)
    elif choice < 0.9:
        host.command("top", host.pid)
    elif host.may_stop:
        host.command("stop", host.pid)
        time.sleep(random.uniform(0, 0.3))
        host.command("start", host.pid)


def clean_regions(test):
    """Regions of killed children are bounded: at most 8 files of the user's dead processes."""
    dead = [p for p in glob.glob("/dev/shm/heaptap.soak_prog.*.live") + glob.glob("/dev/shm/heaptap.exe.*.live")
            if not os.path.exists("/proc/" + p.split(".")[-3])]
    test.need(len(dead) <= 8 + 3, "regions of dead processes: %d", len(dead))
    for path in dead:
        os.unlink(path)


with Test("soak") as test:
    random.seed(SEED)
    print("  HT_SOAK_SEED=%d, %d s" % (SEED, SECONDS), flush=True)
    hosts = [
        Host(test, "wide", 3, counted=True, rate=RATES[0], keep=20, interval="2s", growth="64M", memory="16M",
             labels="thread"),
        Host(test, "tight", 2, may_stop=True, rate=1, keep=5, interval="1s", memory="1M", labels="thread"),
        Host(test, "private", 1, rate=4096, keep=5, interval="500ms", memory="4M", live="off"),
    ]
    for host in hosts:
        if host.live:
            test.wait_for(lambda: glob.glob("/dev/shm/heaptap.soak_prog.%d.*.live" % host.pid), "a region of " + host.name)
    end, next_look = time.monotonic() + SECONDS, 0
    while time.monotonic() < end and all(h.process.poll() is None for h in hosts) and len(test.failures) < 20:
        time.sleep(random.uniform(0, 0.2))
        act(random.choice(hosts))
        if time.monotonic() > next_look:
            next_look = time.monotonic() + max(3, SECONDS / 400)
            for host in hosts:
                host.look()
                host.judge_files(1)
    for host in hosts:
        host.finish()
    clean_regions(test)
