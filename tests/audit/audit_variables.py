#!/usr/bin/python3 -B
# The table of environment variables in README.md is the table in the code.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from audit import SOURCE, done, need, read, sources  # noqa: E402

need(os.path.exists(os.path.join(SOURCE, "README.md")), "there is no README.md")
if not os.path.exists(os.path.join(SOURCE, "README.md")):
    done()
code = set()
for path in sources("src"):
    code |= set(re.findall(r'"(HEAPTAP_[A-Z_]+)"', read(path)))
config = set(re.findall(r'"(HEAPTAP_[A-Z_]+)"', read("src/trigger/config.c")))
need(code == config, "variables are read outside src/trigger/config.c: %s", sorted(code - config))
readme = set(re.findall(r"^\|\s*`?(HEAPTAP_[A-Z_]+)`?\s*\|", read("README.md"), re.M))
mentioned = set(re.findall(r"HEAPTAP_[A-Z_]+", read("README.md")))
need(len(config) > 10, "only %d variables in src/trigger/config.c", len(config))
for name in sorted(config - readme - {"HEAPTAP_VERBOSE"}):
    need(False, "%s is not in README.md's table", name)
for name in sorted(readme - config):
    need(False, "%s is in README.md's table, but the code does not read it", name)
need("HEAPTAP_VERBOSE" in mentioned or "HEAPTAP_VERBOSE" not in config, "README.md does not mention HEAPTAP_VERBOSE")
done()
