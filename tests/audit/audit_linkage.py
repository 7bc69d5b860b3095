#!/usr/bin/python3 -B
# What the shim and its companions need from their host: libc, libm and libdl alone, old symbol versions, little TLS, bound at
# load.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import audit  # noqa: E402
from audit import COMPANIONS, SHIM, done, option, output  # noqa: E402

# HEAPTAP_SHARED_LIBS: the host gets these as well, by the builder's choice; zlib's old names have no version.
CHOSEN = {"libz.so.1", "libprotobuf-c.so.1"} if option("HEAPTAP_SHARED_LIBS") else set()
ZLIB = {"deflate", "deflateEnd", "deflateInit2_", "deflateReset", "crc32"} if CHOSEN else set()
NEWEST = (2, 17)
TLS_BYTES = 256
# What was in libpthread, librt and libutil before glibc 2.34; a program need not have these.
ELSEWHERE = re.compile(r"pthread_|sem_|mq_|aio_|lio_|timer_|shm_|openpty|forkpty|log(in|out)@")


def need(condition, text, *args):
    audit.need(condition, "%s: " + text, os.path.basename(path), *args)


for path in (SHIM, *COMPANIONS.values()):
    dynamic = output("readelf", "-dW", path)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    need("libc.so.6" in needed, "libc is not needed: %s", needed)
    # Before glibc 2.34 dlopen and dlsym are in libdl, which a program need not have.
    need("libdl.so.2" in needed, "libdl is not needed: %s", needed)
    need(path != SHIM or CHOSEN <= set(needed), "%s is not needed", sorted(CHOSEN - set(needed)))
    for library in sorted(set(needed) - CHOSEN):
        need(library in ("libc.so.6", "libm.so.6", "libdl.so.2", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"),
             "%s is needed", library)
    need("BIND_NOW" in dynamic or "NOW" in dynamic, "not linked with -z now")
    need("STATIC_TLS" in dynamic or "TLS" not in output("readelf", "-lW", path), "its TLS is not initial-exec")
    need("TEXTREL" not in dynamic, "text relocations")
    need("(RPATH)" not in dynamic and "(RUNPATH)" not in dynamic, "a run path")

    # An unmet strong version need stops every process that preloads us.
    for line in output("nm", "-D", "--undefined-only", path).splitlines():
        kind, name = line.split()[-2:]
        if name in ZLIB:
            continue
        version = re.search(r"@GLIBC_([0-9.]+)$", name)
        if version and kind != "w":
            number = tuple(int(n) for n in version[1].split("."))
            need(number[:2] <= NEWEST, "%s is newer than GLIBC_%d.%d and not weak", name, *NEWEST)
        need(kind == "w" or not ELSEWHERE.match(name), "%s is in none of libc, libm, libdl before glibc 2.34", name)
        need("@" in name or kind == "w", "%s is undefined without a version", name)
        need(name.split("@")[0] != "__tls_get_addr", "__tls_get_addr: a TLS access is not initial-exec")
    # Version needs of weak symbols must be weak themselves: the loader looks at the need, not at the symbol.
    for line in output("readelf", "-VW", path).splitlines():
        match = re.search(r"Name: GLIBC_([0-9.]+)\s+Flags: (\S+)", line)
        if match:
            number = tuple(int(n) for n in match[1].split("."))
            need(number[:2] <= NEWEST or match[2] == "WEAK", "the version need GLIBC_%s is strong", match[1])
    for line in output("readelf", "-lW", path).splitlines():
        words = line.split()
        if words[:1] == ["TLS"]:
            need(int(words[5], 16) < TLS_BYTES, "%d bytes of TLS", int(words[5], 16))
            need(int(words[4], 16) == 0, "TLS that is not all zero at start (%d bytes of image)", int(words[4], 16))
        if words[:1] == ["GNU_STACK"]:
            need("E" not in words[6], "an executable stack")
    need("TLSDESC" not in output("readelf", "-rW", path) and "DTPMOD" not in output("readelf", "-rW", path),
         "a TLS relocation that is not initial-exec")
done()
