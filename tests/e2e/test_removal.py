"""What is removed goes whole, also when the store dies between two steps of it."""
import contextlib
import imaplib
import os
import shutil
import signal
import sqlite3
import tempfile
import unittest

from tests.e2e.clients import imap_login, message, uids
from tests.e2e.harness import PROCESSES, Suite, wait_for

ALICE = "alice@here.test"
BACK = 60


class Removal(unittest.TestCase):
    """A removed account and a deleted mailbox go in steps of 500 rows; the store dies between two of them.

    Every life of the store passes each kill point at least once, so it is the second passing that kills."""

    COPIES = 1280
    BOB = "bob@here.test"

    def enter(self, point):
        """(suite, a session of alice's with COPIES messages in "Big"). Bob has one message, which nothing may touch."""
        suite = Suite({"POSTHORN_KILL_AT": f"{point}:2"})
        self.addCleanup(suite.__exit__)
        suite.start()
        suite.add_accounts("here.test", "alice", "bob")
        bob = imap_login(self, suite, self.BOB)
        self.assertEqual(bob.append("INBOX", None, None, message("bob"))[0], "OK")
        client = imap_login(self, suite)
        client.create("Big")
        for number in range(5):
            self.assertEqual(client.append("Big", None, None, message(number))[0], "OK")
        for _ in range(8):
            client.select("Big")
            self.assertEqual(client.copy("1:*", "Big")[0], "OK")
        self.assertEqual(self.rows(suite), self.COPIES + 1)
        return suite, client

    def rows(self, suite, table="message"):
        """Rows in the store's database, seen while it stands still; its log of what was expunged does not count."""
        pid = suite.pid("store-service")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        try:
            with tempfile.TemporaryDirectory() as folder:
                for path in suite.dir.rglob("mail.db*"):
                    if not path.name.endswith("-shm"):
                        shutil.copy(path, folder)
                with contextlib.closing(sqlite3.connect(os.path.join(folder, "mail.db"))) as database:
                    return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def killed_in_the_middle_of(self, suite, remove):
        """The supervisor stands still meanwhile, so what the killed store left can be looked at."""
        supervisor, pid = int(suite.read_endpoints()["PID"]), suite.pid("store-service")
        os.kill(supervisor, signal.SIGSTOP)
        try:
            remove()
            wait_for(lambda: self.state(pid) == "Z", "the store was killed")
            left = self.rows(suite) - 1
            self.assertTrue(0 < left < self.COPIES, f"{left} messages are left in the middle")
        finally:
            os.kill(supervisor, signal.SIGCONT)
        wait_for(lambda: suite.pid("store-service") != pid, "the store is started again", BACK)
        wait_for(lambda: suite.ready("store-service") and self.rows(suite) == 1, "all messages are gone", BACK)
        wait_for(lambda: all(suite.ready(process) for process in PROCESSES), "everything is up", BACK)

    @staticmethod
    def state(pid):
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]

    def check(self, suite):
        """All of it is gone, what is not meant is not, and the counters are right."""
        wait_for(lambda: suite.cli("store", "check", check=False).returncode == 0, "store check finds nothing", BACK)
        bob = wait_for(lambda: self.login(suite, self.BOB), "logins work", BACK)
        self.assertEqual(len(uids(bob)), 1)
        self.assertIn(b"message bob", bob.uid("fetch", "1", "(BODY.PEEK[])")[1][0][1])

    def login(self, suite, user=ALICE):
        """None while a gateway has not found the store again."""
        try:
            return imap_login(self, suite, user)
        except imaplib.IMAP4.error as error:
            if "UNAVAILABLE" in str(error):
                return None
            raise

    def test_the_store_dies_while_an_account_is_erased(self):
        suite, client = self.enter("store.erase.step")
        self.killed_in_the_middle_of(suite, lambda: suite.cli("delete", "account", ALICE))
        wait_for(lambda: self.rows(suite, "account") == 1, "the account's own row is gone", BACK)
        for table in ("mailbox", "subscription"):
            self.assertEqual(self.rows(suite, f"(SELECT DISTINCT account FROM {table})"), 1, table)
        self.check(suite)
        with self.assertRaisesRegex(imaplib.IMAP4.error, "AUTHENTICATIONFAILED"):
            imap_login(self, suite)
        suite.cli("add", "account", ALICE, "password=secret")
        client = wait_for(lambda: self.login(suite), "the new account logs in", BACK)
        self.assertEqual(uids(client), [])
        self.assertEqual(client.select("Big")[0], "NO")
        self.assertEqual(client.append("INBOX", None, None, message("new"))[0], "OK")
        self.assertEqual(uids(client), [1])

    def test_the_store_dies_while_a_deleted_mailbox_is_purged(self):
        suite, client = self.enter("store.purge.step")

        def delete():
            client.unselect()
            # Answered before the purge, or cut off by the kill: deleted it is in both cases.
            with contextlib.suppress(imaplib.IMAP4.abort):
                client.delete("Big")

        self.killed_in_the_middle_of(suite, delete)
        wait_for(lambda: self.rows(suite, "dropped") == 0, "the purge is over", BACK)
        self.check(suite)
        client = wait_for(lambda: self.login(suite), "alice logs in", BACK)
        self.assertEqual(client.select("Big")[0], "NO")
        self.assertEqual(client.create("Big")[0], "OK")
        self.assertEqual(uids(client, "Big"), [])


if __name__ == "__main__":
    unittest.main()
