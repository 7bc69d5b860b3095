"""What the audits share: where things are, running binutils, and failing with every finding at once."""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
BUILD = os.path.abspath(os.environ.get("HT_BUILD") or os.path.join(os.path.dirname(__file__), "..", "..", "build"))
SOURCE = os.path.abspath(os.environ.get("HT_SOURCE", os.path.join(os.path.dirname(__file__), "..", "..")))
SHIM = BUILD + "/libheaptap.so"

findings = []
checked = 0


def need(condition, text, *args):
    global checked
    checked += 1
    if not condition:
        findings.append(text % args if args else text)


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


def done():
    for finding in findings:
        print("FAILED: " + finding)
    if not checked:
        print("FAILED: nothing was checked")
    print("%d checks, %d failed" % (checked, len(findings)))
    sys.exit(1 if findings or not checked else 0)
