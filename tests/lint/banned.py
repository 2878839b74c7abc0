#!/usr/bin/env python3
"""Functions that cannot be used safely, or that make a result depend on the
place and time of the call. base/banned.h makes most of them not compile; this
also sees code that does not include it."""

import os
import re

from common import C_ROOTS, Report, blank, read, walk

BANNED = {
    "strcpy": "a buf or a slice", "strcat": "a buf", "strncpy": "a slice",
    "strncat": "a buf", "stpcpy": "a buf", "sprintf": "snprintf",
    "vsprintf": "vsnprintf", "gets": "a bounded reader",
    "strtok": "slice functions", "strtok_r": "slice functions",
    "atoi": "a parser that reports errors", "atol": "the same",
    "atoll": "the same", "atof": "the same",
    "alloca": "an arena", "localtime": "base/date.h",
    "gmtime": "base/date.h", "asctime": "base/date.h", "ctime": "base/date.h",
    "rand": "base/rng.h", "srand": "base/rng.h", "random": "base/rng.h",
    "srandom": "base/rng.h", "drand48": "base/rng.h",
    "strerror": "strerror_r", "tmpnam": "mkstemp", "mktemp": "mkstemp",
    "tempnam": "mkstemp", "inet_ntoa": "base/addr.h",
    "inet_addr": "base/addr.h", "gethostbyname": "net/",
    "getwd": "getcwd", "system": "posix_spawn with an argument list",
    "popen": "posix_spawn with an argument list",
}
CALL = re.compile(r"(?<![\w.>])(%s)[ \t]*\(" % "|".join(BANNED))


def main():
    report = Report("banned")
    for path in walk(*C_ROOTS, ext=(".c", ".h")):
        if path == "mtad/base/banned.h":
            continue
        text = read(path)
        lines = text.splitlines()
        code = blank(text)
        for m in CALL.finditer(code):
            line = code.count("\n", 0, m.start()) + 1
            report.bad(path, line, "%s() is banned: use %s" % (
                m.group(1), BANNED[m.group(1)]), lines[line - 1])
    front = "mtad/base/base.h"
    if os.path.exists(front) and not re.search(
            r'^#include "base/banned.h"', read(front), re.M):
        report.bad(front, 1, 'does not include "base/banned.h"')
    report.done()


main()
