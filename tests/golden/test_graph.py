#!/usr/bin/env python3
"""The reports list, dot and callgrind are byte for byte those of `go tool pprof` of Go 1.19, for the profiles and options of
cases.txt and cases_graph.txt.

  test_graph.py              against expected_graph/, which is what pprof printed
  test_graph.py --live       against pprof itself, and on random profiles and options as well; status 77 without Go 1.19
  test_graph.py --random 500 [SEED]    only that many random ones
  test_graph.py --store      writes expected_graph/ anew

What is equal for pprof it prints in no order. Such outputs are compared as what they say: a tree's nodes by their ways from the
root, callgrind's functions with their calls. Where it chooses among equals, so that each run says something else, --live lets
it pass, and --store refuses it. pprof's edges to a node N0, which stand for nodes that are not shown, are left out."""
import collections
import concurrent.futures
import json
import lzma
import re
import shutil
import sys
import tempfile
import xml.etree.ElementTree

import random_cases
import test_golden

REPORTS = ["list", "dot", "callgrind"]
HERE = test_golden.HERE
RANDOM_CASES = 25
DRAWN = ["heap", "heap-diff-base", "labels", "names", "native-threads", "python", "graph-tree"]
UNLIKE = {("bytes", "list")} # "." is a character, in Go any byte
# Sources are looked for beside the profiles alone, whatever this machine has.
SOURCES = {"-source_path": "-source_path=..", "-trim_path": "-trim_path=/srv/golden:/"}


def words_of(case, report):
    """The report and its options, for both programs."""
    expression = [f"-list={case.expression}"] if report == "list" else [f"-{report}"]
    given = {word.split("=")[0] for word in case.options}
    more = [word for name, word in SOURCES.items() if name not in given] if report == "list" else []
    return expression, [*case.options, *more, *case.profiles]


def ours(case, report):
    _, words = words_of(case, report)
    return test_golden.run([test_golden.HEAPTAP, report, *([case.expression] if report == "list" else []), *words], case.folder)


def theirs(case, program, report):
    expression, words = words_of(case, report)
    status, out = test_golden.run([*program, *expression, *words], case.folder)
    return status, test_golden.shown(b"".join(line for line in out.splitlines(True) if not re.match(rb"N\d+ -> N0 \[", line)))


def meaning_of_dot(text):
    """The lines, with each node called by what it and all above it say."""
    lines = text.decode(errors="replace").splitlines()
    nodes = {match[1]: re.sub(r' id="node\d+"', "", match[2]) for match in (re.match(r"(N\d+) (\[.*)", line) for line in lines) if match}
    above = {}
    for line in lines:
        match = re.match(r"(N\d+) -> (N\d+) (\[.*)", line)
        if match:
            above.setdefault(match[2], []).append((match[1], match[3]))
    names = {}

    def name(node, seen=()):
        if node not in names:
            way = [] if node in seen else sorted(label + name(caller, (*seen, node)) for caller, label in above.get(node, []))
            names[node] = nodes.get(node, node) + "<" + "".join(way)
        return names[node]
    replace = {node: f"{{{hash(name(node)):x}}}" for node in nodes}
    return sorted(re.sub(r"N(\d+)(?=[_ \"]|$)|id=\"node(\d+)\"", lambda m: replace.get("N" + (m[1] or m[2]), m[0]), line)
                  for line in lines)


def meaning_of_callgrind(text):
    """The events line, and for each function at an address its cost and its calls."""
    lines = text.decode(errors="replace").split("\n")
    names, head = collections.defaultdict(dict), {}
    records, record, before, here = [], None, None, None

    def full(kind, value):
        match = re.fullmatch(r"\((\d+)\)(?: (.*))?", value, re.S)
        if not match:
            return value
        if match[2] is not None:
            names[kind][match[1]] = re.sub(r" \[\d+/(\d+)\]$", r" [\1]", match[2])
        return names[kind][match[1]]

    def absolute(word):
        return before if word == "*" else before + int(word) if word[0] in "+-" else int(word, 0)
    for line in lines[2:]:
        key, _, value = line.partition("=")
        if key in ("ob", "fl", "fn", "cfl", "cfn"):
            head[key] = full({"cfl": "fl", "cfn": "fn"}.get(key, key), value)
        elif key == "calls":
            _, address, number = value.split()
            call = (head["cfl"], head["cfn"], absolute(address) & (1 << 64) - 1, number)
        elif line.startswith("* * "):
            record[1].append((*call, line))
        elif line:
            address, number, cost = line.split()
            before = here
            here = absolute(address) & (1 << 64) - 1
            record = ((head["ob"], head["fl"], head["fn"], here, number, cost), [])
            records.append(record)
    return [lines[:2], sorted((key, sorted(calls)) for key, calls in records)]


def same(report, a, b):
    if a == b or report == "list":
        return a == b
    meaning = meaning_of_dot if report == "dot" else meaning_of_callgrind
    return meaning(a) == meaning(b)


def store(program):
    folder = HERE / "expected_graph"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for case in all_cases():
        out = b""
        for report in REPORTS:
            status, text = theirs(case, program, report)
            if any(not same(report, theirs(case, program, report)[1], text) for _ in range(test_golden.STORE_AGAIN)):
                print(f"unstable: {case.name} {report}")
            out += b"=== %s %d %d\n%s\n" % (report.encode(), status != 0, len(text), text)
        (folder / f"{case.name}.xz").write_bytes(lzma.compress(out, preset=9 | lzma.PRESET_EXTREME))


def stored(case):
    rest, outputs = lzma.decompress((HERE / "expected_graph" / f"{case.name}.xz").read_bytes()), {}
    while rest:
        head, rest = rest.split(b"\n", 1)
        _, report, failed, length = head.split()
        outputs[report.decode()] = int(failed), test_golden.shown(rest[:int(length)])
        rest = rest[int(length) + 1:]
    return outputs


def check(case, program):
    """(failures, how many were not byte for byte)"""
    expected = stored(case) if program is None else None
    failures, loose = [], 0
    for report in REPORTS:
        if (case.name, report) in UNLIKE:
            continue
        status, output = ours(case, report)
        failed, wanted = theirs(case, program, report) if program else expected[report]
        alike = bool(status) == bool(failed) and (bool(failed) or same(report, output, wanted))
        if not alike and program and not failed and not status:
            others = [theirs(case, program, report)[1] for _ in range(test_golden.ASK_AGAIN)]
            alike = any(same(report, output, other) for other in others) or \
                not all(same(report, wanted, other) for other in others)
        loose += alike and not failed and output != wanted
        if alike:
            continue
        text = f"FAILED {case.name}: heaptap {report} {' '.join(words_of(case, report)[1])} (status {status}, pprof {failed})"
        for line, other in zip(output.splitlines() + [b""] * 3, wanted.splitlines() + [b""] * 3):
            if line != other:
                text += f"\n  heaptap: {line.decode(errors='replace')[:300]}\n  pprof:   {other.decode(errors='replace')[:300]}"
                break
        failures.append(text)
    if program is None:
        failures += check_folded(case) + check_json(case) + (check_readers(case) if case.name in DRAWN else [])
    return failures, loose


def json_of(case, report, *more):
    status, text = test_golden.run([test_golden.HEAPTAP, report, "--json", *more, *case.options, *case.profiles], case.folder)
    return json.loads(text) if status == 0 else None


def escaped(name):
    return re.sub(r"[\x00-\x1f\x7f]", "_", name.replace(";", ":"))


def check_folded(case):
    """Folded stacks are the sums of what traces shows."""
    _, text = test_golden.run([test_golden.HEAPTAP, "folded", *case.options, *case.profiles], case.folder)
    traces, data = json_of(case, "traces"), json_of(case, "folded")
    if traces is None or data is None or "-trim_path" in " ".join(case.options) or {"-mean", "-mean_delay"} & set(case.options):
        return []
    sums, rows = collections.Counter(), collections.Counter()
    for row in traces["rows"]:
        # traces shows files as the profile has them
        sums[tuple(re.sub(r"/proc/self/cwd/([.]/)?", "", frame["name"]) for frame in row["frames"])] += row["value"]
    for row in data["rows"]:
        rows[tuple(frame["name"] for frame in row["frames"])] += row["value"]
    out = [] if {k: v for k, v in sums.items() if v} == {k: v for k, v in rows.items() if v} else [f"FAILED {case.name}: folded --json"]
    if any(word.startswith("-divide_by") for word in case.options):
        return out
    lines = collections.Counter()
    for line in text.decode(errors="replace").splitlines():
        stack, value = line.rsplit(" ", 1)
        lines[stack] += int(value)
    wanted = collections.Counter()
    for row in data["rows"]:
        if row["value"] > 0:
            wanted[";".join(escaped(frame["name"]) for frame in reversed(row["frames"]))] += row["value"]
    return out + ([] if lines == wanted else [f"FAILED {case.name}: folded"])


def check_json(case):
    """dot, svg and list say as JSON what they say as text."""
    out, data, text = [], json_of(case, "dot"), ours(case, "dot")[1].decode(errors="replace")
    if data is not None:
        nodes, edges = re.findall(r"^N\d+ \[label=", text, re.M), re.findall(r"^N(\d+) -> N(\d+) \[", text, re.M)
        if len(data["rows"]) != len(nodes) or [(str(e["from"]), str(e["to"])) for e in data["edges"]] != edges:
            out.append(f"FAILED {case.name}: dot --json")
    status, text = ours(case, "list")
    data = json.loads(test_golden.run([test_golden.HEAPTAP, "list", "--json", case.expression, *words_of(case, "list")[1]],
                                      case.folder)[1]) if status == 0 else {"rows": []}
    wanted = [re.sub(r"^ROUTINE =+ ", "", line) for line in text.decode(errors="replace").splitlines() if line.startswith("ROUTINE ")]
    if (case.name, "list") in UNLIKE:  # nor do text and JSON: text shows a byte that is no character as one that is
        return out
    if [f"{row['name']} in {row['file']}" for row in data["rows"] if "file" in row] != wanted:
        out.append(f"FAILED {case.name}: list --json")
    lines = [f"{line['line']:6}:{line['source']}" for row in data["rows"] for line in row["lines"]]
    if status == 0 and lines != [line[22:] for line in text.decode(errors="replace").split("\n") if re.match(r"^ *\S+ +\S+ +\d+:", line)]:
        out.append(f"FAILED {case.name}: list --json has other lines")
    return out


def check_readers(case):
    """Graphviz draws the graph, and callgrind_annotate reads the file."""
    out = []
    with tempfile.TemporaryDirectory() as folder:
        words = [*case.options, *case.profiles]
        if shutil.which("dot"):
            status, _ = test_golden.run([test_golden.HEAPTAP, "svg", "-o", f"{folder}/x.svg", *words], case.folder)
            if status != 0 or "svg" not in xml.etree.ElementTree.parse(f"{folder}/x.svg").getroot().tag:
                out.append(f"FAILED {case.name}: svg (status {status})")
        if shutil.which("callgrind_annotate"):
            test_golden.run([test_golden.HEAPTAP, "callgrind", "-o", f"{folder}/x", *words], case.folder)
            status, text = test_golden.run(["callgrind_annotate", f"{folder}/x"], folder)
            if status != 0 or b"PROGRAM TOTALS" not in text:
                out.append(f"FAILED {case.name}: callgrind_annotate (status {status})")
    return out


def all_cases():
    return [*test_golden.cases(), *test_golden.cases("cases_graph.txt")]


def main():
    words = sys.argv[1:]
    program = test_golden.find_pprof() if words else None
    if words and program is None:
        print("go 1.19 is not installed")
        return 77
    if words == ["--store"]:
        store(program)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        todo = [] if words[:1] == ["--random"] else all_cases()
        count = int(words[1]) if words[:1] == ["--random"] else RANDOM_CASES if words else 0
        seed = int(words[2]) if len(words) > 2 else 1
        todo += [test_golden.random_case(seed + i, folder) for i in range(count)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda case: check(case, program), todo))
    failures = [failure for found, _ in results for failure in found]
    for failure in failures:
        print(failure)
    print(f"{len(todo)} cases, {len(todo) * len(REPORTS)} reports, {sum(loose for _, loose in results)} equal only but for the "
          f"order of what is equal, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
