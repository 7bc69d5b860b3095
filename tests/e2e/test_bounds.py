#!/usr/bin/python3 -B
"""What others left costs the one who looks no more than what is really there: memory by what a file holds, not by what it says;
one look at the processes for any number of files; limits that are said where they cut. Work is counted, never timed."""
import glob
import gzip
import lzma
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
from e2e import BUILD, COMMAND, Test, clean_environment, need_program  # noqa: E402
from profile_writer import Profile, block, packed  # noqa: E402

LIVE = tempfile.mkdtemp(prefix="heaptap-bounds.", dir="/dev/shm")
MB = 1 << 20


def measured(*words, status=0, stdin=subprocess.DEVNULL, env=None):
    """Output, messages, and the most memory that it had, in bytes."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen([COMMAND, *words], stdin=stdin, stdout=out, stderr=err,
                                   env=env or clean_environment(HEAPTAP_LIVE=LIVE))
        _, ended, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(ended)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    test.need(process.returncode == status, "%s: status %d: %s", " ".join(words), process.returncode, texts[1][-400:])
    return *texts, usage.ru_maxrss * 1024


def opens(*words):
    """How many files of processes it opens."""
    path = test.path("opens")
    env = clean_environment(HEAPTAP_LIVE=LIVE, LD_PRELOAD=BUILD + "/e2e/libcount_opens.so", HT_OPENS=path)
    subprocess.run([COMMAND, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    with open(path) as file:
        return int(file.read())


def make_region():
    """The region of a program that was killed."""
    process = test.start([BUILD + "/e2e/host", "poll"], env=test.shim(test.path("out"), rate=1, live=LIVE, memory="16M"), stdout=-1)
    process.stdout.readline()
    found = glob.glob(LIVE + "/heaptap.host.%d.*.live" % process.pid)
    test.need(len(found) == 1, "regions: %s", found)
    process.kill()
    process.wait()
    whole = open(found[0], "rb").read()
    os.unlink(found[0])
    used = struct.unpack_from("<Q", whole, 24)[0]
    test.need(4096 < used < len(whole), "the header's word for used bytes: %d of %d", used, len(whole))
    return bytearray(whole)


def write_sparse(path, whole, size):
    """A file of `size` bytes whose pages of zeros take no room."""
    with open(path, "wb") as file:
        for at in range(0, len(whole), 4096):
            if any(whole[at:at + 4096]):
                file.seek(at)
                file.write(whole[at:at + 4096])
        file.truncate(size)


def claim(whole, size):
    head = bytearray(whole)
    for at in (16, 24, 32):
        struct.pack_into("<Q", head, at, size)
    return head


def check_sparse(whole):
    good, sparse, large = (LIVE + "/heaptap.%s.live" % name for name in ("good", "sparse", "large"))
    with open(good, "wb") as file:
        file.write(whole)
    out, _, least = measured("top", good)
    write_sparse(sparse, whole, len(whole))
    again, _, _ = measured("top", sparse)
    test.need(again == out and "keep_blocks" in out, "a copy with holes shows something else: %s", again)
    for name, size, is_read in (("believed", 64 * MB, True), ("large", 1 << 30, False), ("larger", 1 << 40, False)):
        write_sparse(large, claim(whole, size), size)
        test.need(os.stat(large).st_blocks * 512 < 4 * MB, "the test's own file is not sparse")
        shown, errors, most = measured("top", large, status=0 if is_read else 1)
        test.need(most < least + 20 * MB, "top of a file that claims %d bytes: %d MB, of a small one %d", size, most / MB, least / MB)
        test.need("keep_blocks" in shown if is_read else "claims more" in errors, "%s: %s %s", name, shown, errors)
        shown, _, most = measured("ps", "--dead", "-v", "--over", "0")
        test.need(most < least + 20 * MB, "ps --dead with a file that claims %d bytes: %d MB", size, most / MB)
        test.need(is_read or "claims more" in shown, "ps --dead of %s: %s", name, shown)
    for path in (good, sparse, large):
        os.unlink(path)


def check_many(whole):
    """Of more files the processes are not looked at more often."""
    costs = {}
    small = whole[:struct.unpack_from("<Q", whole, 24)[0]]
    for count in (4, 44):
        for i in range(count):
            write_sparse(LIVE + "/heaptap.many.%d.live" % i, small, len(small))
        for words in (["ps", "--dead", "--over", "0"], ["top", "99999999"]):
            costs[count, words[0]] = opens(*words)
    for command in ("ps", "top"):
        few, many = costs[4, command], costs[44, command]
        print("%s: %d and %d files of processes are opened with 4 and 44 regions" % (command, few, many))
        test.need(few > 10 and many < 2 * few, "%s: %d opens with 4 files, %d with 44", command, few, many)
    for i in range(1100):
        write_sparse(LIVE + "/heaptap.many.%d.live" % i, whole[:65536], 65536)
    _, errors, _ = measured("ps", "--dead", "--over", "0")
    test.need("1024 of 1100 region files of user %d" % os.geteuid() in errors, "the limit is not said: %s", errors)
    for _ in range(2):
        measured("ps", "--dead", "--clean")
    test.need(not glob.glob(LIVE + "/*"), "what is beyond the limit cannot be cleaned: %d", len(glob.glob(LIVE + "/*")))


def small_profile():
    p = Profile()
    p.sample_type("inuse_space", "bytes")
    p.sample([p.location(p.mapping(1, 2, file="/srv/program"), 0x100, [(p.function("packed_here"), 1)])], [5])
    return p.bytes()


def check_unpacking():
    """What unpacks a foreign profile: with whose rights, of what it knows, how much it may make."""
    real, = need_program("xz")
    profile = small_profile()
    path, fake = test.path("heap.pb.xz"), test.new_folder("bin")
    with open(path, "wb") as file:
        file.write(lzma.compress(profile))
    owner = 65534 if os.geteuid() == 0 else os.geteuid()
    os.chown(path, owner, -1)
    with open(fake + "/xz", "w") as file:
        file.write("#!/bin/sh\n[ $(/usr/bin/id -u) = %d ] && [ -z \"$SECRET\" ] && [ $(ulimit -f) = 0 ] && [ $(ulimit -t) = 120 ] &&\n"
                   "/bin/grep -q 'NoNewPrivs:.1' /proc/self/status || exit 9\necho noise >&2\nexec %s \"$@\"\n" % (owner, real))
    os.chmod(fake + "/xz", 0o755)
    out, errors, least = measured("top", path, env=clean_environment(PATH=fake + ":" + os.environ["PATH"], SECRET="word"))
    test.need("packed_here" in out and "noise" not in errors, "unpacking: %s %s", out, errors)
    bomb = lzma.LZMACompressor(preset=0)
    with open(path, "wb") as file:
        file.write(bomb.compress(profile))
        for _ in range(40):  # fields that nobody knows
            file.write(bomb.compress(block(100, bytes(8 * MB))))
        file.write(bomb.flush())
    size = os.stat(path).st_size
    test.need(size < MB // 4, "the bomb has %d bytes", size)
    _, errors, most = measured("top", path, status=1)
    test.need("too large: more than" in errors and "uncompressed" in errors, "a bomb: %s", errors)
    test.need(most < least + 40 * MB, "a bomb takes %d MB, a small profile %d", most / MB, least / MB)


def write_profile(name, p):
    path = test.path(name)
    with gzip.open(path, "wb", 6) as file:
        file.write(p.bytes())
    return path


def check_profiles():
    """What a small file can say often: chains of inlined functions, texts, labels, comments, sample types."""
    p = Profile()
    p.sample_type("inuse_space", "bytes")
    p.mapping(1, 1 << 40, file="/srv/program")
    names = [p.function("inlined_%d" % i) for i in range(50)]
    deep = p.location(1, 0x100, [(names[i % 50], i) for i in range(20000)])
    for i in range(20):
        p.sample([deep] * 1000 + [p.location(1, 0x200 + i, [(names[i], 1)])], [5])
    path = write_profile("inlined.pb.gz", p)
    test.need(os.stat(path).st_size < MB // 8, "the profile is not small: %d", os.stat(path).st_size)
    for words in (["top"], ["traces"], ["folded"], ["flame", "--svg", "-o", test.path("flame.svg")], ["tree"], ["raw"]):
        out, errors, most = measured(*words, path)
        test.need("at 1 places more functions are inlined than are shown: 256 each" in errors, "%s: %s", words, errors)
        test.need(most < 512 * MB, "%s: %d MB of inlined functions", words[0], most / MB)
        test.need(words[0] != "traces" or out.count("\n") < 20 * 256 * 1001 + 1000, "traces: %d lines", out.count("\n"))

    p = Profile()
    p.sample_type("inuse_space", "bytes")
    place = p.location(p.mapping(1, 1 << 40, file="/srv/" + "m" * MB), 0x100, [(p.function("n" * MB, file="f" * MB), 1)])
    for i in range(500):
        p.sample([place] * 20, [i + 1], [("key", "v" * MB), ("n", i, "u" * MB)])
    p.header(comments=["c" * MB])
    path = write_profile("long.pb.gz", p)
    for words in (["top"], ["traces"], ["tags"], ["comments"], ["raw"], ["folded"], ["tree", "--json"], ["callgrind"], ["dot"]):
        out, errors, most = measured(*words, path)
        test.need("texts are longer than is shown of them: 16384 bytes" in errors, "%s: %s", words, errors)
        test.need(max(map(len, out.splitlines())) < 512 << 10 or "--json" in words, "%s: a line of %d", words, max(map(len, out.splitlines())))
        test.need("m" * 16385 not in out and "n" * 16385 not in out and "c" * 16385 not in out, "%s shows a whole text", words)
    whole = test.path("whole.pb")
    measured("proto", "-o", whole, path)
    test.need(b"n" * MB in gzip.decompress(open(whole, "rb").read()), "proto cuts texts")

    for name, count, status in (("types", 1024, 0), ("more_types", 1025, 1)):
        p = Profile()
        for i in range(count):
            p.sample_type("type%d" % i, "bytes")
        p.sample([p.location(p.mapping(1, 1 << 40), 0x100, [(p.function("main"), 1)])], [1] * count)
        _, errors, _ = measured("top", write_profile(name, p), status=status)
        test.need(("more than 1024" in errors) == (status == 1), "%d sample types: %s", count, errors)

    p = Profile()
    p.sample_type("inuse_space", "bytes")
    p.sample([p.location(p.mapping(1, 1 << 40), 0x100, [(p.function("main"), 1)])], [1])
    p.header(comments=["c%d" % i for i in range(100000)])
    out, errors, _ = measured("comments", write_profile("comments", p))
    test.need("only the first 65536 are read" in errors and out.count("\n") == 65536, "comments: %s %d", errors, out.count("\n"))


def check_packed_memory():
    """Of what gzip holds, memory in proportion: each byte of these values becomes eight."""
    p = Profile()
    p.sample_type("inuse_space", "bytes")
    for i in range(1023):
        p.sample_type("type%d" % i, "bytes")
    p.sample([p.location(p.mapping(1, 1 << 40), 0x100, [(p.function("main"), 1)])], [1] * 1024)
    p.parts += [block(2, packed(1, [1]) + packed(2, [1] * 1024))] * 100000
    path = write_profile("values", p)
    test.need(os.stat(path).st_size < MB, "the profile is not small: %d", os.stat(path).st_size)
    _, errors, most = measured("top", path, status=1)
    test.need(("needs more than" in errors or "gzip bomb" in errors) and most < 1024 * MB, "values: %d MB, %s", most / MB, errors)


def make_ranges(count):
    """A program with `count` inlined functions that all share `count` ranges of addresses, which hold all of its code."""
    source, path = test.path("ranges.s"), test.path("ranges")
    entries = "".join(" .uleb128 3\n .long 0\n" for _ in range(count))
    pairs = "".join(" .quad 0, 4096\n" for _ in range(count))
    with open(source, "w") as file:
        file.write(""".text
.globl _start
_start: .fill 4096, 1, 0x90
.section .debug_abbrev
 .uleb128 1, 0x11
 .byte 1
 .uleb128 0x11, 1, 0x12, 7, 0, 0
 .uleb128 2, 0x2e
 .byte 1
 .uleb128 0x11, 1, 0x12, 7, 3, 8, 0, 0
 .uleb128 3, 0x1d
 .byte 0
 .uleb128 0x55, 0x17, 0, 0
 .byte 0
.section .debug_info
 .long end - start
start: .short 4
 .long 0
 .byte 8
 .uleb128 1
 .quad _start, 4096
 .uleb128 2
 .quad _start, 4096
 .string "outer"
%s .byte 0, 0
end:
.section .debug_ranges
%s .quad 0, 0
""" % (entries, pairs))
    subprocess.run(["gcc", "-nostdlib", "-static", "-no-pie", "-o", path, source], check=True)
    return path


def check_ranges():
    """Debug info that says more than a file of good will does."""
    for count, is_told in ((10, False), (5000, True)):
        program = make_ranges(count)
        nm = subprocess.run(["nm", program], check=True, capture_output=True, text=True).stdout
        start, = [int(line.split()[0], 16) for line in nm.splitlines() if line.endswith(" _start")]
        p = Profile()
        p.sample_type("inuse_space", "bytes")
        mapping = p.mapping(0, 0, file=program, flags="")
        p.sample([p.location(mapping, start + 16), p.location(mapping, start + 64)], [5])
        out, errors, _ = measured("traces", "--no-cache", write_profile("ranges.pb.gz", p))
        test.need("outer" in out, "no names: %s %s", out, errors)
        test.need(("more ranges of addresses than are looked at" in errors) == is_told, "%d ranges: %s", count, errors)


with Test("bounds") as test:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        REGION = make_region()
        check_sparse(REGION)
        check_many(REGION)
        check_unpacking()
        check_profiles()
        check_packed_memory()
        check_ranges()
    finally:
        shutil.rmtree(LIVE, ignore_errors=True)
