"""A Postfix of the test's own on loopback: its configuration, queue and log
below a directory of the caller's, nothing of the system's. Needs Debian's
postfix and root."""

import os
import re
import shutil
import subprocess

MASTER = "/usr/share/postfix/master.cf.dist"
MAIN = {
    "compatibility_level": "3.6",
    "queue_directory": "{dir}/spool",
    "data_directory": "{dir}/data",
    "command_directory": "/usr/sbin",
    "daemon_directory": "/usr/lib/postfix/sbin",
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
    "maillog_file": "{dir}/log/maillog",
    "maillog_file_prefixes": "/",
    "mydestination": "",
    "local_recipient_maps": "",
    "alias_maps": "",
    "alias_database": "",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "mynetworks": "127.0.0.0/8",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "disable_dns_lookups": "yes",
    "smtpd_peername_lookup": "no",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_client_connection_rate_limit": "0",
}


def is_there():
    return os.geteuid() == 0 and os.path.exists(MASTER) and \
        shutil.which("postfix", path=os.environ["PATH"] + ":/usr/sbin") \
        is not None


class Postfix:
    """Made, not yet started. `main` adds to main.cf, "{dir}" in a value being
    this directory, `services` to master.cf."""

    def __init__(self, home, port, main, services=()):
        self.dir, self.etc = home, os.path.join(home, "etc")
        self.port = port
        self.target = "127.0.0.1:%d" % port
        for sub in ("etc", "spool", "data", "log"):
            os.makedirs(os.path.join(home, sub))
        os.chmod(home, 0o755)
        shutil.chown(os.path.join(home, "data"), "postfix")
        with open(os.path.join(self.etc, "main.cf"), "w") as f:
            for key, value in {**MAIN, **main}.items():
                f.write("%s = %s\n" % (key, str(value).replace(
                    "{dir}", home)))
        with open(MASTER) as f:
            lines = f.read().splitlines()
        with open(os.path.join(self.etc, "master.cf"), "w") as f:
            f.write("\n".join([*map(self.service, lines), *services]) + "\n")

    def service(self, line):
        """The listener on our port, and nothing in a chroot."""
        line = re.sub(r"^smtp(\s+inet)", r"127.0.0.1:%d\1" % self.port, line)
        m = re.match(r"^(\S+\s+\S+\s+\S+\s+\S+\s+)y(\s.*)$", line)
        return m.group(1) + "n" + m.group(2) if m else line

    def run(self, verb):
        env = dict(os.environ, MAIL_CONFIG=self.etc)
        env["PATH"] += ":/usr/sbin"
        return subprocess.run(
            ["postfix", "-c", self.etc, verb], env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL).returncode == 0

    def start(self):
        return self.run("start")

    def stop(self):
        self.run("stop")

    def said(self):
        """Its log."""
        try:
            with open(os.path.join(self.dir, "log/maillog"),
                      errors="replace") as f:
                return f.read()
        except OSError:
            return ""
