#!/usr/bin/python3 -B
# Bad input: broken variables, output that cannot be written, broken files, dead processes. A clear line, the right exit
# status, the host unharmed.
import gzip
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import BUILD, COMMAND, SHIM, Test, clean_environment  # noqa: E402

HOST = BUILD + "/e2e/host"
BROKEN = {
    "OUT": [""],
    "RATE": ["", "many", "-1", "12X", "1.5K", "99999999999999999999", "512 K"],
    "ACTIVE": ["", "yes", "2"],
    "SIGNAL": ["", "USR3", "0", "9", "KILL", "65", "-12"],
    "INTERVAL": ["", "soon", "10 s", "-5s", "5d"],
    "GROWTH": ["", "much", "-1M", "1T5"],
    "EXIT": ["", "no", "-1"],
    "KEEP": ["", "-1", "few", "99999999999"],
    "ONLY": ["", "a/b"],
    "LIVE": ["", "maybe", "relative/path"],
    "MEMORY": ["", "lots", "1K", "0", "999999999G"],
    "UNWIND": ["", "magic"],
    "LABELS": ["", "colour", "thread;user"],
    "SEED": ["", "dice", "-1", "0x10"],
    "ARGV": ["", "yes", "2"],
    "RUN": ["", "me", "-1"],
    "LOG": [""],
    "VERBOSE": ["", "loud"],
}
# An empty LABELS is the empty list, which is what `none` means.
ALLOWED = {("LABELS", "")}


def variables():
    bare = test.run([HOST, "return"])
    for name, values in BROKEN.items():
        for value in values:
            if (name, value) in ALLOWED:
                continue
            out = test.new_folder("%s.%d" % (name, values.index(value)))
            # At the default rate the fixed seed decides that there is a sample, and so a file.
            environment = test.shim(out, seed=1) if name == "RATE" else test.shim(out, rate=1)
            environment["HEAPTAP_" + name] = value
            done = test.run([HOST, "return"], environment, cwd=out)
            title = "HEAPTAP_%s=%r" % (name, value)
            lines = done.errors.splitlines()
            test.need(done.returncode == bare.returncode and done.output == bare.output, "%s: status %s, output %r", title,
                      done.returncode, done.output)
            test.need(len(lines) == 1 and "HEAPTAP_" + name in lines[0] and lines[0].startswith("heaptap: "),
                      "%s: standard error is %r, one line that names the variable was expected", title, done.errors)
            test.need(len(test.files(out, "exit")) == 1, "%s: the default is not used: files %s", title, os.listdir(out))
    # Right values are taken without a word.
    right = {"RATE": ["1", "64k", "1M", "512K", "0"], "ACTIVE": ["0", "1"], "SIGNAL": ["USR1", "SIGUSR2", "12", "none"],
             "INTERVAL": ["off", "30s", "500ms", "5m", "1h"], "GROWTH": ["off", "64M"], "EXIT": ["0", "1"], "KEEP": ["0", "3"],
             "ONLY": ["all", "ho*"], "LIVE": ["on", "off", "/dev/shm"], "MEMORY": ["1M", "64M", "1G"],
             "UNWIND": ["auto", "cfi", "fp", "libunwind"], "LABELS": ["none", "thread", "user"], "SEED": ["7"],
             "LOG": ["stderr", "none"], "VERBOSE": ["0"]}
    for name, values in right.items():
        for value in values:
            environment = test.shim(test.new_folder("right.%s.%d" % (name, values.index(value))))
            environment["HEAPTAP_" + name] = value
            test.same("HEAPTAP_%s=%s" % (name, value), bare, test.run([HOST, "return"], environment))
    log = test.path("log")
    environment = test.shim(test.new_folder("log.out"), rate="wrong", log=log)
    test.same("HEAPTAP_LOG=file", bare, test.run([HOST, "return"], environment))
    test.need(os.path.exists(log) and "HEAPTAP_RATE" in open(log).read(), "the line is not in HEAPTAP_LOG's file")
    environment["HEAPTAP_LOG"] = "none"
    test.same("HEAPTAP_LOG=none", bare, test.run([HOST, "return"], environment))


def as_nobody(command):
    """Permissions bind only where the test is not root."""
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] + command if os.geteuid() == 0 else command


def outputs():
    bare = test.run([HOST, "return"])
    missing = test.path("made", "when", "missing")
    done = test.run([HOST, "return"], test.shim(missing, rate=1))
    test.same("missing HEAPTAP_OUT", bare, done)
    test.need(os.path.isdir(missing) and len(test.files(missing)) == 1, "a missing HEAPTAP_OUT is not created")
    if os.path.isdir(missing):
        wanted = 0o1733 if os.geteuid() == 0 else 0o700
        test.need(os.stat(missing).st_mode & 0o7777 == wanted, "it has mode %o", os.stat(missing).st_mode & 0o7777)
    closed = test.new_folder("closed")
    os.chmod(closed, 0o555)
    file = test.path("file")
    with open(file, "w") as handle:
        handle.write("x")
    for title, folder in (("unwritable", closed), ("unwritable parent", closed + "/below"), ("a file", file),
                          ("below a file", file + "/x"), ("in /proc", "/proc/heaptap"), ("too long", "/tmp/" + "x" * 300)):
        environment = test.shim(folder, rate=1)
        settings = ["%s=%s" % (k, environment.pop(k)) for k in list(environment) if k.startswith(("LD_P", "HEAPTAP_"))]
        done = test.run(as_nobody(["env"] + settings + [HOST, "return"]), environment)
        lines = done.errors.splitlines()
        test.need(done.returncode == bare.returncode and done.output == bare.output, "HEAPTAP_OUT %s: status %s, output %r",
                  title, done.returncode, done.output)
        test.need(len(lines) == 1 and lines[0].startswith("heaptap: "), "HEAPTAP_OUT %s: standard error %r", title,
                  done.errors)
        host = test.start(as_nobody(["env"] + settings + [HOST, "poll"]), environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
        host.stdout.readline()
        os.kill(host.pid, signal.SIGUSR2)
        line = host.stderr.readline()
        test.need(line.startswith("heaptap: "), "HEAPTAP_OUT %s: no line on SIGUSR2 but %r", title, line)
        test.wait_for(lambda: host.poll() is not None or len(os.listdir("/proc/%d/task" % host.pid)) == 1, "one thread")
        test.need(host.poll() is None, "HEAPTAP_OUT %s: the host ended with %s on SIGUSR2", title, host.returncode)
        host.kill()
        host.wait()
    full = test.run(["sh", "-c", 'ulimit -f 0; exec "$0" return', HOST], test.shim(test.new_folder("full"), rate=1))
    test.need(full.returncode == bare.returncode and full.output == bare.output,
              "RLIMIT_FSIZE=0: status %s, output %r", full.returncode, full.output)
    test.need(os.listdir(test.path("full")) == [], "RLIMIT_FSIZE=0 left %s", os.listdir(test.path("full")))


def every_variable_ignored(program):
    """Wrong values are not complained of, and right ones, each of which would change what is written, change nothing."""
    for name, values in BROKEN.items():
        done = test.run(as_nobody(["env", "HEAPTAP_%s=%s" % (name, values[-1]), program, "return"]), clean_environment(), cwd="/")
        lines = [line for line in done.errors.splitlines() if "cannot write" not in line]
        test.need(done.returncode == 7 and not lines, "setuid, %s=%r: status %s, %r", name, values[-1], done.returncode, lines)
    out, live, start, log = [test.new_folder("ignored." + word) for word in ("out", "live", "start", "log")]
    right = {"OUT": out, "RATE": "1", "ACTIVE": "0", "SIGNAL": "USR1", "INTERVAL": "1ms", "GROWTH": "1K", "EXIT": "0", "KEEP": "1",
             "ONLY": "nobody*", "ARGV": "0", "LIVE": live, "MEMORY": "1M", "UNWIND": "fp", "LABELS": "thread", "SEED": "7",
             "RUN": "77", "LOG": log + "/log", "VERBOSE": "1"}
    test.need(set(right) == set(BROKEN) == in_source(), "other variables than these: %s", set(right) ^ in_source())
    for words in [right.items()] * 6 + [[row] for row in right.items()]:
        settings = ["HEAPTAP_%s=%s" % row for row in words]
        done = test.run(as_nobody(["env"] + settings + [program, "return"]), clean_environment(), cwd=start)
        test.need(done.returncode == 7 and not done.errors, "setuid, %s: status %s, %r", settings, done.returncode, done.errors)
    test.need(not os.listdir(out) + os.listdir(live) + os.listdir(log), "setuid: %s, %s, %s", *map(os.listdir, (out, live, log)))
    # 2 MB of blocks: without a sample in one of 50, and then no profile.
    profiles = test.exit_profiles(start)
    test.need(len(profiles) > len(right) // 2, "setuid: %d profiles where it was started", len(profiles))
    for profile in profiles:
        comments = profile.health()
        test.need(profile.period == 524288 and comments.get("argv", "").endswith(" return") and
                  all(sample.label("thread") is None for sample in profile.samples), "setuid: period %d, %s", profile.period, comments)


def in_source():
    """The variables that src/ reads, without their prefix."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "sys", "variables.h")) as file:
        return set(re.findall(r'X\("HEAPTAP_(\w+)"', file.read()))


def setuid_program():
    """A setuid program that is linked with the shim believes nothing of what its user says."""
    gcc = shutil.which("gcc")
    program = test.path("linked")
    if os.geteuid() != 0 or not gcc or os.statvfs(os.path.dirname(program)).f_flag & os.ST_NOSUID:
        print("  not tested: a setuid program (needs root, gcc and a file system that allows it)")
        return
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "host.c")
    built = test.run([gcc, "-D_GNU_SOURCE", "-o", program, source, SHIM, "-Wl,--no-as-needed,-rpath," + BUILD, "-pthread",
                      "-ldl"])
    test.need(built.returncode == 0, "gcc: %s", built.errors)
    for mode, wanted in ((0o755, 1), (0o4755, 0)):
        os.chmod(program, mode)
        out, log, start = test.new_folder("out.%o" % mode), test.new_folder("log.%o" % mode), test.new_folder("in.%o" % mode)
        for folder in (out, log, start):
            os.chmod(folder, 0o777)
        settings = ["HEAPTAP_OUT=" + out, "HEAPTAP_RATE=1", "HEAPTAP_SEED=wrong", "HEAPTAP_LOG=" + log + "/log"]
        done = test.run(as_nobody(["env"] + settings + [program, "return"]), clean_environment(), cwd=start)
        test.need(done.returncode == 7 and not done.errors, "mode %o: status %s, %s", mode, done.returncode, done.errors)
        test.need((len(os.listdir(out)), len(os.listdir(log))) == (wanted, wanted), "mode %o: files %s, log %s", mode,
                  os.listdir(out), os.listdir(log))
    every_variable_ignored(program)
    # There is something to complain about: nothing can be written where it starts.
    done = test.run(as_nobody(["env"] + settings + [program, "return"]), clean_environment(), cwd="/proc")
    test.need(done.returncode == 7 and not os.listdir(log), "in /proc: status %s, log %s", done.returncode, os.listdir(log))


def fails(title, *arguments, status=1):
    done = test.heaptap(*arguments)
    lines = done.errors.splitlines()
    test.need(done.returncode == status, "%s: status %d instead of %d; %r %r", title, done.returncode, status,
              done.output[:200], done.errors[:300])
    test.need(done.output == "", "%s: standard output %r", title, done.output[:200])
    if status == 1:
        test.need(len(lines) == 1 and lines[0].startswith("heaptap"), "%s: standard error is %r, not one line", title,
                  done.errors[:300])
    else:
        test.need(lines, "%s: nothing on standard error", title)
    return done.errors


def files():
    out = test.new_folder("good")
    test.run([HOST, "return"], test.shim(out, rate=1))
    good = test.files(out)
    if not test.need(len(good) == 1, "no profile to break: %s", good):
        return
    with open(good[0], "rb") as file:
        packed = file.read()
    raw = gzip.decompress(packed)
    broken = {
        "truncated gzip": packed[:len(packed) // 2],
        "gzip without its end": packed[:-4],
        "truncated message": gzip.compress(raw[:-1]),  # in the middle it may end with a field
        "truncated plain message": raw + b"\x32\x7f",
        "empty": b"",
        "a text": b"This is no profile.\n",
        "zeros": bytes(4096),
        "a wrong checksum": packed[:-8] + bytes(8),
        "string index out of range": gzip.compress(raw + b"\x70\xff\xff\xff\x07"),
    }
    for title, data in broken.items():
        path = test.path(title.replace(" ", "_") + ".pb.gz")
        with open(path, "wb") as file:
            file.write(data)
        fails("top of " + title, "top", path)
        fails("diff with " + title, "diff", good[0], path)
    fails("top of a missing file", "top", test.path("nothing.pb.gz"))
    fails("top of a folder", "top", out)
    for at in range(0, len(raw), max(1, len(raw) // 60)):
        path = test.path("cut.pb")
        with open(path, "wb") as file:
            file.write(raw[:at])
        done = test.heaptap("top", path)
        test.need(done.returncode in (0, 1) and (done.returncode == 0 or len(done.errors.splitlines()) == 1),
                  "cut at %d: status %d, %s", at, done.returncode, done.errors[:300])


def varint(number):
    out = b""
    while number >= 128:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def number(tag, value):
    return varint(tag << 3) + varint(value)


def message(tag, *parts):
    body = b"".join(parts)
    return varint(tag << 3 | 2) + varint(len(body)) + body


# profile.proto: one sample type, its strings, and a sample of one frame.
STRINGS = b"".join(message(6, text) for text in (b"", b"inuse_space", b"bytes"))
TYPE = message(1, number(1, 1), number(2, 2))
LOCATION = message(4, number(1, 1))
SAMPLE = message(2, message(1, b"\x01"), message(2, b"\x05"))
WHOLE = TYPE + STRINGS + LOCATION + SAMPLE


def packed(*parts):
    """One gzip member."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join(packer.compress(part) for part in parts) + packer.flush()


def limited(*arguments):
    """Runs heaptap in 1 GiB of address space; its status, output, errors and peak of resident memory in MB."""
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    with open(test.path("limited.out"), "w+") as output, open(test.path("limited.err"), "w+") as errors:
        process = subprocess.Popen([COMMAND] + [str(a) for a in arguments], stdout=output, stderr=errors, preexec_fn=limit,
                                   stdin=subprocess.DEVNULL, env=clean_environment())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        return process.returncode, output.read(), errors.read(), usage.ru_maxrss >> 10


def judge_limited(title, data, reason, most_mb):
    """`reason`: what the one line says; None: the profile is good."""
    path = test.path("limited.pb.gz")
    with open(path, "wb") as file:
        file.write(data)
    status, output, errors, peak_mb = limited("top", path)
    if reason is None:
        test.need(status == 0 and "Showing nodes" in output, "%s: status %d, %s", title, status, errors[:300])
    else:
        lines = errors.splitlines()
        test.need(status == 1 and not output and len(lines) == 1 and any(r in errors for r in reason.split("|")),
                  "%s: status %d, output %r, standard error %r", title, status, output[:100], errors[:300])
    test.need(peak_mb <= most_mb, "%s: a peak of %d MB", title, peak_mb)
    return output


def references():
    function = message(5, number(1, 1), number(2, 1))
    mapping = message(3, number(1, 1))
    line = message(4, number(1, 1))
    cases = {
        "two locations with one id": (WHOLE + LOCATION, "two locations with the id 1"),
        "two functions with one id": (WHOLE + function * 2, "two functions with the id 1"),
        "two mappings with one id": (WHOLE + mapping * 2, "two mappings with the id 1"),
        "a location with the id 0": (WHOLE + message(4, number(1, 0)), "reserved id 0"),
        "a frame that is location 0": (WHOLE + message(2, message(1, b"\0"), message(2, b"\x05")), "location 0"),
        "a missing location": (TYPE + STRINGS + SAMPLE, "missing location 1"),
        "a missing function": (TYPE + STRINGS + message(4, number(1, 1), line) + SAMPLE, "missing function 1"),
        "ids of one table used in another": (TYPE + STRINGS + function + message(4, number(1, 1), number(2, 1), line) +
                                             SAMPLE, None),
        "ids near 2^64": (TYPE + STRINGS + message(4, number(1, (1 << 64) - 1)) +
                          message(2, message(1, varint((1 << 64) - 1)), message(2, b"\x05")), None),
        "recursion without end": (TYPE + STRINGS + LOCATION + message(2, message(1, b"\x01" * 300000), message(2, b"\x05")),
                                  None),
        "a sample without values": (WHOLE + message(2, message(1, b"\x01")), "without values"),
        "samples of different numbers of values": (WHOLE + message(2, message(2, b"\x05\x05")), "values"),
        "more values than types": (STRINGS + TYPE + message(2, message(2, b"\x05" * 3)), "3 values for 1 sample types"),
        "nothing but strings": (STRINGS, "limited.pb.gz: the profile has no sample types"),
        "a length beyond the end": (WHOLE + varint(2 << 3 | 2) + varint(1000), "truncated"),
        "a length beyond everything": (WHOLE + varint(2 << 3 | 2) + varint(1 << 62), "a field of 4611686018427387904 bytes"),
        "a number of eleven bytes": (WHOLE + b"\x48" + b"\xff" * 10 + b"\x01", "bad varint"),
        "a group": (WHOLE + b"\x4b\x4c", "unknown wire type"),
    }
    for title, (data, reason) in cases.items():
        judge_limited(title, data, reason, 64)
        judge_limited(title + ", gzip", packed(data), reason, 64)


def streams():
    whole = judge_limited("whole", packed(WHOLE), None, 64)
    third = len(WHOLE) // 3
    for title, data in (("three members", packed(WHOLE[:third]) + packed(WHOLE[third:2 * third]) + packed(WHOLE[2 * third:])),
                        ("empty members around", packed() * 1000 + packed(WHOLE) + packed() * 1000)):
        test.need(judge_limited(title, data, None, 64) == whole, "%s: another report", title)
    judge_limited("two profiles one after another", packed(WHOLE + number(9, 1)) * 2, "several profiles", 64)
    judge_limited("garbage behind", packed(WHOLE) + b"garbage", "cannot decompress|truncated", 64)
    judge_limited("zeros behind", packed(WHOLE) + bytes(512), "cannot decompress|truncated", 64)
    judge_limited("half a member behind", packed(WHOLE) + packed(WHOLE)[:15], "truncated|cannot decompress", 64)
    data = packed(WHOLE)
    for cut in range(2, len(data), 3):
        judge_limited("gzip cut at %d" % cut, data[:cut], "truncated|empty file", 64)


def bombs():
    mega = 1 << 20
    # Functions, so that no more than one is in memory: a child's peak begins with what its parent has.
    cases = {
        "of zeros": (lambda: [bytes(mega)] * 200, "malformed profile", 64),
        "of fields that nobody knows": (lambda: [WHOLE] + [message(100, bytes(8 * mega))] * 20, "a gzip bomb", 128),
        "of frames": (lambda: [WHOLE] + [message(2, message(1, b"\x01" * 8 * mega), message(2, b"\x05"))] * 20,
                      "a gzip bomb|too large", 700),
        "of values": (lambda: [WHOLE, message(2, message(2, b"\x05" * 30 * mega))], "another 1|too large", 700),
        "of samples": (lambda: [WHOLE] + [SAMPLE * 100000] * 200, "a gzip bomb|too large", 700),
        "of labels": (lambda: [WHOLE] + [message(2, message(2, b"\x05"), message(3, number(1, 1), number(3, 5)) * mega)] * 20,
                      "a gzip bomb|too large", 700),
        "of empty strings": (lambda: [WHOLE] + [b"\x32\0" * mega] * 100, "a gzip bomb|too large", 700),
        "of comments": (lambda: [WHOLE] + [message(13, b"\x01" * 8 * mega)] * 20, "a gzip bomb|too large", 700),
    }
    for title, (parts, reason, most_mb) in cases.items():
        judge_limited("a bomb " + title, packed(*parts()), reason, most_mb)
    # Much, but no bomb.
    lines = message(4, number(1, 1), message(4, number(1, 1)) * 3 * mega)
    judge_limited("three million inlined frames", packed(TYPE, STRINGS, message(5, number(1, 1)), lines, SAMPLE), None, 700)
    judge_limited("three million sample types", packed(STRINGS, TYPE * 3 * mega), None, 700)


def full_disk():
    """A report that is written as it grows says in the end why it could not be written, the small as the large."""
    path = test.path("many.pb.gz")
    for count in (1, 100000):
        with open(path, "wb") as file:
            file.write(packed(WHOLE, SAMPLE * count))
        for command in ("traces", "raw", "folded", "top"):
            with open("/dev/full", "w") as full:
                done = subprocess.run([COMMAND, command, path], stdout=full, stderr=subprocess.PIPE, text=True)
            test.need(done.returncode == 1 and done.stderr == "heaptap: %s: cannot write the output: No space left on device\n" % command,
                      "%s of %d samples: status %d, %r", command, count, done.returncode, done.stderr)


def regions():
    host = test.start([HOST, "poll"], test.shim(test.new_folder("region"), rate=1), stdout=subprocess.PIPE)
    host.stdout.readline()
    host.kill()
    host.wait()
    names = [f for f in os.listdir("/dev/shm") if f.startswith("heaptap.host.%d." % host.pid)]
    if not test.need(len(names) == 1, "kill -9 left regions %s", names):
        return
    with open("/dev/shm/" + names[0], "rb") as file:
        data = bytearray(file.read(1 << 20))  # the rest is a hole
    version = data[:8] + struct.pack("<I", 4711) + data[12:]
    for title, content in (("another version", version), ("a wrong magic", bytes(8) + data[8:]),
                           ("truncated", data[:5000]), ("empty", b"")):
        path = test.path(title.replace(" ", "_") + ".live")
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o600)
        message = fails("region file: " + title, "top", path)
        fails("snap of region file: " + title, "snap", "-o", test.path(), path)
        if title == "another version":
            test.need("version" in message, "the line does not speak of the version: %r", message)
    # A hole of 15 GiB that claims to be full of records.
    path = test.path("sparse.live")
    with open(path, "wb") as file:
        file.write(data[:24] + struct.pack("<QQ", 8 << 30, 15 << 30) + data[40:])
        file.truncate(15 << 30)
    os.chmod(path, 0o600)
    for command in (("top", path), ("snap", "-o", test.path(), path)):
        status, _, errors, peak_mb = limited(*command)
        test.need(status == 1 and len(errors.splitlines()) == 1 and peak_mb < 128,
                  "%s of a sparse region: status %d, %r, %d MB", command[0], status, errors[:300], peak_mb)
    os.unlink(path)
    if os.path.exists("/dev/shm/" + names[0]):  # others clean up behind the dead too
        os.unlink("/dev/shm/" + names[0])


def processes():
    dead = test.run(["true"]).pid
    for command in ("top", "snap", "start", "stop"):
        fails("%s of a dead process" % command, command, dead)
    fails("rate of a dead process", "rate", dead, "64K")
    plain = test.start(["sleep", "60"])
    for command in ("top", "snap", "start", "stop"):
        fails("%s of a process without heaptap" % command, command, plain.pid)
    fails("ps of a dead process", "ps", dead)


def usage():
    for arguments in ([], ["nonsense"], ["top"], ["top", "--nonsense"], ["diff", "one"], ["rate"], ["rate", "1", "much"],
                      ["snap"], ["start"], ["run"], ["run", "--rate", "much", "--", "true"]):
        if not arguments:
            done = test.heaptap()
            test.need(done.returncode == 2 and done.errors, "heaptap alone: status %d", done.returncode)
        else:
            # Every status below 125 could be the child's own.
            fails("heaptap " + " ".join(arguments), *arguments, status=125 if arguments[0] == "run" else 2)
    test.need(test.heaptap("--help").returncode == 0, "heaptap --help")
    for command in ("run", "ps", "snap", "start", "stop", "rate", "top", "diff"):
        test.need(test.heaptap(command, "--help").returncode == 0, "heaptap %s --help", command)


def run_refusals():
    with open(test.path("static.c"), "w") as file:
        file.write("int main(void) { return 0; }\n")
    with open(test.path("own.c"), "w") as file:
        file.write("#include <stddef.h>\nstatic char a[1 << 20]; static size_t n;\n"
                   "void *malloc(size_t s) { n += (s + 15) & ~(size_t)15; return a + n - s; }\n"
                   "void free(void *p) { (void)p; }\nint main(void) { return malloc(1) == 0; }\n")
    static = test.run(["gcc", "-static", "-o", test.path("static"), test.path("static.c")])
    own = test.run(["gcc", "-rdynamic", "-o", test.path("own"), test.path("own.c")])
    test.need(static.returncode == 0 and own.returncode == 0, "gcc: %s%s", static.errors, own.errors)
    setuid = test.path("setuid")
    test.run(["cp", "/bin/true", setuid])
    if os.geteuid() == 0:
        os.chown(setuid, 65534, 65534)
    os.chmod(setuid, 0o4755)
    plain = test.path("plain")
    with open(plain, "w") as file:
        file.write("no program")
    folder = test.new_folder("run.out")
    for title, program, status in (("static", test.path("static"), 125), ("setuid", setuid, 125),
                                   ("own malloc", test.path("own"), 125),
                                   ("missing", test.path("missing"), 127), ("not in PATH", "no-such-program", 127),
                                   ("not executable", plain, 126), ("a folder", folder, 126)):
        if title == "setuid" and os.geteuid() != 0:
            continue  # setuid to oneself changes nothing
        done = test.heaptap("run", "-o", folder, "--", program)
        lines = done.errors.splitlines()
        test.need(done.returncode == status, "run of %s: status %d instead of %d: %s", title, done.returncode, status,
                  done.errors)
        test.need(lines and lines[0].startswith("heaptap"), "run of %s: standard error %r", title, done.errors)
    moved = test.path("heaptap")
    test.run(["cp", COMMAND, moved])
    alone = test.run([moved, "run", "--", "true"], clean_environment())
    test.need(alone.returncode == 125 and "libheaptap" in alone.errors or os.path.exists("/usr/lib/libheaptap.so"),
              "run without the shim beside: status %d, %s", alone.returncode, alone.errors)
    status = test.heaptap("run", "-o", folder, "--", "sh", "-c", "kill -KILL $$").returncode
    test.need(status == 137, "run of a killed child: status %d", status)


with Test("bad input") as test:
    test.need(os.path.exists(SHIM) and os.path.exists(COMMAND), "nothing is built in %s", BUILD)
    wanted = sys.argv[1:]
    for part in (variables, outputs, setuid_program, files, references, streams, bombs, full_disk, regions, processes, usage,
                 run_refusals):
        if not wanted or part.__name__ in wanted:
            part()
