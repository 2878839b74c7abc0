#!/usr/bin/env python3
"""The pure rooms import nothing impure, as nm sees their plain objects.

An object of a pure room may need what rooms it may include define, and what
allowed-symbols.txt lists; so no clock, no randomness, no I/O, no thread, and
no malloc outside base (libcrypto, in crypt, has its own). The disk driver, spool/disk_*.c, is the exception.
BUILD (or O, or "build") is the output tree.
"""

import os
import re
import subprocess

from arrows_table import may
from common import Report, read, walk

PURE = ("base", "mail", "proto", "engine", "stats", "spool", "crypt",
        "relay")
BUILD = os.environ.get("BUILD") or os.environ.get("O") or "build"
# What an instrumented object needs besides.
INSTRUMENTS = re.compile(r"^__(asan|ubsan|tsan|sanitizer|gcov|llvm)_")
HERE = os.path.dirname(os.path.abspath(__file__))


def allowed():
    """Names for every room, and names for single rooms."""
    everywhere, rooms = set(), {}
    for line in read(os.path.join(HERE, "allowed-symbols.txt")).splitlines():
        line = line.split("#")[0].strip()
        room, colon, names = line.rpartition(":")
        if colon:
            rooms.setdefault(room.strip(), set()).update(names.split())
        else:
            everywhere.update(names.split())
    return everywhere, rooms


def nm(objects):
    """For each object: (defined globals, undefined)."""
    found = {}
    if not objects:
        return found
    done = subprocess.run(["nm", "-g", "-A", "--no-demangle"] + objects,
                          text=True, stdout=subprocess.PIPE, check=True)
    for line in done.stdout.splitlines():
        m = re.match(r"^(.*?):\s*(?:[0-9a-f]+)?\s+([A-Za-z]) (\S+)$", line)
        if not m:
            continue
        path, kind, name = m.groups()
        defined, needed = found.setdefault(path, (set(), set()))
        if kind in "Uwv":
            needed.add(name)
        else:
            defined.add(name)
    return found


def main():
    report = Report("symbols")
    sources = {}
    for path in walk("mtad", ext=".c"):
        parts = path.split("/")
        if len(parts) > 2:
            sources[os.path.join(BUILD, "obj", path[:-2] + ".o")] = \
                (path, parts[1])
    objects = [o for o in sources if os.path.exists(o)]
    missing = [o for o in sources if o not in objects and
               sources[o][1] in PURE]
    for o in missing:
        report.bad(sources[o][0], 1, "has not been compiled: no " + o)
    tables = nm(objects)
    defined = {}
    for o in objects:
        room = sources[o][1]
        defined.setdefault(room, set()).update(tables.get(o, (set(),))[0])
    everywhere, rooms = allowed()
    for o in objects:
        path, room = sources[o]
        if room not in PURE:
            continue
        if re.match(r"mtad/spool/disk_\w+\.c$", path):
            continue
        fine = everywhere | rooms.get(room, set())
        for low in may(room):
            fine |= defined.get(low, set())
        for name in sorted(tables.get(o, (set(), set()))[1]):
            bare = re.sub(r"^__isoc\d+_", "", name)
            m = re.match(r"^__(\w+)_chk$", bare)
            if name in fine or bare in fine or INSTRUMENTS.match(name) or \
                    (m and m.group(1) in fine):
                continue
            report.bad(path, 1, "imports %s, which %s may not" % (name, room))
    report.done()


main()
