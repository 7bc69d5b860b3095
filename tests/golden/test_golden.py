#!/usr/bin/env python3
"""`heaptap top` prints byte for byte what `go tool pprof -top` printed for the same profiles and options (cases.txt).

With --live the real `go tool pprof` is asked instead of expected/, if it is installed (exit status 77 if not)."""
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
HEAPTAP = os.path.join(os.environ.get("HT_BUILD", "build"), "heaptap")
ENVIRONMENT = dict(os.environ, TZ="UTC", PPROF_BINARY_PATH="/nowhere")


def run(command):
    done = subprocess.run(command, cwd=HERE / "profiles", env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60)
    return done.returncode, done.stdout


def main():
    live = "--live" in sys.argv[1:]
    if live and shutil.which("go") is None:
        print("go is not installed")
        return 77
    good = bad = 0
    for line in (HERE / "cases.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        name, options, profiles = (part.strip() for part in line.split("|"))
        words = options.split() + profiles.split()
        status, output = run([os.path.abspath(HEAPTAP), "top", *words])
        expected = run(["go", "tool", "pprof", "-top", *words])[1] if live else (
            HERE / "expected" / f"{name}.txt").read_bytes()
        if status == 0 and output == expected:
            good += 1
            continue
        bad += 1
        print(f"FAILED {name}: heaptap top {' '.join(words)} (status {status})")
        for ours, theirs in zip(output.splitlines() + [b""] * 3, expected.splitlines() + [b""] * 3):
            if ours != theirs:
                print("  heaptap:", ours.decode(errors="replace"))
                print("  pprof:  ", theirs.decode(errors="replace"))
                break
    print(f"{good} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
