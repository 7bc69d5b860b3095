#!/usr/bin/env python3
"""The prompt (`heaptap FILE`): from a script on standard input, and on a terminal with editing, completion and history; what goes
to a terminal and what to a file; misspelt words."""
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time

BUILD = pathlib.Path(os.environ.get("HT_BUILD", "build")).resolve()
SOURCE = pathlib.Path(os.environ.get("HT_SOURCE", ".")).resolve()
HEAPTAP = str(BUILD / "heaptap")
PROFILES = SOURCE / "tests" / "golden" / "profiles"
HEAP, OLD = "heap2.pb.gz", "heap1.pb.gz"
failures = []


def want(what, ours, theirs):
    if ours != theirs:
        failures.append(f"{what}: {ours!r}, wanted {theirs!r}")


def want_in(what, text, part):
    if part not in text:
        failures.append(f"{what}: {part!r} is not in {text!r}")


def run(*words, script=None, **environment):
    done = subprocess.run([HEAPTAP, *words], input=script, capture_output=True, text=True, timeout=240, cwd=PROFILES,
                          stdin=None if script is not None else subprocess.DEVNULL,
                          env=dict(os.environ, TZ="UTC", **environment))
    return done.returncode, done.stdout, done.stderr


class Terminal:
    """heaptap on a pseudo terminal, 100 columns wide."""

    def __init__(self, *words, folder=PROFILES, **environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            environment = {"TERM": "xterm", "TZ": "UTC", **environment}
            os.environ.update(environment)
            for name in ("NO_COLOR", "COLUMNS", "EDITRC"):
                if name not in environment:
                    os.environ.pop(name, None)
            os.execv(HEAPTAP, [HEAPTAP, *words])
        self.text = ""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))

    def wait(self, *parts, seconds=60):
        """Reads until one of the parts was seen; what was read up to then."""
        end = time.monotonic() + seconds
        while not any(part in self.text for part in parts):
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            try:
                chunk = os.read(self.fd, 65536) if ready else b""
            except OSError:
                chunk = b""
            if not chunk:
                failures.append(f"terminal: none of {parts} came, but {self.text[-600:]!r}")
                break
            self.text += chunk.decode(errors="replace")
        part = next((part for part in parts if part in self.text), "")
        at = self.text.find(part) + len(part)
        seen, self.text = self.text[:at], self.text[at:]
        return seen

    def prompt(self):
        """Waits for the prompt, and for the keys being read one by one."""
        seen = self.wait("(heaptap) ")
        end = time.monotonic() + 60
        while termios.tcgetattr(self.fd)[3] & termios.ICANON and time.monotonic() < end:
            time.sleep(0.01)
        return seen

    def say(self, text):
        os.write(self.fd, text.encode())

    def ask(self, line):
        self.say(line + "\r")
        self.wait("\n")
        return self.prompt().rsplit("\n", 1)[0].replace("\r", "")

    def end(self):
        """The rest, and the exit status."""
        try:
            while chunk := os.read(self.fd, 65536) if select.select([self.fd], [], [], 20)[0] else b"":
                self.text += chunk.decode(errors="replace")
        except OSError:
            pass
        end = time.monotonic() + 60
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        while pid == 0 and time.monotonic() < end:
            time.sleep(0.01)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            failures.append(f"terminal: it does not end after {self.text[-600:]!r}")
            os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return self.text, os.waitstatus_to_exitcode(status)


def plain(text):
    """Without what a terminal is told to do."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()=>][0-9A-B]?|[\x07\x08\r]", "", text)


def test_script_is_command_line():
    """Each line of a script prints what the command line prints."""
    for line, words in [
        ("top", ["top", "-n10", HEAP]), ("top3", ["top", "-n3", HEAP]), ("top 2 -cum", ["top", "-n2", "-cum", HEAP]),
        ("tree", ["tree", HEAP]), ("top 4 rec -cache", ["top", "-n4", "--focus=rec", "--ignore=cache", HEAP]),
        ("top -main.le rec", ["top", "-n10", "--focus=rec", "--ignore=main.le", HEAP]),
        ("list leak$", ["list", "leak$", HEAP]), ("peek 'main.rec'", ["peek", "main.rec", HEAP]),
        ("tags bytes=1kb: -2kb", ["tags", "--tagfocus=bytes=1kb:", "--tagignore=2kb", HEAP]), ("raw", ["raw", HEAP]),
        ("traces --focus=rec --lines", ["traces", "--focus=rec", "--lines", HEAP]), ("dot", ["dot", HEAP]),
        ("folded -n 3", ["folded", HEAP]), ("top 3 --sample_index alloc_space", ["top", "-n3", "--alloc-space", HEAP]),
        ("top 3 -lines", ["top", "-n3", "--lines", HEAP]), ("callgrind", ["callgrind", HEAP]), ("comments", ["comments", HEAP]),
    ]:
        header = [] if line.split()[0] in ("raw", "traces") else ["--compact-labels"]
        status, out, err = run(HEAP, script=line + "\n")
        expected = run(*words, *header)
        want(line, (status, out), expected[:2])
        want(line, "" if "alloc" in line else err, "" if "alloc" in line else expected[2])


def test_script_options():
    """Settings hold until they are changed."""
    for script, words in [
        ("focus=rec\ntop3", ["--focus=rec"]), ("focus = main.rec  //: a comment\ntop3", ["--focus=main.rec"]),
        ("focus=rec\nfocus=\ntop3", []), ("focus=rec\nignore=x\ntagfocus=y\n:\ntop3", []), ("alloc_space\ntop3", ["--alloc-space"]),
        ("sample_index=0\ntop3", ["--sample-index=0"]), ("alloc_space\nsample_index=inuse_objects\ntop3", ["--inuse-objects"]),
        ("granularity=lines\ntop3", ["--lines"]), ("lines\ngranularity=files\ntop3", ["--files"]),
        ("granularity=files\nlines\ntop3", ["--lines"]), ("sort=cum\ntop3", ["--cum"]), ("cum\nflat\ntop3", []), ("cum\ntop3", ["--cum"]),
        ("noinlines=true\ntop3", ["--noinlines"]), ("noinlines\nnoinlines=0\ntop3", []), ("unit=B\ntop3", ["--unit=B"]),
        ("mean_alloc_space\ntop3", ["--mean", "--alloc-space"]), ("mean_alloc_space\ntotal_inuse_space\ntop3", []),
        ("nodecount=2\ntop 3", []), ("# a remark\n\n  top3  ", []), ("hide=main.main\nshow_from=rec\ntop3", ["--hide=main.main", "--show-from=rec"]),
        ("trim=false\ntop3", ["--trim=false"]), ("top 3 rec >/dev/null\ntop3", []),
    ]:
        status, out, err = run(HEAP, script=script + "\n")
        want(script, (status, out, err), (0, *run("top", "-n3", "--compact-labels", *words, HEAP)[1:]))
    status, out, _ = run(HEAP, "--alloc-space", "--base", OLD, script="top3")
    want("options at the start", (status, out), run("top", "-n3", "--alloc-space", "--compact-labels", "--base", OLD, HEAP)[:2])
    status, out, _ = run(HEAP, OLD, script="top3\nexit\ntop3")
    want("two files", (status, out), run("top", "-n3", "--compact-labels", HEAP, OLD)[:2])
    out = run(HEAP, script="focus=rec\nalloc_space\no\n")[1]
    want_in("o", out, "  focus                 = rec ")
    want_in("o", out, "  sample_index          = alloc_space          //: [alloc_objects | alloc_space | inuse_objects | inuse_space]\n")


def test_script_failures():
    for line, message in [
        ("lst main", "unknown command 'lst'; did you mean 'list'?"), ("tpo", "unknown command 'tpo'; did you mean 'top'?"),
        ("xyzzy", "unknown command 'xyzzy'; 'help' lists them"), ("foucs=x", "unknown command"), ("focus x", "did you mean 'focus=x'?"),
        ("focus", "focus=RE"), ("focus=[", "missing terminating"), ("sample_index=nonsense", "nonsense"),
        ("granularity=foo", "functions, filefunctions"), ("alloc_spcae", "did you mean 'alloc_space'?"), ("diff", "command of the shell"),
        ("peek no_such_function", "no matches found"), ("list", "name a regular expression"), ("list (", "missing closing"),
        ("base=x", "settled when the profile is loaded"), ("top --focsu=x", "there is no option 'focsu"), ("top \"x", "quotation mark"),
        ("nodecount=many", "many"), ("top >", "name a file"), ("top >/nowhere/x", "cannot be written"), ("help lits", "did you mean 'list'?"),
        ("| less", "unknown command"), ("top3 | /nowhere/no_program", "no_program"),
    ]:
        status, out, err = run(HEAP, script=line + "\nalloc_objects\ntop3\n")
        want(f"{line}: status", status, 1)
        want_in(line, err, message)
        want(f"{line}: what follows is done", run("top", "-n3", "--alloc-objects", "--compact-labels", HEAP)[1], out)
        want(f"{line}: one line", err.count("\n"), 1)
    for words, status, message in [
        (["nofile.pb.gz"], 2, "unknown command 'nofile.pb.gz'"), (["tpo", HEAP], 2, "did you mean 'top'?"), (["."], 1, "is a directory"),
        (["--focus=x"], 2, "before the command"), ([HEAP, "--focsu=x"], 2, "did you mean '--focus'?"), (["-"], 2, "option '-' before"),
        (["999999999"], 1, "999999999"), (["top", "--nodecuont=3", HEAP], 2, "did you mean '--nodecount'?"),
        (["svg", "-o", "/nowhere/x", HEAP], 1, "cannot be written"), (["list", HEAP], 2, "and then a profile"),
        (["dot", "--call_tre", HEAP], 2, "did you mean '--call-tree'?"), (["folded", "--smaple-index=x", HEAP], 2, "'--sample-index'?"),
    ]:
        done = run(*words, script="")
        want(f"{words}: status", done[0], status)
        want_in(str(words), done[2], message)


def test_pprof_style():
    """-top FILE and -list=RE FILE, as people type them for `go tool pprof`."""
    for words, ours in [(["-top", HEAP], ["top", HEAP]), (["-inuse_objects", "-top", HEAP], ["top", "--inuse-objects", HEAP]),
                        (["-list=leak", HEAP], ["list", "leak", HEAP]), (["--peek", "rec", HEAP], ["peek", "rec", HEAP]),
                        ([HEAP, "-dot"], ["dot", HEAP]), (["-svg", "-o", "-", HEAP], ["svg", "-o", "-", HEAP]),
                        (["-text", "-nodecount=2", HEAP], ["text", "-n2", HEAP])]:
        want(str(words), run(*words), run(*ours))


def test_redirection():
    with tempfile.TemporaryDirectory() as folder:
        status, out, _ = run(HEAP, script=f"top3 >{folder}/a\ntop3 > {folder}/b\ntop3 >'{folder}/c d'\ntop3 | cat >{folder}/e\n"
                                          f"top3 -o {folder}/f\nraw | head -1\nproto > {folder}/p.pb.gz\ntop3\n")
        top = run("top", "-n3", "--compact-labels", HEAP)[1]
        want("redirections", (status, out), (0, run("raw", HEAP)[1].split("\n")[0] + "\n" + top))
        for name in ("a", "b", "c d", "e", "f"):
            want(f">{name}", (pathlib.Path(folder) / name).read_text(), top)
        want("proto", run("top", "-n3", "--compact-labels", f"{folder}/p.pb.gz")[1], top)
        status, _, err = run("svg", HEAP, "-o", f"{folder}/x.svg", PATH="/nowhere")
        want("svg without Graphviz", (status, err.count("\n"), os.path.exists(f"{folder}/x.svg")), (1, 1, False))
        want_in("svg without Graphviz", err, "apt install graphviz")
        pathlib.Path(folder, "dot").write_text("#!/bin/sh\nexit 3\n")
        os.chmod(f"{folder}/dot", 0o755)
        status, _, err = run("svg", HEAP, PATH=folder)
        want("failing Graphviz", (status, "failed (status 3)" in err), (1, True))


def test_terminal():
    with tempfile.TemporaryDirectory() as state:
        terminal = Terminal(HEAP, XDG_STATE_HOME=state)
        seen = terminal.prompt()
        want_in("greeting", seen, "Type: inuse_space")
        want_in("greeting", seen, "'help' explains the commands")
        top = run("top", "-n3", "--compact-labels", HEAP)[1]
        want("top3", plain(terminal.ask("top3")) + "\n", top)
        want_in("an error goes on", plain(terminal.ask("lst")), "did you mean 'list'?")
        want_in("colour", terminal.ask("list leak$"), "\x1b[1m")
        want_in("written", terminal.ask(f"top3 >{state}/out"), f"written to {state}/out")
        want("file", pathlib.Path(state, "out").read_text(), top)
        if not os.path.exists(f"{state}/heaptap/history"):
            print("built without libedit: no completion, no history")
            terminal.say("\x04")
            want("end", terminal.end()[1], 0)
            return
        test_editing(terminal, state)


def test_editing(terminal, state):
    history = pathlib.Path(state, "heaptap", "history")
    for typed, line in [("tra\t", "traces "), ("gran\t", "granularity="), ("granularity=fil\tf\t", "granularity=filefunctions "),
                        ("sample_index=alloc_o\t", "sample_index=alloc_objects "), ("list main.le\t", "list main.leak "),
                        ("top -main.ca\t", "top -main.cache "), ("top --call\t", "top --call-tree "), ("help callg\t", "help callgrind "),
                        ("list main.main.f\t", "list main.main.func1 "), ("focus=main.rec\t", "focus=main.rec "), ("to\t", "top "),
                        ("peek ain.busy\t", "peek main.busy "), ("xyz\t", "xyz"), ("top \u00fc\x7f\t", "top ")]:
        terminal.say(typed + "\x01#\r") # a remark: nothing is done, but the history has it
        terminal.wait("\n")
        terminal.prompt()
        # What completion lists may hold a prompt, too, so the last one does not tell that the line was read.
        deadline = time.monotonic() + 60
        while history.read_text().splitlines()[-1] != "#" + line and time.monotonic() < deadline:
            time.sleep(0.02)
        want(f"completion of {typed!r}", history.read_text().splitlines()[-1], "#" + line)
    terminal.say("alloc\t\t")
    terminal.wait("alloc_objects")
    terminal.wait("alloc_space")
    terminal.prompt() # the line again
    terminal.say("\x03")
    terminal.prompt()
    want_in("a pager left early", plain(terminal.ask("raw | head -1")), "PeriodType")
    terminal.say("\x10\x10\r") # two lines back: not what was interrupted
    terminal.wait("\n")
    terminal.prompt()
    want("two lines back", history.read_text().splitlines()[-1], "#top")
    terminal.say("top2\x04\x7f3\r")
    terminal.wait("\n")
    want_in("editing", plain(terminal.prompt()), "Showing top 3 nodes")
    terminal.say("\x04")
    want("end of the terminal", terminal.end()[1], 0)
    path = history
    want("history is private", stat.S_IMODE(path.stat().st_mode), 0o600)
    lines = path.read_text().splitlines()
    want("history", (lines[0], lines[-1]), ("top3", "top3"))
    path.write_text("".join(f"top{i}\n" for i in range(5000)))
    path.chmod(0o644)
    terminal = Terminal(HEAP, OLD, XDG_STATE_HOME=state)
    terminal.prompt()
    terminal.say("\x10")
    want_in("history of the last time", plain(terminal.wait("top4999")), "top4999")
    terminal.say("\x15quit\r")
    want("quit", terminal.end()[1], 0)
    want("history is bounded", len(path.read_text().splitlines()), 1001)
    want("history is private again", stat.S_IMODE(path.stat().st_mode), 0o600)
    want("nothing else is left", sorted(os.listdir(path.parent)), ["history"])


def test_signals():
    """An interrupt ends a line, not the prompt; a closed terminal ends it."""
    with tempfile.TemporaryDirectory() as state:
        terminal = Terminal(HEAP, XDG_STATE_HOME=state)
        terminal.prompt()
        terminal.say("top3\x03")
        terminal.prompt()
        os.kill(terminal.pid, signal.SIGINT)
        terminal.prompt()
        os.kill(terminal.pid, signal.SIGWINCH)
        want_in("after signals", plain(terminal.ask("top2")), "Showing top 2 nodes")
        terminal.say("\x04")
        want("status", terminal.end()[1], 0)


def test_named_files():
    """What is no text gets a file of its own, as from pprof; typed in the shell it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "profile001.html").write_text("mine")
        terminal = Terminal(str(PROFILES / HEAP), folder=folder, XDG_STATE_HOME=folder)
        terminal.prompt()
        want_in("proto", terminal.ask("proto"), "written to profile001.pb.gz")
        flame = terminal.ask("flame")
        if "built without the page" not in flame:
            want_in("flame", flame, "written to profile002.html")
        want_in("json is text", terminal.ask("proto --json"), '"report": "proto"')
        terminal.say("\x04")
        terminal.end()
        want("proto", run("raw", f"{folder}/profile001.pb.gz")[1], run("raw", HEAP)[1])
        want("mine", pathlib.Path(folder, "profile001.html").read_text(), "mine")
        text, status = Terminal("proto", HEAP, folder=PROFILES).end()
        want("in the shell", ("is not text" in text, status), (True, 2))


def test_dumb_terminals():
    with tempfile.TemporaryDirectory() as state:
        for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            terminal = Terminal("list", "leak$", HEAP, XDG_STATE_HOME=state, **environment)
            text, status = terminal.end()
            want(f"{environment}: no colour", ("\x1b" in text, status), (False, 0))
    text, _ = Terminal("list", "leak$", HEAP).end()
    want("colour on a terminal", "\x1b[1m" in text, True)


def test_names():
    """Long names are cut in the middle on a terminal, and nowhere else; nothing but a terminal gets colour."""
    sys.path.insert(0, str(SOURCE / "tests" / "golden"))
    from profile_writer import Profile
    long_name = "first" + "x" * 300 + "last"
    profile = Profile()
    profile.sample_type("space", "bytes")
    mapping = profile.mapping(0x1000, 0x2000, 0, "/srv/x", "", "f")
    here, main = profile.function(long_name, None, "a.c", 1), profile.function("main", None, "a.c", 9)
    profile.sample([profile.location(mapping, 0x1100, [(here, 1)]), profile.location(mapping, 0x1200, [(main, 9)])], [1000], [])
    profile.header(0, 0, ("", "", 0), [], "", "", "")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/long.pb"
        pathlib.Path(path).write_bytes(profile.bytes())
        for words in (["top"], ["tree"], ["peek", "main"], ["traces"]):
            text, status = Terminal(*words, path).end()
            lines = [line for line in plain(text).split("\n") if "first" in line]
            want(f"{words}: cut", (status, bool(lines), all(re.search("firstx+[.]{3}x+last", line) and len(line) <= 100 for line in lines)),
                 (0, True, True))
            want(f"{words}: whole in a file", long_name in run(*words, path)[1], True)
            want(f"{words}: no colour in a file", "\x1b" in run(*words, path)[1], False)
            with subprocess.Popen([HEAPTAP, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as script:
                out, _ = script.communicate(" ".join(words) + "\n", timeout=240)
            want(f"{words}: whole in a script", long_name in out, True)
        reader, writer = os.pipe() # a script whose output is a terminal
        os.write(writer, b"top\nlist main\n")
        os.close(writer)
        pid, fd = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.dup2(reader, 0)
            os.execv(HEAPTAP, [HEAPTAP, path])
        os.close(reader)
        text = b""
        try:
            while chunk := os.read(fd, 65536):
                text += chunk
        except OSError:
            pass
        os.waitpid(pid, 0)
        want("a script on a terminal: whole, no colour, no prompt", (long_name.encode() in text, b"\x1b" in text, b"(heaptap)" in text),
             (True, False, False))


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_") and name != "test_editing":
            test()
    for failure in failures:
        print("FAILED", failure)
    print(f"{len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
