#!/usr/bin/env python3
"""Split a table of real replies into the half that rules may be written from
(open.tsv) and the half that judges them (judge.tsv).

    split.py TABLE      write both halves here
    split.py --check    do the halves here lie as a split would put them?

Nobody reads judge.tsv: a rule made from it would judge itself. Texts that say
nearly the same must fall on the same side, or the open half would tell of the
other: texts are stripped of addresses, numbers and names, two are kin when they
share half of their words, and kin of kin go together. A family's side is a bit
of the CRC-32 of its first text in order, so it does not change by itself.
"""

import os
import re
import sys
import zlib

HERE = os.path.dirname(os.path.realpath(__file__))
KIN = 0.5               # words shared, of all words of both


def normal(text):
    """The words of a text, without what changes from reply to reply."""
    t = text.lower()
    t = re.sub(r"https?://\S+|\S+@\S+|\S*\d\S*|\b[\w-]+(\.[\w-]+)+\b", " ", t)
    return " ".join(re.findall(r"[^\W\d_]{2,}", t)) or text.lower()


def families(texts):
    """{text: first text of its family}"""
    words = [(t, frozenset(t.split())) for t in sorted(set(texts))]
    head = {t: t for t, _ in words}

    def find(t):
        while head[t] != t:
            t = head[t]
        return t

    for i, (a, wa) in enumerate(words):
        for b, wb in words[:i]:
            if len(wa & wb) >= KIN * len(wa | wb):
                x, y = sorted((find(a), find(b)))
                head[y] = x
    return {t: find(t) for t in head}


def split(rows):
    texts = [normal(r.split("\t")[2]) for r in rows]
    head = families(texts)
    halves = [], []
    for row, text in zip(rows, texts):
        halves[zlib.crc32(head[text].encode()) & 1].append(row)
    return halves


def read(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        first, *rows = f.read().rstrip("\n").split("\n")
    return first, rows


def main():
    paths = [os.path.join(HERE, n) for n in ("open.tsv", "judge.tsv")]
    if sys.argv[1:] == ["--check"]:
        now = [read(p)[1] for p in paths]
        if list(split(now[0] + now[1])) != [now[0], now[1]]:
            sys.exit("the halves are not as split.py makes them")
        return
    first, rows = read(sys.argv[1])
    for path, half in zip(paths, split(rows)):
        with open(path, "w", encoding="utf-8", newline="\n") as f:
            f.write("\n".join([first] + half) + "\n")
        print("%s: %d replies" % (os.path.basename(path), len(half)))


if __name__ == "__main__":
    main()
