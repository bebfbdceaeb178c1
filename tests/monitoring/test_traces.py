"""One message from SMTP to an open mailbox, as an OpenTelemetry collector sees it."""
import contextlib
import http.server
import imaplib
import json
import smtplib
import threading
import time
import unittest

from tests.e2e.clients import inject, message, unverified, wait_uids
from tests.e2e.harness import TIMEOUT, Dns, Sink, Suite, free_port, wait_for

ZONES = {"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.2\n"}


class Collector:
    """Takes OTLP/HTTP with JSON bodies [opentelemetry.io/docs/specs/otlp]."""

    def __init__(self):
        self.lock = threading.Lock()
        self.spans = []
        self.hold = threading.Event()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                collector.hold.wait()
                collector.take(request)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.hold.set()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()

    def take(self, request):
        with self.lock:
            for resource in request["resourceSpans"]:
                about = attributes(resource["resource"])
                for scope in resource["scopeSpans"]:
                    self.spans += [{**span, "service": about["service.name"]} for span in scope["spans"]]

    def traces(self):
        """{trace id: [span]}"""
        found = {}
        with self.lock:
            for span in self.spans:
                found.setdefault(span["traceId"], []).append(span)
        return found


def attributes(holder):
    return {entry["key"]: entry["value"]["stringValue"] for entry in holder["attributes"]}


class Traces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.suite = stack.enter_context(Suite())
        cls.collector = stack.enter_context(Collector())
        dns = stack.enter_context(Dns(ZONES))
        port = free_port()
        # The first attempt is refused for now: the second goes on with the same trace.
        cls.sink = stack.enter_context(Sink("127.0.0.2", port, replies={"RCPT": ["451 4.7.1 later"]}))
        cls.suite.cli("set", "settings", f"dns_servers=127.0.0.1@{dns.port}", f"smtp_port={port}", "retry_schedule=1s")
        cls.suite.add_accounts("here.test", "alice")
        cls.set_tracing(1, cls.collector.endpoint)
        cls.mailbox = stack.enter_context(imaplib.IMAP4_SSL(
            "127.0.0.1", cls.suite.port("imaps"), ssl_context=unverified(), timeout=TIMEOUT))
        cls.mailbox.login("alice@here.test", "secret")
        cls.mailbox.select("INBOX")

    @classmethod
    def set_tracing(cls, sampling, endpoint):
        cls.suite.cli("set", "settings", f"trace_sampling={sampling}", f"otlp_endpoint={endpoint}")
        cls.suite.settle()

    def trace_with(self, *names):
        """The spans of the one trace that has all these steps."""
        def found():
            return next((spans for spans in self.collector.traces().values()
                         if set(names) <= {span["name"] for span in spans}), None)
        try:
            return wait_for(found, f"a trace with {names}")
        except AssertionError as error:
            seen = [sorted(span["name"] for span in spans) for spans in self.collector.traces().values()]
            raise AssertionError(f"{error}; seen: {seen}") from None

    def parent_of(self, spans, name):
        span = next(span for span in spans if span["name"] == name)
        parent = [other["name"] for other in spans if other["spanId"] == span.get("parentSpanId")]
        return parent[0] if parent else None

    def assert_connected(self, spans):
        ids = {span["spanId"] for span in spans}
        self.assertEqual([span["name"] for span in spans if "parentSpanId" not in span], ["smtp.message"])
        for span in spans:
            with self.subTest(span["name"]):
                self.assertIn(span.get("parentSpanId", span["spanId"]), ids)
                self.assertLessEqual(int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))

    def test_local_mail_is_one_trace_from_smtp_to_imap(self):
        inject(self.suite, message(1))
        wait_uids(self.mailbox, 1)
        expected = {
            "smtp.message": ("smtp-gateway", None),
            "smtp.data": ("smtp-gateway", "smtp.message"),
            "posthorn.store.v1.Blobs/Put": ("store-service", "smtp.message"),
            "posthorn.spam.v1.Spam/CheckMessage": ("spam-service", "smtp.message"),
            "posthorn.queue.v1.Queue/Enqueue": ("delivery-queue", "smtp.message"),
            "queue.attempt": ("delivery-queue", "smtp.message"),
            "store.deliver": ("store-service", "queue.attempt"),
            "lane.commit": ("store-service", "store.deliver"),
            "imap.visible": ("imap-gateway", "store.deliver"),
        }
        spans = self.trace_with(*expected)
        self.assert_connected(spans)
        steps = {span["name"]: (span["service"].removeprefix("posthorn-"), self.parent_of(spans, span["name"]))
                 for span in spans}
        self.assertEqual(steps, expected)
        self.assertEqual(len(spans), len(expected), "each step once")
        root = attributes(next(span for span in spans if span["name"] == "smtp.message"))
        self.assertIn(root["message.id"], self.suite.cli("trace", root["message.id"]).stdout)
        self.assertEqual(root["smtp.reply"], "250")

    def test_a_later_attempt_goes_on_with_the_trace(self):
        with smtplib.SMTP("127.0.0.1", self.suite.port("submission"), timeout=TIMEOUT) as client:
            client.starttls(context=unverified())
            client.login("alice@here.test", "secret")
            client.sendmail("alice@here.test", ["a@far.test"], message(2, sender="alice@here.test"))
        wait_for(lambda: self.sink.messages, "the second attempt brings it")

        def sent():
            spans = self.trace_with("smtp.send")
            names = [span["name"] for span in spans]
            return names.count("smtp.send") >= 2 and names.count("queue.attempt") >= 2 and "smtp.message" in names and spans
        spans = wait_for(sent, "both attempts in one trace")
        self.assert_connected(spans)
        sends = sorted((span for span in spans if span["name"] == "smtp.send"),
                       key=lambda span: int(span["startTimeUnixNano"]))
        self.assertEqual(sends[0]["status"]["code"], 2)
        self.assertIn("451", sends[0]["status"]["message"])
        self.assertNotIn("status", sends[1])
        self.assertEqual(attributes(sends[1])["server.address"], "mx.far.test")

    def test_a_collector_that_hangs_holds_up_no_mail(self):
        self.collector.hold.clear()
        self.addCleanup(self.collector.hold.set)
        begin = time.monotonic()
        for number in range(20):
            inject(self.suite, message(100 + number))
        wait_uids(self.mailbox, 20, "INBOX", "SUBJECT", '"message 1"')
        self.assertLess(time.monotonic() - begin, 10)

    def test_without_sampling_nothing_is_sent(self):
        self.set_tracing(0, self.collector.endpoint)
        begin = time.time_ns()
        inject(self.suite, message(300))
        wait_uids(self.mailbox, 1, "INBOX", "SUBJECT", '"message 300"')
        end = time.time_ns()
        self.set_tracing(1, self.collector.endpoint)
        inject(self.suite, message(301))

        def made():
            """When each message's trace began that the collector knows."""
            return [int(span["startTimeUnixNano"]) for spans in self.collector.traces().values()
                    for span in spans if span["name"] == "smtp.message"]
        # Spans leave a process in order: behind this one nothing of the message before can come.
        wait_for(lambda: max(made(), default=0) > end, "the next message is traced")
        self.assertEqual([when for when in made() if begin <= when <= end], [])


if __name__ == "__main__":
    unittest.main()
