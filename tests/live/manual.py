#!/usr/bin/env python3
"""The manual pages know every verb and option that --help names, and the
reference of the configuration is the program's own."""
# parallel: measures no time

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import BUILD, MTAD, Tap

tap = Tap()
TOP = os.environ["TOP"]
PAGES = {"mtad": "man8/mtad.8", "mtatop": "man1/mtatop.1",
         "mtasim": "man1/mtasim.1"}


def run(*argv):
    return subprocess.run(argv, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def page(name):
    with open(os.path.join(TOP, "share", "man", PAGES[name])) as f:
        text = f.read().replace("\\-", "-")
    text = re.sub(r"\bFl (?=[\w-])", "-", text)         # mdoc
    return re.sub(r"\\f[A-Z]", "", text)


def options(text):
    return set(re.findall(r"(?<![\w-])(--?[a-zA-Z][a-z0-9-]*)", text))


def check(name, argv, man):
    r = run(os.path.join(BUILD, name), *argv, "--help")
    missing = {o for o in options(r.stdout)
               if not re.search(r"(?<![\w-])%s(?![\w-])" % o, man)}
    tap.same((r.returncode, missing), (0, set()),
             " ".join([name, *argv, "in its manual page"]))


for name in PAGES:
    man = page(name)
    top = run(os.path.join(BUILD, name), "--help").stdout
    verbs = re.findall(r"^  ([a-z]+)  ", top, re.M)
    tap.same([v for v in verbs if not re.search(r"\b%s\b" % v, man)], [],
             name + ": every verb is in its manual page")
    check(name, [], man)
    for v in verbs if name == "mtad" else []:
        if v != "version":
            check(name, [v], man)

with open(os.path.join(TOP, "share", "doc", "configuration.md")) as f:
    tap.same(run(MTAD, "schema", "--reference").stdout, f.read(),
             "configuration.md is the program's reference")
for verb in ("run", "check", "classify", "decode", "schema", "status", "queues", "sources",
             "list", "show", "hold", "spool"):
    r = run(MTAD, verb, "--nonsense")
    tap.ok(r.returncode == 2 and "usage" in r.stdout or "--help" in r.stdout,
           verb + " --nonsense: exit 2, and where to look", r.stdout)
    if verb == "decode":
        continue  # which takes as many files as there are
    r = run(MTAD, verb, "too", "many", "words")
    tap.same(r.returncode, 2, verb + " with too many words: exit 2")
for file in ("/nonexistent", TOP):
    r = run(MTAD, "check", "-c", file)
    tap.ok(r.returncode == 1 and r.stdout.startswith(file + ":1:1: "),
           "check -c " + os.path.basename(file) + ": named", r.stdout)
tap.done()
