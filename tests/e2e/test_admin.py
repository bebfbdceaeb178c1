"""The `posthorn` command, and that what it changes takes effect."""
import json
import os
import re
import smtplib
import socket
import ssl
import subprocess
import unittest

import yaml

from tests.e2e.clients import Raw, imap_login, inject, message, run, uids, unverified, wait_uids
from tests.e2e.harness import TIMEOUT, Dns, Suite, free_port, wait_for

GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"


class Admin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = Suite()
        cls.addClassCleanup(cls.suite.__exit__)
        cls.suite.start()
        cls.suite.add_accounts("here.test", "alice", "bob")

    def cli(self, *arguments, **options):
        return self.suite.cli(*arguments, **options).stdout

    def refused(self, *arguments, code=1, **options):
        """What the command complained; it must have failed with `code`."""
        result = self.suite.cli(*arguments, check=False, **options)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stderr

    def remote(self, *arguments, user="admin", password=None, environment=None, check=True, stdin=None):
        """The command as somebody elsewhere would run it: over TCP, with a password."""
        password = password if password is not None else (self.suite.dir / "admin.password").read_text().strip()
        result = subprocess.run([self.suite.bin / "posthorn", "--admin", self.suite.endpoints["ADMIN_ADDRESS"], "--user",
                                 user, *arguments], env={**os.environ, "POSTHORN_PASSWORD": password, **(environment or {})},
                                capture_output=True, text=True, timeout=TIMEOUT, input=stdin)
        if check:
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result

    def json(self, *arguments):
        return json.loads(self.cli(*arguments, "--output", "json"))


class Objects(Admin):
    def test_add_get_set_list_delete(self):
        self.cli("add", "account", "carl@here.test", "full_name=Carl C", "quota=25MiB")
        shown = self.cli("get", "account", "carl@here.test")
        self.assertRegex(shown, r"(?m)^quota +25 MiB$")
        self.assertRegex(shown, r"(?m)^full_name +Carl C$")
        self.cli("set", "account", "carl@here.test", "quota=1GiB", "--reason", "he asked")
        self.assertEqual(int(self.json("get", "account", "carl@here.test")[0]["quota"]), 1 << 30)
        self.assertIn("carl@here.test", self.cli("list", "account"))
        self.assertNotIn("alice@here.test", self.cli("list", "account", "carl"))
        self.assertIn("he asked", self.cli("history"))
        self.cli("delete", "account", "carl@here.test")
        self.assertIn("carl@here.test", self.refused("get", "account", "carl@here.test"))
        self.cli("add", "alias", "list@here.test", "targets=alice@here.test,bob@here.test")
        self.cli("set", "alias", "list@here.test", "targets-=bob@here.test", "targets+=x@far.test")
        self.assertEqual(self.json("get", "alias", "list@here.test")[0]["targets"], ["alice@here.test", "x@far.test"])
        self.cli("delete", "alias", "list@here.test")

    def test_json_and_yaml_can_be_read_by_programs(self):
        found = yaml.safe_load(self.cli("get", "account", "alice@here.test", "--output", "yaml"))
        self.assertEqual((found["kind"], found["address"]), ("account", "alice@here.test"))
        self.assertEqual(self.json("get", "settings")[0]["kind"], "settings")
        self.assertLessEqual({"alice@here.test", "bob@here.test"}, {a["address"] for a in self.json("list", "account")})
        status = self.json("status")
        self.assertEqual((len(status["processes"]), all(p["ready"] for p in status["processes"])), (7, True))
        documents = [d for d in yaml.safe_load_all(self.cli("export")) if d]
        self.assertLessEqual({"account", "domain", "listener", "certificate", "settings", "network", "administrator"},
                             {document["kind"] for document in documents})

    def test_secrets_are_never_shown(self):
        for text in (self.cli("get", "certificate", "default"), self.cli("export"),
                     self.cli("get", "account", "alice@here.test", "--output", "json"), self.cli("diff", "1")):
            self.assertNotIn("PRIVATE KEY", text)
            self.assertNotIn("argon2", text.lower())
            self.assertNotRegex(text, r"\bsecret\b")
        self.assertIn('key: "********"', self.cli("export"))
        self.assertNotIn("secret", self.suite.log())

    def test_wrong_values_are_explained(self):
        for arguments, *expected in (
                (("set", "account", "alice@here.test", "quotta=5"), "quotta", "did you mean", "quota"),
                (("set", "account", "alice@here.test", "quota=lots"), "account.quota", "lots", "25 MiB"),
                (("set", "settings", "max_message_size=1KiB"), "max_message_size", "64 KiB"),
                (("set", "settings", "tarpit=2h"), "tarpit", "30s"),
                (("add", "account", "no-address"), "address", "no-address"),
                (("add", "account", "a@elsewhere.test"), "elsewhere.test"),
                (("add", "account", "alice@here.test"), "alice@here.test"),
                (("add", "alias", "alice@here.test", "targets=bob@here.test"), "alice@here.test"),
                (("add", "listener", "other", "protocol=IMAPP", "port=1430"), "IMAPP", "IMAP"),
                (("set", "listener", "imap", "certificate=missing"), "missing"),
                (("set", "listener", "imap", "proxy_from=1.2.3.4/40"), "proxy_from", "0 to 32"),
                (("set", "certificate", "default", "chain=nonsense"), "chain"),
                (("delete", "certificate", "default"), "listener"),
                (("delete", "domain", "here.test"), "here.test"),
                (("get", "acount"), "acount", "account"),
                (("set", "account", "alice@here.test", "enabled=maybe"), "enabled", "true")):
            with self.subTest(arguments=arguments):
                text = self.refused(*arguments)
                for word in expected:
                    self.assertIn(word, text)
                self.assertNotIn("INVALID_ARGUMENT", text)
        self.refused("sett", "account", code=2)
        self.refused("set", code=2)

    def test_apply_diff_history_rollback(self):
        path = self.suite.dir / "wanted.yaml"
        path.write_text("---\nkind: domain\nname: apply.test\n---\nkind: account\naddress: a@apply.test\npassword: secret\n"
                        "quota: 10 MiB\n---\nkind: settings\ntarpit: 2s\n")
        before = int(self.json("status")["revision"])
        self.assertIn("a@apply.test", self.cli("apply", "-f", path, "--dry-run"))
        self.assertIn("apply.test", self.cli("diff", "-f", path))
        self.assertEqual(int(self.json("status")["revision"]), before, "a dry run changes nothing")
        self.refused("get", "domain", "apply.test")
        self.cli("apply", "-f", path, "--reason", "three at once")
        self.assertEqual(int(self.json("status")["revision"]), before + 1, "one revision")
        self.assertRegex(self.cli("history"), rf"(?m)^{before + 1} .* 3 +three at once$")
        self.assertIn("tarpit 1s -> 2s", self.cli("diff", before, before + 1))
        imap_login(self, self.suite, "a@apply.test")
        self.cli("rollback", before)
        self.assertRegex(self.cli("get", "settings"), r"(?m)^tarpit +1s$")
        self.cli("get", "account", "a@apply.test")  # nobody's mail goes unless asked for
        self.cli("rollback", before, "--prune")
        self.refused("get", "account", "a@apply.test")
        path.write_text("kind: account\naddress: b@here.test\nquotta: 5\n")
        text = self.refused("apply", "-f", path)
        self.assertRegex(text, r"wanted\.yaml:3")
        self.assertIn('"quota"', text)
        path.write_text("kind: domain\nname: ok.test\n---\nkind: account\naddress: x@nowhere.test\n")
        self.refused("apply", "-f", path)
        self.refused("get", "domain", "ok.test")

    def test_what_was_exported_can_be_applied(self):
        exported = self.cli("export")
        self.assertNotRegex(self.cli("apply", "-f", "-", "--dry-run", stdin=exported), r"(?m)^[-+~] ")

    def test_explain_and_completion(self):
        self.assertIn("quota", self.cli("explain", "account"))
        self.assertIn("25 MiB", self.cli("explain", "account.quota"))
        self.assertIn("STARTTLS_REQUIRED", self.cli("explain", "listener.tls"))
        self.assertIn("Who you are", self.cli("--help") + self.cli("explain", "--help"))
        script = self.cli("completion", "bash")
        path = self.suite.dir / "completion.bash"
        path.write_text(script)
        for line, expected in (("posthorn ", {"get", "set", "trace", "queue"}), ("posthorn get acc", {"account"}),
                               ("posthorn explain account.", {"quota", "password"}),
                               ("posthorn set account alice@here.test quo", {"quota="})):
            with self.subTest(line=line):
                result = run("bash", "-c", f'PATH="{self.suite.bin}:$PATH"; export POSTHORN_DIR="{self.suite.dir}"; '
                             f'. "{path}"; COMP_LINE="$1" COMP_POINT=${{#1}}; _posthorn; printf "%s\\n" "${{COMPREPLY[@]}}"',
                             "bash", line)
                offered = {re.sub(r"^.*\.", "", word.strip()) for word in result.stdout.decode().splitlines()}
                self.assertLessEqual(expected, offered)


class Operators(Admin):
    def test_passwords_tokens_and_roles(self):
        self.assertIn("alice@here.test", self.remote("list", "account").stdout)
        wrong = self.remote("list", "account", password="wrong", check=False)
        self.assertEqual(wrong.returncode, 4, wrong.stderr)
        self.assertEqual(self.remote("list", "account", user="nobody", check=False).returncode, 4)
        token = self.remote("login").stdout.strip()
        by_token = subprocess.run([self.suite.bin / "posthorn", "--admin", self.suite.endpoints["ADMIN_ADDRESS"], "status"],
                                  env={**os.environ, "POSTHORN_TOKEN": token}, capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual(by_token.returncode, 0, by_token.stderr)
        self.cli("add", "administrator", "rita", "password=readonly", "role=READER")
        self.assertIn("alice@here.test", self.remote("list", "account", user="rita", password="readonly").stdout)
        for arguments in (("set", "settings", "tarpit=3s"), ("queue", "remove", "--match", "*"),
                          ("apply", "-f", "-"), ("rollback", "1")):
            result = self.remote(*arguments, user="rita", password="readonly", check=False,
                                 stdin="kind: domain\nname: rita.test\n")
            self.assertEqual(result.returncode, 4, (arguments, result.stdout, result.stderr))
        self.cli("delete", "administrator", "rita")
        self.assertEqual(self.remote("status", user="rita", password="readonly", check=False).returncode, 4)
        unreachable = run(self.suite.bin / "posthorn", "--admin", f"127.0.0.1:{free_port()}", "status", check=False,
                          env={**os.environ, "POSTHORN_PASSWORD": "x"})
        self.assertEqual(unreachable.returncode, 3)

    def test_passwd(self):
        self.cli("add", "account", "pat@here.test")
        with self.assertRaises(Exception):
            imap_login(self, self.suite, "pat@here.test", "first")
        self.suite.cli("passwd", "pat@here.test", stdin="first\nfirst\n")
        imap_login(self, self.suite, "pat@here.test", "first")
        self.suite.cli("passwd", "admin", stdin="changed\nchanged\n")
        self.remote("status", password="changed")
        password = (self.suite.dir / "admin.password").read_text().strip()
        self.suite.cli("passwd", "admin", stdin=f"{password}\n{password}\n")

    def test_the_author_of_a_change_is_kept(self):
        self.remote("add", "domain", "author.test")
        self.assertRegex(self.cli("history", "--limit", "1"), r"(?m)^\d+ .* admin ")

    def test_store_check_is_clean(self):
        inject(self.suite, message(1))
        wait_uids(imap_login(self, self.suite), 1)
        result = self.suite.cli("store", "check")
        self.assertNotIn("PROBLEM", result.stdout)

    def test_trace_by_id_address_and_words(self):
        with smtplib.SMTP("127.0.0.1", self.suite.port("smtp"), timeout=TIMEOUT) as client:
            client.ehlo()
            client.mail("carol@far.test")
            client.rcpt("bob@here.test")
            reply = client.data(message("traced", to="bob@here.test"))[1].decode()
        identifier = re.search(r"queued as ([0-9A-Z]{26})", reply)[1]

        def story():
            text = self.suite.cli("trace", identifier, check=False).stdout
            return text if "stored" in text.lower() else None
        text = wait_for(story, "the story ends in a mailbox")
        self.assertIn("carol@far.test", text)
        self.assertIn("bob@here.test", text)
        for asked in ("bob@here.test", "message traced"):
            self.assertIn(identifier, self.cli("trace", asked))
        self.assertIn("nothing", self.suite.cli("trace", "nobody@nowhere.test", check=False).stdout)


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
            with smtplib.SMTP("127.0.0.1", self.suite.port("submission"), timeout=TIMEOUT) as client:
                client.starttls()
                client.login("alice@here.test", "secret")
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
