#!/usr/bin/env python3
"""clang-format has nothing to change; `make format` lets it."""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

from common import C_ROOTS, Report, read, walk

BATCH = 8


def check(paths):
    done = subprocess.run(["clang-format", "--dry-run", "-Werror",
                           "--ferror-limit=3"] + paths, text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    found = {}
    for line in done.stderr.splitlines():
        m = re.match(r"^(.*?):(\d+):\d+: error: ", line)
        if m:
            found.setdefault(m.group(1), int(m.group(2)))
        elif done.returncode and not found and "rror" in line:
            found[line] = 0
    return found


def main():
    if not shutil.which("clang-format"):
        print("skipped: there is no clang-format")
        sys.exit(77)
    report = Report("format")
    paths = walk(*C_ROOTS, ext=(".c", ".h"))
    batches = [paths[i:i + BATCH] for i in range(0, len(paths), BATCH)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for found in pool.map(check, batches):
            for path, line in sorted(found.items()):
                report.bad(path, line, "not laid out by .clang-format")
    for path in walk(".", ext=(".py", ".sh", ".c", ".h")):
        text = read(path)
        for n, line in enumerate(text.splitlines(), 1):
            if line != line.rstrip():
                report.bad(path, n, "white space at the end of a line")
                break
        if text and not text.endswith("\n"):
            report.bad(path, text.count("\n") + 1, "no newline at the end")
    report.done()


main()
