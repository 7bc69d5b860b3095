#!/usr/bin/python3 -B
# Each source file begins with a sentence that says what it is for; no leftovers, no long functions.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from audit import SOURCE, done, need, read, sources  # noqa: E402

FUNCTION_LIMIT = 80
WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

for path in sources("src", "include", "tools", "tests"):
    text = read(path)
    first = text.split("\n", 1)[0]
    need(re.match(r"(// |/\* )\S.{10,}", first), "%s: the first line is %r, not a comment", path, first[:60])
    need(text.endswith("\n"), "%s does not end with a line feed", path)
    begin = None
    for number, line in enumerate(text.split("\n"), 1):
        need(not WORDS.search(line), "%s:%d: %s", path, number, line.strip())
        need("\t" not in line, "%s:%d: a tab", path, number)
        if line == "{":
            begin = number
        elif line == "}" and begin:
            need(number - begin <= FUNCTION_LIMIT, "%s:%d: a function of %d lines", path, begin, number - begin)
            begin = None
for path in sources("tools", "tests", endings=(".py",)) + ["tools/test", "tools/quickstart", ".ci/run", "tests/support/pbsum",
                                                          "tools/dev/format", "tools/dev/install", "tools/dev/lint"]:
    lines = read(path).split("\n")
    head = lines[1] if lines[0].startswith("#!") else lines[0]
    need(re.match(r'(# |""")\S.{10,}', head), "%s: begins with %r, not with a sentence", path, head[:60])
    need(not any(WORDS.search(l) and "WORDS" not in l for l in lines), "%s: a leftover", path)
    if lines[0].startswith("#!"):
        need(os.access(os.path.join(SOURCE, path), os.X_OK), "%s is not executable", path)
done()
