#!/usr/bin/python3 -B
# Programs and libraries of every linker: lld and mold begin executable segments in the middle of a page. The reports of heaptap
# and of go tool pprof (Go 1.19 and later take a mapping's start for different addresses) name the functions that allocated.
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import Test, clean_environment, need_program  # noqa: E402
from heap_profile import Profile  # noqa: E402

GO, CC = need_program("go", "gcc")
LINKERS = [name for name, program in (("bfd", "ld.bfd"), ("gold", "ld.gold"), ("lld", "ld.lld"), ("mold", "mold"))
           if shutil.which(program)]
# The functions in between make an address that is off by less than a page name another one.
PROGRAM = """
#include <stdlib.h>
void *kept[2];
__attribute__((noinline)) void pad_one(void) { __asm__ volatile(".fill 1500, 1, 0x90"); }
__attribute__((noinline)) void keep_rows(void) { kept[0] = malloc(30000); __asm__ volatile(""); }
__attribute__((noinline)) void pad_two(void) { __asm__ volatile(".fill 1500, 1, 0x90"); }
extern void keep_in_library(void);
const char constants[20000] = {1};
int main(void) { pad_one(); pad_two(); keep_rows(); keep_in_library(); return constants[5]; }
"""
LIBRARY = """
#include <stdlib.h>
void *kept_here;
void pad_three(void) { __asm__ volatile(".fill 1500, 1, 0x90"); }
void keep_in_library(void) { kept_here = malloc(50000); __asm__ volatile(""); }
"""


def build(linker, name, source, *options):
    path = test.path(linker + "." + name)
    with open(path + ".c", "w") as file:
        file.write(source)
    done = test.run([CC, "-O1", "-g", "-fuse-ld=" + linker, "-o", path, path + ".c", *options], clean_environment())
    test.need(done.returncode == 0, "%s: %s", linker, done.errors)
    return path


def flat(text, function):
    match = re.search(r"^ *([0-9.]+)B? .* %s$" % function, text, re.M)
    return float(match[1]) if match else 0


def check(linker, *options):
    library = build(linker, "lib.so", LIBRARY, "-shared", "-fPIC")
    program = build(linker, "program", PROGRAM, *options, library, "-Wl,-rpath," + test.folder)
    out = test.new_folder(linker + "".join(options))
    done = test.run([program], test.shim(out, rate=1))
    test.need(done.returncode == 0, "%s: status %d, %s", linker, done.returncode, done.errors)
    path, = test.files(out, "exit")
    profile = Profile(path)
    profile.check()
    test.need(profile.string(profile.mappings[0][5]) == program, "%s: the first mapping is not the program", linker)
    env = clean_environment(HOME=test.folder, PPROF_TMPDIR=test.folder, GOFLAGS="-mod=mod", GO111MODULE="off")
    for name, command in (("heaptap", None), ("pprof", [GO, "tool", "pprof", "-top", "-unit=B", path])):
        done = test.run(command, env) if command else test.heaptap("top", "--unit=B", path)
        for function, size in (("keep_rows", 30000), ("keep_in_library", 50000)):
            test.need(flat(done.output, function) == size, "%s %s by %s: %s", linker, function, name, done.output)


with Test("linkers") as test:
    test.need("bfd" in LINKERS, "linkers: %s", LINKERS)
    for each in LINKERS:
        check(each)
        check(each, "-no-pie")
