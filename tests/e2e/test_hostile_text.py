#!/usr/bin/python3 -B
"""Names, paths, labels, arguments and variables of others never reach a terminal, a line of a report or a message as anything
but text: every command of the table over a hostile profile, process and region, looked at byte for byte."""
import contextlib
import glob
import http.server
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support"), os.path.join(HERE, "..", "golden")]
from e2e import BUILD, COMMAND, Test, clean_environment  # noqa: E402
from profile_writer import Profile  # noqa: E402

SOURCE = os.path.join(HERE, "..", "..", "tools", "heaptap", "cmd")
TITLE = b"\x1b]0;PWN\x07"  # sets a terminal's title
EVIL = (TITLE + b"\r\nFORGED 1 2 \x7f\xc2\x9b31m\x9b31m\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8f\xd8\x9c\xe2\x80\xa8\xff\x80\b\f\x00."
        ).replace(b"\x00", b"")
KEPT = "\u00fcn\u00ef \u65e5\u672c\u8a9e".encode()
COLOURS = re.compile(rb"\x1b\[[0-9;]*[mK]")
# C0 but the end of a line and the tab that reports have themselves, DEL, C1, what parts lines or turns their direction.
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def check(title, output, is_terminal=False):
    if is_terminal:
        output = COLOURS.sub(b"", output).replace(b"\r\n", b"\n")
    try:
        text = output.decode()
    except UnicodeDecodeError as error:
        test.need(False, "%s: is no UTF-8: %s", title, error)
        return ""
    found = FORBIDDEN.search(text)
    test.need(not found, "%s: has %r in %r", title, found and found[0], found and text[max(0, found.start() - 60):found.end() + 20])
    test.need(not re.search(r"^\s*FORGED", text, re.M), "%s: a name has begun a line of its own", title)
    return text


def run(words, title=None, binary=False, on_terminal=True, **options):
    """Status and text of both streams; to pipes first, then to a terminal, where there are colours and cut names."""
    title = title or "heaptap " + " ".join(str(word)[:30] for word in words)
    options.setdefault("env", clean_environment())
    options.setdefault("stdin", subprocess.DEVNULL)
    command = [COMMAND, *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=240, **options)
    text = (("" if binary else check(title + " (output)", done.stdout)) + check(title + " (messages)", done.stderr))
    if on_terminal and options["stdin"] is subprocess.DEVNULL and not binary:
        leader, follower = pty.openpty()
        process = subprocess.Popen(command, stdout=follower, stderr=follower, **options)
        os.close(follower)
        parts = []
        with contextlib.suppress(OSError):  # the terminal's other end is closed
            while part := os.read(leader, 65536):
                parts.append(part)
        os.close(leader)
        process.wait(240)
        check(title + " (terminal)", b"".join(parts), True)
    return done.returncode, text


def commands():
    """The table's names, and those of them that are reports."""
    with open(os.path.join(SOURCE, "command.h")) as file:
        names = re.findall(r"^ +X\((\w+)\)", file.read(), re.M)
    with open(os.path.join(SOURCE, "report_rows.c")) as file:
        reports = re.findall(r'\.name = "(\w+)"', file.read())
    test.need(len(names) > 20 and set(reports) < set(names), "the tables say %s, %s", names, reports)
    return names, reports


def evil(word):
    return word.encode() + b" " + KEPT + b" " + EVIL


def profile(factor, source, series=()):
    p = Profile()
    p.sample_type(evil("alloc"), evil("unit"))
    p.sample_type("inuse_space", "bytes")
    m = [p.mapping(0x400000, 0x500000, file=b"/srv/" + evil("program"), build_id=evil("id")),
         p.mapping(0x600000, 0x700000, file=b"/srv/" + evil("library"), build_id="")]
    f = [p.function(evil("function%d" % i), system_name=evil("system%d" % i), file=source, start_line=1) for i in range(3)]
    at = [p.location(m[0], 0x400100 + 16 * i, [(f[i], 1 + i)]) for i in range(3)]
    at.append(p.location(m[0], 0x400200, [(f[1], 2), (f[2], 3)]))
    at.append(p.location(m[1], 0x600100))
    for i, stack in enumerate(([at[0], at[1]], [at[3], at[1]], [at[4], at[2], at[1]], [at[2], at[2]])):
        p.sample(stack, [i + 1, (i + 1) * 1000 * factor],
                 [(evil("key"), evil("value%d" % i)), ("bytes", 64 * i, evil("unit")), (evil("number"), 5, evil("unit")),
                  (evil("number"), 6, evil("other"))])
    p.header(time_ns=1700000000000000000 + factor, duration_ns=10**9, period=(evil("period"), evil("unit"), 1),
             comments=[evil("comment"), b"# heaptap: program=" + evil("name"), b"# heaptap: pid=" + evil("7"), b"# " + EVIL, *series],
             drop=evil("drop"), default="inuse_space")
    path = test.path("hostile%d.pb" % factor)
    with open(path, "wb") as file:
        file.write(p.bytes())
    return path


def check_reports(reports, old, new):
    for report in reports:
        with_expression = [report, "."] if report in ("peek", "list") else [report]
        binary = report in ("proto", "svg")
        for options in ([], ["--lines"], ["--addresses"], ["--json"], ["--tagroot", "key"], ["--by", "bytes"], ["--base", old],
                        ["--focus", "nothing"], ["--sample-index", "nothing"], ["--unit", "auto", "--mean"]):
            status, text = run([*with_expression, *options, new], binary=binary and "--json" not in options,
                               on_terminal=not options)
            test.need(status in (0, 2) or report in ("svg", "peek", "list", "flame"), "%s %s: status %s: %s", report, options, status, text[-300:])
            if not options and not binary and report not in ("comments", "flame"):
                test.need("function0 " + KEPT.decode() in text or report == "tags", "%s: UTF-8 is not kept: %s", report, text[:500])
            if "--json" in options and status == 0:
                json.loads(text[text.index("{"):text.rindex("}") + 1])
    for more in (["--svg"], ["--json"], ["--base", old], ["--icicle"]):
        run(["flame", *more, new], binary=True if "--json" not in more else False)
    for form in ("--svg", "--icicle"):
        target = test.path("flame" + form)
        status, text = run(["flame", form, "-o", target, new])
        if status == 1 and "built without the page" in text:
            continue
        with open(target, "rb") as file:
            check("flame " + form, file.read().split(b'<script id="data"')[-1])
    out = test.path("as-is.pb.gz")
    run(["proto", "-o", out, new])
    _, text = run(["raw", "--json", "--symbolize", "none", out])
    test.need("\\u001b]0;PWN" in text and "\\u202e" in text and "\\u009b" in text, "proto has changed the names: %s", text[:500])
    status, text = run(["list", "--source-path", test.folder, "function0", new])
    test.need("\ttabbed line" in text and "FORGED" in text, "list: the source was not found: %s", text)


def check_prompt(reports, new):
    script = b"\n".join(report.encode() + (b" ." if report in ("peek", "list") else b"") for report in reports
                        if report not in ("proto", "svg", "flame"))
    script += b"\no\nhelp\nhelp top\nfocus=nothing\ntop\n:\n" + EVIL.replace(b"\n", b"") + b"\nsample_index=" + TITLE + b"\ntop5 -cum\nquit\n"
    done = subprocess.run([COMMAND, new], input=script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(),
                          timeout=240)
    check("prompt (output)", done.stdout)
    check("prompt (messages)", done.stderr)
    leader, follower = pty.openpty()
    process = subprocess.Popen([COMMAND, new], stdin=follower, stdout=follower, stderr=follower,
                               env=clean_environment(TERM="xterm", HOME=test.folder))
    os.close(follower)
    os.write(leader, b"list \t\tfun\t\t\nfocus=\t\t\no\nquit\n")  # what can be completed is printed, too
    parts = []
    with contextlib.suppress(OSError):
        while part := os.read(leader, 65536):
            parts.append(part)
    process.wait(240)
    os.close(leader)
    said = b"".join(parts)
    test.need(b"function0" in said, "prompt: nothing was completed: %r", said[-500:])
    for piece in (TITLE, b"\x9b31m", b"\xe2\x80\xae", b"\xff", b"\nFORGED"):
        test.need(piece not in said, "prompt on a terminal: %r in %r", piece, said)


def hostile_process(live):
    """A program with a hostile name, functions, arguments, variables; its pid and its region."""
    folder = os.path.join(test.folder.encode(), b"folder" + TITLE)
    os.makedirs(folder + b"/out" + EVIL)
    program = folder + b"/p" + TITLE + b"\n\xc2\x9b\xe2\x80\xae\xff"
    with open(BUILD + "/e2e/host", "rb") as file:
        code = file.read()
    name = b"keep_blocks"
    with open(program, "wb") as file:
        file.write(code.replace(name, (TITLE + b"\n\x9b\xff")[:len(name)].ljust(len(name), b"x")))
    os.chmod(program, 0o755)
    environment = {k.encode(): v.encode() for k, v in test.shim("", rate=1, live=live, memory="16M").items()}
    environment.update({b"HEAPTAP_OUT": folder + b"/out" + EVIL, b"HEAPTAP_LOG": b"none"})
    process = test.start([program, b"poll", EVIL], env=environment, stdout=subprocess.PIPE)
    process.stdout.readline()
    found = glob.glob(live + "/heaptap.*.%d.*.live" % process.pid)
    test.need(len(found) == 1, "regions of the hostile process: %s", found)
    return process, found[0]


def hidden_processes():
    """Whose variables are said by ps and doctor."""
    sleep = shutil.which("sleep")
    for variables in ({"LIVE": b"off", "SIGNAL": EVIL}, {"ONLY": EVIL}, {"RATE": EVIL}, {"MEMORY": EVIL, "LABELS": EVIL}):
        environment = {k.encode(): v.encode() for k, v in test.shim(test.folder, log="none").items()}
        environment.update({b"HEAPTAP_" + k.encode(): v for k, v in variables.items()})
        process = test.start([sleep, "600"], env=environment)
        test.wait_for(lambda: b"libheaptap" in open("/proc/%d/maps" % process.pid, "rb").read(), "sleep has the profiler")
        yield process


def hostile_region(live, region):
    """A dead process's region whose file and header are hostile."""
    with open(region, "rb") as file:
        whole = file.read()
    pid_at = 40
    head = bytearray(whole[:65536])
    head[pid_at:pid_at + 4] = (0x7ffffffe).to_bytes(4, "little")
    for word in (b"poll", os.path.join(test.folder.encode(), b"folder")):
        at = head.find(word)
        test.need(at > 0, "%r is not in the region's header", word)
        if at > 0:
            head[at:at + len(word)] = (TITLE + b"\n\x9b\xff" + b"x" * len(word))[:len(word)]
    path = os.path.join(live.encode(), b"heaptap." + TITLE + b"\nFORGED\x9b\xe2\x80\xae\xff.live")
    with open(path, "wb") as file:
        file.write(bytes(head) + whole[len(head):])
    return path


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.wfile.write(b"HTTP/1.0 " + (b"200 OK" if b"html" in self.path.encode() else b"500 " + TITLE) +
                         b"\r\nContent-Type: " + (b"text/" + TITLE if b"html" in self.path.encode() else b"text/plain") +
                         b"\r\n\r\n" + EVIL)

    def log_message(self, *_):
        pass


def check_server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for path in ("debug/pprof/heap", "debug/pprof/html"):
        status, text = run(["top", "http://127.0.0.1:%d/%s" % (server.server_port, path)])
        test.need(status == 1 and text, "a server's words: status %s, %s", status, text)
    server.shutdown()


# What is said for a command that is no report: argument lists over the process (P), the region (R), the profiles (A, B).
CASES = {
    "run": [["-v", "-o", "O", "--", "X", "poll_not"], ["-o", "O", "--", "E"],
            ["--fail-above", "0", "-o", "O", "--", "X", "poll_not"]],
    "doctor": [["P"], ["--json", "P"], ["-v", "P"], ["R"], ["--json", "R"], ["-v", "X"], ["X"], ["E"], ["H"]],
    "ps": [["--over", "0"], ["-v", "--over", "0"], ["--json", "--over", "0"], ["--dead", "-v", "--over", "0"],
           ["--dead", "--json", "--over", "0"], ["-v", "--over", "0", "P"], ["--over", "0", "E"], ["--dead", "--clean"]],
    "snap": [["P"], ["-o", "O", "P"], ["R"], ["-o", "O", "R"], ["E"]],
    "start": [["P"], ["R"], ["E"]],
    "stop": [["P"], ["R"], ["E"]],
    "rate": [["P"], ["P", "2"], ["R", "4"], ["E"]],
    "symbolize": [["-v", "-o", "O/s1", "A"], ["--json", "-o", "O/s2", "A"], ["-v", "-o", "O/s3", "P"], ["-o", "O/s4", "E"]],
    "diff": [["A", "B"], ["--json", "A", "B"], ["--leaf", "--paths", "9", "A", "B"], ["--functions", "A", "B"],
             ["--fail-above", "1", "A", "B"], ["A", "P"], ["A", "E"]],
    "leaks": [["P"], ["--json", "P"], ["R"], ["-n", "0", "--paths", "9", "P"], ["A"], ["E"]],
    "growth": [["-n", "0", "--paths", "9", "S", "T", "U"], ["--json", "S", "T", "U"], ["P"], ["--json", "P"], ["A", "B"], ["E"]],
    "check": [["A", "B"], ["--json", "A", "B"], ["--lines", "--junit", "O/j", "A", "B"], ["A", "P"], ["A", "E"],
              ["--suppressions", "A", "A", "B"]],
}


def check_commands(names, reports, old, new):
    live = tempfile.mkdtemp(prefix="heaptap-hostile.", dir="/dev/shm")
    try:
        process, region = hostile_process(live)
        hidden = list(hidden_processes())
        dead = hostile_region(live, region)
        out = test.new_folder("out")
        program = os.readlink(b"/proc/%d/exe" % process.pid)
        places = {"P": str(process.pid).encode(), "R": dead, "A": old, "B": new, "O": out, "X": program, "E": EVIL,
                  **{name: profile(10 + i, test.path(SOURCE_NAME), [b"# heaptap: start=" + evil("1"), b"# heaptap: seq=%d" % i])
                     for i, name in enumerate("STU")}}
        environment = {k.encode(): v.encode() for k, v in clean_environment(HEAPTAP_LIVE=live).items()}
        hostile = {**environment, b"HEAPTAP_SIGNAL": EVIL}  # what a program that is run says of it is its own
        for name in names:
            if name in reports:
                expression = [b"."] if name in ("peek", "list") else []
                for target in (places["P"], dead):
                    run([name, *expression, "--no-cache", target], binary=name in ("proto", "svg"), env=environment)
                continue
            if not test.need(name in CASES, "heaptap %s: this test knows no arguments for it", name):
                continue
            for words in CASES[name]:
                pids = hidden if words == ["H"] else [process]
                for each in pids:
                    filled = [str(each.pid) if word in ("H", "P") else
                              os.path.join(out, word[2:]) if word.startswith("O/") else places.get(word, word) for word in words]
                    run([name, *filled], title="heaptap %s %s" % (name, " ".join(words)),
                        env=environment if name == "run" else hostile)
        for word in (b"help", b"--version", EVIL, b"-" + EVIL, TITLE):
            run([word, EVIL], env=environment)
        for each in hidden:
            run(["top", str(each.pid)], env=environment)
            run(["snap", str(each.pid)], env=environment)
    finally:
        shutil.rmtree(live, ignore_errors=True)


with Test("hostile_text") as test:
    os.environ["XDG_CACHE_HOME"] = test.path("cache")  # its names are nobody else's
    NAMES, REPORTS = commands()
    SOURCE_NAME = "source.c"
    with open(test.path(SOURCE_NAME), "wb") as source_file:
        source_file.write(b"first " + EVIL.replace(b"\n", b"") + b"\nFORGED\n\ttabbed line " + KEPT + b"\n" + EVIL * 2 + b"\n")
    OLD, NEW = profile(1, test.path(SOURCE_NAME)), profile(3, test.path(SOURCE_NAME))
    check_reports(REPORTS, OLD, NEW)
    check_prompt(REPORTS, NEW)
    check_server()
    check_commands(NAMES, REPORTS, OLD, NEW)
