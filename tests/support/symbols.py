"""Asks heaptap and binutils' addr2line for the names of the same addresses and reads both answers alike."""
import bisect
import gzip
import mmap
import os
import re
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
import heap_profile  # noqa: E402
import profile_writer  # noqa: E402

LINE_ROW = re.compile(r"^(\S.*?) +(\d+|-) +0x([0-9a-f]+)( |$)")
DISCRIMINATOR = re.compile(r" \(discriminator \d+\)$")


class Elf:
    """What the tests need to know of a 64-bit little-endian ELF file."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        at, count, entry = struct.unpack_from("<Q", self.data, 32)[0], struct.unpack_from("<H", self.data, 56)[0], 56
        self.loads = []
        for i in range(count):
            kind, flags, offset, address, _, in_file, in_memory = struct.unpack_from("<IIQQQQQ", self.data, at + i * entry)
            if kind == 1:
                self.loads.append((flags, offset, address, in_file, in_memory))
        sections, count, names = struct.unpack_from("<Q", self.data, 40)[0], *struct.unpack_from("<HH", self.data, 60)
        rows = [struct.unpack_from("<IIQQQQIIQQ", self.data, sections + i * 64) for i in range(count)]
        self.sections = {}
        for row in rows:
            begin = rows[names][4] + row[0]
            name = self.data[begin:self.data.find(b"\0", begin)].decode()
            self.sections[name] = {"type": row[1], "address": row[3], "offset": row[4], "size": row[5]}

    def section(self, name):
        row = self.sections[name]
        return self.data[row["offset"]:row["offset"] + row["size"]]

    def text(self):
        return self.sections[".text"]["address"], self.sections[".text"]["size"]

    def code(self):
        """The executable segment as (address, size in memory, file offset), by whole pages."""
        flags, offset, address, _, size = next(load for load in self.loads if load[0] & 1)
        begin = address & ~4095
        return begin, (address + size + 4095 & ~4095) - begin, offset & ~4095

    def build_id(self):
        if ".note.gnu.build-id" not in self.sections:
            return ""
        return self.section(".note.gnu.build-id")[16:].hex()


def write_profile(path, file, addresses, code, build_id="", bias=0):
    """A profile with one sample for each address of the file; `code` is Elf.code()."""
    profile = profile_writer.Profile()
    profile.sample_type("inuse_space", "bytes")
    profile.header(period=("space", "bytes", 1))
    mapping = profile.mapping(code[0] + bias, code[0] + code[1] + bias, code[2], file, build_id, flags="")
    for address in addresses:
        profile.sample([profile.location(mapping, address + bias)], [1])
    with open(path, "wb") as out:
        out.write(gzip.compress(profile.bytes(), 1))


def read_profile(path):
    """By address: frames (name, system name, file, line), the innermost first."""
    profile = heap_profile.Profile(path)
    out = {}
    for location in profile.locations:
        frames = []
        for line in location["lines"]:
            function = profile.function_of[line[1]]
            frames.append((profile.string(function[2]), profile.string(function[3]), profile.string(function[4]), line[2]))
        out[location[3]] = frames
    return out


def addr2line(binary, addresses, demangle=False):
    """By address: frames (name, file, line) of `addr2line -i -f`; "??" where it knows nothing, line 0 for "?"."""
    words = ["addr2line", "-a", "-i", "-f", "-e", binary] + (["-C"] if demangle else [])
    text = "".join("%x\n" % address for address in addresses)
    lines = subprocess.run(words, input=text, stdout=subprocess.PIPE, check=True, encoding="utf-8",
                           errors="surrogateescape").stdout.split("\n")
    out, frames, at = {}, None, 0
    while at + 1 < len(lines):
        if lines[at].startswith("0x"):
            frames = out.setdefault(int(lines[at], 16), [])
            at += 1
            continue
        file, _, number = DISCRIMINATOR.sub("", lines[at + 1]).rpartition(":")
        frames.append((lines[at], file, int(number) if number.isdigit() else 0))
        at += 2
    return out


class Symbols:
    """The symbol table of a file (.symtab if there is one, else .dynsym): which names cover an address."""

    def __init__(self, elf):
        self.files, rows = set(), []
        table = ".symtab" if ".symtab" in elf.sections and elf.sections[".symtab"]["type"] != 8 else ".dynsym"
        names = elf.section(".strtab" if table == ".symtab" else ".dynstr")
        for name, info, _, section, value, size in struct.iter_unpack("<IBBHQQ", elf.section(table)):
            text = names[name:names.index(b"\0", name)].decode("utf-8", "surrogateescape")
            if info & 15 == 4:
                self.files.add(text)
            elif section not in (0, 0xFFF1) and info & 15 in (0, 2, 10) and text:
                rows.append((value, value + size, text.partition("@")[0]))
        rows.sort()
        self.rows, self.starts, self.longest = rows, [row[0] for row in rows], max((r[1] - r[0] for r in rows), default=0)

    def covering(self, address):
        """Names of the symbols around an address; where none covers it, of those without a size just before it."""
        at = bisect.bisect_right(self.starts, address)
        names, below = set(), at
        while below > 0 and self.starts[below - 1] + self.longest > address:
            below -= 1
            if address < self.rows[below][1]:
                names.add(self.rows[below][2])
        if not names and at > 0:
            names = {row[2] for row in self.rows[bisect.bisect_left(self.starts, self.starts[at - 1]):at] if row[0] == row[1]}
        return names


class LineTable:
    """The line table as binutils' other tool, objdump, decodes it: (last part of the file's name, line) by address."""

    def __init__(self, path):
        text = subprocess.run(["objdump", "-w", "--dwarf=decodedline", path], stdout=subprocess.PIPE, check=True,
                              stderr=subprocess.DEVNULL, encoding="utf-8", errors="surrogateescape").stdout
        rows, unit = [], ""
        for line in text.split("\n"):
            found = LINE_ROW.match(line)
            if found:
                rows.append((int(found[3], 16), found[1], 0 if found[2] == "-" else int(found[2]), unit))
            elif line.startswith("CU: "):
                unit = line[4:].rstrip(":")
        rows.sort(key=lambda row: row[0])
        self.rows, self.starts = rows, [row[0] for row in rows]

    def prefers(self, address, ours, theirs):
        """Do the rows for the address name our (file, line) and not theirs? Only the last parts of file names are there: of
        two equal ones ours is meant if theirs is the unit's own file."""
        at = bisect.bisect_right(self.starts, address)
        rows = self.rows[bisect.bisect_left(self.starts, self.starts[at - 1]) if at else 0:at]

        def has(file, line):
            name = os.path.basename(file)
            return any(row[2] == line and (row[1] == name or (row[1].startswith("...") and name.endswith(row[1][3:])))
                       for row in rows)

        if not has(*ours):
            return False
        own = any(row[3] and theirs[0].endswith(row[3]) and not ours[0].endswith(row[3]) for row in rows)
        return own if os.path.basename(ours[0]) == os.path.basename(theirs[0]) else not has(*theirs)


def difference(address, ours, theirs, symbols):
    """None if both say the same, or differ only where addr2line is known to do as follows; else what differs.

    * Names. addr2line gives the symbol table's name for the address to the *innermost* frame if its debug info has no mangled
      one, also when it is inlined, and remembers it for that function; heaptap gives it to the function itself, the last
      frame. Of several symbols at one address either may be named.
    * Behind the end of a function (no symbol covers the address: padding) addr2line goes on with the last one.
    * Without debug info addr2line prints the compiler's input (a symbol of type FILE) as the file, with line 0."""
    covering = symbols.covering(address)
    if not covering and len(ours) == 1 and ours[0][0] == "??":
        return None
    if len(ours) != len(theirs):
        return "depth"
    for at, (our, their) in enumerate(zip(ours, theirs)):
        if our[0] != their[0] and their[0] not in covering and not (at + 1 == len(ours) and our[0] in covering):
            return "name"
        if our[2] != their[2]:
            return "line"
        if our[1] != their[1] and not (our[1] == "??" and our[2] == 0 and their[1] in symbols.files):
            return "file"
    return None


def compare(command, binary, addresses, folder, debug=None, extra=()):
    """Asks both about all addresses; returns (number that agree to the letter, [(address, what, ours, theirs)])."""
    elf = Elf(binary)
    symbols = Symbols(Elf(debug) if debug else elf)
    before, after = os.path.join(folder, "before.pb.gz"), os.path.join(folder, "after.pb.gz")
    write_profile(before, os.path.abspath(binary), addresses, elf.code(), elf.build_id())
    subprocess.run([command, "symbolize", "--no-cache", *extra, before, "-o", after], check=True)
    answers, equal, bad, lines = read_profile(after), 0, [], None
    theirs_of = addr2line(debug or binary, addresses)
    for address in addresses:
        ours = [(system, file or "??", line) for _, system, file, line in answers[address]] or [("??", "??", 0)]
        theirs = [(name.partition("@")[0], file, line) for name, file, line in theirs_of[address]]
        if ours == theirs:
            equal += 1
            continue
        what = difference(address, ours, theirs, symbols)
        if what == "file" and ours[1:] == theirs[1:]:
            # In the first row of a function that comes from an included file addr2line names the unit's own file. The
            # line table decides.
            lines = lines or LineTable(debug or binary)
            if lines.prefers(address, ours[0][1:], theirs[0][1:]):
                continue
        if what:
            bad.append((address, what, ours, theirs))
    return equal, bad
