"""The links to the database are cut while COMMITs are on their way: APPEND, COPY, MOVE and deliveries happen once or not
at all, and clients were told which."""
import contextlib
import unittest

from tests.e2e.cluster.cutter import Cutter
from tests.e2e.cluster.installation import Installation
from tests.e2e.cluster.load import Load
from tests.e2e.cluster.mariadb import MariaDb
from tests.e2e.harness import wait_for

CUTS = 60


class CutCommits(unittest.TestCase):
    def test_nothing_is_lost_or_doubled(self):
        with contextlib.ExitStack() as stack:
            database = stack.enter_context(MariaDb())
            cutter = stack.enter_context(Cutter(database))
            cluster = stack.enter_context(Installation(cutter, stores=2, queue_flags=["--journal", "store"]))
            cutter.armed = True
            load = Load(self, cluster, rate=60, owned=6).start()
            load.wait_for_more(200, "mail flows")
            before = cutter.cuts
            wait_for(lambda: cutter.cuts >= before + CUTS, f"{CUTS} cuts", 120)
            load.wait_for_more(50, "mail flows")
            load.finish()
            verdict = load.judge()
            load.compare_with_database(database)
            counts = {key: sum(client.counts[key] for client in load.clients) for key in load.clients[0].counts}
            print(f"{cutter.cuts} of {cutter.commits} COMMITs cut; acknowledged {len(verdict.acknowledged)}, "
                  f"copies {verdict.copies}, IMAP commands {counts}")


if __name__ == "__main__":
    unittest.main()
