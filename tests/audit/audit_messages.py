#!/usr/bin/python3 -B
# Of the command's rooms only cmd/ and prompt/ (and main.c) speak: nothing below writes to standard error or standard output by
# itself. It returns errors, adds warnings to the list of base/error.h, and writes results to where it is told to. And of those
# that speak only some use the streams themselves, for words that nobody else wrote: the others say what they found by
# ht_cmd_print, ht_cmd_say and ht_cmd_write, which filter it.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from audit import done, need, read, rooms, sources, symbols  # noqa: E402

SPEAKERS = {"cmd", "prompt"}
# What an object that speaks leaves undefined: the streams, and what of libc prints without being told where to.
SPEECH = re.compile(r"^(stdout|stderr|_?(v?printf|puts|putchar|perror|psignal|psiginfo|v?(err|warn)x?|error|error_at_line|"
                    r"v?dprintf|__v?d?printf_chk|syslog|openlog))$")
STRINGS_AND_COMMENTS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
WORDS = re.compile(r"\b(stderr|stdout|STDERR_FILENO|v?dprintf|perror)\b")

# The writers themselves, help, and the prompt's lines.
STREAMS = {"cmd/command.c", "cmd/help.c", "cmd/report.c", "cmd/generate.c", "cmd/generate_man.c", "cmd/generate_shell.c",
           "prompt/prompt.c", "prompt/lines.c", "main.c"}
PRINTS = re.compile(r"\b(v?f?printf|f?puts|f?putc|putchar|fwrite)\s*\(")

files = 0
for path in sources("tools/heaptap"):
    room = path.split("/")[2]
    inner = path[len("tools/heaptap/"):]
    if (room in SPEAKERS or inner == "main.c") and inner not in STREAMS and path.endswith(".c"):
        code = STRINGS_AND_COMMENTS.sub(lambda match: "\n" * match[0].count("\n"), read(path))
        for number, line in enumerate(code.split("\n"), 1):
            need(not PRINTS.search(line), "%s:%d prints by itself: %s", path, number, line.strip())
    if room in SPEAKERS or path == "tools/heaptap/main.c":
        continue
    files += 1
    code = STRINGS_AND_COMMENTS.sub(lambda match: "\n" * match[0].count("\n"), read(path))
    for number, line in enumerate(code.split("\n"), 1):
        found = WORDS.search(line)
        need(not found, "%s:%d: %s", path, number, line.strip())
need(files > 60, "only %d files were looked at", files)

spoken = set()
for room in rooms():
    if not room.path.startswith("tools/heaptap/"):
        continue
    for path in room.objects:
        wanted = {name for name, kind in symbols(path) if kind in "Uwv" and SPEECH.match(name)}
        if room.name in SPEAKERS:
            spoken |= wanted
            continue
        need(not wanted, "%s of %s uses %s", os.path.basename(path), room.name, " ".join(sorted(wanted)))
need({"stderr", "stdout"} <= spoken, "cmd/ and prompt/ use only %s: were the objects read?", sorted(spoken))
done()
