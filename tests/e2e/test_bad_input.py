"""Hostile and broken clients: a clear protocol error or a time limit, bounded memory, nothing logged as an internal error."""
import re
import socket
import struct
import threading
import time
import unittest

from tests.e2e.clients import Raw, imap_login, inject, is_below, message, raw_imap, uids, wait_uids
from tests.e2e.harness import PROCESSES, TIMEOUT, SuiteCase, wait_for

GREETING = {"smtp": b"220 ", "submission": b"220 ", "imap": b"* OK", "pop3": b"+OK"}
MEGABYTE = 1 << 20


class BadInput(SuiteCase):
    accounts = ("alice", "bob")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pids = {name: cls.suite.pid(name) for name in PROCESSES}

    def setUp(self):
        self.seen = len(self.suite.log())

    def tearDown(self):
        """Whatever the test did: all processes still run, serve, and complained of nothing."""
        errors = [line for line in self.suite.log()[self.seen:].splitlines() if re.search(r"Z error |panic|Assert|ended:", line)]
        self.assertEqual(errors, [])
        self.assertEqual({name: self.suite.pid(name) for name in PROCESSES}, self.pids)
        for port, greeting in GREETING.items():
            with Raw(self.suite.port(port)) as client:
                self.assertTrue(client.line().startswith(greeting))

    def resident(self, process):
        """Bytes of memory that a process holds."""
        with open(f"/proc/{self.pids[process]}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * 4096

    def flood(self, client, data, times):
        """Sends until the server stops the connection or all is sent, reading what it says meanwhile; all it said."""
        heard = bytearray()

        def listen():
            try:
                while chunk := client.socket.recv(65536):
                    heard.extend(chunk)
            except OSError:
                pass
        listener = threading.Thread(target=listen)
        listener.start()
        try:
            for _ in range(times):
                client.send(data)
            client.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        listener.join(TIMEOUT)
        self.assertFalse(listener.is_alive(), f"the connection neither answers nor ends: {bytes(heard[-200:])!r}")
        return bytes(heard)

    def ports(self):
        return [(port, False) for port in ("smtp", "submission", "imap", "pop3")] + [
            (port, True) for port in ("submissions", "imaps", "pop3s")]


class Garbage(BadInput):
    def test_garbage_before_and_after_the_greeting(self):
        noise = bytes(range(256)) * 40
        for data in (noise, b"\0" * 5000 + b"\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + noise,
                     b"\r\n" * 2000, b"\xff\xfe\xfd\r\n" * 500, b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"):
            for port, tls in self.ports():
                with self.subTest(port=port, data=data[:12]), Raw(self.suite.port(port)) as client:
                    heard = self.flood(client, data, 1)  # on the TLS ports this is no TLS at all
                    self.assertLess(len(heard), 70000)
                    if not tls:
                        self.assertRegex(heard, rb"^(220 |\* OK|\+OK|554|421|\* BYE|-ERR)")

    def test_lines_of_a_megabyte(self):
        before = {name: self.resident(name) for name in ("smtp-gateway", "imap-gateway", "pop3-gateway")}
        for port, start in (("smtp", b"EHLO "), ("submission", b"MAIL FROM:<"), ("imap", b"a LOGIN "), ("imap", b""),
                            ("pop3", b"USER ")):
            with self.subTest(port=port, start=start), Raw(self.suite.port(port)) as client:
                client.line()
                client.send(start)
                heard = self.flood(client, b"x" * MEGABYTE, 20)
                self.assertRegex(heard, rb"(?i)(500|421|BAD|BYE|-ERR)[^\n]*\r\n")
        for name, size in before.items():
            self.assertLess(self.resident(name) - size, 16 * MEGABYTE, name)

    def test_a_line_of_a_megabyte_inside_a_message(self):
        with Raw(self.suite.port("smtp")) as client:
            client.smtp()
            for command in ("EHLO far.test", "MAIL FROM:<c@far.test>", "RCPT TO:<alice@here.test>", "DATA"):
                client.smtp(command)
            client.send(b"Subject: long\r\n\r\n" + b"y" * MEGABYTE + b"\r\n.\r\n")
            self.assertRegex(client.smtp(), r"^(250|5\d\d) ")
            self.assertEqual(client.smtp("NOOP")[:3], "250")

    def test_nuls(self):
        with Raw(self.suite.port("smtp")) as client:
            client.smtp()
            self.assertRegex(client.smtp("EHLO a\0b"), r"^50[01] ")
            client.smtp("EHLO far.test")
            self.assertRegex(client.smtp("MAIL FROM:<a\0b@far.test>"), r"^5\d\d ")
        with Raw(self.suite.port("imap")) as client:
            client.line()
            client.send(b"a LOGIN \"x\0y\" z\r\n")
            self.assertRegex(client.line(), rb"(?i)^(a|\*) (BAD|NO)")
        with Raw(self.suite.port("pop3")) as client:
            client.line()
            client.pop("USER alice@here.test\0")
            self.assertTrue(client.pop("PASS secret").startswith("-ERR"))
        client = raw_imap(self, self.suite)
        data = b"Subject: nul\r\n\r\na\0b\r\n"
        client.send(f"x APPEND INBOX {{{len(data)}+}}\r\n".encode() + data + b"\r\n")
        self.assertTrue(client.until_tagged("x")[1].startswith(("NO", "BAD")))
        client.ok("NOOP")

    def test_pipelined_plaintext_does_not_survive_starttls(self):
        """What was sent in the clear behind STARTTLS must not be executed as if it came through TLS."""
        for port, command, answer in (("smtp", "STARTTLS", b"220"), ("imap", "a STARTTLS", b"a OK"), ("pop3", "STLS", b"+OK")):
            with self.subTest(port=port), Raw(self.suite.port(port)) as client:
                client.line()
                if port == "smtp":
                    client.smtp("EHLO far.test")
                injected = {"smtp": "RSET", "imap": "b NOOP", "pop3": "CAPA"}[port]
                client.send(f"{command}\r\n{injected}\r\n")
                heard = client.line()
                if not heard.startswith(answer):
                    continue  # refused as a whole: as good
                try:
                    client.start_tls()
                    client.send({"smtp": "VRFY\r\n", "imap": "c NOOP\r\n", "pop3": "NONSENSE\r\n"}[port])
                    first = client.line()
                except OSError:
                    continue
                self.assertNotRegex(first, {"smtp": rb"^250", "imap": rb"^b ", "pop3": rb"^\+OK"}[port])


class Mime(BadInput):
    def nested(self, depth):
        opened = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth))
        return (b"From: <c@far.test>\r\nSubject: nested\r\nMIME-Version: 1.0\r\n" + opened
                + b"Content-Type: text/plain\r\n\r\ndeep inside\r\n")

    def test_nested_ten_thousand_deep(self):
        before = self.resident("store-service")
        shapes = {"multipart": self.nested(10000),
                  "rfc822": b"Subject: nested\r\nMIME-Version: 1.0\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 10000,
                  "parts": b"Subject: nested\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
                           + b"--b\r\n\r\n\r\n" * 100000,
                  "headers": b"Subject: nested\r\n" + b"X: y\r\n" * 100000 + b"\r\nbody\r\n",
                  "comments": b"Subject: nested\r\nFrom: " + b"(" * 10000 + b"\r\n\r\nbody\r\n",
                  "words": b"Subject: nested" + b"\r\n =?utf-8?q?x?=" * 5000 + b"\r\n\r\nbody\r\n"}
        client = imap_login(self, self.suite)
        for number, (name, data) in enumerate(shapes.items(), 1):
            with self.subTest(shape=name):
                inject(self.suite, data)
                uid = wait_uids(client, number, "INBOX", "SUBJECT", "nested")[-1]
                fetched = client.uid("fetch", str(uid), "(BODY.PEEK[])")[1][0][1]
                self.assertTrue(is_below(fetched, data) or fetched.endswith(data), name)
                for item in ("BODYSTRUCTURE", "ENVELOPE", "BODY.PEEK[1.1.1.1.1]", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]",
                             "BODY.PEEK[" + ".".join(["1"] * 5000) + "]"):
                    raw = self.session(client)
                    untagged, tagged = raw.imap(f"UID FETCH {uid} {item}")
                    self.assertRegex(tagged, "^(OK|NO|BAD)")
                    self.assertLess(sum(map(len, untagged)), 4 * MEGABYTE)
        self.assertLess(self.resident("store-service") - before, 100 * MEGABYTE)

    def session(self, _):
        if not hasattr(self, "raw"):
            self.raw = raw_imap(self, self.suite, mailbox="INBOX")
        return self.raw

    def test_imap_syntax_bombs(self):
        for command in ("SEARCH " + "(" * 5000 + "ALL" + ")" * 5000, "SEARCH " + "NOT " * 10000 + "ALL",
                        "SEARCH " + "OR " * 3000 + "ALL " * 3001, "FETCH 1:* (" + "FLAGS " * 5000 + "UID)",
                        "FETCH " + ",".join(str(n) for n in range(1, 8000)) + " UID",
                        "STORE 1:4294967295 +FLAGS (" + " ".join(f"k{n}" for n in range(1000)) + ")",
                        'LIST "" "' + "%*" * 2000 + 'x"', "CREATE " + "a/" * 3000 + "b", "SELECT &&&&", "FETCH 0 UID",
                        "FETCH 99999999999 UID", "UID FETCH *:1 BODY[999999999999]", "APPEND INBOX {99999999999999999999}"):
            with self.subTest(command=command[:30]):
                client = raw_imap(self, self.suite, "bob@here.test", mailbox="INBOX")
                client.send("x " + command + "\r\n")
                heard = wait_for(lambda: next((line for line in iter(client.response, None)
                                               if re.match(rb"x |\* (BYE|BAD)", line)), None), "an answer")
                self.assertRegex(heard, rb"^(x (OK|NO|BAD)|\* (BYE|BAD))")


class Silence(BadInput):
    def test_literals_announced_and_never_sent(self):
        before = self.resident("imap-gateway")
        clients = [raw_imap(self, self.suite) for _ in range(40)]
        for client in clients:
            client.send(f"x APPEND INBOX {{{40 * MEGABYTE}}}\r\n")
            self.assertTrue(client.line().startswith(b"+"))
            client.send(b"Subject: never finished\r\n")
        self.assertLess(self.resident("imap-gateway") - before, 40 * MEGABYTE)
        for client in clients:
            client.socket.close()
        too_large = raw_imap(self, self.suite)
        self.assertRegex(too_large.imap(f"APPEND INBOX {{{1 << 40}}}")[1], r"^(NO|BAD) ")
        with Raw(self.suite.port("imap")) as stranger:  # before the login only small ones
            stranger.line()
            stranger.send("a LOGIN {100000000}\r\n")
            self.assertRegex(stranger.line(), rb"^(a (BAD|NO)|\* BYE)")
        self.assertEqual(uids(imap_login(self, self.suite), "INBOX", "SUBJECT", '"never finished"'), [])

    def test_half_closed_sockets(self):
        for port, farewell in (("smtp", b""), ("imap", b""), ("pop3", b"")):
            with self.subTest(port=port), Raw(self.suite.port(port)) as client:
                client.line()
                client.socket.shutdown(socket.SHUT_WR)
                client.rest()
        with Raw(self.suite.port("smtp")) as client:  # half closed behind a whole dialogue: it is all answered
            data = message("half", to="bob@here.test").replace(b"\r\n.", b"\r\n..")
            client.smtp()
            client.send(b"EHLO far.test\r\nMAIL FROM:<c@far.test>\r\nRCPT TO:<bob@here.test>\r\nDATA\r\n")
            client.smtp()
            client.smtp(), client.smtp()
            self.assertEqual(client.smtp()[:3], "354")
            client.send(data + b".\r\n")
            client.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(client.smtp()[:3], "250")
        wait_uids(imap_login(self, self.suite, "bob@here.test"), 1, "INBOX", "SUBJECT", '"message half"')
        with Raw(self.suite.port("smtp")) as client:  # ends inside the message: nobody was told 250
            client.smtp()
            for command in ("EHLO far.test", "MAIL FROM:<c@far.test>", "RCPT TO:<bob@here.test>", "DATA"):
                client.smtp(command)
            client.send(b"Subject: cut off\r\n\r\nhalf a mes")
            client.socket.shutdown(socket.SHUT_WR)
            self.assertNotIn(b"250", client.rest())
        self.assertEqual(uids(imap_login(self, self.suite, "bob@here.test"), "INBOX", "SUBJECT", '"cut off"'), [])

    def test_silence_has_a_time_limit(self):
        self.suite.cli("set", "settings", "smtp_command_timeout=10s", "pop3_idle_timeout=10s")
        self.suite.settle()
        clients = {port: Raw(self.suite.port(port), timeout=60) for port in ("smtp", "submission", "pop3")}
        drip = Raw(self.suite.port("smtp"), timeout=60)  # one that is never quite silent, and never says a command
        clients["pop3"].pop()
        clients["pop3"].pop("USER alice@here.test")
        clients["pop3"].pop("PASS secret")
        began = time.monotonic()
        dripping = threading.Thread(target=self.drip, args=(drip,))
        dripping.start()
        for port, farewell in (("smtp", rb"\r\n421 4\.4\.2"), ("submission", rb"\r\n421 4\.4\.2"), ("pop3", rb"^(-ERR[^\n]*\n)?$")):
            self.assertRegex(clients[port].rest(), farewell)
            self.assertTrue(8 < time.monotonic() - began < 40, port)
            clients[port].socket.close()
        dripping.join(60)
        self.assertFalse(dripping.is_alive(), "single octets keep a connection for ever")
        drip.socket.close()
        self.suite.cli("set", "settings", "smtp_command_timeout=5m", "pop3_idle_timeout=10m")

    @staticmethod
    def drip(client):
        try:
            while True:
                client.send(b"N")
                client.socket.settimeout(0.2)
                try:
                    if client.socket.recv(4096).startswith(b"421"):
                        return
                except TimeoutError:
                    pass
        except OSError:
            pass

    def test_resets_in_the_middle(self):
        linger = struct.pack("ii", 1, 0)
        for _ in range(50):
            for port, words in (("smtp", b"EHLO far.test\r\nMAIL FROM:<c@far.test>\r\n"), ("imap", b"a LOGIN alice@here.test secret\r\n"),
                                ("pop3", b"USER alice@here.test\r\nPASS secret\r\n"), ("imaps", b"\x16\x03\x01")):
                client = Raw(self.suite.port(port))
                client.send(words)
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                client.socket.close()

    def test_a_client_that_never_reads_costs_little_memory(self):
        body = b"0123456789abcdef" * 63 + b"\r\n"
        client = imap_login(self, self.suite)
        data = message("large", body=body * 4000)
        for _ in range(5):
            client.append("INBOX", None, None, data)
        count = len(uids(client, "INBOX"))
        before = {name: self.resident(name) for name in ("imap-gateway", "pop3-gateway", "store-service")}
        deaf = []
        for _ in range(10):
            session = raw_imap(self, self.suite, mailbox="INBOX")
            session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            session.send("x FETCH 1:* BODY.PEEK[]\r\n" * 3)
            deaf.append(session)
        session = raw_imap(self, self.suite, mailbox="INBOX")
        session.socket.settimeout(2)
        try:  # and one that asks for ever and never reads
            for _ in range(20000):
                session.send(b"x FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)\r\n" * 10)
        except OSError:
            pass
        self.assertEqual(len(uids(imap_login(self, self.suite), "INBOX")), count, "others are served meanwhile")
        for name, size in before.items():
            self.assertLess(self.resident(name) - size, 48 * MEGABYTE, name)
        for each in deaf:
            each.socket.close()


if __name__ == "__main__":
    unittest.main()
