"""One IMAP client that knows what its account must hold, command by command, through any number of crashes."""
import collections
import imaplib
import random
import re
import threading
import time

from tests.e2e.crash.messages import is_whole, message, name_of

imaplib.Commands.setdefault("MOVE", ("SELECTED",))
imaplib._MAXLINE = 100_000_000
FLAG_SETS = ((), ("\\Seen",), ("\\Flagged", "\\Seen"), ("$proof",), ("\\Answered", "$proof"))
FETCH = re.compile(rb"UID (\d+).*?FLAGS \(([^)]*)\)|FLAGS \(([^)]*)\).*?UID (\d+)")


def connect(port, address, password, timeout=90):
    client = imaplib.IMAP4("127.0.0.1", port, timeout=timeout)
    try:
        client.login(address, password)
    except BaseException:
        client.shutdown()
        raise
    return client


def select(client, mailbox):
    """How many messages."""
    kind, data = client.select(mailbox)
    if kind != "OK":
        raise imaplib.IMAP4.abort(f"SELECT {mailbox}: {kind} {data}")
    return int(data[0])


def fetch(client, uids, whole=False):
    """{uid: (name, flags)} of the selected mailbox; with `whole` every byte is compared."""
    item = "BODY.PEEK[]" if whole else "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"
    kind, data = client.uid("FETCH", uids, f"(UID FLAGS {item})")
    if kind != "OK":
        raise imaplib.IMAP4.abort(f"FETCH: {kind} {data}")
    found, parts = {}, [part for part in data if part]
    for i, part in enumerate(parts):
        if not isinstance(part, tuple):
            continue
        tail = parts[i + 1] if i + 1 < len(parts) and isinstance(parts[i + 1], bytes) else b""
        match = FETCH.search(part[0] + b" " + tail)
        uid, flags = (match.group(1), match.group(2)) if match.group(1) else (match.group(4), match.group(3))
        name = name_of(part[1])
        if whole and not is_whole(part[1], name or ""):
            raise AssertionError(f"uid {uid}: the bytes of {name} are not what was sent: {part[1][:300]!r}")
        found[int(uid)] = (name, frozenset(flags.decode().split()) - {"\\Recent"})
    return found


class ImapClient(threading.Thread):
    """Commands of one account, one at a time: APPEND, STORE, COPY, MOVE, EXPUNGE. INBOX messages move only to Done."""

    def __init__(self, port, address, password, stop, pause=0.02):
        super().__init__(daemon=True, name=address)
        self.port, self.address, self.password, self.stop, self.pause = port, address, password, stop, pause
        self.random = random.Random(address)
        self.client = self.selected = None
        self.model = {name: {} for name in ("INBOX", "Work", "Copies", "Done")}
        self.next_name = 0
        # What became of the command under way is not known: a list of possible states for (mailbox, uid) changes.
        self.pending = None
        self.counts = {"OK": 0, "NO": 0, "unknown": 0, "happened": 0}
        self.refusals = []  # what was answered NO, with what the server said
        self.wrong = []
        # For whoever looks into a failure: what it did last, by the clock.
        self.trail = collections.deque(maxlen=30)

    def say(self, what):
        self.trail.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {what}")

    # --- the connection ---

    def run(self):
        made = False
        while (self.pending or not self.stop.is_set()) and not self.wrong:
            try:
                if self.client is None:
                    self.say("connects")
                    self.client = connect(self.port, self.address, self.password)
                    self.say("looks at everything")
                    self.selected = None
                    made = made or self.make_mailboxes()
                    self.settle()
                if not self.stop.is_set():
                    self.step()
                self.stop.wait(self.pause)
            except (OSError, imaplib.IMAP4.error, EOFError) as error:
                self.say(f"{type(error).__name__} {error}")
                self.drop()
                self.stop.wait(0.2)
            except AssertionError as error:
                self.wrong.append(f"{self.address}: {error}")
        self.drop()

    def drop(self):
        if self.client is not None:
            try:
                self.client.shutdown()
            except OSError:
                pass
            # A command that was cut off may still be on its way inside; nothing tells from outside when it has ended.
            time.sleep(1 if self.pending else 0)
        self.client = None

    def make_mailboxes(self):
        for name in ("Work", "Copies", "Done"):
            self.client.create(name)
        kind, data = self.client.list()
        return kind == "OK" and len([line for line in data if line]) >= 4

    def select(self, mailbox):
        if self.selected != mailbox:
            self.selected = None
            select(self.client, mailbox)
            self.selected = mailbox

    # --- the model ---

    def settle(self):
        """Looks at everything; what was under way has happened or not, the rest is as it was answered."""
        found = {}
        for mailbox in self.model:
            self.selected = None
            found[mailbox] = fetch(self.client, "1:*") if select(self.client, mailbox) else {}
        for mailbox, actual in found.items():
            self.compare(mailbox, self.model[mailbox], actual)
        if self.pending:
            kind, _, happened = self.pending
            if happened is None:
                raise AssertionError(f"{kind}: half of it happened")
            self.counts["happened"] += happened
        self.model = found
        self.pending = None

    def compare(self, mailbox, known, actual):
        expected = dict(known)
        new = {uid: value for uid, value in actual.items() if uid not in known}
        changes = self.pending[1].get(mailbox, {}) if self.pending else {}
        seen = []
        for uid, after in changes.items():
            if uid == "new":  # one more message of this name and these flags
                match = [u for u, value in new.items() if value == after]
                seen.append(len(match) == 1)
                for u in match[:1]:
                    del new[u]
                continue
            seen.append(actual.get(uid) == after)
            if actual.get(uid) == after:
                expected.pop(uid, None)
                if after is not None:
                    expected[uid] = after
        if seen:
            self.note(all(seen), any(seen))
        for uid, value in expected.items():
            if actual.get(uid) != value:
                raise AssertionError(f"{mailbox} uid {uid}: {value} was answered, {actual.get(uid)} is there "
                                     f"(under way: {self.pending})")
        if mailbox != "INBOX" and new:
            raise AssertionError(f"{mailbox}: from nowhere: {new} (under way: {self.pending})")

    def note(self, all_of_it, any_of_it):
        """Both halves of a MOVE must say the same."""
        kind, changes, before = self.pending
        now = True if all_of_it else (False if not any_of_it else None)
        first = before == "not looked at yet"
        self.pending = (kind, changes, now if first or now == before else None)

    def command(self, kind, changes, call):
        """`changes`: {mailbox: {uid or "new": (name, flags) or None}}. True when it was answered OK."""
        self.pending = (kind, changes, "not looked at yet")
        self.say(f"{kind} {changes}")
        answer, data = call()
        if answer == "OK":
            self.counts["OK"] += 1
            self.pending = None
            return True
        # A NO is a promise, too: it has not happened.
        self.counts["NO"] += 1
        self.refusals.append(f"{kind}: {answer} {data}")
        self.pending = None
        return False

    # --- what it does ---

    def pick(self, *mailboxes):
        places = [(m, uid) for m in mailboxes for uid in self.model[m]]
        return self.random.choice(places) if places else None

    def step(self):
        try:
            self.act()
        except (OSError, imaplib.IMAP4.abort, EOFError):
            self.counts["unknown"] += 1 if self.pending else 0
            raise

    def act(self):
        choice = self.random.randrange(10)
        place = self.pick("INBOX", "Work", "Copies", "Done")
        removable = self.pick("Work", "Copies")
        if choice < 1:
            self.look()
        elif choice < 4 or place is None:
            self.append()
        elif choice < 6:
            self.store(*place)
        elif choice < 7:
            self.copy(*place)
        elif choice < 8 and (inbox := self.pick("INBOX")):
            self.move(*inbox)
        elif removable and len(self.model["Work"]) + len(self.model["Copies"]) > 20:
            self.expunge(*removable)

    def look(self):
        self.select("INBOX")
        last = max(self.model["INBOX"], default=0)
        self.client.noop()
        found = fetch(self.client, f"{last + 1}:*")
        self.model["INBOX"].update({uid: value for uid, value in found.items() if uid > last})

    def append(self):
        self.next_name += 1
        name = f"{self.address.split('@')[0]}-{self.next_name}"
        flags = self.random.choice(FLAG_SETS)
        value = (name, frozenset(flags))
        if self.command("APPEND", {"Work": {"new": value}},
                        lambda: self.client.append("Work", f"({' '.join(flags)})", None, message(name))):
            uid = int(self.client.response("APPENDUID")[1][-1].split()[1])
            self.model["Work"][uid] = value

    def store(self, mailbox, uid):
        self.select(mailbox)
        flags = self.random.choice(FLAG_SETS)
        value = (self.model[mailbox][uid][0], frozenset(flags))
        if self.command("STORE", {mailbox: {uid: value}},
                        lambda: self.client.uid("STORE", str(uid), "FLAGS", f"({' '.join(flags)})")):
            self.model[mailbox][uid] = value

    def copy(self, mailbox, uid):
        self.select(mailbox)
        value = self.model[mailbox][uid]
        if self.command("COPY", {"Copies": {"new": value}}, lambda: self.client.uid("COPY", str(uid), "Copies")):
            self.model["Copies"][int(self.client.response("COPYUID")[1][-1].split()[2])] = value

    def move(self, mailbox, uid):
        self.select(mailbox)
        value = self.model[mailbox][uid]
        if self.command("MOVE", {mailbox: {uid: None}, "Done": {"new": value}},
                        lambda: self.client.uid("MOVE", str(uid), "Done")):
            self.model["Done"][int(self.client.response("COPYUID")[1][-1].split()[2])] = value
            del self.model[mailbox][uid]

    def expunge(self, mailbox, uid):
        self.select(mailbox)
        name, flags = self.model[mailbox][uid]
        marked = (name, flags | {"\\Deleted"})
        if not self.command("STORE", {mailbox: {uid: marked}},
                            lambda: self.client.uid("STORE", str(uid), "+FLAGS", "(\\Deleted)")):
            return
        self.model[mailbox][uid] = marked
        if self.command("EXPUNGE", {mailbox: {uid: None}}, lambda: self.client.uid("EXPUNGE", str(uid))):
            del self.model[mailbox][uid]
