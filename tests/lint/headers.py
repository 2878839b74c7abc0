#!/usr/bin/env python3
"""Every header compiles alone, so no header counts on its includer."""

import concurrent.futures
import os
import shlex
import subprocess

from common import Report, walk

CC = shlex.split(os.environ.get("CC", "gcc"))
CFLAGS = shlex.split(os.environ.get(
    "LINT_CFLAGS", "-std=gnu11 -Wall -Wextra -Werror -D_GNU_SOURCE"))
INCLUDES = {
    "mtad": ["-Imtad"],
    "mtatop": ["-Imtad", "-Imtatop"],
    "mtasim": ["-Imtad", "-Imtasim"],
    "tests": ["-Imtad", "-Imtasim", "-Imtatop", "-Itests"],
}


def compile_alone(path):
    program, name = path.split("/", 1)
    command = CC + CFLAGS + INCLUDES[program] + [
        "-fsyntax-only", "-x", "c", "-"]
    # Twice, so that the guard against a second inclusion is seen to work.
    text = '#include "%s"\n' % (name if program != "tests" else path) * 2
    if program == "tests":
        command.insert(-4, "-I.")
    done = subprocess.run(command, input=text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return path, done.returncode, done.stdout


def main():
    report = Report("headers")
    headers = walk(*INCLUDES, ext=".h")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for path, code, text in pool.map(compile_alone, headers):
            if code:
                report.bad(path, 1, "does not compile alone:\n" +
                           "\n".join(text.splitlines()[:6]))
    report.done()


main()
