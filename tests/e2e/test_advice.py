#!/usr/bin/python3 -B
# What the commands say of processes in odd states is so, and nothing that they advise does harm.
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from e2e import BUILD, SHIM, Test  # noqa: E402
import subprocess  # noqa: E402

HOST = BUILD + "/e2e/advice_host"


class Host:
    """A process of advice_host that has said that it is ready; `pid` is whom it is about."""

    def __init__(self, test, how, argument="", env=None, program=HOST, **options):
        self.process = test.start([program, how, argument], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        words = self.process.stdout.readline().split()
        test.need(words[:1] == ["ready"], "%s %s: %s", how, argument, words)
        self.pid = int(words[1]) if len(words) > 1 else self.process.pid

    def end(self):
        self.process.stdin.close()
        return self.process.wait(60)


def workers(test):
    """A forked worker without a sample: no advice to send a signal that kills it or that is its own."""
    for how in ("default", "ignored", "blocked", "kept"):
        for live in ("on", "off"):
            host = Host(test, "worker", how, env=test.shim(test.new_folder("workers." + how + live), live=live))
            for command in ("snap", "top"):
                done = test.heaptap(command, host.pid)
                test.need(done.returncode == 1 and "kill" not in done.errors.replace("would kill the process", ""),
                          "%s of a worker with SIGUSR2 %s: %s", command, how, done.errors)
                words = "nothing that it allocated was sampled yet .one sample in 512K" if live == "on" else {
                    "default": "SIGUSR2 takes none: it would kill the process", "ignored": "SIGUSR2 takes none: the process ignores it",
                    "blocked": "SIGUSR2 takes none: the process blocks it", "kept": "unless the program has taken that signal"}[how]
                test.need(re.search(words, done.errors), "%s of a worker with SIGUSR2 %s: %s", command, how, done.errors)
            test.need(host.end() == 0, "the worker with SIGUSR2 %s did not live", how)
    host = Host(test, "worker", "kept", env=test.shim(test.new_folder("workers.private"), rate=1, live="/proc"))
    done = test.heaptap("snap", host.pid)
    test.need("there was no room for a region that others can read" in done.errors, "private tables: %s", done.errors)


def unseen(test):
    """Live heap far below what is in memory is told, with the runtime that has the rest."""
    out, php = test.new_folder("unseen"), test.path("php8.2")
    shutil.copy(HOST, php)
    plain = Host(test, "maps", env=test.shim(out))
    one, two = (Host(test, "maps", env=test.shim(out), program=php) for _ in range(2))
    small = Host(test, "title", "grows", env=test.shim(out))
    listed = test.heaptap("ps", "--over", "0", plain.pid, one.pid, two.pid, small.pid)
    lines = [line for line in listed.output.splitlines() if "live heap is" in line]
    test.need(len(lines) == 2 and re.match(r"advice_host %d: live heap is [0-9.]+MB of [0-9.]+MB in memory: the rest did not come from "
                                           r"malloc, or" % plain.pid, lines[0]), "ps: %s", listed.output)
    test.need(re.match(r"php8.2 %d \(1 more are alike\): .*\(PHP\): .*; set USE_ZEND_ALLOC=0" % one.pid, lines[-1]), "ps: %s", lines)
    rows = json.loads(test.heaptap("ps", "--json", "--over", "0", one.pid, small.pid).output)["processes"]
    test.need(["unseen" in row for row in rows] == [True, False], "ps --json: %s", rows)
    for host, words in ((plain, "the rest did not come from malloc"), (one, "set USE_ZEND_ALLOC=0"), (small, None)):
        done = test.heaptap("top", host.pid)
        test.need(done.returncode == 0 and (words in done.errors if words else done.errors == ""), "top: %s", done.errors)
    test.need([host.end() for host in (plain, one, two, small)] == [0] * 4, "the hosts")
    for path in test.files(out, "exit"):
        done = test.heaptap("top", path)
        test.need(done.errors == "", "top of an exit profile: %s", done.errors)


with Test("advice") as t:
    unseen(t)
    workers(t)
