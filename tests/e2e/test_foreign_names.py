#!/usr/bin/python3 -B
# Names in profiles that others wrote: addresses that are the file's own already, one mapping for everything, stubs of calls to
# other files, build ids in capital letters, programs that were deleted and are back, Go without symbols.
import os
import re
import random
import shutil
import struct
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
            # Later molds have symbols of its own for some of them.
            t.need(got[address + bias + 2] in ([name], [name.replace("@plt", "$pltgot")]), "%s: %s at %x, %s", flags, name, address,
                   got)
        head = next((r["address"] for name, r in program.elf.sections.items() if name == ".plt"), None)
        if head is not None and head not in wanted:
            got = program.names(program.profile([head + bias], code), "--no-cache")
            t.need(not got[head + bias] or got[head + bias][0].endswith(("@plt", "LINKAGE_TABLE_")), "%s: the table's head is %s", flags, got)


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


GO_SOURCE = """
package main
import (
	"fmt"
	"os"
)
%s
//go:noinline
func outerg(n int) []byte { return make([]byte, n+len(os.Args)) }
func main() { fmt.Println(len(outerg(4096))) }
"""


def go_tables(t):
    """Stripped Go programs have the names of their own table: linked by Go and by gcc, at a fixed place and at any."""
    go = shutil.which("go")
    for title, flags, c in (("fixed", (), False), ("pie", ("-buildmode=pie",), False), ("cgo", (), True), ("cgo-pie", ("-buildmode=pie",), True)):
        if not go:
            print("left out: go is not installed")
            break
        folder = t.new_folder("go-" + title)
        with open(folder + "/g.go", "w") as file:
            file.write(GO_SOURCE % ("// int answer(void) { return 42; }\nimport \"C\"\nvar answer = C.answer()" if c else ""))
        environment = clean_environment(GOCACHE=t.path("go-cache"), GO111MODULE="off", HOME=folder, CGO_ENABLED=str(int(c)))
        done = [t.run([go, "build", "-ldflags=" + ldflags, *flags, "-o", name, "g.go"], environment, cwd=folder)
                for ldflags, name in (("-w", "full"), ("-s -w", "stripped"))]
        if not t.need(all(d.returncode == 0 for d in done), "go build %s: %s", title, done[0].errors):
            continue
        program = Program.__new__(Program)
        program.t, program.folder, program.binary = t, folder, folder + "/stripped"
        program.environment, program.elf = environment, symbols.Elf(folder + "/full")
        call = program.address("main.outerg") + 8
        bias = BIAS if "-buildmode=pie" in flags else 0
        got = program.names(program.profile([call + bias], program.of_kernel(bias), build_id=""), "--no-cache")
        t.need(got[call + bias] == ["main.outerg"], "go %s: %s %s", title, got, program.errors)


def go_forms(t):
    """The table's four forms; one that is damaged anywhere names nothing from outside and harms nobody."""
    program = Program(t, "forms", "-no-pie")
    rows = [(program.address(name), b"go." + name.encode()) for name in ("outer", "main")]
    end = max(address for address, _ in rows) + 64
    rows.sort()
    code, calls = program.of_kernel(0), [address + 4 for address, _ in rows]
    strings = b"\0" + b"".join(name + b"\0" for _, name in rows)
    place = [1 + sum(len(name) + 1 for _, name in rows[:i]) for i in range(len(rows))]
    subprocess.run(["strip", program.binary], check=True)
    for magic in (0xfffffffb, 0xfffffffa, 0xfffffff0, 0xfffffff1):
        short, text = magic <= 0xfffffff1, rows[0][0] & ~0xff
        word = (lambda n: struct.pack("<I", n)) if short else (lambda n: struct.pack("<Q", n))
        size, count = len(word(0)), len(rows)
        head = {0xfffffffb: 16, 0xfffffffa: 64}.get(magic, 72)
        names_at, base = head, 0 if magic == 0xfffffffb else head + len(strings)
        table_at = 16 if magic == 0xfffffffb else base
        entries_bytes = (2 * count + 1) * size
        start = text if short else 0
        functions = [word(address - start) + struct.pack("<I", place[i] + (names_at + entries_bytes if magic == 0xfffffffb else 0))
                     for i, (address, _) in enumerate(rows)]
        after = table_at + entries_bytes + (len(strings) if magic == 0xfffffffb else 0) - base
        table = b"".join(word(address - start) + word(after + i * len(functions[0])) for i, (address, _) in enumerate(rows)) + word(end - start)
        numbers = [count] if magic == 0xfffffffb else [count, 0, *([text] if short else []), names_at, 0, 0, 0, base]
        whole = struct.pack("<IBBBB", magic, 0, 0, 1, 8) + b"".join(struct.pack("<Q", n) for n in numbers)
        whole += (table + strings if magic == 0xfffffffb else strings + table) + b"".join(functions)

        def ask(content):
            with open(program.folder + "/table", "wb") as file:
                file.write(content)
            target = program.folder + "/with-table"
            subprocess.run(["objcopy", "--add-section", ".gopclntab=table", program.binary, target], check=True, cwd=program.folder)
            plain, program.binary = program.binary, target
            got = program.names(program.profile(calls, code), "--no-cache")
            program.binary = plain
            return [got[call] for call in calls]
        t.need(ask(whole) == [[name.decode()] for _, name in rows], "%x: %s", magic, ask(whole))
        rng = random.Random(magic)
        for _ in range(12):
            damaged = bytearray(whole[:rng.randrange(len(whole))] if rng.random() < 0.5 else whole)
            for _ in range(rng.randrange(1, 4)):
                if len(damaged) > 8:
                    damaged[rng.randrange(8, len(damaged))] = rng.choice((0, 1, 0x7f, 0x80, 0xff))
            ask(bytes(damaged) or b"x")


need_program("gcc", "objcopy", "objdump", "strip")
with Test("foreign names") as test:
    whole_file(test)
    stubs(test)
    build_ids(test)
    go_tables(test)
    go_forms(test)
