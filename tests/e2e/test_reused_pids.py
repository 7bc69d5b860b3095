#!/usr/bin/python3 -B
"""A process is killed, and its number lives on as another process: ps, top, snap and --dead keep the two apart, and the
dead one's region neither passes for the living one's nor is lost. In a pid namespace of its own, where the next number can
be chosen."""
import glob
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, Test  # noqa: E402

HOST = BUILD + "/e2e/host"
LAST = "/proc/sys/kernel/ns_last_pid"
MB = 1 << 20
USER = 65534


def stand_alone():
    """Begins again as process 1 of a pid namespace with a /dev/shm of its own."""
    if os.environ.get("HT_ALONE"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"], check=True)
        return
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() != 0 or subprocess.run(command + ["test", "-w", LAST], capture_output=True).returncode != 0:
        print("SKIPPED: no pid namespace can be had in which the next pid can be chosen")
        sys.exit(77)
    os.environ["HT_ALONE"] = "1"
    os.execvp(command[0], command + [sys.executable, "-B"] + sys.argv)


def start(pid, *arguments, profiled=True):
    """A program that gets this number; None: any."""
    if pid is not None:
        with open(LAST, "w") as file:
            file.write(str(pid - 1))
    env = test.shim(out, rate=1) if profiled else None
    process = test.start(list(arguments), env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if profiled:
        test.need(process.stdout.readline() == "ready\n", "the host did not start")
    test.need(pid in (None, process.pid), "pid %d wanted, got %d", pid or 0, process.pid)
    return process


def end(process, how=signal.SIGKILL):
    process.send_signal(how)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    time.sleep(2 / os.sysconf("SC_CLK_TCK"))  # a process is its number and the tick in which it began


def regions(pid):
    return set(glob.glob("/dev/shm/heaptap.host.%d.*.live" % pid))


def in_use(path):
    return test.profile(path).totals()[3]


def snap(*words):
    done = test.heaptap("snap", *words)
    return done, in_use(done.output.strip()) if done.returncode == 0 else None


def rows(*words):
    """Lines of ps by their last column but for the arguments: (pid, dead or not)."""
    done = test.heaptap("ps", *words)
    test.need(done.returncode == 0, "ps %s: status %d, %s", words, done.returncode, done.errors)
    lines = [line.split() for line in done.output.splitlines()[1:]]
    return sorted((int(words[0]), "dead" in words) for words in lines if words and words[0].isdigit())


def by_another_host():
    """The number's next owner is profiled as well, and holds more."""
    first = start(None, HOST, "poll")
    pid, old = first.pid, regions(first.pid)
    end(first)
    second = start(pid, HOST, "grow")
    second.stdin.write("\n")
    second.stdin.flush()
    second.stdout.readline()
    new = regions(pid) - old
    test.need(len(old) == len(new) == 1, "regions %s, then %s", old, new)
    test.need(rows() == [(pid, False)], "ps: %s", rows())
    test.need(rows("--dead") == [(pid, False), (pid, True)], "ps --dead: %s", rows("--dead"))
    for what, argument, trigger, least, most in (("the living one", pid, "manual", 8 * MB, 12 * MB),
                                                 ("its region", *new, "manual", 8 * MB, 12 * MB),
                                                 ("the dead one's region", *old, "recovered", MB, 3 * MB)):
        done, held = snap(argument, "-o", out)
        test.need(held and least <= held <= most and ".%s." % trigger in done.output, "snap of %s: %s bytes, %s%s", what, held,
                  done.output, done.errors)
        top = test.heaptap("top", argument)
        grown = "grow_blocks" in top.output
        test.need(top.returncode == 0 and grown == (least > 3 * MB), "top of %s: status %d, %s%s", what, top.returncode,
                  top.output, top.errors)
    test.heaptap("rate", pid, "4K")
    test.need("4kB" in test.heaptap("ps").output.replace("4K", "4kB"), "the rate is another's: %s", test.heaptap("ps").output)
    clean = test.heaptap("ps", "--dead", "--clean")
    test.need(regions(pid) == new, "--clean left %s of %s and %s: %s", regions(pid), old, new, clean.output)
    done, held = snap(pid, "-o", out)
    test.need(held and held >= 8 * MB, "after --clean: %s, %s", held, done.errors)
    end(second)
    test.heaptap("ps", "--dead", "--clean")


def by_another_program():
    """The number's next owner has nothing to do with us."""
    first = start(None, HOST, "poll")
    pid, old = first.pid, regions(first.pid)
    end(first)
    second = start(pid, "sleep", "1000", profiled=False)
    test.need(rows() == [], "ps: %s", rows())
    test.need(rows("--dead") == [(pid, True)], "ps --dead: %s", rows("--dead"))
    for command in "snap", "top", "rate", "stop", "doctor":
        done = test.heaptap(command, pid, *(["1"] if command == "rate" else []))
        lines = done.errors.splitlines()
        test.need(done.returncode == 1 and (len(lines) == 1 or command == "doctor"), "%s of sleep: status %d, %s%s", command,
                  done.returncode, done.output, done.errors)
    done, held = snap(*old, "-o", out)
    test.need(held and ".recovered." in done.output, "the dead one's region: %s, %s", held, done.errors)
    test.need(second.poll() is None, "sleep was ended: %s", second.returncode)
    # Whoever makes a region next finds nine of the dead, whose numbers others have.
    for _ in range(8):
        other = start(None, HOST, "poll")
        end(other)
    others = [start(int(path.split(".")[-3]), "sleep", "1000", profiled=False)
              for path in glob.glob("/dev/shm/heaptap.host.*.live") if path not in old]
    third = start(None, HOST, "poll")
    left = glob.glob("/dev/shm/heaptap.host.*.live")
    test.need(len(left) == 9 and regions(third.pid) <= set(left) and not old & set(left), "of ten regions %s are left", left)
    test.heaptap("ps", "--dead", "--clean")
    left = set(glob.glob("/dev/shm/heaptap.host.*.live"))
    test.need(left == regions(third.pid), "--clean left %s", left)
    for process in [second, third] + others:
        test.need(process.poll() is None, "%d was ended: %s", process.pid, process.returncode)
        end(process)


def in_hiding():
    """A user's processes that /proc hides from him are alive all the same: whoever makes a region next lets them be."""
    subprocess.run(["mount", "-o", "remount,hidepid=2", "/proc"], check=True)
    os.chmod(out, 0o777)
    hosts = [test.start([HOST, "hidden"], test.shim(out, rate=1), stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=USER,
                        group=USER, extra_groups=[]) for _ in range(10)]
    for host in hosts:
        test.need(host.stdout.readline() == "ready\n", "the host did not start")
    test.need(subprocess.run(["test", "-e", "/proc/%d" % hosts[0].pid], user=USER, group=USER, extra_groups=[]).returncode == 1,
              "/proc hides nothing")
    for host in hosts:
        test.need(len(regions(host.pid)) == 1, "the region of %d, which lives, is gone", host.pid)
    for host in hosts:
        end(host)


stand_alone()
with Test("reused pids") as test:
    out = test.new_folder("out")
    by_another_host()
    by_another_program()
    in_hiding()
