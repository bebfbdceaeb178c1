"""One machine's installation without a supervisor: each process is of the old release or of the new one."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from tests.e2e.clients import run
from tests.e2e.cluster.installation import Place
from tests.e2e.harness import BIN, PROCESSES, Suite, free_port_base
from tests.e2e.processes import Process, Replaceable

NEW = pathlib.Path(BIN)
OLD = pathlib.Path(os.environ.get("POSTHORN_OLD_BIN") or NEW)
SERVERS = tuple(kind for kind in PROCESSES if not kind.endswith("gateway"))


def next_programs(test):
    """Programs of an imagined next release: a store with one more step for each schema (`next/`), all others as they are."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-next-"))
    test.addCleanup(shutil.rmtree, folder)
    for program in NEW.glob("posthorn*"):
        (folder / program.name).symlink_to(program.resolve())
    (folder / "posthorn-store-service").unlink()
    (folder / "posthorn-store-service").symlink_to((NEW.parent / "next" / "posthorn-store-service").resolve())
    return folder


class Replica(Replaceable):
    """One process that keeps its data and its ports when another release takes its place."""

    def __init__(self, folder, kind):
        self.folder, self.kind = folder, kind
        self.base = free_port_base() if kind.endswith("gateway") else None
        self.programs = None

    def start(self, programs):
        data = self.process.data if self.process else None
        flags = ["--run", self.folder / "run"]
        if self.kind == "admin-service":
            flags += ["--password-file", self.folder / "admin.password"]
        self.process = Process(Place(self.folder, programs), self.kind, *flags, base=self.base)
        self.process.data = data or self.process.data
        self.programs = programs
        self.process.__enter__()
        return self


class Installation:
    """Two of each gateway, one of everything else. Replicas: {kind: [Replica]}."""

    def __init__(self, programs, gateways=2):
        self.suite = Suite(bin_dir=programs)  # not started: it lends its folder
        self.programs = programs
        self.replicas = {kind: [Replica(self.suite.dir, kind) for _ in range(gateways if kind.endswith("gateway") else 1)]
                         for kind in PROCESSES}

    def __enter__(self):
        for replica in self.all():
            replica.start(self.programs)
        for replica in self.all():
            replica.wait_ready()
        return self

    def __exit__(self, *_):
        running = [replica for replica in reversed(self.all()) if replica.running()]
        for replica in running:  # gateways first, the store last
            replica.process.process.send_signal(signal.SIGTERM)
        for replica in running:
            try:
                replica.process.process.wait(30)
            except subprocess.TimeoutExpired:
                replica.process.process.kill()
                replica.process.process.wait(10)
        if os.environ.get("POSTHORN_KEEP"):
            print("kept", self.suite.dir)
        else:
            shutil.rmtree(self.suite.dir, ignore_errors=True)

    def all(self):
        return [replica for replicas in self.replicas.values() for replica in replicas]

    def cli(self, *arguments, programs=None, check=True):
        return run((programs or self.programs) / "posthorn", "--dir", self.suite.dir, *arguments, check=check)

    def add_accounts(self, domain, *names, password="secret"):
        self.cli("add", "domain", domain)
        for name in names:
            self.cli("add", "account", f"{name}@{domain}", f"password={password}")
        return [f"{name}@{domain}" for name in names]
