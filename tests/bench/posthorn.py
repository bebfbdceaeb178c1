"""Posthorn as the peer's counterpart: the whole suite, started as `./dev run` starts it."""

from tests.e2e.harness import Suite


class Posthorn:
    """Context manager with the same face as peers.PostfixDovecot."""

    name = "posthorn"
    domain = "bench.test"

    def __init__(self):
        self.suite = Suite()
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

    def prepare(self, accounts):
        """Accounts user0 … up to `accounts`, a hundred a revision (each password costs an Argon2)."""
        while self.accounts < accounts:
            last = min(accounts, self.accounts + 100)
            lines = []
            for number in range(self.accounts, last):
                lines.append(f"---\nkind: account\naddress: user{number}@{self.domain}\npassword: secret\n")
            path = self.suite.dir / "bench-accounts.yaml"
            path.write_text("".join(lines))
            self.suite.cli("apply", "-f", path, timeout=600)
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
