"""What the audits share: where things are, running binutils, and failing with every finding at once."""
import collections
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
BUILD = os.path.abspath(os.environ.get("HT_BUILD") or os.path.join(os.path.dirname(__file__), "..", "..", "build"))
SOURCE = os.path.abspath(os.environ.get("HT_SOURCE", os.path.join(os.path.dirname(__file__), "..", "..")))
SHIM = BUILD + "/libheaptap.so"
COMPANIONS = {name: "%s/libheaptap-%s.so" % (BUILD, name) for name in ("cxx", "jemalloc", "tcmalloc", "mimalloc")}
NM = os.environ.get("HT_NM", "nm")  # one that reads the compiler's objects, whatever is in them (LTO)

findings = []
checked = 0


def need(condition, text, *args):
    global checked
    checked += 1
    if not condition:
        findings.append(text % args if args else text)
    return condition


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def sources(*folders, endings=(".c", ".h")):
    """Paths relative to the source tree, sorted."""
    rows = []
    for folder in folders:
        for where, below, names in os.walk(os.path.join(SOURCE, folder)):
            below[:] = [b for b in below if b not in ("corpus", "golden", "__pycache__")]
            rows += [os.path.relpath(os.path.join(where, n), SOURCE) for n in names if n.endswith(endings)]
    return sorted(rows)


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()


Room = collections.namedtuple("Room", "name path floors objects")


def rooms():
    """The folders of src/ and tools/heaptap/ as the build knows them (tools/dev/rooms.cmake)."""
    rows = []
    with open(BUILD + "/rooms.txt", encoding="utf-8") as file:
        for line in file.read().splitlines():
            what, text = line.split(" ", 1)
            if what == "room":
                name = text[len("src/"):] if text.startswith("src/") else text[len("tools/heaptap/"):]
                rows.append(Room(name, text, [], []))
            else:
                (rows[-1].floors if what == "floor" else rows[-1].objects).append(text)
    return rows


def symbols(path):
    """(name, kind) of each global name of an object, as nm's letters: U w v are undefined."""
    rows = []
    for line in output(NM, "-P", "-g", path).splitlines():
        words = line.split()
        if len(words) >= 2:
            rows.append((words[0].split("@")[0], words[1]))
    return rows


def option(name):
    """Whether an option of the build is on."""
    with open(BUILD + "/CMakeCache.txt", encoding="utf-8") as file:
        return re.search(r"^%s:BOOL=(ON|1|YES|TRUE|Y)$" % name, file.read(), re.M | re.I) is not None


def done():
    for finding in findings:
        print("FAILED: " + finding)
    if not checked:
        print("FAILED: nothing was checked")
    print("%d checks, %d failed" % (checked, len(findings)))
    sys.exit(1 if findings or not checked else 0)
