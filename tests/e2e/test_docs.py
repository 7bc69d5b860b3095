#!/usr/bin/python3 -B
# The documents say what the command does: man pages, --help, completions (in real shells), JSON's fields, README.md.
import glob
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from e2e import BUILD, COMMAND, Test, clean_environment, need_program  # noqa: E402

SOURCE = os.path.abspath(os.environ.get("HT_SOURCE") or os.path.join(os.path.dirname(__file__), "..", ".."))
GOLDEN = SOURCE + "/tests/golden/profiles/"
PROFILES = ["heap1.pb.gz", "cpu.pb.gz", "redis.pb.gz", "odd-labels.pb", "odd-inlined.pb", "odd-names.pb", "odd-mappings.pb",
            "odd-bare.pb", "native.pb.gz", "odd-empty.pb"]
KINDS = {"text": str, "number": (int, float), "whole number": int, "true or false": bool, "list": list, "hex": str, "object": dict}
EXPRESSIONS = {"peek": ".", "list": "."}
MANDOC, BASH = need_program("mandoc", "bash")


def roff(text):
    """The text of a page's source."""
    for escape, plain in (("\\-", "-"), ("\\(aq", "'"), ("\\(ti", "~"), ("\\(ha", "^"), ("\\&", ""), ("\\e", "\\")):
        text = text.replace(escape, plain)
    return re.sub(r"\\f[BIR]", "", text)


def commands_of(test):
    """Commands with their groups, from --help."""
    text = test.heaptap("--help").output
    return re.findall(r"^  ([a-z]+) +\S", text.split("start here:")[0].split("example\n", 1)[1], re.M)


def test_pages(test, folder, commands):
    names = sorted(os.listdir(folder))
    test.need(names == sorted(["heaptap.1", "heaptap.7"] + ["heaptap-%s.1" % name for name in commands]), "pages: %s", names)
    done = test.run([MANDOC, "-T", "lint", "-W", "warning", *[os.path.join(folder, name) for name in names]])
    test.need(done.returncode == 0 and not done.output, "mandoc: %s", done.output[:2000])
    if shutil.which("man"):
        for name in names:
            done = test.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", os.path.join(folder, name)],
                            env=clean_environment(LC_ALL="C.UTF-8"))
            test.need(done.returncode == 0 and not done.errors, "man %s: %s", name, done.errors[:500])
    with open(folder + "/heaptap.7") as file:
        page = roff(file.read())
    with open(SOURCE + "/src/sys/variables.h") as file:
        variables = re.findall(r'X\("(HEAPTAP_[A-Z_]+)"', file.read())
    test.need(len(variables) > 15 and all(".B %s\n" % name in page for name in variables), "heaptap(7) lacks variables")
    for name in commands:
        with open("%s/heaptap-%s.1" % (folder, name)) as file:
            page = roff(file.read())
        text = test.heaptap(name, "--help").output
        options = re.findall(r"^  (?:-\w, |    )(--[\w-]+)", text.split("\noptions:\n")[1], re.M)
        test.need(len(options) >= 1 and "--help" in options, "%s --help lists %s", name, options)
        for option in options:
            test.need(re.search(r"^(-\w, )?%s( |$)" % option, page, re.M), "heaptap-%s(1) lacks %s", name, option)
        test.need("\nexamples:\n" in text and ".SH EXAMPLES" in page, "%s: no examples", name)
        for line in text.splitlines():
            test.need(len(line) <= 120, "%s --help: a line of %d columns", name, len(line))


def test_suggestions(test, commands):
    for wrong, right in (("tpo", "top"), ("dif", "diff"), ("snapshot", "snap"), ("Top", "top"), ("rnu", "run")):
        done = test.heaptap(wrong)
        test.need(done.returncode == 2 and "did you mean '%s'?" % right in done.errors, "%s: %s", wrong, done.errors)
    for wrong, right in (("--allocspace", "--alloc-space"), ("--sampleindex=x", "--sample-index"), ("-ouput=x", "--output"),
                         ("--foucs", "--focus"), ("--jsno", "--json")):
        done = test.heaptap("top", wrong, "x")
        test.need(done.returncode == 2 and "did you mean '%s'?" % right in done.errors, "%s: %s", wrong, done.errors)
    for name in commands:
        for words in ([name, "--help"], [name, "-h"], ["help", name]):
            done = test.heaptap(*words)
            test.need(done.returncode == 0 and done.output.startswith("heaptap %s: " % name), "%s: %s", words, done.output[:100])


def fields_of(page):
    """{path: (kind, may be missing)} of a page's section JSON."""
    section = page.split(".SH JSON\n")[1].split("\n.SH ")[0] if ".SH JSON\n" in page else ""
    return {path: (kind, bool(missing)) for path, kind, missing in
            re.findall(r"^([\w.\[\]]+) \(([a-z ]+)(, may be missing)?\)$", section, re.M)}


def paths_in(value, where, found):
    if isinstance(value, dict):
        for name, member in value.items():
            path = where + ("." if where else "") + name
            found.setdefault(path, []).append(member)
            if not path.endswith("health"):  # its counters have names of their own
                paths_in(member, path, found)
    elif isinstance(value, list):
        for member in value:
            paths_in(member, where + "[]", found)


def run_json(test, name, *arguments):
    done = test.heaptap(name, "--json", *arguments)
    try:
        return [json.loads(done.output)]
    except ValueError:
        test.need(not done.output and done.returncode == 1, "%s --json %s: %d %s %s", name, arguments, done.returncode,
                  done.output[:200], done.errors)
        return []


def documents_of(test, name, region):
    """What the command prints with --json on many inputs."""
    if name == "diff":
        return run_json(test, name, GOLDEN + "heap1.pb.gz", GOLDEN + "heap2.pb.gz")
    if name == "check":  # with and without estimates
        return run_json(test, name, "--lines", GOLDEN + "heap1.pb.gz", GOLDEN + "heap2.pb.gz") + run_json(
            test, name, GOLDEN + "heap2.pb.gz", str(region))
    if name == "doctor":
        return run_json(test, name, "ls") + run_json(test, name, str(region))
    if name == "ps":
        return run_json(test, name, "--over", "10ms", str(region)) + run_json(test, name, "--dead", "--over", "0")
    if name == "growth":  # of a process by what it wrote, and of a folder
        out, variables = test.path("series"), {"rate": "16K", "interval": "50ms"}
        test.run([BUILD + "/e2e/growth_host", "2"], test.shim(out, **variables))
        return run_json(test, name, out) + run_json(test, name, *test.files(out, "interval"))
    if name == "symbolize":
        return run_json(test, name, "-o", test.path("names.pb.gz"), str(region))
    if name == "leaks":
        return run_json(test, name, str(region))
    expression = [EXPRESSIONS[name]] if name in EXPRESSIONS else []
    documents = []
    if name == "list":  # with a source file that is there
        done = test.heaptap("run", "-o", test.path("out"), "--rate", "1", "--", BUILD + "/e2e/api_host")
        documents += run_json(test, name, "--source-path=/", "--alloc-space", "before_the_stop", test.files(test.path("out"), "exit")[-1])
    for profile in PROFILES:
        documents += run_json(test, name, "--symbolize=none", *expression, GOLDEN + profile)
    return documents + run_json(test, name, *expression, str(region)) + run_json(test, name, "--addresses", *expression, str(region))


def test_json(test, folder, commands):
    out = test.new_folder("out")
    host = test.start(["perl", "-e", "my @a = map { 'x' x 1000 } 1..1000; sleep 60"], env=test.shim(out, rate=1))
    test.wait_for(lambda: glob.glob("/dev/shm/heaptap.perl.%d.*.live" % host.pid), "no region")
    for name in commands:
        with open("%s/heaptap-%s.1" % (folder, name)) as file:
            page = roff(file.read())
        if not re.search(r"^--json$", page, re.M):
            continue
        documented, found = fields_of(page), {}
        test.need(documented, "heaptap-%s(1) has --json and documents no fields", name)
        for document in documents_of(test, name, host.pid):
            paths_in(document, "", found)
        for path, values in found.items():
            if not test.need(path in documented, "%s --json writes %s, its page does not say so", name, path):
                continue
            kind = KINDS[documented[path][0]]
            for value in values:
                test.need(value is None or isinstance(value, kind) and (kind is bool or not isinstance(value, bool)),
                          "%s --json: %s is %r, not %s", name, path, value, documented[path][0])
        for path, (_, missing) in documented.items():
            test.need(missing or path in found, "%s --json never writes %s, which its page documents", name, path)


def test_bash(test, script, commands):
    done = test.run([BASH, "-n", script])
    test.need(done.returncode == 0 and not done.errors, "bash -n: %s", done.errors)
    driver = """
source "$1"
complete -p heaptap
shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_heaptap
printf '%s\\n' "${COMPREPLY[@]}"
"""

    def complete(*words):
        done = test.run([BASH, "--norc", "-c", driver, "bash", script, "heaptap", *words], cwd=test.folder)
        test.need(not done.errors and done.output.startswith("complete -F _heaptap heaptap\n"), "bash: %s", done.errors)
        return done.output.splitlines()[1:]
    test.need(sorted(complete("")) == sorted(commands + ["help"]), "heaptap <tab>: %s", complete(""))
    for words, wanted in ((("to",), ["top"]), (("top", "--sample"), ["--sample-index"]), (("run", "--unw"), ["--unwind"]),
                          (("run", "--unwind", "c"), ["cfi"]), (("run", "--unwind", "=", "c"), ["cfi"]),
                          (("top", "--demangle", "=", ""), ["simple", "templates", "full", "none"]), (("help", "dif"), ["diff"]),
                          (("top", "page"), ["page.bash"]), (("diff", "page.b"), ["page.bash"]), (("run", "-o", "zs"), ["zsh"]),
                          (("run", "-o", "out", "--", "cat", "page.b"), ["page.bash"]), (("--v",), ["--version"]),
                          (("run", "--no-exit", "bash", "page.b"), ["page.bash"]), (("top", "--rate", "--nonsense"), [])):
        rows = [row for row in complete(*words) if row]
        test.need(rows == wanted, "heaptap %s<tab>: %s", " ".join(words), rows)
    test.need("bash" in complete("run", "bas"), "heaptap run bas<tab>: %s", complete("run", "bas"))
    for name in commands:
        text = test.heaptap(name, "--help").output
        options = re.findall(r"^  (?:-\w, |    )(--[\w-]+)", text.split("\noptions:\n")[1], re.M)
        test.need(complete(name, "--") == options, "heaptap %s --<tab>: %s, not %s", name, complete(name, "--"), options)


class Shell:
    """A shell on a terminal of its own, typed at."""

    def __init__(self, command, folder):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, start_new_session=True,
                                        env=clean_environment(TERM="dumb", HOME=folder, PATH=os.path.dirname(COMMAND) + ":" +
                                                              os.environ["PATH"], COLUMNS="200"))
        os.close(slave)

    def type(self, text, wanted, timeout=240):
        """Types, then reads until `wanted` is there (None: as long as the time lasts); what was read."""
        os.write(self.master, text.encode())
        seen, end = "", time.monotonic() + timeout
        while (wanted is None or wanted not in seen) and time.monotonic() < end:
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    seen += os.read(self.master, 4096).decode(errors="replace")
                except OSError:
                    break
        return seen

    def end(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def test_terminals(test, bash_script, zsh_folder):
    """Tab in real shells."""
    shells = [("bash", [BASH, "--norc", "--noprofile", "-i"], "source %s; PS1=ready'> '\n" % bash_script)]
    zsh = shutil.which("zsh")
    if zsh:
        done = test.run([zsh, "-n", zsh_folder + "/_heaptap"])
        test.need(done.returncode == 0 and not done.errors, "zsh -n: %s", done.errors)
        shells.append(("zsh", [zsh, "-f", "-i"], "unsetopt prompt_cr prompt_sp; fpath=(%s $fpath); "
                       "autoload -U compinit; compinit -u -D; PS1=ready'> '\n" % zsh_folder))
    else:
        print("  zsh is not installed: its completion is left out")
    for name, command, setup in shells:
        shell = Shell(command, test.folder)
        shell.type(setup, "\nready> ")
        for typed, wanted in (("heaptap dif\t", "diff "), ("heaptap run --unwi\t", "--unwind"), ("heaptap run --unwind lib\t", "libunwind"),
                              ("heaptap top --demangle=ful\t", "full"), ("heaptap top page.b\t", "page.bash"),
                              ("heaptap peek --alloc-sp\t", "--alloc-space"), ("heaptap doctor --ver\t", "--verbose")):
            seen = shell.type(typed, wanted, 8)
            test.need(wanted in seen, "%s: %r gives %r", name, typed, seen)
            shell.type("\x15", None, 0.3)
        shell.end()


def test_readme(test, commands):
    with open(SOURCE + "/README.md") as file:
        text = file.read()
    rows = re.findall(r"^\| (`heaptap .*?) \|", text, re.M)
    named = set(re.findall(r"`heaptap ([a-z]+)", " ".join(rows)))
    test.need(named <= set(commands), "README.md lists commands that are none: %s", named - set(commands))
    for name in commands:
        test.need(re.search(r"`(heaptap )?%s\b" % name, text), "README.md does not mention the command %s", name)


with Test("documents") as test:
    pages = test.new_folder("man")
    bash_script, zsh_folder = test.path("page.bash"), test.new_folder("zsh")
    for words in (["man", pages, "2026-01-31"], ["bash", bash_script], ["zsh", zsh_folder + "/_heaptap"]):
        done = test.heaptap("--generate", *words)
        test.need(done.returncode == 0 and not done.errors, "--generate %s: %s", words, done.errors)
    everything = commands_of(test)
    test_pages(test, pages, everything)
    test_suggestions(test, everything)
    test_bash(test, bash_script, everything)
    test_terminals(test, bash_script, zsh_folder)
    test_json(test, pages, everything)
    test_readme(test, everything)
