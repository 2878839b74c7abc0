#!/usr/bin/env python3
"""Nothing in the tree refers to a place outside it on some machine."""

import re

from common import Report, walk

# In pieces, so that this file is clean itself.
PLACES = (r"\.\./" + "shared", r"(?<![\w./-])/" + r"work(?![\w-])",
          r"(?<![\w./-])/" + r"root/", r"/tmp/" + "bash_jobs")
FOUND = re.compile("|".join(PLACES).encode())
SIZE_MAX = 4 << 20


def main():
    report = Report("outside")
    for path in walk("."):
        if path == ".git":  # a file, in a second working tree
            continue
        try:
            with open(path, "rb") as f:
                data = f.read(SIZE_MAX)
        except OSError:
            continue
        for m in FOUND.finditer(data):
            report.bad(path, data.count(b"\n", 0, m.start()) + 1,
                       "refers to a place outside the repository: " +
                       m.group(0).decode(errors="replace"))
    report.done()


main()
