"""All seven over TCP with certificates on both sides, renewed while they run; and what mail clients are shown."""
import contextlib
import smtplib
import ssl
import unittest

from tests.e2e.clients import imap_login, message, run, wait_uids
from tests.e2e.harness import PROCESSES, TIMEOUT, Suite, free_port, wait_for
from tests.e2e.processes import Alone, Process, tls_flags


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.suite = Suite()
        stack.callback(lambda: run("rm", "-rf", cls.suite.dir))
        cls.folder = cls.suite.dir / "certs"
        cls.certs("init", "--hosts", "localhost,127.0.0.1")
        cls.alone = Alone(cls.suite, stack, cls.folder).wait_ready()
        cls.admin = cls.alone.addresses["admin"]["cli"]
        cls.cli("add", "domain", "here.test")
        for name in ("alice", "bob"):
            cls.cli("add", "account", f"{name}@here.test", "password=secret")
        cls.sent = 0

    @classmethod
    def certs(cls, *arguments):
        return run(cls.suite.bin / "posthorn", "certs", *arguments, "--dir", cls.folder).stdout.decode()

    @classmethod
    def cli(cls, *arguments, owner="cli", check=True):
        return run(cls.suite.bin / "posthorn", "--admin", cls.admin, *map(str, tls_flags(cls.folder / owner)),
                   *arguments, check=check)

    def port(self, name):
        process = "smtp" if name.startswith("s") else name[:4]
        return self.alone.processes[f"{process}-gateway"].port(name)

    def send(self):
        with smtplib.SMTP("127.0.0.1", self.port("smtp"), timeout=TIMEOUT) as smtp:
            smtp.sendmail("c@far.test", ["alice@here.test"], message(1), mail_options=["BODY=8BITMIME"])
        type(self).sent += 1

    def assert_all_arrived(self):
        wait_uids(imap_login(self, None, port=self.port("imap")), self.sent)

    def reloads(self):
        return {name: process.metric("posthorn_process_certificate_reloads_total")
                for name, process in self.alone.processes.items()}

    def wait_reloaded(self, before):
        wait_for(lambda: all(now > before[name] for name, now in self.reloads().items()),
                 "every process uses its new certificate")

    def test_mail_flows_and_nobody_complains(self):
        self.send()
        self.assert_all_arrived()
        for name, process in self.alone.processes.items():
            with self.subTest(name):
                self.assertEqual([line for line in process.text().splitlines() if " error " in line], [])
                self.assertNotIn("rpc.plaintext", process.text())
                self.assertGreater(process.metric("posthorn_process_certificate_expiry_seconds"), 29 * 86400)

    def test_renewed_certificates_are_used_while_mail_flows(self):
        before = self.reloads()
        self.send()
        self.assertIn("store-service: good until", self.certs("renew", "--force", "--days", "30"))
        self.send()
        self.wait_reloaded(before)
        for _ in range(5):
            self.send()
        self.assert_all_arrived()
        self.assertLess(self.alone.processes["store-service"].metric("posthorn_process_certificate_expiry_seconds"),
                        31 * 86400)
        # Who comes anew comes with the new ones.
        self.assertIn("alice@here.test", self.cli("list", "account").stdout.decode())

    def test_status_says_whose_certificate_ends_soon(self):
        before = self.reloads()
        self.certs("renew", "--force", "--days", "10")
        self.wait_reloaded(before)
        wait_for(lambda: self.cli("status", check=False).stdout.count(b"expires in 9 days") >= len(PROCESSES),
                 "status names all")
        self.assertIn("rpc.certificate_expires", self.alone.processes["imap-gateway"].text())
        before = self.reloads()
        self.certs("renew", "--force")
        self.wait_reloaded(before)
        # What clients see is another test's.
        wait_for(lambda: b"other processes expires in" not in self.cli("status", check=False).stdout, "status is content")

    def test_the_authority_is_replaced_while_mail_flows(self):
        old = (self.folder / "cli" / "ca.crt").read_text()
        for step, said in (("--ca", "new authority"), ("--days=365", "good until"), ("--days=365", "trusted no more")):
            before = self.reloads()
            self.assertIn(said, self.certs("renew", step))
            self.send()
            self.wait_reloaded(before)
            self.send()
            self.cli("get", "settings")
        self.assertNotIn(old, (self.folder / "cli" / "ca.crt").read_text())
        self.assert_all_arrived()
        self.assertIn("nothing is due", self.certs("renew"))

    def test_who_comes_back_with_another_certificate_is_found_again(self):
        """The store is away while everybody's certificates change."""
        store = self.alone.processes["store-service"]
        store.process.kill()
        store.process.wait(TIMEOUT)
        self.certs("renew", "--force")
        with smtplib.SMTP("127.0.0.1", self.port("smtp"), timeout=TIMEOUT) as smtp:
            smtp.ehlo()
            smtp.mail("c@far.test")
            self.assertEqual(smtp.rcpt("alice@here.test")[0], 451)
        store.__enter__()
        store.wait_ready()

        def accepted():
            try:
                self.send()
                return True
            except smtplib.SMTPException:
                return False
        wait_for(accepted, "mail is accepted again")
        self.assert_all_arrived()

    def test_a_gateways_certificate_changes_no_configuration(self):
        (self.suite.dir / "evil.yaml").write_text("kind: domain\nname: evil.test\n")
        for command in (("add", "domain", "evil.test"), ("apply", "-f", self.suite.dir / "evil.yaml"),
                        ("get", "settings")):
            result = self.cli(*command, owner="smtp-gateway", check=False)
            self.assertEqual(result.returncode, 4, result.stderr)
            self.assertIn(b"smtp-gateway may not call", result.stderr)
        self.assertNotIn(b"evil", self.cli("list", "domain").stdout)

    def test_who_has_no_certificate_gets_nowhere(self):
        posthorn = [self.suite.bin / "posthorn", "--admin", self.admin, "--user", "admin", "--password-file",
                    self.suite.dir / "admin.password"]
        self.assertEqual(run(*posthorn, "list", "domain", check=False).returncode, 3)
        other = self.suite.dir / "other"
        run(self.suite.bin / "posthorn", "certs", "init", "--dir", other)
        stranger = run(*posthorn[:3], "--tls-cert", other, "list", "domain", check=False)
        self.assertEqual(stranger.returncode, 3, stranger.stderr)
        self.assertRegex(stranger.stderr.decode(), r"\Aposthorn: admin-service does not answer.*certificate verify failed\n\Z")
        # The folder alone says as much as three files.
        self.assertEqual(run(*posthorn[:3], "--tls-cert", self.folder, "list", "domain").returncode, 0)

    def test_a_process_refuses_to_run_with_anothers_certificate(self):
        with Process(self.suite, "pop3-gateway", *tls_flags(self.folder / "imap-gateway"), "--admin", self.admin) as wrong:
            self.assertEqual(wrong.process.wait(TIMEOUT), 1)
            self.assertIn("belongs to imap-gateway", wrong.text())

    def test_a_server_that_is_somebody_else_is_not_believed(self):
        """The store's address answered by a process with a good certificate of another name."""
        address = f"127.0.0.1:{free_port()}"
        others = [flag for word in ("store", "admin") for flag in (f"--{word}", self.alone.addresses[word]["smtp-gateway"])]
        with Process(self.suite, "spam-service", *tls_flags(self.folder / "spam-service"), *others, "--listen", address) as spam:
            spam.wait_ready()
            result = run(self.suite.bin / "posthorn", "--admin", address, "--tls-cert", self.folder, "list", "domain",
                         check=False)
            self.assertEqual(result.returncode, 3, result.stderr)

    def shown(self):
        """What each of the gateways' TLS ports shows a client that connects now."""
        return {name: ssl.get_server_certificate(("127.0.0.1", self.port(name)), timeout=TIMEOUT).strip()
                for name in ("submissions", "imaps", "pop3s")}

    def test_a_listeners_new_certificate_is_shown_to_the_next_client(self):
        session = imap_login(self, None, port=self.port("imap"))
        before = self.shown()
        self.assertEqual(len(set(before.values())), 1)
        chain, key = self.suite.dir / "mail.pem", self.suite.dir / "mail.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=mail.here.test", "-addext", "subjectAltName=DNS:mail.here.test", "-keyout", key, "-out", chain)
        self.cli("set", "certificate", "default", f"chain={chain.read_text()}", f"key={key.read_text()}")
        new = chain.read_text().strip()
        wait_for(lambda: set(self.shown().values()) == {new}, "every port shows the new certificate")
        with smtplib.SMTP("127.0.0.1", self.port("submission"), timeout=TIMEOUT) as smtp:
            smtp.starttls()
            self.assertEqual(ssl.DER_cert_to_PEM_cert(smtp.sock.getpeercert(True)).strip(), new)
        self.assertEqual(session.noop()[0], "OK")  # who was there stays

    def test_each_process_has_a_certificate(self):
        text = self.certs("show")
        for name in (*PROCESSES, "cli"):
            self.assertRegex(text, rf"(?m)^{name} +{name}\.posthorn +\d+ +-$")


if __name__ == "__main__":
    unittest.main()
