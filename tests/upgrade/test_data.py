"""Data that released versions wrote is opened, migrated, complete, and in use; older programs leave newer data alone."""
import contextlib
import hashlib
import json
import os
import pathlib
import sqlite3
import subprocess
import tarfile
import unittest

from tests.e2e.clients import imap_login, inject, message, wait_uids
from tests.e2e.harness import BIN, Sink, Suite, wait_for
from tests.upgrade.inventory import PASSWORD, inventory, login
from tests.upgrade.make_data import DATA, DISABLED, LATER, OPEN

OLD = os.environ.get("POSTHORN_OLD_BIN")
RELEASES = sorted(path.name.removesuffix(".tar.gz") for path in DATA.glob("*.tar.gz"))


@contextlib.contextmanager
def opened(release, bin_dir=BIN):
    """A suite that runs on a copy of a release's folder."""
    suite = Suite(bin_dir=bin_dir)
    with contextlib.ExitStack() as stack:
        stack.callback(suite.__exit__)
        with tarfile.open(DATA / f"{release}.tar.gz") as tar:
            tar.extractall(suite.dir)
        suite.start()
        yield suite


def differences(expected, found, path=""):
    """Where `found` lacks or changes what is expected; a newer release may know more of an object."""
    if isinstance(expected, dict) and isinstance(found, dict):
        missing = [f"{path}/{key} is missing" for key in expected.keys() - found.keys()]
        return missing + [text for key in expected.keys() & found.keys()
                          for text in differences(expected[key], found[key], f"{path}/{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [text for i, pair in enumerate(zip(expected, found)) for text in differences(*pair, f"{path}[{i}]")]
    return [] if expected == found else [f"{path}: {expected!r} was written, {found!r} is found"]


def uids_of(value):
    """{address: {mailbox: UIDs}}: more mail than was written is as wrong as less."""
    return {address: {name: sorted(box["messages"]) for name, box in account["mailboxes"].items()}
            for address, account in value["accounts"].items()}


def files(folder):
    """{name: digest} of everything that is kept."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(("-shm", "-wal", "lock"))}


class Data(unittest.TestCase):
    maxDiff = None

    def test_every_release_has_its_data(self):
        self.assertTrue(RELEASES)
        contracts = {path.stem for path in (pathlib.Path(__file__).parent / "contracts").glob("*.txt")}
        self.assertEqual(contracts - set(RELEASES), set(), "a release adds contracts and data")

    def check_each(self, check):
        for release in RELEASES:
            with self.subTest(release), opened(release) as suite:
                check(suite, json.loads((DATA / f"{release}.json").read_text()))

    def find(self, suite, expected):
        found = json.loads(json.dumps(inventory(suite, OPEN)))
        self.assertEqual(differences(expected, found), [])
        self.assertEqual(uids_of(found), uids_of(expected), "no more mail than was written")
        return found

    def test_everything_is_found_and_found_again(self):
        def check(suite, expected):
            suite.settle()
            first = self.find(suite, expected)
            self.check_store(suite)
            suite.stop()
            kept = files(suite.dir / "data" / "store-service" / "blobs")
            suite.start()
            suite.settle()
            self.assertEqual(self.find(suite, expected), first, "opened a second time")
            suite.stop()
            self.assertEqual(files(suite.dir / "data" / "store-service" / "blobs"), kept)
        self.check_each(check)

    def check_store(self, suite):
        result = suite.cli("store", "check", check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_logins_are_as_they_were(self):
        def check(suite, _):
            imap = suite.port("imap")
            for address in OPEN:
                login(imap, address).socket.close()
            for address, password in ((OPEN[0], "another"), (DISABLED, PASSWORD)):
                with self.assertRaisesRegex(AssertionError, "NO"):
                    login(imap, address, password)
        self.check_each(check)

    def test_mail_flows_in_and_what_waited_leaves(self):
        def check(suite, expected):
            inbox = expected["accounts"]["alice@one.test"]["mailboxes"]["INBOX"]
            inject(suite, message(1000), to=["alice@uno.test"])
            client = imap_login(self, suite, "alice@one.test", PASSWORD)
            newest = wait_uids(client, len(inbox["messages"]) + 1)[-1]
            status = dict(zip(*[iter(inbox["status"].split())] * 2))
            self.assertEqual(newest, int(status["UIDNEXT"]), "the next UID is the one that was announced")
            client.store(str(len(inbox["messages"]) + 1), "+FLAGS", "(\\Seen $label1)")
            with Sink() as sink:
                suite.cli("set", "route", "far.test", f"hosts=127.0.0.1:{sink.port}")
                suite.settle()
                suite.cli("queue", "release", "--match", "*")
                suite.cli("queue", "retry", "--match", "*")
                wait_for(lambda: sink.messages, "the message that waited leaves")
                self.assertEqual(sink.messages[0]["recipients"], [LATER])
                self.assertTrue(sink.messages[0]["data"].endswith(
                    message(900, sender="alice@one.test", to=LATER)), "its bytes are those of then")
            self.check_store(suite)
        self.check_each(check)


class Newer(unittest.TestCase):
    """A program that is older than the data."""

    def refused(self, suite, bin_dir):
        data = suite.dir / "data" / "store-service"
        before = files(data)
        (suite.dir / "run").mkdir(exist_ok=True)
        result = subprocess.run([pathlib.Path(bin_dir) / "posthorn-store-service", "--run", suite.dir / "run", "--data", data],
                                capture_output=True, text=True, timeout=30)
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stdout + result.stderr, r"schema \d+ is of a newer program; this one knows \d+")
        self.assertEqual(files(data), before, "nothing is changed")

    def test_data_of_a_later_release_is_refused_and_left_alone(self):
        for name in ("mail.db", "directory.db"):
            with self.subTest(name), opened(RELEASES[-1]) as suite:
                suite.stop()
                with contextlib.closing(sqlite3.connect(suite.dir / "data" / "store-service" / name)) as connection:
                    connection.execute("INSERT INTO migration VALUES(9999, 1, 1)")
                    connection.commit()
                self.refused(suite, BIN)

    @unittest.skipUnless(OLD, "POSTHORN_OLD_BIN is not given: there is no older program")
    def test_the_older_release_refuses_what_this_one_migrated(self):
        with opened(RELEASES[-1]) as suite:
            suite.stop()
            self.refused(suite, OLD)


if __name__ == "__main__":
    unittest.main()
