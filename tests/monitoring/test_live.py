"""Every panel and every alert, asked of a Prometheus that scraped a suite with traffic."""
import contextlib
import imaplib
import math
import os
import poplib
import re
import signal
import smtplib
import subprocess
import unittest

from tests.e2e.clients import inject, message, unverified, wait_uids
from tests.e2e.harness import PROCESSES, TIMEOUT, Dns, Sink, Suite, free_port, wait_for
from tests.monitoring import files
from tests.monitoring.prometheus import Prometheus

ZONES = {"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.2\n"}
RANGE = "1m"


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.suite = stack.enter_context(Suite())
        dns = stack.enter_context(Dns(ZONES))
        port = free_port()
        cls.sink = stack.enter_context(Sink("127.0.0.2", port, replies={"RCPT": ["250 ok", "550 5.1.1 nobody"]}))
        cls.suite.cli("set", "settings", f"dns_servers=127.0.0.1@{dns.port}", f"smtp_port={port}", "spam_deadline=1s")
        cls.suite.add_accounts("here.test", "alice")
        cls.suite.settle()
        cls.prometheus = stack.enter_context(Prometheus(cls.suite))
        cls.make_traffic(stack)

    @classmethod
    def make_traffic(cls, stack):
        suite = cls.suite
        idler = stack.enter_context(imaplib.IMAP4_SSL("127.0.0.1", suite.port("imaps"), ssl_context=unverified(),
                                                      timeout=TIMEOUT))
        idler.login("alice@here.test", "secret")
        idler.select("INBOX")
        cls.wait_scraped("posthorn_imap_views > 1")
        inject(suite, message(1))
        wait_uids(idler, 1)
        cls.send("a@far.test", "nobody@far.test")
        wait_uids(idler, 2)  # the bounce
        with contextlib.suppress(smtplib.SMTPRecipientsRefused):
            inject(suite, message(3), to=("nobody@here.test",))
        with contextlib.suppress(imaplib.IMAP4.error):
            imaplib.IMAP4("127.0.0.1", suite.port("imap"), timeout=TIMEOUT).login("alice@here.test", "wrong")
        maildrop = poplib.POP3("127.0.0.1", suite.port("pop3"), timeout=TIMEOUT)
        maildrop.user("alice@here.test")
        maildrop.pass_("secret")
        maildrop.retr(1)
        maildrop.quit()
        idler.uid("store", "1", "+FLAGS", "\\Flagged")
        # An error between two processes: the scorer hangs for a moment.
        pid = suite.kill("spam-service", signal.SIGSTOP)
        try:
            inject(suite, message(4))
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_uids(idler, 3)
        inject(suite, message(5))
        wait_uids(idler, 4)
        cls.wait_scraped("posthorn_rpc_client_errors_total > 0")
        cls.wait_scraped("posthorn_imap_accept_to_visible_seconds_count >= 4")
        cls.wait_scraped("posthorn_queue_accept_to_sent_seconds_count >= 1")
        cls.wait_scraped("posthorn_process_memory_bytes{use='views'} > 0")
        # Rates want two samples of everything, and recording rules one more evaluation.
        cls.wait_scraped("count_over_time(posthorn_queue_bounced_recipients_total{reason='address'}[1m]) > 3")
        cls.wait_scraped("posthorn:accept_to_visible_seconds:p95_5m > 0")

    @classmethod
    def wait_scraped(cls, expression):
        wait_for(lambda: cls.prometheus.query(expression), expression)

    @classmethod
    def send(cls, *recipients):
        with smtplib.SMTP("127.0.0.1", cls.suite.port("submission"), timeout=TIMEOUT) as client:
            client.starttls(context=unverified())
            client.login("alice@here.test", "secret")
            client.sendmail("alice@here.test", list(recipients), message(2, sender="alice@here.test"))

    def assert_data(self, expression):
        if all(files.elsewhere(name) for name in files.names(expression)):
            return
        found = wait_for(lambda: self.prometheus.query(expression) or None, f"data for {expression}", timeout=5)
        self.assertTrue(found)

    def test_every_panel_shows_data(self):
        for dashboard, title, expression in files.panels():
            with self.subTest(f"{dashboard}: {title}"):
                self.assert_data(expression.replace("$__rate_interval", RANGE).replace("$instance", ".*"))

    def test_every_alert_and_recording_rule_looks_at_series_that_exist(self):
        for rule in files.rules():
            for selector in files.selectors(rule["expr"]):
                with self.subTest(f"{rule.get('alert') or rule['record']}: {selector}"):
                    self.assert_data(selector)
                self.prometheus.query(rule["expr"])  # is understood

    def test_a_suite_that_is_well_fires_no_critical_alert(self):
        firing = [labels["alertname"] for labels, _ in self.prometheus.query('ALERTS{alertstate="firing",severity="critical"}')]
        self.assertEqual([name for name in firing if name != "PosthornDiskFull"], [])  # this machine's disk is its own

    def test_latencies_are_figures(self):
        for metric in ("posthorn_queue_accept_to_stored_seconds", "posthorn_imap_accept_to_visible_seconds",
                       "posthorn_imap_view_lag_seconds", "posthorn_smtp_accept_seconds", "posthorn_file_sync_seconds",
                       "posthorn_store_lane_commit_seconds", "posthorn_queue_journal_commit_seconds"):
            with self.subTest(metric):
                value = self.prometheus.query(f"histogram_quantile(0.5, sum by (le) ({metric}_bucket))")[0][1]
                self.assertTrue(0 < value < TIMEOUT and not math.isnan(value), value)

    def test_counters_tell_what_happened(self):
        for expression, value in (
                ("sum(posthorn_smtp_messages_accepted_total)", 4),
                ("sum(posthorn_smtp_messages_unscored_total)", 1),
                ('sum(posthorn_smtp_refusals_total{class="5xx",reason="address"})', 1),
                ('sum(posthorn_queue_local_deliveries_total{outcome="delivered"})', 4),
                ('sum(posthorn_queue_remote_recipients_total{outcome="sent"})', 1),
                ('sum(posthorn_queue_remote_replies_total{class="5xx",destination="mx"})', 1),
                ('sum(posthorn_queue_bounced_recipients_total{reason="address"})', 1),
                ('sum(posthorn_queue_reports_total{kind="failed"})', 1),
                ('sum(posthorn_login_attempts_total{protocol="imap",result="failure"})', 1),
                ('sum(posthorn_gateway_sessions{protocol="imap",tls="yes"})', 1),
                ('sum(posthorn_gateway_sessions_ended_total{protocol="submission",tls="yes"})', 1),
                ("sum(posthorn_pop3_retrieved_total)", 1),
                ("sum(posthorn_queue_entries)", 0),
                ("count(posthorn_process_ready == 1)", len(PROCESSES))):
            with self.subTest(expression):
                wait_for(lambda e=expression, v=value: self.prometheus.query(e)[0][1] == v,
                         f"{expression} is {value}", timeout=15)

    def test_promtool_likes_every_page(self):
        for process in PROCESSES:
            with self.subTest(process):
                result = subprocess.run(["promtool", "check", "metrics"], input=self.suite.health(process, "metrics")[1],
                                        capture_output=True, text=True, timeout=30)
                self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_what_is_counted_is_documented_and_what_is_documented_is_counted(self):
        counted = set()
        for process in PROCESSES:
            counted |= set(re.findall(r"^# TYPE (\S+)", self.suite.health(process, "metrics")[1], re.MULTILINE))
        self.assertEqual(counted - files.documented(), set(), "not in docs/metrics.md")
        self.assertEqual({name for name in files.documented() - counted if not files.elsewhere(name)}, set(), "never counted")


if __name__ == "__main__":
    unittest.main()
