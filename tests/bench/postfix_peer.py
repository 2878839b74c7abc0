"""A Postfix of the bench's own, as a pure durable relay on loopback: the peer
that mtad is measured beside. Needs Debian's postfix and root; started and
stopped here, everything below a directory of the caller's.
"""

import os
import re
import shutil
import subprocess

MASTER = "/usr/share/postfix/master.cf.dist"
# As many processes and as few limits as help it; its queue stays durable.
MAIN = """compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/log/maillog
maillog_file_prefixes = /
myhostname = peer.bench.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:{next_port}
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_tls_security_level =
smtp_tls_security_level =
default_process_limit = 200
max_use = 10000
in_flow_delay = 0
smtp_destination_concurrency_limit = 10
initial_destination_concurrency = 10
smtp_connection_cache_destinations = [127.0.0.1]:{next_port}
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
"""


def is_there():
    return os.geteuid() == 0 and os.path.exists(MASTER) and \
        shutil.which("postfix") is not None


class Postfix:
    def __init__(self, home, port, next_port):
        self.dir, self.etc = home, os.path.join(home, "etc")
        self.target = "127.0.0.1:%d" % port
        for sub in ("etc", "spool", "data", "log"):
            os.makedirs(os.path.join(home, sub))
        os.chmod(home, 0o755)
        shutil.chown(os.path.join(home, "data"), "postfix")
        with open(os.path.join(self.etc, "main.cf"), "w") as f:
            f.write(MAIN.format(dir=home, next_port=next_port))
        with open(MASTER) as f:
            lines = f.read().splitlines()
        with open(os.path.join(self.etc, "master.cf"), "w") as f:
            f.write("\n".join(self.service(x, port) for x in lines) + "\n")

    @staticmethod
    def service(line, port):
        """The listener on our port, and nothing in a chroot."""
        line = re.sub(r"^smtp(\s+inet)", r"127.0.0.1:%d\1" % port, line)
        m = re.match(r"^(\S+\s+\S+\s+\S+\s+\S+\s+)y(\s.*)$", line)
        return m.group(1) + "n" + m.group(2) if m else line

    def run(self, verb):
        return subprocess.run(
            ["postfix", "-c", self.etc, verb],
            env=dict(os.environ, MAIL_CONFIG=self.etc),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL).returncode == 0

    def start(self):
        return self.run("start")

    def stop(self):
        self.run("stop")
