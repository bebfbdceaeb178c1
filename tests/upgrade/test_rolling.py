"""Every process is replaced by the next release's, one after the other, under load.

POSTHORN_OLD_BIN names the programs of the older release; without it the current ones take both parts.
"""
import collections
import contextlib
import imaplib
import poplib
import smtplib
import subprocess
import unittest

from tests.e2e.clients import message
from tests.e2e.cluster.load import Load
from tests.e2e.crash.judge import count_by_pop3, read_refusals
from tests.e2e.harness import TIMEOUT, wait_for
from tests.upgrade.installation import NEW, OLD, SERVERS, Installation

GATEWAYS = ("smtp-gateway", "imap-gateway", "pop3-gateway")
SECRET = "rolling-secret"
# Of these there is one in an installation with SQLite: while it is away others can only say 451 or NO [UNAVAILABLE].
ALONE = ("store-service", "delivery-queue")
# The second is the answer to a DATA sent along with recipients that were all answered 451.
TEMPORARY = ("451", "554 5.5.1 No valid recipients")


def version(programs):
    return subprocess.run([programs / "posthorn-store-service", "--version"], capture_output=True, text=True,
                          check=True).stdout.strip()


class Rolling(unittest.TestCase):
    def test_servers_first(self):
        self.roll((*SERVERS, *GATEWAYS))

    @unittest.skipIf(OLD == NEW, "POSTHORN_OLD_BIN is not given")
    def test_gateways_first(self):
        self.roll((*GATEWAYS, *reversed(SERVERS)))

    def roll(self, kinds):
        print(f"old: {version(OLD)}; new: {version(NEW)}"
              + (" (the same: POSTHORN_OLD_BIN is not given)" if OLD == NEW else ""))
        with contextlib.ExitStack() as stack:
            self.installation = stack.enter_context(Installation(OLD))
            self.load = Load(self, self.installation, rate=40, connections=4, plain=4, owned=4)
            self.step = 0
            self.refusals_seen = collections.Counter()
            self.load.start()
            self.check_everything("all old")
            for kind in kinds:
                for replica in self.installation.replicas[kind]:
                    self.replace(replica)
            self.finish()

    # --- one step ---

    def replace(self, replica):
        before = self.refused_commands()
        status = replica.drain()
        self.assertEqual(status, 0, f"{replica.kind} ended in order\n{replica.text()[-3000:]}")
        replica.start(NEW).wait_ready()
        self.check_everything(f"{replica.kind} is new", ("421", *TEMPORARY) if replica.kind in ALONE else ("421",))
        if replica.kind not in ALONE:
            self.assertEqual(self.refused_commands(), before, f"no NO while {replica.kind} is replaced")

    def check_everything(self, what, allowed=()):
        self.step += 1
        with self.subTest(what):
            self.load.wait_for_more(60, f"mail flows: {what}")
            self.check_crossing(what)
            self.check_refusals(what, allowed)

    def refused_commands(self):
        return sum(client.counts["NO"] for client in self.load.clients)

    def check_refusals(self, what, allowed):
        refusals = read_refusals(self.load.note_files())
        counts, self.refusals_seen = refusals - self.refusals_seen, refusals
        print(f"{what}: {dict(counts) or 'nothing refused'}")
        self.assertEqual([text for text in counts if not text.startswith(tuple(allowed))], [], what)

    def check_crossing(self, what):
        """What an old and a new command configure reaches old and new gateways, and so does mail."""
        for number, programs in enumerate({OLD: 0, NEW: 0}):
            domain = f"step{self.step}-{number}.test"
            address = f"ann@{domain}"
            self.installation.cli("add", "domain", domain, programs=programs)
            self.installation.cli("add", "account", address, f"password={SECRET}", programs=programs)
            smtp = self.load.ports("smtp-gateway", "smtp")
            for index, port in enumerate(smtp):
                wait_for(lambda: self.accepted(port, index, address), f"{what}: {port} takes mail for {address}")
            for port in self.load.ports("imap-gateway", "imap"):
                wait_for(lambda: self.holds(port, address) >= len(smtp), f"{what}: mail for {address} is read")
            for port in self.load.ports("pop3-gateway", "pop3"):
                wait_for(lambda: self.counted(port, address) >= len(smtp), f"{what}: POP3 counts the mail of {address}")

    @staticmethod
    def accepted(port, index, address):
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT, source_address=("127.0.2.1", 0)) as smtp:
                return smtp.sendmail("carol@far.test", [address], message(index, to=address),
                                     mail_options=["BODY=8BITMIME"]) == {}
        except smtplib.SMTPException:
            return False

    @staticmethod
    def holds(port, address):
        try:
            with imaplib.IMAP4("127.0.0.1", port, timeout=TIMEOUT) as client:
                client.login(address, SECRET)
                return int(client.select("INBOX", readonly=True)[1][0])
        except imaplib.IMAP4.error:
            return 0

    @staticmethod
    def counted(port, address):
        try:
            return count_by_pop3(port, address, SECRET)
        except poplib.error_proto:
            return 0

    # --- the end ---

    def finish(self):
        self.load.finish()
        verdict = self.load.judge()
        self.assertGreater(len(verdict.acknowledged), 0)
        commands = {key: sum(client.counts[key] for client in self.load.clients) for key in self.load.clients[0].counts}
        print(f"acknowledged {len(verdict.acknowledged)}, copies {verdict.copies}, IMAP commands {commands}")
        result = self.installation.cli("store", "check", programs=NEW, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
