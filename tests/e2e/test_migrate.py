"""`posthorn store migrate`: a running suite on files moves to MariaDB, and goes on there."""
import re
import signal
import subprocess
import tempfile
import unittest

from tests.e2e.clients import imap_login, inject, message, uids, wait_uids
from tests.e2e.cluster.load import Load
from tests.e2e.cluster.mariadb import MariaDb
from tests.e2e.harness import TIMEOUT, Suite, wait_for


HOLDER = "select is_used_lock('posthorn.schema.posthorn')"


class Queue:
    """The suite's, as Load asks for one."""

    def __init__(self, suite):
        self.suite = suite

    def metric(self, name):
        return self.suite.metric("delivery-queue", name)

    def running(self):
        return True


class OneMachine:
    """A suite as Load takes installations."""

    def __init__(self, suite):
        self.replicas = {"smtp-gateway": [suite], "imap-gateway": [suite], "delivery-queue": [Queue(suite)]}
        self.cli, self.add_accounts = suite.cli, suite.add_accounts


def to(database):
    return ["--to", *database.flags[1:]]


def migrate(suite, database, check=True):
    return suite.cli("store", "migrate", *to(database), check=check, timeout=TIMEOUT * 4)


def revision(suite):
    return int(re.search(r"configuration revision (\d+)", suite.cli("status", check=False).stdout).group(1))


def mailbox_state(test, suite, mailbox):
    """UIDVALIDITY and what each message is, byte by byte."""
    client = imap_login(test, suite)
    validity = client.status(mailbox, "(UIDVALIDITY UIDNEXT HIGHESTMODSEQ)")[1]
    client.select(mailbox, readonly=True)
    return validity, client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]


class Migrate(unittest.TestCase):
    def test_running_installation_moves_and_nothing_is_lost(self):
        with MariaDb() as database, Suite() as suite:
            load = Load(self, OneMachine(suite), rate=40, connections=3, plain=5, owned=3).start()
            load.wait_for_more(150, "mail flows on the files")
            before = revision(suite)
            told = migrate(suite, database)
            self.assertRegex(told.stdout, r"done: \d+ messages, \d+ rows, the same on both sides; .*writing stopped for \d")
            self.assertIn("--database mysql://posthorn@127.0.0.1", told.stdout)
            self.assertNotIn(database.PASSWORD, told.stdout + suite.log())
            self.assertIn("has moved to mysql://", suite.cli("status", check=False).stdout)
            self.assertNotEqual(suite.cli("add", "domain", "late.test", check=False).returncode, 0, "no more changes")
            suite.stop()
            suite.up_options = database.flags
            suite.start()
            load.wait_for_more(150, "mail flows on the database", 120)
            load.finish()
            verdict = load.judge()
            self.assertGreater(verdict.copies, 300)
            self.assertEqual(revision(suite), before)
            suite.cli("add", "domain", "later.test")
            self.assertEqual(revision(suite), before + 1)
            self.assertIn(" 0 problems", suite.cli("store", "check", timeout=TIMEOUT * 4).stdout)
            self.assertEqual(database.nodes[0].ask("select completed > 0 from posthorn.installation"), "1")

    def test_every_byte_flag_and_number_stays(self):
        with MariaDb() as database, Suite() as suite:
            suite.add_accounts("here.test", "alice")
            for number in range(3):
                inject(suite, message(number))
            client = imap_login(self, suite)
            wait_uids(client, 3)
            name = "Entw&APw-rfe"  # [RFC3501 5.1.3]
            client.create(name)
            client.append(name, "(\\Flagged $own)", '"05-Mar-2021 10:20:30 -0330"', b"Subject: \xff'x\r\n\r\n\\\r\n")
            client.append(name, "(\\Deleted)", None, message(9))
            client.append(name, "(\\Seen)", None, message(10))
            client.select(name)
            client.expunge()
            client.subscribe(name)
            subscribed = client.lsub()[1]
            self.assertIn(name, str(subscribed))
            state = {mailbox: mailbox_state(self, suite, mailbox) for mailbox in ("INBOX", name)}
            migrate(suite, database)
            # Who is logged in reads on.
            self.assertEqual(len(uids(client, "INBOX")), 3)
            suite.stop()
            suite.up_options = database.flags
            suite.start()
            self.assertEqual({mailbox: mailbox_state(self, suite, mailbox) for mailbox in state}, state)
            self.assertEqual(imap_login(self, suite).lsub()[1], subscribed)
            inject(suite, message(20))
            self.assertEqual(wait_uids(imap_login(self, suite), 4), [1, 2, 3, 4])

    def test_files_refuse_to_start_once_they_moved(self):
        with MariaDb() as database, Suite() as suite:
            suite.add_accounts("here.test", "alice")
            migrate(suite, database)
            self.assertEqual(suite.cli("store", "migrate", check=False).returncode, 2, "--to is missing")
            again = migrate(suite, database, check=False)
            self.assertIn("has moved to", again.stderr)
            suite.stop()
            self.assertIn("this installation has moved to mysql://",
                          self.start_store(suite, "--run", suite.dir / "run", "--data", suite.dir / "data" / "store-service"))

    def test_store_killed_in_the_middle_goes_on_with_its_files(self):
        with MariaDb() as database, Suite(environment={"POSTHORN_KILL_AT": "store.move.part:20"}) as suite:
            suite.add_accounts("here.test", "alice")
            pid = suite.pid("store-service")
            self.assertNotEqual(migrate(suite, database, check=False).returncode, 0)
            suite.wait_restarted("store-service", pid)

            def sent():
                try:
                    return inject(suite, message(1)) == {}
                except OSError:  # 451 until all have found each other again
                    return False
            wait_for(sent, "mail is accepted again")
            self.assertEqual(len(wait_uids(imap_login(self, suite), 1)), 1)
            with tempfile.TemporaryDirectory() as other:
                half = self.start_store(suite, "--run", other, "--data", other, *database.flags)
            self.assertIn("only a part of an installation", half)
            suite.stop()
            del suite.environment["POSTHORN_KILL_AT"]
            suite.start()
            self.assertIn("the same on both sides", migrate(suite, database).stdout)

    def test_killed_between_the_two_words_neither_side_starts(self):
        with MariaDb() as database, Suite(environment={"POSTHORN_KILL_AT": "store.move.marked"}) as suite:
            suite.add_accounts("here.test", "alice")
            inject(suite, message(1))
            wait_uids(imap_login(self, suite), 1)
            self.assertNotEqual(migrate(suite, database, check=False).returncode, 0)
            wait_for(lambda: "this installation has moved to mysql://" in suite.log(), "the store says why it does not start")
            suite.stop()
            data = suite.dir / "data" / "store-service"
            self.assertIn("only a part of an installation",
                          self.start_store(suite, "--run", suite.dir / "run", "--data", data, *database.flags))
            # As the manual says: nothing has run on the database, completed is 0.
            self.assertEqual(database.nodes[0].ask("select completed from posthorn.installation"), "0")
            (data / "moved-to-database").unlink()
            del suite.environment["POSTHORN_KILL_AT"]
            suite.start()
            self.assertEqual(len(wait_uids(imap_login(self, suite), 1)), 1)
            migrate(suite, database)
            suite.stop()
            suite.up_options = database.flags
            suite.start()
            self.assertEqual(wait_uids(imap_login(self, suite), 1), [1])

    def start_store(self, suite, *flags):
        """What a store says that ends at once."""
        store = subprocess.run([suite.bin / "posthorn-store-service", *flags], capture_output=True, text=True,
                               timeout=TIMEOUT)
        self.assertNotEqual(store.returncode, 0)
        return store.stdout + store.stderr

    def test_operator_who_goes_away_ends_it(self):
        with MariaDb() as database, Suite() as suite:
            suite.add_accounts("here.test", "alice")
            # Making tables waits for this lock: the move stands still in the middle.
            holder = subprocess.Popen(["mariadb", "--no-defaults", f"--socket={database.nodes[0].socket}", "--user=root",
                                       "--unbuffered"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
            self.addCleanup(holder.wait)
            self.addCleanup(holder.kill)
            holder.stdin.write("select get_lock('posthorn.schema.posthorn', 0);\n")
            holder.stdin.flush()
            wait_for(lambda: database.nodes[0].ask(HOLDER) != "NULL", "it is held")
            command = subprocess.Popen([suite.bin / "posthorn", "--dir", suite.dir, "store", "migrate", *to(database)],
                                       stdout=subprocess.PIPE, text=True)
            self.addCleanup(command.stdout.close)
            wait_for(lambda: database.nodes[0].ask("select count(*) from posthorn.installation", check=False) == "1",
                     "it is under way")
            command.send_signal(signal.SIGINT)
            command.wait(TIMEOUT)
            # Its repeated word finds nobody.
            wait_for(lambda: "store.migrate.abandoned" in suite.log(), "the store has noticed")
            holder.stdin.close()  # its session ends, and the lock with it
            wait_for(lambda: "store.migrate.failed" in suite.log(), "it has ended")
            inject(suite, message(1))
            self.assertEqual(wait_uids(imap_login(self, suite), 1), [1])
            self.assertIn("the same on both sides", migrate(suite, database).stdout)

    def test_interrupted_move_changes_nothing(self):
        with MariaDb() as database, Suite() as suite:
            suite.add_accounts("here.test", "alice")
            suite.cli("set", "settings", "spf=false")
            database.nodes[0].ask("create table posthorn.mine(a int primary key)")
            refused = migrate(suite, database, check=False)
            self.assertIn("not empty: it has the table mine", refused.stderr)
            database.nodes[0].ask("drop table posthorn.mine")
            database.nodes[0].stop()
            self.assertNotEqual(migrate(suite, database, check=False).returncode, 0)
            inject(suite, message(1))
            self.assertEqual(len(wait_uids(imap_login(self, suite), 1)), 1)
            database.nodes[0].start().wait_ready()
            wait_for(lambda: migrate(suite, database, check=False).returncode == 0, "it moves when the server is back")


if __name__ == "__main__":
    unittest.main()
