"""Random profiles and options for comparing heaptap with `go tool pprof`: small, and odd in every respect."""
import random

from profile_writer import Profile

REPORTS = ["top", "tree", "peek", "traces", "tags", "raw", "comments", "proto"]
NAMES = ["main", "parse", "ns::f<int>::g(char)", "_ZN2ns1hEv", "ünï::c", "", "x y", "operator()",
         "(anonymous namespace)::q(int)", "std::vector<std::pair<int, int>>::push_back", "main.(*T).Run",
         "a" * 150, ".local", "free", "μs", "%s%n"]
FILES = ["", "a.c", "/srv/odd/src/b.c", "/proc/self/cwd/./c.c", "/proc/self/cwd/src/../d.c", "/srv/./odd//e.c", "./f.c",
         "../g.c", "/home/me/project/src/h.c", "ü.c"]
OBJECTS = ["", "/srv/odd/bin/odd", "/usr/lib/libodd.so.1", "[vdso]", "/srv/odd/bin/", "//anon", "relative/bin"]
KEYS = ["bytes", "thread", "request", "alignment", "ünït", "key with space", "a", "latency"]
UNITS = ["", "", "bytes", "kb", "ms", "nanoseconds", "count", "widgets", "MB", "hours"]
PERIODS = [("", "", 0), ("space", "bytes", 524288)]
TYPES = [("samples", "count"), ("cpu", "nanoseconds"), ("inuse_space", "bytes"), ("alloc_space", "kilobytes"), ("delay", "ms"),
         ("things", "widgets"), ("gcu", "gcu"), ("alloc_objects", "count"), ("ü", "µs")]


def value(rng):
    kind = rng.random()
    if kind < 0.1:
        return 0
    if kind < 0.55:
        return rng.randrange(1, 300)
    if kind < 0.9:
        return rng.randrange(1, 1 << 30)
    return -rng.randrange(1, 100000)


def labels(rng):
    out = []
    for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
        key = rng.choice(KEYS)
        if rng.random() < 0.5:
            out.append((key, rng.choice(["io", "main", "ünï", "b c", "10kb", "x" * 30])))
        else:
            out.append((key, rng.choice([1, 16, 512, 1024, 1500, 65536, 1 << 33, -5, 0]), rng.choice(UNITS)))
    return out


def profile(seed, variant=0):
    """The bytes of a profile; the same for the same seed. Variants are other runs of the same program, elsewhere in memory."""
    rng, run = random.Random(seed), random.Random(f"{seed}/{variant}")
    shift = variant * 0x10000000
    p = Profile()
    types = rng.sample(TYPES, rng.choice([1, 2, 2, 4]))
    for kind, unit in types:
        p.sample_type(kind, unit)
    mappings = [p.mapping(shift + 0x400000 + i * 0x1000 * rng.choice([0, 1, 16]), shift + 0x410000 + i * 0x10000,
                          rng.choice([0, 0x1000]), rng.choice(OBJECTS), rng.choice(["", "abcdef0123"]),
                          rng.choice(["f", "fFl", "fFli"]))
                for i in range(rng.choice([0, 1, 2, 4]))]
    functions = []
    for _ in range(rng.randrange(1, 14)):
        name = rng.choice(NAMES)
        functions.append(p.function(name, rng.choice([None, None, name, "", "_Zmangled"]), rng.choice(FILES),
                                    rng.choice([0, 0, 3, 100])))
    locations = []
    for _ in range(rng.randrange(1, 25)):
        lines = [(rng.choice(functions), rng.choice([0, 1, 7, 7, 12345])) for _ in range(rng.choice([0, 1, 1, 1, 2, 3]))]
        address = rng.choice([0, 0x400100 + rng.randrange(64), 0x420000])
        locations.append(p.location(rng.choice(mappings + [0]), shift + address, lines, rng.random() < 0.05))
    for _ in range(run.choice([0, 1, 5, 30, 60])):
        stack = [run.choice(locations) for _ in range(run.choice([0, 1, 2, 5, 5, 12]))]
        p.sample(stack, [value(run) for _ in types], labels(run))
    p.header(rng.choice([0, 1700000000000000000, 1700000000123456000]),
             rng.choice([0, 0, 90000000000, 50004000, 123, 3723500000000]), rng.choice(PERIODS),
             rng.choice([[], ["a comment", "# hidden", "ü"]]),
             rng.choice(["", types[0][0]]), rng.choice(["", "", "free|main"]), rng.choice(["", "main"]))
    return p.bytes()


def options(seed):
    """Words for the command line of both programs."""
    rng = random.Random(seed)
    expressions = ["main", "a", "parse|free", "odd", "^$", "c$", "(?i)PARSE", "[.]c$", "nothing matches this", "std::|ns::"]
    words = []
    for chance, word in [
        (0.15, "-cum"), (0.1, "-noinlines"), (0.12, "-mean"), (0.15, "-compact_labels"), (0.12, "-drop_negative"),
        (0.12, "-relative_percentages"), (0.1, "-trim=false"), (0.1, "-call_tree"),
        (0.5, rng.choice(["-functions", "-filefunctions", "-files", "-lines", "-addresses"])),
        (0.25, "-nodecount=%d" % rng.choice([0, 1, 2, 3, 5, 10, 100])),
        (0.25, "-nodefraction=%s" % rng.choice(["0", "0.01", "0.1", "0.3", "1"])),
        (0.25, "-edgefraction=%s" % rng.choice(["0", "0.01", "0.1", "0.5"])),
        (0.2, "-unit=%s" % rng.choice(["auto", "kb", "MB", "s", "ms", "bytes", "count", "widgets", "minimum"])),
        (0.15, "-divide_by=%s" % rng.choice(["2", "0.5", "1024", "-3", "7.7"])),
        (0.25, "-sample_index=%s" % rng.choice(["0", "0", "0", "0", "nonsense"])),
        (0.12, "-trim_path=%s" % rng.choice(["/srv/odd", "/srv/odd/src/:/home/me", "a.c"])),
        (0.1, "-source_path=%s" % rng.choice(["/elsewhere/project", "/x/src:/y"])),
        (0.2, "-focus=" + rng.choice(expressions)), (0.12, "-ignore=" + rng.choice(expressions)),
        (0.15, "-hide=" + rng.choice(expressions)), (0.12, "-show=" + rng.choice(expressions)),
        (0.1, "-show_from=" + rng.choice(expressions)), (0.1, "-prune_from=" + rng.choice(expressions)),
        (0.15, "-tagfocus=" + rng.choice(["bytes=1kb:", "io", "thread=io,main", ":64kb", "request:1", "1kb:1mb", "a=10kb",
                                          "16"])),
        (0.12, "-tagignore=" + rng.choice(["bytes=1kb", "io", "thread=main", "latency=1ms:"])),
        (0.1, "-tagshow=" + rng.choice(["bytes", "thread|a", "nothing"])),
        (0.1, "-taghide=" + rng.choice(["bytes", "e", "nothing"])),
        (0.15, "-tagroot=" + rng.choice(["thread", "bytes", "thread,bytes", "nothing", ",a,"])),
        (0.15, "-tagleaf=" + rng.choice(["bytes", "request,latency", "thread"])),
    ]:
        if rng.random() < chance:
            words.append(word)
    return words


def inputs(seed, first, second):
    """The profiles on the command line, given the names of two variants of one: mostly one, else the sum or a difference."""
    rng = random.Random(seed)
    kind = rng.random()
    if kind < 0.6:
        return [first]
    if kind < 0.75:
        return [first, second]
    return (["-normalize"] if rng.random() < 0.3 else []) + [rng.choice(["-base=", "-diff_base="]) + second, first]
