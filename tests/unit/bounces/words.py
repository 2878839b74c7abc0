#!/usr/bin/env python3
"""Learn the points of share/rules/words.yml, by which words decide where no
rule knows better.

    words.py            learn from open.tsv and the rules; print the file
    words.py --cross K  how well rules and words would do on replies they have
                        not seen: K folds, families of texts kept together
    words.py --score    what the words alone say of each reply of open.tsv

Needs PyYAML. It never opens judge.tsv. What is learnt from: the replies of the
open half; those of known.tsv, which nobody has received, but people wrote down
because they know the servers that say so; and phrases that the patterns of
bounces.yml would match, so that what was known when rules were written is known
to the words too.

The model is a logistic regression with two heads, one for categories and one
for kinds; a verdict has the points of both. For --cross, rules are made to
forget: a pattern counts only if it matches no reply of the open half at all,
or one outside of the fold that is asked.
"""

import importlib.util
import math
import os
import random
import re
import sys
import unicodedata

import yaml

try:
    import re._parser as sre_parse
except ImportError:
    import sre_parse

HERE = os.path.dirname(os.path.realpath(__file__))
RULES = os.path.join(HERE, "..", "..", "..", "share", "rules")
POINTS = 100            # points of one natural unit of evidence
L2 = 0.5
ROUNDS = 120
SAMPLES = 4             # phrases for a pattern
ROWS_MIN = 2            # times a word must be seen
WORTH = 25              # points below which an opinion is left out
KEEP = 50               # a word is kept for one opinion of so many points
CUT = 6                 # letters of a word that count

# ---- texts: as class_fold.c and class_words.c do it -------------------------


def fold(t):
    t = re.sub("[\u2018\u2019\u02bc]", "'", t)
    t = re.sub("[\u201c\u201d\xab\xbb]", '"', t)
    t = re.sub("[\u2010\u2011\u2013\u2014]", "-", t)
    t = "".join(c for c in unicodedata.normalize("NFD", t)
                if not unicodedata.combining(c)) if not is_far(t) else t
    t = re.sub("[\x00-\x20\x7f\xa0]+", " ", t).strip()
    return "".join(c.lower() if c < "\x80" else c for c in t)


def is_far(t):
    """Scripts of which combining marks are a part."""
    return re.search("[\u0400-\u04ff\u3000-\uffff]", t)


EDGE = "<>()[]{}\"'`,;:.!?*=|&"


def words(text):
    """What a folded text says, without what changes from reply to reply."""
    out = []
    for chunk in text.split(" "):
        c = chunk.strip(EDGE)
        if "://" in c or c.startswith("www."):
            out.append("<url>")
        elif "@" in c:
            out.append("<address>")
        elif re.search("[0-9]", c):
            out.append("<number>" if re.search("[g-z]", c) or
                       c.count(".") < 3 and c.count(":") < 2 else "<ip>")
        elif re.search("[a-z]\\.[a-z]", c):
            out.append("<host>")
        else:
            c = c.replace("n't", " not ")
            out += [w[:CUT] for w in re.findall("[a-z\x80-\U0010ffff]+", c)]
    return out


def features(text, code):
    w = words(text)
    f = set(w)
    if w:
        f.update(a + " " + b for a, b in zip(["^"] + w, w + ["$"]))
    if code:
        f.update(["%d" % code, "%dxx" % (code // 100)])
    return sorted(f)


# ---- rules, as far as they are needed ----------------------------------------


def as_list(v):
    return v if isinstance(v, list) else [] if v is None else [v]


def pair(s):
    lo, _, hi = str(s).partition("-")
    return int(lo), int(hi or lo)


def read_code(s):
    s = str(s).lower()
    return (int(s.replace("x", "0")), int(s.replace("x", "9"))) \
        if "x" in s else pair(s)


def read_enhanced(s):
    if str(s) == "none":
        return None
    return [(0, 999) if p in "xX" else pair(p) for p in str(s).split(".")]


class Rule:
    def __init__(self, node, line):
        self.line = line
        self.codes = [read_code(c) for c in as_list(node.get("code"))]
        self.enhanced = [read_enhanced(c)
                         for c in as_list(node.get("enhanced"))]
        self.stages = [str(s).lower() for s in as_list(node.get("stage"))]
        self.provider = node.get("provider")
        self.texts = [re.compile(fold_pattern(p), re.I)
                      for p in as_list(node.get("text"))]
        self.category, self.kind = node["category"], node["kind"]
        self.hard, self.points = node.get("hard"), node.get("points")

    def may(self, q):
        return ((not self.codes or
                 any(a <= q.code <= b for a, b in self.codes)) and
                (not self.enhanced or
                 any(self.fits(e, q.enhanced) for e in self.enhanced)) and
                (not self.stages or q.stage in self.stages) and
                not self.provider)

    @staticmethod
    def fits(want, enhanced):
        if want is None or enhanced is None:
            return want is None and enhanced is None
        return all(a <= p <= b for (a, b), p in zip(want, enhanced))


def fold_pattern(p):
    return p if is_far(p) else "".join(
        c for c in unicodedata.normalize("NFD", p)
        if not unicodedata.combining(c))


def read_rules():
    with open(os.path.join(RULES, "bounces.yml"), encoding="utf-8") as f:
        text = f.read()
    tree = dict((k.value, v) for k, v in yaml.compose(text).value)
    return [Rule(node, at.start_mark.line + 1) for node, at in
            zip(yaml.safe_load(text)["rules"], tree["rules"].value)]


class Reply:
    def __init__(self, line):
        f = line.split("\t")
        self.code, self.text = int(f[0]), fold(f[2])
        self.category, self.kind = f[4], f[7]
        self.raw = f[2]
        self.stage = {"end-of-data": "eom"}.get(f[8].lower(), f[8].lower())
        m = re.match(r"(\d)\.(\d+)\.(\d+)$", f[1]) or \
            re.match(r"([245])\.(\d+)\.(\d+)(?![\d.])", self.text) or \
            re.search(r"#([245])\.(\d+)\.(\d+)(?![\d.])", self.text)
        self.enhanced = tuple(map(int, m.groups())) if m else None


def read_replies(name="open.tsv"):
    with open(os.path.join(HERE, name), encoding="utf-8",
              newline="\n") as f:
        return [Reply(x) for x in f.read().rstrip("\n").split("\n")[1:]]


def read_families(replies):
    """The family of each reply, as split.py has it."""
    spec = importlib.util.spec_from_file_location(
        "split", os.path.join(HERE, "split.py"))
    split = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(split)
    texts = [split.normal(q.raw) for q in replies]
    head = split.families(texts)
    return [head[t] for t in texts]


def read_matches(rules, replies):
    """For each reply the rules that match, each with its patterns that do."""
    out = []
    for q in replies:
        m = [(i, [j for j, p in enumerate(r.texts) if p.search(q.text)])
             for i, r in enumerate(rules) if r.may(q)]
        out.append([(i, at) for i, at in m if at or not rules[i].texts])
    return out


# ---- phrases out of patterns -------------------------------------------------


def phrase(tree, rnd):
    out = []
    for op, arg in tree:
        op = str(op)
        if op == "LITERAL":
            out.append(chr(arg))
        elif op == "IN":
            first, what = arg[0]
            if str(first) in ("LITERAL", "RANGE"):
                out.append(chr(what if str(first) == "LITERAL" else what[0]))
            elif "DIGIT" in str(what):
                out.append("0")
            elif "SPACE" in str(what):
                out.append(" ")
        elif op == "BRANCH":
            out.append(phrase(rnd.choice(arg[1]), rnd))
        elif op == "SUBPATTERN":
            out.append(phrase(arg[3], rnd))
        elif op in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low, _, what = arg
            kind = str(what[0][0]) if len(what) == 1 else ""
            if kind == "ANY":
                out.append(" ")
            elif kind != "IN" or str(what[0][1][0][0]) != "CATEGORY":
                out.append(phrase(what, rnd) *
                           (low if low else rnd.randint(0, 1)))
    return "".join(out)


def phrases(pattern):
    rnd = random.Random(7)
    tree = sre_parse.parse(pattern.pattern, re.I)
    said = {fold(phrase(tree, rnd)) for _ in range(3 * SAMPLES)}
    return sorted(x for x in said if x)[:SAMPLES]


def pattern_rows(rules):
    """[(rule and pattern, features, (category, kind), weight)]"""
    out = []
    for i, r in enumerate(rules):
        hard = {a >= 500 for a, _ in r.codes} | {b >= 500 for _, b in r.codes}
        for j, p in enumerate(r.texts):
            said = phrases(p)
            for s in said:
                # Where a phrase begins and ends is not known.
                f = [x for x in features(s, 0) if "^" not in x and
                     "$" not in x]
                if len(hard) == 1:
                    f.append("5xx" if True in hard else "4xx")
                out.append(((i, j), f, (r.category, r.kind), 1 / len(said)))
    return out


# ---- learning ----------------------------------------------------------------


def norm(rows, weights, n):
    """An upper bound of the curvature, by power iteration."""
    v = [1.0] * (n + 1)
    size = 1.0
    for _ in range(12):
        to = [0.0] * (n + 1)
        for f, w in zip(rows, weights):
            u = w * (v[n] + sum(v[j] for j in f))
            to[n] += u
            for j in f:
                to[j] += u
        size = math.sqrt(sum(x * x for x in to))
        v = [x / size for x in to]
    return 0.5 * 1.05 * size + L2


def softmax(v):
    top = max(v)
    e = [math.exp(x - top) for x in v]
    z = sum(e)
    return [x / z for x in e]


def learn(rows):
    """rows: [(features, (category, kind), weight)] to {feature or "": {name:
    points}}, rounded and pruned."""
    seen = {}
    for f, _, _ in rows:
        for x in f:
            seen[x] = seen.get(x, 0) + 1
    names = sorted(x for x in seen if seen[x] >= ROWS_MIN)
    number = {x: i for i, x in enumerate(names)}
    cats = sorted({c for _, (c, _), _ in rows})
    kinds = sorted({k for _, (_, k), _ in rows})
    heads = cats + kinds
    x = [[number[a] for a in f if a in number] for f, _, _ in rows]
    goal = [(cats.index(c), len(cats) + kinds.index(k))
            for _, (c, k), _ in rows]
    weight = [w for _, _, w in rows]
    step = 1 / norm(x, weight, len(names))
    n, m = len(names), len(heads)
    now = [[0.0] * m for _ in range(n + 1)]     # the last row: the start
    ahead = [[0.0] * m for _ in range(n + 1)]
    t = 1.0
    for _ in range(ROUNDS):                     # Nesterov's method
        slope = [[L2 * a for a in row] for row in ahead]
        slope[n] = [0.0] * m
        for f, (c, k), w in zip(x, goal, weight):
            p = [sum(col) for col in zip(ahead[n], *[ahead[j] for j in f])]
            p = softmax(p[:len(cats)]) + softmax(p[len(cats):])
            p[c] -= 1
            p[k] -= 1
            p = [w * a for a in p]
            for j in f + [n]:
                slope[j] = [a + b for a, b in zip(slope[j], p)]
        t, old = (1 + math.sqrt(1 + 4 * t * t)) / 2, t
        go = (old - 1) / t
        for j in range(n + 1):
            was = now[j]
            now[j] = [a - step * b for a, b in zip(ahead[j], slope[j])]
            ahead[j] = [a + go * (a - b) for a, b in zip(now[j], was)]
    table = {}
    for name, row in zip(names + [""], now):
        v = {h: round(POINTS * a) for h, a in zip(heads, row)}
        least = 0 if name == "" else WORTH
        v = {h: a for h, a in v.items() if abs(a) >= least}
        if name == "" or max(map(abs, v.values()), default=0) >= KEEP:
            table[name] = v
    return table


def verdicts(rules, replies):
    """The pairs of category and kind that words may say, and on which codes:
    those that rules say, and those that were seen three times."""
    out = {(r.category, r.kind) for r in rules if r.texts}
    pairs = [(q.category, q.kind) for q in replies]
    return sorted(out | {p for p in pairs if pairs.count(p) >= 3})


def codes_of(category, kind):
    if category == "TransientFailure" or kind == "greylist":
        return "4xx"
    return "5xx" if (category, kind) == ("PolicyRelated", "throttle") else None


def judge(table, said, q, guess=None, points=0):
    """The verdict by words; a guess has points of its own for its category,
    which is among those that may be said."""
    sums = dict(table[""])
    for f in features(q.text, q.code):
        for h, a in table.get(f, {}).items():
            sums[h] += a
    best = None
    for c, k in said:
        codes = codes_of(c, k)
        if codes and codes != "%dxx" % (q.code // 100):
            continue
        v = sums.get(c, 0) + sums.get(k, 0) + (points if c == guess else 0)
        if best is None or v > best[0]:
            best = v, c, k
    return best[1:]


# ---- how good it is ----------------------------------------------------------


def group(kind, is_hard):
    return kind if kind in ("throttle", "reputation_block") else is_hard


def folds(families, k, seed):
    sizes = {f: families.count(f) for f in families}
    names = sorted(sizes)
    random.Random(seed).shuffle(names)
    load, of = [0] * k, {}
    for f in sorted(names, key=lambda f: -sizes[f]):
        of[f] = load.index(min(load))
        load[of[f]] += sizes[f]
    return [of[f] for f in families]


def forgotten(matches, asked):
    """Patterns, and rules without any, that only the asked support."""
    by = {}
    for n, m in enumerate(matches):
        for i, at in m:
            for j in at or [None]:
                by.setdefault((i, j), set()).add(n)
    return {k for k, v in by.items() if v <= asked}


def first_rule(rules, match, gone):
    for i, at in match:
        if any((i, j) not in gone for j in at or [None]):
            return rules[i]
    return rules[-1]


def cross(k):
    rules, replies = read_rules(), read_replies()
    families, matches = read_families(replies), read_matches(rules, replies)
    said, rows = verdicts(rules, replies), pattern_rows(rules)
    known = [(features(q.text, q.code), (q.category, q.kind), 1.0)
             for q in read_replies("known.tsv")]
    of = folds(families, k, 0)
    right = {"rules": [0, 0], "with words": [0, 0], "words alone": [0, 0]}
    for x in range(k):
        asked = {n for n in range(len(replies)) if of[n] == x}
        gone = forgotten(matches, asked)
        table = learn(
            [(features(q.text, q.code), (q.category, q.kind), 1.0)
             for n, q in enumerate(replies) if n not in asked] + known +
            [row[1:] for row in rows if row[0] not in gone])
        for n in asked:
            q = replies[n]
            r = first_rule(rules, matches[n], gone)
            is_hard = q.code >= 500
            want = q.category, group(q.kind, is_hard)
            by_rule = r.category, group(
                r.kind, is_hard if r.hard is None else r.hard)
            c, kind = judge(table, said, q)
            alone = c, group(kind, is_hard)
            both = by_rule
            if r.points is not None:
                c, kind = judge(table, said, q, r.category, r.points)
                if c != r.category:
                    both = c, group(kind, is_hard)
            for name, v in (("rules", by_rule), ("with words", both),
                            ("words alone", alone)):
                for i in 0, 1:
                    right[name][i] += v[i] == want[i]
    for name, v in right.items():
        print("%-12s category %.1f %%, hard/soft/throttle/block %.1f %%" %
              (name, *[100 * a / len(replies) for a in v]))


# ---- the file ----------------------------------------------------------------

HEAD = """\
# What words say of a reply: weighed where no rule matches, or one that has
# points (bounces.yml). Made by tests/unit/bounces/words.py, which says how;
# classification.md says what may stand here. Your own words stand in a file of
# your own: "words: mine.yml" in the first of your files of rules, or "words:
# none".
#
# Each word, each two words in a row, and the code have points for categories
# and kinds. The verdict with most points, of its category and its kind, wins.
# Words are cut to six letters; ^ and $ are where a text begins and ends.

words:
"""


def quoted(s):
    return s if re.fullmatch("[a-z]{3,}( [a-z]{3,})?", s) and \
        s not in ("null", "true", "false") else "'%s'" % s


def show(table, said):
    out = [HEAD + "  verdicts:"]
    for c, k in said:
        codes = codes_of(c, k)
        out.append("  - {category: %s, kind: %s%s%s}" % (
            c, k, ", code: " + codes if codes else "",
            ", hard: false" if k in ("throttle", "greylist") else ""))
    out.append("  start:")
    out += ["    %s: %d" % x for x in sorted(table[""].items())]
    out.append("  points:")
    for name in sorted(table):
        if name:
            most = sorted(table[name].items(), key=lambda x: (-abs(x[1]), x[0]))
            out.append("    %s: {%s}" % (quoted(name), ", ".join(
                "%s: %d" % x for x in most)))
    print("\n".join(out))


def main():
    if sys.argv[1:2] == ["--cross"]:
        return cross(int(sys.argv[2]))
    if sys.argv[1:] == ["--score"]:
        with open(os.path.join(RULES, "words.yml"), encoding="utf-8") as f:
            w = yaml.safe_load(f)["words"]
        table = {str(k): v for k, v in w["points"].items()}
        table[""] = w["start"]
        for q in read_replies():
            print(*judge(table, [(v["category"], v["kind"])
                                 for v in w["verdicts"]], q))
        return None
    rules = read_rules()
    replies = read_replies() + read_replies("known.tsv")
    return show(learn(
        [(features(q.text, q.code), (q.category, q.kind), 1.0)
         for q in replies] + [row[1:] for row in pattern_rows(rules)]),
        verdicts(rules, replies))


main()
