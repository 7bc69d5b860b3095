#!/usr/bin/python3 -B
# Debug info in several files, made by several compilers: .dwo files, packages of them (.dwp), sections compressed with zstd,
# dwz's alternate files. What is there is read; what is not is named once, and nothing has the line of a call inlined into it.
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import symbols  # noqa: E402
from e2e import COMMAND, Test, clean_environment, need_program  # noqa: E402

FIRST = """
#include <stdlib.h>
static inline __attribute__((always_inline)) void *inner(int n) { return malloc(n + 4096); }
__attribute__((noinline)) void *outer(int n) { void *p = inner(n); __asm__ volatile("" :: "r"(p)); return p; }
void *other(int n);
int main(int n, char **v) { (void)v; return outer(n) == other(n); }
"""
SECOND = """
#include <stdlib.h>
struct room { int size; };

static inline __attribute__((always_inline)) void *deep(const struct room *room) { return calloc(1, room->size); }
__attribute__((noinline, cold)) void *unlikely(int n) { return malloc(n * 7); }
__attribute__((noinline)) void *other(int n)
{
    struct room room = {n + 1};
    if (n > 3000) return unlikely(n);
    void *p = deep(&room);
    __asm__ volatile("" :: "r"(p));
    return p;
}
"""
# Parts of inlined calls lie in several places, with addresses that count from the unit's first one.
PARTED = """
#include <stdlib.h>
void last(int n);
static volatile int kept;
static inline __attribute__((always_inline)) void once(int n)
{
    kept = rand() + n;
    if (n == 77) { srand(kept); abort(); }
}
__attribute__((noinline)) void first(int n) { once(n); if (kept == 9) abort(); last(n); }
void last(int n) { static volatile int count; ++count; once(n + 3); }
int main(int n, char **v) { (void)v; first(n); return 0; }
"""
CHAINS = {"outer": ("malloc", [("inner", 3), ("outer", 4)]), "other": ("calloc", [("deep", 5), ("other", 11)])}


class Program:
    """Two units, compiled apart and linked; answers at the call in each."""

    def __init__(self, t, name, compiler, *flags):
        self.t, self.folder = t, t.new_folder(name)
        self.binary = os.path.join(self.folder, "case")
        objects = []
        for name, source in (("first", FIRST), ("second", SECOND)):
            with open(os.path.join(self.folder, name + ".c"), "w") as file:
                file.write(source)
            objects.append(name + ".o")
            self.do(compiler, "-O2", "-g", *flags, "-c", name + ".c", "-o", name + ".o")
        self.do(compiler, *[flag for flag in flags if flag.startswith("-fuse")], "-Wl,--build-id", *objects, "-o", "case")
        self.elf = symbols.Elf(self.binary)
        self.calls = {}
        for function, (callee, _) in CHAINS.items():
            code = subprocess.run(["objdump", "-d", "--disassemble=" + function, self.binary], stdout=subprocess.PIPE, text=True)
            self.calls[function] = next(int(line.split(":")[0], 16) for line in code.stdout.splitlines()
                                        if callee in line and ("call" in line or "jmp" in line))

    def do(self, *words):
        done = subprocess.run(words, cwd=self.folder, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError("%s: %s" % (words, done.stderr))

    def dwo(self):
        return [os.path.join(self.folder, name) for name in os.listdir(self.folder) if name.endswith(".dwo")]

    def ask(self, *words):
        """By function: frames (name, line) of the call in it; what was said is in self.errors."""
        before, after, bias = self.folder + "/in.pb.gz", self.folder + "/out.pb.gz", 0x7f0000000000
        symbols.write_profile(before, self.binary, self.calls.values(), self.elf.code(), self.elf.build_id(), bias)
        done = self.t.run([COMMAND, "symbolize", *words, before, "-o", after],
                          clean_environment(HOME=self.folder, XDG_CACHE_HOME=self.folder + "/cache"), timeout=120)
        self.t.need(done.returncode == 0, "%s: %s", self.folder, done.errors)
        self.errors = done.errors
        answers = symbols.read_profile(after)
        return {function: [(frame[1], frame[3]) for frame in answers[call + bias]] for function, call in self.calls.items()}

    def need_whole(self, title, *words):
        got = self.ask(*words)
        for function, (_, chain) in CHAINS.items():
            self.t.need(got[function] == chain, "%s %s: %s", self.folder, title, got)
        self.t.need("warning" not in self.errors, "%s %s: %s", self.folder, title, self.errors)

    def need_half(self, title, *parts, names=True):
        """The functions themselves, without lines, and one warning that has these parts."""
        got = self.ask("--no-cache")
        for function, (_, chain) in CHAINS.items():
            self.t.need(got[function] == ([(function, 0)] if names else []), "%s %s: %s", self.folder, title, got)
        self.t.need(self.errors.count("warning") == 1 and all(part in self.errors for part in parts), "%s %s: %s", self.folder,
                    title, self.errors)


def split(t):
    for compiler in ("gcc", "clang"):
        packers = [name for name in ("dwp", "llvm-dwp") if shutil.which(name)]
        if not shutil.which(compiler):
            print("left out: %s is not installed" % compiler)
            continue
        for version in ("-gdwarf-4", "-gdwarf-5"):
            for extra in ((), ("-ffunction-sections", "-gz"), ("-fdebug-types-section",)):
                program = Program(t, "%s%s%s" % (compiler, version, "".join(extra)), compiler, version, "-gsplit-dwarf", *extra)
                program.need_whole(".dwo", "--no-cache")
                away = program.folder + "/away"
                for packer in packers:
                    # Neither knows everything that compilers write.
                    done = subprocess.run(["timeout", "20", packer, "-e", "case", "-o", "case.dwp"], cwd=program.folder,
                                          stderr=subprocess.PIPE, text=True)
                    if done.returncode or (packer, version) == ("dwp", "-gdwarf-5"):
                        print("left out: %s %s %s %s %s" % (packer, compiler, version, extra, done.stderr[:100]))
                        continue
                    os.mkdir(away)
                    for path in program.dwo():
                        os.rename(path, away + "/" + os.path.basename(path))
                    program.need_whole(packer, "--no-cache")
                    program.need_whole(packer)
                    program.need_whole("cached")
                    shutil.rmtree(program.folder + "/cache")
                    for path in os.listdir(away):
                        os.rename(away + "/" + path, program.folder + "/" + path)
                    os.rmdir(away)
                    os.remove(program.folder + "/case.dwp")
                files = program.dwo()
                os.rename(files[0], files[0] + ".old")
                os.mkfifo(files[0])  # nobody ever writes to it
                program.ask("--no-cache")
                t.need(os.path.basename(files[0]) in program.errors and "more" not in program.errors, "a FIFO: %s", program.errors)
                os.remove(files[0])
                shutil.copy(files[1], files[0])  # another unit's
                program.ask("--no-cache")
                t.need(os.path.basename(files[0]) in program.errors, "another unit's file: %s", program.errors)
                for path in files:
                    os.remove(path)
                program.need_half("nothing", ".dwo and 1 more files (or a .dwp of them)")
                with open(program.folder + "/case.dwp", "wb") as file:
                    file.write(b"\x7fELF" + os.urandom(200))
                program.need_half("noise for a package", ".dwo and 1 more")
    if shutil.which("clang"):
        program = Program(t, "clang-inlining", "clang", "-gsplit-dwarf", "-fsplit-dwarf-inlining")
        for path in program.dwo():
            os.remove(path)
        got = program.ask("--no-cache")
        t.need(all(got[function] == chain for function, (_, chain) in CHAINS.items()), "what clang leaves in the program: %s", got)


def same_everywhere(t):
    """At each byte of the code the split program has the frames, files and lines of the one that is not."""
    for compiler in ("gcc", "clang"):
        for version in ("-gdwarf-4", "-gdwarf-5"):
            for extra in ("-O2", "-ffunction-sections"):
                if not shutil.which(compiler):
                    continue
                folder = t.new_folder("parted-%s%s%s" % (compiler, version, extra))
                with open(folder + "/parted.c", "w") as file:
                    file.write(PARTED)
                answers = []
                for name, split_flag in (("whole", "-g"), ("split", "-gsplit-dwarf")):
                    for words in (["-c", "parted.c", "-o", name + ".o"], [name + ".o", "-o", name]):
                        subprocess.run([compiler, "-O2", version, "-g", split_flag, extra, *words], cwd=folder, check=True)
                    elf = symbols.Elf(folder + "/" + name)
                    start, size = elf.text()
                    symbols.write_profile(folder + "/in.pb.gz", folder + "/" + name, range(start, start + size), elf.code(), elf.build_id())
                    done = t.run([COMMAND, "symbolize", "--no-cache", folder + "/in.pb.gz", "-o", folder + "/out.pb.gz"])
                    t.need(done.returncode == 0 and not done.errors.count("warning"), "%s %s: %s", folder, name, done.errors)
                    answers.append(symbols.read_profile(folder + "/out.pb.gz"))
                differ = [a for a in answers[0] if answers[0][a] != answers[1].get(a)]
                t.need(not differ and any(len(frames) > 1 for frames in answers[0].values()), "%s: %d addresses, %s: %s, split %s",
                       folder, len(differ), differ[:1], [answers[0][a] for a in differ[:1]], [answers[1].get(a) for a in differ[:1]])


def zstd(t):
    """Read where libelf can; else the symbols alone, and the reason."""
    program = Program(t, "zstd", "gcc")
    done = subprocess.run(["objcopy", "--compress-debug-sections=zstd", program.binary], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        print("left out: objcopy cannot compress with zstd")
        return
    program.ask("--no-cache")
    if not program.errors:
        program.need_whole("zstd", "--no-cache")
        return
    program.need_half("zstd", "compressed with zstd", "objcopy --decompress-debug-sections")
    debug = program.binary + ".debug"
    subprocess.run(["objcopy", "--only-keep-debug", program.binary, debug], check=True)
    subprocess.run(["objcopy", "-g", "--add-gnu-debuglink=" + debug, program.binary], check=True, cwd=program.folder)
    program.need_half("zstd in a separate file", "compressed with zstd")


def alternate(t):
    if not shutil.which("dwz"):
        print("left out: dwz is not installed")
        return
    program = Program(t, "dwz", "gcc")
    shutil.copy(program.binary, program.folder + "/twin")
    done = subprocess.run(["dwz", "-m", "common.dwz", "-r", "case", "twin"], cwd=program.folder, stderr=subprocess.PIPE, text=True)
    if done.returncode or not os.path.exists(program.folder + "/common.dwz"):
        print("left out: dwz made no alternate file: %s" % done.stderr)
        return
    program.need_whole("dwz", "--no-cache")
    os.remove(program.folder + "/common.dwz")
    got = program.ask("--no-cache")
    t.need(program.errors.count("warning") == 1 and "common.dwz (build id " in program.errors, "no alternate file: %s", program.errors)
    for function, (_, chain) in CHAINS.items():
        frames = got[function]
        t.need(frames[-1][1] in (0, chain[-1][1]), "no alternate file: %s", got)


need_program("gcc", "objcopy", "objdump")
with Test("foreign debug info") as test:
    split(test)
    same_everywhere(test)
    zstd(test)
    alternate(test)
