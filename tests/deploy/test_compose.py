"""deploy/compose, really brought up: mail in through haproxy and out to a sink, replicas, and what each container may do."""
import imaplib
import json
import os
import re
import signal
import smtplib
import sys
import unittest
import urllib.parse
import urllib.request

from tests.deploy.engine import Engine, Project
from tests.deploy.machine import CannotRun, in_network, run
from tests.e2e.clients import Raw, message, unverified
from tests.e2e.harness import PROCESSES, Sink, free_port, wait_for

LONG = 120  # containers start, the engine's DNS and haproxy's checks follow
COMPOSE = os.environ.get("POSTHORN_COMPOSE", "docker-compose").split()
PORTS = ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "prometheus")


class Compose(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            cls.engine = Engine()
            cls.addClassCleanup(cls.engine.__exit__)
            cls.engine.build_images()
        except CannotRun as reason:
            raise unittest.SkipTest(str(reason)) from None
        cls.project = Project(cls.engine, {name: free_port() for name in PORTS}, COMPOSE)
        cls.addClassCleanup(cls.project.__exit__)
        cls.up()
        cls.project.posthorn("add", "domain", "here.test")
        for name in ("alice", "bob"):
            cls.project.posthorn("add", "account", f"{name}@here.test", "password=secret")
        cls.client = cls.start_client()

    @classmethod
    def up(cls, *options):
        started = cls.project.compose("up", "-d", *options, check=False)
        assert started.returncode == 0, f"{started.stdout}\n{started.stderr}\n{cls.project.logs()}"
        try:
            wait_for(lambda: cls.project.healthy(*PROCESSES, "mariadb"), "all containers are healthy", LONG)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{cls.project.logs()}") from None

    @classmethod
    def start_client(cls):
        """A machine of its own on the outer network; the tests borrow its address."""
        name = f"{cls.project.name}-client"
        cls.engine.docker("run", "-d", "--name", name, "--network", f"{cls.project.name}_world", "--entrypoint", "sleep",
                          "posthorn-haproxy:12", "infinity")
        cls.addClassCleanup(cls.engine.docker, "rm", "-f", name, check=False)
        return name

    def client_network(self):
        return in_network(self.engine.inspect(self.client)["State"]["Pid"])

    def send(self, number, host="127.0.0.1", port=None, recipient="alice@here.test"):
        def sent():
            try:
                with smtplib.SMTP(host, port or self.project.ports["smtp"], timeout=30) as client:
                    return client.sendmail("carol@far.test", [recipient], message(number), mail_options=["BODY=8BITMIME"]) == {}
            except smtplib.SMTPException:
                return False
        wait_for(sent, f"message {number} is accepted", LONG)

    def login(self, user="alice"):
        client = imaplib.IMAP4_SSL("127.0.0.1", self.project.ports["imaps"], ssl_context=unverified(), timeout=60)
        self.addCleanup(client.shutdown)
        client.login(f"{user}@here.test", "secret")
        return client

    def fetch(self, number, user="alice"):
        client = self.login(user)

        def found():
            if client.select("INBOX")[0] != "OK":  # between two owners of its lane
                return None
            uids = client.uid("search", None, "SUBJECT", f'"message {number}"')[1][0].split()
            return client.uid("fetch", uids[0], "(BODY.PEEK[])")[1][0][1] if uids else None
        return wait_for(found, f"message {number} is in INBOX")

    def test_mail_comes_in_through_haproxy_and_the_clients_address_is_known(self):
        client = self.project.address(self.client, "world")
        haproxy = self.project.address(self.project.containers("haproxy")[0], "world")
        with self.client_network():
            self.send("from outside", haproxy, 2025)
        text = self.fetch("from outside")
        received = re.search(rb"Received: from .*?;", text, re.S).group(0).decode()
        self.assertIn(f"([{client}])", received)
        self.assertTrue(text.endswith(message("from outside")))

    def test_mail_goes_out(self):
        with self.client_network():
            sink = Sink(host="0.0.0.0", port=0)
        address = self.project.address(self.client, "world")
        with sink:
            self.project.posthorn("add", "route", "far.test", f"hosts={address}:{sink.port}", "tls=NONE")
            with smtplib.SMTP_SSL("127.0.0.1", self.project.ports["submissions"], context=unverified(), timeout=30) as client:
                client.login("alice@here.test", "secret")
                client.sendmail("alice@here.test", ["carol@far.test"], message("out", "alice@here.test", "carol@far.test"))
            wait_for(lambda: sink.messages, "the sink has the mail", LONG)
            self.assertEqual(sink.messages[0]["recipients"], ["carol@far.test"])
            self.assertIn(b"Subject: message out", sink.messages[0]["data"])

    def test_scaled_gateways_share_the_sessions_and_one_that_dies_takes_only_its_own(self):
        self.up("--scale", "imap-gateway=3", "--no-recreate")
        names = {self.engine.inspect(container)["Config"]["Hostname"]: container
                 for container in self.project.containers("imap-gateway")}
        self.assertEqual(len(names), 3)

        def spread():
            sessions = [self.session() for _ in range(6)]
            if {host for _, host in sessions} == set(names):
                return sessions
            for session, _ in sessions:
                session.socket.close()
            return None
        sessions = wait_for(spread, "sessions on all three gateways", LONG)
        victim = sessions[0][1]
        # `docker kill` would count as a wish to stop.
        os.kill(self.engine.inspect(names[victim])["State"]["Pid"], signal.SIGKILL)
        for session, host in sessions:
            if host == victim:
                session.rest()
            else:
                session.ok("NOOP")
        again, _ = self.session()
        again.ok("SELECT INBOX")
        wait_for(lambda: self.project.healthy("imap-gateway"), "the third is back", LONG)
        self.assertEqual(self.engine.inspect(names[victim])["RestartCount"], 1)

    def test_stores_queues_and_admins_scale_and_one_of_each_may_go(self):
        kinds = ("store-service", "delivery-queue", "admin-service")
        self.up(*[word for kind in kinds for word in ("--scale", f"{kind}=2")], "--no-recreate")
        for number in range(4):
            self.send(f"two {number}")
            self.fetch(f"two {number}")
        for kind in kinds:
            os.kill(self.engine.inspect(self.project.containers(kind)[0])["State"]["Pid"], signal.SIGKILL)
        self.send("one of each")
        self.fetch("one of each")
        wait_for(lambda: self.project.healthy(*kinds), "the others are back", LONG)
        # In order this time: what the second queue holds and the lanes of the second store go to the first.
        self.up(*[word for kind in kinds for word in ("--scale", f"{kind}=1")], "--no-recreate")
        self.assertEqual([len(self.project.containers(kind)) for kind in kinds], [1, 1, 1])
        self.send("one left")
        self.fetch("one left")

    def session(self):
        """A logged-in IMAP session through haproxy, and the gateway that greeted."""
        def open_one():
            session = Raw(self.project.ports["imaps"], tls=True)
            greeting = session.line().decode()
            session.ok("LOGIN alice@here.test secret")
            return session, re.search(r"(\S+) Posthorn IMAP ready", greeting)[1]
        session, host = wait_for(open_one, "an IMAP session", LONG)
        self.addCleanup(session.socket.close)
        return session, host

    def test_containers_may_do_nothing_beyond_their_work(self):
        for process in PROCESSES:
            container = self.project.containers(process)[0]
            seen = self.engine.inspect(container)
            self.assertTrue(seen["HostConfig"]["ReadonlyRootfs"], process)
            with open(f"/proc/{seen['State']['Pid']}/status", encoding="ascii") as lines:
                status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
            self.assertEqual(status["Uid"] + status["Gid"], ["10001"] * 8, process)
            self.assertEqual([int(status[name][0], 16) for name in ("CapEff", "CapPrm", "CapBnd")], [0] * 3, process)
            self.assertEqual(status["NoNewPrivs"], ["1"], process)
            self.assertNotEqual(self.engine.docker("exec", container, "/bin/sh", "-c", "true", check=False).returncode, 0)
            probe = self.engine.docker("exec", container, "posthorn", "probe", "127.0.0.1:9100")
            self.assertEqual(probe.returncode, 0)
            # Its own certificate and no other's key.
            self.assertIn(f"{process}.posthorn", self.names_in(container))
        away = self.engine.docker("exec", container, "posthorn", "probe", "127.0.0.1:9", check=False)
        self.assertEqual(away.returncode, 3)

    def names_in(self, container):
        self.engine.docker("cp", f"{container}:/tls/tls.crt", self.engine.dir / "shown.crt")
        return run("openssl", "x509", "-in", self.engine.dir / "shown.crt", "-noout", "-ext", "subjectAltName").stdout

    def test_prometheus_sees_every_replica(self):
        def query(text):
            url = f"http://127.0.0.1:{self.project.ports['prometheus']}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]["result"]

        def all_up():
            processes = {sample["metric"].get("process") for sample in query('up{job="posthorn"} == 1')}
            return set(PROCESSES) <= processes
        wait_for(all_up, "Prometheus scrapes all seven", LONG)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.project.ports['prometheus']}/api/v1/rules", timeout=10) as answer:
            groups = json.load(answer)["data"]["groups"]
        self.assertIn("PosthornProcessDown", {rule["name"] for group in groups for rule in group["rules"]})

    def test_what_was_accepted_outlives_all_containers(self):
        self.send("before", recipient="bob@here.test")
        self.fetch("before", "bob")
        self.project.compose("rm", "-f", "-s")
        self.up()
        self.fetch("before", "bob")


if __name__ == "__main__":
    sys.exit(unittest.main())
