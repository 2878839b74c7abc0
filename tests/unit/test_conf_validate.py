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


def main():
    text = subprocess.run([MTAD, "schema"], check=True,
                          stdout=subprocess.PIPE).stdout
    schema = json.loads(text)
    tests = [("the schema", lambda: jsonschema.Draft202012Validator.
              check_schema(schema) is None)]
    judge = jsonschema.Draft202012Validator(schema)
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
