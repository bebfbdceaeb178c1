"""What may happen to a cluster under load: each kind of replica goes in order, is killed, is frozen, and comes back."""
import random
import signal
import time

from tests.e2e.cluster.growth import Growth
from tests.e2e.harness import wait_for

# A queue's lease is 90 s.
QUEUE_PATIENCE = 150


class Trouble:
    """`load`: mail must flow during everything. Every method comes back with all replicas at work again."""

    def __init__(self, test, cluster, load, seed=1):
        self.test, self.cluster, self.load = test, cluster, load
        self.random = random.Random(seed)
        self.revision = 0

    def pick(self, kind):
        return self.random.choice([r for r in self.cluster.replicas[kind] if r.running()])

    def others(self, victim):
        return [r for r in self.cluster.replicas[victim.kind] if r.running() and r is not victim]

    def refused(self):
        return sum(client.counts["NO"] + client.counts["unknown"] for client in self.load.clients)

    # --- stores ---

    def drain_store(self):
        """Another replica comes; then one goes in order, and nobody is refused anything."""
        self.cluster.add_store()
        wait_for(self.cluster.balanced, "the new store has its share")
        refused = self.refused()
        self.random.choice(self.cluster.stores()).drain()
        wait_for(self.cluster.balanced, "the others have its lanes")
        self.load.wait_for_more(200, "mail flows without it")
        self.test.assertEqual(self.refused(), refused)

    def kill_store(self):
        victim = self.random.choice(self.cluster.stores())
        victim.kill()
        began = time.monotonic()
        wait_for(self.cluster.balanced, "the others have its lanes", 20)
        print(f"lanes taken over {time.monotonic() - began:.1f} s after a kill", flush=True)
        self.load.wait_for_more(200, "mail flows without it")
        victim.start().wait_ready()
        wait_for(self.cluster.balanced, "it has its share again")
        self.load.wait_for_more(100, "mail flows")

    def freeze_store(self):
        """Stopped until its lanes are others', then awake again: what it still writes is refused."""
        victim = self.random.choice(self.cluster.stores())
        victim.send(signal.SIGSTOP)
        others = self.others(victim)
        wait_for(lambda: sum(s.metric("posthorn_store_lanes_owned") for s in others) == 32, "the others own all", 30)
        self.load.wait_for_more(200, "mail flows without it")
        victim.send(signal.SIGCONT)
        wait_for(self.cluster.balanced, "it has its share again")
        self.load.wait_for_more(100, "mail flows")

    # --- queues ---

    def drain_queue(self):
        self.restart(self.pick("delivery-queue"), "drain")

    def kill_queue(self):
        """It comes back at once, under its name: what lay there is its own again."""
        self.restart(self.pick("delivery-queue"), "kill")

    def lose_queue(self):
        """Away for longer than its lease: another has its mail; then it comes back to an empty journal."""
        victim = self.pick("delivery-queue")
        victim.kill()
        self.wait_for_heir(victim)
        victim.start().wait_ready()
        self.load.wait_for_more(100, "mail flows")

    def freeze_queue(self):
        """Paused past its lease: what it still writes is refused, and it begins anew."""
        victim = self.pick("delivery-queue")
        lost = victim.text().count("queue.journal.lost")
        victim.send(signal.SIGSTOP)
        self.wait_for_heir(victim)
        victim.send(signal.SIGCONT)
        wait_for(lambda: victim.text().count("queue.journal.lost") > lost, "it notices", 30)
        victim.wait_ready()
        self.load.wait_for_more(100, "mail flows")

    def wait_for_heir(self, victim):
        def claimed():
            return sum(queue.text().count("queue.journal.claimed") for queue in self.others(victim))
        before = claimed()
        wait_for(lambda: claimed() > before, "another queue has its mail", QUEUE_PATIENCE)
        self.load.wait_for_more(200, "mail flows without it")

    # --- gateways, admins, the scorer ---

    def restart_gateway(self):
        kind = self.random.choice(("smtp-gateway", "imap-gateway", "pop3-gateway"))
        self.restart(self.pick(kind), self.random.choice(("kill", "drain")))

    def restart_spam(self):
        self.restart(self.pick("spam-service"), self.random.choice(("kill", "drain")))

    def restart_admin(self):
        """The other one takes orders meanwhile, and everybody hears of them."""
        victim = self.pick("admin-service")
        getattr(victim, self.random.choice(("kill", "drain")))()
        self.order()
        victim.start().wait_ready()
        self.load.wait_for_more(50, "mail flows")

    def freeze_admin(self):
        victim = self.pick("admin-service")
        victim.send(signal.SIGSTOP)
        self.order(self.others(victim)[0])
        victim.send(signal.SIGCONT)
        self.load.wait_for_more(50, "mail flows")

    def order(self, admin=None):
        self.revision += 1
        name = f"order{self.revision}.test"
        self.cluster.cli("set", "settings", f"hostname={name}", admin=admin)
        for gateway in self.cluster.replicas["smtp-gateway"]:
            wait_for(lambda: name in self.cluster.greeting(gateway), "every gateway hears of an order", 60)

    def restart(self, victim, how):
        getattr(victim, how)()
        if self.others(victim):
            self.load.wait_for_more(50, "mail flows without it")
        victim.start().wait_ready()
        self.load.wait_for_more(50, "mail flows")

    # --- all of it ---

    QUICK = ("drain_store", "kill_store", "freeze_store", "drain_queue", "kill_queue", "restart_gateway", "restart_spam",
             "restart_admin", "freeze_admin")
    SLOW = ("lose_queue", "freeze_queue")

    def each(self):
        for name in self.QUICK:
            self.happen(name)

    def at_random(self, seconds):
        """Everything in an order that nobody chose, for so long; then nothing has grown."""
        growth = Growth(self.cluster)
        end = time.monotonic() + seconds
        waiting = []
        while time.monotonic() < end:
            waiting = waiting or self.random.sample(self.QUICK * 2 + self.SLOW, len(self.QUICK) * 2 + len(self.SLOW))
            self.happen(waiting.pop())
            growth.look(self.load.acknowledged())
        return growth

    def happen(self, name):
        began = time.monotonic()
        getattr(self, name)()
        print(f"{name}: {time.monotonic() - began:.1f} s, {self.load.acknowledged()} acknowledged", flush=True)
