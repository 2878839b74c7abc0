#!/usr/bin/env python3
"""Mail of programs on this host: real ones call sendmail, the daemon is there or
not, is killed in the midst, and finds in its directory what is no message."""
# parallel: measures no time
# timeout: 60 120
# takes: 7

import email
import os
import pwd
import shutil
import signal
import smtplib
import socket
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["TOP"], "tests", "lib"))
from mtalib import (LONG, Mtad, Sink, Tap, free_port, path, smart, wait_for,
                    write_config)

tap = Tap()
MTAD = os.path.join(os.environ["BUILD"], "mtad")
# Others must get there, whatever the way to TMP allows.
home = tempfile.mkdtemp(prefix="mtad-sendmail.")
os.chmod(home, 0o755)
DROP = os.path.join(home, "drop")
SENDMAIL = os.path.join(home, "sendmail")
shutil.copy(MTAD, os.path.join(home, "mtad"))
os.symlink("mtad", SENDMAIL)
ENV = dict(os.environ, MTAD_DROP=DROP, PATH=home + ":" + os.environ["PATH"],
           HOME=home, LC_ALL="C.UTF-8")
DOWN = 50 if LONG else 8
# Who is not root has nobody else to be.
NOBODY = 65534 if os.geteuid() == 0 else os.getuid()


def call(*args, text="Subject: x\n\nx\n", user=None, env=ENV):
    """sendmail: (exit status, what it said)."""
    if os.geteuid():
        user = None
    p = subprocess.run([SENDMAIL, *args], env=env, user=user, group=user,
                       extra_groups=[] if user else None, cwd="/",
                       input=text if isinstance(text, bytes) else
                       text.encode(), capture_output=True, timeout=20)
    return p.returncode, p.stderr.decode()


def files():
    return sorted(x for x in os.listdir(DROP) if x not in ("bad", "about",
                                                     "tmp-about"))


def bad():
    return sorted(os.listdir(os.path.join(DROP, "bad")))


def one(rcpt):
    """The one message to a recipient, parsed."""
    wait_for(lambda: sink.to(rcpt))
    got = sink.to(rcpt)
    if not tap.same(len(got), 1, "one message to " + rcpt):
        return None, email.message_from_string("")
    return got[0], email.message_from_bytes(got[0].data)


# ---- real programs ---------------------------------------------------------------

def by_mail():
    with open(os.path.join(home, "mailrc"), "w") as f:
        f.write("set sendmail=%s\n" % SENDMAIL)
    r = subprocess.run(["bsd-mailx", "-s", "From mail(1)", "-r",
                        "writer@here.example", "-c", "copy@to.example",
                        "mailx@to.example"], input="Hello\n.\nbehind\n",
                       text=True, env=dict(ENV, MAILRC=home + "/mailrc"))
    tap.same(r.returncode, 0, "mail(1): exit")
    raw, m = one("mailx@to.example")
    tap.same((m["Subject"], raw.sender), ("From mail(1)",
                                          "writer@here.example"), "mail(1)")
    one("copy@to.example")


def by_git():
    repo = os.path.join(home, "repo")
    git = ["git", "-C", repo, "-c", "user.name=A U Thor", "-c",
           "user.email=author@here.example"]
    quiet = {"check": True, "env": ENV, "stdout": subprocess.DEVNULL,
             "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    subprocess.run(["git", "init", "-q", repo], **quiet)
    with open(repo + "/file", "w") as f:
        f.write("a line\n.\n.. another\n")
    subprocess.run([*git, "add", "file"], **quiet)
    subprocess.run([*git, "commit", "-q", "-m", "First: a dot"], **quiet)
    subprocess.run([*git, "send-email", "--quiet", "--confirm=never",
                    "--sendmail-cmd=" + SENDMAIL, "--suppress-cc=all",
                    "--envelope-sender=auto",
                    "--to=git@to.example", "-1"], **quiet)
    raw, m = one("git@to.example")
    tap.ok(m["Subject"] == "[PATCH] First: a dot" and
           b"\r\n+.\r\n+.. another\r\n" in raw.data and
           raw.sender == "author@here.example", "git send-email", m)


def by_php():
    code = ('exit(mail("php@to.example", "From PHP", "line\\n.\\nend\\n", '
            '["From" => "Site <www@here.example>", "X-Php" => "1"], '
            '"-fbounce@here.example") ? 0 : 1);')
    r = subprocess.run(["php", "-n", "-d", "sendmail_path=" + SENDMAIL +
                        " -t -i", "-r", code], env=ENV)
    tap.same(r.returncode, 0, "PHP's mail(): exit")
    raw, m = one("php@to.example")
    tap.ok(raw.sender == "bounce@here.example" and m["X-Php"] == "1" and
           b"\r\n\r\nline\r\n.\r\nend\r\n" in raw.data, "PHP's mail()",
           raw.data)


def by_cron():
    """As Debian's cron calls it, with the header that it writes."""
    code, said = call(
        "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root", text=(
            "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@h> job\n"
            "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n"
            "Content-Transfer-Encoding: 8bit\nX-Cron-Env: <SHELL=/bin/sh>\n\n"
            "gr\u00fc\u00dfe\n"), user=NOBODY)
    tap.same((code, said), (0, ""), "cron: exit")
    raw, m = one("ops@mta1.example")
    tap.ok(raw.sender == pwd.getpwuid(NOBODY).pw_name + "@mta1.example" and m["Date"] and
           "gr\u00fc\u00dfe".encode() in raw.data, "cron: root's mail goes to "
           "postmaster", raw.data)
    tap.ok("by uid %d)" % NOBODY in m["Received"], "the trace field says who",
           m["Received"])


def by_python():
    text = ("From daemon Sat Nov 28 11:00:00 2026\n"
            "To: Py <py@to.example>, \"A, B\" <ab@to.example>\n"
            "Cc: team: cc1@to.example, (c) cc2@to.example;\n"
            "Bcc: secret@to.example\nSubject: lines\n\nhello\nlast")
    code, said = call("-t", "-F", "A \"B\" C", "-f", "<py@here.example>",
                      "arg@to.example", text=text)
    tap.same((code, said), (0, ""), "python: exit")
    for who in ("py", "ab", "cc1", "cc2", "secret", "arg"):
        raw, m = one(who + "@to.example")
    tap.ok(m["Bcc"] is None and m["Date"] and m["Message-ID"] and
           m["From"] == '"A \\"B\\" C" <py@here.example>' and
           raw.data.endswith(b"\r\n\r\nhello\r\nlast\r\n") and
           raw.data.count(b"From daemon") == 0, "-t: what is added and hidden",
           raw.data)
    call("-t", text="To: a@to.example\nBcc: b@to.example\nResent-To: "
         "resent@to.example\nResent-Bcc: rb@to.example\nFrom: x@y.example\n"
         "Message-ID: <kept@id>\nDate: Fri, 27 Nov 2026 00:00:00 +0000\n\nx\n")
    one("rb@to.example")
    raw, m = one("resent@to.example")
    tap.ok(m["Message-ID"] == "<kept@id>" and m["Date"].startswith("Fri, 27")
           and not m["Resent-Bcc"] and not m["Bcc"] and
           not sink.to("a@to.example"), "Resent- counts alone", raw.data)
    call("-f", "", "null@to.example")
    tap.same(one("null@to.example")[0].sender, "", "-f '': the null sender")
    call("b@to.example", text=b"")
    call("nothing@to.example", text="no header at all\n\nx\n")
    raw, m = one("nothing@to.example")
    tap.ok(m["From"] and m.get_payload().startswith("no header at all"),
           "a message without a header gets one", raw.data)


def by_smtp():
    a, b = socket.socketpair()
    p = subprocess.Popen([SENDMAIL, "-bs"], env=ENV, stdin=b, stdout=b)
    b.close()
    c = smtplib.SMTP()
    c.sock, c.file = a, a.makefile("rb")
    tap.same(c.getreply()[0], 220, "-bs: greets")
    c.ehlo("client.example")
    c.sendmail("smtp@here.example", ["bs@to.example"],
               "From: x@y.example\nSubject: bs\n\n.dot\n")
    c.mail("smtp@here.example")
    tap.same(c.rcpt("no address")[0] // 100, 5, "-bs: no address")
    c.quit()
    tap.same(p.wait(10), 0, "-bs: exit")
    tap.ok(one("bs@to.example")[0].data.endswith(b"\r\n\r\n.dot\r\n"), "-bs")


# ---- what goes wrong --------------------------------------------------------------

def statuses():
    for want, args, text in (
            (64, [], "x"), (64, ["-Z"], "x"), (64, ["-N", "maybe", "a@b"], "x"),
            (64, ["-N", "never,delay", "a@b"], "x"), (64, ["-bz"], "x"),
            (64, ["-R", "some", "a@b"], "x"), (64, ["-f"], "x"),
            (65, ["-t"], "Subject: x\n\nx\n"), (65, ["-t"], "To: a b c\n\n"),
            (65, ["-t"], "To: <a@b\n\n"), (65, ["a@b.example"], "x\0y"),
            (65, ["-f", "a b", "a@b.example"], "x"),
            (65, ["-t"], "X: %s\n" % ("y" * 300000)),
            (67, ["a b"], "x"), (67, ["<>"], "x"), (69, ["-bp"], ""),
            (0, ["-q"], ""), (0, ["-bi"], ""), (0, ["-q15m"], "")):
        code, said = call(*args, text=text)
        tap.ok(code == want and bool(said) == (want != 0) and
               said.count("\n") == (want != 0), "exit %d: %s" % (want, args),
               (code, said))
    code, said = call("a@b.example",
                      env=dict(ENV, MTAD_DROP=home + "/nowhere"))
    tap.ok(code == 78 and "nowhere" in said, "no directory", said)
    tap.same([x for x in files() if x.startswith("tmp-")], [],
             "a message that is refused leaves nothing")


def while_down():
    sizes = os.path.join(home, "big")
    for i in range(DOWN):
        code, said = call("down%d@to.example" % i, user=NOBODY)
        tap.same((code, said), (0, ""), "down: %d" % i)
    with open(sizes, "w") as f:
        f.write("Subject: big\n\n" + ("x" * 70 + "\n") * 50000)
    with open(sizes) as f:
        tap.same(subprocess.run([SENDMAIL, "-i", "big@to.example"], stdin=f,
                                env=ENV).returncode, 0, "down: a large one")
    st = os.lstat(os.path.join(DROP, files()[0]))
    tap.same((stat.S_IMODE(st.st_mode), st.st_gid,
              stat.S_IMODE(os.stat(DROP).st_mode)),
             (0o640, os.stat(DROP).st_gid, 0o3773),
             "files are for the directory's group")


def no_room():
    """A daemon that has no room leaves what is there."""
    call(*["room%d@to.example" % i for i in range(101)])
    full = Mtad(write_config("full", route=smart(sink), sendmail={
        "drop": DROP}, queue_recipients_max=100)).start()
    before = files()
    wait_for(lambda: "put off" in full.said())
    tap.ok("Queue is full" in full.said(), "no room: said", full.said())
    tap.same((full.stop(), files(), len(before)), (0, before, 1),
             "no room: it stays")


def as_users():
    """A daemon that is not root, and users who mean no good."""
    if os.geteuid():
        print("# not root: no other users")
        return
    place = os.path.join(home, "u")
    os.mkdir(place)
    drop = os.path.join(place, "drop")
    pit = os.path.join(place, "pit")
    os.mkdir(pit)
    os.chmod(pit, 0o777)
    d = Mtad(write_config(
        "user", route=smart(sink), user="nobody", spool=place + "/spool",
        log=place + "/log", control=pit + "/sock", source={"a": {}},
        sendmail={"drop": drop, "group": "games"}))
    env = dict(ENV, MTAD_DROP=drop)
    d.start()
    tap.ok(wait_for(lambda: "not in the group" in d.said()),
           "the user is not in the group: said")
    call("later@to.example", user=2, env=env)
    wait_for(lambda: "put off" in d.said())
    tap.same(d.stop(), 0, "stops")
    tap.same(len([x for x in os.listdir(drop) if x.startswith("new-")]), 1,
             "what cannot be read for that stays")
    os.chown(drop, -1, pwd.getpwuid(NOBODY).pw_gid)
    for x in os.listdir(drop):
        os.chown(os.path.join(drop, x), -1, pwd.getpwuid(NOBODY).pw_gid)
    script = ("cd %s; mkdir -p new-dir/full; touch new-shut; chmod 600 "
              "new-shut; mkfifo new-fifo; ln -s /etc/shadow new-link; "
              "rm -f about; ls . ; echo x > bad/x; rm new-0*" % drop)
    p = subprocess.run(["/bin/sh", "-c", script], user=2, group=2,
                       extra_groups=[], capture_output=True, text=True)
    tap.same((p.stdout, p.stderr.count("denied") +
              p.stderr.count("not permitted")), ("", 3),
             "users cannot list, nor touch what is not theirs")
    conf = d.conf["file"]
    with open(conf) as f:
        text = f.read()
    with open(conf, "w") as f:
        f.write(text.replace('"games"', '"nogroup"'))
    d.start()
    call("mine@to.example", user=2, env=env)
    one("later@to.example")
    raw, m = one("mine@to.example")
    tap.ok("by uid 2)" in m["Received"], "the user's message")
    wait_for(lambda: len(os.listdir(drop + "/bad")) >= 3)
    tap.same(len(os.listdir(drop + "/bad")), 3,
             "what is no message is set aside")
    wait_for(lambda: "in its place" in d.said())
    tap.same(sorted(os.listdir(drop)), ["about", "bad", "new-dir"],
             "a directory that is full is left, and holds nobody up")
    tap.same(d.stop(), 0, "stops")


def killed_writer():
    """What is being written when its program is killed is no message."""
    p = subprocess.Popen([SENDMAIL, "-i", "killed@to.example"], env=ENV,
                         stdin=subprocess.PIPE)
    p.stdin.write(b"Subject: x\n\n" + b"x\n" * 400000)
    p.stdin.flush()
    wait_for(lambda: [x for x in files() if x.startswith("tmp-")])
    p.kill()
    p.wait()
    left = [x for x in files() if x.startswith("tmp-")]
    tap.same(len(left), 1, "a killed sendmail leaves its file")
    os.utime(os.path.join(DROP, left[0]), (1, 1))


def hostile():
    """Each is set aside, and none holds the others up."""
    def put(name, data, mode=0o640):
        with open(os.path.join(DROP, name), "wb") as f:
            f.write(data)
        os.chmod(os.path.join(DROP, name), mode)

    call("good@to.example")
    good = [x for x in files() if x.startswith("new-")][-1]
    with open(os.path.join(DROP, good), "rb") as f:
        whole = f.read()
    put("new-torn", whole[:-5])
    put("new-head", whole[:20])
    put("new-longer", whole + b"x")
    put("new-empty", b"")
    put("new-rubbish", os.urandom(5000))
    put("new-version", whole.replace(b"MTADROP\1", b"MTADROP\2"))
    put("new-bit", whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
    put("hello", whole)
    put("new-\n\x1b[31m", b"x")
    os.symlink("/etc/passwd", os.path.join(DROP, "new-link"))
    os.symlink("/etc", os.path.join(DROP, "tmp-link"))
    os.mkfifo(os.path.join(DROP, "new-fifo"))
    os.mkdir(os.path.join(DROP, "new-dir"))
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(os.path.join(DROP, "new-sock"))
    put("other", whole)
    os.rename(os.path.join(DROP, "other"), home + "/other")
    os.link(home + "/other", os.path.join(DROP, "new-hard"))
    with open(os.path.join(DROP, "new-huge"), "wb") as f:
        f.truncate(1 << 40)
    return 16


def after_start(nbad):
    for i in range(DOWN):
        one("down%d@to.example" % i)
    one("room100@to.example")
    raw, _ = one("big@to.example")
    tap.same(len(raw.data.split(b"\r\n\r\n", 1)[1]), 50000 * 72,
             "the large one is whole")
    wait_for(lambda: len(bad()) >= nbad)
    tap.same(len(bad()), nbad, "what is no message is set aside")
    wait_for(lambda: not files())
    tap.same(files(), [], "nothing else is left")
    one("good@to.example")
    said = daemon.said()
    tap.ok("a symbolic link" in said and "too big" in said and
           "another name" in said and "\x1b" not in said,
           "the log says why", said)
    code, text = daemon.verb("status")
    tap.same(code, 0, "the daemon is well")


def refused():
    """A message that will never be taken goes back to its sender."""
    code, _ = call("-f", "root", "-N", "failure", "x@[1.2.3]",
                   text="Subject: lost\n\nx\n")
    tap.same(code, 67, "an address that is none is seen at once")
    before = len(sink.to("ops@mta1.example"))
    call("-f", "root", "looper@to.example",
         text="Received: x\n" * 150 + "Subject: lost\n\nx\n")
    wait_for(lambda: len(sink.to("ops@mta1.example")) > before)
    got = sink.to("ops@mta1.example")[-1]
    tap.ok(got.sender == "" and b"Too many hops" in got.data and
           b"looper@to.example" in got.data and b"Subject: lost" in got.data,
           "refused: its sender has a notice", got.data)
    n = len(bad())
    call("-f", "<>", "looper@to.example",
         text="Received: x\n" * 150 + "Subject: lost\n\nx\n")
    wait_for(lambda: len(bad()) > n)
    tap.same((len(bad()), files()), (n + 1, []),
             "refused, and there is nobody to tell: set aside")


def killed_daemon():
    """Messages come in all the time, the daemon is killed: none is lost."""
    total = 400 if LONG else 40
    p = subprocess.Popen(
        ["/bin/sh", "-c", "for i in $(seq %d); do printf 'Subject: k\\n\\nx\\n'"
         " | %s -i k$i@to.example || echo $i; done" % (total, SENDMAIL)],
        env=ENV, stdout=subprocess.PIPE, text=True)
    for part in (1, 2):
        wait_for(lambda: sum(bool(sink.to("k%d@to.example" % i))
                             for i in range(total)) > part * total // 4, 30)
        daemon.kill9()
        daemon.start()
    tap.same(p.communicate(timeout=60)[0], "", "killed: each is left")

    def missing():
        return [i for i in range(1, total + 1)
                if not sink.to("k%d@to.example" % i)]
    wait_for(lambda: not missing(), 30)
    tap.same(missing(), [], "killed: none is lost")
    wait_for(lambda: not files())
    ids = {}
    for e in daemon.events("Reception"):
        if e["recipient"].startswith("k"):
            ids.setdefault(e["recipient"], set()).add(e["id"])
    tap.same([r for r, v in ids.items() if len(v) > 1], [],
             "killed: none is taken twice")
    tap.same(files(), [], "killed: nothing is left")


try:
    sink = Sink()
    conf = write_config(route=smart(sink), sendmail={"drop": DROP})
    daemon = Mtad(conf).start()
    by_mail()
    by_git()
    by_php()
    by_cron()
    by_python()
    by_smtp()
    statuses()
    refused()
    tap.same(daemon.stop(), 0, "stops")
    n = len(bad())
    no_room()
    while_down()
    killed_writer()
    n += hostile()
    daemon.start()
    after_start(n)
    killed_daemon()
    daemon.kill9()
    as_users()
finally:
    shutil.rmtree(home)
tap.done()
