"""heaptap symbolize: against addr2line address by address, and every place where names can come from.

HT_SYMBOLS_STEP=N looks at every N-th byte of code (the target `symbols` at every byte; by default enough for a short test).
"""
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import symbols  # noqa: E402
from e2e import COMMAND, Test, clean_environment, need_program  # noqa: E402

STEP = int(os.environ.get("HT_SYMBOLS_STEP", "0"))
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "symbols_program.cpp")
# Three frames at one address: inner in middle in outer.
C_SOURCE = """
#include <stdlib.h>
#include <unistd.h>
static inline __attribute__((always_inline)) void *inner(int n) { return malloc(n + 4096); }
static inline __attribute__((always_inline)) void *middle(int n) { return inner(n + 1); }
__attribute__((noinline)) void *outer(int n) { void *p = middle(n); __asm__ volatile("" :: "r"(p)); return p; }
int main(int n, char **v) { (void)v; for (int i = 0; i < 2000; i++) outer(n); if (n > 1) sleep(1000); return 0; }
"""


class Case:
    """One program with a profile of all the code of a function, in a folder of its own."""

    def __init__(self, t, name, *flags):
        self.t, self.folder = t, t.new_folder(name)
        self.source = os.path.join(self.folder, "case.c")
        with open(self.source, "w") as file:
            file.write(C_SOURCE)
        self.binary = os.path.join(self.folder, "case")
        self.cache = os.path.join(self.folder, "cache")
        subprocess.run(["gcc", "-O1", "-g", "-Wl,--build-id", *flags, self.source, "-o", self.binary], check=True, cwd=self.folder)
        self.look()

    def look(self):
        elf = symbols.Elf(self.binary)
        row = next(r for r in symbols.Symbols(elf).rows if r[2] == "outer")
        self.addresses, self.code, self.build_id = list(range(row[0], row[1])), elf.code(), elf.build_id()
        code = subprocess.run(["objdump", "-d", "--disassemble=outer", self.binary], stdout=subprocess.PIPE, check=True, text=True)
        self.call = next(int(line.split(":")[0], 16) for line in code.stdout.split("\n") if "call" in line and "malloc" in line)

    def environment(self, **extra):
        return clean_environment(XDG_CACHE_HOME=self.cache, HOME=self.folder, **extra)

    def symbolize(self, *options, file=None, build_id=None, env=None, timeout=240):
        """Answers by address, the summary, and what was said."""
        before, after = os.path.join(self.folder, "in.pb.gz"), os.path.join(self.folder, "out.pb.gz")
        symbols.write_profile(before, file or self.binary, self.addresses, self.code,
                              self.build_id if build_id is None else build_id, bias=0x7f0000000000)
        done = self.t.run([COMMAND, "symbolize", "--json", *options, before, "-o", after], env=env or self.environment(),
                          timeout=timeout)
        if not self.t.need(done.returncode == 0, "symbolize %s: %d %s", options, done.returncode, done.errors):
            return {}, {}, done.errors
        answers = {a - 0x7f0000000000: f for a, f in symbols.read_profile(after).items()}
        return answers, json.loads(done.output), done.errors

    def need_chain(self, title, answers, depth=3):
        names = [frame[1] for frame in answers.get(self.call, [])]
        self.t.need(names == ["inner", "middle", "outer"][3 - depth:], "%s: %s at the call", title, names)
        if depth == 3 and len(names) == 3:
            lines = [frame[3] for frame in answers[self.call]]
            self.t.need(lines == [4, 5, 6] and answers[self.call][0][2].endswith("case.c"), "%s: %s", title, answers[self.call])


def check_agreement(t):
    """Inlined frames, lines and files of addr2line -i -f, at addresses all over the code of three programs."""
    cxx = t.path("symbols_program")
    subprocess.run(["g++", "-O2", "-g", "-std=c++17", PROGRAM, "-o", cxx, "-pthread"], check=True)
    libc = "/lib/x86_64-linux-gnu/libc.so.6"
    places = [(COMMAND, None, 48), (cxx, None, 12)]
    if os.path.exists(libc):
        build_id = symbols.Elf(libc).build_id()
        debug = "/usr/lib/debug/.build-id/%s/%s.debug" % (build_id[:2], build_id[2:])
        if os.path.exists(debug):
            places.append((libc, debug, 192))
    for binary, debug, step in places:
        start, size = symbols.Elf(binary).text()
        addresses = list(range(start, start + size, STEP or step))
        equal, bad = symbols.compare(COMMAND, binary, addresses, t.folder, debug)
        print("symbols: %s: %d addresses, %d to the letter as addr2line" % (os.path.basename(binary), len(addresses), equal))
        t.need(not bad, "%s: %d addresses differ, first %s", binary, len(bad), bad[:1])
        # Without debug info the two choose differently among symbols of one place.
        has_lines = debug or ".debug_line" in symbols.Elf(binary).sections
        t.need(equal > len(addresses) / (2 if has_lines else 10), "%s: only %d of %d are equal to the letter", binary, equal, len(addresses))
    t.need(len(places) == 3 or not STEP, "libc6-dbg is not installed")


def check_places(t):
    """Where debug info can be."""
    plain = Case(t, "plain")
    answers, summary, _ = plain.symbolize()
    plain.need_chain("in the file", answers)
    t.need(summary["named"] == summary["locations"] == len(plain.addresses), "summary %s", summary)
    t.need(summary["modules"][0]["names_from"] == "debug_info", "summary %s", summary)

    link = Case(t, "link", "-Wl,--build-id=none")
    debug = os.path.join(link.folder, "case.debug")
    subprocess.run(["objcopy", "--only-keep-debug", link.binary, debug], check=True)
    subprocess.run(["objcopy", "-g", "--strip-all", "--add-gnu-debuglink=" + debug, link.binary], check=True, cwd=link.folder)
    link.need_chain("debug link", link.symbolize()[0])
    os.rename(debug, debug + ".away")
    answers, summary, _ = link.symbolize()
    t.need(not any("outer" in str(frames) for frames in answers.values()), "stripped, but %s", answers[link.call])
    with open(debug + ".away", "rb") as good, open(debug, "wb") as bad:  # the same but for its last byte
        content = good.read()
        bad.write(content + b"x")
    answers, summary, _ = link.symbolize()
    t.need(not any("outer" in str(frames) for frames in answers.values()), "a debug link of another sum: %s", answers[link.call])

    by_id = Case(t, "by_id")
    folder = os.path.join(by_id.folder, "debug", ".build-id", by_id.build_id[:2])
    os.makedirs(folder)
    separate = os.path.join(folder, by_id.build_id[2:] + ".debug")
    subprocess.run(["objcopy", "--only-keep-debug", by_id.binary, separate], check=True)
    subprocess.run(["strip", by_id.binary], check=True)
    by_id.need_chain("build id folder", by_id.symbolize("--debug-dir", os.path.join(by_id.folder, "debug"))[0])
    by_id.need_chain("nowhere, but cached", by_id.symbolize()[0])
    answers, summary, _ = by_id.symbolize("--no-cache")
    t.need(summary["modules"][0]["names_from"] == "symbols", "no debug folder: %s", summary)
    os.remove(by_id.binary)
    answers, summary, _ = by_id.symbolize("--no-cache", "--debug-dir", os.path.join(by_id.folder, "debug"))
    by_id.need_chain("the program is gone", answers)

    table = Case(t, "table")
    subprocess.run(["strip", "-g", table.binary], check=True)
    table.need_chain("symbol table alone", table.symbolize()[0], depth=1)
    exported = Case(t, "exported", "-rdynamic")
    subprocess.run(["strip", exported.binary], check=True)
    exported.need_chain("dynamic symbols alone", exported.symbolize()[0], depth=1)

    mini = Case(t, "mini")
    inside = os.path.join(mini.folder, "mini")
    subprocess.run(["objcopy", "-S", "--remove-section=.comment", "--keep-symbol=outer", mini.binary, inside], check=True)
    subprocess.run(["xz", "-f", inside], check=True)
    subprocess.run(["strip", mini.binary], check=True)
    subprocess.run(["objcopy", "--add-section=.gnu_debugdata=" + inside + ".xz", mini.binary], check=True)
    mini.need_chain("mini debug info", mini.symbolize()[0], depth=1)

    split = Case(t, "split", "-gsplit-dwarf")
    split.need_chain("split DWARF", split.symbolize("--no-cache")[0])
    for name in os.listdir(split.folder):
        if name.endswith(".dwo"):
            os.remove(os.path.join(split.folder, name))
    answers, _, _ = split.symbolize()
    split.need_chain("split DWARF without its other half", answers, depth=1)
    t.need(answers[split.call] and answers[split.call][0][3] == 0, "the inlined call's line without .dwo: %s", answers[split.call])
    t.need(not os.path.exists(os.path.join(split.cache, "heaptap", "symbols", split.build_id)), "half answers were cached")

    for version in ("-gdwarf-4", "-gdwarf-5"):
        case = Case(t, "dwarf" + version, version, "-ffunction-sections")
        case.need_chain(version, case.symbolize()[0])
    if shutil.which("clang"):
        case = Case(t, "clang")
        subprocess.run(["clang", "-O1", "-g", "-Wl,--build-id", case.source, "-o", case.binary], check=True)
        case.look()
        case.need_chain("clang", case.symbolize()[0])
    check_alternate(t)


def share(case, name, *flags):
    """What dwz moves out of the program and another one into a file of this name; None: not with this dwz."""
    other, alternate = os.path.join(case.folder, "other"), os.path.join(case.folder, name)
    subprocess.run(["gcc", "-O1", "-g", "-DOTHER", *flags, case.source, "-o", other], check=True, cwd=case.folder)
    done = subprocess.run(["dwz", "-m", alternate, "-r", case.binary, other], stderr=subprocess.PIPE)
    return alternate if done.returncode == 0 and os.path.exists(alternate) else None


def check_alternate(t):
    """The other half of debug info that dwz made: at its name, in a build id folder, on a server, and never a wrong one."""
    if not shutil.which("dwz"):
        print("symbols: dwz is not installed")
        return
    case = Case(t, "shared")
    alternate = share(case, "alternate.dwz")
    if not t.need(alternate is not None, "dwz made no alternate file"):
        return
    build_id = symbols.Elf(alternate).build_id()
    case.need_chain("dwz", case.symbolize("--no-cache")[0])
    folder = os.path.join(case.folder, "debug", ".build-id", build_id[:2])
    os.makedirs(folder)
    moved = os.path.join(folder, build_id[2:] + ".debug")
    os.rename(alternate, moved)
    case.need_chain("dwz, build id folder", case.symbolize("--no-cache", "--debug-dir", os.path.join(case.folder, "debug"))[0])
    case.symbolize()
    t.need(not os.path.exists(os.path.join(case.cache, "heaptap", "symbols", case.build_id)), "half answers were cached")
    with open(moved, "rb") as file:
        server = Server("serves", file.read())
    environment = case.environment(DEBUGINFOD_URLS=server.url, DEBUGINFOD_CACHE_PATH=os.path.join(case.folder, "served"))
    answers, _, errors = case.symbolize("--no-cache", "--debuginfod", env=environment)
    if server.asked or "libdebuginfod is not installed" not in errors:
        case.need_chain("dwz, debuginfod", answers)
        t.need(any(build_id in path for path in server.asked), "asked %s", server.asked)
    strange = Case(t, "strange")
    with open(strange.source, "a") as file:
        file.write("struct strange { struct strange *next; int inner_strange, outer_strange; } kept;\n")
    subprocess.run(["gcc", "-O1", "-g", strange.source, "-o", strange.binary], check=True, cwd=strange.folder)
    wrong = share(strange, "wrong.dwz")
    if t.need(wrong and symbols.Elf(wrong).build_id() != build_id, "no wrong alternate file"):
        shutil.copy(wrong, alternate)
        answers, summary, _ = case.symbolize("--no-cache")
        case.need_chain("dwz, another alternate", answers, depth=1)
        t.need(summary["modules"][0]["names_from"] == "symbols", "another alternate was used: %s", summary)
        case.need_chain("dwz, another alternate at the name, the right one in the folder",
                        case.symbolize("--no-cache", "--debug-dir", os.path.join(case.folder, "debug"))[0])


def check_refusals(t):
    """Another file of the same name is never used, by whatever name it comes."""
    case = Case(t, "changed")
    wrong = "00112233445566778899aabbccddeeff00112233"
    answers, summary, errors = case.symbolize(build_id=wrong)
    t.need(not any(answers.values()), "names of another file: %s", answers)
    t.need("not the file that was profiled" in errors and summary["modules"][0]["names_from"] == "changed",
           "no warning: %s %s", errors, summary)
    answers, summary, errors = case.symbolize(file="/nowhere/case")
    t.need(summary["modules"][0]["names_from"] == "missing" and "case" in errors, "missing: %s %s", summary, errors)
    fifo = os.path.join(case.folder, "fifo")
    os.mkfifo(fifo)
    answers, summary, errors = case.symbolize(file=fifo, timeout=240)
    t.need(not any(answers.values()), "a fifo in the file's place: %s", answers)
    for arguments, text in ((["in"], "-o OUT"), ([], "name one"), (["a", "b", "-o", "c"], "name one"),
                            (["a", "-o", "-", "--json"], "standard output"), (["a", "-o", "b", "--demangle=x"], "--demangle is")):
        done = t.heaptap("symbolize", *arguments)
        t.need(done.returncode == 2 and text in done.errors, "%s: %d %s", arguments, done.returncode, done.errors)
    done = t.heaptap("symbolize", "/nowhere/x.pb.gz", "-o", t.path("never.pb.gz"))
    t.need(done.returncode == 1 and not os.path.exists(t.path("never.pb.gz")), "missing input: %s", done.errors)
    case.symbolize()
    done = t.heaptap("symbolize", os.path.join(case.folder, "in.pb.gz"), "-o", "/nowhere/at/all.pb.gz")
    t.need(done.returncode == 1 and "/nowhere/at/all.pb.gz" in done.errors, "no folder: %d %s", done.returncode, done.errors)
    left = [name for name in os.listdir(case.folder) if name.endswith(".tmp")]
    t.need(not left, "left behind: %s", left)


def check_cache(t):
    """The second run reads no debug info; whatever lies in the cache, answers are right."""
    case = Case(t, "cached")
    first, _, _ = case.symbolize()
    path = os.path.join(case.cache, "heaptap", "symbols", case.build_id)
    if not t.need(os.path.exists(path), "no cache file"):
        return
    t.need(os.stat(path).st_mode & 0o77 == 0, "others can read the cache")
    second, summary, _ = case.symbolize()
    t.need(second == first and summary["modules"][0]["names_from"] == "cached", "the cache says something else: %s", summary)
    with open(path, "rb") as file:
        whole = file.read()
    for title, content in (("empty", b""), ("cut", whole[:-7]), ("longer", whole + b"x"), ("noise", os.urandom(5000)),
                           ("one bit", whole[:300] + bytes([whole[300] ^ 4]) + whole[301:]), ("zeros", bytes(len(whole)))):
        with open(path, "wb") as file:
            file.write(content)
        answers, summary, _ = case.symbolize()
        t.need(answers == first and summary["modules"][0]["names_from"] == "debug_info", "%s: %s", title, summary)
        with open(path, "rb") as file:
            t.need(file.read() == whole, "%s: the file was not written anew", title)
    os.remove(path)
    os.mkdir(path)
    t.need(case.symbolize()[0] == first, "a folder in the cache's place")
    os.rmdir(path)
    case.symbolize("--no-cache")
    t.need(not os.path.exists(path), "--no-cache wrote the cache")
    t.need(case.symbolize(env=clean_environment(HOME="/nowhere", XDG_CACHE_HOME="/proc/nowhere"))[0] == first, "no place for a cache")
    homeless = t.path("no_such_home")
    t.need(case.symbolize(env=clean_environment(HOME=homeless))[0] == first, "no home")
    t.need(not os.path.exists(homeless), "a home was made")
    check_cache_bounds(t, case, path, first)
    # Many at once, each with its own addresses: no torn file, and in the end most is there.
    inputs, runs = [], []
    for i in range(8):
        inputs.append(os.path.join(case.folder, "part%d.pb.gz" % i))
        symbols.write_profile(inputs[-1], case.binary, case.addresses[i::8], case.code, case.build_id)
    for _ in range(2):
        runs = [t.start([COMMAND, "symbolize", name, "-o", name + ".out"], env=case.environment()) for name in inputs]
        t.need(all(run.wait(240) == 0 for run in runs), "runs side by side failed")
    for i, name in enumerate(inputs):
        answers = symbols.read_profile(name + ".out")
        t.need(all(answers[a] == first[a] for a in case.addresses[i::8]), "side by side: other answers")
    answers, _, _ = case.symbolize(build_id="../../../../etc/passwd")
    t.need(not any(answers.values()), "a build id that is a path: %s", answers)


def check_cache_bounds(t, case, path, first):
    """The folder stays below 512 MB, the oldest files go; what is not the cache's stays. A full disk leaves nothing."""
    folder = os.path.dirname(path)
    olds = [os.path.join(folder, "%02d" % i * 20) for i in range(7)]
    others = [os.path.join(folder, name) for name in ("README", "ab" * 20 + ".txt", "ab" * 20 + ".tmp.7")]
    for i, name in enumerate(olds + others):
        with open(name, "wb") as file:
            file.truncate(100 << 20)  # sparse
        os.utime(name, (1000000000 + i, 1000000000 + i))
    if os.path.exists(path):
        os.remove(path)
    case.symbolize()
    left = [os.path.exists(name) for name in olds]
    t.need(left == [False] * 2 + [True] * 5 and os.path.exists(path), "bounds: %s left", left)
    t.need([os.path.exists(name) for name in others] == [True, True, False], "not the cache's own: %s", os.listdir(folder))
    for name in olds[2:] + others[:2]:
        os.remove(name)
    full = t.new_folder("full")
    script = ("mount -t tmpfs -o size=64k none '%s' && mkdir -p '%s/heaptap/symbols' && head -c 1M /dev/zero >'%s/rest' 2>/dev/null; "
              "'%s' symbolize '%s/in.pb.gz' -o '%s/full.pb.gz' && ls '%s/heaptap/symbols' | wc -l")
    script %= (full, full, full, COMMAND, case.folder, case.folder, full)
    done = t.run(["unshare", "-m", "sh", "-c", script], env=clean_environment(HOME=case.folder, XDG_CACHE_HOME=full))
    if done.returncode and "mount" in done.errors + done.output or "unshare" in done.errors:
        print("symbols: no mount allowed: the full disk was not tried")
        return
    answers = symbols.read_profile(os.path.join(case.folder, "full.pb.gz"))
    t.need({a - 0x7f0000000000: f for a, f in answers.items()} == first, "full disk: other answers")
    t.need(done.output.split() == ["0"] and not done.errors, "full disk: %s left; %s", done.output, done.errors)


class Server(threading.Thread):
    """A debuginfod server: serves one file, says 404, or says nothing at all."""

    def __init__(self, kind, content=b""):
        super().__init__(daemon=True)
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                if kind == "hangs":
                    time.sleep(30)
                elif kind == "drips":
                    self.send_response(200)
                    self.send_header("Content-Length", "100000000")
                    self.end_headers()
                    for _ in range(300):
                        self.wfile.write(b"x")
                        time.sleep(0.1)
                elif kind == "serves" and self.path.endswith("/debuginfo"):
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                else:
                    self.send_error(404)

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.start()

    def run(self):
        self.server.serve_forever(0.05)


def check_debuginfod(t):
    """Servers are asked only when told to, and never for long."""
    case = Case(t, "served")
    debug = os.path.join(case.folder, "served.debug")
    subprocess.run(["objcopy", "--only-keep-debug", case.binary, debug], check=True)
    subprocess.run(["strip", case.binary], check=True)
    with open(debug, "rb") as file:
        server = Server("serves", file.read())
    os.remove(debug)
    servers = {"serves": server, "404": Server("404"), "hangs": Server("hangs"), "drips": Server("drips")}

    def environment(kind):
        return case.environment(DEBUGINFOD_URLS=servers[kind].url, DEBUGINFOD_CACHE_PATH=os.path.join(case.folder, "dbg-" + kind))

    answers, _, _ = case.symbolize(env=environment("serves"))
    t.need(not server.asked and not any("inner" in str(f) for f in answers.values()), "asked without being told: %s", server.asked)
    answers, summary, errors = case.symbolize("--debuginfod", env=environment("serves"))
    if not server.asked and "libdebuginfod is not installed" in errors:
        print("symbols: libdebuginfod is not installed; servers were not tried")
        return
    case.need_chain("debuginfod", answers)
    t.need(any(case.build_id in path for path in server.asked), "asked %s", server.asked)
    shutil.rmtree(os.path.join(case.folder, "dbg-serves"))
    answers, _, _ = case.symbolize("--debuginfod", "--no-cache", file="/nowhere/case", env=environment("serves"))
    case.need_chain("debuginfod, without the program", answers)
    for kind, limit in (("404", 25), ("hangs", 25), ("drips", 25)):
        begun = time.monotonic()
        answers, _, errors = case.symbolize("--debuginfod", "--no-cache", "--debuginfod-timeout", "2s", env=environment(kind))
        spent = time.monotonic() - begun
        t.need(servers[kind].asked, "%s: nobody asked", kind)
        t.need(spent < limit and not any("inner" in str(f) for f in answers.values()), "%s: %.1f s", kind, spent)
    _, _, errors = case.symbolize("--debuginfod", env=case.environment(DEBUGINFOD_URLS=""))
    t.need("DEBUGINFOD_URLS" in errors, "no server is named: %s", errors)


def read_one(t, folder):
    files = t.files(folder)
    return symbols.read_profile(files[-1]) if files else {}


def check_processes(t):
    """Through living processes: deleted and replaced programs, code made at run time, the vdso."""
    case = Case(t, "living")
    out = t.new_folder("living-out")
    host = t.start([case.binary, "stay"], env=t.shim(out, rate=1, signal="none"), stdout=subprocess.DEVNULL)
    t.wait_for(lambda: t.heaptap("snap", host.pid, "-o", out).returncode == 0 and read_one(t, out), "no snapshot")
    shutil.copy(case.binary, case.binary + ".kept")
    os.remove(case.binary)
    shutil.copy("/bin/true", case.binary)
    done = t.run([COMMAND, "symbolize", t.files(out)[-1], "-o", t.path("living.pb.gz")], env=case.environment())
    named = str(symbols.read_profile(t.path("living.pb.gz")))
    t.need("'inner'" in named and "'outer'" in named and "case.c" in named, "replaced while it runs: %s", done.errors)
    host.kill()
    host.wait()
    done = t.run([COMMAND, "symbolize", "--no-cache", t.files(out)[-1], "-o", t.path("dead.pb.gz")], env=case.environment())
    t.need("'outer'" not in str(symbols.read_profile(t.path("dead.pb.gz"))) and "not the file" in done.errors,
           "replaced, and dead: %s", done.errors)

    check_container(t)
    check_vdso(t)
    map_path = "/tmp/perf-%d.map" % host.pid
    profile = symbols.profile_writer.Profile()
    profile.sample_type("inuse_space", "bytes")
    for address in (0x1000, 0x10ff, 0x1100, 0x2004):
        profile.sample([profile.location(0, address)], [1])
    profile.header(period=("space", "bytes", 1), comments=["# heaptap: pid=%d" % host.pid])
    with open(t.path("jit.pb.gz"), "wb") as file:
        file.write(profile.bytes())
    with open(map_path, "w") as file:
        file.write("1000 100 first\nnonsense\nzz 3 x\n2000 10 LazyCompile:*<anonymous> /a.js:3\n1000 80 second one\nffffffffffffffff 9 over\n1\n")
    done = t.run([COMMAND, "symbolize", "--json", t.path("jit.pb.gz"), "-o", t.path("jit.out")])
    answers = symbols.read_profile(t.path("jit.out"))
    names = [[f[0] for f in answers[a]] for a in (0x1000, 0x10ff, 0x1100, 0x2004)]
    t.need(names == [["second one"], ["first"], [], ["LazyCompile:*<anonymous> /a.js:3"]], "perf map: %s %s", names, done.errors)
    t.need(json.loads(done.output)["jit_named"] == 3, "summary %s", done.output)
    os.chown(map_path, 65534, 65534) if os.geteuid() == 0 else None
    os.remove(map_path)
    os.symlink(t.path("jit.pb.gz"), map_path)
    t.run([COMMAND, "symbolize", t.path("jit.pb.gz"), "-o", t.path("jit.out")])
    t.need(not any(symbols.read_profile(t.path("jit.out")).values()), "a link in /tmp was followed")
    os.remove(map_path)

    node = shutil.which("node")
    if node:
        out = t.new_folder("node-out")
        script = t.path("jit.js")
        with open(script, "w") as file:
            file.write("const zlib = require('zlib');\nfunction hotFunction(b) { return zlib.deflateSync(b); }\n"
                       "let n = 0; for (let i = 0; i < 3000; i++) n += hotFunction(Buffer.alloc(2000, i)).length;\nconsole.log(n);\n")
        done = t.run([COMMAND, "run", "-o", out, "--rate", "16K", "--only", "node", "--", node, "--perf-basic-prof", script],
                     env=case.environment(), cwd=t.folder)
        t.need("hotFunction" in str(read_one(t, out)), "node: %s", done.errors)
        for name in os.listdir("/tmp"):
            if name.startswith("perf-") and name.endswith(".map") and os.path.getmtime("/tmp/" + name) > time.time() - 120 and \
                    int(name[5:-4]) in {int(os.path.basename(f).split(".")[2]) for f in t.files(out)}:
                os.remove("/tmp/" + name)


def check_container(t):
    """A program at a path that exists only where it runs: through its /proc/PID while it lives, then by build id."""
    case = Case(t, "container")
    out, inside = t.new_folder("container-out"), t.new_folder("inside")
    script = "mount -t tmpfs none '%s' && cp '%s' '%s/case' && exec '%s/case' stay" % (inside, case.binary, inside, inside)
    host = t.start(["unshare", "-m", "sh", "-c", script], env=t.shim(out, rate=1, signal="none", only="case"),
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.wait_for(lambda: host.poll() is not None or t.heaptap("snap", host.pid, "-o", out).returncode == 0 and read_one(t, out),
               "no snapshot")
    if host.poll() is not None:
        print("symbols: no mount allowed: the program in a container was not tried")
        return
    profile = t.files(out)[-1]
    t.need(not os.path.exists(inside + "/case"), "the mount is seen here")
    done = t.run([COMMAND, "symbolize", "--no-cache", profile, "-o", t.path("container.pb.gz")], env=case.environment())
    chains = [[f[1] for f in frames] for frames in symbols.read_profile(t.path("container.pb.gz")).values()]
    t.need(["inner", "middle", "outer"] in chains, "container, alive: %s", done.errors)
    host.kill()
    host.wait()
    done = t.run([COMMAND, "symbolize", "--no-cache", profile, "-o", t.path("container.pb.gz")], env=case.environment())
    t.need("'outer'" not in str(symbols.read_profile(t.path("container.pb.gz"))) and "case" in done.errors,
           "container, dead: %s", done.errors)
    folder = os.path.join(case.folder, "debug", ".build-id", case.build_id[:2])
    os.makedirs(folder)
    subprocess.run(["objcopy", "--only-keep-debug", case.binary, os.path.join(folder, case.build_id[2:] + ".debug")], check=True)
    t.run([COMMAND, "symbolize", "--no-cache", "--debug-dir", os.path.join(case.folder, "debug"), profile, "-o",
           t.path("container.pb.gz")], env=case.environment())
    chains = [[f[1] for f in frames] for frames in symbols.read_profile(t.path("container.pb.gz")).values()]
    t.need(["inner", "middle", "outer"] in chains, "container, by build id: %s", chains)
    root = t.new_folder("root")
    os.makedirs(root + inside)
    shutil.copy(case.binary, root + inside)
    t.run([COMMAND, "symbolize", "--no-cache", "--root", root, profile, "-o", t.path("container.pb.gz")], env=case.environment())
    chains = [[f[1] for f in frames] for frames in symbols.read_profile(t.path("container.pb.gz")).values()]
    t.need(["inner", "middle", "outer"] in chains, "container, its root: %s", chains)


def check_vdso(t):
    """The kernel's own code in every process: this kernel's by its build id, no other's."""
    with open("/proc/self/maps") as maps:
        row = next((line.split()[0] for line in maps if line.endswith("[vdso]\n")), None)
    if row is None:
        return
    start, end = (int(word, 16) for word in row.split("-"))
    with open("/proc/self/mem", "rb") as memory, open(t.path("vdso.so"), "wb") as file:
        memory.seek(start)
        file.write(memory.read(end - start))
    elf = symbols.Elf(t.path("vdso.so"))
    build_id = elf.section(".note")[elf.section(".note").index(b"GNU\0", 20) + 4:].hex()[:40] if ".note" in elf.sections else ""
    found = subprocess.run(["readelf", "-nW", t.path("vdso.so")], stdout=subprocess.PIPE, text=True).stdout
    build_id = next((line.split()[-1] for line in found.split("\n") if "Build ID:" in line), build_id)
    where = next(r for r in symbols.Symbols(elf).rows if r[2].endswith("clock_gettime"))
    for known, given in ((True, build_id), (False, "00" * 20), (False, "")):
        symbols.write_profile(t.path("vdso.pb.gz"), "[vdso]", [where[0] + 1], (0, end - start, 0), given, bias=0x7fff00000000)
        t.run([COMMAND, "symbolize", "--no-cache", t.path("vdso.pb.gz"), "-o", t.path("vdso.out")])
        frames = list(symbols.read_profile(t.path("vdso.out")).values())[0]
        t.need([f[1].strip("_") for f in frames] in (["vdso_clock_gettime"], ["clock_gettime"]) if known else not frames,
               "vdso, build id %s: %s", given, frames)


# Preloaded into `heaptap run`: debug info takes for ever, and HT_SPEED clock seconds pass in each one.
SLOW_SOURCE = """
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int socketpair(int domain, int type, int protocol, int ends[2]) { (void)domain, (void)type, (void)protocol, (void)ends; for (;;) pause(); }
int clock_gettime(clockid_t clock, struct timespec *time)
{
    const char *speed = getenv("HT_SPEED");
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    long long ns = (time->tv_sec * 1000000000LL + time->tv_nsec) * (clock == CLOCK_MONOTONIC && speed ? atoi(speed) : 1);
    time->tv_sec = ns / 1000000000LL;
    time->tv_nsec = ns % 1000000000LL;
    return result;
}
"""


def check_slow_run(t):
    """Names that take long: said after 3 seconds, left out after 60 or at Ctrl-C; the profile is whole, the status the program's."""
    case = Case(t, "slow")
    with open(t.path("slow.c"), "w") as file:
        file.write(SLOW_SOURCE)
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", t.path("slow.c"), "-o", t.path("slow.so")], check=True)
    for title, speed, said, interrupt in (("minute", 30, "takes too long", False), ("Ctrl-C", 6, "interrupted", True)):
        out = t.new_folder("slow-" + title)
        begun = time.monotonic()
        with open(t.path("slow.log"), "w+") as log:
            host = t.start([COMMAND, "run", "-o", out, "--rate", "1", "--", "sh", "-c", "'%s'; exit 7" % case.binary], stderr=log,
                           env=case.environment(LD_PRELOAD=t.path("slow.so"), HT_SPEED=str(speed)))
            if interrupt:
                t.wait_for(lambda: "finding the names" in open(log.name).read(), "nothing is said")
                t.need(host.poll() is None, "it did not wait")
                host.send_signal(signal.SIGINT)
            status = host.wait(240)
            log.seek(0)
            errors = log.read()
        t.need(status == 7 and said in errors and errors.count("finding the names") == 1, "%s: status %d, %s", title, status, errors)
        t.need(time.monotonic() - begun < 50, "%s: took %.1f s", title, time.monotonic() - begun)
        files = t.files(out)
        t.need(len(files) > 0 and sorted(os.listdir(out)) == sorted(os.path.basename(f) for f in files), "left: %s", os.listdir(out))
        for name in files:
            t.profile(name)
            t.need(not any(symbols.read_profile(name).values()), "%s: names from nowhere", title)


RUST_SOURCE = """
use std::collections::HashMap;
pub trait Area { fn area(&self) -> f64; }
pub struct Square<T> { side: T }
impl<T: Copy + Into<f64>> Area for Square<T> {
    #[inline(never)] fn area(&self) -> f64 { let s: f64 = self.side.into(); s * s }
}
#[inline(never)] pub fn keep<F: Fn(u32) -> u32>(f: F, n: u32) -> Vec<u32> { (0..n).map(|x| f(x)).collect() }
mod deep { #[inline(never)] pub fn table(n: u32) -> super::HashMap<u32, String> { (0..n).map(|i| (i, i.to_string())).collect() } }
fn main() {
    let n = std::env::args().count() as u32;
    let shape: Box<dyn Area> = Box::new(Square { side: n as f32 });
    println!("{} {} {}", shape.area(), keep(move |x| x + n, 9).len(), deep::table(n).len());
}
"""


def check_languages(t):
    """Readable names of what rustc (both manglings) and g++ really write: nothing mangled is left, and each is as c++filt's."""
    programs = [(["g++", "-O1", "-g", "-std=c++17", PROGRAM, "-pthread"], ("(anonymous namespace)::Leaf::go", "std::vector::", "main"))]
    if shutil.which("rustc"):
        with open(t.path("demo.rs"), "w") as file:
            file.write(RUST_SOURCE)
        programs += [(["rustc", "-g", "-O", "-C", "symbol-mangling-version=" + kind, *extra, t.path("demo.rs")],
                      ("::area", "demo::keep", "demo::deep::table", "demo::main"))
                     for kind, extra in (("legacy", ["-Z", "unstable-options"]), ("v0", []))]
    for words, wanted in programs:
        binary = t.path("language")
        done = subprocess.run(words + ["-o", binary], stderr=subprocess.PIPE, text=True,
                              env=dict(os.environ, RUSTC_BOOTSTRAP="1") if words[0] == "rustc" else None)
        if done.returncode:
            print("symbols: %s: %s" % (words[:5], done.stderr.split("\n")[0]))
            continue
        elf = symbols.Elf(binary)
        rows = [row for row in symbols.Symbols(elf).rows if row[1] > row[0]]
        rows = rows[:: max(1, len(rows) // 1500)] + [row for row in rows if "4demo" in row[2] or "Ring" in row[2] or "Leaf" in row[2]]
        symbols.write_profile(t.path("language.pb.gz"), binary, sorted({row[0] + 1 for row in rows}), elf.code(), elf.build_id())
        for mode in ("simple", "full"):
            t.run([COMMAND, "symbolize", "--no-cache", "--demangle=" + mode, t.path("language.pb.gz"), "-o", t.path("language.out")])
            frames = {(f[0], f[1]) for fs in symbols.read_profile(t.path("language.out")).values() for f in fs}
            mangled = sorted(f for f in frames if f[0].startswith(("_Z", "_R")))
            t.need(len(frames) > 200 and not mangled, "%s %s: %d names, still mangled %s", words[:6], mode, len(frames), mangled[:3])
            names = " ".join(name for name, _ in frames)
            missing = [name for name in wanted if name not in names] if mode == "simple" else []
            t.need(not missing, "%s: %s missing", words[:6], missing)
            t.need(words[0] != "rustc" or not any(f[1].startswith("_ZN") and f[0][-19:-16] == "::h" for f in frames), "a hash is left")
        if words[0] == "g++":
            pairs = sorted(f for f in frames if f[1].startswith("_Z"))
            filtered = subprocess.run(["c++filt"], input="\n".join(f[1] for f in pairs), stdout=subprocess.PIPE, text=True).stdout
            differ = [(f, line) for f, line in zip(pairs, filtered.split("\n")) if f[0] != line]
            t.need(not differ, "not as c++filt: %s", differ[:2])


def check_run(t):
    """heaptap run leaves profiles with names behind, of its own processes only, and hurries."""
    case = Case(t, "run")
    out = t.new_folder("run-out")
    done = t.run([COMMAND, "run", "-o", out, "--rate", "1", "--", case.binary], env=case.environment())
    files = t.files(out)
    t.need(done.returncode == 0 and len(files) == 1, "run: %d %s", done.returncode, done.errors)
    t.profile(files[0])
    named = symbols.read_profile(files[0])
    chains = [[f[1] for f in frames] for frames in named.values()]
    t.need(["inner", "middle", "outer"] in chains, "no chain in %s", chains)
    t.need([name for name in os.listdir(out)] == [os.path.basename(files[0])], "left behind: %s", os.listdir(out))
    t.need("run=" in str(t.profile(files[0]).comments), "the profile does not know its run")
    stranger = os.path.join(out, "heaptap.other.1.0000.exit.pb.gz")
    symbols.write_profile(stranger, case.binary, case.addresses, case.code, case.build_id)
    os.utime(stranger, (time.time() + 100, time.time() + 100))
    with open(stranger, "rb") as file:
        before = file.read()
    t.run([COMMAND, "run", "-o", out, "--rate", "1", "--no-symbolize", "--", case.binary], env=case.environment())
    bare = [f for f in t.files(out) if f not in (files[0], stranger)]
    t.need(len(bare) == 1 and not any(symbols.read_profile(bare[0]).values()), "--no-symbolize: %s", bare)
    t.run([COMMAND, "run", "-o", out, "--rate", "1", "--", case.binary], env=case.environment())
    with open(stranger, "rb") as file:
        t.need(file.read() == before, "another's profile was changed")
    t.need(not any(symbols.read_profile(bare[0]).values()), "an older run's profile was changed")
    done = t.run([COMMAND, "run", "-o", out, "--rate", "1", "--", "sh", "-c", case.binary + " & wait; kill -9 $$"], env=case.environment())
    t.need(done.returncode == 128 + signal.SIGKILL, "killed: %d %s", done.returncode, done.errors)
    both = [f for f in t.files(out) if ".sh." in f or f > bare[0]]
    t.need(any(any(frames for frames in symbols.read_profile(f).values()) for f in both), "killed: no names in %s", both)
    # In place: rights and time of the file stay.
    os.chmod(bare[0], 0o640)
    os.utime(bare[0], (1000000000, 1000000000))
    t.run([COMMAND, "symbolize", bare[0], "-o", bare[0]], env=case.environment())
    stat = os.stat(bare[0])
    t.need(any(symbols.read_profile(bare[0]).values()) and stat.st_mode & 0o777 == 0o640 and stat.st_mtime == 1000000000,
           "in place: mode %o, time %s", stat.st_mode, stat.st_mtime)


need_program("gcc", "g++", "addr2line", "objcopy", "objdump", "strip", "xz")
with Test("symbols") as test:
    check_places(test)
    check_refusals(test)
    check_cache(test)
    check_debuginfod(test)
    check_processes(test)
    check_run(test)
    check_slow_run(test)
    check_languages(test)
    check_agreement(test)
