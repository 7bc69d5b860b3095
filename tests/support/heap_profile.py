"""Reads pprof profiles without any library, for the tests' own judgement: decode, validate, sum, name by nm."""
import bisect
import gzip
import os
import struct
import subprocess
import threading

# Start, limit and offset of a mapping whose locations have the file's own addresses, as all versions of pprof take it.
OWN_ADDRESSES = (0, (1 << 64) - 1, 0)
HEAP_TYPES = [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")]


class BadProfile(Exception):
    """The file breaks a rule that a reader of profile.proto relies on."""


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _fields(data):
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > end:
                raise BadProfile("a field runs past the end of its message")
            value = data[at:at + size]
            at += size
        elif wire == 1:
            value, at = struct.unpack_from("<Q", data, at)[0], at + 8
        elif wire == 5:
            value, at = struct.unpack_from("<I", data, at)[0], at + 4
        else:
            raise BadProfile("wire type %d" % wire)
        yield tag >> 3, value


def _signed(value):
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _numbers(value):
    if isinstance(value, int):
        return [value]
    out, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        out.append(number)
    return out


class Message(dict):
    """Plain numeric fields of a message by number, 0 where absent."""

    def __missing__(self, key):
        return 0


class Sample:
    __slots__ = ("locations", "values", "labels")

    def __init__(self):
        self.locations, self.values, self.labels = [], [], []

    def label(self, key):
        for name, text, number, _ in self.labels:
            if name == key:
                return text if text is not None else number
        return None


class Profile:
    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            raw = file.read()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        self.sample_types, self.samples, self.mappings, self.locations, self.functions = [], [], [], [], []
        types, samples, comments, self.raw_strings, head, period_type = [], [], [], [], Message(), Message()
        for number, value in _fields(raw):
            if number == 1:
                types.append(Message(_fields(value)))
            elif number == 2:
                samples.append(value)
            elif number == 3:
                self.mappings.append(Message(_fields(value)))
            elif number == 4:
                location = Message()
                location["lines"] = []
                for inner, content in _fields(value):
                    if inner == 4:
                        location["lines"].append(Message(_fields(content)))
                    else:
                        location[inner] = content
                self.locations.append(location)
            elif number == 5:
                self.functions.append(Message(_fields(value)))
            elif number == 6:
                self.raw_strings.append(bytes(value))
            elif number == 11:
                period_type = Message(_fields(value))
            elif number == 13:
                comments += _numbers(value)
            else:
                if number == 9 and head[9]:
                    raise BadProfile("time_nanos twice: concatenated profiles")
                head[number] = value
        self.strings = [s.decode("utf-8", "surrogateescape") for s in self.raw_strings]
        self.sample_types = [(self.string(t[1]), self.string(t[2])) for t in types]
        self.comments = [self.string(c) for c in comments]
        self.drop_frames, self.keep_frames = self.string(head[7]), self.string(head[8])
        self.time_nanos, self.duration_nanos, self.period = _signed(head[9]), _signed(head[10]), _signed(head[12])
        self.default_sample_type = self.string(head[14])
        self.has_period_type = bool(period_type)
        self.period_type = (self.string(period_type[1]), self.string(period_type[2]))
        self.mapping_of = {m[1]: m for m in self.mappings}
        self.location_of = {l[1]: l for l in self.locations}
        self.function_of = {f[1]: f for f in self.functions}
        for data in samples:
            self.samples.append(self._sample(data))
        self._symbols = {}

    def string(self, index):
        if index >= len(self.strings):
            raise BadProfile("string index %d of %d" % (index, len(self.strings)))
        return self.strings[index]

    def _sample(self, data):
        sample = Sample()
        for number, value in _fields(data):
            if number == 1:
                sample.locations += _numbers(value)
            elif number == 2:
                sample.values += [_signed(v) for v in _numbers(value)]
            elif number == 3:
                label = Message(_fields(value))
                sample.labels.append((self.string(label[1]), self.string(label[2]) if label[2] else None,
                                      _signed(label[3]), self.string(label[4])))
        return sample

    def totals(self):
        """Sums over all samples, one for each sample type."""
        sums = [0] * len(self.sample_types)
        for sample in self.samples:
            for i, value in enumerate(sample.values):
                sums[i] += value
        return sums

    def health(self):
        """The `# heaptap: key=value` comments as a dictionary."""
        out = {}
        for comment in self.comments:
            if comment.startswith("# heaptap:"):
                key, equals, value = comment[len("# heaptap:"):].strip().partition("=")
                if equals:
                    out[key] = value
        return out

    def check(self, heap=True):
        """Raises BadProfile where any reader (pprof, Parca, Pyroscope) would refuse, or the heap contract is broken."""
        def need(condition, text, *args):
            if not condition:
                raise BadProfile("%s: %s" % (os.path.basename(self.path), text % args if args else text))

        need(self.raw_strings and self.raw_strings[0] == b"", "string_table[0] is not empty")
        for raw in self.raw_strings:
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError:
                need(False, "string %r is not UTF-8", raw)
        for name, table in (("mapping", self.mappings), ("location", self.locations), ("function", self.functions)):
            need([row[1] for row in table] == list(range(1, len(table) + 1)), "%s ids are not 1..n in order", name)
        for kind, _ in self.sample_types:
            need("-" not in kind, "sample type %s has a dash", kind)
        need(self.has_period_type, "no period_type")
        seen = set()
        for sample in self.samples:
            need(len(sample.values) == len(self.sample_types), "a sample with %d values", len(sample.values))
            need(all(v >= 0 for v in sample.values), "negative values %s", sample.values)
            need(all(l in self.location_of for l in sample.locations), "a sample with an unknown location")
            need(all(key for key, _, _, _ in sample.labels), "a label without a key")
            identity = (tuple(sample.locations), tuple(sample.labels))
            need(identity not in seen, "two samples with one stack and the same labels")
            seen.add(identity)
        for location in self.locations:
            need(location[2] == 0 or location[2] in self.mapping_of, "location in an unknown mapping")
            need(all(l[1] in self.function_of for l in location["lines"]), "line with an unknown function")
            if location[2]:
                mapping = self.mapping_of[location[2]]
                need(mapping[2] <= location[3] < mapping[3], "address %#x outside its mapping", location[3])
        need(len(set(self.raw_strings)) == len(self.raw_strings), "a string stands twice in the table")
        for a in self.mappings:
            if a is self.mappings[0] and a[3] == 0 and not any(l[2] == a[1] for l in self.locations):
                continue  # the program, at no address, where no stack leads through it
            if (a[2], a[3], a[4]) == OWN_ADDRESSES:
                continue
            need(a[2] < a[3], "empty mapping")
            for b in self.mappings:
                need(a is b or (b[2], b[3], b[4]) == OWN_ADDRESSES or a[3] <= b[2] or b[3] <= a[2], "mappings %s and %s overlap",
                     self.string(a[5]), self.string(b[5]))
        if heap:
            self._check_heap(need)

    def _check_heap(self, need):
        need(self.sample_types == HEAP_TYPES, "sample types %s", self.sample_types)
        need(self.default_sample_type == "inuse_space", "default_sample_type %r", self.default_sample_type)
        need(self.period_type == ("space", "bytes"), "period_type %s", self.period_type)
        need(self.period >= 0, "period %d", self.period)
        need(self.duration_nanos == 0, "duration_nanos %d", self.duration_nanos)
        need(self.time_nanos > 0, "no time_nanos")
        health = self.health()
        for sample in self.samples:
            need(sample.locations, "a sample without a stack")
            need(any(sample.values), "a sample of zeros")
            objects, space, live_objects, live_space = sample.values
            need(live_objects <= objects + 1 or "thinned_since" in health, "inuse_objects %d > alloc_objects %d",
                 live_objects, objects)
            size = sample.label("bytes")
            if size is None:
                need(space == 0 and live_space == 0, "a sample with %d bytes has no label bytes", space)
            else:
                need(space <= (objects + 1) * size, "%d objects of %d bytes take %d", objects, size, space)
        for mapping in self.mappings:
            name = self.string(mapping[5])
            ours = [l for l in self.locations if l[2] == mapping[1]] if "libheaptap" in name else []
            need(not ours, "a frame of our own is in the profile: %s", [self.name(l) for l in ours])

    def leaf_name(self, sample):
        """The function that called the allocator, from lines when the profile has them, else by nm."""
        return self.name(self.location_of[sample.locations[0]])

    def name(self, location):
        if location["lines"]:
            return self.string(self.function_of[location["lines"][0][1]][2])
        mapping = self.mapping_of.get(location[2])
        if not mapping:
            return "?"
        path = self.string(mapping[5])
        if path not in self._symbols:
            self._symbols[path] = Symbols(path)
        if (mapping[2], mapping[3], mapping[4]) == OWN_ADDRESSES:
            return self._symbols[path].name_at(location[3])
        return self._symbols[path].name_at_offset(location[3] - mapping[2] + mapping[4])

    def by_leaf(self):
        """Sums of the values by the name of the innermost frame."""
        out = {}
        for sample in self.samples:
            row = out.setdefault(self.leaf_name(sample), [0] * len(self.sample_types))
            for i, value in enumerate(sample.values):
                row[i] += value
        return out

    def by_any(self, name):
        """Sums of the values of all samples with this function anywhere in the stack."""
        row = [0] * len(self.sample_types)
        for sample in self.samples:
            if any(self.name(self.location_of[l]) == name for l in sample.locations):
                for i, value in enumerate(sample.values):
                    row[i] += value
        return row


class Symbols:
    """Function names of an ELF file by file offset, from nm and the program headers."""
    cache, lock = {}, threading.Lock()

    def __new__(cls, path):
        with cls.lock:
            if path not in cls.cache:
                cls.cache[path] = super().__new__(cls)
                cls.cache[path]._load(path)
            return cls.cache[path]

    def _load(self, path):
        self.segments, rows = [], []
        try:
            with open(path, "rb") as file:
                head = file.read(64)
                if head[:4] == b"\x7fELF":
                    offset, (size, number) = struct.unpack_from("<Q", head, 32)[0], struct.unpack_from("<HH", head, 54)
                    file.seek(offset)
                    for _ in range(number):
                        kind, _, start, address, _, length = struct.unpack_from("<IIQQQQ", file.read(size))
                        if kind == 1:
                            self.segments.append((start, length, address))
        except OSError:
            pass
        for flags in ([], ["-D"]):
            text = subprocess.run(["nm", "--defined-only"] + flags + [path], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True, check=False).stdout
            for line in text.splitlines():
                parts = line.split()
                if len(parts) == 3 and parts[1] in "tTwWi":
                    rows.append((int(parts[0], 16), parts[2].split("@")[0]))
        rows.sort()
        self.starts, self.names = [r[0] for r in rows], [r[1] for r in rows]

    def name_at_offset(self, offset):
        for start, length, address in self.segments:
            if start <= offset < start + length:
                return self.name_at(offset - start + address)
        return "?"

    def name_at(self, address):
        i = bisect.bisect_right(self.starts, address) - 1
        return self.names[i] if i >= 0 else "?"
