"""Several admin-services over one store: one order of revisions, watchers that go on, and none at all."""
import contextlib
import os
import re
import subprocess
import threading
import unittest

from tests.e2e.cluster.mariadb import MariaDb
from tests.e2e.harness import TIMEOUT, Suite, free_port, wait_for
from tests.e2e.processes import Process, start

WATCHERS = ("imap-gateway", "pop3-gateway")
ROLES = (*WATCHERS, "cli", "store-service")


class Replica:
    """A process that listens on a port for each role of its callers."""

    def __init__(self, suite, name, roles, *flags):
        self.ports = {role: free_port() for role in roles}
        listen = []
        for role, port in self.ports.items():
            listen += ["--listen", f"127.0.0.1:{port}={role}" if role != "cli" else f"127.0.0.1:{port}"]
        self.process = Process(suite, name, *listen, *flags)

    def target(self, role):
        return f"127.0.0.1:{self.ports[role]}"


def revisions(text):
    return [int(number) for number in re.findall(r"config.swap revision=(\d+)", text)]


class Admins(unittest.TestCase):
    """Two admin-services over one store, and two gateways that know both."""

    database = None

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.suite = Suite()
        stack.callback(self.suite.__exit__)
        flags = self.database.flags if self.database else []
        self.store = Replica(self.suite, "store-service", (*WATCHERS, "admin-service"), *flags)
        stack.enter_context(self.store.process)
        self.admins = []
        for name in "ab":
            password = self.suite.dir / f"{name}.password"
            admin = Replica(self.suite, "admin-service", ROLES, "--store", self.store.target("admin-service"),
                            "--queue", "127.0.0.1:1", "--password-file", password)
            admin.password = password
            stack.enter_context(admin.process)
            self.admins.append(admin)
        for admin in self.admins:
            admin.process.wait_ready()
        self.stack = stack
        self.gateways = [self.gateway(name) for name in WATCHERS]

    def gateway(self, name):
        return start(self.stack, self.suite, name, "--store", self.store.target(name), "--admin",
                     ",".join(admin.target(name) for admin in self.admins))

    def cli(self, admin, *arguments, check=True):
        password = next(a.password for a in self.admins if a.password.exists())
        result = subprocess.run([self.suite.bin / "posthorn", "--admin", admin.target("cli"), "--password-file", password,
                                 *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT)
        if check and result.returncode != 0:
            raise AssertionError(f"posthorn {arguments}: {result.stdout}{result.stderr}")
        return result.stdout

    def head(self, admin):
        return int(re.search(r"configuration revision (\d+)", self.cli(admin, "status", check=False)).group(1))

    def wait_revision(self, revision, gateways=None):
        for gateway in gateways or self.gateways:
            wait_for(lambda: gateway.metric("posthorn_process_config_revision") >= revision,
                     f"{gateway.name} has revision {revision}")

    def test_one_first_configuration_though_both_start_at_once(self):
        self.assertEqual([admin.password.exists() for admin in self.admins].count(True), 1)
        self.assertEqual({self.head(admin) for admin in self.admins}, {1})

    def test_commits_at_both_have_one_order(self):
        each = 10

        def commit(admin, prefix):
            for i in range(each):
                self.cli(admin, "add", "domain", f"{prefix}{i}.test")

        threads = [threading.Thread(target=commit, args=(admin, prefix))
                   for admin, prefix in zip(self.admins, "ab")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        last = 1 + 2 * each
        self.wait_revision(last)
        for admin in self.admins:
            self.assertEqual(self.head(admin), last)
            names = self.cli(admin, "list", "domain")
            for i in range(each):
                self.assertIn(f"a{i}.test", names)
                self.assertIn(f"b{i}.test", names)
        for gateway in self.gateways:
            seen = revisions(gateway.text())
            self.assertEqual(seen, sorted(set(seen)))

    def test_watchers_of_a_killed_admin_go_on_at_the_other(self):
        self.wait_revision(1)
        first, second = self.admins
        first.process.process.kill()
        first.process.process.wait()
        self.cli(second, "add", "listener", "extra", "protocol=imap", "port=10143", "address=127.0.0.1")
        self.wait_revision(2)

    def test_a_token_of_one_is_good_at_the_other(self):
        first, second = self.admins
        token = self.cli(first, "login").split()[-1]
        result = subprocess.run([self.suite.bin / "posthorn", "--admin", second.target("cli"), "list", "domain"],
                                env={**os.environ, "POSTHORN_TOKEN": token}, capture_output=True, text=True,
                                timeout=TIMEOUT)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_without_any_admin_a_process_starts_with_what_it_had(self):
        self.cli(self.admins[0], "set", "settings", "hostname=kept.test")
        self.wait_revision(2)
        for admin in self.admins:
            admin.process.process.kill()
            admin.process.process.wait()
        gateway = self.gateways[0]
        gateway.__exit__()
        gateway.__enter__()
        gateway.wait_ready()
        self.assertIn("config.saved_in_use", gateway.text())
        self.assertEqual(gateway.metric("posthorn_process_config_revision"), 2)


class AdminsOnMariadb(Admins):
    """The same with the store's database on a server."""

    @classmethod
    def setUpClass(cls):
        cls.server = MariaDb()
        cls.server.__enter__()
        cls.addClassCleanup(cls.server.__exit__)

    def setUp(self):
        self.server.nodes[0].ask("DROP DATABASE posthorn; CREATE DATABASE posthorn")
        self.database = self.server
        super().setUp()

    def test_there_is_no_sqlite_file(self):
        self.assertEqual(list(self.store.process.data.rglob("*.db*")), [])
        self.assertTrue((self.store.process.data / "directory.key").exists())

    def test_a_commit_waits_for_a_database_that_was_away(self):
        node = self.server.nodes[0]
        node.kill()
        self.assertEqual([gateway.page()[0] for gateway in self.gateways], [200, 200])
        node.start().wait_ready()
        wait_for(lambda: self.cli(self.admins[0], "add", "domain", "again.test", check=False) or
                 "again.test" in self.cli(self.admins[1], "list", "domain", check=False), "the store commits again")
        self.assertIn("again.test", self.cli(self.admins[1], "list", "domain"))


if __name__ == "__main__":
    unittest.main()
