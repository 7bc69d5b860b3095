#!/usr/bin/python3 -B
# The shim exports exactly the malloc family, prctl and syscall (trigger/sandbox.c says why) and heaptap_*, and hides
# everything else.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from audit import SHIM, done, need, output  # noqa: E402

FAMILY = {"malloc", "calloc", "realloc", "reallocarray", "free", "posix_memalign", "aligned_alloc", "memalign", "valloc",
          "pvalloc", "malloc_usable_size", "free_sized", "free_aligned_sized", "prctl", "syscall"}
exported = set()
for line in output("nm", "-D", "--defined-only", SHIM).splitlines():
    words = line.split()
    exported.add(words[-1].split("@")[0])
for name in sorted(FAMILY):
    need(name in exported, "%s is not exported", name)
for name in sorted(exported - FAMILY):
    need(re.match(r"heaptap_[a-z0-9_]+$", name), "%s is exported", name)
done()
