"""Every process is replaced by the next release's, one after the other, under load.

POSTHORN_OLD_BIN names the programs of the older release; without it the current ones take both parts.
"""
import contextlib
import subprocess
import unittest

from tests.e2e.cluster.load import Load
from tests.upgrade.installation import NEW, OLD, SERVERS, Installation
from tests.upgrade.steps import Steps

GATEWAYS = ("smtp-gateway", "imap-gateway", "pop3-gateway")
# Of these there is one in an installation with SQLite. Gateways wait for it; those of 0.1 say 451 or NO [UNAVAILABLE].
ALONE = () if OLD == NEW else ("store-service", "delivery-queue")
# The second is the answer to a DATA sent along with recipients that were all answered 451.
TEMPORARY = ("451", "554 5.5.1 No valid recipients")


def version(programs):
    return subprocess.run([programs / "posthorn-store-service", "--version"], capture_output=True, text=True,
                          check=True).stdout.strip()


class Rolling(Steps, unittest.TestCase):
    def test_servers_first(self):
        self.roll((*SERVERS, *GATEWAYS))

    @unittest.skipIf(OLD == NEW, "POSTHORN_OLD_BIN is not given: the other order is enough for programs of one release")
    def test_gateways_first(self):
        self.roll((*GATEWAYS, *reversed(SERVERS)))

    def roll(self, kinds):
        print(f"old: {version(OLD)}; new: {version(NEW)}"
              + (" (the same: POSTHORN_OLD_BIN is not given)" if OLD == NEW else ""))
        with contextlib.ExitStack() as stack:
            installation = stack.enter_context(Installation(OLD))
            load = Load(self, installation, rate=40, connections=4, plain=4, owned=4)
            self.begin(installation, load, list({OLD: 0, NEW: 0}))
            self.check_everything("all old")
            for kind in kinds:
                for replica in self.installation.replicas[kind]:
                    self.replace(replica)
            self.finish()

    # --- one step ---

    def replace(self, replica):
        before = self.refused_commands()
        status = replica.drain()
        self.assertEqual(status, 0, f"{replica.kind} ended in order\n{replica.text()[-3000:]}")
        replica.start(NEW).wait_ready()
        self.check_everything(f"{replica.kind} is new", ("421", *TEMPORARY) if replica.kind in ALONE else ("421",))
        if replica.kind not in ALONE:
            self.assertEqual(self.refused_commands(), before, f"no NO while {replica.kind} is replaced")


if __name__ == "__main__":
    unittest.main()
