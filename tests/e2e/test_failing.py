#!/usr/bin/python3 -B
"""System calls of the shim fail for want of memory, one alone, then one and all behind it: the program fares as it does bare,
and the snapshot signal, which comes each time, does not end it. One that fails alone loses no profile in silence."""
import errno
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, Test, clean_environment  # noqa: E402

HOST = [BUILD + "/e2e/refused_host", "few"]
END = 1000000
# Up to here, where the region is made, each call is looked at, behind it one in STEP (HT_FAILING_STEP=1: all).
EACH = 100
STEP = int(os.environ.get("HT_FAILING_STEP") or 10)


def run(first, last):
    """The program with these of the shim's calls failing, its profiles, the calls made, and which was the first that failed."""
    out = test.new_folder(str(len(test.pids)))
    seen = test.path("seen")
    env = test.shim(out, rate=1)
    process = test.run([BUILD + "/failing", seen, "libheaptap.so", str(errno.ENOMEM), str(first), str(last), "--"] + HOST, env)
    with open(seen) as file:
        count, failed = (int(word) for word in file.read().split())
    return process, test.files(out), count, failed


def check(what, process, files):
    said = [line for line in process.errors.splitlines() if line.startswith("heaptap: ")]
    process.errors = "".join(line for line in process.errors.splitlines(True) if not line.startswith("heaptap: "))
    test.same(what, bare, process)
    test.need(len(said) <= 2, "%s: the parent or the child says more than one line: %s", what, said)
    for path in files:
        test.profile(path)
    return said


with Test("failing") as test:
    bare = test.run(HOST, clean_environment())
    test.need(bare.returncode == 3 and bare.output.endswith("the child: ok\n"), "bare: %s, %r", bare.returncode, bare.output)
    process, files, count, _ = run(END, END)
    check("nothing fails", process, files)
    test.need(len(files) == 3 and count > 2 * EACH, "nothing fails: %s after %d calls", files, count)
    for what, last in (("call %d alone (%d)", 0), ("calls from %d (%d) on", END)):
        number, failed = 1, 0
        while failed >= 0:
            process, files, count, failed = run(number, max(number, last))
            name = what % (number, failed)
            said = check(name, process, files)
            print(name, "%d profiles" % len(files), said or "", flush=True)
            test.need(last or len(files) == 3 or said, "%s: %s and not a word", name, files)
            number += 1 if number < EACH else STEP
        test.need(number > EACH, "%s: only %d calls were made", what, number)
