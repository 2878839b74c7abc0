#!/usr/bin/env python3
"""`mtad classify` as its user meets it: an object a reply, whatever the bytes,
the rules that it takes and in which order, and its exit status; and that the
halves of the replies lie where their hash says."""
# sanitized: later

import json
import os
import random
import subprocess
import sys

TOP = os.environ["TOP"]
TMP = os.environ["TMP"]
MTAD = os.path.join(os.environ["BUILD"], "mtad")
RULES = os.path.join(TOP, "share", "rules", "bounces.yml")
KEYS = ["category", "kind", "scope", "hard", "rule"]

done = []


def ok(holds, name, what=""):
    done.append(holds)
    print("%sok %d - %s" % ("" if holds else "not ", len(done), name))
    if not holds:
        print("# %r" % (what,))


def run(text, *argv):
    r = subprocess.run([MTAD, "classify", *argv], input=text,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=60)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def write(name, text):
    path = os.path.join(TMP, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def answers(text, *argv):
    return [json.loads(x) for x in run(text, *argv)[1].splitlines()]


shipped = ["--bare", "--rules", RULES]
a = answers(b"550-5.1.1 No such\r\n550 5.1.1 user here\r\n"
            b"421\t4.7.0\ttoo many connections\tany\tconnect\n", *shipped)
ok([x["category"] for x in a] == ["InvalidRecipient", "TransientFailure"],
   "whole replies and fields", a)
ok(all(list(x) == KEYS for x in a), "the keys, in order", a)
ok((a[1]["kind"], a[1]["scope"], a[1]["hard"]) == ("throttle", "path", False),
   "kind, scope and hard", a[1])
path, line = a[0]["rule"].rsplit(":", 1)
with open(RULES) as f:
    ok(path == RULES and f.read().split("\n")[int(line) - 1][:2] == "- ",
       "the rule is named by file and line", a[0])

mine = write("mine.yml", "rules:\n- {text: no such user, "
             "category: Uncategorized, kind: other, hard: false}\n")
a = answers(b"550 No such user\n550 Mailbox full\n", "--rules", mine)
ok(a[0]["rule"] == mine + ":2" and not a[0]["hard"] and
   a[1]["category"] == "QuotaIssues",
   "rules of one's own stand before the shipped ones", a)
conf = write("mtad.yml", "bounce_rules: " + mine + "\n")
b = answers(b"550 No such user\n550 Mailbox full\n", "-c", conf)
ok(a == b, "and so do those of the configuration", b)
ok(answers(b"550 x\n", "--bare")[0]["rule"] is None, "no rule at all")

bad = write("bad.yml", "rules:\n- {text: '(', category: X, kind: other}\n")
status, out, err = run(b"550 x\n", "--rules", bad)
ok(status == 1 and out == "" and err.count("\n") == 2 and
   all(x.startswith(bad + ":2:") for x in err.splitlines()),
   "every mistake of the rules is told with its place", err)
conf = write("bad.conf.yml", "bounce_rules: " + bad + "\n")
r = subprocess.run([MTAD, "check", "-c", conf], stderr=subprocess.PIPE)
ok(r.returncode == 1 and r.stderr.count(b"bad.yml:2:") == 2,
   "mtad check looks into the rules", r.stderr)
ok(run(b"", "--rules", TMP + "/none")[0] == 1, "no such file: exit 1")
ok(run(b"", "--nonsense")[0] == 2 and run(b"", "word")[0] == 2,
   "wrong usage: exit 2")

rng = random.Random(1)
junk = b"".join(bytes(rng.choice(b"\x00\t\r\n -.#5012\xc3\xa9\xffaz")
                      for _ in range(rng.randrange(200))) + b"\n"
                for _ in range(3000)) + b"5" * 3000000 + b"\n550-x"
status, out, err = run(junk, *shipped)
ok(status == 0 and err == "" and all(list(json.loads(x)) == KEYS
                                     for x in out.splitlines()),
   "rubbish is answered", err)
a = answers(b"\x00" * 5000 + b"\n\t\t\n\n999 zzz\n\xff\xfe\n", *shipped)
ok([x["category"] for x in a] == ["Uncategorized"] * 5,
   "and what says nothing has no category", a)
lines = b"".join(b"\t\t%d\n" % i for i in range(5000))
ok(run(lines, *shipped)[1].count("\n") == 5000, "a line, an answer")

# It answers a line before it has seen the next.
p = subprocess.Popen([MTAD, "classify", *shipped], stdin=subprocess.PIPE,
                     stdout=subprocess.PIPE)
p.stdin.write(b"550 5.1.1 No such user\n")
p.stdin.flush()
ok(b"InvalidRecipient" in p.stdout.readline(), "an answer at once")
p.stdin.close()
ok(p.wait(timeout=60) == 0, "the end of input: exit 0")

# Words: the program and its teacher cut texts alike and add alike.
bounces = os.path.join(TOP, "tests", "unit", "bounces")
words = os.path.join(TOP, "share", "rules", "words.yml")
with open(os.path.join(bounces, "open.tsv"), "rb") as f:
    replies = b"".join(b"\t".join(x.split(b"\t")[:3]) + b"\n"
                       for x in f.read().splitlines()[1:])
r = subprocess.run([sys.executable, os.path.join(bounces, "words.py"),
                    "--score"], stdout=subprocess.PIPE, timeout=60)
a = answers(replies, "--bare", "--rules", words)
ok(r.stdout.decode().splitlines() ==
   ["%s %s" % (x["category"], x["kind"]) for x in a] and
   all(x["rule"].startswith(words + ":") for x in a),
   "words say what their teacher says")
guess = b"550 zapped by filters of the blacklister\n"
a = answers(guess, *shipped) + \
    answers(guess, *shipped[:1], "--rules",
            write("none.yml", "words: none\n"), *shipped[1:])
ok(a[0]["rule"].startswith(words) and a[1]["rule"].startswith(RULES),
   "words stand beside the rules that name them, and can be turned off", a)
away = write("away.yml", "words: away/words.yml\n")
status, out, err = run(b"550 x\n", "--rules", away)
ok(status == 1 and "%s/away/words.yml" % TMP in err,
   "words that are not there are told", err)

# However a reply is written, it means the same.
def told(shape):
    return [(x["category"], x["kind"], x["hard"]) for x in
            answers(b"".join(shape(r) for r in replies), *shipped)]


def in_two(r):
    code, enhanced, text = r
    at = text.index(b" ")
    code += b"-%s " % enhanced if enhanced else b"-"
    return code + text[:at] + b"\r\n" + code.replace(b"-", b" ", 1) + \
        text[at:].strip() + b"\r\n"


replies = []
for name in "open.tsv", "known.tsv":
    with open(os.path.join(bounces, name), "rb") as f:
        replies += [x.split(b"\t")[:3] for x in f.read().splitlines()[1:]]
replies = [r for r in replies if r[2].isascii() and b" " in r[2]]
plain = told(lambda r: b"\t".join(r) + b"\n")
ok(len(plain) == len(replies) > 1500, "all are answered", len(plain))
ok(plain == told(lambda r: b"\t".join(r[:2] + [r[2].upper()]) + b"\n"),
   "upper case says the same")
ok(plain == told(lambda r: b" ".join(filter(None, r)) + b"\r\n"),
   "so does a whole reply")
ok(plain == told(in_two), "and one in two lines")

split = os.path.join(TOP, "tests", "unit", "bounces", "split.py")
ok(subprocess.run([sys.executable, split, "--check"]).returncode == 0,
   "each reply is in the half that its hash says")
print("1..%d" % len(done))
