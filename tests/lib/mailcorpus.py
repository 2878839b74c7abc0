"""Messages of every shape that is met, and of some that hardly are: made from a
seed, so that a number names the same message each time. Lines end in CRLF, but
perhaps the last; no bare CR or LF, which a door refuses."""

import base64
import quopri
import random

WORDS = ("Grüße order invoice Ünïcode 你好 weekly news, \"quoted\" (comment) "
         "price=10 50% off; a:b <b> tab\tinside").split(" ")
OBSOLETE = .1    # of messages: blanks before the colon
BLANK_TAILS = ("", "\r\n", "\r\n\r\n", "\r\n \t\r\n\r\n", " \r\n",
               "\t\t\r\n\r\n\r\n")


def words(r, n, latin=False):
    text = " ".join(r.choice(WORDS) for _ in range(n))
    if latin:
        return text.encode("latin-1", "replace")
    return text.encode()


def fold(r, value):
    """Some blanks become folds of several kinds."""
    out = []
    for part in value.split(b" "):
        out.append(part)
        out.append(r.choice((b" ", b" ", b"  ", b"\r\n ", b"\r\n\t",
                             b" \r\n  \t", b"\t")))
    return b"".join(out[:-1])


def field(r, name, value):
    name = r.choice((name, name, name.lower(), name.upper()))
    return name + r.choice((b": ", b":", b":  ", b":\t", b":\r\n ")) + \
        value + r.choice((b"", b"", b" ", b"\t ")) + b"\r\n"


def line(r):
    kind = r.randrange(12)
    if kind == 0:
        return b""
    if kind == 1:
        return b"." * r.randrange(1, 4)
    if kind == 2:
        return b"." + words(r, 3)
    if kind == 3:
        return b" " * r.randrange(1, 5) + words(r, 2)
    if kind == 4:
        return words(r, 3) + r.choice((b" ", b"\t", b" \t  "))
    if kind == 5:
        return r.choice((b" ", b"\t", b" \t "))
    if kind == 6:
        return words(r, 2) + b"\t \t" + words(r, 1)
    if kind == 7:
        return words(r, r.choice((40, 200)))       # up to some KB
    if kind == 8:
        return bytes(r.randrange(0x80, 0x100) for _ in range(r.randrange(60)))
    if kind == 9:
        return b"From " + words(r, 1)
    return words(r, r.randrange(1, 12))


def text(r):
    body = b"\r\n".join(line(r) for _ in range(r.randrange(1, 30)))
    return body + r.choice(BLANK_TAILS).encode()


def part(r, depth):
    """(fields, body) of a MIME entity."""
    kind = r.randrange(7 if depth < 3 else 4)
    if kind == 0:
        return b"Content-Type: text/plain; charset=utf-8\r\n" \
            b"Content-Transfer-Encoding: 8bit\r\n", text(r)
    if kind == 1:
        data = quopri.encodestring(text(r).replace(b"\r\n", b"\n"))
        return b"Content-Type: text/html\r\n" \
            b"Content-Transfer-Encoding: quoted-printable\r\n", \
            data.replace(b"\n", b"\r\n")
    if kind == 2:
        data = base64.encodebytes(r.randbytes(r.randrange(3000)))
        return b"Content-Type: application/octet-stream\r\n" \
            b"Content-Transfer-Encoding: base64\r\n" \
            b"Content-Disposition: attachment;\r\n\tfilename=\"x y.bin\"\r\n", \
            data.replace(b"\n", b"\r\n")
    if kind == 3:
        fields, body = message(r, depth + 1)
        return b"Content-Type: message/rfc822\r\n", fields + b"\r\n" + body
    mark = b"=_%x" % r.getrandbits(40)
    body = r.choice((b"", b"preamble\r\n"))
    for _ in range(r.randrange(1, 4)):
        fields, inner = part(r, depth + 1)
        body += b"--" + mark + b"\r\n" + fields + b"\r\n" + inner + b"\r\n"
    body += b"--" + mark + b"--" + r.choice((b"\r\n", b"", b"\r\nepilogue\r\n"))
    kinds = (b"mixed", b"alternative", b"related", b"report", b"signed")
    return b"Content-Type: multipart/" + r.choice(kinds) + b";\r\n boundary=\"" \
        + mark + b"\"\r\n", body


def message(r, depth=0, author=b"sender@signed.example"):
    """(fields, body), the blank line between them left out."""
    name = words(r, 2).replace(b"\"", b"").replace(b"\t", b" ")
    from_field = r.choice((
        author, b"<" + author + b">", b"\"" + name + b"\" <" + author + b">",
        b"=?utf-8?B?R3LDvMOfZQ==?= <" + author + b">",
        author + b" (" + name.replace(b"(", b"").replace(b")", b"") + b")"))
    v = [field(r, b"From", fold(r, from_field)),
         field(r, b"Subject", fold(r, words(r, r.randrange(0, 25)))),
         field(r, b"To", fold(r, b"a@to.example, \"B, C\" <b@to.example>")),
         field(r, b"Date", b"Tue, 24 Nov 2026 02:00:00 +0000"),
         field(r, b"Message-ID", b"<%x@signed.example>" % r.getrandbits(64))]
    if r.random() < .3:                            # more than one of a kind
        v.append(field(r, b"Subject", fold(r, words(r, 3))))
        v.append(field(r, b"To", b"other@to.example"))
        v.append(field(r, b"Comments", words(r, 3)))
        v.append(field(r, b"Comments", words(r, 4)))
    if r.random() < .3:
        v.append(field(r, b"References", fold(r, b" ".join(
            b"<%x@x.example>" % r.getrandbits(80) for _ in range(30)))))
    if r.random() < .3:
        v.append(field(r, b"List-Unsubscribe",
                       b"<https://x.example/u?id=%x>" % r.getrandbits(900)))
    if r.random() < .2:
        v.append(field(r, b"X-Empty", b""))
        v.append(field(r, b"Cc", b""))
    if r.random() < .3:
        v.append(field(r, b"X-Long", b"x" * r.randrange(900, 3000)))
    if r.random() < .3:
        v.append(field(r, b"Received", fold(
            r, b"from a by b with SMTP id 1; Tue, 24 Nov 2026 01:00:00 +0000")))
    kind = r.randrange(8)
    if kind == 0:
        body = r.choice((b"", b"\r\n", b"\r\n\r\n\r\n", b" \r\n\t\r\n", b"."))
    elif kind < 4:
        body = text(r)
    else:
        fields, body = part(r, depth)
        v.append(b"MIME-Version: 1.0\r\n" + fields)
    if depth == 0 and r.random() < .5:
        r.shuffle(v)
    if depth == 0 and r.random() < OBSOLETE:       # RFC 5322 4.5
        v = [x.replace(b":", b" \t:", 1) for x in v]
    return b"".join(v), body


def corpus(seed, n, author=b"sender@signed.example"):
    """n messages; every twentieth has a header alone."""
    for i in range(n):
        r = random.Random("%d/%d" % (seed, i))
        fields, body = message(r, 0, author)
        yield fields if i % 20 == 7 else fields + b"\r\n" + body
