"""A process of SMTP senders. Ends, after the messages under way, when its standard input is closed.

    python3 -m tests.e2e.crash.senders PREFIX PORT CONNECTIONS RATE LIST RECIPIENT…

One message in 40 goes to LIST, an alias for many.

Standard output: "O name recipient…" before a message's last byte is sent, "A name recipient…" after its 250, for the
recipients that were accepted, "R code text…" for each reply that refuses something. RATE: messages a second for all
connections together.
"""
import random
import socket
import sys
import threading
import time

from tests.e2e.crash.messages import message

TIMEOUT = 90


class Refused(Exception):
    pass


note_lock = threading.Lock()


def note(*words):
    with note_lock:
        sys.stdout.write(" ".join(words) + "\n")
        sys.stdout.flush()


class Sender(threading.Thread):
    def __init__(self, prefix, number, port, pause, many, recipients, stop):
        super().__init__(daemon=True)
        self.prefix, self.number, self.port, self.pause, self.stop = f"{prefix}{number}", number, port, pause, stop
        self.many, self.recipients = many, recipients
        self.random = random.Random(self.prefix)
        self.sent = 0
        self.socket = self.reader = None

    def run(self):
        while not self.stop.is_set():
            try:
                if self.socket is None:
                    self.connect()
                self.send()
                self.stop.wait(self.random.random() * 2 * self.pause)
            except (OSError, EOFError, Refused):
                self.close()
                self.stop.wait(0.05)
        self.close()

    def connect(self):
        # Each its own address: what is limited for one client is not what is tested here.
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT,
                                               source_address=(f"127.0.1.{self.number + 1}", 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")
        self.expect(220)
        self.socket.sendall(b"EHLO sender.far.test\r\n")
        self.expect(250)

    def close(self):
        if self.socket is not None:
            self.reader and self.reader.close()
            self.socket.close()
        self.socket = self.reader = None

    def reply(self):
        while line := self.reader.readline():
            if len(line) > 3 and line[3:4] != b"-":
                if line[:1] in b"45":
                    note("R", line[:3].decode(), *line[4:].decode(errors="replace").split())
                return int(line[:3])
        raise EOFError("connection closed")

    def expect(self, code):
        got = self.reply()
        if got != code:
            raise Refused(got)

    def send(self):
        recipients = self.random.sample(self.recipients, self.random.choice((1, 1, 1, 2, 3)))
        if self.random.randrange(40) == 0:
            recipients.append(self.many)
        self.sent += 1
        name = f"{self.prefix}-{self.sent}"
        lines = ["MAIL FROM:<sender@far.test>"] + [f"RCPT TO:<{r}>" for r in recipients] + ["DATA"]
        self.socket.sendall("".join(line + "\r\n" for line in lines).encode())
        mail = self.reply()
        accepted = [r for r in recipients if self.reply() == 250]
        data = self.reply()
        if data != 354:
            raise Refused(mail, data)
        note("O", name, *accepted)
        self.socket.sendall(message(name) + b".\r\n")
        if self.reply() == 250:
            note("A", name, *accepted)
        # Anything else: it may arrive once or not at all; it is never sent again.


def main():
    prefix, port, connections, rate = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    stop = threading.Event()
    threads = [Sender(prefix, i, port, connections / rate, sys.argv[5], sys.argv[6:], stop)
               for i in range(connections)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    end = time.monotonic() + TIMEOUT
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


if __name__ == "__main__":
    main()
