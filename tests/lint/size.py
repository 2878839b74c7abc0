#!/usr/bin/env python3
"""No C file over 1,000 lines. A function over 70 lines has a comment with the
word "long" in it that says why, and a front-door header has 200 lines at
most; of these two only a warning is given."""

import re

from common import C_ROOTS, Report, blank, read, walk

FILE_MAX = 1000
FUNC_MAX = 70
DOOR_MAX = 200


def functions(code):
    """(name, first line, last line) of each definition laid out in KNF."""
    lines = code.splitlines()
    start = None
    for i, line in enumerate(lines):
        if line.startswith("{"):
            head = i
            while head > 0 and re.match(r"^\s", lines[head - 1]):
                head -= 1
            m = re.match(r"^(?:.*\W)?(\w+)\s*\(", lines[head - 1])
            start = (m.group(1), head) if m else None
        elif line.startswith("}") and start:
            yield start[0], start[1], i + 1
            start = None


def main():
    report = Report("size")
    for path in walk(*C_ROOTS, ext=(".c", ".h")):
        text = read(path)
        lines = text.splitlines()
        if len(lines) > FILE_MAX:
            report.bad(path, len(lines), "over %d lines" % FILE_MAX)
        parts = path.split("/")
        if path.endswith(".h") and len(parts) == 3 and \
                parts[2] == parts[1] + ".h" and len(lines) > DOOR_MAX:
            report.warn(path, len(lines), "front door over %d lines" %
                        DOOR_MAX)
        code = blank(text)
        for name, first, last in functions(code):
            if last - first + 1 <= FUNC_MAX:
                continue
            # Comments of the function and just before it.
            near = slice(max(0, first - 15), last)
            words = " ".join(a for a, b in zip(lines[near],
                             code.splitlines()[near]) if a != b)
            if not re.search(r"\blong(er)?\b", words, re.I):
                report.warn(path, first, "%s() has %d lines" % (
                    name, last - first + 1))
    report.done()


main()
