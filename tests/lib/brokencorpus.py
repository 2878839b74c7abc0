"""Messages that are broken, each in a way of its own, made from a seed; and the
rule that tells which of them a door with our defaults takes. mailcorpus.py has
those that are merely odd."""

import random
import re

import mailcorpus

LINE_MAX = 65536
HOPS_MAX = 100
HEADER_MAX = 255 << 10           # and there is our own field
FIELD = re.compile(rb"[!-9;-~]+[ \t]*:|[ \t]")
BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
HEAD = b"From: <a@from.example>\r\nTo: <b@to.example>\r\nSubject: x\r\n"


def refusal(data, normalises=False):
    """Why the door refuses it, or None. All but the last line of a message
    ends in CRLF: the last gets one."""
    if b"\0" in data:
        return "NUL"
    if BARE.search(data) and not normalises:
        return "bare"
    # What would begin a line is one to a door that makes bare ends CRLF.
    ends = rb"\r\n|\r|\n" if normalises else rb"\r\n"
    if max(map(len, re.split(ends, data))) > LINE_MAX:
        return "line"
    lines = header(re.sub(ends, b"\r\n", data))
    if sum(len(x) + 2 for x in lines) > HEADER_MAX:
        return "header"
    hops = [x for x in lines if re.match(rb"(?i)received[ \t]*:", x)]
    return "hops" if len(hops) > HOPS_MAX else None


def header(data):
    """The lines of the header: up to one that is no field."""
    lines = data.split(b"\r\n")
    for i, x in enumerate(lines):
        if not FIELD.match(x):
            return lines[:i]
    return lines


def expected(data, normalises=False):
    """What arrives."""
    if normalises:
        data = re.sub(rb"\r\n|\r|\n", b"\r\n", data)
    return whole(data)


def whole(data):
    """Its last line ends, too."""
    return data if data.endswith(b"\r\n") or not data else data + b"\r\n"


# ---- ways to be broken: each is given a random source and makes a message ----

def some(r):
    fields, body = mailcorpus.message(r)
    return fields + b"\r\n" + body


def at_random(r, data, what):
    at = r.randrange(len(data) + 1)
    return data[:at] + what + data[at:]


def bare(r):
    data = some(r)
    for _ in range(r.randrange(1, 4)):
        data = at_random(r, data, r.choice((b"\n", b"\r", b"\n.\n", b"\r\r\n",
                                            b"\n\r", b"\r.\r", b"\n.\r\n")))
    return data


def lf_only(r):
    return some(r).replace(b"\r\n", b"\n")


def nul(r):
    return at_random(r, some(r), b"\0" * r.randrange(1, 5))


def long_line(r):
    n = r.choice((997, 998, 999, 1000, 2047, 2048, 4096, 16384, 65534, 65535,
                  65536, 65537, 70000, 200000))
    line = r.choice((b"x", b"\xff", b".", b" ", b"ab "))
    line = (line * n)[:n]
    if r.random() < .3:
        return b"X-Long: " + line[8:] + b"\r\n" + HEAD + b"\r\nx\r\n"
    return HEAD + b"\r\n" + line + r.choice((b"\r\n", b"\r\nx\r\n", b""))


def all_octets(r):
    return HEAD + b"\r\n" + bytes(
        c for c in (r.randrange(1, 256) for _ in range(r.randrange(4000)))
        if c not in (10, 13))


def dots(r):
    return HEAD + b"\r\n" + b"\r\n".join(
        b"." * r.randrange(5) + r.choice((b"", b" ", b"x", b"\t."))
        for _ in range(r.randrange(1, 200)))


def no_header(r):
    return r.choice((b"", b"\r\n", b"\r\n\r\n", b"no field here\r\n",
                     b"x" * 500, b" folded\r\n from nothing\r\n\r\nx\r\n",
                     b":\r\n\r\n", b"From sender Sat Nov 28 10:00:00 2026\r\n"
                     + HEAD, b"\r\n" + HEAD, b".\r\n", b"..", b"\xef\xbb\xbf"
                     + HEAD + b"\r\nx"))


def header_only(r):
    return HEAD + r.choice((b"", b"X-Cut: no end", b"X-Fold:\r\n \r\n \r\n",
                            b"no colon\r\n", b"bad name: x\r\n"))


def bad_fields(r):
    lines = [r.choice((b"no colon here", b": no name", b"Bad Name: x",
                       b"X\xc3\xbc: y", b"X-8bit: \xe4\xff", b" lone fold",
                       b"X-Ctl: \x01\x02\x7f", b"Subject:", b"subject : x",
                       b"Content-Type: multipart/mixed; boundary=\"",
                       b"Content-Type: text/plain; charset=\xff",
                       b"Message-ID: <<>>", b"Date: never", b"\t"))
             for _ in range(r.randrange(1, 12))]
    return b"\r\n".join(lines) + r.choice((b"\r\n\r\nx\r\n", b"\r\n", b""))


def huge_header(r):
    kind = r.randrange(4)
    if kind == 0:
        return b"X-Many: y\r\n" * r.randrange(1000, 6000) + HEAD + b"\r\nx\r\n"
    if kind == 1:
        return HEAD + b"References:" + b"\r\n <%040d@x.example>" % 7 * \
            r.choice((500, 1000, 4000, 5000)) + b"\r\n\r\nx\r\n"
    if kind == 2:
        return b"To: " + b", ".join(b"u%d@to.example" % i for i in range(
            r.randrange(100, 3000))) + b"\r\n\r\nx\r\n"
    return b"Received: from a by b\r\n" * r.choice((99, 100, 101, 500)) + \
        HEAD + b"\r\nx\r\n"


def many_parts(r):
    n = r.choice((10, 100, 1000, 5000))
    body = b"".join(b"--b\r\n\r\n%d\r\n" % i for i in range(n))
    return HEAD + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; " \
        b"boundary=b\r\n\r\n" + body + r.choice((b"--b--\r\n", b""))


def deep_parts(r):
    n = r.choice((5, 50, 300))
    return HEAD + b"MIME-Version: 1.0\r\n" + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (
            i, i) for i in range(n)) + b"\r\nx\r\n" + b"".join(
                b"--b%d--\r\n" % i for i in reversed(range(n)))


def bad_mime(r):
    data = some(r)
    for _ in range(r.randrange(1, 10)):
        at = r.randrange(len(data))
        data = data[:at] + data[at + r.randrange(40):]
    return data


def flipped(r):
    data = bytearray(some(r))
    for _ in range(r.randrange(1, 30)):
        data[r.randrange(len(data))] = r.randrange(256)
    return bytes(data)


def cut(r):
    data = some(r)
    return data[:r.randrange(len(data))]


def no_final_crlf(r):
    return some(r).rstrip(b"\r\n") or b"x"


KINDS = (bare, lf_only, nul, long_line, all_octets, dots, no_header,
         header_only, bad_fields, huge_header, many_parts, deep_parts,
         bad_mime, flipped, cut, no_final_crlf)


def corpus(seed, n):
    """(kind, message), n of them, each kind in turn."""
    for i in range(n):
        kind = KINDS[i % len(KINDS)]
        yield kind.__name__, kind(random.Random("%d/%d" % (seed, i)))
