"""Who may announce other addresses (PROXY v1 and v2), and how many connections and errors one address has."""
import re
import smtplib
import socket
import struct
import unittest

from tests.e2e.clients import Raw, imap_login, message, wait_uids
from tests.e2e.harness import TIMEOUT, wait_for
from tests.e2e.test_bad_input import GREETING, BadInput


class Peers(BadInput):
    """PROXY headers and limits, on ports of their own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.listed = {}
        for number, (protocol, greeting) in enumerate((("SMTP", b"220 "), ("IMAP", b"* OK"), ("POP3", b"+OK"))):
            port = 914 + number  # as harness.OFFSETS, but no other suite's
            cls.suite.cli("add", "listener", f"proxied-{protocol.lower()}", f"protocol={protocol}", f"port={port}",
                          "proxy_from=127.0.0.0/8")
            cls.listed[cls.suite.base + port] = greeting
            wait_for(lambda port=port: socket.create_connection(("127.0.0.1", cls.suite.base + port), 5).close() or True,
                     "the listener is open")

    V2 = b"\r\n\r\n\0\r\nQUIT\n"

    def test_demanded_from_listed_peers(self):
        addresses = socket.inet_aton("198.51.100.7") + socket.inet_aton("192.0.2.1") + struct.pack(">HH", 4711, 25)
        six = (socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
               + struct.pack(">HH", 4711, 25))
        good = (b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 25\r\n", b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\n",
                b"PROXY UNKNOWN\r\n", self.V2 + b"\x21\x11" + struct.pack(">H", len(addresses)) + addresses,
                self.V2 + b"\x21\x21" + struct.pack(">H", len(six)) + six,
                self.V2 + b"\x21\x11" + struct.pack(">H", len(addresses) + 7) + addresses + b"\x04\0\x04abcd",
                self.V2 + b"\x20\0\0\0")
        bad = (b"EHLO far.test\r\n", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 999.1.1.1 1.1.1.1 1 2\r\n", b"PROXY " + b"x" * 200,
               self.V2 + b"\x11\x11\0\x0c" + addresses, self.V2 + b"\x21\x11\0\x01x", self.V2[:6] + b"QUIT\r\n", b"\0" * 300)
        for port, greeting in self.listed.items():
            for header in good:
                with self.subTest(header=header[:24], greeting=greeting), Raw(port) as client:
                    for byte in header[:20]:  # in pieces, as a network may deliver it
                        client.send(bytes([byte]))
                    client.send(header[20:])
                    self.assertTrue(client.line().startswith(greeting))
            for header in bad:
                with self.subTest(header=header[:24], greeting=greeting), Raw(port) as client:
                    self.assertEqual(self.flood(client, header, 1), b"")

    def test_the_announced_address_decides(self):
        port = next(iter(self.listed))
        with Raw(port) as client:
            client.send("PROXY TCP4 198.51.100.7 192.0.2.1 4711 25\r\n")
            client.smtp()
            for command in ("EHLO far.test", "MAIL FROM:<c@far.test>", "RCPT TO:<alice@here.test>", "DATA"):
                client.smtp(command)
            client.send(message("proxied").replace(b"\r\n.", b"\r\n..") + b".\r\n")
            self.assertEqual(client.smtp()[:3], "250")
        reader = imap_login(self, self.suite)
        uid = wait_uids(reader, 1, "INBOX", "SUBJECT", '"message proxied"')[0]
        header = reader.uid("fetch", str(uid), "(BODY.PEEK[HEADER.FIELDS (RECEIVED)])")[1][0][1]
        self.assertIn(b"[198.51.100.7]", header)
        # A stranger's address may not send passwords in the clear, though the proxy itself might.
        imap = list(self.listed)[1]
        with Raw(imap) as client:
            client.send("PROXY TCP4 198.51.100.7 192.0.2.1 4711 143\r\n")
            client.line()
            self.assertTrue(client.imap("LOGIN alice@here.test secret")[1].startswith("NO"))

    def test_refused_from_everybody_else(self):
        for port, greeting in GREETING.items():
            with self.subTest(port=port), Raw(self.suite.port(port)) as client:
                client.send("PROXY TCP4 198.51.100.7 192.0.2.1 4711 25\r\n")
                self.assertTrue(client.line().startswith(greeting))
                self.assertRegex(client.rest(), rb"(?i)^((5\d\d|-ERR|\* BYE|\* BAD|PROXY BAD)[^\n]*\n)?$", "an error, or closed")

    def test_too_many_connections_of_one_address(self):
        self.suite.cli("set", "settings", "max_connections_per_address=5")
        for port, refusal in zip(self.listed, (rb"^421 ", rb"^\* BYE ", rb"^-ERR ")):
            with self.subTest(refusal=refusal):
                def connect(address, port=port):
                    client = Raw(port)
                    self.addCleanup(client.socket.close)
                    client.send(f"PROXY TCP4 {address} 192.0.2.1 4711 25\r\n")
                    return client, client.line()
                held = [connect("198.51.100.9") for _ in range(5)]
                self.assertTrue(all(not re.match(refusal, line) for _, line in held))
                self.assertRegex(connect("198.51.100.9")[1], refusal)
                self.assertNotRegex(connect("198.51.100.10")[1], refusal)
                held[0][0].socket.close()
                wait_for(lambda: not re.match(refusal, connect("198.51.100.9")[1]), "a place is free again")
        self.suite.cli("set", "settings", "max_connections_per_address=50")

    def test_too_many_errors_end_the_session(self):
        for port, word in (("smtp", "NONSENSE"), ("imap", "x NONSENSE"), ("pop3", "NONSENSE")):
            with self.subTest(port=port), Raw(self.suite.port(port)) as client:
                heard = self.flood(client, f"{word}\r\n".encode() * 100, 1)
                self.assertLess(heard.count(b"\r\n"), 60)
        with smtplib.SMTP("127.0.0.1", self.suite.port("smtp"), timeout=TIMEOUT) as client:
            client.ehlo()
            client.mail("c@far.test")
            codes = set()
            with self.assertRaises(smtplib.SMTPServerDisconnected):
                for number in range(2000):
                    codes.add(client.rcpt(f"guess{number}@here.test")[0])
            self.assertIn(550, codes)


if __name__ == "__main__":
    unittest.main()
