"""Writes profiles/odd*.pb for the golden tests: by hand, with every odd corner that the format allows."""
import pathlib

from profile_writer import Profile, block, number, packed

HERE = pathlib.Path(__file__).resolve().parent / "profiles"

STRINGS = ["", "samples", "count", "space", "bytes", "/srv/odd/bin/odd", "/usr/lib/libodd.so.1", "ns::f<int>::g(char)",
           "_ZN2ns1hEv", "a.c", "/proc/self/cwd/src/./b.c", "plain", "key", "value", "odd comment", "# not shown",
           "kilobytes", "request", "dup", "nofile"]


def text(word):
    return STRINGS.index(word)


out = b""
out += block(1, number(1, text("samples")) + number(2, text("count")))
out += block(1, number(1, text("space")) + number(2, text("kilobytes")))
# ids far apart, samples first, not packed, duplicates, recursion, a negative value, a sample that is zero, no frames
out += block(2, packed(1, [900, 7, 7, 900, 1 << 40]) + packed(2, [5, 50]))
out += block(2, number(1, 7) + number(1, 1 << 40) + number(2, 3) + number(2, 30)
             + block(3, number(1, text("key")) + number(2, text("value"))))
out += block(2, packed(1, [7, 1 << 40]) + packed(2, [4, 40]) + block(3, number(1, text("bytes")) + number(3, 1024)))
out += block(2, packed(1, [7, 1 << 40]) + packed(2, [4, 40]) + block(3, number(1, text("bytes")) + number(3, 1024)))
out += block(2, packed(1, [11, 12]) + packed(2, [-2, -20]))
out += block(2, packed(1, [12, 900]) + packed(2, [0, 0]))
out += block(2, packed(1, [13]) + packed(2, [1, 10]) + block(3, number(1, text("request")) + number(3, 64)))
out += block(2, packed(2, [6, 60]))
out += block(3, number(1, 77) + number(2, 0x400000) + number(3, 0x500000) + number(5, text("/srv/odd/bin/odd"))
             + number(7, 1))
out += block(3, number(1, 5) + number(2, 0x7F0000000000) + number(3, 0x7F0000100000)
             + number(5, text("/usr/lib/libodd.so.1")) + number(7, 1))
out += block(4, number(1, 7) + number(2, 77) + number(3, 0x400100)
             + block(4, number(1, 21) + number(2, 10)) + block(4, number(1, 22) + number(2, 20))
             + block(4, number(1, 23) + number(2, 0)))
out += block(4, number(1, 900) + number(2, 77) + number(3, 0x400200) + block(4, number(1, 21) + number(2, 11)))
out += block(4, number(1, 1 << 40) + number(2, 77) + number(3, 0x400300) + block(4, number(1, 24) + number(2, 5)))
out += block(4, number(1, 11) + number(2, 5) + number(3, 0x7F0000000123))
out += block(4, number(1, 12) + number(3, 0x999))
out += block(4, number(1, 13) + number(2, 5) + number(3, 0x7F0000000456) + block(4, number(1, 25) + number(2, 1)))
out += block(5, number(1, 21) + number(2, text("ns::f<int>::g(char)")) + number(3, text("ns::f<int>::g(char)"))
             + number(4, text("a.c")) + number(5, 9))
out += block(5, number(1, 22) + number(2, text("_ZN2ns1hEv")) + number(3, text("_ZN2ns1hEv"))
             + number(4, text("/proc/self/cwd/src/./b.c")))
out += block(5, number(1, 23) + number(2, text("plain")) + number(3, text("dup")))
out += block(5, number(1, 24) + number(2, text("plain")) + number(3, text("plain")) + number(4, text("a.c")))
out += block(5, number(1, 25) + number(4, text("nofile")))
for string in STRINGS:
    out += block(6, string.encode())
out += number(9, 1700000000000000000) + number(10, 90000000000)
out += block(11, number(1, text("space")) + number(2, text("bytes"))) + number(12, 1)
out += packed(13, [text("odd comment"), text("# not shown")]) + number(1000, 3)
(HERE / "odd.pb").write_bytes(out)


def write(name, profile):
    (HERE / f"odd-{name}.pb").write_bytes(profile.bytes())


def chain(p, mapping, names, file="/srv/odd/src/a.c"):
    """A location for each name, 16 bytes apart."""
    return [p.location(mapping, 0x400100 + 16 * i, [(p.function(name, file=file, start_line=10 * i), 10 * i + 3)])
            for i, name in enumerate(names)]


def inlined():
    p = Profile()
    p.sample_type("samples", "count")
    m = p.mapping(0x400000, 0x500000, file="/srv/odd/bin/inlined", build_id="00ff", flags="fFli")
    f = [p.function(name, file=f"/srv/odd/src/{name}.c", start_line=5) for name in ("main", "outer", "middle", "inner", "self")]
    whole = p.location(m, 0x400100, [(f[3], 7), (f[2], 8), (f[1], 9)])
    part = p.location(m, 0x400200, [(f[3], 7), (f[0], 20)])
    plain = p.location(m, 0x400300, [(f[3], 7)])
    own = p.location(m, 0x400400, [(f[4], 6), (f[4], 7), (f[4], 8)])
    folded = p.location(m, 0x400500, [(f[2], 1)], folded=True)
    root = p.location(m, 0x400600, [(f[0], 30)])
    for count, stack in enumerate(([whole, root], [part, root], [plain, root], [own, own, root], [folded, whole, root],
                                   [whole, part, root], [whole, own, whole, root]), 1):
        p.sample(stack, [count * 100])
    p.header(default="samples")
    write("inlined", p)


def labels():
    p = Profile()
    p.sample_type("alloc_objects", "count")
    p.sample_type("alloc_space", "bytes")
    m = p.mapping(0x400000, 0x500000, file="/srv/odd/bin/labels")
    f = chain(p, m, ["main", "read", "write"])
    p.sample([f[1], f[0]], [1, 100], [("thread", "io"), ("thread", "second"), ("bytes", 64, "")])
    p.sample([f[1], f[0]], [2, 200], [("thread", "io"), ("bytes", 128, ""), ("bytes", 64, "")])
    p.sample([f[2], f[0]], [3, 300], [("latency", 1500, "us"), ("latency", 3, "ms"), ("request", 4096, "")])
    p.sample([f[2], f[0]], [4, 400], [("latency", 7, ""), ("latency", 8, "s"), ("alignment", 16, "")])
    p.sample([f[2], f[0]], [5, 500], [("mixed", "64"), ("mixed", 64, ""), ("mixed", 1 << 40, "bytes")])
    p.sample([f[2], f[0]], [6, -600], [("ünï", "wört"), ("a", "tab\there"), ("z", "x" * 300), ("zero", 0, "bytes")])
    p.sample([f[0]], [7, 0], [("thread", "io"), ("pprof::base", "true")])
    p.sample([f[0]], [0, 0], [("never", "seen")])
    write("labels", p)


def values():
    p = Profile()
    for kind, unit in (("huge", "bytes"), ("delay", "nanoseconds"), ("share", "widgets"), ("empty", "")):
        p.sample_type(kind, unit)
    m = p.mapping(0x400000, 0x500000, file="/srv/odd/bin/values")
    f = chain(p, m, ["main", "large", "small", "negative", "least"])
    p.sample([f[1], f[0]], [1 << 61, 3600 * 10**9 * 26, 3, 1])
    p.sample([f[2], f[0]], [1, 1, 0, 2])
    p.sample([f[3], f[0]], [-(1 << 60), -5 * 10**9, -1000, 3])
    p.sample([f[4], f[0]], [1023, 999, 1000000, -(1 << 63)])
    p.header(time_ns=-1, duration_ns=-1500000000)
    write("values", p)


def nothing():
    p = Profile()
    p.sample_type("inuse_space", "bytes")
    p.header(time_ns=1700000000000000000, comments=["only this"])
    write("empty", p)
    p = Profile()
    p.sample_type("inuse_space", "bytes")
    f = chain(p, p.mapping(1, 2, file="/srv/odd/bin/zero"), ["main", "leaf"])
    p.sample([f[1], f[0]], [0])
    p.sample([f[0]], [0], [("thread", "io")])
    write("zero", p)


def bare():
    p = Profile()
    p.sample_type("samples", "count")
    at = [p.location(0, address) for address in (0x1000, 0x2000, 0, (1 << 64) - 1)]
    for count, stack in enumerate(([0], [1, 0], [2, 1, 0], [3, 2, 1, 0], [3, 3], [0, 0]), 1):
        p.sample([at[i] for i in stack], [count])
    write("bare", p)


def mappings():
    p = Profile()
    p.sample_type("space", "bytes")
    files = ["", "/srv/odd/bin/maps", "/srv/odd/bin/maps", "/usr/lib/libodd.so.1", "[vdso]", "/srv/odd/dir/"]
    m = [p.mapping(0x400000 + 0x800 * i, 0x402000 + 0x800 * i, 0x1000 * (i % 2), file, "ab" * (i % 3)) for i, file in
         enumerate(files)]
    name, same = p.function("f", file="x.c"), p.function("f", file="x.c")
    at = [p.location(mapping, 0x401000, [(name, 1)] if i % 2 else []) for i, mapping in enumerate(m)]
    at += [p.location(m[1], 0x401000, [(function, 1)]) for function in (name, same, name)]
    for i, location in enumerate(at):
        p.sample([location, at[0]], [1000 + i])
        p.sample([location], [10 * i])
    write("mappings", p)


def recursion():
    p = Profile()
    p.sample_type("cpu", "ms")
    m = p.mapping(0x400000, 0x500000, file="/srv/odd/bin/recursion")
    main, a, b = chain(p, m, ["main", "a", "b"])
    for depth in (1, 2, 7, 300):
        p.sample([a] * depth + [main], [depth])
        p.sample([a, b] * depth + [main], [2 * depth], [("depth", depth, "")])
        p.sample([b] + [a, main] * depth, [3])
    write("recursion", p)


def names():
    p = Profile()
    p.sample_type("ünits", "ü")
    m = p.mapping(0x400000, 0x500000, file="/srv/ödd/bin/nämes")
    words = ["main", "", "größe::größe()", "日本語", "a b  c", "100%s", "(anonymous namespace)::f(int)", "x" * 5000,
             "std::map<std::string, std::vector<int>>::operator[](std::string const&)", "T<(a>b)>::g", "operator<<",
             "_ZN3fooIiE3barEv",
             "_RNvC6_123foo3bar", "main.(*T[...]).Run", "java.util.List.<init>"]
    at = [p.location(m, 0x400000 + i, [(p.function(word, file=file, start_line=i), i)]) for i, word in enumerate(words)
          for file in ("", "/proc/self/cwd/src//./ü.c")]
    for i, location in enumerate(at):
        p.sample([location, at[i * 7 % len(at)], at[0]], [1 + i % 5])
    write("names", p)


def broken():
    p = Profile()
    p.sample_type("samples", "count")
    m = p.mapping(0x400000, 0x500000, file=b"/srv/odd/\xfe/bytes")
    f = chain(p, m, ["main", b"bad \xff utf-8", b"\xc3"], b"b\x80.c")
    p.sample([f[1], f[0]], [3], [(b"k\xfe", b"\xe2\x82")])
    p.sample([f[2], f[0]], [2], [(b"k\xfe", b"\xe2\x82\xac")])
    write("bytes", p)


def drop():
    p = Profile()
    p.sample_type("space", "bytes")
    m = p.mapping(0x400000, 0x500000, file="/srv/odd/bin/drop")
    names = ["main", "work", ".malloc", "malloc_keep", "operator new(unsigned long)", "x"]
    main, work, malloc, keep, inner, under = chain(p, m, names)
    both = p.location(m, 0x400900, [(1, 1), (3, 2), (2, 3)])
    for count, stack in enumerate(([malloc, work, main], [under, malloc, work, main], [keep, work, main],
                                   [inner, malloc], [both, main], [under, inner, keep, malloc, work, main], [malloc]), 1):
        p.sample(stack, [count * 10])
    p.header(drop="malloc.*|operator new", keep=".*_keep")
    write("drop", p)


def many():
    p = Profile()
    p.sample_type("samples", "count")
    m = p.mapping(0x400000, 0x500000, file="/srv/odd/bin/many")
    f = chain(p, m, [f"f{i:03}" for i in range(150)])
    for i in range(200):
        p.sample([f[i * 31 % 150], f[i * 17 % 90], f[i % 40], f[i * 7 % 10], f[0]], [1 + i * i % 977], [("kind", f"k{i % 3}")])
    write("many", p)


for make in (inlined, labels, values, nothing, bare, mappings, recursion, names, broken, drop, many):
    make()
