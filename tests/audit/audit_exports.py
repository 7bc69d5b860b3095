#!/usr/bin/python3 -B
# The shim exports exactly the malloc family, prctl and syscall (trigger/sandbox.c says why) and heaptap_*, and hides
# everything else; a companion the 20 operators of C++ and the names of its own allocator.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from audit import COMPANIONS, SHIM, done, need, output  # noqa: E402

FAMILY = {"malloc", "calloc", "realloc", "reallocarray", "free", "posix_memalign", "aligned_alloc", "memalign", "valloc",
          "pvalloc", "malloc_usable_size", "free_sized", "free_aligned_sized", "prctl", "syscall"}
OWN = {"cxx": "$^", "jemalloc": "[a-z]+x$", "tcmalloc": "tc_[a-z_]+$|cfree$", "mimalloc": "mi_[a-z_]+$|cfree$|vfree$|reallocf$"}


def exports(library):
    return {line.split()[-1].split("@")[0] for line in output("nm", "-D", "--defined-only", library).splitlines()}


exported = exports(SHIM)
for name in sorted(FAMILY):
    need(name in exported, "%s is not exported", name)
for name in sorted(exported - FAMILY):
    need(re.match(r"heaptap_[a-z0-9_]+$", name), "%s is exported", name)
for companion, library in COMPANIONS.items():
    exported = exports(library)
    operators = {name for name in exported if re.match("_Z(n[wa]m|d[la]Pv)", name)}
    need(len(operators) == 20, "libheaptap-%s.so: %d operators of C++", companion, len(operators))
    for name in sorted(exported - operators):
        need(re.match(OWN[companion], name), "libheaptap-%s.so exports %s", companion, name)
done()
