#!/usr/bin/python3 -B
# Allocators that have more than malloc: what a C++ program allocates by every way is recorded once, with each of them, chosen by
# heaptap run or linked with the program; exactly at rate 1, else within the error that the rate implies.
import glob
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, COMMAND, COUNT, SHIM, Count, Test, clean_environment, need_program  # noqa: E402
from heap_profile import Profile  # noqa: E402

HOST = BUILD + "/e2e/companion_host"
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "companion_host.cpp")
# Name for --allocator, library, what a comment of its figures begins with.
ALLOCATORS = [("jemalloc", "libjemalloc.so.2", "jemalloc_resident_bytes"), ("tcmalloc", "libtcmalloc_minimal.so.4", "tcmalloc_heap_bytes"),
              ("", "libtcmalloc.so.4", "tcmalloc_heap_bytes"), ("mimalloc", "libmimalloc.so.2", "mimalloc_committed_bytes"),
              ("mimalloc", "libmimalloc.so.3", "mimalloc_committed_bytes")]
# Its operator new comes back to malloc, by a call and by a jump, and one form goes on to another by its name.
ROUNDABOUT = r"""
#include <errno.h>
#include <stddef.h>
#include <new>
extern "C" {
void *__libc_malloc(size_t); void *__libc_realloc(void *, size_t); void *__libc_calloc(size_t, size_t);
void __libc_free(void *); void *__libc_memalign(size_t, size_t);
__attribute__((noinline)) void *malloc(size_t size) { return __libc_malloc(size); }
void *realloc(void *block, size_t size) { return __libc_realloc(block, size); }
void *calloc(size_t count, size_t size) { return __libc_calloc(count, size); }
void free(void *block) { __libc_free(block); }
void *memalign(size_t align, size_t size) { return __libc_memalign(align, size); }
void *aligned_alloc(size_t align, size_t size) { return memalign(align, size); }
int posix_memalign(void **block, size_t align, size_t size) { *block = memalign(align, size); return *block ? 0 : ENOMEM; }
}
void *operator new(size_t size) { void *block = malloc(size); if (!block) throw std::bad_alloc(); return block; }
void *operator new[](size_t size) { return operator new(size); }
void *operator new(size_t size, const std::nothrow_t &) noexcept { return malloc(size); }
void *operator new[](size_t size, const std::nothrow_t &tag) noexcept { return operator new(size, tag); }
void *operator new(size_t size, std::align_val_t align) { return aligned_alloc((size_t)align, size); }
void *operator new[](size_t size, std::align_val_t align) { return operator new(size, align); }
void operator delete(void *block) noexcept { free(block); }
void operator delete[](void *block) noexcept { operator delete(block); }
void operator delete(void *block, size_t) noexcept { operator delete(block); }
void operator delete(void *block, size_t, std::align_val_t) noexcept { free(block); }
void operator delete[](void *block, std::align_val_t) noexcept { free(block); }
"""


def counted_part(t, path):
    """A profile of nothing but the functions that the host has counted."""
    part = t.path("part.pb.gz")
    done = t.heaptap("proto", "--focus=^counted_", "-o", part, path)
    t.need(done.returncode == 0, "proto: %s", done.errors)
    profile = Profile(part)
    profile.pid = 0
    return profile


def comments(path):
    return Profile(path).health()


def hold(t, title, out, done, rate):
    """The one exit profile against what the host has said; returns the comments."""
    t.need(done.returncode == 0 and not done.errors, "%s: status %s, %s", title, done.returncode, done.errors)
    files = t.files(out, "exit")
    if not t.need(len(files) == 1, "%s: profiles: %s", title, files):
        return {}
    count = Count(done.output)
    part = counted_part(t, files[0])
    if rate == 1:
        t.need(part.totals() == count.totals, "%s: %s, exact %s", title, part.totals(), count.totals)
    else:
        t.hold(title, [part], [count], rate)
    return comments(files[0])


def run(t, title, arguments, rate, program, objects, env=None):
    out = t.new_folder(re.sub("[^a-z0-9]+", "_", title.lower()) + "." + rate)
    done = t.run([COMMAND, "run", "--rate", rate, "-o", out, *arguments, "--", program, objects],
                 env=clean_environment(HEAPTAP_SEED="7", **(env or {})))
    return hold(t, "%s, rate %s" % (title, rate), out, done, {"1": 1, "8K": 8192, "64K": 65536}[rate])


def check_allocator(t, name, library, path, figure):
    choose = ["--allocator", name or path]
    for rate, objects in (("1", "3000"), ("8K", "30000"), ("64K", "30000")):
        seen = run(t, library, choose, rate, HOST, objects)
        t.need(seen.get("allocator") == library[:39] or seen.get("allocator", "").startswith(library), "%s: allocator=%s", library,
               seen.get("allocator"))
        t.need("unseen" not in seen and int(seen.get(figure, "0")) > 0 and "allocator_age_ms" in seen, "%s: comments: %s", library, seen)
    # Linked with the program, and with a library that the program needs.
    linked, middle = t.path("linked." + library), t.path("libmiddle." + library + ".so")
    for command in (["-o", linked, SOURCE, "-Wl,--no-as-needed", path], ["-shared", "-fPIC", "-o", middle, "-x", "c++", "/dev/null",
                     "-x", "none", "-Wl,--no-as-needed", path],
                    ["-o", linked + ".further", SOURCE, "-Wl,--no-as-needed", middle, "-Wl,-rpath," + t.folder]):
        done = t.run([CXX, "-std=c++17", "-O1", "-g", "-fno-builtin", "-pthread", *command])
        t.need(done.returncode == 0, "compiling: %s", done.errors)
    run(t, library + " linked", [], "1", linked, "2000")
    run(t, library + " linked further", [], "1", linked + ".further", "2000")
    run(t, library + " preloaded", [], "1", HOST, "2000", env={"LD_PRELOAD": path})


def check_without(t, library, path):
    """The shim and the allocator alone: what is not seen is said, and only where it was asked for on standard error."""
    for verbose in ("0", "1"):
        out = t.new_folder("without.%s.%s" % (library, verbose))
        env = t.shim(out, rate=1, verbose=verbose)
        env["LD_PRELOAD"] += " " + path
        done = t.run([HOST, "300"], env=env)
        t.need(done.returncode == 0, "%s without: %s", library, done.errors)
        said = [line for line in done.errors.splitlines() if "operator new" in line]
        t.need(len(said) == (verbose == "1") and (verbose == "1" or not done.errors), "%s without, verbose %s: %r", library, verbose,
               done.errors)
        files = t.files(out, "exit")
        t.need("operator new" in comments(files[0]).get("unseen", ""), "%s without: %s", library, comments(files[0]))
    bin_folder = t.new_folder("bin." + library)
    for file in (COMMAND, SHIM):
        shutil.copy(file, bin_folder)
    for option, words in (([], None), (["-v"], "its companion is not beside")):
        out = t.new_folder("no.companion.%s%s" % (library, "".join(option)))
        done = t.run([bin_folder + "/heaptap", "run", *option, "--rate", "1", "-o", out, "--allocator", path, "--", HOST, "300"])
        t.need(done.returncode == 0 and (words in done.errors if words else not done.errors), "no companion: %r", done.errors)
    out = t.new_folder("no.profile." + library)
    done = t.run([bin_folder + "/heaptap", "run", "-v", "-o", out, "--rate", "900G", "--allocator", path, "--", HOST, "3"])
    t.need("own functions is not seen" in done.errors and "lower --rate" not in done.errors, "no profile: %r", done.errors)


def check_between(t, library, path):
    """Another interposer between the companion and the allocator."""
    out = t.new_folder("between." + library)
    env = t.shim(out, rate=1)
    env["LD_PRELOAD"] = " ".join([SHIM, SHIM.replace(".so", "-jemalloc.so"), COUNT, path])
    env["HT_COUNT_OUT"] = t.path("count.between")
    hold(t, library + ", another between", out, t.run([HOST, "2000"], env=env), 1)


def check_roundabout(t):
    """An allocator that nobody knows, whose operator new passes through malloc: nothing is counted twice."""
    with open(t.path("roundabout.cpp"), "w") as file:
        file.write(ROUNDABOUT)
    library = t.path("libroundalloc.so")
    done = t.run([CXX, "-std=c++17", "-O2", "-fno-builtin", "-shared", "-fPIC", "-o", library, t.path("roundabout.cpp")])
    t.need(done.returncode == 0, "compiling: %s", done.errors)
    for rate, objects in (("1", "2000"), ("8K", "30000")):
        seen = run(t, "roundabout", ["--allocator", library], rate, HOST, objects)
        t.need("unseen" not in seen, "roundabout: %s", seen)


def check_children(t, path):
    """What a program linked with an allocator starts has the companion, and no allocator: it runs as ever."""
    for script, words in (("echo one; perl -e 'print 2'; python3 -c 'print(3)'", "one\n23\n"), (HOST + " 200", None)):
        out = t.new_folder("children%d" % len(words or ""))
        env = t.shim(out, rate=1)
        env["LD_PRELOAD"] += " " + SHIM.replace(".so", "-jemalloc.so")
        done = t.run(["sh", "-c", script], env=env)
        t.need(done.returncode == 0 and not done.errors and words in (None, done.output), "children: %r %r", done.output, done.errors)
        if words is None:
            part = counted_part(t, [f for f in t.files(out, "exit") if "companion_host" in f][0])
            t.need(part.totals() == Count(done.output).totals, "a child without the allocator: %s, exact %s", part.totals(), done.output)
    done = t.run([COMMAND, "run", "--allocator", "none", "true"])
    t.need(done.returncode == 125 and "use jemalloc, tcmalloc, mimalloc" in done.errors, "--allocator none: %r", done.errors)


if not os.path.exists(HOST):
    print("SKIPPED: the host was not built (a C++ compiler: tools/test installs it)")
    sys.exit(77)
CXX, = need_program("g++")
with Test("companion") as test:
    missing = []
    for name, library, figure in ALLOCATORS:
        paths = glob.glob("/usr/lib/*-linux-gnu/" + library)
        if paths:
            check_allocator(test, name, library, paths[0], figure)
        else:
            missing.append(library)
        if paths and library == "libjemalloc.so.2":
            check_without(test, library, paths[0])
            check_children(test, paths[0])
            check_between(test, library, paths[0])
    check_roundabout(test)
    if missing:
        print("left out: %s, not installed" % ", ".join(missing))
