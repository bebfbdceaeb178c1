"""Several replicas of everything on one MariaDB: mail crosses them, and any of them may go."""
import contextlib
import os
import statistics
import time
import unittest

from tests.e2e.clients import imap_login, message
from tests.e2e.cluster.installation import Installation
from tests.e2e.cluster.growth import MEGA
from tests.e2e.cluster.load import Load
from tests.e2e.cluster.mariadb import MariaDb
from tests.e2e.cluster.trouble import Trouble
from tests.e2e.harness import TIMEOUT, wait_for

SECONDS = float(os.environ.get("POSTHORN_CLUSTER_SECONDS", "0"))
SEED = int(os.environ.get("POSTHORN_CLUSTER_SEED", "1"))
# What mail that lies in mailboxes may take: a view's slot, an index of recent deliveries.
BYTES_PER_MESSAGE = {"store-service": 500, "imap-gateway": 300}


def send(port, number, to):
    import smtplib
    with smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT) as smtp:
        smtp.sendmail("carol@far.test", to, message(number), mail_options=["BODY=8BITMIME"])


class Cluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.database = stack.enter_context(MariaDb())
        cls.cluster = stack.enter_context(Installation(cls.database, queues=2, admins=2, queue_flags=["--journal", "store"]))

    def test_mail_crosses_gateways_and_stores(self):
        addresses = self.cluster.add_accounts("here.test", *[f"a{i}" for i in range(8)])
        smtp = [replica.port("smtp") for replica in self.cluster.replicas["smtp-gateway"]]
        imap = [replica.port("imap") for replica in self.cluster.replicas["imap-gateway"]]
        for number, address in enumerate(addresses):
            send(smtp[number % 2], number, [address])
        for number, address in enumerate(addresses):
            with self.subTest(address):
                client = imap_login(self, None, user=address, port=imap[(number + 1) % 2])
                wait_for(lambda: client.select("INBOX")[1] == [b"1"], "the message is there")

    def test_idle_hears_of_mail_that_came_by_another_gateway(self):
        self.cluster.add_accounts("idle.test", "ann")
        client = imap_login(self, None, user="ann@idle.test", port=self.cluster.replicas["imap-gateway"][1].port("imap"))
        client.select("INBOX")
        client.send(b"x IDLE\r\n")
        self.assertTrue(client.readline().startswith(b"+"))
        port = self.cluster.replicas["smtp-gateway"][0].port("smtp")
        times = []
        for number in range(1, 21):
            send(port, number, ["ann@idle.test"])
            began = time.monotonic()
            line = client.readline()
            while b"EXISTS" not in line:
                line = client.readline()
            times.append(time.monotonic() - began)
            self.assertIn(f"{number} EXISTS".encode(), line)
        print(f"IDLE told after the 250: median {statistics.median(times) * 1000:.1f} ms, "
              f"slowest {max(times) * 1000:.1f} ms")

    def test_one_store_scrubs_and_another_goes_on_when_it_dies(self):
        def scrubs():
            found = [store for store in self.cluster.stores() if store.metric("posthorn_store_scrubs") == 1]
            return found if len(found) == 1 else None
        first = wait_for(scrubs, "one store scrubs")[0]
        first.kill()
        second = wait_for(scrubs, "another scrubs")[0]
        self.assertNotEqual(first.name, second.name)
        first.start().wait_ready()
        wait_for(self.cluster.balanced, "lanes are shared out")
        wait_for(scrubs, "still only one scrubs")

    def test_replicas_come_and_go_under_load(self):
        load = Load(self, self.cluster).start()
        load.wait_for_more(200, "mail flows")
        trouble = Trouble(self, self.cluster, load, SEED)
        trouble.each()
        growth = trouble.at_random(SECONDS)
        load.finish()
        verdict = load.judge()
        load.compare_with_database(self.database)
        counts = {key: sum(client.counts[key] for client in load.clients) for key in load.clients[0].counts}
        print(f"seed {SEED}: acknowledged {len(verdict.acknowledged)}, copies {verdict.copies}, IMAP commands {counts}")
        for kind, name, before, after, messages in growth.lines():
            print(f"{name}: {before >> 20} MB, then {after >> 20} MB after {messages} messages")
            with self.subTest(name):
                self.assertLess(after - before, 24 * MEGA + messages * BYTES_PER_MESSAGE.get(kind, 0))


if __name__ == "__main__":
    unittest.main()
