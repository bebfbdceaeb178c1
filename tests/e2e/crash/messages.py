"""Messages whose bytes follow from their names."""
import hashlib
import re

NAME = re.compile(rb"^Message-ID: <([^@>]+)@crash\.test>\r\n", re.MULTILINE)


def message(name):
    """The bytes of message `name`: 0.4 to 5 KB, one in 400 has 300 KB and is stored as an upload."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    kind = int(digest[:8], 16)
    lines = 4700 if kind % 400 == 0 else 3 + kind % 70
    head = (f"From: Sender <sender@far.test>\r\nTo: somebody@crash.test\r\nSubject: {digest[:12]}\r\n"
            f"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{name}@crash.test>\r\n\r\n")
    return (head + "".join(f"{digest}{i:05}\r\n" for i in range(lines))).encode()


def name_of(data):
    """The name of a message that has these bytes (or this header), or None."""
    found = NAME.search(data)
    return found.group(1).decode() if found else None


def is_whole(data, name):
    """True when `data` is added header lines and then exactly the message."""
    original = message(name)
    return data.endswith(original) and b"\r\n\r\n" not in data[:-len(original)]
