"""Posthorn as the peer's counterpart: the whole suite, started as `./dev run` starts it."""
import pathlib
import shlex
import shutil
import tempfile

from tests.e2e.cluster.installation import Installation
from tests.e2e.cluster.mariadb import MariaDb
from tests.e2e.harness import BIN, Suite


class Posthorn:
    """Context manager with the same face as peers.PostfixDovecot."""

    name = "posthorn"
    domain = "bench.test"

    def __init__(self, bin_dir=BIN):
        self.suite = Suite(bin_dir=bin_dir)
        self.accounts = 0

    def __enter__(self):
        try:
            self.suite.start()
            self.suite.cli("add", "domain", self.domain)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.suite.__exit__()

    def restart(self):
        """All processes anew, with the same data."""
        self.suite.stop()
        self.suite.start()

    @property
    def folder(self):
        return self.suite.dir

    def cli(self, *arguments, timeout=60):
        return self.suite.cli(*arguments, timeout=timeout)

    def prepare(self, accounts):
        """Accounts user0 … up to `accounts`, a hundred a revision (each password costs an Argon2)."""
        while self.accounts < accounts:
            last = min(accounts, self.accounts + 100)
            lines = []
            for number in range(self.accounts, last):
                lines.append(f"---\nkind: account\naddress: user{number}@{self.domain}\npassword: secret\n")
            path = self.folder / "bench-accounts.yaml"
            path.write_text("".join(lines))
            self.cli("apply", "-f", path, timeout=600)
            path.unlink()
            self.accounts = last

    @property
    def roots(self):
        """The supervisor: every process is its child."""
        return [int(self.suite.read_endpoints()["PID"])]

    @property
    def smtp(self):
        return self.suite.port("smtp")

    @property
    def imap(self):
        return self.suite.port("imap")

    @property
    def imaps(self):
        return self.suite.port("imaps")


class PosthornOnMariaDb(Posthorn):
    """The same suite with mail and directory in a MariaDB server, whose CPU counts."""

    name = "posthorn+mariadb"

    def __init__(self):
        self.database = MariaDb()
        self.bin = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-bench-bin-"))
        super().__init__(self.bin)

    def __enter__(self):
        try:
            self.database.__enter__()
            self._programs()
        except BaseException:
            self.__exit__()
            raise
        return super().__enter__()

    def _programs(self):
        """The built programs, but a store that is given the database's flags."""
        for program in BIN.iterdir():
            (self.bin / program.name).symlink_to(program)
        (self.bin / "posthorn").unlink()
        shutil.copy2(BIN / "posthorn", self.bin)  # it looks for the others beside itself
        store = self.bin / "posthorn-store-service"
        store.unlink()
        flags = " ".join(shlex.quote(str(flag)) for flag in self.database.flags)
        store.write_text(f'#!/bin/sh\nexec {shlex.quote(str(BIN / store.name))} "$@" {flags}\n')
        store.chmod(0o755)

    def __exit__(self, *_):
        super().__exit__()
        self.database.__exit__()
        shutil.rmtree(self.bin, ignore_errors=True)

    @property
    def roots(self):
        return [*super().roots, *(node.process.pid for node in self.database.nodes)]


class Cluster(Posthorn):
    """So many stores on a MariaDB of their own, one of everything else; over TCP with certificates."""

    def __init__(self, stores):
        self.name = f"posthorn, {stores} store{'s' if stores > 1 else ''}"
        self.stores, self.accounts = stores, 0
        self.database, self.installation = MariaDb(), None

    def __enter__(self):
        try:
            self.database.__enter__()
            self.installation = Installation(self.database, stores=self.stores, gateways=1, queue_flags=["--journal", "store"])
            self.installation.__enter__()
            self.cli("add", "domain", self.domain)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.installation:
            self.installation.__exit__()
        self.database.__exit__()

    @property
    def folder(self):
        return self.installation.suite.dir

    def cli(self, *arguments, timeout=60):
        return self.installation.cli(*arguments, timeout=timeout)

    @property
    def roots(self):
        return [replica.pid for replica in self.installation.all()] + [node.process.pid for node in self.database.nodes]

    @property
    def smtp(self):
        return self.installation.replicas["smtp-gateway"][0].port("smtp")

    @property
    def imap(self):
        return self.installation.replicas["imap-gateway"][0].port("imap")
