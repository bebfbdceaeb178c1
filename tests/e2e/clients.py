"""Small clients for the end-to-end tests, below what Python's libraries allow, and messages to send with them."""
import contextlib
import imaplib
import json
import re
import smtplib
import socket
import ssl
import subprocess

from tests.e2e.harness import TIMEOUT, wait_for

COMMAND_TIMEOUT = TIMEOUT * 2


def message(number=1, sender="carol@far.test", to="alice@here.test", body=b"Stra\xc3\x9fe\r\n..two dots\r\n\r\nend\r\n",
            extra=b""):
    """A small message with CRLF, 8-bit text, and a Subject and Message-ID that carry `number`."""
    return (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: message {number}\r\nDate: Sat, 21 Nov 2026 10:00:00 +0100\r\n"
            f"Message-ID: <m{number}@far.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 8bit\r\n").encode() + extra + b"\r\n" + body


def is_below(added, original):
    """True when `added` is whole header lines and then exactly `original`."""
    return added.endswith(original) and re.fullmatch(rb"(?:[!-9;-~]+:[^\n]*\r?\n(?:[ \t][^\n]*\r?\n)*)*",
                                                     added[:-len(original)]) is not None


def run(*command, check=True, stdin=None, env=None, timeout=COMMAND_TIMEOUT):
    """Runs a client; its output as bytes. Fails with the output when the exit status is not 0."""
    result = subprocess.run([str(word) for word in command], input=stdin, env=env, capture_output=True, timeout=timeout)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {result.returncode}\n"
                             f"{result.stdout.decode(errors='replace')}\n{result.stderr.decode(errors='replace')}")
    return result


def unverified():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def certificate_file(suite):
    """The default certificate as a file, for clients that verify ("localhost" is one of its names)."""
    path = suite.dir / "default.pem"
    if not path.exists():
        found = json.loads(suite.cli("get", "certificate", "default", "--output", "json").stdout)
        path.write_text(found[0]["chain"])
    return path


def inject(suite, data, to=("alice@here.test",), sender="carol@far.test", options=("BODY=8BITMIME",)):
    """Sends by port 25, as another server would."""
    with smtplib.SMTP("127.0.0.1", suite.port("smtp"), timeout=TIMEOUT) as client:
        return client.sendmail(sender, list(to), data, mail_options=list(options))


@contextlib.contextmanager
def submission(port, user="alice@here.test", password="secret", timeout=TIMEOUT):
    """An SMTP client at a submission port, logged in."""
    with smtplib.SMTP("127.0.0.1", port, timeout=timeout) as client:
        client.starttls()
        client.login(user, password)
        yield client


def imap_login(test, suite, user="alice@here.test", password="secret", port=None):
    client = imaplib.IMAP4("127.0.0.1", port or suite.port("imap"), timeout=TIMEOUT)
    test.addCleanup(client.shutdown)
    client.login(user, password)
    return client


def uids(client, mailbox="INBOX", *keys):
    client.select(mailbox)
    return [int(word) for word in client.uid("search", None, *(keys or ("ALL",)))[1][0].split()]


def wait_uids(client, count, mailbox="INBOX", *keys):
    return wait_for(lambda: (found := uids(client, mailbox, *keys)) and len(found) >= count and found,
                    f"{count} messages in {mailbox}")


class Raw:
    """A line-by-line connection: what is sent and read is exactly what the test says."""

    def __init__(self, port, tls=False, host="127.0.0.1", timeout=TIMEOUT):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        if tls:
            self.start_tls()
        self.buffer = b""
        self.tag = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def start_tls(self):
        self.socket = unverified().wrap_socket(self.socket, server_hostname="localhost")
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def fill(self):
        chunk = self.socket.recv(65536)
        if not chunk:
            raise EOFError("closed by the server")
        self.buffer += chunk

    def line(self):
        while b"\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def exactly(self, count):
        while len(self.buffer) < count:
            self.fill()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def rest(self):
        """Everything until the server closes."""
        try:
            while True:
                self.fill()
        except (EOFError, ConnectionError, ssl.SSLError):
            data, self.buffer = self.buffer, b""
            return data

    # SMTP and POP3
    def smtp(self, command=None):
        """Sends a command, if any, and returns the whole reply as text."""
        if command is not None:
            self.send(command + "\r\n")
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        return "\n".join(line.decode() for line in lines)

    def pop(self, command=None, multi=False):
        if command is not None:
            self.send(command + "\r\n")
        lines = [self.line().decode()]
        while multi and lines[0].startswith("+OK") and lines[-1] != ".":
            lines.append(self.line().decode())
        return lines if multi else lines[0]

    # IMAP
    def response(self):
        """One IMAP response with its literals, as bytes."""
        data = self.line()
        while found := re.search(rb"\{(\d+)\}$", data):
            data += b"\r\n" + self.exactly(int(found[1]))
            data += self.line()
        return data

    def imap(self, command):
        """Runs a command; returns (untagged responses, the tagged one without its tag)."""
        self.tag += 1
        tag = f"t{self.tag}"
        self.send(f"{tag} ".encode() + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return self.until_tagged(tag)

    def until_tagged(self, tag):
        untagged = []
        while True:
            response = self.response()
            if response.startswith(tag.encode() + b" "):
                return untagged, response[len(tag) + 1:].decode()
            untagged.append(response)

    def ok(self, command):
        untagged, tagged = self.imap(command)
        if not tagged.startswith("OK"):
            raise AssertionError(f"{command!r}: {tagged}")
        return untagged, tagged


def raw_imap(test, suite, user="alice@here.test", password="secret", port=None, mailbox=None):
    """A logged-in raw session, closed by the test's cleanup."""
    client = Raw(port or suite.port("imap"))
    test.addCleanup(client.socket.close)
    client.line()
    client.ok(f'LOGIN "{user}" "{password}"')
    if mailbox:
        client.ok(f"SELECT {mailbox}")
    return client
