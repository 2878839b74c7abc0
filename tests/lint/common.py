"""What the programs of this room share: the tree, and C without comments.

Each program is run in the top directory of the tree it judges, prints one
line "file:line: what is wrong" for each violation, and exits 1 if it found
any. A violation that must be carries "lint: NAME" in a comment on its line,
with the reason; NAME is the program's.
"""

import os
import re
import sys

C_ROOTS = ("mtad", "mtatop", "mtasim", "tests")


def walk(*roots, ext=None):
    """Files below the roots, sorted, as paths from the top directory."""
    found = []
    for root in roots:
        for where, dirs, names in os.walk(root):
            dirs[:] = sorted(d for d in dirs if d not in (
                ".git", "__pycache__") and not (
                where == "." and d.startswith("build")))
            found += [os.path.normpath(os.path.join(where, n))
                      for n in names if not ext or n.endswith(ext)]
    return sorted(found)


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'
                   r"'(?:\\.|[^'\\\n])*'", re.S)


def blank(text, keep_strings=False):
    """C text with comments (and strings) blanked, every line in its place."""
    def away(m):
        token = m.group(0)
        if keep_strings and token[0] in "\"'":
            return token
        return re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(away, text)


class Report:
    """Violations of one program."""

    def __init__(self, name):
        self.name = name
        self.count = 0

    def bad(self, path, line, what, text=""):
        if "lint: " + self.name in text:
            return
        self.count += 1
        print("%s:%d: %s" % (path, line, what))

    def warn(self, path, line, what):
        print("%s:%d: warning: %s" % (path, line, what))

    def done(self):
        sys.exit(1 if self.count else 0)
