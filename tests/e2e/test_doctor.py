"""heaptap doctor against programs of every kind, compiled here, and against processes in every state."""
import glob
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import COMMAND, SHIM, Test, clean_environment, need_program  # noqa: E402

SOURCE = os.environ.get("HT_SOURCE") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FIELDS = {"check", "status", "decides", "seen", "advice"}
NOBODY = 65534

PLAIN = "int main(void) { return 0; }\n"
OWN_MALLOC = """
#include <stddef.h>
static char pool[65536]; static size_t used;
void *malloc(size_t n) { void *p = pool + used; used += (n + 15) & ~15ul; return p; }
void free(void *p) { (void)p; }
void *calloc(size_t a, size_t b) { return malloc(a * b); }
void *realloc(void *p, size_t n) { (void)p; return malloc(n); }
int main(void) { return malloc(1) == 0; }
"""
BUNDLED = """
static char pool[4096]; void *je_malloc(unsigned long n) { (void)n; return pool; }
const char *volatile text = "<jemalloc>: out of memory";
int main(void) { return je_malloc(1) == 0; }
"""
WAITING = """#include <cstdio>
int main() { delete new int(3); std::puts("ready"); std::fflush(stdout); return std::getchar() == 'x'; }
"""
CXX = "int main(int n, char **v) { int *p = new int[n]; int r = p[0]; delete[] p; return r && v == 0; }\n"
# Enough code to matter: small programs have start files without tables.
MUCH = "".join("int f%d(int a) { volatile int x[4] = {a, %d, a * %d, 1}; return x[1] + x[2] * x[a & 3]; }\n" % (i, i, i + 3)
               for i in range(300)) + "int main(int n, char **v) { (void)v; return " + "+".join(
                   "f%d(n)" % i for i in range(300)) + "; }\n"


class Doctor:
    """Programs compiled into the test's folder, and what the doctor says about them."""

    def __init__(self, test):
        self.test, self.folder = test, test.new_folder("programs")

    def path(self, name):
        return os.path.join(self.folder, name)

    def compile(self, name, source, *flags, compiler="gcc", suffix=".c"):
        """The program's path, or None where this machine cannot make it."""
        with open(self.path(name + suffix), "w") as file:
            file.write(source)
        command = [compiler, "-w", "-o", self.path(name), self.path(name + suffix)] + list(flags)
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except FileNotFoundError:
            return None
        return self.path(name) if done.returncode == 0 else None

    def ask(self, subject, env=None, status=None, **options):
        """The parsed answer; the exit status must fit its summary."""
        process = self.test.run([COMMAND, "doctor", "--json", str(subject)], env=env, timeout=240, **options)
        self.test.need(process.returncode in (0, 1), "%s: exit status %s: %s", subject, process.returncode, process.errors)
        answer = json.loads(process.output)
        answer["status"] = process.returncode
        for check in answer["checks"]:
            self.test.need(set(check) == FIELDS, "%s: fields %s", subject, sorted(check))
            self.test.need(check["status"] in ("ok", "unknown", "warning", "problem"), "%s: %s", subject, check)
            self.test.need(check["status"] == "ok" or check["advice"] or check["check"] in ("rights",),
                           "%s: no advice in %s", subject, check)
        self.test.need((answer["works"] in ("no", "unknown")) == (process.returncode == 1), "%s: %s with exit status %d", subject,
                       answer["works"], process.returncode)
        self.test.need(process.errors == "", "%s: standard error: %s", subject, process.errors)
        return answer

    def expect(self, subject, works, check=None, status=None, words="", **options):
        """One program: the summary, and one check's status and words."""
        if subject is None:
            return None
        answer = self.ask(subject, **options)
        self.test.need(works is None or answer["works"] == works, "%s: works %s, not %s: %s", subject, answer["works"],
                       works, [c for c in answer["checks"] if c["status"] != "ok"])
        if check:
            rows = [c for c in answer["checks"] if c["check"] == check]
            fits = [c for c in rows if c["status"] == status and re.search(words, c["seen"])]
            self.test.need(fits, "%s: %s is not %s with '%s': %s", subject, check, status, words, rows)
        return answer


def as_nobody():
    if os.geteuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def row(answer, name):
    rows = [c for c in answer["checks"] if c["check"] == name]
    return rows[0] if rows else None


def check_usage(t):
    for arguments, status, words in (
            ([], 2, "name a program"), (["1", "b"], 2, "one process or region"), (["--nonsense", "sh"], 2, "nonsense"),
            (["no-such-program-anywhere"], 1, "no such program in PATH"), (["/nonexistent/x"], 1, "no such program"),
            (["/tmp"], 1, "is a directory"), (["/dev/null"], 1, "is not a regular file"), (["4194305000"], 1, "no process has such a number"),
            (["4194300"], 1, "no such process"), (["2"], 1, "kernel|no such process|PID|may")):
        if arguments == ["2"] and not re.match("kthreadd", open("/proc/2/comm").read() if os.path.exists("/proc/2/comm") else ""):
            continue
        done = t.heaptap("doctor", *arguments)
        t.need(done.returncode == status and re.search(words, done.errors) and done.errors.count("\n") == 1 and
               done.output == "", "doctor %s: exit status %d, '%s'", arguments, done.returncode, done.errors)
    fifo = t.path("fifo")
    os.mkfifo(fifo)
    os.chmod(fifo, 0o755)
    done = t.heaptap("doctor", fifo, timeout=240)
    t.need(done.returncode == 1 and "not a regular file" in done.errors, "a fifo: %s", done.errors)
    text = t.heaptap("doctor", "sh")
    t.need(text.returncode == 0 and text.output.splitlines()[-1].startswith("profiling will work: yes"), "sh: %s", text.output)
    t.need("\033" not in text.output and text.errors == "", "colour or errors in a file: %r", text.output)
    master, slave = os.openpty()
    coloured = t.start([COMMAND, "doctor", "sh"], env=clean_environment(TERM="xterm"), stdout=slave)
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    t.need(coloured.wait(240) == 0 and b"\033[32mok" in shown, "no colour on a terminal: %r", shown[:200])
    helped = t.heaptap("doctor", "--help")
    t.need(helped.returncode == 0 and "heaptap doctor 4242" in helped.output, "help: %s", helped.output)


def check_kinds(t, doctor):
    plain = doctor.compile("plain", PLAIN, "-g")
    doctor.expect(plain, "yes", "format", "ok", "64-bit .*dynamically linked")
    doctor.expect(plain, "yes", "debug_info", "ok", "in the program")
    doctor.expect(plain, "yes", "shim", "ok", "wrote a profile")
    doctor.expect(plain, "yes", "loader", "ok", r"glibc 2\.\d+")
    doctor.expect(plain, "yes", "allocator", "ok", "malloc of libc")
    doctor.expect(doctor.compile("static", PLAIN, "-static"), "no", "format", "problem", "statically linked:")
    doctor.expect(doctor.compile("staticpie", PLAIN, "-static-pie"), "no", "format", "problem", "static-pie")
    doctor.expect(doctor.compile("small", PLAIN, "-m32"), "no", "format", "problem", "32-bit x86;")
    with open(plain, "rb") as file:
        bytes_ = bytearray(file.read())
    for name, at, value, words in (("arm64", 18, struct.pack("<H", 183), "64-bit aarch64"),
                                   ("arm32", 4, b"\x01", "32-bit"), ("bad", 54, b"\x01\x00", "damaged")):
        other = bytearray(bytes_)
        other[at:at + len(value)] = value
        with open(doctor.path(name), "wb") as file:
            file.write(other)
        os.chmod(doctor.path(name), 0o755)
        doctor.expect(doctor.path(name), "no", "format", "problem", words)
    for cut in (0, 3, 17, 63, 100, 700, 3000):
        with open(doctor.path("cut"), "wb") as file:
            file.write(bytes_[:cut])
        os.chmod(doctor.path("cut"), 0o755)
        doctor.ask(doctor.path("cut"))
    musl = bytes_.replace(b"/lib64/ld-linux-x86-64.so.2\0", b"/lib/ld-musl-x86_64.so.1\0\0\0\0")
    with open(doctor.path("musl"), "wb") as file:
        file.write(musl)
    os.chmod(doctor.path("musl"), 0o755)
    if musl != bytes_:
        doctor.expect(doctor.path("musl"), "no", "loader", "problem", "musl")
        done = t.heaptap("run", doctor.path("musl"))
        t.need(done.returncode == 125 and "musl" in done.errors, "run of a musl program: %s", done.errors)
    doctor.expect(doctor.compile("otherloader", PLAIN, "-Wl,--dynamic-linker=/nonexistent/ld.so"), "no", "loader",
                  "problem", "not there")


def check_scripts(t, doctor):
    for name, first, works, check, status, words in (
            ("script", "#!/bin/sh -e", "yes", "script", "unknown", "a script for /.*sh, .* not known before it runs"),
            ("viaenv", "#!/usr/bin/env sh", "yes", "script", "unknown", "sh,"),
            ("app.py", "#!/usr/bin/python3", "partly", "script", "ok", "run by /usr/bin/python3.*,"),
            ("app2.py", "#!/usr/bin/env -S /usr/bin/python3", "partly", "runtime", "warning", "arenas"),
            ("static.sh", "#!" + doctor.path("static"), "no", "format", "problem", "statically"),
            ("missing.sh", "#!/nonexistent/interpreter", "no", "script", "problem", "not there"),
            ("noline", "echo hello", "yes", "format", "warning", "neither")):
        if name == "static.sh" and not os.path.exists(doctor.path("static")):
            continue
        with open(doctor.path(name), "w") as file:
            file.write(first + "\n")
        os.chmod(doctor.path(name), 0o755)
        doctor.expect(doctor.path(name), works, check, status, words)


def check_allocators(t, doctor):
    doctor.expect(doctor.compile("own", OWN_MALLOC, "-fno-builtin"), "no", "allocator", "problem", "exports it")
    doctor.expect(doctor.compile("hidden", OWN_MALLOC, "-fno-builtin", "-fvisibility=hidden"), "partly", "allocator",
                  "warning", "does not export")
    doctor.expect(doctor.compile("bundled", BUNDLED, "-fvisibility=hidden"), "partly", "allocator", "warning",
                  r"jemalloc is built in \(je_malloc\)")
    doctor.expect(doctor.compile("bundledstripped", BUNDLED, "-fvisibility=hidden", "-s"), "partly", "allocator", "warning",
                  "by its messages")
    jemalloc = glob.glob("/usr/lib/*/libjemalloc.so.2")
    if jemalloc:
        doctor.expect(doctor.compile("withje", OWN_MALLOC.split("static char")[0] + "#include <stdlib.h>\n" + PLAIN,
                                     "-Wl,--no-as-needed", jemalloc[0]), "yes", "allocator", "ok", "libjemalloc.so.2: malloc")
        doctor.expect(doctor.compile("mallocx", "void *mallocx(unsigned long, int); int main(void) { return !mallocx(9, 0); }",
                                     jemalloc[0]), "yes", "allocator", "ok", "own functions by libheaptap-jemalloc.so, which")
        doctor.compile("libweak.so", "void *mallocx(unsigned long, int) __attribute__((weak));"
                       "int weak(void) { return mallocx != 0; }", "-shared", "-fPIC")
        weak = "int weak(void); int main(void) { return weak(); }"
        doctor.expect(doctor.compile("weak", weak, doctor.path("libweak.so"), "-Wl,-rpath,$ORIGIN"), "yes", "allocator", "ok",
                      "libc")
        doctor.expect(doctor.compile("weakje", weak, doctor.path("libweak.so"), "-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed",
                                     jemalloc[0]), "yes", "allocator", "ok", "libheaptap-jemalloc.so")
        doctor.expect(doctor.compile("newje", CXX, jemalloc[0], compiler="g++", suffix=".cc"), "yes", "allocator",
                      "ok", "operator new and its own functions by libheaptap-jemalloc.so")
        doctor.expect(doctor.path("plain"), "yes", "preload", "ok", "comes behind",
                      env=clean_environment(LD_PRELOAD=jemalloc[0]))
    doctor.expect(doctor.compile("cxx", CXX, compiler="g++", suffix=".cc"), "yes", "allocator", "ok", "libc")
    for name, flag, words in (("asan", "address", "AddressSanitizer"), ("tsan", "thread", "ThreadSanitizer"),
                              ("lsan", "leak", "LeakSanitizer")):
        doctor.expect(doctor.compile(name, PLAIN, "-fsanitize=" + flag), "no", "sanitizer", "problem", words)
    doctor.expect(doctor.compile("msan", PLAIN, "-fsanitize=memory", compiler="clang"), "no", "sanitizer", "problem",
                  "MemorySanitizer")
    doctor.expect(doctor.compile("clangasan", PLAIN, "-fsanitize=address", compiler="clang"), "no", "sanitizer", "problem",
                  "AddressSanitizer")
    doctor.expect(doctor.compile("ubsan", PLAIN, "-fsanitize=undefined"), "yes")


def check_runtimes(t, doctor):
    python = [p for p in ("/usr/bin/python3",) if os.path.exists(p)]
    for path in python:
        doctor.expect(path, "partly", "runtime", "warning", "arenas")
        doctor.expect(path, "yes", "runtime", "ok", "PYTHONMALLOC=malloc", env=clean_environment(PYTHONMALLOC="malloc"))
        doctor.expect(path, "partly", "runtime", "warning", "arenas", env=clean_environment(PYTHONMALLOC="pymalloc"))
        doctor.expect(path, "partly", "frames", "warning", "not Python's own")
        behind = t.heaptap("doctor", path, "app.py", "--json")  # --json is the program's
        t.need(behind.returncode == 0 and "Python: objects" in behind.output and "{" not in behind.output, "doctor python3 app.py: %s",
               behind.output)
        t.need(t.heaptap("doctor", path, "--json", "-v").output.startswith("{"), "options behind the program alone")
    if shutil.which("go"):
        with open(doctor.path("p.go"), "w") as file:
            file.write('package main\nimport "os"\nfunc main() { os.Exit(0) }\n')
        env = clean_environment(GOCACHE=t.path("gocache"), GOFLAGS="-mod=mod", GO111MODULE="off", HOME=t.folder)
        built = t.run(["go", "build", "-o", doctor.path("go"), doctor.path("p.go")], env=env, cwd=doctor.folder)
        if built.returncode == 0:
            answer = doctor.expect(doctor.path("go"), "no", "runtime", "problem", "Go without cgo")
            t.need("link it" not in row(answer, "format")["advice"], "Go: %s", row(answer, "format"))
            t.need("pprof" in row(answer, "runtime")["advice"], "Go: %s", row(answer, "runtime"))
    # Runtimes are known by what they export.
    for name, symbol, words, env, option in (
            ("zend", "_emalloc", "PHP: what scripts hold", {"USE_ZEND_ALLOC": "0"}, None),
            ("beam", "enif_alloc", "Erlang: processes", {"ERL_FLAGS": "+S 1 +Mea min"}, None),
            ("jet", "node_module_register", "Node: JavaScript objects", None, "--perf-basic-prof"),
            ("gem", "ruby_run_node", "Ruby: small objects", None, None),
            ("lua", "luaJIT_setmode", "LuaJIT: what Lua holds", None, None)):
        path = doctor.compile(name, "void %s(void) {}\n%s" % (symbol, PLAIN), "-rdynamic")
        doctor.expect(path, "partly", "runtime", "warning", words)
        if env:
            doctor.expect(path, "yes", "runtime", "ok", "all that it allocates is seen", env=clean_environment(**env))
        if option:
            doctor.expect(path, "partly", "frames", "warning", "not JavaScript's own")
            doctor.expect(path, "partly", "frames", "ok", "perf-PID.map", env=clean_environment(NODE_OPTIONS=option))
            done = t.heaptap("doctor", path, option, "server.js")
            t.need("perf-PID.map" in done.output, "doctor %s %s: %s", name, option, done.output)
    if shutil.which("java"):
        doctor.expect("java", "partly", "signal", "warning", "Java .*by, SIGUSR2: do not send it")
        doctor.expect("java", "partly", "signal", "ok", "SIGPROF takes", env=clean_environment(HEAPTAP_SIGNAL="PROF"))
    doctor.expect(doctor.compile("nginx", PLAIN), "yes", "signal", "warning", "a new executable when it gets SIGUSR2")
    rust = doctor.compile("rusty", 'const char *volatile t = "RUST_BACKTRACE"; int main(void) { return 0; }\n', "-g")
    doctor.expect(rust, "yes", "runtime", "ok", "Rust")


def check_tables(t, doctor):
    doctor.expect(doctor.compile("much", MUCH, "-O1"), "yes", "unwind_tables", "ok", "program and")
    without = ["-O1", "-fomit-frame-pointer", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]
    doctor.expect(doctor.compile("notables", MUCH, *without), "yes", "unwind_tables", "warning", "in notables: stacks end")
    doctor.expect(doctor.compile("frames", MUCH, "-O1", "-fno-omit-frame-pointer", *without[2:]), "yes", "unwind_tables", "ok",
                  "frame pointers")
    removed = doctor.path("removed")
    if shutil.which("objcopy"):
        subprocess.run(["objcopy", "-R", ".eh_frame", "-R", ".eh_frame_hdr", doctor.path("much"), removed], check=True,
                       stderr=subprocess.DEVNULL)
        doctor.expect(removed, "yes", "unwind_tables", "warning", "removed")
        # Debug info beside the file, by its name; then elsewhere by the same name, of another file.
        info = doctor.compile("info", MUCH, "-O1", "-g")
        subprocess.run(["objcopy", "--only-keep-debug", info, doctor.path("info.debug")], check=True)
        subprocess.run(["objcopy", "--strip-debug", "--add-gnu-debuglink=" + doctor.path("info.debug"), info], check=True)
        doctor.expect(info, "yes", "debug_info", "ok", "in a separate file")
        other = doctor.compile("other", PLAIN, "-g")
        subprocess.run(["objcopy", "--only-keep-debug", other, doctor.path("info.debug")], check=True)
        doctor.expect(info, "yes", "debug_info", "warning", "function names are known")
    doctor.expect(doctor.compile("stripped", PLAIN, "-s"), "yes", "debug_info", "warning", "stripped")
    doctor.expect(doctor.compile("noid", PLAIN, "-Wl,--build-id=none"), "yes", "build_id", "warning", "none in noid")
    library = doctor.compile("libmine.so", "int mine(void) { return 1; }", "-shared", "-fPIC")
    using = doctor.compile("using", "int mine(void); int main(void) { return mine() - 1; }", library and library or "",
                           "-Wl,-rpath,$ORIGIN")
    doctor.expect(using, "yes", "libraries", "ok", "libmine.so")
    os.makedirs(t.path("elsewhere"))
    os.symlink(using, t.path("elsewhere", "link"))
    doctor.expect(t.path("elsewhere", "link"), "yes", "libraries", "ok", "libmine.so")
    os.rename(library, doctor.path("libmine.hidden"))
    doctor.expect(using, "no", "libraries", "problem", "not found: .*libmine.so")


def check_rights(t, doctor):
    if os.geteuid() != 0:
        return
    copy = doctor.path("setuid")
    shutil.copy(doctor.path("plain"), copy)
    os.chown(copy, NOBODY, NOBODY)
    os.chmod(copy, 0o4755)
    doctor.expect(copy, "no", "rights", "problem", "setuid")
    os.chmod(copy, 0o2755)
    doctor.expect(copy, "no", "rights", "problem", "setgid")
    os.chown(copy, 0, 0)
    os.chmod(copy, 0o4755)
    doctor.expect(copy, "yes", "rights", "warning", "started by another user")
    os.chmod(copy, 0o755)
    if shutil.which("setcap") and subprocess.run(["setcap", "cap_net_raw+ep", copy]).returncode == 0:
        doctor.expect(copy, "yes", "rights", "warning", "capabilities")


def check_variables(t, doctor):
    plain = doctor.path("plain")
    doctor.expect(plain, "yes", "variables", "ok", "defaults")
    doctor.expect(plain, "yes", "variables", "ok", "HEAPTAP_RATE=64K", env=clean_environment(HEAPTAP_RATE="64K"))
    for name, value, words in (("RATE", "64X", "is not a size"), ("INTERVAL", "5 minutes", "is not a time"),
                               ("SIGNAL", "USR9", "is not a signal"), ("LIVE", "shm", "is not on, off"),
                               ("MEMORY", "1K", "is not a size"), ("UNWIND", "dwarf", "is not auto"), ("KEEP", "-1", "is not"),
                               ("ONLY", "a/b", "is not a pattern"), ("SEED", "0", "is not"), ("VERBOSE", "2", "is not 0 or 1"),
                               ("LOG", "", "is not stderr"), ("LOG", "/nonexistent/x/log", "cannot be written"),
                               ("LABELS", "threads", "is not none"), ("EXIT", "no", "is not 0 or 1"), ("RATES", "1", "no effect")):
        doctor.expect(plain, "yes", "variables", "warning", "HEAPTAP_%s.*%s" % (name, words),
                      env=clean_environment(**{"HEAPTAP_" + name: value}))
    doctor.expect(plain, "no", "variables", "problem", "nothing is recorded", env=clean_environment(HEAPTAP_RATE="0"))
    doctor.expect(plain, "no", "variables", "problem", "leaves this program out", env=clean_environment(HEAPTAP_ONLY="redis*"))
    doctor.expect(plain, "yes", "variables", "ok", "ONLY", env=clean_environment(HEAPTAP_ONLY="pl?in"))
    # Its list of names is the shim's.
    with open(os.path.join(SOURCE, "src", "trigger", "config.c")) as file:
        names = set(re.findall(r'"(HEAPTAP_[A-Z_]+)"', file.read()))
    answer = doctor.ask(plain, env=clean_environment(**{n: "\x01" for n in names}))
    t.need(not any("no variable of" in c["seen"] for c in answer["checks"]), "unknown: %s", answer)
    named = {n for n in names for c in answer["checks"] if c["check"] == "variables" and c["seen"].startswith(n + "=")}
    # Any text is a folder, a program's name or a file.
    t.need(names - named <= {"HEAPTAP_OUT", "HEAPTAP_ONLY", "HEAPTAP_LOG"}, "not complained about: %s", names - named)


def check_system(t, doctor):
    plain = doctor.path("plain")
    doctor.expect(plain, "yes", "live_region", "ok", "tmpfs")
    doctor.expect(plain, "yes", "live_region", "warning", "off", env=clean_environment(HEAPTAP_LIVE="off"))
    doctor.expect(plain, "yes", "live_region", "warning", "not a tmpfs|free", env=clean_environment(HEAPTAP_LIVE="/proc"))
    doctor.expect(plain, "yes", "live_region", "warning", "is not there", env=clean_environment(HEAPTAP_LIVE="/nonexistent"))
    doctor.expect(plain, "yes", "output", "ok", "will be made", env=clean_environment(HEAPTAP_OUT=t.path("a", "b")))
    t.need(not os.path.exists(t.path("a")), "the doctor made the folder for profiles")
    closed = t.path("closed")
    os.makedirs(closed)
    os.chmod(closed, 0o555)
    doctor.expect(plain, "partly", "output", "warning", "nothing may be written", preexec_fn=as_nobody, cwd="/",
                  env=clean_environment(HEAPTAP_OUT=closed + "/x"))

    def limit(which, value):
        import resource
        return lambda: resource.setrlimit(getattr(resource, which), (value, value))
    doctor.expect(plain, None, "limits", "warning", "files may have", preexec_fn=limit("RLIMIT_FSIZE", 1 << 20))
    answer = doctor.expect(plain, None, "memory", "warning", "address space", preexec_fn=limit("RLIMIT_AS", 1 << 30))
    t.need(row(answer, "shim")["status"] == "ok", "trial under a limit: %s", answer)
    doctor.expect(plain, "yes", "signal", "warning", "SIGUSR2 is ignored in this shell",
                  preexec_fn=lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN))
    doctor.expect(plain, "yes", "signal", "warning", "SIGUSR1 is blocked in this shell", env=clean_environment(HEAPTAP_SIGNAL="USR1"),
                  preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]))
    doctor.expect(plain, "yes", "signal", "ok", "none", env=clean_environment(HEAPTAP_SIGNAL="none"))
    if os.geteuid() == 0:
        small = t.path("small")
        os.makedirs(small)
        script = ("mount -t tmpfs -o size=1m none %s && HEAPTAP_LIVE=%s exec %s doctor --json %s" %
                  (small, small, COMMAND, plain))
        done = t.run(["unshare", "-m", "sh", "-c", script])
        if done.returncode == 0:
            rows = [c for c in json.loads(done.output)["checks"] if c["check"] == "live_region"]
            t.need(rows[0]["status"] == "warning" and "nearly full" in rows[0]["seen"], "a small tmpfs: %s", rows)
        # The loader looks in its own folders for what its cache does not have.
        none = t.path("no.cache")
        open(none, "w").close()
        done = t.run(["unshare", "-m", "sh", "-c", "mount --bind %s /etc/ld.so.cache && %s && exec %s doctor --json %s" %
                      (none, plain, COMMAND, plain)])
        if done.returncode in (0, 1) and done.output:
            t.need(json.loads(done.output)["works"] == "yes", "without the loader's cache: %s", done.output)
        # As on a kernel with Yama.
        kernel = "/proc/sys/kernel"
        script = ("mount -t tmpfs none %s && mkdir %s/yama && echo 2 >%s/yama/ptrace_scope && exec %s doctor --json $PPID" %
                  (kernel, kernel, kernel, COMMAND))
        done = t.run(["unshare", "-m", "sh", "-c", script])
        if "checks" in done.output:
            rows = [c for c in json.loads(done.output)["checks"] if c["check"] == "ptrace"]
            t.need(len(rows) == 1 and rows[0]["status"] == "ok" and "ptrace_scope is 2" in rows[0]["seen"], "Yama: %s", rows)


class Host:
    """A process to look at: a Python program that says `ready` and sleeps."""

    def __init__(self, test, body, env=None, **options):
        source = body + "\nimport sys, time\nprint('ready', flush=True)\ntime.sleep(100)\n"
        self.process = test.start(["/usr/bin/python3", "-c", source], env=env, stdout=subprocess.PIPE, **options)
        test.need(self.process.stdout.readline() == "ready\n", "the host did not start: %s", body)
        self.pid = self.process.pid


FILTER = """
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Program(1, ctypes.cast(code, ctypes.c_void_p).value)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0
"""


BUSY = """
import signal, sys
print('ready', flush=True)
for line in sys.stdin:
    exec(line)
    keep = [bytes(100000) for _ in range(100)]
    print('done', flush=True)
"""


def check_signal_owner(t, doctor, shim):
    """A process that allocates says whose the signal is, again after a change; ps tells of those that it is not ours in."""
    host = Host(t, BUSY, env=dict(shim), stdin=subprocess.PIPE)

    def allocate_after(line):
        host.process.stdin.write(line + "\n")
        host.process.stdin.flush()
        t.need(host.process.stdout.readline() == "done\n", "the host did not go on after: %s", line)

    def after(line, handler, shown):
        # It is asked when it has changed, and only then allocates: the answer is there when it says so.
        allocate_after(line)
        t.heaptap("ps", "--over", "0", host.pid)
        allocate_after("pass")
        rows = json.loads(t.heaptap("ps", "--json", "--over", "0", host.pid).output)["processes"]
        t.need([(r.get("signal"), r.get("signal_handler")) for r in rows] == [("SIGUSR2", handler)], "%s: ps: %s", line, rows)
        text = t.heaptap("ps", "--over", "0", host.pid).output
        lines = [l for l in text.splitlines() if "SIGUSR2" in l]
        t.need(lines == (["SIGUSR2 %s; use 'heaptap snap PID'" % (shown % host.pid)] if shown else []), "%s: ps: %s", line, text)

    after("pass", "profiler", None)
    after("signal.signal(signal.SIGUSR2, lambda *a: None)", "program", "takes no snapshot of %d: the program handles it itself")
    doctor.expect(host.pid, "yes", "signal", "warning", "handles SIGUSR2 itself: it takes no snapshot")
    snapped = t.heaptap("snap", host.pid)
    t.need(snapped.returncode == 0 and "manual.pb.gz" in snapped.output, "snap: %s%s", snapped.output, snapped.errors)
    after("signal.signal(signal.SIGUSR2, signal.SIG_IGN)", "ignored", "takes no snapshot of %d: the program ignores it")
    after("signal.signal(signal.SIGUSR2, signal.SIG_DFL)", "default", "would kill %d: the program took it back")


def check_processes(t, doctor):
    python = clean_environment(PYTHONMALLOC="malloc")
    bare = Host(t, "", env=python)
    answer = doctor.expect(bare.pid, "no", "profiler", "problem", "^not loaded$")
    t.need(answer["works_after_restart"] in ("yes", "partly") and answer["pid"] == bare.pid, "bare: %s", answer)
    doctor.expect(bare.pid, "no", "signal", "ok", "SIGUSR2 is free")
    text = t.heaptap("doctor", bare.pid)
    t.need(re.search(r"\nprofiling will work: no \(profiler\); started anew with 'heaptap run': (yes|partly)\n$", text.output),
           "bare: %s", text.output)
    out = t.new_folder("out")
    shim = t.shim(out, rate="64K", pythonmalloc=0)
    shim.pop("HEAPTAP_PYTHONMALLOC")
    shim["PYTHONMALLOC"] = "malloc"
    grown = "keep = [bytes(100000) for _ in range(100)]"
    host = Host(t, grown, env=shim)
    doctor.expect(host.pid, "yes", "profiler", "ok", "recording, a sample every 64K")
    doctor.expect(host.pid, "yes", "signal", "unknown", "SIGUSR2 is handled, by the profiler unless") # asleep: no answer
    doctor.expect(host.pid, "yes", "output", "ok", re.escape(out))
    t.heaptap("stop", host.pid)
    doctor.expect(host.pid, "yes", "profiler", "warning", "dormant")
    t.heaptap("start", host.pid)
    offset = doctor.compile("offset", '#include "record/region.h"\n#include <stdio.h>\nint main(void) '
                            '{ printf("%zu", offsetof(struct ht_region_header, failed)); return 0; }\n', "-I" + SOURCE + "/src")
    if t.need(offset, "the offset of a word in the region is not known"):
        with open(glob.glob("/dev/shm/heaptap.*.%d.*.live" % host.pid)[0], "r+b") as file:
            file.seek(int(t.run([offset]).output))
            file.write(b"\x01\0\0\0")
        doctor.expect(host.pid, "no", "profiler", "problem", "switched off for good")
    small = Host(t, "", env=dict(shim, HEAPTAP_RATE="65536G"))
    doctor.expect(small.pid, "yes", "profiler", "ok", "nothing that it allocated was sampled yet")
    only = Host(t, grown, env=dict(shim, HEAPTAP_ONLY="redis*"))
    doctor.expect(only.pid, "no", "profiler", "problem", "HEAPTAP_ONLY")
    handled = "import signal\nsignal.signal(signal.SIGUSR2, signal.SIG_%s)"
    ignoring = Host(t, handled % "IGN" + "\n" + grown, env=shim)
    doctor.expect(ignoring.pid, "yes", "signal", "warning", "is ignored by the process")
    default = Host(t, handled % "DFL" + "\n" + grown, env=shim)
    doctor.expect(default.pid, "yes", "signal", "warning", "would kill")
    own = Host(t, "import signal\nsignal.signal(signal.SIGUSR2, lambda *a: None)", env=python)
    doctor.expect(own.pid, "no", "signal", "warning", "handles SIGUSR2 itself")
    check_signal_owner(t, doctor, shim)
    blocking = Host(t, "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])\n" + grown, env=shim)
    doctor.expect(blocking.pid, "yes", "signal", "warning", "is blocked by the process")
    filtered = Host(t, FILTER + grown, env=shim)
    doctor.expect(filtered.pid, "yes", "seccomp", "warning", "a filter that")
    doctor.expect(filtered.pid, "yes", "rights", "ok", "no_new_privs")
    broken = Host(t, "", env=dict(python, LD_PRELOAD="/nonexistent/libheaptap.so"), stderr=subprocess.DEVNULL)
    doctor.expect(broken.pid, "no", "profiler", "problem", "not loaded, though LD_PRELOAD=/nonexistent")
    wrong = Host(t, grown, env=dict(shim, HEAPTAP_RATE="lots", HEAPTAP_LOG="none"))
    doctor.expect(wrong.pid, "yes", "variables", "warning", "HEAPTAP_RATE='lots'")
    jemalloc = glob.glob("/usr/lib/*/libjemalloc.so.2")
    if jemalloc:
        behind = Host(t, grown, env=dict(shim, LD_PRELOAD=SHIM + " " + jemalloc[0]))
        answer = doctor.expect(behind.pid, "yes", "allocator", "ok", "libjemalloc.so.2: malloc and free are seen")
        t.need("libheaptap.so calls" not in json.dumps(answer), "the profiler blames itself: %s", answer)
        before = Host(t, grown, env=dict(shim, LD_PRELOAD=jemalloc[0] + " " + SHIM))
        doctor.expect(before.pid, "no", "preload", "problem", "comes before the profiler")
        doctor.compile("newje", WAITING, jemalloc[0], compiler="g++", suffix=".cc")
        bare = t.start([doctor.path("newje")], env=shim, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        bare.stdout.readline()
        doctor.expect(bare.pid, "partly", "allocator", "warning", "has an operator new that need not pass through malloc")
        companion = SHIM + " " + SHIM.replace(".so", "-jemalloc.so")
        seen = t.start([doctor.path("newje")], env=dict(shim, LD_PRELOAD=companion), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        seen.stdout.readline()
        doctor.expect(seen.pid, "yes", "allocator", "ok", "by libheaptap-jemalloc.so$")
    open_files = Host(t, "import os, resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))\n"
                      "try:\n    while True: os.dup(0)\nexcept OSError: pass", env=shim)
    doctor.expect(open_files.pid, "yes", "limits", "warning", "descriptors are open")


def check_special_processes(t, doctor):
    copy = doctor.path("sleeper")
    shutil.copy("/bin/sleep", copy)
    gone = t.start([copy, "100"], env=t.shim(t.new_folder("out2"), rate=1))
    t.wait_for(lambda: os.readlink("/proc/%d/exe" % gone.pid) == copy, "the copy did not start")
    t.wait_for(lambda: glob.glob("/dev/shm/heaptap.sleeper.%d.*.live" % gone.pid), "the copy records nothing")
    os.unlink(copy)
    doctor.expect(gone.pid, "yes", "replaced", "warning", "sleeper")
    zombie = t.start(["/bin/true"])
    t.wait_for(lambda: " Z " in open("/proc/%d/stat" % zombie.pid).read(), "no zombie")
    done = t.heaptap("doctor", zombie.pid)
    t.need(done.returncode == 1 and "has ended" in done.errors, "a zombie: %s", done.errors)
    if os.geteuid() != 0:
        return
    # Somebody else's process, from a user without rights, and from root.
    bare = t.start(["/bin/sleep", "100"])
    t.wait_for(lambda: "sleep" in os.readlink("/proc/%d/exe" % bare.pid), "sleep did not start")
    answer = doctor.expect(bare.pid, "unknown", "access", "unknown", "may not be read", preexec_fn=as_nobody, cwd="/")
    t.need(row(answer, "format") is None, "guesses about what cannot be read: %s", answer)
    t.need(row(answer, "signal"), "what is open to everybody is not shown: %s", answer)
    setuid = doctor.path("setuid-sleep")
    shutil.copy("/bin/sleep", setuid)
    os.chmod(setuid, 0o4755)
    secure = t.start([setuid, "100"], env=t.shim(t.new_folder("out3")), preexec_fn=as_nobody, cwd="/")
    t.wait_for(lambda: "setuid-sleep" in os.readlink("/proc/%d/exe" % secure.pid), "the copy did not start")
    doctor.expect(secure.pid, "no", "profiler", "problem", "AT_SECURE")
    apart = t.start(["unshare", "-m", "-p", "-f", "--mount-proc", "sh", "-c", "sleep 100 & wait"], stderr=subprocess.DEVNULL)

    def children():
        with open("/proc/%d/task/%d/children" % (apart.pid, apart.pid)) as file:
            return [int(p) for p in file.read().split()]

    def runs_shell(pid):  # its file systems are mounted by then
        return os.path.basename(os.readlink("/proc/%d/exe" % pid)) == os.path.basename(os.path.realpath("/bin/sh"))

    t.wait_for(lambda: apart.poll() is not None or all(runs_shell(p) for p in children() or [apart.pid]),
               "the shell in a namespace did not start")
    inner = children() if apart.poll() is None else []
    if inner:
        doctor.expect(inner[0], "no", "container", "ok", "mnt, pid")
        os.kill(inner[0], signal.SIGKILL)


need_program("gcc")
with Test("doctor") as test:
    os.chdir(test.folder)  # where profiles would go
    programs = Doctor(test)
    check_usage(test)
    check_kinds(test, programs)
    check_scripts(test, programs)
    check_allocators(test, programs)
    check_runtimes(test, programs)
    check_tables(test, programs)
    check_rights(test, programs)
    check_variables(test, programs)
    check_system(test, programs)
    check_processes(test, programs)
    check_special_processes(test, programs)
