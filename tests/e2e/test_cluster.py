"""Several replicas of everything on one MariaDB: mail crosses them, and any of them may go."""
import contextlib
import os
import signal
import statistics
import time
import unittest

from tests.e2e.clients import imap_login, message
from tests.e2e.cluster.installation import Installation
from tests.e2e.cluster.load import Load
from tests.e2e.cluster.mariadb import MariaDb
from tests.e2e.harness import TIMEOUT, wait_for

SECONDS = float(os.environ.get("POSTHORN_CLUSTER_SECONDS", "0"))


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
        cls.cluster = stack.enter_context(Installation(cls.database))

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

    def test_replicas_come_and_go_under_load(self):
        load = Load(self, self.cluster).start()
        end = time.monotonic() + SECONDS
        load.wait_for_more(200, "mail flows")
        while True:
            self.drain(load)
            self.kill(load)
            self.freeze(load)
            if time.monotonic() >= end:
                break
        load.finish()
        verdict = load.judge()
        counts = {key: sum(client.counts[key] for client in load.clients) for key in load.clients[0].counts}
        print(f"acknowledged {len(verdict.acknowledged)}, copies {verdict.copies}, IMAP commands {counts}")

    def drain(self, load):
        """Another replica comes; then one goes in order, and nobody is refused anything."""
        self.cluster.add_store()
        wait_for(self.cluster.balanced, "the new store has its share")
        refused = sum(client.counts["NO"] + client.counts["unknown"] for client in load.clients)
        self.cluster.stores()[0].drain()
        wait_for(self.cluster.balanced, "the others have its lanes")
        load.wait_for_more(200, "mail flows without it")
        self.assertEqual(sum(c.counts["NO"] + c.counts["unknown"] for c in load.clients), refused)

    def kill(self, load):
        victim = self.cluster.stores()[0]
        victim.kill()
        began = time.monotonic()
        wait_for(self.cluster.balanced, "the others have its lanes", 20)
        print(f"lanes taken over {time.monotonic() - began:.1f} s after a kill")
        load.wait_for_more(200, "mail flows without it")
        victim.start().wait_ready()
        wait_for(self.cluster.balanced, "it has its share again")
        load.wait_for_more(100, "mail flows")

    def freeze(self, load):
        """Stopped until its lanes are others', then awake again: what it still writes is refused."""
        victim = self.cluster.stores()[-1]
        victim.send(signal.SIGSTOP)
        others = [store for store in self.cluster.stores() if store is not victim]
        wait_for(lambda: sum(s.metric("posthorn_store_lanes_owned") for s in others) == 32, "the others own all", 30)
        load.wait_for_more(200, "mail flows without it")
        victim.send(signal.SIGCONT)
        wait_for(self.cluster.balanced, "it has its share again")
        load.wait_for_more(100, "mail flows")


if __name__ == "__main__":
    unittest.main()
