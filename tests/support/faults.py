"""Faults of system calls: which call can fail with what, runs of a program with one call failing (support/faulting.c),
and the places that are tried: all of them (HT_FAULTS=all), or a sample that is the same each time."""
import collections
import concurrent.futures
import os
import re
import subprocess
import sys
import zlib

from e2e import BUILD

ALL = os.environ.get("HT_FAULTS") == "all"
FAULTING = BUILD + "/faulting"

# What each call can fail with, beside what only a wrong argument brings. `late:` where the kernel has done it all the
# same, `short` for less than was asked. A call that is not here cannot fail. ESRCH of tgkill is an answer, that a thread has
# ended: the kernel does not say so of one that lives, and two writers on one stack would come of believing it.
ERRORS = {
    "access": "EACCES EIO ENOMEM", "accept4": "EMFILE ECONNABORTED ENOMEM", "bind": "EACCES ENOMEM", "brk": "ENOMEM",
    "capget": "EPERM", "chdir": "EACCES EIO ENOENT ENOMEM",
    "clock_nanosleep": "EINTR", "clone": "EAGAIN ENOMEM EPERM ENOSPC", "clone3": "EAGAIN ENOMEM ENOSYS",
    "close": "late:EIO late:EINTR late:ENOSPC late:EDQUOT", "close_range": "ENOMEM ENOSYS EMFILE", "connect": "ECONNREFUSED EINTR",
    "dup": "EMFILE", "dup2": "EMFILE EINTR EBUSY", "dup3": "EMFILE EINTR EBUSY", "eventfd2": "EMFILE ENFILE ENOMEM",
    "execve": "EACCES ENOENT ENOMEM ENOEXEC ETXTBSY E2BIG EIO",
    "fallocate": "ENOSPC EDQUOT EFBIG EINTR EIO EOPNOTSUPP ENOSYS EPERM", "fchmod": "EPERM EROFS EIO", "fchmodat": "EPERM EROFS",
    "fchown": "EPERM EDQUOT EIO", "fcntl": "EMFILE EAGAIN EINTR", "fdatasync": "EIO ENOSPC", "flock": "EINTR ENOLCK EWOULDBLOCK",
    "fork": "EAGAIN ENOMEM", "fstat": "ENOMEM EIO", "fstatfs": "EIO ENOSYS EINTR", "fsync": "EIO ENOSPC EDQUOT",
    "ftruncate": "EFBIG EINTR EIO EPERM ENOSPC", "futex": "EINTR EAGAIN", "getcwd": "ENOENT EACCES ENOMEM",
    "getdents64": "EIO ENOENT EINTR", "getgroups": "EPERM", "getrandom": "EINTR ENOSYS EAGAIN", "getrlimit": "EPERM",
    "inotify_add_watch": "ENOSPC ENOMEM EACCES", "inotify_init1": "EMFILE ENFILE ENOMEM", "ioctl": "ENOTTY EIO",
    "kill": "EPERM ESRCH", "linkat": "EPERM EEXIST ENOSPC EDQUOT EMLINK EIO ENOENT EROFS",
    "lseek": "ESPIPE EIO EINVAL", "madvise": "ENOMEM EAGAIN EINVAL EIO EFAULT EBADF", "memfd_create": "EMFILE ENOMEM ENOSYS",
    "mincore": "ENOMEM EAGAIN", "mkdir": "EACCES ENOSPC EROFS EDQUOT EIO EEXIST", "mkdirat": "EACCES ENOSPC EROFS EDQUOT EIO",
    "mmap": "ENOMEM EAGAIN EACCES EPERM ENODEV ENFILE", "mprotect": "ENOMEM EACCES", "mremap": "ENOMEM EAGAIN", "munmap": "ENOMEM EPERM",
    "nanosleep": "EINTR", "newfstatat": "EACCES EIO ENOENT ENOMEM", "open": "EACCES EMFILE ENFILE ENOENT ENOMEM EINTR",
    "openat": "EACCES EINTR EMFILE ENFILE ENOENT ENOMEM ENOSPC EDQUOT EROFS EPERM EIO",
    "openat2": "EACCES EINTR EMFILE ENFILE ENOENT ENOMEM ENOSYS EPERM EAGAIN", "pidfd_open": "EMFILE ENOSYS ESRCH EPERM ENOMEM",
    "pidfd_send_signal": "EPERM ESRCH ENOSYS", "pipe2": "EMFILE ENFILE", "poll": "EINTR ENOMEM", "ppoll": "EINTR ENOMEM",
    "prctl": "EPERM EINVAL", "pread64": "EIO EINTR EAGAIN short", "prlimit64": "EPERM ESRCH", "process_vm_readv": "EPERM ESRCH ENOSYS",
    "pselect6": "EINTR ENOMEM", "pwrite64": "EIO EINTR ENOSPC EDQUOT EFBIG short", "read": "EIO EINTR EAGAIN short",
    "readlink": "EACCES ENOENT ENOMEM EIO", "readlinkat": "EACCES ENOENT ENOMEM EIO", "recvfrom": "EINTR ECONNRESET short",
    "rename": "EACCES ENOSPC EDQUOT EIO EROFS", "renameat": "EACCES ENOSPC EDQUOT EIO EROFS",
    "renameat2": "EINVAL EEXIST EACCES ENOSPC EDQUOT EIO ENOSYS EROFS", "rt_sigaction": "EPERM", "rt_sigpending": "EPERM",
    "rt_sigprocmask": "EPERM", "rt_sigtimedwait": "EAGAIN EINTR", "sched_setscheduler": "EPERM",
    "sendfile": "EIO EINTR EAGAIN EINVAL ENOSPC EDQUOT EFBIG ENOMEM short", "sendto": "EPIPE EINTR short", "setgid": "EPERM",
    "setgroups": "EPERM ENOMEM", "setregid": "EPERM", "setresgid": "EPERM", "setresuid": "EPERM EAGAIN", "setreuid": "EPERM EAGAIN",
    "setuid": "EPERM EAGAIN",
    "setpgid": "EPERM EACCES", "setrlimit": "EPERM", "setsid": "EPERM", "signalfd4": "EMFILE ENFILE ENOMEM",
    "socket": "EMFILE ENFILE EACCES ENOMEM", "socketpair": "EMFILE ENFILE", "stat": "EACCES ENOENT", "statfs": "EIO ENOSYS EACCES EINTR",
    "statx": "EACCES ENOENT ENOMEM EIO", "symlink": "EACCES ENOSPC", "sysinfo": "EPERM", "tgkill": "EAGAIN EPERM",
    "timerfd_create": "EMFILE ENFILE", "uname": "EPERM", "unlink": "EACCES EBUSY EIO ENOENT EROFS", "unlinkat": "EACCES EBUSY EIO ENOENT EROFS",
    "utimensat": "EPERM EROFS EACCES", "vfork": "EAGAIN ENOMEM", "wait4": "EINTR", "waitid": "EINTR",
    "write": "EIO EINTR ENOSPC EDQUOT EFBIG EAGAIN EPIPE short", "writev": "EIO EINTR ENOSPC EFBIG EPIPE",
}


def headers():
    """Numbers of the system calls, and of errors, by name: from the kernel's and libc's headers."""
    text = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-include", "errno.h", "-x", "c", "/dev/null"],
                          capture_output=True, text=True, check=True).stdout
    calls = {name: int(number) for name, number in re.findall(r"^#define __NR_(\w+) (\d+)$", text, re.M)}
    errors = {name: int(number) for name, number in re.findall(r"^#define (E\w+) (\d+)$", text, re.M)}
    errors["EWOULDBLOCK"], errors["EOPNOTSUPP"] = errors["EAGAIN"], errors.get("EOPNOTSUPP", 95)
    return calls, errors


CALLS, ERRNO = headers()
NAMES = {number: name for name, number in CALLS.items()}
Call = collections.namedtuple("Call", "task name position result arguments path")


def read_log(path):
    """The calls of one run, and which of them were made to fail."""
    calls, hit = [], set()
    with open(path, errors="replace") as file:
        for line in file:
            words = line.rstrip("\n").split(" ", 6)
            if words[0] == "hit":
                hit.add(words[1])
            elif len(words) == 7:
                task, call, position = words[0].split("/")
                calls.append(Call(task, NAMES.get(int(call), call), int(position), int(words[1]), words[2:6], words[6]))
    return calls, hit


def place(task, name, position):
    return "%s/%d/%s" % (task, CALLS[name], position)


def fault(where, error):
    """The tracer's option for one fault: `0.1/openat/3=EMFILE`, `*/write/1+=ENOSPC`, `0/close/2=late:EIO`, ...=short."""
    task, name, position = where.split("/")
    late, _, error = error.rpartition(":")
    return "%s=%s%s" % (place(task, name, position), late + ":" if late else "",
                        error if error == "short" else ERRNO[error])


def tries(calls, seen):
    """Each call that a run made with each error that it can have, as pairs for fault(). Of a call that is made over and over
    with the same file or none, and the same outcome, the first, the second, one in the middle and the last ones. Not those
    that were tried in other runs: `seen` counts them."""
    groups = collections.defaultdict(list)
    for call in calls:
        if call.name in ERRORS:
            folder = re.sub(r"[0-9a-f]{16}|\d+", "#", call.path)
            groups[call.task, call.name, folder, call.result < 0].append(call)
    for key, group in groups.items():
        new = group[seen[key]:]
        seen[key] = max(seen[key], len(group))
        for call in new if len(new) <= 24 else new[:2] + [new[len(new) // 2]] + new[-2:]:
            # Of an open file nobody can say that it is not there.
            name = "fstat" if call.name == "newfstatat" and not call.path else call.name
            for error in ERRORS[name].split():
                yield "%s/%s/%d" % (call.task, call.name, call.position), error


def sticking(calls):
    """From the first call of its kind on all fail, in all threads and processes."""
    for name in sorted({call.name for call in calls if call.name in ERRORS}):
        for error in ERRORS[name].split():
            # A wait that is interrupted for ever never ends.
            if error not in ("short", "EINTR", "late:EINTR"):
                yield "*/%s/0+" % name, error


kinds_sampled = set()


def sample(pairs, count, always=()):
    """All, or a part that is the same in each run: `always`, one of each call that was in no sample before, and of the
    others those whose turn it is."""
    pairs = list(dict.fromkeys(list(always) + list(pairs)))
    if ALL or len(pairs) <= count:
        return pairs
    rest = sorted(pairs[len(always):], key=lambda pair: zlib.crc32("=".join(pair).encode()))
    chosen = list(always)
    for pair in rest:
        name = pair[0].split("/")[1]
        if name not in kinds_sampled:
            kinds_sampled.add(name)
            chosen.append(pair)
    rest = [pair for pair in rest if pair not in chosen]
    return chosen + rest[:max(count - len(chosen), 0)]


def opening(calls, path, error):
    """Pairs that let each opening of a path fail."""
    return [("%s/%s/%d" % (call.task, call.name, call.position), error) for call in calls
            if call.name.startswith("open") and call.path == path]


def side_by_side(function, items):
    """Calls function(item) for each, as many at once as there are processors; the results in order."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(os.cpu_count() or 1, 2)) as pool:
        return list(pool.map(function, items))


def wished():
    """Arguments PLACE=WHAT of the script: what alone is to be run, as a failure says."""
    return [tuple(word.rsplit("=", 1)) for word in sys.argv[1:] if "=" in word]
