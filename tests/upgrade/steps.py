"""What is checked while an installation's processes are replaced under load."""
import collections
import imaplib
import poplib
import smtplib

from tests.e2e.clients import message
from tests.e2e.crash.judge import count_by_pop3, read_refusals
from tests.e2e.harness import TIMEOUT, wait_for

SECRET = "rolling-secret"


class Steps:
    """Of a test case with an `installation`, a `load` on it, and `commands`: folders of programs that configure."""

    def begin(self, installation, load, commands):
        self.installation, self.load, self.commands = installation, load, commands
        self.step = 0
        self.refusals_seen = collections.Counter()
        self.load.start()

    def check_everything(self, what, allowed=()):
        self.step += 1
        with self.subTest(what):
            self.load.wait_for_more(60, f"mail flows: {what}")
            self.check_crossing(what)
            self.check_refusals(what, allowed)

    def refused_commands(self):
        return [refusal for client in self.load.clients for refusal in client.refusals]

    def check_refusals(self, what, allowed):
        refusals = read_refusals(self.load.note_files())
        counts, self.refusals_seen = refusals - self.refusals_seen, refusals
        print(f"{what}: {dict(counts) or 'nothing refused'}")
        self.assertEqual([text for text in counts if not text.startswith(tuple(allowed))], [], what)

    def check_crossing(self, what):
        """What an old and a new command configure reaches old and new gateways, and so does mail."""
        for number, programs in enumerate(self.commands):
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
        result = self.installation.cli("store", "check", programs=self.commands[-1], check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
