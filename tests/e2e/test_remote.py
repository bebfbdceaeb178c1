"""Mail to other hosts, found through a real DNS server and given to real sockets."""
import contextlib
import email
import smtplib
import socket
import unittest

from tests.e2e.clients import imap_login, message, run, submission, uids, wait_uids
from tests.e2e.harness import TIMEOUT, Dns, Sink, SuiteCase, free_port, wait_for

HOST = "mail.here.test"
# Sinks listen on addresses of their own and one port; nobody listens on 127.0.0.99.
ZONES = {
    "far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.2\n",
    "implicit.test": "@ IN A 127.0.0.2\n",
    "backup.test": "@ IN MX 10 dead\n@ IN MX 20 live\ndead IN A 127.0.0.99\nlive IN A 127.0.0.3\n",
    "behind.test": f"@ IN MX 10 mx\n@ IN MX 20 {HOST}.\n@ IN MX 30 other\nmx IN A 127.0.0.99\nother IN A 127.0.0.3\n",
    "ours.test": f"@ IN MX 10 {HOST}.\n@ IN MX 20 other\nother IN A 127.0.0.3\n",
    "circle.test": "@ IN MX 10 mx\nmx IN A 127.0.0.4\n",
    "null.test": "@ IN MX 0 .\n",
    "nohost.test": "@ IN MX 10 missing\n",
    "secure.test": "@ IN MX 10 mx\nmx IN A 127.0.0.5\n",
}


def make_certificate(folder):
    certificate, key = folder / "sink.pem", folder / "sink.key"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
        "-subj", "/CN=mx.secure.test", "-addext", "subjectAltName=DNS:mx.secure.test", "-keyout", key, "-out", certificate)
    return certificate, key


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


class Remote(SuiteCase):
    accounts = ("alice", "bob")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.dns = stack.enter_context(Dns(ZONES))
        cls.port = free_port()
        cls.near = stack.enter_context(Sink("127.0.0.2", cls.port))
        cls.second = stack.enter_context(Sink("127.0.0.3", cls.port))
        cls.mirror = stack.enter_context(Sink("127.0.0.4", cls.port, name=HOST))
        cls.secure = stack.enter_context(Sink("127.0.0.5", cls.port, tls_files=make_certificate(cls.suite.dir)))
        cls.suite.cli("set", "settings", f"dns_servers=127.0.0.1@{cls.dns.port}", f"smtp_port={cls.port}",
                      f"hostname={HOST}")
        cls.suite.settle()

    def send(self, *recipients, number=1):
        with submission(self.suite.port("submission")) as client:
            client.sendmail("alice@here.test", list(recipients), message(number, sender="alice@here.test"))

    def arrives(self, sink, recipient):
        return wait_for(lambda: next((m for m in sink.messages if recipient in m["recipients"]), None),
                        f"{recipient} gets it")

    def report(self, recipient, kind="Undelivered mail"):
        """The text of the delivery status part that names `recipient`."""
        mailbox = imap_login(self, self.suite)

        def found():
            for uid in uids(mailbox, "INBOX", "SUBJECT", f'"{kind}"'):
                text = email.message_from_bytes(mailbox.uid("fetch", str(uid), "(BODY.PEEK[])")[1][0][1])
                status = text.get_payload(1).as_string()
                if recipient in status:
                    return status
        return wait_for(found, f"a report about {recipient}")

    def test_hosts_are_found_as_dns_says(self):  # [RFC5321 5.1]
        for recipient, sink in (("a@far.test", self.near), ("a@implicit.test", self.near), ("a@backup.test", self.second),
                                ("a@[127.0.0.2]", self.near)):
            with self.subTest(recipient):
                self.send(recipient)
                self.assertEqual(self.arrives(sink, recipient)["sender"], "alice@here.test")

    @unittest.skipUnless(has_ipv6(), "this machine has no ::1")
    def test_ipv6_literals(self):  # [RFC5321 4.1.3]
        with Sink("::1", self.port) as sink:
            self.send("a@[IPv6:::1]")
            self.arrives(sink, "a@[IPv6:::1]")

    def test_hopeless_domains_come_back_at_once(self):
        for recipient, status, word in (("a@null.test", "5.1.10", "556"),  # [RFC7505 4.1]
                                        ("a@ours.test", "5.4.6", "leads back"),
                                        ("a@circle.test", "5.4.6", "loops back"),
                                        ("a@nohost.test", "5.4.4", "has an address"),
                                        ("a@missing.far.test", "5.1.2", "no domain")):
            with self.subTest(recipient):
                self.send(recipient)
                report = self.report(recipient)
                self.assertIn(f"Status: {status}\n", report)
                self.assertIn(word, report)
                self.assertIn("Diagnostic-Code: x-posthorn;", report)
        self.assertEqual(self.mirror.messages, [])

    def test_hosts_behind_us_are_never_tried(self):  # [RFC5321 5.1]
        self.send("a@behind.test")
        self.wait_deferred("a@behind.test", "refused")
        self.assertFalse([m for m in self.second.messages if "a@behind.test" in m["recipients"]])

    def wait_deferred(self, recipient, word):
        wait_for(lambda: word in self.suite.cli("queue", "list", recipient).stdout.lower(), f"{recipient} waits")

    def test_a_dns_failure_waits_and_the_sender_is_told(self):
        self.suite.cli("set", "settings", "delay_notice=1s")
        self.suite.settle()
        self.addCleanup(self.suite.cli, "set", "settings", "delay_notice=4h")
        self.send("a@elsewhere.test")  # a zone that nobody serves
        report = self.report("a@elsewhere.test", "Delayed mail")
        for field in ("Action: delayed\n", "Status: 4.4.3\n", "Will-Retry-Until: "):
            self.assertIn(field, report)
        self.wait_deferred("a@elsewhere.test", "dns does not tell")

    def test_each_recipient_has_its_own_fate(self):
        self.near.replies["RCPT"] = ["250 ok", "550 5.1.1 no such user", "451 4.2.0 later"]
        self.send("good@far.test", "bad@far.test", "late@far.test")
        self.assertEqual(self.arrives(self.near, "good@far.test")["recipients"], ["good@far.test"])
        report = self.report("bad@far.test")
        self.assertIn("Status: 5.1.1\nRemote-MTA: dns; mx.far.test\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n", report)
        self.assertNotIn("late@far.test", report)
        self.wait_deferred("late@far.test", "451 4.2.0 later")

    def test_one_connection_serves_message_after_message(self):
        self.send("first@far.test")
        self.arrives(self.near, "first@far.test")
        before = self.near.connections
        for number in range(3):
            self.send(f"next{number}@far.test")
            self.arrives(self.near, f"next{number}@far.test")
        self.assertLessEqual(self.near.connections - before, 1)  # none, unless this machine was very slow

    def test_tls_is_used_where_it_is_offered_and_a_bad_certificate_counts_where_it_matters(self):
        self.send("a@secure.test")
        self.assertTrue(self.arrives(self.secure, "a@secure.test")["tls"])
        # Nobody signed it.
        self.suite.cli("add", "route", "secure.test", "hosts=mx.secure.test", "verify=true")
        self.suite.settle()
        self.send("b@secure.test")
        self.wait_deferred("b@secure.test", "certificate")
        self.suite.cli("delete", "route", "secure.test")

    def test_postmaster_is_always_there(self):  # [RFC5321 4.5.1]
        with smtplib.SMTP("127.0.0.1", self.suite.port("smtp"), timeout=TIMEOUT) as client:
            client.sendmail("carol@far.test", ["postmaster@here.test"], message("to postmaster"))
            client.sendmail("carol@far.test", ["Postmaster"], message("to you"))
        mailbox = imap_login(self, self.suite)  # the oldest account
        wait_uids(mailbox, 1, "INBOX", "SUBJECT", '"message to postmaster"')
        wait_uids(mailbox, 1, "INBOX", "SUBJECT", '"message to you"')
        self.suite.cli("set", "settings", "postmaster=bob@here.test")
        self.suite.cli("add", "domain", "empty.test")
        self.suite.settle()
        with smtplib.SMTP("127.0.0.1", self.suite.port("smtp"), timeout=TIMEOUT) as client:
            client.sendmail("carol@far.test", ["postmaster@empty.test"], message("to bob"))
        wait_uids(imap_login(self, self.suite, "bob@here.test"), 1, "INBOX", "SUBJECT", '"message to bob"')


if __name__ == "__main__":
    unittest.main()
