"""posthorn status: what it says of one machine and of a cluster, who is missing there, and whose name is taken."""
import json
import signal
import time
import unittest

from tests.e2e.cluster.installation import Installation
from tests.e2e.cluster.mariadb import MariaDb
from tests.e2e.harness import Suite, wait_for
from tests.e2e.processes import Process


def narrow(test, text):
    for line in text.splitlines():
        test.assertLessEqual(len(line), 100, line)


class OneMachine(unittest.TestCase):
    def test_everything_works(self):
        with Suite() as suite:
            suite.add_accounts("here.test", "ann")
            text = suite.cli("status", "--wait", "30s").stdout
            narrow(self, text)
            self.assertTrue(text.startswith("everything works\n"), text)
            for words in ("lanes          32 of 32 in the only store", "database       SQLite 3.", "folder", " free, ",
                          "1 account, 0 messages", "certificates   default"):
                self.assertIn(words, text)
            self.assertRegex(text, r"\n\S+ +folder +0\n")
            found = json.loads(suite.cli("status", "--output", "json").stdout)
            self.assertEqual({process["process"] for process in found["processes"]},
                             {"admin-service", "delivery-queue", "imap-gateway", "pop3-gateway", "smtp-gateway",
                              "spam-service", "store-service"})
            self.assertEqual(found["problems"], [])
            wrong = suite.cli("status", "--wait", "soon", check=False)
            self.assertEqual(wrong.returncode, 2)
            self.assertIn("--wait takes how long", wrong.stderr)


class Cluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        database = MariaDb()
        database.__enter__()
        cls.addClassCleanup(database.__exit__)
        cls.cluster = Installation(database, stores=3, gateways=2, queues=2, admins=2,
                                   queue_flags=["--journal", "store"]).__enter__()
        cls.addClassCleanup(cls.cluster.__exit__)

    def setUp(self):
        for replica in self.cluster.all():
            if not replica.running():
                replica.start().wait_ready()
        self.wait_well()

    def status(self, admins=None):
        """(exit code, text)"""
        result = self.cluster.cli("--admin", ",".join(admins or self.cluster.addresses["admin"]), "status", check=False)
        text = result.stdout.decode()
        narrow(self, text)
        return result.returncode, text

    def wait_well(self):
        last = []

        def well():
            last[:] = [self.status()]
            return last[0][0] == 0
        try:
            wait_for(well, "everything works", 60)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{last[0][1] if last else ''}") from None
        return last[0][1]

    def wait_named(self, *words):
        def named():
            code, text = self.status()
            return code == 1 and all(word in text for word in words) and text
        return wait_for(named, f"status says {words}", 40)

    def test_all_replicas_lanes_and_the_database_are_shown(self):
        text = self.wait_well()
        for replica in self.cluster.all():
            self.assertRegex(text, rf"(?m)^{replica.kind} +{replica.name} +ready")
        for store in self.cluster.stores():
            self.assertRegex(text, rf"(?m)^{store.name} +serving +1[01] of 32 +\d")
        for queue in self.cluster.replicas["delivery-queue"]:
            self.assertRegex(text, rf"(?m)^{queue.name} +store +0 .*\d s$")
        self.assertIn("database       MariaDB ", text)
        self.assertIn(f"writes go to 127.0.0.1:{self.cluster.database.nodes[0].port}", text)
        self.assertIn("shared folder", text)

    def test_both_admins_say_the_same(self):
        rows = []
        for admin in self.cluster.addresses["admin"]:
            code, text = self.status([admin])
            self.assertEqual(code, 0, text)
            rows.append(sorted(line.split()[1] for line in text.splitlines() if " ready " in line))
        self.assertEqual(rows[0], rows[1])
        self.assertEqual(len(rows[0]), len(self.cluster.all()))

    def test_a_store_and_a_gateway_that_died_are_named_until_they_are_back(self):
        store, gateway = self.cluster.stores()[1], self.cluster.replicas["imap-gateway"][1]
        store.kill()
        gateway.kill()
        text = self.wait_named(f"the store {store.name} at {store.address} has said nothing for ",
                               f"imap-gateway {gateway.name} (", "things are wrong")
        self.assertRegex(text, rf"(?m)^imap-gateway +{gateway.name} +SILENT [0-9.]+ s")
        wait_for(self.cluster.balanced, "the others have its lanes")
        store.start().wait_ready()
        gateway.start().wait_ready()
        self.wait_well()

    def test_who_ends_in_order_is_not_missed(self):
        gateway = self.cluster.replicas["pop3-gateway"][0]
        gateway.drain()

        def gone():
            code, text = self.status()
            self.assertEqual(code, 0, text)
            return gateway.name not in text
        wait_for(gone, "nobody speaks of it any more")

    def test_an_admin_that_is_frozen_is_left_within_ten_seconds(self):
        frozen, other = self.cluster.replicas["admin-service"]
        frozen.send(signal.SIGSTOP)
        self.addCleanup(frozen.send, signal.SIGCONT)
        began = time.monotonic()
        # By way of both addresses: the first one does not answer.
        gateways = [replica for replica in self.cluster.all() if replica.kind.endswith("-gateway")]
        before = max(replica.metric("posthorn_process_config_revision") for replica in gateways)
        self.cluster.cli("--admin", ",".join(self.cluster.addresses["admin"]), "set", "settings", "tarpit=3s")
        asked = time.monotonic() - began
        wait_for(lambda: all(replica.metric("posthorn_process_config_revision") > before for replica in gateways),
                 "all gateways have the new revision")
        took = time.monotonic() - began
        self.wait_named(f"admin-service {frozen.name} (")
        print(f"watchers of a frozen admin-service went on at the other after {took:.1f} s; the "
              f"command line took {asked:.1f} s")
        self.assertLess(took - asked, 12)

    def refuse_second_of(self, first):
        """Another process of its name says why it ends; `first` goes on."""
        flags = self.cluster.flags(first.kind, "127.0.0.1:0")
        flags[flags.index("--advertise") + 1] = "127.0.0.1:9"
        with Process(self.cluster.suite, first.kind, "--name", first.name, *flags) as second:
            self.assertEqual(second.process.wait(20), 1)
            self.assertRegex(second.text(), rf"the name \W*{first.name}\W* is in use by {first.address} \(started 20")
        self.assertTrue(first.running())

    def test_a_second_queue_of_a_name_is_refused_in_words_and_disturbs_nobody(self):
        first = self.cluster.replicas["delivery-queue"][0]
        self.refuse_second_of(first)
        self.assertNotIn("queue.journal.lost", first.text())
        self.wait_well()

    def test_a_second_store_of_a_name_is_refused_in_words_and_disturbs_nobody(self):
        lanes = self.cluster.lanes()
        self.refuse_second_of(self.cluster.stores()[0])
        self.assertEqual(self.cluster.lanes(), lanes)
        self.wait_well()


if __name__ == "__main__":
    unittest.main()
