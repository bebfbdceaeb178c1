"""A logged-in session with the running demo, on the terminal: chat.py imap|smtp|pop3 DIR [USER PASSWORD]

What is typed goes to the server line by line, what it says is shown. End of input says good-bye.
"""
import base64
import pathlib
import socket
import ssl
import sys
import threading

DEMO_USER, DEMO_PASSWORD = "alice@demo.test", "alice-demo"
PROTOCOLS = {  # port; greeting and replies until TLS; then the login; the farewell
    "imap": ("IMAP_PORT", "a STARTTLS", "b LOGIN {user} {password}", "z LOGOUT"),
    "smtp": ("SUBMISSION_PORT", "STARTTLS", "AUTH PLAIN {plain}", "QUIT"),
    "pop3": ("POP3_PORT", "STLS", "USER {user}\nPASS {password}", "QUIT"),
}


class Session:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=30)
        self.file = self.socket.makefile("rb")

    def say(self, line, shown=None):
        print(f"> {shown or line}", flush=True)
        self.socket.sendall(line.encode() + b"\r\n")

    def hear(self, tag=None):
        """One reply; for IMAP everything up to the line with `tag`."""
        while line := self.file.readline():
            text = line.decode(errors="replace").rstrip("\r\n")
            print(text, flush=True)
            if tag is None and text[3:4] != "-" or tag and text.startswith(tag + " "):
                return text
        sys.exit("closed by the server")

    def start_tls(self):
        context = ssl.create_default_context()  # the demo's certificate is its own
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")


def log_in(session, protocol, user, password):
    _, tls, login, _ = PROTOCOLS[protocol]
    session.hear()
    if protocol == "smtp":
        session.say("EHLO localhost")
        session.hear()
    session.say(tls)
    session.hear("a" if protocol == "imap" else None)
    session.start_tls()
    if protocol == "smtp":
        session.say("EHLO localhost")
        session.hear()
    plain = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
    for line in login.split("\n"):
        session.say(line.format(user=user, password=password, plain=plain),
                    line.format(user=user, password="********", plain="********"))
        session.hear("b" if protocol == "imap" else None)


def relay(session, farewell):
    """Shows what the server says until it closes, and sends what is typed meanwhile."""
    session.socket.settimeout(None)

    def typed():
        try:
            for line in sys.stdin:
                session.socket.sendall(line.rstrip("\r\n").encode() + b"\r\n")
            session.socket.sendall(farewell.encode() + b"\r\n")
        except OSError:
            pass
    threading.Thread(target=typed, daemon=True).start()
    try:
        while line := session.file.readline():
            print(line.decode(errors="replace").rstrip("\r\n"), flush=True)
    except (OSError, KeyboardInterrupt):
        pass


def main(arguments):
    if len(arguments) not in (2, 4) or arguments[0] not in PROTOCOLS:
        sys.exit(__doc__)
    protocol, folder = arguments[:2]
    user, password = arguments[2:] or (DEMO_USER, DEMO_PASSWORD)
    try:
        text = (pathlib.Path(folder) / "endpoints.env").read_text()
    except OSError:
        sys.exit(f"nothing runs in {folder}: ./dev run")
    endpoints = dict(line.split("=", 1) for line in text.splitlines())
    session = Session(endpoints["HOST"].strip("'"), int(endpoints[PROTOCOLS[protocol][0]]))
    log_in(session, protocol, user, password)
    relay(session, PROTOCOLS[protocol][3])


if __name__ == "__main__":
    main(sys.argv[1:])
