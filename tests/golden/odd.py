"""Writes profiles/odd.pb: a profile with every odd corner that its format allows, for the golden tests."""
import pathlib


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(tag, value):
    return varint(tag << 3) + varint(value)


def block(tag, content):
    return varint(tag << 3 | 2) + varint(len(content)) + content


def packed(tag, values):
    return block(tag, b"".join(varint(v) for v in values))


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
pathlib.Path(__file__).with_name("profiles").joinpath("odd.pb").write_bytes(out)
