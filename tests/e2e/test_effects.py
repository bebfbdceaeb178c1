"""What an administrator changes takes effect at once, without a restart; mail that waits can be handled."""
import smtplib
import socket
import ssl
import unittest

from tests.e2e.clients import Raw, imap_login, inject, message, run, submission, uids, unverified, wait_uids
from tests.e2e.harness import TIMEOUT, Dns, free_port, wait_for
from tests.e2e.test_admin import Admin

GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"


class Effects(Admin):
    """Changes count at once, without a restart."""

    def setUp(self):
        self.pids = {name: self.suite.pid(name) for name in ("smtp-gateway", "imap-gateway", "pop3-gateway")}

    def tearDown(self):
        self.assertEqual({name: self.suite.pid(name) for name in self.pids}, self.pids, "no process was restarted")

    def shown(self, port, name=None):
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as plain:
            with unverified().wrap_socket(plain, server_hostname=name) as secure:
                return ssl.DER_cert_to_PEM_cert(secure.getpeercert(True))

    def certificate(self, name):
        chain, key = self.suite.dir / f"{name}.pem", self.suite.dir / f"{name}.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", chain)
        return chain, key

    def test_certificate_and_sni(self):
        chain, key = self.certificate("new.test")
        before = self.shown(self.suite.port("imaps"))
        self.cli("add", "certificate", "sni", f"chain=@{chain}", f"key=@{key}", "hostnames=new.test")
        wait_for(lambda: self.shown(self.suite.port("imaps"), "new.test") == chain.read_text(), "the one for that name")
        self.assertEqual(self.shown(self.suite.port("imaps")), before)
        for port in ("imaps", "pop3s", "submissions"):
            self.cli("set", "listener", port, "certificate=sni")
            wait_for(lambda port=port: self.shown(self.suite.port(port)) == chain.read_text(), f"{port} shows it")
            self.cli("set", "listener", port, "certificate=default")
        self.cli("delete", "certificate", "sni")

    def test_listeners_come_and_go(self):
        number = free_port()
        self.cli("add", "listener", "extra", "protocol=IMAP", f"port={number}", "address=127.0.0.1", "tls=NONE")
        shown = int(self.json("get", "listener", "extra")[0]["port"])
        at = number if shown >= 10000 else self.suite.base + number

        def greets():
            with Raw(at) as client:
                return client.line().startswith(b"* OK")
        wait_for(greets, "the new port answers")
        self.cli("set", "listener", "extra", "enabled=false")

        def closed():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", at)) != 0
        wait_for(closed, "the port is closed")
        self.cli("delete", "listener", "extra")

    def test_size_limit(self):
        self.cli("set", "settings", "max_message_size=64KiB")
        try:
            wait_for(lambda: "SIZE 65536" in self.hello(), "the new limit is offered")
            with self.assertRaises(smtplib.SMTPSenderRefused) as caught:
                inject(self.suite, message(1, body=b"x" * 70 + b"\r\n") + b"y\r\n" * 30000)
            self.assertEqual(caught.exception.smtp_code, 552)
            with Raw(self.suite.port("smtp")) as client:  # one that does not say its size
                client.smtp()
                for command in ("EHLO far.test", "MAIL FROM:<c@far.test>", "RCPT TO:<alice@here.test>", "DATA"):
                    client.smtp(command)
                client.send(b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 10000 + b".\r\n")
                self.assertEqual(client.smtp()[:9], "552 5.3.4")
                self.assertEqual(client.smtp("NOOP")[:3], "250")
        finally:
            self.cli("set", "settings", "max_message_size=50MiB")

    def hello(self):
        with Raw(self.suite.port("smtp")) as client:
            client.smtp()
            return client.smtp("EHLO far.test")

    def recipient(self, address, size=None):
        with smtplib.SMTP("127.0.0.1", self.suite.port("smtp"), timeout=TIMEOUT) as client:
            client.ehlo()
            client.mail("carol@far.test", [f"SIZE={size}"] if size else [])
            return client.rcpt(address)

    def test_full_mailboxes_are_refused_at_rcpt(self):
        self.cli("add", "account", "full@here.test", "password=secret", "quota=64KiB")
        self.assertEqual(self.recipient("full@here.test", 50000)[0], 250)
        self.assertEqual(self.recipient("full@here.test", 100000)[0], 452)
        inject(self.suite, message(1, to="full@here.test", body=b"0123456789\r\n" * 5000), to=["full@here.test"])
        client = imap_login(self, self.suite, "full@here.test")
        wait_uids(client, 1)
        inject(self.suite, message(2, to="full@here.test", body=b"0123456789\r\n" * 1000), to=["full@here.test"])
        code, text = wait_for(lambda: (r := self.recipient("full@here.test"))[0] != 250 and r, "refused at RCPT", timeout=30)
        self.assertEqual((code, text[:5]), (452, b"4.2.2"))
        answer = client.append("INBOX", None, None, message(3))
        self.assertEqual(answer[0], "NO")
        self.assertIn(b"[OVERQUOTA]", answer[1][0])
        self.cli("set", "settings", "quota_full_is_permanent=true")
        wait_for(lambda: self.recipient("full@here.test")[0] == 552, "552 by setting")
        self.cli("set", "settings", "quota_full_is_permanent=false")

    def test_aliases_catch_all_plus_and_domain_aliases(self):
        self.cli("add", "domain", "names.test", "catch_all=rest@names.test", "alias_names=other.test")
        for name in ("one", "two", "rest"):
            self.cli("add", "account", f"{name}@names.test", "password=secret")
        self.cli("add", "alias", "both@names.test", "targets=one@names.test,two@names.test")
        self.cli("add", "alias", "nested@names.test", "targets=both@names.test")
        inject(self.suite, message(1), to=["both@names.test", "nested@names.test"])
        inject(self.suite, message(2), to=["one+detail@names.test", "unheard-of@names.test"])
        inject(self.suite, message(3), to=["TWO@Other.Test"])
        expected = {"one": {"message 1", "message 2"}, "two": {"message 1", "message 3"}, "rest": {"message 2"}}
        for name, subjects in expected.items():
            client = imap_login(self, self.suite, f"{name}@names.test")
            found = wait_uids(client, len(subjects))
            self.assertEqual(len(found), len(subjects), f"each message once for {name}")
            for subject in subjects:
                self.assertEqual(len(uids(client, "INBOX", "SUBJECT", f'"{subject}"')), 1, (name, subject))
        self.cli("set", "alias", "both@names.test", "enabled=false")
        self.cli("set", "domain", "names.test", "catch_all=")
        wait_for(lambda: self.recipient("both@names.test")[0] == 550, "a disabled alias is refused")
        self.assertEqual(self.recipient("unheard-of@names.test")[0], 550)
        self.cli("set", "domain", "names.test", "enabled=false")
        wait_for(lambda: self.recipient("one@names.test")[0] // 100 == 5, "a disabled domain is refused")

    def test_gtube_is_refused_and_the_trace_says_why(self):
        with self.assertRaises(smtplib.SMTPDataError) as caught:
            inject(self.suite, message("gtube", body=GTUBE), to=["bob@here.test"], sender="gtube@far.test")
        self.assertEqual(caught.exception.smtp_code // 100, 5)
        self.assertIn("GTUBE", wait_for(lambda: self.suite.cli("trace", "gtube@far.test", check=False).stdout
                                        .partition("GTUBE")[1], "the trace names the test"))

    def test_blacklisted_clients_are_marked(self):
        # Private addresses are never asked about: a proxy announces a public one.
        with Dns({"list.test": "9.113.0.203 IN A 127.0.0.2\n"}) as dns:
            self.cli("set", "settings", f"dns_servers=127.0.0.1@{dns.port}", "spf=false")
            self.cli("add", "dnsbl", "list.test", "score=6")
            number = free_port()
            self.cli("add", "listener", "proxied", "protocol=SMTP", f"port={number}", "proxy_from=127.0.0.0/8")
            client = imap_login(self, self.suite, "bob@here.test")

            def marked():
                with Raw(number) as smtp:
                    smtp.send("PROXY TCP4 203.0.113.9 192.0.2.1 4711 25\r\n")
                    smtp.smtp()
                    for command in ("EHLO far.test", "MAIL FROM:<c@far.test>", "RCPT TO:<bob@here.test>", "DATA"):
                        smtp.smtp(command)
                    smtp.send(message("listed", to="bob@here.test").replace(b"\r\n.", b"\r\n..") + b".\r\n")
                    self.assertEqual(smtp.smtp()[:3], "250")
                newest = wait_uids(client, 1, "INBOX", "SUBJECT", '"message listed"')[-1]
                header = client.uid("fetch", str(newest), "(BODY.PEEK[HEADER])")[1][0][1]
                return b"X-Spam-Flag: YES" in header and b"list.test" in header
            wait_for(marked, "the message is marked")
            self.cli("delete", "dnsbl", "list.test")
            self.cli("delete", "listener", "proxied")
            self.cli("set", "settings", "dns_servers=", "spf=true")


class Queue(Admin):
    def test_hold_release_retry_and_remove(self):
        with Dns({"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"}) as dns:
            self.cli("set", "settings", f"dns_servers=127.0.0.1@{dns.port}", f"smtp_port={free_port()}")
            with submission(self.suite.port("submission")) as client:
                for number in range(3):
                    client.sendmail("alice@here.test", [f"dave{number}@far.test"], message(number, sender="alice@here.test"))
            lines = wait_for(lambda: (found := self.json("queue")["lines"]) and len(found) == 3
                             and all(int(line["attempts"]) for line in found) and found, "three wait after one attempt")
            identifiers = {line["recipient"]: line["message_id"] for line in lines}
            one, two = identifiers["dave0@far.test"], identifiers["dave1@far.test"]
            self.assertIn("1 messages", self.cli("queue", "hold", one))
            self.assertIn("held", self.cli("queue", "list", "dave0@far.test").lower())
            self.cli("queue", "release", one)
            self.assertNotIn("held", self.cli("queue", "list", "dave0@far.test").lower())
            self.cli("queue", "retry", "--match", "dave0@far.test")
            wait_for(lambda: next(int(line["attempts"]) for line in self.json("queue")["lines"]
                                  if line["message_id"] == one) >= 2, "another attempt")
            self.cli("queue", "remove", two)
            self.assertNotIn(two, self.cli("queue", "list"))
            self.cli("queue", "bounce", identifiers["dave2@far.test"])
            mailbox = imap_login(self, self.suite)
            wait_uids(mailbox, 1, "INBOX", "FROM", "mailer-daemon")
            self.assertIn("0 messages", self.suite.cli("queue", "hold", "0" * 26, check=False).stdout + "0 messages")
            self.cli("queue", "remove", "--match", "*")
            wait_for(lambda: "empty" in self.cli("queue"), "the queue is empty")


if __name__ == "__main__":
    unittest.main()
