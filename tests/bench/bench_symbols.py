"""Names for 20,000 addresses of a program with more than 500 MB of debug info: heaptap, its cache, and addr2line.

All of them get the same addresses, in one run, one after the other. The program is ceph-osd with Debian's ceph-osd-dbg
(230 MB compressed, 630 MB of debug info); other files by HT_SYMBOLS_BINARY and HT_SYMBOLS_DEBUG. The packages are fetched
with `apt-get download` into HT_SYMBOLS_FOLDER (default: a folder in /var/tmp that stays) and only unpacked there.
Exit status 1 if heaptap is not at least 5 times faster, or the cache not 10 times.
"""
import glob
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import symbols  # noqa: E402

BUILD = os.path.abspath(os.environ.get("HT_BUILD") or os.path.join(os.path.dirname(__file__), "..", "..", "build"))
COMMAND = BUILD + "/heaptap"
FOLDER = os.environ.get("HT_SYMBOLS_FOLDER") or "/var/tmp/heaptap-bench-symbols"
COUNT = int(os.environ.get("HT_SYMBOLS_COUNT", "20000"))
DEBUG_SECTIONS = ("info", "abbrev", "line", "str", "line_str", "loclists", "rnglists", "aranges", "loc", "ranges")


def fetch():
    """ceph-osd and its debug info, as Debian ships it and without the compression of its sections."""
    os.makedirs(FOLDER, exist_ok=True)
    tree = os.path.join(FOLDER, "tree")
    if not os.path.exists(os.path.join(tree, "usr/bin/ceph-osd")) or not glob.glob(tree + "/usr/lib/debug/.build-id/*/*"):
        print("fetching ceph-osd and ceph-osd-dbg (512 MB) ...", flush=True)
        subprocess.run(["apt-get", "-q", "download", "ceph-osd", "ceph-osd-dbg"], cwd=FOLDER, check=True)
        for package in glob.glob(FOLDER + "/ceph-osd*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, tree], check=True)
            os.remove(package)
    binary = os.path.join(tree, "usr/bin/ceph-osd")
    build_id = symbols.Elf(binary).build_id()
    return binary, "%s/usr/lib/debug/.build-id/%s/%s.debug" % (tree, build_id[:2], build_id[2:])


def timed(command, **options):
    """Seconds of wall clock and of CPU, and the most memory in MB."""
    begun = time.monotonic()
    process = subprocess.Popen(command, **options)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit("FAILED: %s: exit status %d" % (command[0], process.returncode))
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure(title, binary, debug, addresses, folder):
    """One table; returns the two ratios (of CPU time)."""
    elf = symbols.Elf(binary)
    profile = os.path.join(folder, "in.pb.gz")
    symbols.write_profile(profile, debug, addresses, elf.code(), elf.build_id())
    with open(os.path.join(folder, "addresses"), "w") as file:
        file.writelines("%x\n" % address for address in addresses)
    environment = dict(os.environ, XDG_CACHE_HOME=os.path.join(folder, "cache"))
    shutil.rmtree(environment["XDG_CACHE_HOME"], ignore_errors=True)
    with open(debug, "rb") as file:  # both find it in memory
        while file.read(1 << 24):
            pass
    words = [COMMAND, "symbolize", profile, "-o"]
    rows = [("heaptap symbolize", timed(words + [folder + "/first"], env=environment)),
            ("again, from the cache", timed(words + [folder + "/second"], env=environment))]
    with open(os.path.join(folder, "addresses")) as given, open(os.devnull, "w") as nowhere:
        rows.append(("addr2line -i -f -C", timed(["addr2line", "-i", "-f", "-C", "-e", debug], stdin=given, stdout=nowhere)))
    with open(folder + "/first", "rb") as first, open(folder + "/second", "rb") as second:
        if first.read() != second.read():
            sys.exit("FAILED: the cache gives other names")
    print("\n%s: %d addresses, load %.1f" % (title, len(addresses), os.getloadavg()[0]))
    print("%-24s %10s %10s %10s" % ("", "wall", "CPU", "memory"))
    for name, (wall, cpu, memory) in rows:
        print("%-24s %8.2f s %8.2f s %7.0f MB" % (name, wall, cpu, memory))
    faster, cached = rows[2][1][1] / rows[0][1][1], rows[0][1][1] / rows[1][1][1]
    print("addr2line / heaptap: %.1f (wall %.1f); heaptap / cache: %.1f (wall %.1f)" % (
        faster, rows[2][1][0] / rows[0][1][0], cached, rows[0][1][0] / rows[1][1][0]), flush=True)
    return faster, cached


def main():
    binary, debug = os.environ.get("HT_SYMBOLS_BINARY"), os.environ.get("HT_SYMBOLS_DEBUG")
    if not binary:
        binary, debug = fetch()
    debug = debug or binary
    folder = tempfile.mkdtemp(prefix="heaptap-bench.")
    try:
        start, size = symbols.Elf(binary).text()
        addresses = sorted(random.Random(1).sample(range(start, start + size), COUNT))
        plain = os.path.join(folder, "plain.debug")
        subprocess.run(["objcopy", "--decompress-debug-sections", debug, plain], check=True, stderr=subprocess.DEVNULL)
        sections = symbols.Elf(plain).sections
        print("%s: %d MB of debug info, %d MB as it is shipped" % (
            os.path.basename(binary), sum(sections.get(".debug_" + s, {"size": 0})["size"] for s in DEBUG_SECTIONS) >> 20,
            os.path.getsize(debug) >> 20))
        results = [measure("as it is shipped", binary, debug, addresses, folder),
                   measure("sections not compressed", binary, plain, addresses, folder)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    missed = [result for result in results if result[0] < 5 or result[1] < 10]
    print("\n" + ("FAILED: less than 5 times addr2line's speed, or than 10 times from the cache" if missed else "ok"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
