#!/usr/bin/python3 -B
"""Every system call of the shim refused, one at a time, by a filter that the program inherits: the program fares as it does
bare, and no profile is lost in silence. And what README says of filters that kill names all the calls that are made."""
import glob
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, SHIM, Test, clean_environment  # noqa: E402

SOURCE = os.environ.get("HT_SOURCE") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
HOST = BUILD + "/e2e/refused_host"
EPERM, ENOSYS, EINVAL = 1, 38, 22

# Calls that are answered with 0 and not made. For the others 0 is an answer of its own: an address, a descriptor, a child, or
# a file that has its name.
SILENT = ("clock_gettime close close_range fallocate fchmod fcntl ftruncate futex getdents64 getpid getrandom madvise mincore "
          "mkdirat munmap ppoll readlinkat rt_sigpending rt_sigprocmask sched_setscheduler sched_yield sendfile "
          "unlinkat").split()
# Where no exit profile can be, and why: then the region is left.
NO_PROFILE = {"write": "nothing can be written, and no message that says so"}
# Calls in src/ that the shim never makes for itself, and one that it makes and src/ does not name.
HOSTS_OWN = {"prctl": "the host's, passed on", "seccomp": "the host's, passed on"}
NEVER_REFUSED = {"exit": "no thread of any program could end"}
UNNAMED = {"rt_sigreturn": "behind the handler of the snapshot signal"}
# The lists in README: how each begins, and with which variables the calls of those behind it are not made.
LISTS = (
    ("recording", {"exit": 0, "signal": "none", "live": "off"}),
    ("the live region", {"exit": 0, "signal": "none"}),
    ("snapshots", {}),
)


def numbers():
    """System calls by name, from the kernel's header."""
    include = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"], capture_output=True,
                             text=True, check=True).stdout
    return {name: int(number) for name, number in re.findall(r"^#define __NR_(\w+) (\d+)$", include, re.M)}


def in_source():
    """Names of the calls in src/."""
    names = set()
    for path in glob.glob(SOURCE + "/src/**/*.[ch]", recursive=True):
        with open(path) as file:
            names |= set(re.findall(r"\bSYS_(\w+)", file.read()))
    return names


def in_readme(title):
    """Names of the calls in one of README's lists."""
    with open(SOURCE + "/README.md") as file:
        found = re.search(r"^  - %s[^:]*:((?:.|\n    )*)$" % re.escape(title), file.read().replace(" and: ", ": ", 1), re.M)
    return set(re.findall(r"\w+", found[1].split(":")[-1])) if found else set()


def run(calls, preload, *arguments, **variables):
    out = test.new_folder(str(len(test.pids)))
    env = test.shim(out, rate=1, **variables) if preload else clean_environment()
    process = test.run([BUILD + "/refusing"] + calls + ["--", HOST] + list(arguments), env, timeout=50)
    return process, test.files(out)


def check(what, calls, known, *arguments):
    bare, _ = run(calls, False, *arguments)
    if bare.returncode != 3:
        return "the program itself cannot start" if bare.returncode != 77 else "cannot be had here"
    other, files = run(calls, True, *arguments)
    said = [line for line in other.errors.splitlines() if line.startswith("heaptap: ")]
    other.errors = "".join(line for line in other.errors.splitlines(True) if not line.startswith("heaptap: "))
    test.same(what, bare, other)
    exits = [name for name in files if ".%d." % other.pid in name and ".exit." in name]
    if known:
        test.need(not exits, "%s: there is a profile, though %s", what, known)
        test.need(glob.glob("/dev/shm/heaptap.refused_host.%d.*.live" % other.pid), "%s: no region is left", what)
    else:
        test.need(exits, "%s: no exit profile (%s)", what, said or "and not a word")
        for name in exits:
            test.profile(name)
    return "%d profiles%s" % (len(files), ", " + "; ".join(said) if said else "")


def lives(process):
    return process.returncode == 3 and process.output.endswith("\nthe child: ok\n")


def check_killed():
    """The shim lives under a filter that kills at whatever README does not list, and the program can do without."""
    free = {name: number for name, number in table.items() if lives(run(["%d:kill" % number], False)[0])}
    test.need(len(free) > 250, "the program itself can do without %d calls only", len(free))
    named = set()
    for title, variables in LISTS:
        listed = in_readme(title)
        test.need(len(listed) > 5, "README lists %d calls under %r", len(listed), title)
        named |= listed
        killed = ["%d:kill" % number for name, number in free.items() if name not in named]
        process, files = run(killed, True, "much", **variables)
        test.need(lives(process),
                  "%s: allowed is what README lists: status %s, %r, %r", title, process.returncode, process.output,
                  process.errors)
        test.need(bool(files) == (not variables), "%s: %d profiles", title, len(files))
    wanted = (in_source() & set(table) | set(UNNAMED)) - set(HOSTS_OWN)
    test.need(named == wanted, "README does not list %s, and lists %s", sorted(wanted - named), sorted(named - wanted))


with Test("refused") as test:
    table = numbers()
    used = sorted(in_source())
    calls = [name for name in used if name in table and name not in HOSTS_OWN and name not in NEVER_REFUSED]
    test.need(len(calls) > 35, "only %d calls found", len(calls))
    check("nothing", [], None)
    for name in calls:
        for error in (EPERM, ENOSYS) + ((0,) if name in SILENT else ()):
            key = "%s:%d" % (name, error)
            known = NO_PROFILE.get(key) or NO_PROFILE.get(name)
            print("%-24s %s" % (key, check(key, ["%d:%d" % (table[name], error)], known,
                                               *(["leaks"] if name == "close" else []))), flush=True)
    together = {
        "no way to name a file that is free": ("renameat2", "linkat"),
        "nothing can be renamed": ("renameat2", "renameat", "linkat"),
        "nothing can be renamed or sent": ("renameat2", "renameat", "linkat", "sendfile"),
    }
    for what, names in together.items():
        for error in (EPERM, ENOSYS, EINVAL):
            print(what, error, check(what, ["%d:%d" % (table[name], error) for name in names], None))
    for error in (EPERM, ENOSYS, 0):
        print("no clock at all", error, check("no clock at all", ["%d:%d" % (table["clock_gettime"], error)], None, "tsc"))
    check_killed()
    # Where no file can be written, and where the signal or the exit takes none, regions stay behind, also the children's.
    for path in glob.glob("/dev/shm/heaptap.refused_host.*.live"):
        if not os.path.exists("/proc/" + path.split(".")[-3]):
            os.unlink(path)
