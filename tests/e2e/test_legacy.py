#!/usr/bin/python3 -B
# What `go tool pprof` reads besides profile.proto is read to the same figures: `raw` and `top` of small files of each form,
# of files that tcmalloc and gperftools write where they are installed, and of jemalloc's against jeprof.
import glob
import gzip
import os
import re
import shutil
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, Test, clean_environment, need_program  # noqa: E402

GO, = need_program("go")
MAPS = "\nMAPPED_LIBRARIES:\n00400000-00600000 r-xp 00000000 08:01 1234 /srv/none/prog\n" \
       "00600000-00700000 rw-p 00200000 08:01 1234 /srv/none/prog\n7f0000100000-7f0000200000 r-xp 00001000 08:01 9 /lib/libx.so.6\n"
STACKS = ("0x401001 0x401101 0x7f0000100011", "0x401021 0x401101", "0x7f00000fffff 0x401101", "0x10 0x401101")


def heap(head, rows=((3, 3000, 7, 7001), (1, 524288, 1, 524288), (2, 33, 2, 33), (0, 0, 5, 999))):
    return head + "\n" + "".join("%6d: %8d [%6d: %8d] @ %s\n" % (row + (stack,)) for row, stack in zip(rows, STACKS))


def words(form, kind, *samples):
    numbers = [0, 3, kind, 10000, 0]
    for count, stack in samples:
        numbers += [count, len(stack)] + list(stack)
    return b"".join(struct.pack(form, number) for number in numbers + [0, 1, 0])


SAMPLES = [(i % 5 + 1, [0x401000 + i % 7, 0x500001, 0x401100 + i % 7 + 1, 0x401201]) for i in range(100)]
JAVA_NAMES = b"0x00000001 a.B.c (B.java:12)\n 0x2 java.d (/usr/lib/jvm/libjvm.so)\n0x3 GC\n0x4 generated stub/JIT\n" \
             b"0x5 a.B.c (Other.java:7)\n0x6 e (Native.java:-2)\n"
FILES = {
    "heapprofile": heap("heap profile: 6: 527321 [15: 532321] @ heapprofile") + MAPS,
    "heap_v2": heap("heap profile: 6: 527321 [15: 532321] @ heap_v2/524288") + MAPS,
    "heapz_v2": heap("heap profile: 6: 527321 [6: 527321] @ heapz_v2/4096", ((3, 3000, 3, 3000), (1, 4096, 1, 4096))) + MAPS,
    "heap_go": heap("heap profile: 6: 527321 [15: 532321] @ heap/1048576") + "\n# runtime.MemStats\n# Alloc = 5\n",
    "heap_norate": heap("heap profile: 6: 527321 [15: 532321] @ heap_v2"),
    "growth": heap("heap profile: 6: 527321 [15: 532321] @ growthz") + MAPS,
    "fragmentation": heap("heap profile: 6: 527321 [15: 532321] @ fragmentationz"),
    "empty_stack": "heap profile: 1: 5 [1: 5] @ heapprofile\n1: 5 [1: 5] @\n",
    "no_sample": "heap profile: 0: 0 [0: 0] @ heapprofile\n",
    "short_maps": heap("heap profile: 6: 527321 [6: 527321] @ heapprofile") +
        "--- Memory map: ---\n  build=/srv/none\n  0x400000-0x500000: $build/prog\n  500000-600000: $build/prog (@100000) abc123\n",
    "cut_maps": heap("heap profile: 6: 527321 [6: 527321] @ heapprofile") +
        "--- Memory map: ---\n  402000-403000 r-xp 00002000 08:01 1 /srv/none/prog\n",
    "contentionz": "--- contentionz 1 ---\ncycles/second = 3201000000\nsampling period = 100\nms since reset = 16502830\n"
        "discarded samples = 0\n  " + "\n  ".join("%d %d @ %s" % (31 * i, i, s) for i, s in enumerate(STACKS, 1)) + MAPS.replace("MAPPED_LIBRARIES:", "--- Memory map: ---"),
    "go_mutex": "--- mutex:\ncycles/second=2000000001\nsampling period=1\n300 3 @ 0x11\n#\t0x10\tmain.f+0x1\ta.go:3\n",
    "goroutine": "goroutine profile: total 3\n2 @ 0x11 0x21\n#\t0x10\tmain.f+0x1\t/a.go:3\n\n1 @ 0x31 0x21\n",
    "threadz": "--- threadz 1 ---\n\n--- Thread 7f01 (name: main/12) stack: ---\n  PC:  0x00401000: f(int *)\n  0x00401101: main\n"
        "--- Thread 7f02 (name: w/13) stack: ---\n  PC: 0x401020 0x401020 0x401101\n"
        "--- Thread 7f03 (name: w/14) stack: ---\n  [same as previous thread]\n--- Memory map: ---\n  400000-500000: /srv/none/prog\n",
    "java_heapz": b"--- heapz 1 ---\nformat = java\nresolution = bytes\n 1048576 2 @ 0x1 0x2 0x3\n 100 1 @ 0x4 0x5\n 9 9 @ 0x7 0x6\n\n" +
        JAVA_NAMES,
    "java_contentionz": b"--- contentionz 1 ---\nformat = java\nresolution = microseconds\nsampling period = 100\n"
        b"ms since reset = 6019923\n 7 2 @ 0x1 0x2\n 8 3 @ 0x3 0x4\n\n" + JAVA_NAMES,
    "java_cpu": words(">I", 1, (5, [1, 2]), (6, [3, 4, 5])) + JAVA_NAMES,
    "cpu_32": words("<I", 0, *SAMPLES) + MAPS.encode(),
    "cpu_32_big": words(">I", 0, *SAMPLES) + MAPS.encode(),
    "cpu_64": words("<Q", 0, *SAMPLES) + MAPS.encode(),
    "cpu_64_big": words(">Q", 0, *SAMPLES[:1]) + MAPS.encode(),
    "packed": gzip.compress((heap("heap profile: 6: 527321 [15: 532321] @ heap_v2/524288") + MAPS).encode()),
}
BROKEN = {
    "broken_heap": "heap profile: 1: 5 [1: 5] @ heapprofile\n1: 5 [1: 5 @ 0x11\n",
    "broken_count": "goroutine profile: total 3\n1 0x11\n",
    "broken_attribute": "--- contentionz 1 ---\nwhatever = 1\n1 1 @ 0x1\n",
    "text": "no profile at all\n",
}


def pprof(report, path):
    return test.run([GO, "tool", "pprof", "-symbolize=none", "-" + report, path],
                    clean_environment(HOME=test.folder, PPROF_TMPDIR=test.folder, GO111MODULE="off", TZ="UTC"))


def is_held():
    """Whether this is the pprof whose bytes ours are; later ones number what is empty, and print places otherwise."""
    return " go1.19" in test.run([GO, "version"], clean_environment(HOME=test.folder)).output


def as_pprof(title, path):
    for report in ("raw", "top") if title in ("heap_v2", "contentionz", "java_heapz", "cpu_64") else ("raw",):
        theirs = pprof(report, path)
        ours = test.heaptap(report, "--symbolize=none", *(["--no-error"] if report == "top" else []), path)
        test.need(theirs.returncode == 0, "%s: pprof -%s: %s", title, report, theirs.errors[-300:])
        test.need(ours.output == theirs.output or not held, "%s: %s differs from pprof's:\n%s\n%s", title, report, ours.output[:1500],
                  theirs.output[:1500])




with Test("legacy") as test:
    held = is_held()
    for title, content in dict(FILES, **BROKEN).items():
        with open(test.path(title), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
    for title in FILES:
        as_pprof(title, test.path(title))
    for title in BROKEN:
        test.need(pprof("raw", test.path(title)).returncode != 0, "pprof reads %s", title)
        done = test.run([BUILD + "/heaptap", "top", test.path(title)])
        test.need(done.returncode == 1 and not done.output and done.errors.count("\n") == 1, "%s: status %d, %s%s", title,
                  done.returncode, done.output, done.errors)

    # Packed by other programs: opened from a file, called by its name where there is no program or no file.
    plain = test.heaptap("top", test.path("heapprofile")).output
    for packer, suffix in (("zstd", ".zst"), ("xz", ".xz"), ("bzip2", ".bz2"), ("lz4", ".lz4")):
        if not shutil.which(packer):
            print("left out: %s is not installed" % packer)
            continue
        path = test.path("heapprofile") + suffix
        for source, target in (("heapprofile", path), ("broken_heap", path + ".broken")):
            with open(target, "wb") as file:
                test.need(test.run([packer, "-c", test.path(source)], stdout=file).returncode == 0, "%s failed", packer)
        test.need(test.heaptap("top", path).output == plain, "%s: another report", suffix)
        with open(path, "rb") as file:
            whole = file.read()
        with open(path + ".cut", "wb") as file:
            file.write(whole[:-12])
        shell = ["sh", "-c", 'cat "$1" | "$2" top -', "sh", path, BUILD + "/heaptap"]
        for done, said in ((test.run([BUILD + "/heaptap", "top", path], clean_environment(PATH="/nowhere")), "no program '%s'" % packer),
                           (test.run([BUILD + "/heaptap", "top", path + ".cut"]), "damaged or cut off"),
                           (test.run([BUILD + "/heaptap", "top", path + ".broken"]), "line 2: neither a sample"),
                           (test.run(shell), "'%s -dc FILE | heaptap top -'" % packer)):
            test.need(done.returncode == 1 and not done.output and done.errors.count("\n") == 1 and said in done.errors,
                      "%s: status %d, %s%s", suffix, done.returncode, done.output, done.errors)

    # Several with different sample types: those that they share.
    with open(test.path("in_use"), "w") as file:
        file.write("heap_v2/1\n  t*: 1: 500 [0: 0]\n@ 0x401001\n  t*: 1: 500 [0: 0]\n")
    done = test.run([BUILD + "/heaptap", "raw", "--symbolize=none", test.path("heapprofile"), test.path("in_use")])
    test.need(done.returncode == 0 and "\ninuse_objects/count inuse_space/bytes\n" in done.output and
              done.errors == "heaptap: warning: left out, as not every profile has it: alloc_objects, alloc_space\n",
              "merged: status %d, %s%s", done.returncode, done.output[:400], done.errors)
    done = test.run([BUILD + "/heaptap", "raw", test.path("heapprofile"), test.path("growth")])
    test.need(done.returncode == 1 and "do not fit together: 4 and 2 sample types" in done.errors and
              done.errors.count("\n") == 1, "nothing shared: status %d, %s", done.returncode, done.errors)

    # Real writers.
    def library(name):
        found = glob.glob("/usr/lib/*/" + name)
        return found[0] if found else None

    tcmalloc = library("libtcmalloc_and_profiler.so.4")
    if tcmalloc:
        env = clean_environment(LD_PRELOAD=tcmalloc, HEAPPROFILE=test.path("gp"), CPUPROFILE=test.path("gp.prof"))
        test.run(["/usr/bin/python3", "-c", "keep = [bytes(1000 * i) for i in range(3000)]"], env)
        for path in glob.glob(test.path("gp*")):
            as_pprof("gperftools' " + os.path.basename(path), path)
    jemalloc, jeprof = library("libjemalloc.so.2"), shutil.which("jeprof")
    if jemalloc and jeprof:
        python = os.path.realpath("/usr/bin/python3")
        env = clean_environment(LD_PRELOAD=jemalloc, PYTHONMALLOC="malloc",
                                MALLOC_CONF="prof:true,prof_final:true,prof_accum:true,lg_prof_sample:14,prof_prefix:" + test.path("je"))
        test.run([python, "-c", "keep = [bytes(1000 * i) for i in range(3000)]"], env)
        files = glob.glob(test.path("je*.heap"))
        test.need(len(files) == 1, "jemalloc wrote %s", files)
        for path in files:
            for index, option in (("inuse_space", "--inuse_space"), ("alloc_space", "--alloc_space")):
                theirs = test.run([jeprof, "--show_bytes", "--text", option, python, path])
                total = int(re.search(r"Total: (\d+) B", theirs.output)[1])
                raw = test.heaptap("raw", "--symbolize=none", path).output
                column = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space").index(index)
                got = sum(int(row.split()[column]) for row in re.findall(r"^([ \d]+):[ \d]*$", raw, re.M))
                stacks = len(re.findall(r"^[ \d]+:[ \d]*$", raw, re.M))
                test.need(0 <= total - got <= stacks, "%s: jeprof has %d, heaptap %d in %d stacks", index, total, got, stacks)
            top = test.heaptap("top", path).output
            test.need("libjemalloc" not in top.split("\n")[5], "jemalloc's own frames are on top:\n%s", top[:800])
    if not tcmalloc or not jemalloc or not jeprof:
        print("left out: what libtcmalloc (%s) and libjemalloc (%s, jeprof %s) write" % (tcmalloc, jemalloc, jeprof))
