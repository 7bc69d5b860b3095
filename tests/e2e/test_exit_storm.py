#!/usr/bin/python3 -B
# Snapshot signals that come faster than snapshots are written: a program that ends still ends at once, with its exit profile.
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import Test, need_program  # noqa: E402

WORK = "import json, re, decimal, email, argparse, logging\nprint('ready', flush=True)\nimport sys\nsys.stdin.read()\n"
PYTHON, = need_program("/usr/bin/python3")

with Test("exit_storm") as test:
    out = test.new_folder("out")
    env = test.shim(out, rate=1, keep=5)
    process = test.start([PYTHON, "-I", "-S", "-c", WORK], {**env, "PYTHONMALLOC": "malloc"}, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    test.need(process.stdout.readline() == "ready\n", "the program does not start")

    def storm():
        # The process is not waited for before this ends, so its number stays its own.
        while not done.is_set():
            os.kill(process.pid, signal.SIGUSR2)
            time.sleep(0.001)

    done = threading.Event()
    thread = threading.Thread(target=storm)
    thread.start()
    test.wait_for(lambda: len(test.files(out, "signal")) >= 3, "snapshots in the storm")
    begin = time.monotonic()
    process.stdin.close()
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    seconds = time.monotonic() - begin
    done.set()
    thread.join()
    print("  ended %.2f s after it was asked to" % seconds)
    test.need(seconds < 18, "the exit took %.1f s", seconds)
    test.need(ended.si_status == 0 and process.wait() == 0, "exit status %s", process.returncode)
    test.need(process.stderr.read() == "", "something on standard error")
    test.need(len(test.files(out, "exit")) == 1, "no exit profile")
    strange = [n for n in os.listdir(out) if not n.endswith(".pb.gz")]
    test.need(not strange, "left behind: %s", strange)
    for path in test.files(out, "exit"):
        test.profile(path)
