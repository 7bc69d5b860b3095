#!/usr/bin/python3 -B
"""The calls of heaptap.h: nothing without the shim, snapshots and switching with it."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, SHIM, Test, clean_environment  # noqa: E402

HOST = [BUILD + "/e2e/api_host"]
ABSENT = "-10000"

with Test("api") as test:
    bare = test.run(HOST, clean_environment())
    test.need(bare.returncode == 0, "bare: status %s", bare.returncode)
    test.need(bare.output.split() == ["0"] + [ABSENT] * 4, "without the shim: %s", bare.output)
    out = test.new_folder("out")
    done = test.run(HOST, test.shim(out, rate=1))
    test.need(done.returncode == 0 and not done.errors, "status %s: %s", done.returncode, done.errors)
    test.need(done.output.split() == ["1", "0", "0", "0", "0"], "with the shim: %s", done.output)
    manual = test.files(out, "manual")
    test.need(len(manual) == 2, "manual snapshots: %s", os.listdir(out))
    for path in manual:
        profile = test.profile(path)
        top = test.heaptap("top", path)
        test.need("before_the_stop" in top.output, "%s: %s", path, top.output)
        test.need("while_stopped" not in top.output, "%s: %s", path, top.output)
        test.need(int(profile.health().get("inactive_ns", 0)) > 0, "inactive_ns is missing")
    # Forwarding only, and a place where nothing can be written.
    off = test.run(HOST, test.shim(test.new_folder("off"), rate=0))
    test.need(off.output.split() == ["1"] + ["-11"] * 4, "rate 0: %s", off.output)
    with open(test.path("file"), "w"):
        pass
    blocked = test.run(HOST, test.shim(test.path("file"), rate=1, log="none"))
    words = blocked.output.split()
    test.need(blocked.returncode == 0 and words[:3] == ["1", "0", "0"] and int(words[3]) < 0, "no folder: %s", blocked.output)
    # The shim twice, from two paths: the first records, the second only forwards.
    copy = shutil.copy(SHIM, test.path("libheaptap.so"))
    for libraries in ([SHIM, copy], [copy, SHIM]):
        out = test.new_folder("twice%d" % (libraries[0] == copy))
        environment = test.shim(out, rate=1)
        environment["LD_PRELOAD"] = " ".join(libraries)
        twice = test.run(HOST, environment)
        test.need(twice.returncode == 0 and twice.output == done.output, "twice: status %s, %s", twice.returncode, twice.output)
        test.need(len(test.files(out, "manual")) == 2 and len(test.files(out, "exit")) == 1, "twice: %s", os.listdir(out))
