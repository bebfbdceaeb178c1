"""`posthorn up`: one command that runs everything, keeps it running, and leaves nothing behind."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from tests.deploy.flags import flags_of
from tests.e2e.clients import Raw, imap_login, inject, message, run, uids, wait_uids
from tests.e2e.harness import BIN, PROCESSES, ROOT, TIMEOUT, Suite, free_port, wait_for

SECOND_START = 3.0  # seconds, promised


def alive(pid):
    """True when the process exists and is no zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Up(unittest.TestCase):
    def test_killed_processes_come_back_and_mail_flows(self):
        with Suite() as suite:
            suite.add_accounts("here.test", "alice")
            for number, process in enumerate(PROCESSES, 1):
                with self.subTest(process=process):
                    before = {name: suite.pid(name) for name in PROCESSES}
                    suite.wait_restarted(process, suite.kill(process))
                    after = {name: suite.pid(name) for name in PROCESSES}
                    self.assertEqual({n for n in PROCESSES if before[n] != after[n]}, {process}, "only that one")
                    for name, pid in after.items():
                        self.assertEqual(pathlib.Path(os.readlink(f"/proc/{pid}/exe")).name, f"posthorn-{name}")

                    def sent(number=number):
                        try:
                            return inject(suite, message(f"after kill {number}")) == {}
                        except Exception:  # 451 until all have found each other again
                            return False
                    wait_for(sent, "mail is accepted again")
                    wait_for(lambda: uids(imap_login(self, suite), "INBOX", "SUBJECT", f'"after kill {number}"'), "it is read")
            wait_for(lambda: "everything works" in suite.cli("status", check=False).stdout, "status has nothing to say")

    def test_two_suites_side_by_side(self):
        with Suite() as one, Suite() as other:
            for suite, count in ((one, 1), (other, 2)):
                suite.add_accounts("here.test", "alice")
                for number in range(count):
                    inject(suite, message(number))
            self.assertEqual(len(wait_uids(imap_login(self, one), 1)), 1)
            self.assertEqual(len(wait_uids(imap_login(self, other), 2)), 2)
            one.stop()
            self.assertEqual(len(uids(imap_login(self, other))), 2)

    def test_endpoints_can_be_read_by_a_shell(self):
        with Suite() as suite:
            names = ["HOST", "SMTP_PORT", "SUBMISSION_PORT", "SUBMISSIONS_PORT", "IMAP_PORT", "IMAPS_PORT", "POP3_PORT",
                     "POP3S_PORT", "ADMIN_ADDRESS"] + ["PID_" + name.upper().replace("-", "_") for name in PROCESSES]
            script = f'set -eu; . "{suite.dir}/endpoints.env"; ' + "; ".join(f'echo "${name}"' for name in names)
            values = dict(zip(names, run("sh", "-c", script).stdout.decode().split("\n")))
            self.assertEqual(values["HOST"], "127.0.0.1")
            for name, offset in (("SMTP", 25), ("SUBMISSION", 587), ("SUBMISSIONS", 465), ("IMAP", 143), ("IMAPS", 993),
                                 ("POP3", 110), ("POP3S", 995)):
                self.assertEqual(int(values[f"{name}_PORT"]), suite.base + offset)
                self.assertTrue(listens(suite.base + offset), name)
            self.assertTrue(listens(int(values["ADMIN_ADDRESS"].rpartition(":")[2])))
            for name in PROCESSES:
                program = os.readlink(f"/proc/{values['PID_' + name.upper().replace('-', '_')]}/exe")
                self.assertEqual(pathlib.Path(program).name, f"posthorn-{name}")
                for page in ("livez", "readyz", "metrics"):
                    self.assertEqual(suite.health(name, page)[0], 200)

    def test_down_leaves_nothing_and_the_second_start_is_quick(self):
        with Suite() as suite:
            suite.add_accounts("here.test", "alice")
            inject(suite, message(1))
            wait_uids(imap_login(self, suite), 1)
            pids = [int(value) for name, value in suite.endpoints.items() if name.startswith("PID")]
            self.assertEqual(len(pids), 8)
            self.assertTrue(all(map(alive, pids)))
            again = subprocess.run([suite.bin / "posthorn", "up", "--dir", suite.dir, "--port-base", str(suite.base), "--detach"],
                                   capture_output=True, text=True, timeout=TIMEOUT)
            self.assertIn(suite.dir.name, again.stdout + again.stderr)
            self.assertTrue(all(map(alive, pids)), "a second `up` disturbs nobody")
            run(suite.bin / "posthorn", "down", "--dir", suite.dir)
            self.assertFalse([pid for pid in pids if alive(pid)])
            self.assertFalse((suite.dir / "endpoints.env").exists())
            self.assertFalse([port for port in (25, 80, 143, 993, 901) if listens(suite.base + port)])
            run(suite.bin / "posthorn", "down", "--dir", suite.dir)
            began = time.monotonic()
            suite.start()
            self.assertLess(time.monotonic() - began, SECOND_START)
            self.assertTrue((text := suite.cli("status").stdout).startswith("everything works\n"), text)
            self.assertEqual(len(uids(imap_login(self, suite))), 1)

    def test_stopping_says_good_bye(self):
        with Suite() as suite:
            suite.add_accounts("here.test", "alice")
            smtp = Raw(suite.port("smtp"))
            smtp.smtp()
            smtp.smtp("EHLO far.test")
            imap = Raw(suite.port("imap"))
            imap.line()
            imap.ok("LOGIN alice@here.test secret")
            imap.send("x IDLE\r\n")
            imap.line()
            suite.stop()
            self.assertRegex(smtp.rest(), rb"^421 4\.")
            self.assertIn(b"* BYE", imap.rest())
            smtp.socket.close()
            imap.socket.close()
            self.assertEqual(suite.error_lines(), [])

    def test_in_the_foreground(self):
        suite = Suite()
        process = subprocess.Popen([suite.bin / "posthorn", "up", "--dir", suite.dir, "--port-base", str(suite.base)],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            lines = iter(process.stdout.readline, "")
            self.assertIn("7 processes ready", next(line for line in lines if "ready" in line))
            suite.read_endpoints()
            self.assertTrue(listens(suite.port("imap")))
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(TIMEOUT), 0)
            self.assertFalse(listens(suite.port("imap")))
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            suite.__exit__()

    def test_a_signal_ends_a_start_that_waits(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            suite = Suite()
            self.addCleanup(suite.__exit__)
            # Without an admin-service there is no configuration: it waits.
            waiting = subprocess.Popen([suite.bin / "posthorn", "up", "--dir", suite.dir, "--port-base", str(suite.base),
                                        "--processes", "imap-gateway", "--detach"], stdout=subprocess.DEVNULL)
            wait_for(lambda: (suite.dir / "endpoints.env").exists() and suite.pid("imap-gateway"), "it has started something")
            pid = suite.pid("imap-gateway")
            self.assertIsNone(waiting.poll())
            waiting.send_signal(number)
            self.assertEqual(waiting.wait(TIMEOUT), 1)
            self.assertFalse(alive(pid))
            self.assertFalse((suite.dir / "endpoints.env").exists())

    def test_a_taken_port_is_said_at_once(self):
        suite = Suite()
        self.addCleanup(suite.__exit__)
        for offset, what in ((25, "SMTP"), (80, "admin API"), (903, "health of pop3-gateway")):
            with self.subTest(what=what), socket.create_server(("127.0.0.1", suite.base + offset)):
                began = time.monotonic()
                refused = run(suite.bin / "posthorn", "up", "--dir", suite.dir, "--port-base", suite.base, "--detach", check=False)
                self.assertLess(time.monotonic() - began, SECOND_START)
                self.assertEqual(refused.returncode, 1)
                self.assertIn(f"port {suite.base + offset} ({what}) on 127.0.0.1 is taken; choose another --port-base",
                              refused.stdout.decode())
                self.assertFalse((suite.dir / "endpoints.env").exists())
        suite.start()

    def test_a_port_taken_later_does_not_stop_the_rest(self):
        with Suite() as suite:
            suite.add_accounts("here.test", "alice")
            suite.stop()
            with socket.create_server(("127.0.0.1", suite.base + 110)):
                began = time.monotonic()
                shown = run(suite.bin / "posthorn", "up", "--dir", suite.dir, "--port-base", suite.base, "--detach", check=False)
                self.assertLess(time.monotonic() - began, SECOND_START)
                self.assertEqual(shown.returncode, 1)
                self.assertRegex(shown.stdout.decode(), rf"pop3-gateway cannot start: .*listener pop3.*{suite.base + 110}")
                suite.read_endpoints()
                inject(suite, message(1))
                wait_uids(imap_login(self, suite), 1)
            wait_for(lambda: suite.ready("pop3-gateway"), "POP3 is there once its port is free")

    def test_wrong_use_is_explained(self):
        posthorn = BIN / "posthorn"
        for arguments, expected in (((), "COMMAND"), (("upp",), "upp"), (("up", "--port-base", "x"), "port-base"),
                                    (("up", "--port-base", "55001"), "1024 to 55000"),
                                    (("up", "--nonsense"), "--nonsense"), (("--dir", "/nowhere", "status"), "/nowhere")):
            with self.subTest(arguments=arguments):
                result = run(posthorn, *arguments, check=False)
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(expected, (result.stdout + result.stderr).decode())
        # A wrong port base is complained of behind all flags that it does not know.
        for flag in flags_of("store-service") - flags_of("spam-service"):
            with self.subTest(flag=flag):
                said = run(posthorn, "up", flag, "x", "--port-base", "1", check=False).stderr.decode()
                self.assertIn("--port-base", said)
        for word in ("status", "apply", "trace", "queue", "up", "down", "passwd", "completion", "explain"):
            self.assertIn(word, run(posthorn, "--help").stdout.decode())


    def test_nobody_is_asked_for_a_password_while_admin_service_is_down(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "run").mkdir()
            (pathlib.Path(folder) / "endpoints.env").write_text(f"ADMIN_ADDRESS='127.0.0.1:{free_port()}'\n")
            result = run(BIN / "posthorn", "--dir", folder, "status", check=False)
            self.assertEqual(result.returncode, 3)
            self.assertIn(f"admin-service does not run in {folder}", result.stderr.decode())


class Demo(unittest.TestCase):
    """What ./dev run and ./dev chat do."""

    def test_the_demo_can_be_talked_to(self):
        suite = Suite()
        self.addCleanup(suite.__exit__)
        shown = run(suite.bin / "posthorn", "up", "--dir", suite.dir, "--port-base", suite.base, "--demo", "--detach",
                    timeout=TIMEOUT * 2).stdout.decode()
        suite.read_endpoints()
        for words in (f"port {suite.port('imap')}", "alice@demo.test", "alice-demo", "admin.password", "self-signed"):
            self.assertIn(words, shown)
        inject(suite, message("for the chat", to="alice@demo.test"), to=["alice@demo.test"])
        wait_uids(imap_login(self, suite, "alice@demo.test", "alice-demo"), 1)
        for protocol, typed, expected in (("imap", "c SELECT INBOX\nd FETCH 1 ENVELOPE\n", "message for the chat"),
                                          ("pop3", "STAT\nTOP 1 0\n", "message for the chat"),
                                          ("smtp", "MAIL FROM:<alice@demo.test>\nRCPT TO:<bob@demo.test>\n", "250 2.1.5")):
            with self.subTest(protocol=protocol):
                said = run(sys.executable, ROOT / "tests" / "e2e" / "chat.py", protocol, suite.dir,
                           stdin=typed.encode()).stdout.decode()
                self.assertIn(expected, said)
                self.assertNotIn("alice-demo", said)


if __name__ == "__main__":
    unittest.main()
