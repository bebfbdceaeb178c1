"""The kill run: a suite under load, killed again and again; nothing acknowledged may be lost or doubled.

Short by default (about four minutes on two cores). By hand, longer: POSTHORN_CRASH_SECONDS=600.
POSTHORN_CRASH_MESSAGES, POSTHORN_CRASH_KILLS and POSTHORN_CRASH_SEED change the rest.
"""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from tests.e2e.crash.imap_client import ImapClient
from tests.e2e.crash.judge import Verdict, count_by_pop3, read_account, read_notes
from tests.e2e.crash.killer import Killer
from tests.e2e.harness import PROCESSES, ROOT, Suite, free_port_base, wait_for
from tests.e2e.processes import start

SECONDS = float(os.environ.get("POSTHORN_CRASH_SECONDS", "0"))
MESSAGES = int(os.environ.get("POSTHORN_CRASH_MESSAGES", "20000"))
KILLS = int(os.environ.get("POSTHORN_CRASH_KILLS", "60"))
KILLS_EACH = int(os.environ.get("POSTHORN_CRASH_KILLS_EACH", "6"))
ROUNDS = int(os.environ.get("POSTHORN_CRASH_ROUNDS", "12"))
SEED = int(os.environ.get("POSTHORN_CRASH_SEED", "1"))
SENDER_PROCESSES, CONNECTIONS = 2, 12
RATE = float(os.environ.get("POSTHORN_CRASH_RATE", "150"))  # messages a second of each sender process
PASSWORD = "crash-secret"
MANY = "most@crash.test"
MAILBOXES = ("INBOX", "Work", "Copies", "Done")


class CrashRun(unittest.TestCase):
    def setUp(self):
        self.notes = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-crash-"))
        self.addCleanup(shutil.rmtree, self.notes, True)
        self.suite = Suite()
        self.addCleanup(self.suite.__exit__)
        self.suite.start()
        self.suite.cli("set", "settings", "spf=false", "max_commands=100000")
        plain = [f"u{i}" for i in range(10)]
        owned = [f"i{i}" for i in range(4)]
        self.suite.add_accounts("crash.test", *plain, *owned, password=PASSWORD)
        self.plain = [f"{name}@crash.test" for name in plain]
        self.owned = [f"{name}@crash.test" for name in owned]
        # An alias makes the queue expand.
        self.suite.cli("add", "alias", MANY, *[f"targets+={a}" for a in self.plain[1:]])
        self.senders = []
        self.began = time.monotonic()

    # --- the load ---

    def start_senders(self):
        for i in range(SENDER_PROCESSES):
            command = [sys.executable, "-m", "tests.e2e.crash.senders", f"s{i}c", str(self.suite.port("smtp")),
                       str(CONNECTIONS), str(RATE), MANY, *self.plain, *self.owned]
            out = open(self.notes / f"sender{i}", "wb")
            self.addCleanup(out.close)
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, cwd=ROOT)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            self.senders.append(process)

    def stop_senders(self):
        for process in self.senders:
            process.stdin.close()
        for process in self.senders:
            self.assertEqual(process.wait(120), 0)

    def note_files(self):
        return sorted(self.notes.glob("sender*"))

    def acknowledged_now(self):
        return sum(path.read_bytes().count(b"\nA ") for path in self.note_files())

    def start_clients(self):
        self.stop_clients = threading.Event()
        self.clients = [ImapClient(self.suite.port("imap"), address, PASSWORD, self.stop_clients)
                        for address in self.owned]
        for client in self.clients:
            client.start()

    # --- the run ---

    def kill_until_enough(self):
        killer = Killer(self.suite, SEED)
        while True:
            killer.round()
            enough = (killer.rounds >= ROUNDS and sum(killer.kills.values()) >= KILLS
                      and min(killer.kills.values()) >= KILLS_EACH and time.monotonic() - self.began >= SECONDS)
            broken = [wrong for client in self.clients for wrong in client.wrong]
            self.assertEqual(broken, [])
            if enough:
                return killer

    def settle(self):
        """Everything runs, unharmed, until enough is acknowledged and nothing waits."""
        self.suite.start()
        wait_for(lambda: all(self.suite.ready(p) for p in PROCESSES), "all processes are back", 90)
        wait_for(lambda: self.acknowledged_now() >= MESSAGES, f"{MESSAGES} messages are acknowledged", 300)
        self.stop_senders()
        self.stop_clients.set()
        for client in self.clients:
            client.join(120)
        wait_for(lambda: self.suite.metric("delivery-queue", "posthorn_queue_entries") == 0, "the queue is empty", 180)

    def test_nothing_acknowledged_is_lost_or_doubled(self):
        self.start_senders()
        self.start_clients()
        # The first life was only for the accounts.
        killer = Killer(self.suite, SEED)
        killer.kill_all()
        killed = self.kill_until_enough()
        for process, count in killer.kills.items():
            killed.kills[process] += count
        self.settle()
        verdict = self.judge()
        self.report(killed, verdict)
        self.assertEqual((verdict.lost, verdict.doubled, verdict.strange), ([], [], []))
        self.assertGreaterEqual(len(verdict.acknowledged), MESSAGES)
        self.assertGreaterEqual(sum(killed.kills.values()), KILLS)
        self.assertGreaterEqual(min(killed.kills.values()), KILLS_EACH)
        self.assertGreaterEqual(sum(killed.at_points.values()), 1)
        self.check_views()
        self.check_store()

    # --- the judgement ---

    def judge(self):
        verdict = Verdict(*read_notes(self.note_files(), {MANY: self.plain[1:]}))
        imap = self.suite.port("imap")
        for address in self.plain:
            found = read_account(imap, address, PASSWORD, whole=True)["INBOX"]
            verdict.judge(address, [name for name, _ in found.values()])
            self.assertEqual(count_by_pop3(self.suite.port("pop3"), address, PASSWORD), len(found))
        for client in self.clients:
            self.judge_owned(client, verdict)
        return verdict

    def judge_owned(self, client, verdict):
        """An account whose client has moved, copied, marked and expunged all the while."""
        self.assertEqual(client.wrong, [])
        actual = read_account(self.suite.port("imap"), client.address, PASSWORD, MAILBOXES, whole=True)
        self.assertIsNone(client.pending, "the client stopped in the middle of a command")
        for mailbox in ("Work", "Copies", "Done"):
            self.assertEqual(actual[mailbox], client.model[mailbox], f"{client.address} {mailbox}")
        for uid, value in client.model["INBOX"].items():
            self.assertEqual(actual["INBOX"].get(uid), value, f"{client.address} INBOX {uid}")
        own = client.address.split("@")[0] + "-"
        names = [name for mailbox in ("INBOX", "Done") for name, _ in actual[mailbox].values()]
        verdict.judge(client.address, [name for name in names if not name.startswith(own)])

    def check_views(self):
        """A gateway that was never killed, with views of its own, tells what the killed one tells."""
        with contextlib.ExitStack() as stack:
            second = start(stack, self.suite, "imap-gateway", "--run", self.suite.dir / "run", base=free_port_base())
            for address, mailboxes in [(a, ("INBOX",)) for a in self.plain] + [(a, MAILBOXES) for a in self.owned]:
                views = [read_account(port, address, PASSWORD, mailboxes)
                         for port in (self.suite.port("imap"), second.port("imap"))]
                self.assertEqual(*views)

    def check_store(self):
        result = self.suite.cli("store", "check", check=False, timeout=300)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def report(self, killer, verdict):
        commands = {key: sum(client.counts[key] for client in self.clients) for key in self.clients[0].counts}
        figures = {
            "seconds": round(time.monotonic() - self.began), "kills": sum(killer.kills.values()),
            "kills_by_process": killer.kills, "kills_at_points": killer.at_points,
            "offered": len(verdict.offered), "acknowledged": len(verdict.acknowledged),
            "acknowledged_copies": sum(len(r) for r in verdict.acknowledged.values()), "found": verdict.found,
            "copies": verdict.copies, "doubled": len(verdict.doubled), "lost": len(verdict.lost),
            "from_nowhere": len(verdict.strange), "imap_commands": commands}
        print("\n" + json.dumps(figures, indent=2), flush=True)
        for title, what in (("lost", verdict.lost), ("doubled", verdict.doubled), ("from nowhere", verdict.strange)):
            for name, address in what[:20]:
                print(f"{title}: {name} {address}")


if __name__ == "__main__":
    unittest.main()
