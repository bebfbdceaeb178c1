"""What the end-to-end tests share: a whole suite in a temporary folder, a DNS server, an SMTP sink, and waiting.

Everything listens on free loopback ports, lives in one temporary folder, and is stopped by pid.
"""
import atexit
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("POSTHORN_BIN", ROOT / "build" / "release" / "bin"))
TIMEOUT = float(os.environ.get("POSTHORN_TEST_TIMEOUT", "30"))
OFFSETS = (25, 80, 110, 143, 465, 587, 901, 902, 903, 904, 905, 906, 907, 993, 995)
PROCESSES = ("store-service", "admin-service", "delivery-queue", "spam-service", "smtp-gateway", "imap-gateway",
             "pop3-gateway")


def wait_for(condition, what, timeout=TIMEOUT):
    """Polls until `condition()` is true and returns its value; fails with `what` otherwise."""
    end = time.monotonic() + timeout
    last_error = None
    while time.monotonic() < end:
        try:
            value = condition()
            if value:
                return value
            last_error = None
        except (OSError, EOFError, ConnectionError) as error:
            last_error = error
        time.sleep(0.01)
    raise AssertionError(f"not within {timeout:g} s: {what}" + (f" (last: {last_error!r})" if last_error else ""))


_reserved = []  # sockets that keep this test process's port bases from others
atexit.register(lambda: [reservation.close() for reservation in _reserved])


def free_port_base():
    """A base whose ports (see OFFSETS) are all free and stay so.

    Below the ports that the kernel gives to outgoing connections. The base's own port is kept bound until this process
    ends, so that tests running side by side never choose the same one (no two offsets differ by a multiple of 100)."""
    first, count = 10000, 205
    start = os.getpid() * 7 + int(time.monotonic() * 10)
    for base in (first + (start + step) % count * 100 for step in range(count)):
        reservation = socket.socket()
        with contextlib.ExitStack() as stack:
            try:
                reservation.bind(("127.0.0.1", base))
                for offset in OFFSETS:
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", base + offset))
                _reserved.append(reservation)
                return base
            except OSError:
                reservation.close()
    raise AssertionError("no free ports")


def free_port():
    """Free for TCP and UDP, between free_port_base()'s and what the kernel gives to outgoing connections; no test beside us
    gets the same one before this process ends: an abstract socket of its name is kept, as in lib/testing/free_port.cc."""
    first, count = 31500, 1200
    start = os.getpid() * 13 + len(_reserved)
    for port in (first + (start + step) % count for step in range(count)):
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0posthorn-test-port-{port}")
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
            _reserved.append(reservation)
            return port
        except OSError:
            reservation.close()
    raise AssertionError("no free port")


class Suite:
    """All seven processes under `posthorn up`."""

    def __init__(self, environment=None, bin_dir=BIN, up_options=()):
        self.bin = pathlib.Path(bin_dir)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-e2e-"))
        self.base = free_port_base()
        self.up_options = up_options
        self.environment = {**os.environ, **(environment or {})}
        self.endpoints = {}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        if os.environ.get("POSTHORN_KEEP"):
            print("kept", self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, environment=None):
        result = subprocess.run(
            [self.bin / "posthorn", "up", "--dir", self.dir, "--port-base", str(self.base), "--detach", *self.up_options],
            env={**self.environment, **(environment or {})}, capture_output=True, text=True, timeout=TIMEOUT * 2)
        if result.returncode != 0:
            raise AssertionError(f"posthorn up failed:\n{result.stdout}\n{result.stderr}\n{self.log()[-4000:]}")
        self.read_endpoints()
        return result.stdout

    def stop(self):
        subprocess.run([self.bin / "posthorn", "down", "--dir", self.dir], capture_output=True, timeout=TIMEOUT * 2)

    def read_endpoints(self):
        self.endpoints = {}
        for line in (self.dir / "endpoints.env").read_text().splitlines():
            name, _, value = line.partition("=")
            if name and not name.startswith("#"):
                self.endpoints[name.removeprefix("export ").strip()] = value.strip().strip("'\"")
        return self.endpoints

    def port(self, name):
        return int(self.endpoints[f"{name.upper()}_PORT"])

    def pid(self, process):
        return int(self.read_endpoints()["PID_" + process.upper().replace("-", "_")])

    def cli(self, *arguments, check=True, stdin=None, timeout=TIMEOUT):
        result = subprocess.run([self.bin / "posthorn", "--dir", self.dir, *map(str, arguments)], input=stdin,
                                env=self.environment, capture_output=True, text=True, timeout=timeout)
        if check and result.returncode != 0:
            raise AssertionError(f"posthorn {' '.join(map(str, arguments))}: {result.returncode}\n{result.stdout}"
                                 f"{result.stderr}")
        return result

    def settle(self):
        """Waits until every process has the newest configuration."""
        def same():
            text = self.cli("status", check=False).stdout
            newest = re.search(r"configuration revision (\d+)", text)
            seen = re.findall(r"^(?!admin)[a-z0-9]+-(?:gateway|queue|service) +\S+ +ready +\S+ +(\d+)", text,
                              re.MULTILINE)
            return newest and len(seen) >= 6 and set(seen) == {newest.group(1)}
        wait_for(same, "every process has the newest configuration")

    def log(self):
        path = self.dir / "posthorn.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def error_lines(self):
        return [line for line in self.log().splitlines() if " error " in line]

    def add_accounts(self, domain, *names, password="secret"):
        """Domain and accounts; returns their addresses."""
        self.cli("add", "domain", domain)
        addresses = [f"{name}@{domain}" for name in names]
        for address in addresses:
            self.cli("add", "account", address, f"password={password}")
        return addresses

    def kill(self, process, sig=signal.SIGKILL):
        pid = self.pid(process)
        os.kill(pid, sig)
        return pid

    def wait_restarted(self, process, old_pid):
        wait_for(lambda: self.pid(process) != old_pid and self.ready(process), f"{process} is back")

    def health(self, process, page="readyz"):
        name = "HEALTH_" + process.upper().replace("-", "_")
        host, _, port = self.endpoints[name].rpartition(":")
        with socket.create_connection((host or "127.0.0.1", int(port)), timeout=5) as connection:
            connection.sendall(f"GET /{page} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            data = b""
            while chunk := connection.recv(65536):
                data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        if not head:
            raise ConnectionError(f"{process} closed its health port without an answer")
        return int(head.split()[1]), body.decode()

    def ready(self, process):
        try:
            self.read_endpoints()
            return self.health(process)[0] == 200
        except (OSError, IndexError, KeyError):
            return False

    def metric(self, process, name):
        """Sum of all samples of a metric, 0.0 when there is none."""
        total = 0.0
        for line in self.health(process, "metrics")[1].splitlines():
            if line.startswith(name) and line[len(name):len(name) + 1] in ("{", " "):
                total += float(line.rsplit(" ", 1)[1])
        return total


class SuiteCase(unittest.TestCase):
    """One suite for all tests of a class, with the domain here.test and `accounts` in it (password "secret")."""

    accounts = ()

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite()
        cls.addClassCleanup(cls.suite.__exit__)
        cls.suite.start()
        cls.suite.add_accounts("here.test", *cls.accounts)


class Sink:
    """A real SMTP server of the test's own: keeps what it gets; replies can be scripted.

    `replies` maps a verb ("RCPT", "DATA", ".") to a list of replies used up one by one; then the normal one is given.
    """

    def __init__(self, host="127.0.0.1", port=0, replies=None, tls_files=None, name="sink.test",
                 extensions=("PIPELINING", "8BITMIME", "SIZE 100000000", "SMTPUTF8")):
        self.name = name
        self.messages = []
        self.replies = replies or {}
        self.extensions = list(extensions) + (["STARTTLS"] if tls_files else [])
        self.tls_files = tls_files
        self.connections = 0
        self.lock = threading.Lock()
        sink = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                sink.connections += 1
                sink.serve(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        self.server = Server((host, port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def reply(self, verb, normal):
        with self.lock:
            scripted = self.replies.get(verb)
            return scripted.pop(0) if scripted else normal

    def serve(self, handler):
        rfile, wfile, secure = handler.rfile, handler.wfile, False

        def say(text):
            wfile.write(text.encode() + b"\r\n")
            wfile.flush()

        envelope = {"sender": None, "recipients": []}
        say(self.reply("CONNECT", f"220 {self.name} ESMTP"))
        while line := rfile.readline(65536):
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            verb = text[:4].upper()
            if verb == "EHLO":
                say(f"250-{self.name}\r\n" + "\r\n".join(
                    f"250{'-' if i + 1 < len(self.extensions) else ' '}{e}" for i, e in enumerate(self.extensions)))
            elif verb == "STAR":
                say("220 go")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.tls_files)
                try:
                    wrapped = context.wrap_socket(handler.connection, server_side=True)
                except OSError:  # the client does not like the certificate
                    return
                rfile, wfile, secure = wrapped.makefile("rb"), wrapped.makefile("wb"), True
            elif verb == "MAIL":
                envelope = {"sender": text[10:].split(">")[0].lstrip("<"), "recipients": [], "tls": secure, "mail": text}
                say(self.reply("MAIL", "250 ok"))
            elif verb == "RCPT":
                answer = self.reply("RCPT", "250 ok")
                if answer.startswith("250"):
                    envelope["recipients"].append(text[8:].split(">")[0].lstrip("<"))
                say(answer)
            elif verb == "DATA":
                answer = self.reply("DATA", "354 go" if envelope["recipients"] else "554 5.5.1 no valid recipients")
                say(answer)
                if not answer.startswith("354"):
                    continue
                body = b""
                while (data := rfile.readline()) not in (b".\r\n", b""):
                    body += data[1:] if data.startswith(b".") else data
                if data == b"":
                    return
                answer = self.reply(".", "250 stored")
                if answer.startswith("250"):
                    with self.lock:
                        self.messages.append({**envelope, "data": body})
                say(answer)
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")


class Dns:
    """nsd on a free port, serving the zones given as {name: text}."""

    def __init__(self, zones):
        self.zones = zones
        self.port = 0
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-dns-"))
        self.process = None

    def __enter__(self):
        for _ in range(5):  # somebody else may take the port before nsd does
            self.port = free_port()
            self.write()
            self.process = subprocess.Popen(["/usr/sbin/nsd", "-d", "-c", self.dir / "nsd.conf"], stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL)
            try:
                wait_for(lambda: self.process.poll() is not None or self.answers(), "nsd answers")
            except AssertionError:
                self.__exit__()
                raise
            if self.process.poll() is None:
                return self
        shutil.rmtree(self.dir)
        raise AssertionError("nsd does not start")

    def answers(self):
        name = next(iter(self.zones))
        return subprocess.run(["dig", "+short", "+time=1", "+tries=1", "@127.0.0.1", "-p", str(self.port), name, "SOA"],
                              capture_output=True, text=True).stdout.startswith("ns.")

    def write(self):
        config = [f"server:\n  ip-address: 127.0.0.1@{self.port}\n  username: \"\"\n  zonesdir: \"{self.dir}\"\n"
                  f"  pidfile: \"{self.dir}/nsd.pid\"\n  xfrdfile: \"{self.dir}/xfrd.state\"\n"
                  f"  database: \"\"\n  zonelistfile: \"{self.dir}/zone.list\"\n  server-count: 1\n"
                  "remote-control:\n  control-enable: no\n"]
        for name, text in self.zones.items():
            (self.dir / f"{name}.zone").write_text(
                f"$ORIGIN {name}.\n$TTL 60\n@ IN SOA ns.{name}. h.{name}. 1 3600 600 86400 60\n@ IN NS ns.{name}.\n"
                f"ns IN A 127.0.0.1\n{text}\n")
            config.append(f"zone:\n  name: \"{name}\"\n  zonefile: \"{name}.zone\"\n")
        (self.dir / "nsd.conf").write_text("".join(config))

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.dir, ignore_errors=True)
