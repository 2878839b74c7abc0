"""An Exim of the test's own on loopback. Debian's package, unpacked and not
installed, for Debian allows one mail server on a machine (deps.sh). Needs
root."""

import os
import pwd
import shutil
import subprocess

EXIM = "/usr/local/lib/mtad-peers/usr/sbin/exim4"
CONF = """exim_path = {exim}
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path = {dir}/pid
primary_hostname = exim.example
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
host_lookup =
rfc1413_query_timeout = 0s
deliver_drop_privilege = true
keep_environment =
add_environment =
accept_8bitmime = true
smtputf8_advertise_hosts = *
smtp_accept_max = 0
smtp_accept_queue_per_connection = 0
message_size_limit = 50M
log_selector = +received_recipients +received_sender
acl_smtp_rcpt = all
acl_smtp_data = all
{main}
begin acl
all:
  accept
begin routers
{routers}
begin transports
{transports}
begin retry
* * F,1h,1s
"""


def is_there():
    try:
        pwd.getpwnam("Debian-exim")
    except KeyError:
        return False
    return os.geteuid() == 0 and os.path.exists(EXIM)


class Exim:
    """Made, not yet started."""

    def __init__(self, home, port, routers, transports="", main=""):
        self.dir, self.port, self.p = home, port, None
        os.makedirs(home)
        os.chmod(home, 0o755)
        for sub in ("spool", "log"):
            os.mkdir(os.path.join(home, sub))
            shutil.chown(os.path.join(home, sub), "Debian-exim", "Debian-exim")
        self.conf = os.path.join(home, "exim.conf")
        with open(self.conf, "w") as f:
            f.write(CONF.format(exim=EXIM, dir=home, port=port, main=main,
                                routers=routers, transports=transports))

    def start(self):
        # In the foreground; queue runs start what could not go at once.
        self.p = subprocess.Popen([EXIM, "-C", self.conf, "-bdf", "-q5s"],
                                  stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL)

    def submit(self, *args, text=b""):
        """Mail from a local program, for Exim to send."""
        return subprocess.run([EXIM, "-C", self.conf, *args], input=text,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)

    def stop(self):
        if self.p:
            self.p.terminate()
            self.p.wait()

    def said(self):
        try:
            with open(os.path.join(self.dir, "log/mainlog"),
                      errors="replace") as f:
                return f.read()
        except OSError:
            return ""
