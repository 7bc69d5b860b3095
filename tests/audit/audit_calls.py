#!/usr/bin/python3 -B
# No object of src/ calls malloc, stdio, locks or anything else that may allocate: nm -u against an allow list.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from audit import done, need, rooms, symbols  # noqa: E402

# Functions that neither allocate nor lock nor are cancellation points; memory, strings, mathematics.
PURE = {"memcpy", "memset", "memcmp", "memmove", "memchr", "memrchr", "strlen", "strnlen", "strcmp", "strncmp", "strchr",
        "strrchr", "strcspn", "strspn", "strstr", "__errno_location", "environ", "__environ", "expm1", "log1p", "exp",
        "log", "fmod", "_GLOBAL_OFFSET_TABLE_", "secure_getenv", "__stack_chk_fail", "_DYNAMIC", "__ehdr_start",
        "_dl_find_object", "getauxval", "strncpy", "bcmp",
        "nextafterf", "_end", "_edata", "__bss_start"}
# What one file alone may call, and why: at load, at exit and in the handler, never on a sampled path.
SOMETIMES = {
    "sys/libdl": {name: "for those that may use ht_" + name for name in ("dlsym", "dlopen", "dlclose", "dladdr")},
    "companion/find": {**{name: "finds the allocator, at load; what it offers, where bare would end"
                          for name in ("ht_dlsym", "ht_dladdr", "ht_dlopen", "ht_dlclose")},
                       "__start_ht_rows": "the linker's", "__stop_ht_rows": "the linker's"},
    "companion/operators": {name: "what C++ libraries do, in a process without one" for name in ("malloc", "aligned_alloc", "free")},
    "companion/jemalloc": {name: "for who asks for jemalloc in a process without it"
                           for name in ("malloc", "aligned_alloc", "realloc", "free", "malloc_usable_size")},
    "companion/mimalloc": {"mi_heap_visit_blocks": "weak: the host's call destroys a heap"},
    "heap/real": {"ht_dlsym": "finds the host's allocator, at load", "mallocx": "weak, its address only",
                  "tc_malloc": "the same", "mi_malloc": "the same", "__libc_calloc": "the same"},
    "unwind/permanent": {"dl_iterate_phdr": "once, at load, before any thread"},
    "unwind/unwind": {"__libc_stack_end": "data of the loader's: where the main thread's stack ends"},
    "unwind/libunwind": {"ht_dlopen": "HEAPTAP_UNWIND=libunwind, at load", "ht_dlsym": "the same"},
    "trigger/start": {"pthread_atfork": "at load", "__register_atfork": "at load", "at_quick_exit": "at load",
                      "atexit": "at load", "__cxa_at_quick_exit": "at load", "__dso_handle": "at load",
                      "__cxa_atexit": "at load", "malloc": "its address only: whose is it?"},
    "trigger/allocator": {**{name: "weak, its address only" for name in ("_Znwm", "mallctl", "MallocExtension_GetNumericProperty",
                                                                         "mi_process_info")},
                          "ht_dladdr": "whose they are, at load"},
    "trigger/handler": {"sigaction": "one system call, async-signal-safe", "sigemptyset": "async-signal-safe"},
    "snapshot/gzip": {"deflate": "zlib with our allocator", "deflateInit2_": "the same", "deflateEnd": "the same",
                      "deflateReset": "the same", "crc32": "zlib, pure"},
    "snapshot/message": {},
}
FORBIDDEN = re.compile(r"^(malloc|calloc|realloc|reallocarray|free|posix_memalign|aligned_alloc|memalign|valloc|pvalloc|"
                       r"strdup|strndup|asprintf|vasprintf|f?printf|v?s?n?printf|fopen|fclose|fwrite|fputs|puts|open|close|"
                       r"read|write|pthread_mutex_.*|pthread_cond_.*|pthread_create|abort|exit|__assert_fail|"
                       r"dladdr|getenv|localtime.*|syslog|usleep|nanosleep)$")

# Names defined in src/ itself, and the hooks, which the exporting file defines and the others must not use.
defined, wanted = {}, {}
for room in rooms():
    if not room.path.startswith("src/"):
        continue
    need(room.objects, "no objects of %s", room.path)
    for path in sorted(room.objects):
        short = "%s/%s" % (room.name, os.path.basename(path)[:-len(".c.o")])
        wanted[short] = set()
        for name, kind in symbols(path):
            if kind in "Uwv":
                wanted[short].add(name)
            else:
                defined[name] = short
# ... and what our own library functions stand for.
hooks = {n for n in defined if FORBIDDEN.match(n) or n.startswith("ht_dl")}
for short, names in sorted(wanted.items()):
    for name in sorted(names):
        if name in defined and name not in hooks:
            continue
        # _FORTIFY_SOURCE: the same, and an end of the host where memory behind a buffer would have been overwritten.
        name = re.sub(r"^__(mem\w+|str\w+)_chk$", r"\1", name)
        allowed = SOMETIMES.get(short, {})
        protobuf = short.startswith("snapshot/") and (name.startswith("protobuf_c_") or name.startswith("perftools__"))
        zlib = short.startswith("snapshot/") and name in SOMETIMES["snapshot/gzip"]
        need(name in PURE or name in allowed or protobuf or zlib, "src/%s.c uses %s%s", short, name,
             ", which may allocate, lock or stop the host" if FORBIDDEN.match(name) else ", which is not on the allow list")
done()
