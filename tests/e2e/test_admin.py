"""The `posthorn` command: objects, files, operators, the trace."""
import json
import os
import re
import smtplib
import subprocess
import unittest

import yaml

from tests.e2e.clients import imap_login, inject, message, run, wait_uids
from tests.e2e.harness import TIMEOUT, SuiteCase, free_port, wait_for


class Admin(SuiteCase):
    accounts = ("alice", "bob")

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
        self.assertIn("admin-service does not answer at 127.0.0.1:", unreachable.stderr.decode())

    def test_who_is_away_is_named_and_not_the_admin_service_that_says_so(self):
        port = free_port()
        result = self.suite.cli("store", "migrate", "--to", f"mysql://posthorn@127.0.0.1:{port}/posthorn", check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(f"127.0.0.1:{port}", result.stderr)
        self.assertNotIn("admin-service", result.stderr)

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


if __name__ == "__main__":
    unittest.main()
