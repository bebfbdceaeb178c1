"""One mail, from SMTP to whatever reads mailboxes, and out to the world."""
import imaplib
import poplib
import re
import smtplib
import subprocess
import unittest

from tests.e2e.clients import certificate_file, is_below, run, submission
from tests.e2e.harness import Dns, Sink, Suite, SuiteCase, wait_for

MESSAGE = (b"From: Carol <carol@far.test>\r\nTo: alice@here.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
           b"Date: Sat, 21 Nov 2026 10:00:00 +0100\r\nMessage-ID: <one@far.test>\r\nMIME-Version: 1.0\r\n"
           b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
           b"Stra\xc3\x9fe\r\n.\r\n..two dots\r\n\r\nlast line\r\n")


class MailPath(SuiteCase):
    accounts = ("alice", "bob")

    def imap(self, user="alice@here.test", password="secret"):
        client = imaplib.IMAP4("127.0.0.1", self.suite.port("imap"))
        self.addCleanup(client.shutdown)
        client.login(user, password)
        return client

    def send(self, message=MESSAGE, sender="carol@far.test", to=("alice@here.test",)):
        with smtplib.SMTP("127.0.0.1", self.suite.port("smtp")) as client:
            return client.sendmail(sender, list(to), message, mail_options=["BODY=8BITMIME"])

    def wait_message(self, client, mailbox="INBOX", search="ALL", count=1):
        def found():
            client.select(mailbox)
            numbers = client.uid("search", None, search)[1][0].split()
            return numbers if len(numbers) >= count else None
        return wait_for(found, f"{count} messages in {mailbox}")

    def test_bytes_arrive_unchanged_over_imap_and_pop3(self):
        self.send()
        client = self.imap()
        uid = self.wait_message(client)[-1]
        data = client.uid("fetch", uid, "(BODY.PEEK[] RFC822.SIZE)")[1]
        self.assertTrue(is_below(data[0][1], MESSAGE), data[0][1][:2000])
        self.assertIn(b"Return-Path: <carol@far.test>\r\n", data[0][1])
        self.assertIn(b"Delivered-To: alice@here.test\r\n", data[0][1])
        pop = poplib.POP3("127.0.0.1", self.suite.port("pop3"))
        pop.user("alice@here.test")
        pop.pass_("secret")
        count = pop.stat()[0]
        lines = pop.retr(count)[1]
        self.assertEqual(b"\r\n".join(lines) + b"\r\n", data[0][1])
        pop.quit()

    def test_swaks_to_mbsync_fetchmail_and_curl_byte_for_byte(self):
        self.suite.cli("add", "account", "dan@here.test", "password=secret")
        source = self.suite.dir / "dan.eml"
        source.write_bytes(MESSAGE.removesuffix(b"\r\n"))  # swaks adds the last line's end itself
        result = run("swaks", "--server", "127.0.0.1", "--port", self.suite.port("smtp"), "--from", "carol@far.test",
                     "--to", "dan@here.test", "--data", f"@{source}")
        self.assertRegex(result.stdout.decode(), r"<-  250 2\.0\.0 OK queued as [0-9A-Z]{26}")
        self.wait_message(self.imap("dan@here.test"))
        by_curl = run("curl", "-sk", "--user", "dan@here.test:secret",
                      f"imaps://127.0.0.1:{self.suite.port('imaps')}/INBOX;MAILINDEX=1").stdout
        self.assertTrue(is_below(by_curl, MESSAGE), by_curl)
        # Both of these keep mail with bare LF in files.
        expected = by_curl.replace(b"\r\n", b"\n")
        self.assertEqual(self.by_mbsync("dan@here.test"), expected)
        self.assertEqual(self.by_fetchmail("dan@here.test"), expected)

    def by_mbsync(self, user):
        folder = self.suite.dir / "mbsync"
        folder.mkdir()
        config = self.suite.dir / "mbsyncrc"
        config.write_text(f"IMAPAccount a\nHost localhost\nPort {self.suite.port('imaps')}\nUser {user}\nPass secret\n"
                          f"SSLType IMAPS\nCertificateFile {certificate_file(self.suite)}\n\nIMAPStore far\nAccount a\n\n"
                          f"MaildirStore near\nInbox {folder}/INBOX\nPath {folder}/\n\n"
                          "Channel c\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSync Pull\nSyncState *\n")
        run("mbsync", "-c", config, "-a")
        [path] = (folder / "INBOX" / "cur").iterdir()  # curl has read it
        return re.sub(rb"(?m)^X-TUID: .*\n", b"", path.read_bytes())

    def by_fetchmail(self, user):
        config, target = self.suite.dir / "fetchmailrc", self.suite.dir / "fetched"
        config.write_text(f"poll 127.0.0.1 proto pop3 port {self.suite.port('pop3')}\n  user {user} password secret keep\n"
                          f"  no rewrite sslproto '' mda \"cat > {target}\"\n")
        config.chmod(0o600)
        run("fetchmail", "-f", config, "--invisible", "--idfile", self.suite.dir / "ids", "--pidfile",
            self.suite.dir / "fetchmail.pid")
        return target.read_bytes()

    def test_submission_by_auth_starttls_and_implicit_tls(self):
        login = ("--auth-user", "alice@here.test", "--auth-password", "secret", "--from", "alice@here.test", "--to",
                 "bob@here.test")
        for port, tls in (("submission", "--tls"), ("submissions", "--tls-on-connect")):
            for mechanism in ("PLAIN", "LOGIN"):
                with self.subTest(port=port, mechanism=mechanism):
                    subject = f"Subject: by {port} {mechanism}"
                    run("swaks", "--server", "127.0.0.1", "--port", self.suite.port(port), tls, "--auth", mechanism,
                        *login, "--header", subject)
                    client = self.imap("bob@here.test")
                    uid = self.wait_message(client, search=f'SUBJECT "by {port} {mechanism}"')[0]
                    received = client.uid("fetch", uid, "(BODY[HEADER.FIELDS (RECEIVED)])")[1][0][1]
                    self.assertIn(b"with ESMTPSA", received)
        with submission(self.suite.port("submission")) as client:
            self.assertEqual(client.mail("bob@here.test")[0] // 100, 5, "somebody else's address")

    def test_addresses_in_utf8(self):
        self.suite.cli("add", "domain", "gr\u00fcn.test")
        address = "j\u00f6rg@gr\u00fcn.test"
        self.suite.cli("add", "account", address, "password=secret")
        text = f"From: <carol@far.test>\r\nTo: J\u00f6rg <{address}>\r\nSubject: f\u00fcr dich\r\n\r\nHallo\r\n".encode()
        with smtplib.SMTP("127.0.0.1", self.suite.port("smtp"), local_hostname="far.test") as client:
            client.sendmail("\u7528\u6237@far.test", [address], text, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
            client.ehlo()
            # The same mailbox by the domain's A-label.
            client.sendmail("carol@far.test", ["j\u00f6rg@xn--grn-ioa.test"], text,
                            mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        client = imaplib.IMAP4("127.0.0.1", self.suite.port("imap"))
        self.addCleanup(client.shutdown)
        client.authenticate("PLAIN", lambda _: f"\0{address}\0secret".encode())
        for uid in self.wait_message(client, count=2):
            data = client.uid("fetch", uid, "(BODY[])")[1][0][1]
            self.assertTrue(is_below(data, text), data)

    def test_swaks_is_told_250_and_curl_reads_it(self):
        result = subprocess.run(
            ["swaks", "--server", "127.0.0.1", "--port", str(self.suite.port("submission")), "--tls", "--auth", "PLAIN",
             "--auth-user", "bob@here.test", "--auth-password", "secret", "--from", "bob@here.test", "--to",
             "bob@here.test", "--header", "Subject: from swaks"], capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"<~  250 2\.0\.0 OK queued as [0-9A-Z]{26}")
        client = self.imap("bob@here.test")
        uid = self.wait_message(client, search='SUBJECT "from swaks"')[0]
        listed = subprocess.run(
            ["curl", "-sk", "--user", "bob@here.test:secret",
             f"imaps://127.0.0.1:{self.suite.port('imaps')}/INBOX;UID={uid.decode()}"], capture_output=True, timeout=60)
        self.assertIn(b"Subject: from swaks", listed.stdout)

    def test_strangers_cannot_relay_and_unknown_users_are_refused(self):
        with smtplib.SMTP("127.0.0.1", self.suite.port("smtp")) as client:
            client.ehlo("c.far.test")
            client.mail("carol@far.test")
            self.assertEqual(client.rcpt("dave@far.test")[0], 550)
            code, text = client.rcpt("nobody@here.test")
            self.assertEqual((code, text[:5]), (550, b"5.1.1"))

    def test_trace_tells_the_story(self):
        self.send(MESSAGE.replace(b"one@far", b"traced@far"))
        client = self.imap()
        self.wait_message(client, search='HEADER Message-ID "traced@far.test"')
        story = wait_for(lambda: next((s for s in [self.suite.cli("trace", "alice@here.test").stdout]
                                       if "stored" in s.lower()), None), "the trace says stored")
        self.assertIn("carol@far.test", story)


class Remote(unittest.TestCase):
    def test_mail_leaves_by_mx_and_dead_hosts_bounce(self):
        with Sink() as sink, Dns({"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1\n",
                                  "gone.test": "other IN A 127.0.0.1\n"}) as dns, Suite() as suite:
            suite.cli("set", "settings", f"dns_servers=127.0.0.1@{dns.port}", f"smtp_port={sink.port}")
            suite.add_accounts("here.test", "alice")
            with submission(suite.port("submission")) as client:
                client.sendmail("alice@here.test", ["dave@far.test"], MESSAGE)
                client.sendmail("alice@here.test", ["eve@nowhere.gone.test"], MESSAGE)
            message = wait_for(lambda: sink.messages and sink.messages[0], "the sink has it")
            self.assertEqual((message["sender"], message["recipients"]), ("alice@here.test", ["dave@far.test"]))
            self.assertTrue(is_below(message["data"], MESSAGE))
            client = imaplib.IMAP4("127.0.0.1", suite.port("imap"))
            client.login("alice@here.test", "secret")

            def bounce():
                client.select()
                found = client.uid("search", None, "FROM", "mailer-daemon")[1][0].split()
                return found and client.uid("fetch", found[0], "(BODY[])")[1][0][1]
            text = wait_for(bounce, "a bounce arrives")
            self.assertIn(b"message/delivery-status", text)
            self.assertIn(b"eve@nowhere.gone.test", text)
            client.shutdown()


if __name__ == "__main__":
    unittest.main()
