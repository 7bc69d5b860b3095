#!/usr/bin/python3 -B
# A profile of 200 MB fits in 1 GB, and two of 100 MB merge by build id: memory and time of `heaptap top`. So does the worst
# case, a profile of stacks that have nothing in common, where call edges and stacks are as many as frames and samples.
#
# The target `big_profile`; HT_BIG_MB sets another size. Fails above 1 GB at 200 MB, in proportion at others.
import os
import random
import subprocess
import sys
import tempfile
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))

from profile_writer import Profile, block, number, packed, varint  # noqa: E402

COMMAND = os.path.abspath(os.environ.get("HT_BUILD", "build")) + "/heaptap"
MEGABYTES = int(os.environ.get("HT_BIG_MB", "200"))
LOCATIONS, DEPTH = 60000, 30
LIMIT_BYTES = (1 << 30) * max(MEGABYTES, 20) // 200


def draws_common(stable):
    """Stacks of 30 through 300 crossroads: 3,000 ways below them, 20,000 above, all in combination."""
    ids = [varint(i + 1) for i in range(LOCATIONS)]
    heads = [b"".join(ids[stable.randrange(LOCATIONS)] for _ in range(6)) + ids[stable.randrange(300)] for _ in range(3000)]
    tails = [ids[stable.randrange(1000)] + b"".join(ids[stable.randrange(LOCATIONS)] for _ in range(DEPTH - 8)) for _ in range(20000)]
    return lambda bits: heads[(bits >> 30) % len(heads)] + tails[bits % len(tails)]


def draws_random(stable):
    ids = [varint(i + 1) for i in range(LOCATIONS)]
    return lambda bits: b"".join(stable.choices(ids, k=DEPTH))


def write(path, megabytes, start, seed, draws=draws_common):
    """A gzip file of so many uncompressed megabytes; the same program for every seed, mapped at another address."""
    profile = Profile()
    for kind in ("alloc", "inuse"):
        profile.sample_type(kind + "_objects", "count")
        profile.sample_type(kind + "_space", "bytes")
    profile.mapping(start, start + (LOCATIONS << 8), 0, "/srv/bin/big", "00112233445566778899aabbccddeeff00112233")
    for i in range(LOCATIONS // 4):
        profile.function("function_%d" % i, file="src/file_%d.c" % (i // 40), start_line=i % 1000)
    for i in range(LOCATIONS):
        profile.location(1, start + (i << 8), [(i // 4 + 1, i % 1000)])
    profile.header(time_ns=1, period=("space", "bytes", 524288))
    compressor, size, stack = zlib.compressobj(1, wbits=31), 0, draws(random.Random(5))
    label = profile.text("bytes")
    labels = [block(3, number(1, label) + number(3, 16 << i)) for i in range(20)]
    varied = random.Random(seed)
    with open(path, "wb") as file:
        def put(piece):
            nonlocal size
            size += len(piece)
            file.write(compressor.compress(piece))
        put(profile.bytes())
        while size < megabytes * 1000000:
            rows = []
            for _ in range(10000):
                bits = varied.getrandbits(60)
                n = bits & 0xFFF
                rows.append(block(2, block(1, stack(bits)) + packed(2, [n * 2, n * 64, n, n * 32]) + labels[n % 20]))
            put(b"".join(rows))
        file.write(compressor.flush())
    return size


def run(title, *arguments, discard=False):
    begun = time.monotonic()
    process = subprocess.Popen([COMMAND, *arguments], stdout=subprocess.DEVNULL if discard else subprocess.PIPE)
    rows = [] if discard else process.stdout.read().decode().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    print("%-38s %6.1f s (%.1f s of CPU)  %5.0f MB at most  %s" %
          (title, time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3, next((r for r in rows if r.startswith("Showing")), "")))
    return rows, usage.ru_maxrss * 1024, status


with tempfile.TemporaryDirectory(prefix="heaptap-big.") as folder:
    whole, first, second = (os.path.join(folder, name + ".pb.gz") for name in ("whole", "first", "second"))
    sizes = [write(whole, MEGABYTES, 0x550000000000, 1), write(first, MEGABYTES // 2, 0x550000000000, 2),
             write(second, MEGABYTES // 2, 0x7f1230000000, 3)]
    print("one profile of %.0f MB (%.0f MB gzip), two of %.0f MB" %
          (sizes[0] / 1e6, os.path.getsize(whole) / 1e6, sizes[1] / 1e6))
    results = [run("heaptap top -n 5", "top", "-n", "5", "--nodefraction=0", "--symbolize=none", whole),
               run("heaptap top -n 5, two merged", "top", "-n", "5", "--nodefraction=0", "--symbolize=none", first, second),
               run("heaptap comments, two merged", "comments", "--symbolize=none", first, second)]
    os.unlink(whole)
    write(whole, MEGABYTES, 0x550000000000, 1, draws_random)
    worst = [run("random stacks, heaptap " + " ".join(words), *words, "--symbolize=none", whole, discard=True) for words in
             (("top", "--nodefraction=0"), ("tree", "--nodefraction=0"), ("peek", "^function_1$"), ("traces",), ("raw",), ("folded",), ("flame", "--svg"))]
    mappings = subprocess.run([COMMAND, "raw", "--json", "--symbolize=none", "--focus=^function_1$", first, second],
                              stdout=subprocess.PIPE, check=True).stdout.decode()
failed = [number for number, (rows, memory, status) in enumerate(results + worst) if status or memory > LIMIT_BYTES]
merged = mappings.count('"build_id": "00112233') - 1  # one is the header's
if failed or merged != 1:
    sys.exit("FAILED: runs %s; %d mappings with one build id" % (failed, merged))
