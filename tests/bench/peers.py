"""The peer: Postfix and Dovecot as an expert would set them up for speed without giving up durability.

Everything is private: configuration, queue, spool and sockets in one temporary folder, loopback ports of its own.
Nothing of the machine's own Postfix or Dovecot is read or changed. Needs root, as both programs do.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from tests.bench import procs
from tests.e2e.harness import free_port, wait_for

POSTFIX_SERVICES = "/usr/lib/postfix/sbin"

# No look-ups, no limits that hurt a load test, long-lived processes, no pauses. Every fsync as Postfix does it.
MAIN_CF = """compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = peer.bench.test
mydestination =
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = static:all
virtual_alias_maps =
virtual_transport = lmtp:unix:{dir}/run/lmtp
alias_maps =
alias_database =
local_recipient_maps =
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_tls_security_level = none
smtpd_error_sleep_time = 0
in_flow_delay = 0
default_process_limit = 300
max_use = 100000
max_idle = 600s
initial_destination_concurrency = 40
default_destination_concurrency_limit = 40
lmtp_destination_concurrency_limit = 40
lmtp_destination_concurrency_failed_cohort_limit = 0
lmtp_connection_cache_on_demand = yes
lmtp_connection_cache_destinations = unix:{dir}/run/lmtp
lmtp_connection_reuse_count_limit = 0
lmtp_connection_cache_time_limit = 60s
connection_cache_ttl_limit = 60s
maillog_file =
"""

MASTER_CF = """{address} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""

DOVECOT_CONF = """base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
default_client_limit = 12000
default_process_limit = 12000
default_vsz_limit = 2G
default_internal_user = dovecot
default_login_user = dovenull
first_valid_uid = 1
mail_location = mdbox:~/mdbox
mail_fsync = optimized
mailbox_list_index = yes
mdbox_rotate_size = 64M
mail_max_userip_connections = 12000
auth_cache_size = 10M
auth_cache_verify_password_with_worker = no
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={dir}/users/%u
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
  service_count = 0
  process_min_avail = 2
  process_limit = 2
}}
service imap {{
  service_count = 100000
  process_min_avail = 24
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
  service_count = 0
  process_min_avail = 40
  process_limit = 60
}}
"""


class PostfixDovecot:
    """Context manager; `smtp` and `imap` are ports on 127.0.0.1, any user of `domain` has the password "secret"."""

    name = "postfix+dovecot"
    domain = "bench.test"

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-peer-"))
        self.smtp, self.imap = free_port(), free_port()
        self.roots = []

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        self.dir.chmod(0o755)
        for name in ("etc", "queue", "data", "run", "state", "users"):
            (self.dir / name).mkdir()
        shutil.chown(self.dir / "data", "postfix")
        shutil.chown(self.dir / "users", "mail", "mail")
        etc = self.dir / "etc"
        (etc / "main.cf").write_text(MAIN_CF.format(dir=self.dir, domain=self.domain))
        (etc / "master.cf").write_text(MASTER_CF.format(address=f"127.0.0.1:{self.smtp}"))
        (etc / "dovecot.conf").write_text(DOVECOT_CONF.format(dir=self.dir, imap=self.imap))
        self._launch()

    def _launch(self):
        etc = self.dir / "etc"
        self.roots = []
        self._run("dovecot", "-c", etc / "dovecot.conf")
        self.roots.append(self._master(self.dir / "run" / "master.pid"))
        self._run("postfix", "-c", etc, "start")
        self.roots.append(self._master(self.dir / "queue" / "pid" / "master.pid"))

    @staticmethod
    def _run(*command):
        # Output to a file: daemons inherit it and would keep a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=60).returncode
            if status != 0:
                output.seek(0)
                raise RuntimeError(f"{command[0]} does not start: {output.read()[-2000:]}")

    @staticmethod
    def _master(path):
        return wait_for(lambda: path.exists() and int(path.read_text().split()[0]), f"{path} is written")

    def __exit__(self, *_):
        self._stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _stop(self):
        family = list(procs.tree(self.roots))
        for root in self.roots:
            self._signal(root, signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not procs.tree(family), "all have ended", 10)
        for pid in procs.tree(family):
            self._signal(pid, signal.SIGKILL)
        for path in (self.dir / "run" / "master.pid", self.dir / "queue" / "pid" / "master.pid"):
            path.unlink(missing_ok=True)

    @staticmethod
    def _signal(pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def prepare(self, accounts):
        """Any user of the domain exists."""

    def restart(self):
        """All processes anew, with the same data."""
        self._stop()
        self._launch()
