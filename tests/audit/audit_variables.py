#!/usr/bin/python3 -B
# The environment variables are named in one table (src/sys/variables.h), and README.md's table says the same.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from audit import done, need, read, sources  # noqa: E402

TABLE = "src/sys/variables.h"
for path in sources("src"):
    names = set(re.findall(r'"(HEAPTAP_[A-Z_]+)"', read(path))) if path != TABLE else set()
    need(not names, "%s names variables itself: %s", path, sorted(names))

# X("NAME", [setter,] "default", "meaning", "complaint"), over several lines
text = re.sub(r"\s*\\\n\s*", " ", read(TABLE))
rows = [[part for part in re.findall(r'"((?:[^"\\]|\\.)*)"', row)] for row in re.findall(r'X\(("HEAPTAP_.*?")\)(?= X\(|\n)', text)]
need(len(rows) > 15 and all(len(row) == 4 for row in rows), "%s cannot be read: %d rows", TABLE, len(rows))
table = {row[0]: (row[1], row[2]) for row in rows}
readme = {name: (standard.strip(), meaning.strip()) for name, standard, meaning in
          re.findall(r"^\|\s*`?(HEAPTAP_[A-Z_]+)`?\s*\|([^|]*)\|([^|]*)\|$", read("README.md"), re.M)}
for name in table:
    need(name in readme, "%s is not in README.md's table", name)
for name, columns in readme.items():
    need(name in table, "%s is in README.md's table, but the code does not read it", name)
    need(table.get(name, columns) == columns, "%s: README.md says %s, %s says %s", name, columns, TABLE, table.get(name))
need(list(table) == list(readme), "README.md's order is another one")
done()
