"""Compares what a suite holds with what was written down."""
import collections
import poplib
import re

from tests.e2e.crash.imap_client import connect, fetch, select

CHUNK = 500


def read_notes(paths, aliases):
    """({name: accounts} offered, the same acknowledged)."""
    offered, acknowledged = {}, {}
    for path in paths:
        for line in path.read_text().splitlines():
            kind, name, *recipients = line.split()
            if kind == "R":
                continue
            (offered if kind == "O" else acknowledged)[name] = frozenset(
                account for recipient in recipients for account in aliases.get(recipient, (recipient,)))
    return offered, acknowledged


def read_mailbox(client, mailbox, whole=False):
    """{uid: (name, flags)}; the mailbox's own counters must agree with what it lists."""
    count = select(client, mailbox)
    uids = sorted(int(u) for u in client.uid("SEARCH", None, "ALL")[1][0].split())
    assert len(uids) == count, f"{mailbox}: SELECT says {count}, SEARCH finds {len(uids)}"
    found = {}
    for start in range(0, len(uids), CHUNK):
        part = uids[start:start + CHUNK]
        found.update(fetch(client, f"{part[0]}:{part[-1]}", whole))
    assert sorted(found) == uids, f"{mailbox}: FETCH and SEARCH differ"
    unseen = sum("\\Seen" not in flags for _, flags in found.values())
    status = client.status(mailbox, "(MESSAGES UNSEEN)")[1][0]
    assert status.endswith(f"(MESSAGES {count} UNSEEN {unseen})".encode()), f"{mailbox}: {status} not {count}, {unseen}"
    return found


def read_account(port, address, password, mailboxes=("INBOX",), whole=False):
    client = connect(port, address, password, timeout=300)
    try:
        return {mailbox: read_mailbox(client, mailbox, whole) for mailbox in mailboxes}
    finally:
        client.shutdown()


def count_by_pop3(port, address, password):
    client = poplib.POP3("127.0.0.1", port, timeout=60)
    try:
        client.user(address)
        client.pass_(password)
        return client.stat()[0]
    finally:
        client.quit()


def read_refusals(paths):
    """{"451 4.3.0 text": how often}, all replies that refused something; without the ids of sessions."""
    return collections.Counter(re.sub(r" \([0-9A-Z]{26}\)$", "", line[2:])
                               for path in paths for line in path.read_text().splitlines() if line.startswith("R "))


class Verdict:
    """`arrived`: {address: names in the order found}, of mail that senders sent."""

    def __init__(self, offered, acknowledged):
        self.offered, self.acknowledged = offered, acknowledged
        self.found = self.copies = 0
        self.lost, self.doubled, self.strange = [], [], []

    def judge(self, address, names):
        seen = set()
        for name in names:
            if name in seen:
                self.doubled.append((name, address))
            if name not in self.offered or address not in self.offered[name]:
                self.strange.append((name, address))
            seen.add(name)
        self.copies += len(names)
        for name, recipients in self.acknowledged.items():
            if address not in recipients:
                continue
            if name in seen:
                self.found += 1
            else:
                self.lost.append((name, address))
