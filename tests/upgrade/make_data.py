"""Writes the data folder of a release, and what must be found in it.

    python3 -m tests.upgrade.make_data --bin BUILD/bin RELEASE

makes `tests/upgrade/data/RELEASE.tar.gz` and `RELEASE.json` with the release's own programs. Once made they never change.
"""
import argparse
import json
import pathlib
import smtplib
import tarfile

from tests.e2e.clients import message, submission
from tests.e2e.harness import Suite, wait_for
from tests.upgrade.inventory import PASSWORD, inventory, login

DATA = pathlib.Path(__file__).parent / "data"
OPEN = ("alice@one.test", "bob@one.test", "carl@two.test")
DISABLED = "dora@two.test"
LATER = "late@far.test"  # mail for it waits in the queue
FOLDERS = ("data", "admin.password")


def configure(suite):
    # Data is opened years later: nothing in it may end by age until then.
    suite.cli("set", "settings", "retry_lifetime=36500d", "trace_days=36500d", "undelete_window=36500d", "delay_notice=0",
              "max_recipients=777", "spf=false", "hostname=old.one.test", "--reason", "an old installation")
    suite.cli("add", "domain", "one.test", "alias_names+=uno.test", "catch_all=bob@one.test")
    suite.cli("add", "domain", "two.test", "plus_character=-")
    for address in (*OPEN, DISABLED):
        suite.cli("add", "account", address, f"password={PASSWORD}", "quota=1 GiB", f"full_name=Käthe {address[0]}")
    suite.cli("add", "alias", "all@one.test", *[f"targets+={address}" for address in OPEN])
    suite.cli("add", "route", "far.test", "hosts+=127.0.0.1:9")  # nobody listens there
    suite.cli("add", "network", "lab", "addresses+=192.0.2.0/24", check=False)


def send(suite, number, *to):
    data = message(number, sender="old@far.test", to=to[0], body=f"number {number}\r\n".encode() * (number % 7 + 1))
    with smtplib.SMTP("127.0.0.1", suite.port("smtp")) as smtp:
        assert smtp.sendmail("old@far.test", to, data, mail_options=["BODY=8BITMIME"]) == {}


def submit(suite):
    """Mail to elsewhere: one recipient is here, the other's host does not answer, and it is held."""
    with submission(suite.port("submission"), "alice@one.test", PASSWORD) as smtp:
        smtp.sendmail("alice@one.test", ["bob@one.test", LATER], message(900, sender="alice@one.test", to=LATER))
    wait_for(lambda: LATER in (listed := suite.cli("queue", "list").stdout) and "deferred" in listed, "it waits")
    suite.cli("queue", "hold", "--match", "*")


def deliver(suite):
    for number in range(1, 13):
        send(suite, number, OPEN[number % 3])
    send(suite, 50, "all@one.test")
    send(suite, 51, "alice+detail@one.test")
    send(suite, 52, "nobody@one.test")  # the domain's catch_all
    send(suite, 53, DISABLED)
    wait_for(lambda: suite.metric("delivery-queue", "posthorn_queue_entries") == 0, "all is delivered")


def use(suite):
    """What mail clients leave behind: mailboxes, flags, keywords, copies, removed messages, subscriptions."""
    alice = login(suite.port("imap"), "alice@one.test")
    for command in ("CREATE Work", "CREATE Work/&ANw-bung", "CREATE Gone", "CREATE Old", "SUBSCRIBE Work",
                    "SUBSCRIBE Gone", "UNSUBSCRIBE Old", "RENAME Old Renamed", "SELECT INBOX", "UID STORE 1 FLAGS (\\Seen)",
                    "UID STORE 2 FLAGS (\\Flagged \\Answered $label1 Blue)", "UID COPY 1:3 Work", "UID COPY 1 Gone",
                    "UID MOVE 3 Renamed", "UID STORE 4 +FLAGS (\\Deleted)", "EXPUNGE", "UID STORE 5 +FLAGS (\\Deleted)",
                    "DELETE Gone", "CREATE Spare"):
        alice.ok(command)
    for number in range(3):
        literal = message(100 + number)
        alice.ok(f'APPEND Work (\\Draft $mine{number}) "0{number + 1}-Feb-2024 03:04:05 +0130" {{{len(literal)}+}}\r\n'.encode()
                 + literal)
    alice.socket.close()
    bob = login(suite.port("imap"), "bob@one.test")
    for command in ("SELECT INBOX", "UID STORE 1:2 +FLAGS (\\Deleted)", "EXPUNGE", "UID COPY 3:* Archive"):
        bob.ok(command)
    bob.socket.close()


def pack(suite, path):
    def member(info):
        keep = not info.name.endswith(("/lock", "-wal", "-shm")) or info.size
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info if keep else None
    with tarfile.open(path, "w:gz") as tar:
        for name in FOLDERS:
            tar.add(suite.dir / name, arcname=name, filter=member)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="the release's programs")
    parser.add_argument("--out", default=DATA, type=pathlib.Path)
    parser.add_argument("release")
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    with Suite(bin_dir=words.bin) as suite:
        configure(suite)
        suite.settle()
        deliver(suite)
        use(suite)
        submit(suite)
        suite.cli("set", "account", DISABLED, "enabled=false")
        suite.settle()
        suite.stop()
        suite.start()  # what is written down is what the release itself finds in its folder
        found = inventory(suite, OPEN)
        suite.stop()
        pack(suite, words.out / f"{words.release}.tar.gz")
    (words.out / f"{words.release}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
