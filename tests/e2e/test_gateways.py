"""Several gateways beside one store; programs that start alone; what a gateway must not contain and must not ask."""
import contextlib
import poplib
import re
import smtplib
import subprocess
import unittest

from tests.e2e.clients import Raw, imap_login, message, raw_imap, run, wait_uids
from tests.e2e.harness import BIN, PROCESSES, TIMEOUT, Suite, SuiteCase, wait_for
from tests.e2e.processes import Alone, second_gateways


class TwoOfEach(SuiteCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.second = second_gateways(stack, cls.suite)

    def setUp(self):
        self.user = re.sub("[^a-z0-9]", "", self.id().rsplit(".", 1)[-1].removeprefix("test_")) + "@here.test"
        self.suite.cli("add", "account", self.user, "password=secret")

    def at_first(self, mailbox="INBOX"):
        return raw_imap(self, self.suite, self.user, mailbox=mailbox)

    def at_second(self, mailbox="INBOX"):
        return raw_imap(self, self.suite, self.user, port=self.second["imap-gateway"].port("imap"), mailbox=mailbox)

    def append(self, client, *numbers, flags=""):
        for number in numbers:
            data = message(number, to=self.user)
            client.ok(f"APPEND INBOX ({flags}) {{{len(data)}+}}\r\n".encode() + data)

    def until(self, client, wanted):
        """NOOPs until the responses so far include what `wanted` (a regular expression) says; all of them."""
        seen = []

        def told():
            seen.extend(client.ok("NOOP")[0])
            return any(re.fullmatch(wanted.encode(), line) for line in seen)
        wait_for(told, f"{wanted} among {seen}")
        return seen

    def test_each_sees_the_others_changes_with_right_sequence_numbers(self):
        first, second = self.at_first(), self.at_second()
        self.append(first, 1, 2, 3, 4)
        self.until(second, r"\* 4 EXISTS")
        second.ok(r"STORE 2,3 +FLAGS.SILENT (\Deleted)")
        self.until(first, r"\* 3 FETCH \(.*\\Deleted.*\)")
        both = ([b"* 2 EXPUNGE", b"* 2 EXPUNGE"], [b"* 3 EXPUNGE", b"* 2 EXPUNGE"])
        self.assertIn([line for line in second.ok("EXPUNGE")[0] if line.endswith(b"EXPUNGE")], both)
        told = [line for line in self.until(first, r"\* \d EXPUNGE") + first.ok("NOOP")[0] if line.endswith(b"EXPUNGE")]
        self.assertIn(told, both)
        # What was message 4 is 2 for both.
        first.ok(r"STORE 2 +FLAGS (\Flagged)")
        self.until(second, r"\* 2 FETCH \(.*\\Flagged.*\)")
        for client in (first, second):
            self.assertIn(b"* SEARCH 1 4", client.ok("UID SEARCH ALL")[0])
        self.append(second, 5)
        self.until(first, r"\* 3 EXISTS")
        self.assertIn(b"m5@far.test", first.ok("FETCH 3 BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]")[0][0])

    def test_expunge_waits_while_the_other_fetches_by_number(self):
        first, second = self.at_first(), self.at_second()
        self.append(first, 1, 2, 3)
        self.until(second, r"\* 3 EXISTS")
        first.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
        first.ok("EXPUNGE")
        # [RFC9051 7.5.1]: none during FETCH, STORE, SEARCH, however long the news have been there.
        for _ in range(20):
            for command in ("FETCH 3 UID", "SEARCH ALL", r"STORE 3 +FLAGS (\Seen)"):
                untagged = second.ok(command)[0]
                self.assertFalse([line for line in untagged if line.endswith(b"EXPUNGE")], untagged)
        self.assertEqual(second.ok("FETCH 3 UID")[0], [b"* 3 FETCH (UID 3)"])
        self.until(second, r"\* 1 EXPUNGE")
        self.assertEqual(second.ok("FETCH 2 UID")[0], [b"* 2 FETCH (UID 3)"])

    def test_select_right_after_append_elsewhere_sees_the_message(self):
        first, second = self.at_first(mailbox=None), self.at_second(mailbox=None)
        for number in range(1, 51):
            here, there = (first, second) if number % 2 else (second, first)
            self.append(here, number)
            command = ("SELECT INBOX", "EXAMINE INBOX", "STATUS INBOX (MESSAGES)")[number % 3]
            untagged = there.ok(command)[0]
            expected = f"* {number} EXISTS" if "STATUS" not in command else f"* STATUS INBOX (MESSAGES {number})"
            self.assertIn(expected.encode(), untagged)
            if "STATUS" not in command:
                there.ok("UNSELECT")

    def test_idle_at_one_hears_of_delivery_by_the_other_smtp_gateway(self):
        client = self.at_first()
        client.send("x IDLE\r\n")
        client.line()
        with smtplib.SMTP("127.0.0.1", self.second["smtp-gateway"].port("smtp"), timeout=TIMEOUT) as smtp:
            smtp.sendmail("c@far.test", [self.user], message(1, to=self.user), mail_options=["BODY=8BITMIME"])
        self.assertEqual(client.response(), b"* 1 EXISTS")

    def test_reading_a_selected_mailbox_makes_no_rpc(self):
        client = self.at_first()
        self.append(client, *range(1, 11))
        client.ok(r"STORE 3 +FLAGS (\Seen)")
        client.ok("NOOP")

        def sent():
            """Frames of each request stream."""
            return {line.split("{", 1)[1].split("}")[0]: float(line.rsplit(" ", 1)[1])
                    for line in self.suite.health("imap-gateway", "metrics")[1].splitlines()
                    if line.startswith("posthorn_rpc_client_frames_total{")}

        def answered():
            """Calls of any kind that the store has answered for the imap-gateways; others' come and go."""
            return sum(float(line.rsplit(" ", 1)[1]) for line in self.suite.health("store-service", "metrics")[1].splitlines()
                       if line.startswith("posthorn_rpc_server_calls_total") and re.search("Mailboxes|Sync|Blobs", line))
        looks = [None]

        def settled():
            """What the STORE still has to say behind its answer has been said."""
            looks.append(sent())
            return looks[-1] == looks[-2]
        wait_for(settled, "the gateway has nothing more to say")
        before = sent(), answered()
        for _ in range(1000):
            client.ok("NOOP")
            self.assertEqual(len(client.ok("FETCH 1:* (UID FLAGS)")[0]), 10)
            self.assertIn(b"* SEARCH 1 2 4 5 6 7 8 9 10", client.ok("UID SEARCH UNSEEN SINCE 1-Jan-2020 LARGER 10")[0])
        self.assertEqual((sent(), answered()), before)
        self.assertGreater(min(sum(before[0].values()), before[1]), 10)
        client.ok(r"STORE 3 -FLAGS (\Seen)")
        self.assertGreater(sum(sent().values()), sum(before[0].values()))

    def pop(self, port):
        client = poplib.POP3("127.0.0.1", port, timeout=TIMEOUT)
        self.addCleanup(client.close)
        client.user(self.user)
        return client

    def test_the_maildrop_lock_counts_at_every_gateway(self):
        self.append(self.at_first(), 1, 2)
        second_port = self.second["pop3-gateway"].port("pop3")
        first = self.pop(self.suite.port("pop3"))
        first.pass_("secret")
        for _ in range(3):
            with self.assertRaisesRegex(poplib.error_proto, r"\[IN-USE\]"):
                self.pop(second_port).pass_("secret")
        first.dele(1)
        first.quit()

        def enter():
            client = self.pop(second_port)
            try:
                client.pass_("secret")
                return client
            except poplib.error_proto:
                return None
        self.assertEqual(wait_for(enter, "the other gateway gets the maildrop").stat()[0], 1)

    def test_disabling_an_account_ends_its_sessions_everywhere(self):
        sessions = [self.at_first(), self.at_second(), self.at_second(mailbox=None)]
        sessions[0].send("x IDLE\r\n")
        sessions[0].line()
        pop = self.pop(self.second["pop3-gateway"].port("pop3"))
        pop.pass_("secret")
        self.suite.cli("set", "account", self.user, "enabled=false")
        for session in sessions:
            self.assertIn(b"BYE", session.rest())
        with Raw(self.second["imap-gateway"].port("imap")) as fresh:
            fresh.line()
            self.assertTrue(fresh.imap(f"LOGIN {self.user} secret")[1].startswith("NO"))
        with smtplib.SMTP("127.0.0.1", self.second["smtp-gateway"].port("smtp"), timeout=TIMEOUT) as smtp:
            smtp.ehlo()
            smtp.mail("c@far.test")
            self.assertEqual(smtp.rcpt(self.user)[0] // 100, 5)

        def refused():
            try:
                pop.noop()
                return False
            except (poplib.error_proto, OSError, EOFError):
                return True
        wait_for(refused, "the POP3 session has ended")
        self.suite.cli("set", "account", self.user, "enabled=true")
        wait_for(lambda: self.at_second(), "logins work again")

    def test_a_changed_password_counts_at_every_gateway_at_once(self):
        self.at_first(), self.at_second()  # both remember the old one
        self.suite.cli("set", "account", self.user, "password=changed")
        for port in (self.suite.port("imap"), self.second["imap-gateway"].port("imap")):
            with Raw(port) as client:
                client.line()
                self.assertTrue(client.imap(f"LOGIN {self.user} secret")[1].startswith("NO"))
                client.ok(f"LOGIN {self.user} changed")

    def test_status_knows_both(self):
        text = self.suite.cli("status").stdout
        for name in ("smtp-gateway", "imap-gateway", "pop3-gateway"):
            self.assertEqual(len(re.findall(rf"(?m)^{name} +\S+ +ready", text)), 2, text)


class SevenPrograms(unittest.TestCase):
    def test_each_starts_alone_given_addresses_and_mail_flows(self):
        with contextlib.ExitStack() as stack:
            suite = Suite()
            stack.callback(lambda: run("rm", "-rf", suite.dir))
            alone = Alone(suite, stack).wait_ready()
            posthorn = [suite.bin / "posthorn", "--admin", alone.addresses["admin"]["cli"], "--user", "admin",
                        "--password-file", suite.dir / "admin.password"]
            run(*posthorn, "add", "domain", "here.test")
            run(*posthorn, "add", "account", "alice@here.test", "password=secret")
            with smtplib.SMTP("127.0.0.1", alone.processes["smtp-gateway"].port("smtp"), timeout=TIMEOUT) as smtp:
                smtp.sendmail("c@far.test", ["alice@here.test"], message(1), mail_options=["BODY=8BITMIME"])
            client = imap_login(self, None, port=alone.processes["imap-gateway"].port("imap"))
            wait_uids(client, 1)
            pop = poplib.POP3("127.0.0.1", alone.processes["pop3-gateway"].port("pop3"), timeout=TIMEOUT)
            pop.user("alice@here.test")
            pop.pass_("secret")
            self.assertEqual(pop.stat()[0], 1)
            pop.quit()
            errors = [line for process in alone.processes.values() for line in process.text().splitlines()
                      if " error " in line]
            self.assertEqual(errors, [])

    def test_there_are_seven_and_each_explains_itself(self):
        found = sorted(path.name for path in BIN.glob("posthorn-*") if not path.name.endswith(("test", "fuzz")))
        self.assertEqual(found, sorted(f"posthorn-{name}" for name in PROCESSES))
        for name in PROCESSES:
            text = run(BIN / f"posthorn-{name}", "--help").stdout.decode()
            self.assertTrue(text.startswith(f"posthorn-{name} [flags]"), text)
            for flag in ("--run", "--data", "--store", "--listen", "--health", "--user"):
                self.assertIn(flag, text)
            self.assertRegex(run(BIN / f"posthorn-{name}", "--version").stdout.decode(), r"^posthorn \d+\.\d+")
            wrong = run(BIN / f"posthorn-{name}", "--no-such-flag", "x", check=False)
            self.assertEqual((wrong.returncode, b"--no-such-flag" in wrong.stderr), (2, True))

    def test_only_the_store_contains_sqlite(self):
        for name in PROCESSES:
            program = BIN / f"posthorn-{name}"
            linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
            symbols = subprocess.run(f"nm -D --undefined-only '{program}'; nm '{program}' 2>/dev/null", shell=True,
                                     capture_output=True, text=True, check=False).stdout
            with self.subTest(program=name):
                if name == "store-service":
                    self.assertIn("sqlite3_step", symbols)
                else:
                    self.assertNotIn("sqlite", linked + symbols)
                    self.assertNotIn(b"SQLite format 3", program.read_bytes())


if __name__ == "__main__":
    unittest.main()
