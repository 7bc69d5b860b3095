#!/usr/bin/python3 -B
# gcc, g++, clang, as, ld, ar, objdump and make: the same objects, libraries, programs and diagnostics, byte for byte.
import os
import re
import shutil
import signal

from suite import LONG, Suite, need_program

need_program("gcc", "g++", "make", "ld", "ar", "objdump")
SOURCE = os.path.abspath(os.environ.get("HT_SOURCE") or os.path.join(os.path.dirname(__file__), "..", ".."))
CLANG = shutil.which("clang")
CPP = r"""
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <variant>
#include <vector>
template <int N> struct Fibonacci { static constexpr long value = Fibonacci<N - 1>::value + Fibonacci<N - 2>::value; };
template <> struct Fibonacci<1> { static constexpr long value = 1; };
template <> struct Fibonacci<0> { static constexpr long value = 0; };
int main()
{
    std::map<std::string, std::vector<std::variant<int, std::string>>> table;
    for (int i = 0; i < 2000; i++) table["key" + std::to_string(i % 37)].emplace_back(std::to_string(i));
    std::vector<std::thread> threads;
    std::vector<long> sums(4);
    for (int t = 0; t < 4; t++)
        threads.emplace_back([&sums, t] { auto p = std::make_unique<std::vector<long>>(1000, t); for (long v : *p) sums[t] += v; });
    for (auto &thread : threads) thread.join();
    try { std::stoi("none"); } catch (const std::invalid_argument &error) { std::cout << "caught\n"; }
    std::cout << Fibonacci<60>::value << " " << table.size() << " " << sums[3] << "\n";
}
"""
MAKEFILE = """
C := $(wildcard c/*.c)
all: program libparts.a libparts.so cxx partly
%.o: %.c ; gcc -O2 -g -Wall -D_GNU_SOURCE -Iinc -fPIC -frandom-seed=$@ -c -o $@ $<
libparts.a: $(C:.c=.o) ; ar rcsD $@ $^
libparts.so: $(C:.c=.o) ; gcc -shared -Wl,--build-id=sha1 -o $@ $^
cxx.o: cxx.cpp ; g++ -O2 -g -std=c++17 -c -o $@ $<
cxx: cxx.o ; g++ -o $@ $^ -pthread
partly: c/fmt.c main.c ; gcc -O2 -flto=2 -frandom-seed=1 -D_GNU_SOURCE -Iinc -o $@ $^
program: main.o libparts.a ; gcc -o $@ $^ -Wl,-Map=program.map
"""


def prepare(side, sources):
    """Some of our own sources, which have nothing but the C library in front of them."""
    os.makedirs(side.work + "/c")
    shutil.copytree(sources, side.work + "/inc")
    for part in ("sys", "record", "snapshot/numbers", "snapshot/sink") if LONG else ("sys",):
        folder, _, only = part.partition("/")
        for name in sorted(os.listdir(sources + "/" + folder)):
            if name.endswith(".c") and (not only or name == only + ".c"):
                shutil.copy(os.path.join(sources, folder, name), side.work + "/c")
    files = {"Makefile": MAKEFILE, "cxx.cpp": CPP,
             "main.c": "#include <sys/fmt.h>\n#include <stdio.h>\nint main(void){char b[40];struct ht_text t=ht_text_init(b,sizeof b);"
                       "ht_text_add_u64(&t,123456789u);puts(b);return 7;}\n",
             "wrong.c": "#include <stdio.h>\nint main(void)\n{\n    int unused;\n    retrun prinft(\"%s\\n\", 1);\n}\n",
             "wrong.cpp": "#include <vector>\n#include <algorithm>\nstruct a {};\nint main() { std::vector<a> v; std::sort(v.begin(), v.end()); }\n",
             "big.c": "".join("int f%d(int x) { int s = 0; for (int i = 0; i < x; i++) s += (i * %d) ^ (s >> %d); return s; }\n" %
                              (i, i * 7 + 3, i % 13 + 1) for i in range(2500 if LONG else 250))}
    for name, text in files.items():
        with open(side.work + "/" + name, "w") as file:
            file.write(text)


def work(side):
    prepare(side, suite.path("sources"))
    side.run(["make", "-s", "-j2", "--output-sync"])
    for program in ("./program", "./cxx", "./partly"):
        side.run([program])
    for option in ("-O0", "-O3") if LONG else ("-O2",):
        side.run(["gcc", option, "-g3", "-save-temps=obj", "-pipe", "-c", "big.c", "-o", "big%s.o" % option])
    side.run(["gcc", "-fsyntax-only", "-Wall", "-Wextra", "-fanalyzer", "wrong.c"])
    side.run(["g++", "-fsyntax-only", "wrong.cpp"])
    side.run(["gcc", "main.c", "-Iinc", "-o", "unlinked"], normalise=lambda text: re.sub(r"/tmp/cc\w+", "/tmp/cc", text))
    side.run(["gcc", "-E", "-dM", "-xc", "/dev/null"])
    side.run(["gcc", "-print-search-dirs"])
    if LONG:
        side.run(["g++", "-std=c++17", "-x", "c++-header", "cxx.cpp", "-o", "cxx.h.gch"], status_only=True)
    side.shell("objdump -d -C -l cxx.o | tail -n +4 | sha256sum; readelf -aW cxx | sha256sum; nm -C libparts.a; strip -o stripped cxx; "
               "strings cxx | sha256sum; objcopy --only-keep-debug cxx cxx.debug; size cxx program")
    if CLANG:
        side.run(["clang", "-O2", "-g", "-c", "big.c", "-o", "big.clang.o"])
        side.run(["clang", "-fsyntax-only", "-Wall", "wrong.c"])
        side.run(["clang", "--analyze", "-Xclang", "-analyzer-output=text", "main.c", "-Iinc"])
        if LONG:
            side.run(["clang++", "-O2", "-std=c++17", "-c", "cxx.cpp", "-o", "cxx.clang.o"])
            side.run(["gcc", "-c", "-O2", "-fprofile-arcs", "-ftest-coverage", "big.c", "-o", "covered.o"], status_only=True)


# LLVM's programs take SIGUSR2 for themselves, as a wish to be interrupted, and die of it bare as well; SIGURG they leave.
with Suite("compilers", signal.SIGURG, period=0.05 if LONG else 0.2) as suite:
    shutil.copytree(SOURCE + "/src", suite.path("sources"))
    # The stamp of a precompiled header and of coverage notes is the time; -save-temps keeps the names of temporary files.
    suite.both(work, ignore=lambda path: path.endswith((".gch", ".gcno")) or path == "covered.o")
