#!/usr/bin/python3 -B
# Names in profiles that others wrote: addresses that are the file's own already, one mapping for everything, stubs of calls to
# other files, build ids in capital letters, programs that were deleted and are back.
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import symbols  # noqa: E402
from symbols import profile_writer  # noqa: E402
from e2e import COMMAND, Test, clean_environment, need_program  # noqa: E402

SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static inline __attribute__((always_inline)) void *inner(int n) { return malloc(n + 4096); }
__attribute__((noinline)) void *outer(int n) { void *p = inner(n); __asm__ volatile("" :: "r"(p)); return p; }
int main(int n, char **v) { puts(v[0]); void *p = outer(n); free(p); return strlen(v[0]) == 7; }
"""
BIAS = 0x7f1200000000


class Program:
    """One program, and the answers about its addresses in a profile of whatever form."""

    def __init__(self, t, name, *flags, compiler="gcc", source=SOURCE, suffix=".c"):
        self.t, self.folder = t, t.new_folder(name)
        self.source, self.binary = os.path.join(self.folder, "case" + suffix), os.path.join(self.folder, "case")
        with open(self.source, "w") as file:
            file.write(source)
        done = subprocess.run([compiler, "-O1", "-g", "-Wl,--build-id", *flags, self.source, "-o", self.binary], cwd=self.folder,
                              stderr=subprocess.PIPE, text=True)
        self.is_built = done.returncode == 0
        if not self.is_built:
            print("left out: %s %s: %s" % (compiler, flags, done.stderr[:200]))
            return
        self.elf = symbols.Elf(self.binary)
        self.environment = clean_environment(XDG_CACHE_HOME=os.path.join(self.folder, "cache"), HOME=self.folder)

    def address(self, name):
        return next(row[0] for row in symbols.Symbols(self.elf).rows if row[2] == name)

    def profile(self, addresses, mapping=None, file=None, build_id=None):
        """mapping: start, limit, offset; None: none at all. The default is the kernel's, moved by BIAS where that can be."""
        path, profile = os.path.join(self.folder, "in.pb"), profile_writer.Profile()
        profile.sample_type("inuse_space", "bytes")
        number = 0 if mapping is None else profile.mapping(*mapping, self.binary if file is None else file,
                                                           self.elf.build_id() if build_id is None else build_id, flags="")
        for address in addresses:
            profile.sample([profile.location(number, address)], [1])
        with open(path, "wb") as out:
            out.write(profile.bytes())
        return path

    def names(self, path, *words, errors=None):
        """By address: the frames' names, the innermost first."""
        out = os.path.join(self.folder, "out.pb.gz")
        done = self.t.run([COMMAND, "proto", *words, "-o", out, *([self.binary] if not errors else []), path], env=self.environment)
        self.t.need(done.returncode == 0, "%s: %d %s", path, done.returncode, done.errors)
        self.errors = done.errors
        return {a: [frame[1] for frame in frames] for a, frames in symbols.read_profile(out).items()}

    def of_kernel(self, bias=BIAS):
        start, end, offset = self.elf.code()
        return start + bias, start + end + bias, offset


def linkers():
    return [()] + [("-fuse-ld=" + name,) for name in ("lld", "mold", "gold") if shutil.which("ld." + name)]


def whole_file(t):
    """Addresses of the file itself, in no mapping or one of everything; one mapping for a whole program in memory."""
    for flags in linkers():
        for kind in ("-no-pie", "-pie"):
            program = Program(t, "own%s%s" % (kind, "".join(flags)), *flags, kind)
            if not program.is_built:
                continue
            call = program.address("outer") + 1
            for mapping in (None, (0, 0, 0), (0, 2 ** 64 - 1, 0), (0, 2 ** 63 - 1, 0)):
                got = program.names(program.profile([call], mapping, file="", build_id=""))
                t.need(got[call][-1:] == ["outer"], "%s %s: %s", program.folder, mapping, got)
            first = min(load[2] for load in program.elf.loads) & ~4095
            end = max(load[2] + load[4] for load in program.elf.loads) + 4095 & ~4095
            bias = BIAS if kind == "-pie" else 0
            got = program.names(program.profile([call + bias], (first + bias, end + bias, 0)), "--no-cache")
            t.need(got[call + bias][-1:] == ["outer"], "%s: one mapping for all of it: %s", program.folder, got)
            for place in (first, end + 4096, BIAS):
                got = program.names(program.profile([place], (0, 2 ** 64 - 1, 0), file="", build_id=""), "--no-cache")
                t.need(not got[place], "%s: %x is no code: %s", program.folder, place, got)


def stubs(t):
    """Each stub of the procedure linkage table has the name that objdump gives it; what lies between them has none."""
    for flags in [(*linker, *extra) for linker in linkers() for extra in (
            (), ("-fcf-protection=none",), ("-Wl,-z,now",), ("-fcf-protection=full", "-Wl,-z,ibtplt"), ("-fno-plt",))]:
        program = Program(t, "stubs" + "".join(flags).replace(",", ""), *flags)
        if not program.is_built:
            continue
        text = subprocess.run(["objdump", "-d", program.binary], stdout=subprocess.PIPE, text=True, check=True).stdout
        wanted = {int(address, 16): name for address, name in re.findall(r"^([0-9a-f]+) <([^>+-]+@plt)>:", text, re.M)}
        t.need(bool(wanted) or "-fno-plt" in flags or "now" in str(flags), "objdump names no stub: %s", flags)
        code, bias = program.of_kernel(), BIAS
        got = program.names(program.profile([address + bias + 2 for address in wanted], code), "--no-cache")
        for address, name in wanted.items():
            t.need(got[address + bias + 2] == [name], "%s: %s at %x, %s", flags, name, address, got)
        head = next((r["address"] for name, r in program.elf.sections.items() if name == ".plt"), None)
        if head is not None and head not in wanted:
            got = program.names(program.profile([head + bias], code), "--no-cache")
            t.need(not got[head + bias] or got[head + bias][0].endswith("@plt"), "%s: the table's head is %s", flags, got)


def build_ids(t):
    """Capital letters are the same build id; a deleted program that is back at its name is used, another one there is not."""
    program = Program(t, "ids")
    code, call = program.of_kernel(), program.address("outer") + BIAS + 1
    for name in (program.binary, program.binary + " (deleted)"):
        for build_id in (program.elf.build_id(), program.elf.build_id().upper()):
            for words in ((), ("--no-cache",)):
                got = program.names(program.profile([call], code, name, build_id), *words, errors=True)
                t.need(got[call][-1:] == ["outer"] and not program.errors, "%s %s: %s %s", name, build_id, got, program.errors)
    got = program.names(program.profile([call], code, program.binary + " (deleted)", "00" * 20), "--no-cache", errors=True)
    t.need(not got[call] and "not the file that was profiled" in program.errors, "another file: %s %s", got, program.errors)
    got = program.names(program.profile([call], code, program.binary + " (deleted)", ""), "--no-cache", errors=True)
    t.need(not got[call], "a deleted file without a build id: %s", got)
    got = program.names(program.profile([call], code, "/nowhere/case", program.elf.build_id().upper()), "--no-cache")
    t.need(got[call][-1:] == ["outer"] and not program.errors, "the program given by hand: %s %s", got, program.errors)


need_program("gcc", "objdump")
with Test("foreign names") as test:
    whole_file(test)
    stubs(test)
    build_ids(test)
