"""The database is a Galera cluster of three nodes, and the node that is written to dies under load."""
import contextlib
import signal
import smtplib
import time
import unittest

from tests.e2e.clients import imap_login, message
from tests.e2e.cluster.installation import Installation
from tests.e2e.cluster.load import PASSWORD, Load
from tests.e2e.cluster.mariadb import MariaDb
from tests.e2e.harness import wait_for


class Galera(unittest.TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.database = stack.enter_context(MariaDb(nodes=3))
        wait_for(lambda: self.database.size() == 3, "three nodes", 60)
        self.cluster = stack.enter_context(Installation(self.database, stores=2, queue_flags=["--journal", "store"]))

    def test_nothing_is_lost_when_the_written_node_dies(self):
        load = Load(self, self.cluster, rate=40).start()
        load.wait_for_more(200, "mail flows")
        self.database.nodes[0].kill()
        died, before = time.monotonic(), load.answered()
        # Commands under way at that moment may still be answered: well beyond them.
        wait_for(lambda: load.answered() >= before + 20, "IMAP commands are answered again", 30)
        print(f"IMAP commands are answered {time.monotonic() - died:.1f} s after the node died")
        load.wait_for_more(200, "mail flows on the second node")
        self.lose_quorum(load)
        load.finish()
        verdict = load.judge()
        counts = {key: sum(client.counts[key] for client in load.clients) for key in load.clients[0].counts}
        print(f"acknowledged {len(verdict.acknowledged)}, copies {verdict.copies}, IMAP commands {counts}")

    def lose_quorum(self, load):
        """Two nodes of three are stopped: nothing can be committed until they are back."""
        self.database.nodes[0].start().wait_ready(60)
        wait_for(lambda: self.database.size() == 3, "three nodes again", 60)
        load.wait_for_more(100, "mail flows")
        alone = self.database.nodes[1]
        session = imap_login(self, None, user=load.plain[1], password=PASSWORD, port=load.ports("imap-gateway", "imap")[0])
        held = int(session.select("INBOX")[1][0])
        for node in (self.database.nodes[0], self.database.nodes[2]):
            node.send(signal.SIGSTOP)
        wait_for(lambda: alone.ask("show status like 'wsrep_ready'", check=False).endswith("OFF"),
                 "the node left alone knows that it is", 30)
        self.look_without_quorum(session, held)
        before = load.answered()
        for node in (self.database.nodes[0], self.database.nodes[2]):
            node.send(signal.SIGCONT)
        wait_for(lambda: alone.ask("show status like 'wsrep_ready'", check=False).endswith("ON"), "quorum again", 60)
        wait_for(lambda: load.answered() >= before + 50, "IMAP commands are answered again", 60)
        load.check()

    def look_without_quorum(self, session, held):
        """New mail is refused for now; an open session goes on with what its view holds."""
        smtp = self.cluster.replicas["smtp-gateway"][1].port("smtp")
        wait_for(lambda: self.code(smtp) == 451, "SMTP says 451", 90)
        kind, flags = session.uid("FETCH", "1:*", "(FLAGS)")
        self.assertEqual(kind, "OK")
        self.assertGreaterEqual(len(flags), held)
        self.assertEqual(session.uid("SEARCH", "UNSEEN")[0], "OK")

    @staticmethod
    def code(port):
        """Of the reply that a message gets."""
        with smtplib.SMTP("127.0.0.1", port, timeout=90) as client:
            client.ehlo()
            client.mail("carol@far.test")
            code, _ = client.rcpt("u1@crash.test")
            try:
                return client.data(message("without quorum"))[0] if code == 250 else code
            except smtplib.SMTPDataError as refused:
                return refused.smtp_code


if __name__ == "__main__":
    unittest.main()
