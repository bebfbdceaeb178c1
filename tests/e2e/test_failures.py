"""The promises at each failure, one test a row: a gateway, the queue, the spam service, the store, the administrator's
process, the disk. (A lost power: tests/proof. Any process at any moment, under load: test_crash.py.)"""
import contextlib
import imaplib
import os
import poplib
import shutil
import signal
import smtplib
import subprocess
import tempfile
import time
import unittest

from tests.e2e.clients import Raw, imap_login, inject, message, uids, wait_uids
from tests.e2e.harness import PROCESSES, Suite, SuiteCase, wait_for

ALICE = "alice@here.test"
BACK = 60


class Failures(SuiteCase):
    accounts = ("alice",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.suite.cli("set", "settings", "spf=false")
        cls.number = 0

    def setUp(self):
        wait_for(lambda: all(self.suite.ready(p) for p in PROCESSES), "everything is up", BACK)

    @contextlib.contextmanager
    def stopped(self, process):
        """The process is there and does nothing, as on a machine that hangs; nobody restarts it. Then it is killed."""
        pid = self.suite.pid(process)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield pid
        finally:
            os.kill(pid, signal.SIGKILL)
            self.suite.wait_restarted(process, pid)

    @contextlib.contextmanager
    def away(self, process):
        """The process is not there: the supervisor, too, stands still."""
        supervisor, pid = int(self.suite.read_endpoints()["PID"]), self.suite.pid(process)
        os.kill(supervisor, signal.SIGSTOP)
        try:
            os.kill(pid, signal.SIGKILL)
            yield pid
        finally:
            os.kill(supervisor, signal.SIGCONT)
            self.suite.wait_restarted(process, pid)

    def new(self):
        """(number, bytes) of a message no other test sends."""
        type(self).number += 1
        number = f"{self.number}x{os.getpid()}"
        return number, message(number)

    def arrived(self, number, count=1):
        """Waits for the message; it must be there exactly `count` times."""
        client = wait_for(self.login_unless_unavailable, "IMAP logins work", BACK)
        keys = ("HEADER", "Message-ID", f"m{number}@far.test")
        wait_uids(client, count, "INBOX", *keys)
        wait_for(lambda: self.suite.metric("delivery-queue", "posthorn_queue_entries") == 0, "the queue is empty", BACK)
        self.assertEqual(len(uids(client, "INBOX", *keys)), count)
        return client

    def login_unless_unavailable(self):
        """A session, or None while this gateway has not found the store again: each resumes in its own time."""
        try:
            return imap_login(self, self.suite)
        except imaplib.IMAP4.error as error:
            if "UNAVAILABLE" in str(error):
                return None
            raise

    def pop3_unless_unavailable(self):
        pop = poplib.POP3("127.0.0.1", self.suite.port("pop3"), timeout=60)
        self.addCleanup(pop.close)
        pop.user(ALICE)
        try:
            pop.pass_("secret")
        except poplib.error_proto as error:
            if "SYS/TEMP" in str(error):
                return None
            raise
        return pop

    def refusal(self, data):
        """The code with which the message is refused, at whatever command."""
        try:
            inject(self.suite, data)
            return 250
        except smtplib.SMTPRecipientsRefused as error:
            return error.recipients[ALICE][0]
        except smtplib.SMTPResponseException as error:
            return error.smtp_code

    # --- any gateway dies ---

    def test_smtp_gateway_killed_in_the_middle_of_a_message(self):
        number, data = self.new()
        client = Raw(self.suite.port("smtp"))
        self.addCleanup(client.__exit__)
        for command in (None, "EHLO x.far.test", "MAIL FROM:<c@far.test>", f"RCPT TO:<{ALICE}>", "DATA"):
            client.smtp(command)
        client.send(data)
        others = imap_login(self, self.suite)
        self.suite.wait_restarted("smtp-gateway", self.suite.kill("smtp-gateway"))
        self.assertEqual(client.rest(), b"")
        self.assertEqual(others.noop()[0], "OK")
        inject(self.suite, data)
        self.arrived(number)

    def test_imap_and_pop3_gateways_killed(self):
        number, data = self.new()
        inject(self.suite, data)
        client = self.arrived(number)
        for process in ("imap-gateway", "pop3-gateway"):
            self.suite.wait_restarted(process, self.suite.kill(process))
        with self.assertRaises((imaplib.IMAP4.abort, OSError)):
            client.noop()
        self.arrived(number)

    # --- the queue dies ---

    def test_delivery_queue_away_is_451_and_its_mail_waits(self):
        waiting, data = self.new()
        inject(self.suite, data)
        number, data = self.new()
        with self.away("delivery-queue"):
            self.assertEqual(self.refusal(data), 451)
        self.assertEqual(wait_for(lambda: self.refusal(data) == 250 and 250, "accepted again"), 250)
        self.arrived(number)
        self.arrived(waiting)

    # --- the spam service is down ---

    def test_spam_service_away_mail_is_accepted_unscored(self):
        number, data = self.new()
        with self.away("spam-service"):
            inject(self.suite, data)
        client = self.arrived(number)
        uid = uids(client, "INBOX", "HEADER", "Message-ID", f"m{number}@far.test")[0]
        text = client.uid("fetch", str(uid), "(BODY.PEEK[HEADER])")[1][0][1]
        self.assertIn(b"X-Spam-Status: Unknown", text)

    def test_spam_service_away_is_451_by_setting(self):
        self.suite.cli("set", "settings", "spam_down_defers=true")
        self.addCleanup(self.suite.cli, "set", "settings", "spam_down_defers=false")
        number, data = self.new()
        with self.away("spam-service"):
            wait_for(lambda: self.refusal(data) == 451, "refused with 451")
        wait_for(lambda: self.refusal(data) == 250, "accepted again")
        client = imap_login(self, self.suite)
        wait_uids(client, 1, "INBOX", "HEADER", "Message-ID", f"m{number}@far.test")

    # --- the store is down ---

    def test_store_away_each_protocol_says_so_and_resumes(self):
        number, data = self.new()
        client = imap_login(self, self.suite)
        client.select()
        with self.away("store-service"):
            self.assertEqual(self.refusal(data), 451)
            self.assert_imap_unavailable(client)
            with self.assertRaisesRegex(poplib.error_proto, r"-ERR \[SYS/TEMP\]"):
                pop = poplib.POP3("127.0.0.1", self.suite.port("pop3"), timeout=60)
                self.addCleanup(pop.close)
                pop.user(ALICE)
                pop.pass_("secret")
        wait_for(lambda: self.refusal(data) == 250, "accepted again", BACK)
        self.arrived(number)
        pop = wait_for(self.pop3_unless_unavailable, "POP3 logins work", BACK)
        self.assertGreater(pop.stat()[0], 0)
        pop.quit()

    def assert_imap_unavailable(self, client):
        """A write is answered NO [UNAVAILABLE], or the session ends with BYE. Never OK, never silence."""
        data = message("nowhere")
        try:
            kind, text = client.append("INBOX", None, None, data)
            self.assertEqual((kind, b"UNAVAILABLE" in text[0]), ("NO", True), text)
        except imaplib.IMAP4.abort as error:
            self.assertRegex(str(error), "BYE|UNAVAILABLE|EOF")

    # --- the administrator's process is down ---

    def test_admin_service_away_everything_carries_on_and_restarts_from_the_snapshot_on_disk(self):
        number, data = self.new()
        with self.away("admin-service"):
            refused = self.suite.cli("add", "account", "late@here.test", check=False)
            self.assertNotEqual(refused.returncode, 0, "only changes are refused")
            self.assertEqual(self.refusal(data), 250)
            self.arrived(number)
        number, data = self.new()
        with self.stopped("admin-service"):
            for process in ("smtp-gateway", "imap-gateway", "spam-service", "delivery-queue"):
                self.suite.wait_restarted(process, self.suite.kill(process))
            inject(self.suite, data)
            self.arrived(number)


class MailInTheQueue(unittest.TestCase):
    """What was answered 250 and not delivered yet, when a process dies between the two."""

    def accepted_then(self, point, process):
        # Each life passes the point once without harm.
        with Suite({"POSTHORN_KILL_AT": f"{point}:2"}) as suite:
            suite.add_accounts("here.test", "alice")
            suite.cli("set", "settings", "spf=false")
            client = imap_login(self, suite)
            old = suite.pid(process)
            for number in (1, 2, 3):
                try:
                    inject(suite, message(number))
                except smtplib.SMTPDataError as error:
                    # The queue died with its answer on the way: the sender is told 451 though the mail is safe.
                    self.assertEqual((error.smtp_code, process), (451, "delivery-queue"))
                    suite.wait_restarted(process, old)
                wait_uids(client, number)
                if number == 2:
                    # Seen before the killed life is over: what came into its last moment would rightly be refused.
                    suite.wait_restarted(process, old)
            self.assertNotEqual(suite.pid(process), old, f"{process} was killed at {point}")
            wait_for(lambda: suite.metric("delivery-queue", "posthorn_queue_entries") == 0, "the queue is empty", BACK)
            self.assertEqual(len(uids(client)), 3)

    def test_the_store_dies_before_it_commits_a_delivery(self):
        self.accepted_then("lane.before_commit", "store-service")

    def test_the_store_dies_after_it_committed_a_delivery(self):
        self.accepted_then("lane.after_commit", "store-service")

    def test_the_queue_dies_after_a_delivery(self):
        self.accepted_then("queue.after_deliver", "delivery-queue")


class DiskFull(unittest.TestCase):
    """DIR lies on a file system of its own, small enough to be filled."""

    def setUp(self):
        self.disk = tempfile.mkdtemp(prefix="posthorn-disk-")
        self.addCleanup(shutil.rmtree, self.disk, True)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", self.disk], capture_output=True,
                                 text=True)
        if mounted.returncode != 0:
            self.skipTest(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", self.disk])
        self.suite = Suite()
        shutil.rmtree(self.suite.dir)
        self.suite.dir = type(self.suite.dir)(self.disk) / "suite"
        self.addCleanup(self.suite.__exit__)
        self.suite.start()
        self.suite.add_accounts("here.test", "alice")
        self.suite.cli("set", "settings", "spf=false")

    def test_full_disk_is_452_reading_goes_on_and_nothing_is_truncated(self):
        inject(self.suite, message(1))
        client = imap_login(self, self.suite)
        wait_uids(client, 1)
        filler = os.path.join(self.disk, "filler")
        with open(filler, "wb", buffering=0) as out, contextlib.suppress(OSError):
            while out.write(b"x" * 65536):
                pass
        large = message(2, body=b"line of text that fills the disk\r\n" * 3000)
        accepted, code = 0, 250
        end = time.monotonic() + 60
        while code == 250 and time.monotonic() < end:
            try:
                inject(self.suite, large)
                accepted += 1
            except smtplib.SMTPResponseException as error:
                code = error.smtp_code
            except smtplib.SMTPRecipientsRefused as error:
                code = error.recipients[ALICE][0]
        self.assertEqual(code, 452)
        self.assertIn(b"message 1", client.uid("fetch", "1", "(BODY.PEEK[])")[1][0][1])
        kind, text = client.append("INBOX", None, None, large)
        self.assertEqual(kind, "NO", text)
        os.unlink(filler)
        wait_for(lambda: self.sends(message(3)), "accepted again")
        wait_for(lambda: self.suite.metric("delivery-queue", "posthorn_queue_entries") == 0, "the queue is empty", BACK)
        found = wait_uids(client, 2 + accepted)
        self.assertEqual(len(found), 2 + accepted)
        self.assertEqual(self.suite.cli("store", "check", check=False).returncode, 0)

    def sends(self, data):
        try:
            inject(self.suite, data)
            return True
        except smtplib.SMTPException:
            return False


if __name__ == "__main__":
    unittest.main()
