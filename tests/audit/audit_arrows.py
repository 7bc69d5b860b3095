#!/usr/bin/python3 -B
# The arrows between the rooms of src/ and tools/heaptap/: by the includes of each file, and by the names that the objects of
# each room leave undefined (a prototype written twice would hide the latter from the former). The build says what rooms there
# are and on which floors each stands (tools/dev/rooms.cmake); the floors of its floors are a room's as well.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from audit import BUILD, SOURCE, done, need, read, rooms, sources, symbols  # noqa: E402

# The one name that a room below may use of one above it: the table of callbacks (core/callbacks.h).
UPWARD = {("core", "ht_callbacks"), ("heap", "ht_callbacks")}
# Headers of no room: what the build makes of proto/, and the one that is installed.
PUBLIC = {"profile.pb-c.h", "heaptap/heaptap.h"}
ROOMS = rooms()
ALL = {room.name: room for room in ROOMS}


def floors(name, seen=None):
    seen = seen if seen is not None else set()
    for floor in ALL[name].floors:
        need(floor in ALL, "%s stands on %s, which is no room", name, floor)
        if floor not in seen and floor in ALL:
            seen.add(floor)
            floors(floor, seen)
    return seen


for room in ROOMS:
    need(room.name not in floors(room.name), "%s stands on itself", room.name)

# Every file is in a room.
folders = {room.path: room.name for room in ROOMS}
for path in sources("src") + sources("tools/heaptap"):
    if path == "tools/heaptap/main.c":
        continue
    folder = os.path.dirname(path)
    if not need(folder in folders, "%s is in no room", path):
        continue
    name = folders[folder]
    allowed = floors(name) | {name}
    for include in re.findall(r'^#include "([^"]+)"', read(path), re.M):
        other = os.path.dirname(include)
        need(include in PUBLIC or other in allowed, "%s includes %s; %s stands on %s", path, include, name, sorted(allowed))
        tree = "src" if path.startswith("src/") else None
        if include not in PUBLIC and tree and other in ALL:
            need(ALL[other].path.startswith("src/"), "%s includes %s of the command", path, include)

# Every name. What the shim defines in libc's stead is libc's for everybody, what a companion defines the allocator's.
FAMILY = set(re.findall(r"[a-z_]+", re.search(r"global:(.*?)local:", read("src/exports.map"), re.S)[1])) - {"heaptap_"}
defined = {}
wanted = {}
for room in ROOMS:
    need(room.objects, "%s has no objects", room.name)
    for path in room.objects:
        for name, kind in symbols(path):
            if name in FAMILY or room.name == "companion" and kind not in "Uwv" and not name.startswith("ht_"):
                continue
            if kind in "Uwv":
                wanted.setdefault((room.name, name), path)
            else:
                need(defined.get(name, room.name) == room.name, "%s is defined in %s and in %s", name, defined.get(name), room.name)
                defined[name] = room.name
need(len(defined) > 500 and len(wanted) > 500, "only %d names defined, %d wanted: were the objects read?", len(defined), len(wanted))
for (room, name), path in sorted(wanted.items()):
    owner = defined.get(name)
    if owner is None or owner == room or (room, name) in UPWARD:
        continue
    need(owner in floors(room), "%s of %s uses %s of %s; it stands on %s", os.path.basename(path), room, name, owner, sorted(floors(room)))
done()
