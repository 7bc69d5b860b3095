#!/usr/bin/python3 -B
# The command line: every option of pprof in all its spellings and anywhere on the line, the program's file in front of a profile,
# where sources are found, and one line that helps for what is not there.
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from e2e import COMMAND, SHIM, Test, need_program  # noqa: E402

SOURCE = os.path.abspath(os.environ.get("HT_SOURCE") or os.path.join(os.path.dirname(__file__), "..", ".."))
GOLDEN = SOURCE + "/tests/golden/profiles/"
HEAP, OLD, CPU, MUTEX = GOLDEN + "heap2.pb.gz", GOLDEN + "heap1.pb.gz", GOLDEN + "cpu.pb.gz", GOLDEN + "mutex.pb.gz"
REDIS, INLINED = GOLDEN + "redis.pb.gz", GOLDEN + "odd-inlined.pb"
(GCC,) = need_program("gcc")

# Options as pprof spells them, a line each (test_golden holds their effect against pprof), a profile and a report that each
# changes.
ROWS = [
    ("sample_index=alloc_space", HEAP, "top"), ("sample_index=1", HEAP, "top"),
    ("inuse_space", HEAP, None), ("inuse_objects", HEAP, "top"), ("alloc_space", REDIS, "top"), ("alloc_objects", REDIS, "top"),
    ("functions", HEAP, None), ("filefunctions", HEAP, "top"), ("files", HEAP, "top"), ("lines", HEAP, "top"),
    ("addresses", HEAP, "top"), ("granularity=lines", HEAP, "top"), ("noinlines", INLINED, "top"),
    ("cum", CPU, "top"), ("flat", CPU, None), ("sort=cum", CPU, "top"), ("sort=flat", CPU, None),
    ("nodecount=3", CPU, "top"), ("nodefraction=0.2", CPU, "top"), ("edgefraction=0.5", CPU, "dot"), ("trim=false", HEAP, "top"),
    ("focus=sort", CPU, "top"), ("ignore=sort", CPU, "top"), ("hide=runtime", CPU, "top"), ("show=main", CPU, "top"),
    ("show_from=main.main", CPU, "top"), ("prune_from=main.rec", HEAP, "top"),
    ("tagfocus=bytes=64kb:", HEAP, "top"), ("tagignore=kind:sort", CPU, "top"), ("tagshow=work", CPU, "traces"),
    ("taghide=work", CPU, "tags"), ("tagroot=worker", CPU, "top"), ("tagleaf=bytes", HEAP, "top"),
    ("unit=b", HEAP, "top"), ("relative_percentages\nfocus=leak", HEAP, "top"), ("compact_labels", HEAP, "top"),
    ("call_tree", CPU, "dot"), ("base=" + OLD, HEAP, "top"), ("diff_base=" + OLD, HEAP, "top"),
    ("normalize\nbase=" + OLD, HEAP, "top"), ("drop_negative\nbase=" + HEAP, OLD, "top"), ("mean", HEAP, "top"),
    ("divide_by=3", HEAP, "top"), ("source_path=" + SOURCE + "/tests/golden", HEAP, "list"), ("trim_path=runtime", HEAP, "files"),
    ("total_delay", MUTEX, None), ("contentions", MUTEX, "top"), ("mean_delay", MUTEX, "top"),
    ("symbolize=none", HEAP, None), ("symbolize=local", HEAP, None), ("symbolize=remote", HEAP, None),
    ("symbolize=fastlocal:demangle=default", HEAP, None), ("symbolize=Demangle=Full", GOLDEN + "native.pb.gz", "top"),
    ("seconds=5", HEAP, None), ("timeout=5", HEAP, None), ("timeout=500ms", HEAP, None),
]


def spellings(report, options, profile):
    """The same request in as many ways as people write it."""
    expression = ["main"] if report == "list" else []
    names = [option.partition("=") for option in options.split("\n")]
    long = ["--%s%s%s" % (name.replace("_", "-"), sign, value) for name, sign, value in names]
    apart = [word for name, _, value in names for word in ["--" + name.replace("_", "-")] + ([value] if value else [])]
    if options == "trim=false":
        apart = ["--no-trim"]
    short = ["-" + option for option in options.split("\n")]
    yield [report, *short, *expression, profile]
    yield [report, *expression, *long, profile]
    yield [report, *expression, profile, *apart]
    yield [*short, "-%s" % report + ("=main" if expression else ""), profile]
    yield [profile, *long, "--%s" % report + ("=main" if expression else "")]


def options(test):
    for row, profile, report in ROWS:
        extra = "\nfiles" if report == "files" else ""
        name = "top" if report in (None, "files") else report
        plain = test.heaptap(name, *extra.replace("\n", "--").split(), *(["main"] if name == "list" else []), profile)
        done = [test.heaptap(*words) for words in spellings(name, row + extra, profile)]
        test.need(all(d.returncode == 0 for d in done) and len({d.output for d in done}) == 1, "%s %s: %s", name, row,
                  [(d.returncode, d.errors[:200]) for d in done])
        test.need((done[0].output != plain.output) == (report is not None), "%s %s: the option has %s effect", name, row,
                  "no" if report else "an")


def program_file(test):
    folder = test.new_folder("program")
    with open(folder + "/leak.c", "w") as file:
        file.write("#include <stdlib.h>\n__attribute__((noinline)) char *keep_it(size_t n)\n{\n    return malloc(n);\n}\n"
                   "int main(void)\n{\n    return keep_it(100000) == NULL;\n}\n")
    for name in ("leak", "other"):
        done = test.run([GCC, "-g", "-O0", "-o", folder + "/" + name, folder + "/leak.c"] + (["-DX", "-O1"] if name == "other" else []))
        test.need(done.returncode == 0, "gcc: %s", done.errors)
    test.run([folder + "/leak"], test.shim(folder, rate=1))
    (profile,) = test.files(folder)
    os.mkdir(folder + "/moved")
    os.rename(folder + "/leak", folder + "/moved/server")
    program = folder + "/moved/server"
    test.need("keep_it" not in test.heaptap("top", "--no-cache", profile).output, "the moved program was found")
    for words in (["top", "--no-cache", program, profile], ["-top", "-no_cache", program, profile],
                  ["peek", "--no-cache", "keep", program, profile], ["list", "--no-cache", "keep", program, profile],
                  ["top", "--no-cache", program, profile, profile], ["top", "--no-cache", "--base", profile, program, profile]):
        done = test.heaptap(*words)
        test.need(done.returncode == 0 and "not used" not in done.errors and ("keep_it" in done.output or "--base" in words),
                  "%s: %s%s", words, done.output, done.errors)
    done = test.run([COMMAND, "--no-cache", program, profile], input="top\n")
    test.need("keep_it" in done.output, "prompt: %s%s", done.output, done.errors)
    done = test.heaptap("top", "--no-cache", folder + "/other", profile)
    lines = [line for line in done.errors.splitlines() if "is not used: its build id is" in line]
    test.need(done.returncode == 0 and len(lines) == 1 and "File: leak" in done.output, "another program: %s", done.errors)
    done = test.heaptap("top", program)
    test.need(done.returncode == 2 and "is a program; name its profile" in done.errors, "a program alone: %s", done.errors)
    # A folder called like a part of the source's name takes that part off, and then the file is not there.
    elsewhere = test.new_folder("elsewhere") + "/" + os.path.basename(folder)
    os.mkdir(elsewhere)
    done = test.run([COMMAND, "list", "--no-cache", "^keep_it$", program, profile], cwd=elsewhere)
    test.need("4:    return malloc(n);" in done.output, "list from %s: %s%s", elsewhere, done.output, done.errors)
    shutil.rmtree(folder + "/moved")


def help_lines(test):
    """What is not there: one line on standard error that says what to do."""
    for words, status, part in (
            (["top", "--symbolize=force", HEAP], 0, "force is not supported"), (["top", "--symbolize=x", HEAP], 2, "not 'x'"),
            (["top", "--demangle=x", HEAP], 2, "simple, templates, full or none"), (["top", "--unit=zz", HEAP], 0, "'zz' is no unit"),
            (["web", HEAP], 2, "'svg' draws"), (["-http=:8080", HEAP], 2, "'flame'"), (["-weblist=main", HEAP], 2, "'list'"),
            (["top", "--timeout=x", HEAP], 2, "is not a time"),
            (["top", "--nodecount=x", HEAP], 2, "whole number"), (["top", "--sort=x", HEAP], 2, "flat or cum"),
            (["top", "--granularity=x", HEAP], 2, "addresses"), (["top", "--sample-index=x", HEAP], 2, "inuse_space"),
            (["top", "--focus=(", HEAP], 2, "parenthesis"), (["diff", "--symbolize=x", OLD, HEAP], 2, "not 'x'"),
            (["top", "--base", OLD, "--diff-base", OLD, HEAP], 2, "not both"), (["peek", HEAP], 2, "regular expression"),
            (["--vesrion"], 2, "see 'heaptap --help'")):
        done = test.heaptap(*words)
        test.need(done.returncode == status and len(done.errors.splitlines()) == 1 and part in done.errors, "%s: %d %s", words,
                  done.returncode, done.errors)
    os.mkdir(test.path("web"))
    done = test.run([COMMAND, "web", HEAP], cwd=test.folder)
    test.need(done.returncode == 2 and "'svg' draws" in done.errors, "web beside a folder web: %s", done.errors)
    done = test.run([COMMAND, HEAP], input="web\noutput=%s\ntop1\noutput=\ntop1\nunit=zz\n" % test.path("out"))
    with open(test.path("out")) as file:
        test.need(file.read() == done.output, "output= does not lead back to standard output: %s%s", done.output, done.errors)
    test.need("'svg' draws" in done.errors, "web at the prompt: %s", done.errors)


def comparing(test):
    """diff has the reports' filters and its own file."""
    out = test.path("diff.txt")
    whole = test.heaptap("diff", OLD, HEAP).output
    done = test.heaptap("diff", OLD, HEAP, "-o", out)
    with open(out) as file:
        test.need(done.returncode == 0 and not done.output and file.read() == whole, "diff -o: %s", done.errors)
    shown = test.heaptap("diff", "--trim-path=runtime", OLD, HEAP).output
    test.need("  runtime/sema.go:" in whole and "  sema.go:" in shown, "diff --trim-path: %s", shown)
    shown = test.heaptap("diff", "-show_from=main.main", OLD, HEAP)
    test.need(shown.returncode == 0 and shown.output != whole, "diff --show-from: %s", shown.errors)


# What `go tool pprof -h` of Go 1.19 and of 2025 has, with a value that means something; "!": answered, not done.
FLAGS = """callgrind comments disasm! dot eog! evince! gif gv! kcachegrind! list=main pdf peek=main png proto ps raw svg tags text top
topproto! traces tree web! weblist=main! call_tree compact_labels divide_by=2 drop_negative edgefraction=0.1 focus=main hide=x ignore=x
intel_syntax mean nodecount=5 nodefraction=0.1 noinlines normalize=false output=%s prune_from=x relative_percentages sample_index=1
show=. show_from=main source_path=/ tagfocus=bytes=1: taghide=x tagignore=x tagleaf=x tagroot=x tagshow=x trim=false trim_path=/ unit=kB
functions filefunctions files lines addresses granularity=lines cum flat sort=cum seconds=5 timeout=5 buildid=0011 add_comment=x
diff_base=%s base=%s symbolize=none symbolize=local symbolize=fastlocal symbolize=remote symbolize=force tls_cert=/x tls_key=/x
tls_ca=/x http=:0! no_browser! tools=/x inuse_space inuse_objects alloc_space alloc_objects total_delay contentions mean_delay
showcolumns! all_frames h"""


def flags_of_pprof(test):
    """Every flag of pprof is done or answered in one line with what does its work here, never taken for something else."""
    paths = iter((test.path("flag.out"), OLD, OLD))
    flags = [flag % next(paths) if "%s" in flag else flag for flag in FLAGS.split()]
    known = {flag.rstrip("!").partition("=")[0] for flag in flags}
    if shutil.which("go"):
        text = test.run(["go", "tool", "pprof", "-h"])
        listed = set(re.findall(r"^ +-([a-z_]+)", text.output + text.errors, re.M))
        test.need(len(listed) > 60 and listed <= known, "flags of this pprof that are not tried: %s", listed - known)
    formats = {flag.rstrip("!").partition("=")[0] for flag in FLAGS.split("call_tree")[0].split()}
    here = test.new_folder("flags")
    for flag in flags:
        name, _, value = flag.rstrip("!").partition("=")
        profile = MUTEX if name in ("total_delay", "contentions", "mean_delay") else HEAP
        for dash in ("-", "--"):
            for words in ([dash + flag.rstrip("!")], [dash + name, value] if value and name not in ("normalize", "trim") else []):
                if not words:
                    continue
                report = [] if name in formats or name == "h" else ["-top"]
                done = test.run([COMMAND, *report, *words, profile], cwd=here, input="")
                lines = done.errors.splitlines()
                if flag.endswith("!"):
                    test.need(done.returncode == 2 and len(lines) == 1 and "'" in lines[0] and "unknown" not in lines[0], "%s: %d %s",
                              words, done.returncode, done.errors)
                else:
                    test.need(done.returncode == 0 and "unknown" not in done.errors and "did you mean" not in done.errors, "%s: %d %s",
                              words, done.returncode, done.errors)
    test.need(not os.listdir(here), "files of their own: %s", os.listdir(here))
    for name, magic in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("ps", b"%!PS"), ("gif", b"GIF8"), ("svg", b"<?xml")):
        if not shutil.which("dot"):
            break
        for words, script in (([f"-{name}", "-output", "picture", HEAP], ""), ([HEAP], f"{name} >picture\n")):
            done = test.run([COMMAND, *words], cwd=here, input=script)
            with open(here + "/picture", "rb") as file:
                test.need(done.returncode == 0 and file.read().startswith(magic), "%s: %d %s", words, done.returncode, done.errors)
            os.remove(here + "/picture")
    done = test.run([COMMAND, "-png", HEAP], dict(os.environ, PATH="/nowhere"))
    test.need(done.returncode == 1 and not done.output and "'dot' is not installed" in done.errors, "no Graphviz: %s", done.errors)
    done = test.heaptap("raw", "-buildid=00FF", "-add_comment=said by hand", "-symbolize=none", HEAP)
    test.need("Comment: said by hand" in done.output and " 00FF" in done.output, "-buildid, -add_comment: %s", done.output[:300])
    dropped = GOLDEN + "odd-drop.pb"
    plain, all_frames = (test.heaptap("traces", *words, dropped).output for words in ((), ("-all_frames",)))
    test.need(len(all_frames) > len(plain) > 0, "-all_frames: %s", all_frames)


with Test("command line") as test:
    test.need(os.path.exists(SHIM), "nothing is built")
    for part in (options, program_file, help_lines, comparing, flags_of_pprof):
        part(test)
