#!/usr/bin/env python3
"""The reports are byte for byte those of `go tool pprof` of Go 1.19, for the profiles and options of cases.txt; tags are those
of google/pprof since 2025.

  test_golden.py              against expected/, which is what pprof printed
  test_golden.py --live       against pprof itself, and on random profiles and options as well; status 77 without Go 1.19
  test_golden.py --random 500 [SEED]    only that many random ones
  test_golden.py --store PPROF   writes expected/ anew; tags by PPROF, a newer google/pprof

A byte of a name that is no UTF-8, which pprof prints as it is, is U+FFFD here. The report proto is compared through raw. pprof prints equal figures of opposite sign in no order, a new one each time: --live
asks again, --store refuses such cases. --live compares tags by what both print: the labels and, rounded, their values."""
import concurrent.futures
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import random_cases

HERE = pathlib.Path(__file__).resolve().parent
HEAPTAP = os.path.abspath(os.path.join(os.environ.get("HT_BUILD", "build"), "heaptap"))
ENVIRONMENT = dict(os.environ, TZ="UTC", PPROF_BINARY_PATH="/nowhere")
REPORTS = random_cases.REPORTS
UNLIKE = {("bytes", "proto")} # heaptap's profiles are valid UTF-8, which other readers insist on
WITH_ZEROS = ("odd-labels.pb", "odd-zero.pb")
RANDOM_CASES = 40
ASK_AGAIN = 12
STORE_AGAIN = 5


def shown(output):
    """pprof's output, as heaptap's filter shows names that are no UTF-8."""
    return re.sub("[\udc80-\udcff]", "\ufffd", output.decode(errors="surrogateescape")).encode()


def run(words, folder):
    done = subprocess.run(words, cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, timeout=240)
    return done.returncode, done.stdout


class Case:
    def __init__(self, name, options, profiles, expression, folder):
        self.name, self.options, self.profiles, self.expression, self.folder = name, options, profiles, expression, folder

    def heaptap(self, report):
        """Exit status and output; of proto, its content as raw shows it."""
        extra = ["--no-error"] if report in ("top", "text") else [] # which pprof does not have
        words = [HEAPTAP, report, *extra, *self.options, *([self.expression] if report == "peek" else []), *self.profiles]
        if report != "proto":
            return run(words, self.folder)
        with tempfile.NamedTemporaryFile(suffix=".pb.gz") as file:
            status, _ = run([*words, "-o", file.name], self.folder)
            return run([HEAPTAP, "raw", "-symbolize=none", file.name], self.folder) if status == 0 else (status, b"")

    def pprof(self, program, report):
        words = [*program, f"-peek={self.expression}" if report == "peek" else f"-{report}", *self.options]
        if report != "proto":
            return run([*words, *self.profiles], self.folder)
        with tempfile.NamedTemporaryFile(suffix=".pb.gz") as file:
            status, _ = run([*words, f"-output={file.name}", *self.profiles], self.folder)
            return run([*program, "-raw", "-symbolize=none", file.name], self.folder) if status == 0 else (status, b"")


def cases(table="cases.txt"):
    for line in (HERE / table).read_text().splitlines():
        if line.startswith("#"):
            continue
        name, options, profiles, *expression = (part.strip() for part in line.split(" | " if " | | " not in line else "|", 3))
        yield Case(name, options.split(), profiles.split(), expression[0] if expression else "main", HERE / "profiles")


def random_case(seed, folder):
    names = [f"random{seed}.{variant}.pb" for variant in (0, 1)]
    for variant, name in enumerate(names):
        (pathlib.Path(folder) / name).write_bytes(random_cases.profile(seed, variant))
    return Case(f"random {seed}", random_cases.options(seed), random_cases.inputs(seed, *names), "a|main", folder)


def find_pprof():
    """The program behind `go tool pprof`, asked directly because it is asked often; None without Go 1.19."""
    if shutil.which("go") is None:
        return None
    version = subprocess.run(["go", "version"], capture_output=True, text=True).stdout
    folder = subprocess.run(["go", "env", "GOTOOLDIR"], capture_output=True, text=True).stdout.strip()
    program = os.path.join(folder, "pprof")
    return [program] if " go1.19" in version and os.path.exists(program) else None


def stored_path(case):
    return HERE / "expected" / f"{case.name}.xz"


def newer_tags(case, program, newer):
    """The newer pprof does not merge a single input and so keeps samples of zero: the older one does that first."""
    with tempfile.TemporaryDirectory() as folder:
        for path in (HERE / "profiles").iterdir():
            shutil.copy(path, folder)
        for name in WITH_ZEROS:
            run([*program, "-proto", "-symbolize=none", f"-output={folder}/{name}", name], HERE / "profiles")
        return Case(case.name, case.options, case.profiles, case.expression, folder).pprof([newer], "tags")


def store(program, newer):
    shutil.rmtree(HERE / "expected", ignore_errors=True)
    (HERE / "expected").mkdir()
    for case in cases():
        out = b""
        for report in REPORTS:
            ask = (lambda: newer_tags(case, program, newer)) if report == "tags" else (lambda: case.pprof(program, report))
            status, text = ask()
            if any(ask()[1] != text for _ in range(STORE_AGAIN)):
                print(f"unstable: {case.name} {report}")
            out += b"=== %s %d %d\n%s\n" % (report.encode(), status != 0, len(text), text)
        stored_path(case).write_bytes(lzma.compress(out, preset=9 | lzma.PRESET_EXTREME))


def stored(case):
    """{report: (failed, output)}"""
    rest, outputs = lzma.decompress(stored_path(case).read_bytes()), {}
    while rest:
        head, rest = rest.split(b"\n", 1)
        _, report, failed, length = head.split()
        outputs[report.decode()] = int(failed), rest[:int(length)]
        rest = rest[int(length) + 1:]
    return outputs


def comparable(case, output):
    """Without the time where there is a base: pprof prints the base's, which is not when the report's profile was taken."""
    if not any("base" in option for option in case.options):
        return output
    return b"".join(line for line in output.splitlines(True) if not line.startswith(b"Time: "))


def rounded(text):
    """What tags of all versions have in common, in one order: labels, and values with one digit behind the point."""
    rows, key = [], b""
    for line in text.splitlines():
        total, row = re.fullmatch(rb" *(.*): Total ([^ ]*).*", line), re.fullmatch(rb" *(-?[^ ]+)(?: \([ .\d%e+-]+\))?: (.*)", line)
        key = total[1] if total else key
        number, unit = re.fullmatch(rb"(-?[.\d]+)(.*)", (total or row)[2 if total else 1]).groups() if total or row else (b"0", line)
        rows.append((key, b"" if total or not row else row[2], float(number), unit if float(number) else b""))
    return rows


def same_tags(case, ours, theirs):
    """The older one does not divide."""
    ours, theirs = sorted(rounded(ours)), sorted(rounded(theirs))
    return [row[:2] for row in ours] == [row[:2] for row in theirs] and \
        ("-divide_by" in " ".join(case.options) or all(abs(a[2] - b[2]) < 0.06 and a[3] == b[3] for a, b in zip(ours, theirs)))


def compare(case, report, expected, again):
    """None, or what differs. `again` asks pprof once more."""
    status, output = case.heaptap(report)
    failed, wanted = expected
    output, wanted = comparable(case, output), comparable(case, shown(wanted))
    if report == "tags" and again is not None and not status and not failed and same_tags(case, output, wanted):
        return None
    if bool(status) == bool(failed) and (failed or output == wanted):
        return None
    if not failed and not status and again is not None and any(comparable(case, shown(again()[1])) == output for _ in range(ASK_AGAIN)):
        return None
    words = " ".join([report, *case.options, *case.profiles])
    text = f"FAILED {case.name}: heaptap {words} (status {status}, pprof {'failed' if failed else 'did not fail'})"
    for ours, theirs in zip(output.splitlines() + [b""] * 3, wanted.splitlines() + [b""] * 3):
        if ours != theirs:
            return f"{text}\n  heaptap: {ours.decode(errors='replace')}\n  pprof:   {theirs.decode(errors='replace')}"
    return text


def check(case, program):
    expected = stored(case) if program is None else None
    failures = []
    for report in REPORTS:
        if (case.name, report) in UNLIKE:
            continue

        def ask(report=report):
            return case.pprof(program, report)
        failure = compare(case, report, ask() if expected is None else expected[report], ask if program else None)
        if failure is not None:
            failures.append(failure)
    return failures


def main():
    words = sys.argv[1:]
    program = find_pprof() if words else None
    if words and program is None:
        print("go 1.19 is not installed")
        return 77
    if words[:1] == ["--store"]:
        store(program, os.path.abspath(words[1]))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        todo = [] if words[:1] == ["--random"] else list(cases())
        count = int(words[1]) if words[:1] == ["--random"] else RANDOM_CASES if words else 0
        seed = int(words[2]) if len(words) > 2 else 1
        todo += [random_case(seed + i, folder) for i in range(count)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            failures = [failure for found in pool.map(lambda case: check(case, program), todo) for failure in found]
    for failure in failures:
        print(failure)
    print(f"{len(todo)} cases, {len(todo) * len(REPORTS)} reports, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
