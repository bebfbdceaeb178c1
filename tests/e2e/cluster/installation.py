"""All replicas of a cluster, each a process of its own, over TCP with certificates."""
import contextlib
import shutil
import signal
import socket
import subprocess

from tests.e2e.clients import run
from tests.e2e.harness import PROCESSES, Suite, free_port, free_port_base, wait_for
from tests.e2e.processes import Process, Replaceable, tls_flags

WORDS = {"store": "store-service", "queue": "delivery-queue", "spam": "spam-service", "admin": "admin-service"}


class Place:
    """Where a process finds its folder and its program."""

    def __init__(self, folder, programs):
        self.dir, self.bin = folder, programs


class Replica(Replaceable):
    """One process that keeps its name, its address and its data folder when it is started again."""

    def __init__(self, installation, kind, name, flags, address=None, base=None):
        self.installation, self.kind, self.name = installation, kind, name
        self.flags, self.address, self.base = flags, address, base
        self.generation = 0

    def start(self, programs=None):
        """`programs`: a folder of another release's."""
        data = self.process.data if self.process else None
        place = Place(self.installation.suite.dir, programs or self.installation.suite.bin)
        self.process = Process(place, self.kind, "--name", self.name, *self.flags, base=self.base)
        if data:
            self.process.data = data
        self.process.__enter__()
        self.generation += 1
        return self

    @property
    def pid(self):
        return self.process.process.pid

    def send(self, sig):
        self.process.process.send_signal(sig)

    def kill(self):
        self.send(signal.SIGKILL)
        self.process.process.wait(30)

    def stop(self):
        if self.running():
            self.send(signal.SIGCONT)
            self.process.__exit__()


class Installation:
    """`database`: a MariaDb that runs. Replicas: {kind: [Replica]}."""

    def __init__(self, database, stores=3, gateways=2, queues=1, admins=1, queue_flags=()):
        self.database = database
        self.suite = Suite()  # not started: it lends its folder and programs
        self.folder = self.suite.dir / "certs"
        run(self.suite.bin / "posthorn", "certs", "init", "--hosts", "localhost,127.0.0.1", "--dir", self.folder)
        self.replicas = {kind: [] for kind in PROCESSES}
        self.counts = {"store-service": stores, "admin-service": admins, "delivery-queue": queues, "spam-service": 1,
                       "smtp-gateway": gateways, "imap-gateway": gateways, "pop3-gateway": gateways}
        self.addresses = {word: [f"127.0.0.1:{free_port()}" for _ in range(self.counts[kind])]
                          for word, kind in WORDS.items()}
        self.queue_flags = list(queue_flags)
        self.key_file = self.suite.dir / "directory.key"
        (self.suite.dir / "blobs").mkdir()

    def flags(self, kind, address):
        flags = tls_flags(self.folder / kind)
        for word, other in WORDS.items():
            if other != kind:
                flags += [f"--{word}", ",".join(self.addresses[word])]
        if address:
            flags += ["--listen", address]
        if kind == "store-service":
            flags += ["--advertise", address, "--key-file", self.key_file, "--blobs", self.suite.dir / "blobs",
                      *self.database.flags]
        if kind == "delivery-queue":
            flags += ["--advertise", address, *self.queue_flags]
        if kind == "admin-service":
            flags += ["--password-file", self.suite.dir / "admin.password"]
        return flags

    def make(self, kind, address=None):
        index = len(self.replicas[kind])
        base = free_port_base() if kind.endswith("gateway") else None
        replica = Replica(self, kind, f"{kind}-{index}", self.flags(kind, address), address, base)
        self.replicas[kind].append(replica)
        return replica

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def start(self):
        for kind in PROCESSES:
            word = next((word for word, other in WORDS.items() if other == kind), None)
            for index in range(self.counts[kind]):
                self.make(kind, self.addresses[word][index] if word else None).start()
                if kind == "store-service" and index == 0:
                    wait_for(self.key_file.exists, "the key of all secrets")
        for replica in self.all():
            replica.wait_ready()
        wait_for(self.balanced, "lanes are shared out")
        return self

    def __exit__(self, *_):
        for replica in self.all():
            if replica.running():
                replica.send(signal.SIGCONT)
                replica.send(signal.SIGTERM)
        for replica in self.all():
            with contextlib.suppress(subprocess.TimeoutExpired):
                replica.process.process.wait(40)
            replica.stop()
        shutil.rmtree(self.suite.dir, ignore_errors=True)

    def all(self):
        return [replica for replicas in self.replicas.values() for replica in replicas if replica.process]

    def add_store(self):
        return self.make("store-service", f"127.0.0.1:{free_port()}").start().wait_ready()

    def stores(self):
        return [store for store in self.replicas["store-service"] if store.running()]

    def lanes(self):
        """{store: how many lanes it says it owns}."""
        return {store.name: int(store.metric("posthorn_store_lanes_owned")) for store in self.stores()}

    def balanced(self):
        counts = list(self.lanes().values())
        return sum(counts) == 32 and max(counts) - min(counts) <= 1

    @staticmethod
    def greeting(gateway):
        with socket.create_connection(("127.0.0.1", gateway.port("smtp")), timeout=30) as connection:
            return connection.recv(1000).decode()

    def cli(self, *arguments, programs=None, check=True, timeout=60, admin=None):
        """By `admin`, a replica, or any that runs."""
        admin = admin or next(admin for admin in self.replicas["admin-service"] if admin.running())
        return run((programs or self.suite.bin) / "posthorn", "--admin", admin.address,
                   *map(str, tls_flags(self.folder / "cli")), *arguments, check=check, timeout=timeout)

    def add_accounts(self, domain, *names, password="secret"):
        self.cli("add", "domain", domain)
        for name in names:
            self.cli("add", "account", f"{name}@{domain}", f"password={password}")
        return [f"{name}@{domain}" for name in names]
