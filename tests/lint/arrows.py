#!/usr/bin/env python3
"""The law of arrows: which room may include which.

A room includes itself and rooms on lower levels, and never a neighbour on
its own level. The table is in arrows_table.py.
A header whose name ends in _i.h is private to its room. Project headers are
included as "room/file.h", system headers with angle brackets.
"""

import os
import re

from arrows_table import LEVEL, SIM_MAY, TOP_MAY, may
from common import Report, read, walk

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"](.*)$',
                     re.M)


def place(path):
    """(program, room) of a source file."""
    parts = path.split("/")
    return parts[0], parts[1] if len(parts) > 2 else ""


def judge(report, path):
    program, room = place(path)
    text = read(path)
    if program == "mtad" and room and room not in LEVEL:
        report.bad(path, 1, "room %s has no level in arrows_table.py" % room)
        return
    for m in INCLUDE.finditer(text):
        line = text.count("\n", 0, m.start()) + 1
        quote, name, rest = m.groups()
        head = name.split("/")[0] if "/" in name else ""

        def bad(what):
            report.bad(path, line, what, rest)

        if quote == "<":
            if head in LEVEL and os.path.exists("mtad/" + name):
                bad("<%s> is ours: include it with quotes" % name)
            continue
        if head in LEVEL:
            if program == "mtad":
                allowed = may(room) if room else set(LEVEL)
            else:
                allowed = TOP_MAY if program == "mtatop" else SIM_MAY
            if head not in allowed:
                bad("%s may not include %s (\"%s\")" % (
                    room if program == "mtad" else program, head, name))
            if name.endswith("_i.h") and (program, room) != ("mtad", head):
                bad("\"%s\" is private to its room" % name)
        elif program != "mtad" and os.path.exists(program + "/" + name):
            if name.endswith("_i.h") and room != head:
                bad("\"%s\" is private to its room" % name)
        else:
            bad("\"%s\" is not a header of the form room/file.h" % name)


def main():
    report = Report("arrows")
    for path in walk("mtad", "mtatop", "mtasim", ext=(".c", ".h")):
        judge(report, path)
    report.done()


main()
