"""Two queues whose journals lie in the store (--journal store), and a gateway that knows both: one is killed, one is
paused until its lease is over, one ends in order. Every accepted message arrives, and once."""
import contextlib
import itertools
import os
import signal
import smtplib
import sqlite3
import threading
import unittest

from tests.e2e.clients import imap_login, message, submission, uids
from tests.e2e.harness import Dns, Sink, SuiteCase, free_port, free_port_base, wait_for
from tests.e2e.processes import start

ALICE = "alice@here.test"
PATIENCE = 60


class QueueReplicas(SuiteCase):
    accounts = ("alice",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.dns = stack.enter_context(Dns({"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"}))
        cls.sink = stack.enter_context(Sink())
        cls.suite.cli("set", "settings", f"dns_servers=127.0.0.1@{cls.dns.port}", f"smtp_port={cls.sink.port}",
                      "retry_schedule=2s", "spf=false")
        cls.numbers = itertools.count(1)  # for all threads

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.queues = {}
        self.ports = {name: (free_port(), free_port()) for name in ("q1", "q2")}
        for name in self.ports:
            self.begin(name)
        # An operator's view of both, and a gateway that uses both.
        base = free_port_base()
        gateways = ",".join(f"127.0.0.1:{port}" for port, _ in self.ports.values())
        self.gateway = start(self.stack, self.suite, "smtp-gateway", "--run", self.suite.dir / "run", "--queue", gateways,
                             base=base)
        self.sent = []

    def begin(self, name):
        run, (gateway, admin) = self.suite.dir / "run", self.ports[name]
        self.queues[name] = start(
            self.stack, self.suite, "delivery-queue", "--journal", "store", "--name", name,
            "--store", f"unix:{run}/store.delivery-queue/sock", "--admin", f"unix:{run}/admin.delivery-queue/sock",
            "--listen", f"127.0.0.1:{gateway}=smtp-gateway", "--listen", f"127.0.0.1:{admin}=admin-service")

    def database(self, statement, *arguments):
        with contextlib.closing(sqlite3.connect(self.database_path(), timeout=30)) as database, database:
            return database.execute(statement, arguments).fetchall()

    def database_path(self):
        return next(self.suite.dir.rglob("queue.db"))

    def expire(self, name):
        """As if the time of its lease had passed, until another has it (a last renewal may still be on its way)."""
        def taken():
            self.database("UPDATE queue_journal SET expires_ms=1,beat=beat+1 WHERE owner=?", name)
            return name not in self.owners()
        wait_for(taken, f"another queue has the journal of {name}", PATIENCE)

    def send(self, count, recipients=(ALICE, "sink@far.test")):
        """Sends so many; who got 250 is remembered."""
        for _ in range(count):
            number = f"{next(self.numbers)}q{os.getpid()}"
            try:
                with submission(self.gateway.port("submission"), ALICE, timeout=90) as client:
                    client.sendmail(ALICE, list(recipients), message(number, sender=ALICE))
            except (smtplib.SMTPException, OSError):
                continue
            self.sent.append(number)

    def entries(self):
        return self.database("SELECT count(*) FROM queue_entry")[0][0]

    def at_sink(self, number):
        with self.sink.lock:
            return sum(f"m{number}@".encode() in m["data"] for m in self.sink.messages)

    def all_arrived(self, doubles=0):
        """Each message that was accepted is in the mailbox once, and at the sink once but for `doubles`."""
        wait_for(lambda: self.entries() == 0, "both journals are empty", PATIENCE)
        client = imap_login(self, self.suite)
        extra = 0
        for number in self.sent:
            found = len(uids(client, "INBOX", "HEADER", "Message-ID", f"m{number}@"))
            self.assertEqual(found, 1, f"message {number}")
            at_sink = self.at_sink(number)
            self.assertGreaterEqual(at_sink, 1, f"message {number} at the other host")
            extra += at_sink - 1
        self.assertLessEqual(extra, doubles)

    def test_killed_under_load(self):
        halves = [threading.Thread(target=self.send, args=(40,)) for _ in range(3)]
        for half in halves:
            half.start()
        wait_for(lambda: len(self.sent) > 30, "mail flows", PATIENCE)
        self.queues["q1"].process.send_signal(signal.SIGKILL)
        for half in halves:
            half.join()
        self.assertGreater(len(self.sent), 60, "the gateway went on with the other queue")
        self.expire("q1")
        wait_for(lambda: "queue.inherited" in self.queues["q2"].text() or self.owners() == ["q2"],
                 "the other queue has its mail", PATIENCE)
        self.all_arrived(self.queues["q2"].metric("posthorn_queue_possible_doubles_total"))
        wait_for(lambda: self.owners() == ["q2"], "its journal is gone")

    def owners(self):
        return sorted(owner for (owner,) in self.database("SELECT owner FROM queue_journal"))

    def test_paused_until_its_lease_is_over(self):
        # What waits for its next attempt when the pause begins.
        self.sink.replies["RCPT"] = ["451 4.3.0 later"] * 20
        self.send(20)
        self.queues["q1"].process.send_signal(signal.SIGSTOP)
        self.expire("q1")
        self.sink.replies.clear()
        try:
            wait_for(lambda: "queue.inherited" in self.queues["q2"].text(), "its mail is inherited", PATIENCE)
            wait_for(lambda: all(self.at_sink(n) for n in self.sent), "all of it arrives", PATIENCE)
        finally:
            self.queues["q1"].process.send_signal(signal.SIGCONT)
        wait_for(lambda: "queue.journal.lost" in self.queues["q1"].text(), "it notices", PATIENCE)
        wait_for(lambda: self.owners() == ["q1", "q2"], "it begins anew", PATIENCE)
        self.queues["q1"].wait_ready()
        self.send(10)
        self.all_arrived(sum(q.metric("posthorn_queue_possible_doubles_total") for q in self.queues.values()))
        self.assertEqual(len(self.sent), 30)

    def test_ends_in_order_and_comes_back_to_its_mail(self):
        self.sink.replies["RCPT"] = ["451 4.3.0 later"] * 6
        self.send(6)
        self.queues["q1"].process.terminate()
        self.queues["q1"].process.wait(30)
        self.begin("q1")
        self.assertIn("interrupted=0", self.queues["q1"].text().replace("false", "0"))
        self.send(4)
        self.all_arrived()
        self.assertEqual(len(self.sent), 10)

    def test_ended_one_behind_the_other_they_refuse_nothing(self):
        senders = [threading.Thread(target=self.send, args=(60, (ALICE,))) for _ in range(3)]
        for sender in senders:
            sender.start()
        for name in ("q1", "q2") * 4:
            self.queues[name].process.terminate()
            self.assertEqual(self.queues[name].process.wait(30), 0)
            self.begin(name)  # ready, which does not say that the gateway has noticed
        for sender in senders:
            sender.join()
        self.assertEqual(len(self.sent), 180, "the gateway took every message")
        wait_for(lambda: self.entries() == 0, "both journals are empty", PATIENCE)
        client = imap_login(self, self.suite)
        for number in self.sent:
            self.assertEqual(len(uids(client, "INBOX", "HEADER", "Message-ID", f"m{number}@")), 1, f"message {number}")

    def test_operators_see_and_move_the_mail_of_all(self):
        self.sink.replies["RCPT"] = ["451 4.3.0 later"] * 1000
        self.suite.cli("set", "settings", "retry_schedule=1h")
        self.addCleanup(self.suite.cli, "set", "settings", "retry_schedule=2s")
        self.suite.settle()
        self.send(6)
        admin_ports = ",".join(f"127.0.0.1:{admin}" for _, admin in self.ports.values())
        run, password = self.suite.dir / "run", self.suite.dir / "operator.password"
        password.write_text("operator's own\n")
        self.suite.cli("set", "administrator", "admin", "password=operator's own")
        socket = f"unix:{self.suite.dir}/operator.sock"
        start(self.stack, self.suite, "admin-service", "--store", f"unix:{run}/store.admin-service/sock",
              "--queue", admin_ports, "--listen", f"{socket}=cli")

        def operator(*arguments):
            return self.suite.cli("--admin", socket, "--password-file", password, *arguments).stdout
        wait_for(lambda: operator("queue", "list").count("deferred") == 6, "all six are listed", PATIENCE)
        listed = operator("queue", "list")
        self.assertIn("q1", listed)
        self.assertIn("q2", listed)
        self.sink.replies.clear()
        operator("queue", "retry", "--match", "far.test")
        self.all_arrived()
        self.assertEqual(operator("queue", "list"), "the queue is empty\n")
        self.queues["q2"].process.terminate()
        self.queues["q2"].process.wait(30)
        # What it may hold is not known.
        result = self.suite.cli("--admin", socket, "--password-file", password, "queue", "list", check=False)
        self.assertEqual((result.returncode, result.stdout), (1, "the queues that answer are empty\n"))
        self.assertIn(str(self.ports["q2"][1]), result.stderr)


if __name__ == "__main__":
    unittest.main()
