"""Stores of two neighbouring releases on one database: the schema of the newer, and the older ones go on."""
import contextlib
import unittest

from tests.e2e.cluster.installation import Installation
from tests.e2e.cluster.load import Load
from tests.e2e.cluster.mariadb import MariaDb
from tests.e2e.harness import wait_for
from tests.upgrade.installation import NEW, next_programs
from tests.upgrade.installation import Installation as Alone
from tests.upgrade.steps import Steps

PARTS = ("mail", "directory", "blobs", "queue")
KINDS = ("store-service", "admin-service", "spam-service", "delivery-queue", "smtp-gateway", "imap-gateway", "pop3-gateway")


class Neighbours(Steps, unittest.TestCase):
    def test_every_process_is_replaced_on_one_database(self):
        newer = next_programs(self)
        with contextlib.ExitStack() as stack:
            self.database = stack.enter_context(MariaDb())
            installation = stack.enter_context(Installation(self.database, stores=3, admins=2, queues=2,
                                                            queue_flags=("--journal", "store")))
            before = self.schema()
            load = Load(self, installation, rate=40, connections=4, plain=4, owned=4)
            self.begin(installation, load, [NEW, newer])
            self.check_everything("all old")
            stores = installation.replicas["store-service"]
            self.replace(stores[0], newer)
            self.assertEqual(self.schema(), {part: number + 1 for part, number in before.items()})
            self.replace(stores[1], NEW, "is old and starts again")
            for part in PARTS:
                self.assertRegex(stores[1].text(), rf"store\.schema_newer part={part} schema={before[part] + 1} known={before[part]}")
            for kind in KINDS:
                for replica in installation.replicas[kind]:
                    if replica is not stores[0]:
                        self.replace(replica, newer)
            self.replace(stores[2], NEW, "went back")
            self.finish()

    def schema(self):
        """{part: the number of its last step}"""
        rows = self.database.nodes[0].ask("select part, max(number) from posthorn.schema_migration group by part")
        numbers = dict(line.split() for line in rows.splitlines())
        return {part: int(numbers[part]) for part in PARTS}

    def replace(self, replica, programs, what="is new"):
        refused = self.refused_commands()
        replica.drain()
        self.assertEqual(replica.process.process.returncode, 0, f"{replica.name} ended in order\n{replica.text()[-3000:]}")
        replica.start(programs).wait_ready()
        wait_for(self.installation.balanced, "lanes are shared out")
        self.check_everything(f"{replica.name} {what}", ("421",))
        self.assertEqual(self.refused_commands(), refused, f"no NO while {replica.name} is replaced")


class Back(unittest.TestCase):
    def test_a_store_on_files_goes_back_to_the_release_before(self):
        newer = next_programs(self)
        with Alone(newer, gateways=1) as installation:
            ann, bob = installation.add_accounts("here.test", "ann", "bob")
            store = installation.replicas["store-service"][0]
            self.assertEqual(store.drain(), 0)
            store.start(NEW).wait_ready()
            self.assertRegex(store.text(), r"sqlite\.schema_newer schema=\d+ known=\d+")
            installation.cli("add", "alias", "all@here.test", f"targets+={ann}", f"targets+={bob}")
            self.assertIn(bob.encode(), installation.cli("list", "account").stdout)
            wait_for(lambda: installation.cli("store", "check", check=False).returncode == 0, "the queue is back, all is well")


if __name__ == "__main__":
    unittest.main()
