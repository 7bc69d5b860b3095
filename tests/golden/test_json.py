#!/usr/bin/env python3
"""--json of every report: valid, in words of the one vocabulary, of the right kind, and with the figures that pprof printed.

The vocabulary is what `heaptap help json` prints. Figures are compared with the text reports, which other tests hold against
pprof's."""
import json
import re
import subprocess
import sys

import test_golden

KINDS = {"text": str, "number": (int, float), "whole number": int, "true or false": bool, "list": list, "hex": str}
CASES = ["heap", "heap-mean", "heap-diff-base", "heap-tagleaf", "cpu", "mutex", "inlined", "labels", "values", "bare-addresses",
         "mappings", "names", "native-threads", "redis", "empty", "bytes"]
OTHER_REPORTS = ["list", "dot", "svg", "callgrind", "folded", "flame"] # pprof has no such figures, or other tests look at them
OTHER_CASES = ["heap", "heap-base", "heap-diff-base", "cpu", "inlined", "native-lines", "many-base"]
failures, used = [], set()


def vocabulary():
    text = subprocess.run([test_golden.HEAPTAP, "help", "json"], capture_output=True, text=True, check=True).stdout
    kinds = "|".join(sorted(KINDS, key=len, reverse=True))
    return dict(re.findall(rf"^  (\w+) +({kinds}) ", text, re.M))


def check_words(where, value, words):
    if isinstance(value, list):
        for item in value:
            check_words(where, item, words)
    elif isinstance(value, dict):
        for name, member in value.items():
            used.add(name)
            kind = KINDS.get(words.get(name))
            if kind is None or not isinstance(member, kind) or (kind is not bool and isinstance(member, bool)):
                failures.append(f"{where}: {name} is {member!r}, not {words.get(name)}")
            elif words[name] == "hex" and not re.fullmatch("0x[0-9a-f]+", member):
                failures.append(f"{where}: {name} is {member!r}")
            check_words(where, member, words)


def want(where, what, ours, theirs):
    if ours != theirs:
        failures.append(f"{where}: {what}: {ours!r}, the text has {theirs!r}")


def check_figures(name, report, data, text):
    """The rows, in their order, say what the text says."""
    rows, where = data["rows"], f"{name} {report}"
    if report == "top":
        row = re.compile(r"^ *(\S+)(?: ±\S+)? +(\S+%) +(\S+%) +(\S+) +(\S+%)  (.*)$")
        lines = [row.match(line).groups() for line in text.split("cum%\n", 1)[1].splitlines()]
        marks = {"never": "", "always": " (inline)", "partly": " (partial-inline)"}
        want(where, "names", [row["name"] + marks[row["inlined"]] for row in rows], [line[5] for line in lines])
        want(where, "cum", [percent(row["cum_percent"]) for row in rows], [line[4] for line in lines])
    elif report in ("tree", "peek"):
        lines = [line.split("| ", 1)[1] for line in text.splitlines() if re.match(r"^[^|]*% *[|] ", line)]
        mark = {"never": "", "always": " (inline)"}
        ours = []
        for row in rows:
            for edge in row["callers"]:
                ours.append("  " + edge["name"] + mark[edge["inlined"]])
            ours.append(row["name"])
            for edge in row["callees"]:
                ours.append("  " + edge["name"] + mark[edge["inlined"]])
        want(where, "names", ours, lines)
    elif report == "traces":
        blocks = re.split("^-+[+]-+\n", text, flags=re.M)[1:-1]
        want(where, "stacks", len(rows), len(blocks))
        for row, block in zip(rows, blocks):
            lines = [line for line in block.splitlines() if not re.match(r"^ *[^ ].*?:  ", line)]
            mark = {"never": "", "always": " (inline)"}
            want(where, "frames", len(row["frames"]), len(lines))
            want(where, "frames", [frame["name"] + mark[frame["inlined"]] for frame in row["frames"]],
                 [line[13:] for line in lines])
    elif report == "tags" and name != "labels": # a tab in a label is lost in the text
        want(where, "values", [tag["text"] for row in rows for tag in row["tags"]],
             [line.split(": ", 1)[1] for line in text.splitlines() if line and ": Total " not in line])
    elif report == "comments":
        want(where, "comments", rows, text.splitlines())
    elif report == "raw":
        samples = text.split("Samples:\n", 1)[1].split("\n", 1)[1].split("Locations\n")[0]
        lines = [line for line in samples.splitlines() if not line.startswith(" " * 16)]
        want(where, "values", [row["values"] + row["location_ids"] for row in rows],
             [[int(word) for word in line.replace(":", " ").split()] for line in lines])
        want(where, "mappings", len(data["mappings"]), len(text.split("Mappings\n")[-1].splitlines()))


def percent(value):
    value = abs(value)
    return "100%" if 99.95 <= value <= 100.05 else f"{value:.2f}%" if value >= 1 else f"{value:.2g}%"


def main():
    words = vocabulary()
    cases = {case.name: case for case in test_golden.cases()}
    for name in CASES:
        case = cases[name]
        for report in test_golden.REPORTS:
            expression = [case.expression] if report == "peek" else []
            line = [test_golden.HEAPTAP, report, *case.options, *expression, *case.profiles]
            status, text = test_golden.run([*line, "--json"], case.folder)
            plain_status, plain = test_golden.run(line, case.folder)
            where = f"{name} {report}"
            want(where, "status", status, plain_status)
            if status != 0:
                continue
            data = json.loads(text)
            check_words(where, data, words)
            want(where, "report", data["report"], report)
            if name != "bytes" and report != "proto": # bytes that are not UTF-8 are replaced in JSON
                check_figures(name, report, data, plain.decode())
    for name in OTHER_CASES:
        case = cases[name]
        for report in OTHER_REPORTS:
            expression = [case.expression] if report == "list" else []
            line = [test_golden.HEAPTAP, report, "--json", *case.options, *expression, *case.profiles]
            status, text = test_golden.run(line, case.folder)
            if status == 0 and text.startswith(b"{"):
                check_words(f"{name} {report}", json.loads(text), words)
    for name in sorted(set(words) - used):
        failures.append(f"no report uses the word {name}")
    for failure in failures[:20]:
        print("FAILED", failure[:400])
    print(f"{len(CASES)} cases, {len(words)} words, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
