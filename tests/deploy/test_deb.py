"""The Debian package: installed on a clean system it runs, takes mail and hands it out; purged, it leaves only data."""
import imaplib
import os
import pathlib
import re
import smtplib
import subprocess
import sys
import unittest

from tests.deploy.machine import ROOT, CannotRun, Machine, run
from tests.e2e.clients import message
from tests.e2e.harness import PROCESSES, wait_for

BUILD = pathlib.Path(os.environ.get("POSTHORN_BUILD", ROOT / "build" / "release"))
WORDS = {"store-service": "store", "admin-service": "admin", "delivery-queue": "queue", "spam-service": "spam",
         "smtp-gateway": "smtp", "imap-gateway": "imap", "pop3-gateway": "pop3"}
UNITS = [f"posthorn-{process}.service" for process in PROCESSES]
BIND_LOW_PORTS = 1 << 10
# systemd-analyze security: 0 is shut in, 100 is open.
EXPOSURE = 20


def package():
    found = sorted(BUILD.glob("posthorn_*.deb"))
    assert found, f"no package in {BUILD}: ./dev deb"
    return found[-1]


class Installed(unittest.TestCase):
    """What both ways of running have in common."""

    packages = ()

    def setUp(self):
        try:
            self.machine = Machine()
        except CannotRun as reason:
            self.skipTest(str(reason))
        self.addCleanup(self.machine.__exit__)
        self.machine.add(*self.packages)
        self.package = self.machine.download(package())

    def boot(self, *command):
        try:
            self.machine.start(*command)
        except CannotRun as reason:
            self.skipTest(str(reason))

    def install(self, *options):
        return self.machine.do("apt-get", "install", "-y", "-q", "--no-install-recommends", *options, self.package)

    def posthorn(self, *arguments):
        return self.machine.do("posthorn", *arguments).stdout

    def add_accounts(self):
        self.posthorn("add", "domain", "here.test")
        self.posthorn("add", "account", "alice@here.test", "password=secret")

    def send(self, number):
        def sent():
            try:
                with smtplib.SMTP("127.0.0.1", 25, timeout=30) as client:
                    return client.sendmail("carol@far.test", ["alice@here.test"], message(number),
                                           mail_options=["BODY=8BITMIME"]) == {}
            except smtplib.SMTPException:  # 451 until all have found each other
                return False
        with self.machine.network():
            self.machine.wait_for(sent, "mail is accepted on port 25")

    def subjects(self):
        with self.machine.network():
            client = imaplib.IMAP4("127.0.0.1", 143, timeout=30)
            try:
                client.login("alice@here.test", "secret")
                client.select("INBOX")
                _, parts = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
                return [part[1].decode().strip() for part in parts if isinstance(part, tuple)]
            finally:
                client.shutdown()

    def deliver(self, number):
        self.send(number)
        self.machine.wait_for(lambda: f"Subject: message {number}" in self.subjects(), f"message {number} is in INBOX")


class WithSystemd(Installed):
    packages = ("systemd", "systemd-sysv")

    def is_active(self):
        shown = self.machine.do("systemctl", "is-active", *UNITS, "posthorn.target", check=False).stdout.split()
        return shown == ["active"] * (len(UNITS) + 1)

    def pid(self, process):
        return int(self.machine.do("systemctl", "show", "-P", "MainPID", f"posthorn-{process}.service").stdout)

    def journal(self, level="warning"):
        return self.machine.do("journalctl", "--no-pager", "-u", "posthorn*", "-p", level).stdout

    def log_errors(self):
        lines = self.machine.do("journalctl", "--no-pager", "-o", "cat", "-u", "posthorn*").stdout.splitlines()
        return [line for line in lines if re.match(r"\S+Z error ", line)]

    def assert_shut_in(self):
        for process, word in WORDS.items():
            uid, gid = self.machine.account(f"posthorn-{word}")
            status = self.machine.status(self.pid(process))
            self.assertEqual(status["Uid"] + status["Gid"], [uid] * 4 + [gid] * 4, process)
            self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), (["1"], ["2"]), process)
            allowed = BIND_LOW_PORTS if process.endswith("-gateway") else 0
            self.assertEqual([int(status[name][0], 16) for name in ("CapEff", "CapPrm", "CapBnd")], [allowed] * 3, process)
            analysed = self.machine.do("systemd-analyze", "security", "--no-pager", f"--threshold={EXPOSURE}",
                                       f"posthorn-{process}.service", check=False)
            self.assertEqual(analysed.returncode, 0, analysed.stdout[-1000:])

    def leftovers(self):
        """What is called posthorn outside the data and apt's own memory."""
        found = self.machine.do("find", "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/sys", "-o", "-path", "/var/log",
                                "-o", "-path", "/var/cache", "-o", "-path", "/root", "-o", "-path", "/var/lib/posthorn",
                                "-o", "-path", "/var/lib/systemd", ")", "-prune",
                                "-o", "-name", "*posthorn*", "-print").stdout.split()
        return found + self.machine.do("find", "/run", "/etc", "-name", "*posthorn*").stdout.split()

    def test_it_runs_after_apt_install_and_leaves_only_data_after_purge(self):
        self.boot()
        self.install()
        self.assertTrue(self.is_active(), self.journal())
        # Each process has said that it is ready a moment after it was.
        wait_for(lambda: "everything works" in self.machine.do("posthorn", "status", check=False).stdout, "all is well")
        self.add_accounts()
        self.deliver(1)
        self.assert_shut_in()
        verified = self.machine.do("systemd-analyze", "verify", "--man=no", *UNITS, "posthorn.target", check=False)
        self.assertNotIn("posthorn", verified.stderr)
        manual = self.machine.do("gzip", "-dc", "/usr/share/man/man1/posthorn.1.gz").stdout
        for word in ("status", "rollback", "trace", "posthorn.target"):
            self.assertIn(word, manual)

        # One that crashes is started again; the others go on.
        before = {process: self.pid(process) for process in PROCESSES}
        self.machine.do("systemctl", "kill", "-s", "KILL", "posthorn-store-service.service")
        self.machine.wait_for(lambda: self.pid("store-service") not in (0, before["store-service"]) and self.is_active(),
                              "the store is back")
        after = {process: self.pid(process) for process in PROCESSES}
        self.assertEqual({name for name in PROCESSES if before[name] != after[name]}, {"store-service"})
        self.deliver(2)

        # What the operator wrote stays; an upgrade replaces every process.
        self.machine.do("sed", "-i", 's/^SPAM_SERVICE_OPTIONS=.*/SPAM_SERVICE_OPTIONS="--log debug"/', "/etc/posthorn/options")
        self.install("--reinstall")
        self.machine.wait_for(self.is_active, "all run after the upgrade")
        self.assertFalse(set(after.values()) & {self.pid(process) for process in PROCESSES})
        command = self.machine.do("cat", f"/proc/{self.pid('spam-service')}/cmdline").stdout.split("\0")
        self.assertEqual(command[-3:-1], ["--log", "debug"])
        self.deliver(3)
        self.assertEqual(self.log_errors(), [])

        self.machine.do("apt-get", "purge", "-y", "-q", "posthorn")
        self.assertEqual(self.leftovers(), [])
        self.assertEqual(self.machine.do("systemctl", "--failed", "--no-legend", "--plain").stdout, "")
        kept = self.machine.do("ls", "/var/lib/posthorn").stdout.split()
        self.assertEqual(kept, ["admin.password", "data"])

        self.install()
        self.machine.wait_for(self.is_active, "all run again")
        self.machine.wait_for(lambda: len(self.subjects()) == 3, "the mail of before is there")


class WithoutSystemd(Installed):
    def test_posthorn_up_runs_it_with_users_of_their_own(self):
        self.boot("/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait; done")
        self.install()
        shown = self.posthorn("up", "--users", "yes", "--detach")
        self.assertIn("7 processes ready", shown)
        self.add_accounts()
        self.deliver(1)
        endpoints = self.machine.do("cat", "/var/lib/posthorn/endpoints.env").stdout
        for process, word in WORDS.items():
            pid = re.search(rf"^PID_{process.upper().replace('-', '_')}=(\d+)", endpoints, re.M)[1]
            self.assertEqual(self.machine.status(pid)["Uid"], [self.machine.account(f"posthorn-{word}")[0]] * 4, process)
        self.machine.do("apt-get", "purge", "-y", "-q", "posthorn")
        self.assertNotIn("posthorn", self.machine.do("sh", "-c", "cat /proc/[0-9]*/comm").stdout)
        kept = self.machine.do("ls", "/var/lib/posthorn").stdout.split()
        self.assertEqual([name for name in kept if name != "posthorn.log"], ["admin.password", "data", "run"])


class Package(unittest.TestCase):
    def test_it_says_what_it_needs_and_holds_only_what_is_run(self):
        fields = run("dpkg-deb", "-f", package()).stdout
        self.assertRegex(fields, r"(?m)^Package: posthorn$")
        for word in ("libgrpc++1.51", "libsqlite3-0", "libunbound8", "ca-certificates"):
            self.assertRegex(fields, rf"(?m)^Depends: .*{re.escape(word)}")
        listing = subprocess.run(["dpkg-deb", "-c", package()], capture_output=True, text=True, check=True).stdout
        programs = re.findall(r"\./usr/lib/posthorn/(\S+)", listing)
        self.assertEqual(sorted(programs), sorted(["posthorn", *(f"posthorn-{name}" for name in PROCESSES)]))
        self.assertIn("./usr/bin/posthorn -> ../lib/posthorn/posthorn", listing)
        self.assertTrue(all(line.split()[1] == "root/root" for line in listing.splitlines()))
        conffiles = run("dpkg-deb", "-I", package(), "conffiles").stdout
        self.assertEqual(conffiles, "/etc/posthorn/options\n")


if __name__ == "__main__":
    sys.exit(unittest.main())
