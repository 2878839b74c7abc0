#!/usr/bin/python3
"""dkim_verify.py RECORDS FILE... - verifies each signature of each message by
Python's dkim (dkimpy). RECORDS is JSON, name to record. Prints a line for each
message: the file and for each signature "d/s/a=pass" or "=fail". It runs with
Debian's own Python, whose module it is."""

import json
import sys

import dkim


def main():
    with open(sys.argv[1]) as f:
        records = {k.encode(): v.encode() for k, v in json.load(f).items()}

    def txt(name, timeout=5):
        return records.get(name.rstrip(b"."))

    for path in sys.argv[2:]:
        with open(path, "rb") as f:
            message = f.read()
        said = []
        n = sum(1 for k, _ in dkim.rfc822_parse(message)[0]
                if k.lower() == b"dkim-signature")
        for i in range(n):
            d = dkim.DKIM(message)
            try:
                good = d.verify(i, dnsfunc=txt)
            except dkim.DKIMException as e:
                print(path, e, file=sys.stderr)
                good = False
            fields = dkim.util.parse_tag_value(
                [v for k, v in d.headers if k.lower() == b"dkim-signature"][i])
            said.append("%s/%s/%s=%s" % (
                fields[b"d"].decode(), fields[b"s"].decode(),
                fields[b"a"].decode(), "pass" if good else "fail"))
        print(path, *said)


main()
