#!/usr/bin/python3 -B
# What the commands say of processes in odd states is so, and nothing that they advise does harm.
import glob
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from e2e import BUILD, COMMAND, Test, need_program  # noqa: E402

need_program("gcc", "dot")
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "profiles")
OLD, HEAP = GOLDEN + "/heap1.pb.gz", GOLDEN + "/heap2.pb.gz"
HOST = BUILD + "/e2e/advice_host"


class Host:
    """A process of advice_host that has said that it is ready; `pid` is whom it is about."""

    def __init__(self, test, how, argument="", env=None, program=HOST, **options):
        self.process = test.start([program, how, argument], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        words = self.process.stdout.readline().split()
        test.need(words[:1] == ["ready"], "%s %s: %s", how, argument, words)
        self.pid = int(words[1]) if len(words) > 1 else self.process.pid

    def end(self):
        self.process.stdin.close()
        return self.process.wait(60)


def workers(test):
    """A forked worker without a sample: no advice to send a signal that kills it or that is its own."""
    for how in ("default", "ignored", "blocked", "kept"):
        for live in ("on", "off"):
            host = Host(test, "worker", how, env=test.shim(test.new_folder("workers." + how + live), live=live))
            for command in ("snap", "top"):
                done = test.heaptap(command, host.pid)
                test.need(done.returncode == 1 and "kill" not in done.errors.replace("would kill the process", ""),
                          "%s of a worker with SIGUSR2 %s: %s", command, how, done.errors)
                words = "nothing that it allocated was sampled yet .one sample in 512K" if live == "on" else {
                    "default": "SIGUSR2 takes none: it would kill the process", "ignored": "SIGUSR2 takes none: the process ignores it",
                    "blocked": "SIGUSR2 takes none: the process blocks it", "kept": "unless the program has taken that signal"}[how]
                test.need(re.search(words, done.errors), "%s of a worker with SIGUSR2 %s: %s", command, how, done.errors)
            test.need(host.end() == 0, "the worker with SIGUSR2 %s did not live", how)
    host = Host(test, "worker", "kept", env=test.shim(test.new_folder("workers.private"), rate=1, live="/proc"))
    done = test.heaptap("snap", host.pid)
    words = "when it needed a region there was no tmpfs, or no room in it"
    test.need(words in done.errors, "private tables: %s", done.errors)
    listed = test.heaptap("ps", "--over", "0", host.pid)
    test.need("%d: advice_host keeps its tables to itself (%s)" % (host.pid, words) in listed.output, "ps: %s", listed.output)
    # What the kernel says now comes before what a sleeping process said last.
    for how, handler in (("default", "default"), ("ignored", "ignored")):
        host = Host(test, "signal", how, env=test.shim(test.new_folder("signal." + how)))
        row, = json.loads(test.heaptap("ps", "--json", "--over", "0", host.pid).output)["processes"]
        test.need(row["signal_handler"] == handler, "SIGUSR2 %s after the last sample: %s", how, row)
        test.need(host.end() == 0, "the host")


def unseen(test):
    """Live heap far below what is in memory is told, with the runtime that has the rest."""
    out, php = test.new_folder("unseen"), test.path("php8.2")
    shutil.copy(HOST, php)
    plain = Host(test, "maps", env=test.shim(out))
    one, two = (Host(test, "maps", env=test.shim(out), program=php) for _ in range(2))
    small = Host(test, "title", "grows", env=test.shim(out))
    listed = test.heaptap("ps", "--over", "0", plain.pid, one.pid, two.pid, small.pid)
    lines = [line for line in listed.output.splitlines() if "live heap is" in line]
    test.need(len(lines) == 2 and re.match(r"advice_host %d: live heap is [0-9.]+MB of [0-9.]+MB in memory: the rest did not come from "
                                           r"malloc, or" % plain.pid, lines[0]), "ps: %s", listed.output)
    test.need(re.match(r"php8.2 %d \(1 more are alike\): .*\(PHP\): .*; set USE_ZEND_ALLOC=0" % one.pid, lines[-1]), "ps: %s", lines)
    rows = json.loads(test.heaptap("ps", "--json", "--over", "0", one.pid, small.pid).output)["processes"]
    test.need(["unseen" in row for row in rows] == [True, False], "ps --json: %s", rows)
    for host, words in ((plain, "the rest did not come from malloc"), (one, "set USE_ZEND_ALLOC=0"), (small, None)):
        done = test.heaptap("top", host.pid)
        test.need(done.returncode == 0 and (words in done.errors if words else done.errors == ""), "top: %s", done.errors)
    test.need([host.end() for host in (plain, one, two, small)] == [0] * 4, "the hosts")
    for path in test.files(out, "exit"):
        done = test.heaptap("top", path)
        test.need(done.errors == "", "top of an exit profile: %s", done.errors)


def ends(test):
    """How a process ended is not guessed; what a dead one left is found by its number."""
    out = test.new_folder("ends")
    if os.geteuid() == 0:
        done = test.run([COMMAND, "run", "-v", "-o", out, "--", HOST, "chroot", test.new_folder("root")])
        test.need(done.returncode == 0 and "advice_host could not write at exit; its heap was saved: " + out in done.errors,
                  "a program in another root: %s", done.errors)
        done = test.run([COMMAND, "run", "-v", "-o", out, "--", "sh", "-c", "%s chroot %s; exit 0" % (HOST, test.path("root"))])
        test.need(done.returncode == 0 and "died" not in done.errors, "a process below, in another root: %s", done.errors)
    done = test.run([COMMAND, "run", "-v", "-o", out, "--", HOST, "leave"])
    test.need("advice_host wrote nothing at exit (_exit); its heap was saved: " in done.errors, "_exit: %s", done.errors)
    host = Host(test, "title", "grows", env=test.shim(out))
    region, = glob.glob("/dev/shm/heaptap.*.%d.*.live" % host.pid)
    host.process.kill()
    for reaped in (False, True):
        if reaped:
            host.process.wait()
        else:
            test.wait_for(lambda: " Z " in open("/proc/%d/stat" % host.pid).read(), "the host does not die")
        for command in ("top", "snap"):
            done = test.heaptap(command, host.pid)
            test.need(done.returncode == 1 and "left its heap: 'heaptap top %s'" % region in done.errors, "%s: %s", command, done.errors)
        done = test.heaptap("doctor", host.pid)
        test.need("has ended; 'heaptap doctor %s' is about" % region in done.errors, "doctor: %s", done.errors)


def numbers(test):
    """A number is a process; a file of that name is written with its folder."""
    folder = test.new_folder("numbers")
    shutil.copy(HEAP, folder + "/99999999")
    done = test.run([COMMAND, "top", "99999999"], cwd=folder)
    test.need(done.returncode == 1 and "the file of that name is written ./99999999" in done.errors, "a number: %s", done.errors)
    done = test.run([COMMAND, "top", "./99999999"], cwd=folder)
    test.need(done.returncode == 0 and done.output.startswith("File: "), "a file whose name is a number: %s", done.errors)


def threshold(test):
    """The exit status 3 is explained in a line."""
    for limit, words in (("1K", r"the total grew by [0-9.]+MB, which is more than --fail-above 1K"),
                         ("1K/min", r"the total grew by [0-9.]+[kM]B/min, which is more than --fail-above 1K/min")):
        for extra in ([], ["--json"]):
            done = test.heaptap("diff", "--fail-above", limit, *extra, OLD, HEAP)
            test.need(done.returncode == 3 and re.search("^heaptap: diff: " + words + "\n$", done.errors, re.M), "%s: %d %s", limit,
                      done.returncode, done.errors)
    done = test.heaptap("diff", "--fail-above", "100G", OLD, HEAP)
    test.need(done.returncode == 0 and "fail-above" not in done.errors, "below the threshold: %s", done.errors)


def long_names(test):
    """A picture of names that Graphviz refuses."""
    program = test.path("long")
    source = "#include <stdlib.h>\n" + "".join("__attribute__((noinline)) void *f%d(void) __asm__(\"%s\");\nvoid *f%d(void) "
                                               "{ return malloc(100000); }\n" % (i, c * 20000, i) for i, c in enumerate("ab"))
    with open(program + ".c", "w") as file:
        file.write(source + "int main(void) { return f0() == f1(); }\n")
    made = test.run(["gcc", "-g0", "-O0", "-o", program, program + ".c"])
    test.need(made.returncode == 0, "gcc: %s", made.errors)
    out = test.new_folder("long.out")
    test.run([program], env=test.shim(out, rate=1))
    profile, = test.files(out)
    done = test.heaptap("svg", "--alloc-space", profile)
    test.need(done.returncode == 0 and "<svg" in done.output and "\u2026" in done.output, "svg: %d %s", done.returncode, done.errors[:300])


def changed_source(test):
    """list says when the source is newer than what was profiled."""
    source, program, out = test.path("changed.c"), test.path("changed"), test.new_folder("changed.out")
    with open(source, "w") as file:
        file.write("#include <stdlib.h>\nchar *volatile kept;\nint main(void)\n{\n    kept = malloc(100000);\n    return kept == NULL;\n}\n")
    os.utime(source, (1e9, 1e9))
    test.need(test.run(["gcc", "-g", "-O0", "-o", program, source]).returncode == 0, "gcc")
    test.run([program], env=test.shim(out, rate=1))
    profile, = test.files(out)
    done = test.heaptap("list", "--alloc-space", "^main$", profile)
    test.need(done.returncode == 0 and "kept = malloc" in done.output and done.errors == "", "list: %s", done.errors)
    os.utime(source)
    done = test.heaptap("list", "--alloc-space", "^main$", profile)
    test.need("%s was written after the program or its profile" % source in done.errors, "list of a changed source: %s", done.errors)


def builds(test):
    """Profiles of two builds are called that, and the option that joins their rows is named; unknown places have no words in JSON."""
    profiles = []
    for lines in (0, 3):
        source, program, out = test.path("twice.c"), test.path("twice"), test.new_folder("twice%d" % lines)
        with open(source, "w") as file:
            file.write("#include <stdlib.h>\nchar *volatile kept;\n" + "int x%d;\n" * lines % tuple(range(lines)) +
                       "__attribute__((noinline)) void keep(void) { kept = malloc(100000); }\nint main(void) { keep(); return 0; }\n")
        test.need(test.run(["gcc", "-g", "-O0", "-o", program, source]).returncode == 0, "gcc")
        test.run([program], env=test.shim(out, rate=1))
        path, = test.files(out)
        profiles.append(test.path("twice%d.pb.gz" % lines))
        test.need(test.heaptap("symbolize", path, "-o", profiles[-1]).returncode == 0, "symbolize")
    names = "these are profiles of different builds of twice .[0-9a-f]{12} and [0-9a-f]{12}."
    joins = "; lines may have moved, --functions joins the rows of each function\n"
    runs = ": the change is the difference of two runs, not growth"
    for words, told in (
            (["diff"], names + runs + joins), (["diff", "--functions"], names + runs + "\n"), (["top"], names + "\n"),
            (["top", "--lines"], names + joins), (["top", "--lines", "--base"], names + joins)):
        done = test.heaptap(*words, *profiles)
        test.need(done.returncode == 0 and done.errors.count("warning") == 1 and re.search(told, done.errors), "%s: %s", words, done.errors)
        test.need(words != ["diff", "--functions"] or "(1 call site unchanged)" in done.output, "%s: %s", words, done.output)
    bare, stripped, out = test.path("bare.c"), test.path("bare"), test.new_folder("bare.out")
    with open(bare, "w") as file:
        file.write("#include <stdlib.h>\nchar *volatile kept[99];\nint main(int n, char **v) { (void)v; while (n < 60) kept[n++] = malloc(100000); return 0; }\n")
    test.need(test.run(["gcc", "-s", "-o", stripped, bare]).returncode == 0, "gcc")
    test.run([stripped], env=test.shim(out, rate=1))
    test.run([stripped] + ["x"] * 30, env=test.shim(out, rate=1))
    few, many = sorted(test.files(out), key=lambda path: test.profile(path).totals()[1])
    for words in (["diff", few, many], ["raw", few], ["top", few], ["traces", few], ["list", ".", few], ["peek", ".", few], ["tags", few],
                  ["flame", few]):
        text = test.heaptap(words[0], "--json", *words[1:]).output
        test.need(not re.search(r'"(file|line|function|start_line)": (null|0|"")[,}]', text), "%s --json: %s", words[0],
                  re.findall(r'.{80}"(?:file|line|function|start_line)": (?:null|0|"").{20}', text)[:3])


def names(test):
    """Where functions have no names, what would bring them is said: once, and only where it matters."""
    source, program, out = test.path("deep.c"), test.path("deep"), test.new_folder("deep.out")
    with open(source, "w") as file:
        file.write("#include <stdlib.h>\nchar *volatile kept;\n" + "".join(
            "static __attribute__((noinline)) void f%d(void) { %s; }\n" % (i, "f%d()" % (i - 1) if i else "kept = malloc(100000)")
            for i in range(5)) + "int main(void) { f4(); return 0; }\n")
    for flags, told in ((["-g"], False), ([], False), (["-s"], True)):
        test.need(test.run(["gcc", "-O0", *flags, "-o", program, source]).returncode == 0, "gcc")
        shutil.rmtree(out)
        os.mkdir(out)
        test.run([program], env=test.shim(out, rate=1))
        done = test.heaptap("top", "--no-cache", *test.files(out))
        test.need(done.errors.count("no names") == told and (not told or re.search(
            r"warning: \d+% passes through functions of deep that have no names: a build that is not stripped .or linked with -rdynamic.",
            done.errors)), "%s: %s", flags, done.errors)
        test.need(test.heaptap("top", "--symbolize=none", *test.files(out)).errors == "", "names that nobody asked for")
    dpkg = shutil.which("dpkg-query")
    python = os.path.realpath("/usr/bin/python3")
    owner = test.run([dpkg, "-S", python]).output.split(":")[0] if dpkg and os.path.exists(python) else ""
    if owner:
        done = test.heaptap("doctor", python)
        test.need("install %s-dbgsym (Debian's archive" % owner in done.output or " debug info     in " in done.output, "doctor: %s", done.output)
    if shutil.which("node"):
        script = "function grow() { const kept = []; for (let i = 0; i < 200; i++) kept.push(Buffer.alloc(100000)); return kept; } grow();"
        for options, told in (([], True), (["--perf-basic-prof", "--interpreted-frames-native-stack"], False)):
            out = test.new_folder("node%d" % told)
            test.run(["node", *options, "-e", script], env=test.shim(out, rate="64K"), cwd=out)
            done = test.heaptap("top", "--alloc-space", *test.files(out))
            test.need(("node --perf-basic-prof" in done.errors) == told, "node %s: %s", options, done.errors)


JAVA = """public class Held {
    static java.util.zip.Deflater[] held = new java.util.zip.Deflater[100];
    public static void main(String[] arguments) { for (int i = 0; i < held.length; i++) held[i] = new java.util.zip.Deflater(); }
}
"""


def interpreted_java(test):
    """Walks through interpreted Java reach the thread's start."""
    if not shutil.which("javac"):
        return
    folder, out = test.new_folder("java"), test.new_folder("java.out")
    with open(folder + "/Held.java", "w") as file:
        file.write(JAVA)
    test.need(test.run(["javac", "Held.java"], cwd=folder).returncode == 0, "javac")
    test.run(["java", "-Xint", "-Xmx64m", "Held"], env=test.shim(out, rate="64K"), cwd=folder)
    profile, = test.files(out)
    done = test.heaptap("top", "--json", "--cum", "--alloc-space", "--focus=deflateInit", profile)
    report = json.loads(done.output)
    share = {row.get("function"): row["cum"] for row in report["rows"]}
    held = share.get("deflateInit2_", 0)
    test.need(held > 20e6 and share.get("JavaMain", 0) > 0.99 * held, "walks end early: %s", share)


def ask_doctor(test, pid, works):
    """What the doctor says, by check: (status, what was seen)."""
    done = test.heaptap("doctor", "--json", pid)
    answer = json.loads(done.output)
    test.need(answer["works"] == works and done.returncode == (works in ("no", "unknown")), "doctor: %s", answer)
    return {check["check"]: (check["status"], check["seen"]) for check in reversed(answer["checks"])}


def titles(test):
    """What a process has written over is not known to the doctor; what its region says is."""
    out = test.new_folder("titles")
    bare, grown = (ask_doctor(test, Host(test, "title", grows, env=test.shim(out)).pid, "yes") for grows in ("", "grows"))
    for seen in (bare, grown):
        test.need(seen["variables"][0] == "unknown" and "nothing of the profiler's" in seen["variables"][1], "variables: %s", seen)
    test.need([bare[check][0] for check in ("output", "memory", "signal")] == ["unknown"] * 3, "guesses: %s", bare)
    test.need(out in grown["output"][1] and "at most" in grown["memory"][1], "a region is not asked: %s", grown)


def other_root(test):
    """A process that has changed its root is judged by what it does, not by what a start in there would need."""
    if os.geteuid() != 0:
        return
    empty, out = test.new_folder("empty"), test.new_folder("chroot.out")
    for how in ("chroot", "chroot_first"):
        host = Host(test, how, empty, env=dict(test.shim(out), HEAPTAP_LOG="none"))
        seen = ask_doctor(test, host.pid, "partly")
        test.need("not in the root that it changed to (chroot)" in seen["output"][1], "output: %s", seen)
        test.need(seen["loader"][0] == seen["libraries"][0] == "ok", "chroot: %s", seen)
        if how == "chroot":
            test.need("live_region" not in seen, "its region is there: %s", seen)
            done = test.heaptap("snap", host.pid)
            test.need(done.returncode == 0 and done.output.startswith(out) and not os.listdir(empty), "snap: %s%s", done.output, done.errors)
        else:
            test.need("no tmpfs for a region, or no room in it" in seen["live_region"][1], "private tables: %s", seen)
        test.need(host.end() == 0, "the host in another root")


with Test("advice") as t:
    titles(t)
    other_root(t)
    interpreted_java(t)
    names(t)
    builds(t)
    ends(t)
    numbers(t)
    threshold(t)
    long_names(t)
    changed_source(t)
    unseen(t)
    workers(t)
