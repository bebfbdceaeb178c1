"""The measurements. Each drives `mailload` against one server at a time and adds its figures to the report."""
import contextlib
import json
import subprocess
import threading
import time

from tests.bench import procs
from tests.e2e.harness import BIN

# What still runs after the last answer (completions, checkpoints, closing) is counted too.
SETTLE_SECONDS = 0.5
LIMIT_SECONDS = 900


class Mailload:
    """One run of the load generator; killed when it takes longer than `limit` seconds or its block ends."""

    def __init__(self, server, mode, *options, imap=None, limit=LIMIT_SECONDS):
        command = [BIN / "mailload", mode, "--smtp", server.smtp, "--imap", imap or server.imap, "--domain",
                   server.domain, *options]
        self.what = " ".join(map(str, command[1:]))
        self.server = server
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.watchdog = threading.Timer(limit, self.process.kill)
        self.watchdog.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.watchdog.cancel()
        self.process.kill()
        self.process.communicate()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.server.name}: mailload {self.what}: {self.process.stderr.read()[-1000:]}")
        return line.strip()

    def wait(self, word):
        line = self.line()
        if line != word:
            raise RuntimeError(f"mailload said {line!r} instead of {word!r}")

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def result(self):
        return json.loads(self.line())


def load(server, mode, *options, **keywords):
    """Runs mailload to its end; its result and the server's CPU seconds by process between its "begin" and its end."""
    with Mailload(server, mode, *options, **keywords) as run:
        run.wait("begin")
        before = procs.cpu(server.roots)
        run.go_on()
        result = run.result()
        time.sleep(SETTLE_SECONDS)
        return result, procs.difference(procs.cpu(server.roots), before)


class Bench:
    """What every measurement is given: the servers, the report, how much to do."""

    def __init__(self, report, servers, pairs, quick):
        self.report = report
        self.servers = servers
        self.pairs = pairs
        self.quick = quick

    def amount(self, server, posthorn, peer):
        full = posthorn if server.name == "posthorn" else peer
        return max(40, full // 10) if self.quick else full

    def interleaved(self):
        """A B A B …"""
        for _ in range(self.pairs):
            yield from self.servers


def deliver(bench, name="deliver", fresh=()):
    bench.report.load[name] = ("4 KiB messages from 20 senders to 20 mailboxes until visible over IMAP; "
                               + ("a connection for each message" if fresh else "connections reused"))
    for server in bench.servers:
        server.prepare(20)
        load(server, "deliver", "--messages", 200)
    for server in bench.interleaved():
        count = bench.amount(server, 10000, 1500)
        result, seconds = load(server, "deliver", "--messages", count, *fresh)
        bench.report.add(name, server.name, cpu_us_per_message=sum(seconds.values()) * 1e6 / count,
                         visible_per_second=result["visible_rate"], accept_ms_p50=result["latency_ms_p50"],
                         accept_ms_p99=result["latency_ms_p99"])
        bench.report.add_profile(name, server.name, seconds, count)


def database(bench):
    compare(bench, "database", "mariadb : sqlite", "as deliver; the store on SQLite, and on MariaDB, whose CPU counts")


def stores(bench):
    compare(bench, "stores", "two stores : one", "as deliver; every process over TCP with certificates on one MariaDB, whose CPU counts")


def compare(bench, name, ratio, words):
    """One pair after the other, so that a ratio is of neighbours in time."""
    bench.report.load[name] = words
    figures = {server.name: [] for server in bench.servers}
    for server in bench.servers:
        server.prepare(20)
        load(server, "deliver", "--messages", 500)
    for server in bench.interleaved():
        count = 1000 if bench.quick else 10000
        result, seconds = load(server, "deliver", "--messages", count)
        figures[server.name].append(sum(seconds.values()) * 1e6 / count)
        bench.report.add(name, server.name, cpu_us_per_message=figures[server.name][-1],
                         visible_per_second=result["visible_rate"], accept_ms_p50=result["latency_ms_p50"],
                         accept_ms_p99=result["latency_ms_p99"])
        bench.report.add_profile(name, server.name, seconds, count)
    for one, other in zip(*figures.values()):
        bench.report.add(name, ratio, cpu_percent=other / one * 100)


def deliver_fresh(bench):
    deliver(bench, "deliver_fresh", ("--fresh",))


def login(bench):
    bench.report.load["login"] = "IMAP connect, LOGIN with a password verified before, LOGOUT; one after the other, plain"
    for server in bench.servers:
        server.prepare(20)
    for server in bench.interleaved():
        count = bench.amount(server, 5000, 2000)
        result, seconds = load(server, "login", "--messages", count + 20)
        bench.report.add("login", server.name, cpu_us_per_login=sum(seconds.values()) * 1e6 / count,
                         login_ms_p50=result["latency_ms_p50"])
        bench.report.add_profile("login", server.name, seconds, count)


def notify(bench):
    bench.report.load["notify"] = "one message at a time to an IDLE session; from the 250 to its EXISTS"
    for server in bench.servers:
        server.prepare(20)
    for server in bench.interleaved():
        with Mailload(server, "notify", "--messages", bench.amount(server, 200, 40)) as run:
            result = run.result()
        bench.report.add("notify", server.name, ms_p50=result["ms_p50"], ms_p99=result["ms_p99"])


def hold(bench, name, server, mailboxes, connections, tls=False):
    """KB of process memory for each idle connection: growth of all processes' PSS over what they had before."""
    time.sleep(1)  # what a start leaves to do is done
    before = procs.pss_kb(server.roots)
    options = ["--mailboxes", mailboxes, "--connections", connections] + (["--tls"] if tls else [])
    with Mailload(server, "hold", *options, imap=server.imaps if tls else None) as run:
        run.wait("ready")
        time.sleep(2)  # what the last connection leaves to do is done
        after = procs.pss_kb(server.roots)
        growth = {key: (after.get(key, 0) - before.get(key, 0)) / connections for key in set(after) | set(before)}
    bench.report.add(name, server.name, kb_per_connection=sum(growth.values()),
                     **{f"kb_{key}": value for key, value in growth.items() if abs(value) >= 0.05})


def idle(bench):
    """On a suite that was just restarted, so that what earlier measurements filled is not taken for free."""
    connections = 500 if bench.quick else 5000
    text = f"{connections} connections in IDLE, INBOX selected, {{}}; growth of PSS of all processes over none"
    for server in bench.servers:
        server.prepare(20)
        for name, tls in (("idle", False), ("idle_tls", True)):
            if server.name != "posthorn" and tls:
                continue
            bench.report.load[name] = text.format("20 accounts, " + ("TLS" if tls else "plain"))
            server.restart()
            hold(bench, name, server, 20, connections if server.name == "posthorn" else connections // 10, tls)


def idle_many(bench):
    mailboxes, messages = (100, 50) if bench.quick else (2500, 200)
    connections = 2 * mailboxes
    text = f"{connections} connections in IDLE over {mailboxes} accounts of {messages} messages, {{}}; growth of PSS"
    for server in bench.servers:
        if server.name != "posthorn":
            continue
        server.prepare(mailboxes)
        with Mailload(server, "fill", "--mailboxes", mailboxes - 20, "--first", 20, "--messages", messages) as run:
            run.result()
        for name, tls in (("idle_many", False), ("idle_many_tls", True)):
            bench.report.load[name] = text.format("TLS" if tls else "plain")
            server.restart()
            hold(bench, name, server, mailboxes, connections, tls)


COMMANDS = {"fetch_flags_per_second": "FETCH 1:* (UID FLAGS)", "fetch_envelope_per_second": "FETCH 1:* (UID ENVELOPE)",
            "fetch_flags_again_per_second": "FETCH 1:* (UID FLAGS)"}


def big(bench):
    messages = 10000 if bench.quick else 100000
    bench.report.load["big"] = f"one mailbox with {messages} messages; SELECT in a new session, then FETCH of all"
    options = ["--first", 19, "--mailboxes", 1]
    for server in bench.servers:
        server.prepare(20)
        with Mailload(server, "fill", *options, "--messages", messages) as run:
            run.result()
    commands = [part for command in COMMANDS.values() for part in ("--command", command)]
    for server in bench.interleaved():
        server.restart()
        result, _ = load(server, "command", *options)
        bench.report.add("big", server.name, select_ms_after_restart=result["select_ms"])
        with contextlib.ExitStack() as stack:
            # Warm: somebody has it open, as a second client of the same person finds it.
            other = stack.enter_context(Mailload(server, "hold", *options, "--connections", 1))
            other.wait("ready")
            result, seconds = load(server, "command", *options, *commands)
        bench.report.add("big", server.name, select_ms_warm=result["select_ms"])
        count = messages
        for command in result["commands"]:
            if command["lines"] != count + 1:  # one line a message and the tagged one
                raise RuntimeError(f"{server.name}: {command['lines']} lines for {count} messages")
        for metric, command in zip(COMMANDS, result["commands"]):
            bench.report.add("big", server.name, **{metric: count * 1000 / command["ms"]})
        bench.report.add_profile("big", server.name, seconds, 3 * count)


MEASUREMENTS = {"deliver": deliver, "deliver_fresh": deliver_fresh, "database": database, "stores": stores, "login": login,
                "notify": notify, "big": big, "idle": idle, "idle_many": idle_many}
