#!/usr/bin/env python3
"""The JSON Schema that `mtad schema` prints is a schema of its draft, takes
the files that are shipped and refuses mistakes, as an editor would."""

import json
import os
import subprocess
import sys
import warnings

warnings.simplefilter("ignore")
try:
    import jsonschema
    import yaml
except ImportError:
    print("1..1\nok 1 - schema # SKIP no jsonschema or yaml for Python")
    sys.exit(0)

TOP = os.environ["TOP"]
MTAD = os.path.join(os.environ["BUILD"], "mtad")

# A file, and whether it is one.
FILES = [
    ("expire: 1h30m\nnode: 7\nipv6: off\n", True),
    ("source: { a: { address: 10.0.0.1 } }\npool: { p: { sources: a } }\n",
     True),
    ("dns: { servers: [127.0.0.1:5353], timeout: 3 }\n", True),
    ("limits: { default: { rate: 100/s, backoff_min: ~ } }\n", True),
    ("expire: soon\n", False),
    ("node: 70000\n", False),
    ("nodes: 7\n", False),
    ("bare_newlines: keep\n", False),
    ("listen: { in: { relay_from: 10.0.0.0/8 } }\n", False),
    ("client: { timeouts: { hello: 1s } }\n", False),
]


# Files of rules, by their kind.
R = "rules: [{ category: SpamBlock, kind: content, %s }]\n"
RULES = {
    "shaping": [
        ("provider: { p: { mx: p.example, rate: 10/s } }\n", True),
        ("provider: { p: { mx: [a.example, '*.b.example'], rollup: ~ } }\n",
         True),
        ("provider: { gmail: ~ }\ndefault: ~\n", True),
        ("site: { '*.x.example': { connections: 3 } }\n", True),
        ("source: { a: { backoff_min: 10m, backoff_max: ~ } }\n", True),
        ("domain: { x.example: { messages_per_connection: 5 } }\n", True),
        ("provider: { p: { mix: p.example } }\n", False),
        ("providers: {}\n", False),
        ("default: { rate: fast }\n", False),
        ("default: { connections: -1 }\n", False),
        ("default: 3\n", False),
        ("source: { 'a b': { connections: 1 } }\n", False),
    ],
    "bounces": [
        (R % "code: 550", True),
        (R % "code: [4xx, 55x, 500-559], hard: false", True),
        (R % "enhanced: [5.1.1, x.1.x, 5.7.500-699, none]", True),
        (R % "text: '\\bspam\\b', provider: ['*google*', 163]", True),
        (R % "stage: [connect, rcpt, eod], scope: source, points: 300", True),
        ("words: none\n", True),
        ("rules: []\nwords: { verdicts: [{ category: SpamBlock, "
         "kind: content, code: 5xx }], start: { SpamBlock: -3 }, "
         "points: { spam: { SpamBlock: 60, content: 4 } } }\n", True),
        (R % "code: 99", False),
        (R % "code: []", False),
        (R % "enhanced: 5.1", False),
        (R % "stage: lunch", False),
        (R % "scope: everybody", False),
        (R % "points: 10001", False),
        (R % "hard: maybe", False),
        (R % "colour: red", False),
        ("rules: [{ category: Spam, kind: content }]\n", False),
        ("rules: [{ category: SpamBlock }]\n", False),
        ("rules: { a: b }\n", False),
        ("rule: []\n", False),
        ("words: { verdicts: [] }\n", False),
        ("rules: []\nwords: { verdicts: [], points: { spam: { Spam: 60 } } }"
         "\n", False),
        ("rules: []\nwords: { verdicts: [], points: { spam: "
         "{ SpamBlock: 60000 } } }\n", False),
    ],
    "automation": [
        ("automation: { a: { category: SpamBlock, action: suspend } }\n", True),
        ("automation: { a: { kind: [throttle, policy], action: none, "
         "on: [source, provider], for: 1h, after: 3/h } }\n", True),
        ("automation: { a: { category: SpamBlocks, action: suspend } }\n",
         False),
        ("automation: { a: { kind: odd, action: suspend } }\n", False),
        ("automation: { a: { action: explode } }\n", False),
        ("automation: { a: { kind: policy } }\n", False),
    ],
    "warmup": [
        ("warmup: { w: { days: [50, 100], hour: 10%, engaged: prefer } }\n",
         True),
        ("warmup: { w: { first: 50, growth: 1.5, otherwise: back } }\n", True),
        ("warmup: { w: { days: many } }\n", False),
        ("warmup: { w: { engaged: always } }\n", False),
        ("warm: {}\n", False),
    ],
    "words": [("words: { verdicts: [], points: {} }\n", True),
              ("rules: []\n", False)],
}


def load(text):
    """As YAML 1.2 has it, where a key `on` is no truth."""
    def mend(v):
        if isinstance(v, dict):
            return {"on" if k is True else k: mend(x) for k, x in v.items()}
        return [mend(x) for x in v] if isinstance(v, list) else v
    return mend(yaml.safe_load(text))


def schema_of(*kind):
    text = subprocess.run([MTAD, "schema", *kind], check=True,
                          stdout=subprocess.PIPE).stdout
    return json.loads(text)


def checked(kind, file, where):
    """What `mtad check` says of a file of that kind: is it one? None: it takes
    no such file but the shipped one."""
    conf = {"source": {"a": {"address": "127.0.0.1"}}}
    if kind in ("automation", "warmup"):
        conf.update(load(file) if "warm:" not in file else
                    {"warm": {}})
    elif kind == "words":
        return None
    else:
        name = os.path.join(where, "rules.yml")
        with open(name, "w") as f:
            f.write(file)
        conf["shaping" if kind == "shaping" else "bounce_rules"] = name
    name = os.path.join(where, "conf.yml")
    with open(name, "w") as f:
        json.dump(conf, f)
    p = subprocess.run([MTAD, "check", "-c", name], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    return p.returncode == 0


def rules(tests, where):
    for kind, cases in RULES.items():
        schema = schema_of(kind)
        judge = jsonschema.Draft202012Validator(schema)
        tests.append(("the schema of " + kind,
                      lambda s=schema: jsonschema.Draft202012Validator.
                      check_schema(s) is None))
        with open(os.path.join(TOP, "share", "rules", kind + ".yml")) as f:
            tests.append((kind + ".yml", lambda j=judge, d=load(f):
                          j.is_valid(d)))
        for file, good in cases:
            name = "%s: %s: %s" % (kind, "taken" if good else "refused",
                                   file.strip().replace("\n", ", "))
            tests.append((name, lambda j=judge, f=file, good=good, k=kind:
                          j.is_valid(load(f)) == good and
                          checked(k, f, where) in (good, None)))


def main():
    schema = schema_of()
    tests = [("the schema", lambda: jsonschema.Draft202012Validator.
              check_schema(schema) is None)]
    judge = jsonschema.Draft202012Validator(schema)
    where = os.environ.get("TMP", "/tmp")
    rules(tests, where)
    for name in "mtad.yml", "demo.yml":
        with open(os.path.join(TOP, "share", "etc", name)) as f:
            tests.append((name, lambda d=yaml.safe_load(f):
                          judge.is_valid(d)))
    for file, good in FILES:
        name = "%s: %s" % ("taken" if good else "refused",
                           file.strip().replace("\n", ", "))
        tests.append((name, lambda d=yaml.safe_load(file), good=good:
                      judge.is_valid(d) == good))
    print("1..%d" % len(tests))
    for i, (name, holds) in enumerate(tests, 1):
        print("%sok %d - %s" % ("" if holds() else "not ", i, name))


main()
