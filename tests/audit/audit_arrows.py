#!/usr/bin/python3 -B
# Who may include whom: the arrows between the folders of src/ and of tools/heaptap/.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from audit import done, need, read, sources  # noqa: E402

# folder -> what it may include, itself left out
INSIDE = {
    "trigger": {"snapshot", "capture", "record", "sys"},
    "snapshot": {"record", "sys"},
    "capture": {"record", "sys"},
    "record": {"sys"},
    "sys": set(),
}
COMMAND = {
    "cmd": {"web", "view", "resolve", "profile", "base"},
    "web": {"view", "resolve", "profile", "base"},
    "view": {"profile", "base"},
    "resolve": {"profile", "base"},
    "profile": {"base"},
    "base": set(),
}
REGION = {"record", "snapshot", "sys"}  # the command's cmd/ and profile/ read a live region


def folder_of(include):
    return include.split("/")[0] if "/" in include else None


for path in sources("src"):
    parts = path.split("/")
    need(len(parts) == 3 and parts[1] in INSIDE, "%s is in no folder of src/", path)
    for include in re.findall(r'^#include "([^"]+)"', read(path), re.M):
        folder = folder_of(include)
        if include in ("profile.pb-c.h", "heaptap/heaptap.h") or (include.startswith("profile.pb") and parts[1] == "snapshot"):
            need(parts[1] in ("snapshot", "capture", "trigger"), "%s includes %s", path, include)
        else:
            need(folder == parts[1] or folder in INSIDE.get(parts[1], set()), "%s includes %s", path, include)
for path in sources("tools/heaptap"):
    parts = path.split("/")
    folder = parts[2] if len(parts) > 3 else "cmd"  # main.c
    need(folder in COMMAND, "%s is in no folder of tools/heaptap/", path)
    for include in re.findall(r'^#include "([^"]+)"', read(path), re.M):
        other = folder_of(include)
        allowed = {folder} | COMMAND.get(folder, set())
        if folder == "cmd":
            allowed |= REGION
        need(include == "profile.pb-c.h" or other in allowed, "%s includes %s", path, include)
done()
