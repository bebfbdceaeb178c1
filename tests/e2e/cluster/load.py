"""The load of the kill run on a cluster's gateways, and its judgement."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

from tests.e2e.crash.imap_client import ImapClient
from tests.e2e.crash.judge import Verdict, read_account, read_notes
from tests.e2e.harness import ROOT, wait_for

PASSWORD = "crash-secret"
MANY = "most@crash.test"
MAILBOXES = ("INBOX", "Work", "Copies", "Done")


class Load:
    """Senders at every smtp-gateway, and IMAP clients with a model of their account at every imap-gateway."""

    def __init__(self, test, installation, rate=100, connections=6, plain=10, owned=4):
        self.test, self.installation, self.rate, self.connections = test, installation, rate, connections
        self.notes = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-cluster-"))
        test.addCleanup(shutil.rmtree, self.notes, True)
        installation.cli("set", "settings", "spf=false", "max_commands=100000")
        addresses = installation.add_accounts("crash.test", *[f"u{i}" for i in range(plain)],
                                              *[f"i{i}" for i in range(owned)], password=PASSWORD)
        self.plain, self.owned = addresses[:plain], addresses[plain:]
        installation.cli("add", "alias", MANY, *[f"targets+={a}" for a in self.plain[1:]])
        self.senders, self.clients = [], []
        self.stop_clients = threading.Event()

    def ports(self, kind, name):
        return [replica.port(name) for replica in self.installation.replicas[kind]]

    def start(self):
        for i, port in enumerate(self.ports("smtp-gateway", "smtp")):
            command = [sys.executable, "-m", "tests.e2e.crash.senders", f"s{i}c", str(port), str(self.connections),
                       str(self.rate), MANY, *self.plain, *self.owned]
            out = open(self.notes / f"sender{i}", "wb")
            self.test.addCleanup(out.close)
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, cwd=ROOT)
            self.test.addCleanup(process.wait)
            self.test.addCleanup(process.kill)
            self.senders.append(process)
        ports = self.ports("imap-gateway", "imap")
        self.clients = [ImapClient(ports[i % len(ports)], address, PASSWORD, self.stop_clients)
                        for i, address in enumerate(self.owned)]
        for client in self.clients:
            client.start()
        return self

    def note_files(self):
        return sorted(self.notes.glob("sender*"))

    def acknowledged(self):
        return sum(path.read_bytes().count(b"\nA ") for path in self.note_files())

    def answered(self):
        """Commands that IMAP clients saw answered OK."""
        return sum(client.counts["OK"] for client in self.clients)

    def wait_for_more(self, count, what, timeout=60):
        before = self.acknowledged()
        wait_for(lambda: self.acknowledged() >= before + count, what, timeout)
        self.check()

    def check(self):
        self.test.assertEqual([wrong for client in self.clients for wrong in client.wrong], [])

    def finish(self):
        for process in self.senders:
            process.stdin.close()
        for process in self.senders:
            self.test.assertEqual(process.wait(120), 0)
        self.stop_clients.set()
        for client in self.clients:
            client.join(120)
        if any(client.is_alive() for client in self.clients):
            self.tell()
        self.check()
        self.test.assertEqual([client.address for client in self.clients if client.is_alive()], [], "clients that hang")
        queues = self.installation.replicas["delivery-queue"]
        wait_for(lambda: sum(q.metric("posthorn_queue_entries") for q in queues if q.running()) == 0,
                 "the queues are empty", 120)

    def judge(self):
        """Everything acknowledged is where it belongs, once, and every gateway tells the same."""
        verdict = Verdict(*read_notes(self.note_files(), {MANY: self.plain[1:]}))
        ports = self.ports("imap-gateway", "imap")
        for address in self.plain:
            views = [read_account(port, address, PASSWORD, whole=port == ports[0]) for port in ports]
            for view in views[1:]:
                self.test.assertEqual(view, views[0])
            verdict.judge(address, [name for name, _ in views[0]["INBOX"].values()])
        for client in self.clients:
            self.judge_owned(client, verdict, ports)
        if verdict.lost or verdict.doubled or verdict.strange:
            self.tell()
        self.test.assertEqual((verdict.lost, verdict.doubled, verdict.strange), ([], [], []))
        return verdict

    def tell(self):
        """What the processes had to complain of: for whoever looks into a failure."""
        for client in self.clients:
            print(f"--- {client.address} at {client.port}", *client.trail, sep="\n")
        for log in sorted(self.installation.suite.dir.glob("*.log")):
            complaints = [line for line in log.read_text(errors="replace").splitlines()
                          if " warning " in line or " error " in line]
            print(f"--- {log.name}", *complaints[-60:], sep="\n")

    def judge_owned(self, client, verdict, ports):
        self.test.assertIsNone(client.pending, "the client stopped in the middle of a command")
        views = [read_account(port, client.address, PASSWORD, MAILBOXES) for port in ports]
        for view in views[1:]:
            self.test.assertEqual(view, views[0])
        for mailbox in ("Work", "Copies", "Done"):
            self.test.assertEqual(views[0][mailbox], client.model[mailbox], f"{client.address} {mailbox}")
        for uid, value in client.model["INBOX"].items():
            self.test.assertEqual(views[0]["INBOX"].get(uid), value, f"{client.address} INBOX {uid}")
        own = client.address.split("@")[0] + "-"
        names = [name for mailbox in ("INBOX", "Done") for name, _ in views[0][mailbox].values()]
        verdict.judge(client.address, [name for name in names if not name.startswith(own)])

    def compare_with_database(self, database):
        """What clients see is what the database holds, and its counters agree with its rows."""
        ports = self.ports("imap-gateway", "imap")
        for address in self.plain + self.owned:
            local, domain = address.split("@")
            rows = database.nodes[0].ask(
                "select b.name, m.uid, b.messages from posthorn.message m join posthorn.mailbox b using(account, mailbox) "
                "where m.account=(select a.id from posthorn.account a join posthorn.domain d on d.id=a.domain "
                f"where a.local='{local}' and d.name='{domain}') order by 1, 2").splitlines()
            stored = {}
            for row in rows:
                mailbox, uid, messages = row.split("\t")
                stored.setdefault(mailbox, (int(messages), []))[1].append(int(uid))
            view = read_account(ports[-1], address, PASSWORD, MAILBOXES if address in self.owned else ("INBOX",))
            seen = {mailbox: (len(found), sorted(found)) for mailbox, found in view.items() if found}
            self.test.assertEqual(stored, seen, address)
