"""The suite with its messages in an object store that checks every signature and fails on demand."""
import contextlib
import re
import smtplib
import subprocess
import sys
import unittest

from tests.e2e.clients import imap_login, message, run, wait_uids
from tests.e2e.harness import ROOT, TIMEOUT, Suite, wait_for
from tests.e2e.processes import Alone, tls_flags
from tests.s3 import strict_server


class ObjectStore(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.suite = Suite()
        stack.callback(lambda: run("rm", "-rf", cls.suite.dir))
        cls.objects = cls.suite.dir / "objects"
        cls.server = subprocess.Popen([sys.executable, ROOT / "tests" / "s3" / "strict_server.py", cls.objects],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(cls.end_server)
        port = cls.server.stdout.readline().split()[1]
        credentials = cls.suite.dir / "credentials"
        credentials.write_text(f"{strict_server.ACCESS}\n{strict_server.SECRET}\n")
        cls.folder = cls.suite.dir / "certs"
        run(cls.suite.bin / "posthorn", "certs", "init", "--hosts", "localhost,127.0.0.1", "--dir", cls.folder)
        cls.alone = Alone(cls.suite, stack, cls.folder, more={"store-service": [
            "--blobs", f"s3://{strict_server.BUCKET}/posthorn", "--s3-endpoint", f"http://127.0.0.1:{port}",
            "--s3-region", strict_server.REGION, "--s3-credentials-file", credentials, "--s3-cache", "1"]}).wait_ready()
        cls.admin = cls.alone.addresses["admin"]["cli"]
        cls.cli("add", "domain", "here.test")
        cls.cli("add", "account", "alice@here.test", "password=secret")
        cls.sent = 0

    @classmethod
    def end_server(cls):
        cls.server.kill()
        cls.server.wait()
        cls.server.stdin.close()
        cls.server.stdout.close()

    @classmethod
    def cli(cls, *arguments, check=True):
        return run(cls.suite.bin / "posthorn", "--admin", cls.admin, *map(str, tls_flags(cls.folder / "cli")),
                   *arguments, check=check)

    def fault(self, line):
        self.server.stdin.write(line + "\n")
        self.server.stdin.flush()
        self.assertEqual(self.server.stdout.readline(), "ok\n")

    def send(self, text=None):
        with smtplib.SMTP("127.0.0.1", self.alone.processes["smtp-gateway"].port("smtp"), timeout=TIMEOUT) as smtp:
            smtp.sendmail("c@far.test", ["alice@here.test"], text or message(1), mail_options=["BODY=8BITMIME"])
        type(self).sent += 1

    def imap(self):
        return imap_login(self, None, port=self.alone.processes["imap-gateway"].port("imap"))

    def bodies(self):
        client = self.imap()
        wait_uids(client, self.sent)
        client.select("INBOX")
        return [client.fetch(str(n), "BODY.PEEK[]")[1][0][1] for n in range(1, self.sent + 1)]

    def test_mail_is_read_back_small_and_large_and_the_check_finds_nothing(self):
        large = message(1) + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 20000
        self.send()
        self.send(large)
        self.assertIn(large[-200:], self.bodies()[-1])
        self.assertGreater(sum("%2Fo%2F" in file.name for file in self.objects.iterdir()), 1)
        result = self.cli("store", "check")
        self.assertNotIn(b"PROBLEM", result.stdout)

    def test_faults_that_pass_cost_no_mail_and_those_that_stay_are_451(self):
        self.fault("fault applied 1 PUT")
        self.send()
        self.fault("fault busy 2 ANY")
        self.send()
        self.fault("fault denied 1000000 PUT")
        with self.assertRaises(smtplib.SMTPDataError) as refused:
            self.send()
        self.assertEqual(refused.exception.smtp_code, 451)
        self.fault("clear")
        self.send()
        self.assertEqual(len(self.bodies()), self.sent)

    def test_a_message_that_cannot_be_had_now_is_not_called_damaged_and_one_that_is_lost_is_named(self):
        large = message(1) + (b"z" * 70 + b"\r\n") * 30000
        self.send(large)
        uid = wait_uids(self.imap(), self.sent)[-1]
        client = self.imap()
        client.select("INBOX")
        self.fault("fault denied 1000000 GET")
        client.send(f"x UID FETCH {uid} BODY.PEEK[]\r\n".encode())
        self.assertRegex(client.readline(), rb"x NO \[UNAVAILABLE\]")
        self.fault("clear")
        client.send(f"y UID FETCH {uid} BODY.PEEK[]<2000000.20>\r\n".encode())
        self.assertIn(b"{20}", client.readline())
        log = self.alone.processes["store-service"].text
        self.assertNotIn("store.message_damaged", log())
        largest = max((file for file in self.objects.iterdir() if "%2Fo%2F" in file.name), key=lambda f: f.stat().st_size)
        hidden = largest.rename(largest.with_name("hidden"))
        self.addCleanup(hidden.rename, largest)
        other = self.imap()
        other.select("INBOX")
        other.send(f"z UID FETCH {uid} BODY.PEEK[]\r\n".encode())
        self.assertRegex(other.readline(), rb"z NO ")
        self.assertRegex(log(), rf"store.message_damaged .*uid={uid} ")
        check = self.cli("store", "check", check=False)
        self.assertRegex(check.stdout, rb"PROBLEM: account 1 mailbox INBOX uid %d, .*cannot be read" % uid)

    def test_the_store_is_killed_and_nothing_is_missing(self):
        self.send()
        self.restart_store()
        self.send()
        before = self.bodies()
        self.assertEqual(len(before), self.sent)
        self.restart_store()
        self.assertEqual(self.bodies(), before)
        page = self.alone.processes["store-service"].page("metrics")[1]
        hits = re.search(r'posthorn_store_s3_cache_hits_total\{[^}]*where="disk"[^}]*\} (\d+)', page)
        self.assertGreater(int(hits[1]), 0, "what the killed one read is on disk")

    def restart_store(self):
        store = self.alone.processes["store-service"]
        store.process.kill()
        store.process.wait(TIMEOUT)
        store.__enter__()
        store.wait_ready()
        wait_for(lambda: self.cli("list", "account", check=False).returncode == 0, "the store is found again")


if __name__ == "__main__":
    unittest.main()
