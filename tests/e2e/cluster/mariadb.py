"""Real MariaDB servers in a temporary folder: one, or a Galera cluster."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from tests.e2e.clients import run
from tests.e2e.harness import free_port, wait_for

PROVIDER = "/usr/lib/galera/libgalera_smm.so"


class Node:
    """One mariadbd."""

    def __init__(self, folder, port, options=(), user="root"):
        self.folder, self.port, self.options, self.user = pathlib.Path(folder), port, list(options), user
        self.socket = self.folder / "sock"
        self.process = None

    def install(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        # A server that starts removes the temporary tables of any that shares its folder for them.
        run("mariadb-install-db", "--no-defaults", f"--datadir={self.folder / 'data'}", f"--tmpdir={self.folder}",
            "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db")

    def start(self, *more):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/mariadbd", "--no-defaults", f"--user={self.user}", f"--datadir={self.folder / 'data'}",
                 f"--tmpdir={self.folder}",
                 f"--socket={self.socket}", "--bind-address=127.0.0.1", f"--port={self.port}",
                 "--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=64M", "--max-connections=300",
                 "--skip-name-resolve", *self.options, *more], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        return self

    def ask(self, sql, check=True):
        result = subprocess.run(["mariadb", "--no-defaults", f"--socket={self.socket}", "--user=root", "--batch",
                                 "--skip-column-names", "--connect-timeout=2", "-e", sql], capture_output=True, text=True,
                                timeout=30)
        if check and result.returncode:
            raise AssertionError(f"{sql}: {result.stderr}")
        return result.stdout.strip()

    def wait_ready(self, timeout=60):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError("mariadbd ended:\n" + (self.folder / "log").read_text()[-3000:])
            return self.ask("select 1", check=False) == "1"
        wait_for(ready, "MariaDB answers", timeout)
        return self

    def send(self, sig):
        self.process.send_signal(sig)

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()


class MariaDb:
    """`nodes` > 1: a Galera cluster. The database `posthorn` and a user of that name are made."""

    PASSWORD = "database-secret"

    def __init__(self, nodes=1):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-mariadb-"))
        self.password_file = self.folder / "password"
        self.password_file.write_text(self.PASSWORD + "\n")
        self.groups = [free_port() for _ in range(nodes)] if nodes > 1 else []
        # A node of root's cannot copy itself to another.
        self.user = "mysql" if self.groups else "root"
        self.folder.chmod(0o755)
        self.nodes = [Node(self.folder / f"node{i}", free_port(), self.galera(i), self.user) for i in range(nodes)]

    def galera(self, index):
        if not self.groups:
            return []
        address = "gcomm://" + ",".join(f"127.0.0.1:{port}" for port in self.groups)
        transfer, increment = free_port(), free_port()
        return ["--binlog-format=ROW", "--default-storage-engine=InnoDB", "--innodb-autoinc-lock-mode=2",
                "--wsrep-on=ON", f"--wsrep-provider={PROVIDER}", f"--wsrep-cluster-address={address}",
                "--wsrep-cluster-name=posthorn", "--wsrep-sst-method=rsync", f"--wsrep-node-address=127.0.0.1:{self.groups[index]}",
                f"--wsrep-node-name=node{index}", f"--wsrep-sst-receive-address=127.0.0.1:{transfer}",
                f"--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{self.groups[index]};"
                f"ist.recv_addr=127.0.0.1:{increment};evs.suspect_timeout=PT2S;evs.inactive_timeout=PT4S;"
                "evs.keepalive_period=PT0.5S;gcache.size=32M"]

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def start(self):
        self.nodes[0].install()
        for node in self.nodes[1:]:
            shutil.copytree(self.nodes[0].folder, node.folder)
        for node in self.nodes if self.user != "root" else []:
            subprocess.run(["chown", "-R", self.user, node.folder], check=True)
        self.nodes[0].start(*(["--wsrep-new-cluster"] if self.groups else [])).wait_ready()
        self.nodes[0].ask("create database posthorn character set utf8mb4;"
                          f"create user posthorn@'%' identified by '{self.PASSWORD}';"
                          "grant all on posthorn.* to posthorn@'%'; flush privileges")
        for node in self.nodes[1:]:
            node.start().wait_ready(120)
        return self

    def __exit__(self, *_):
        for node in reversed(self.nodes):
            node.stop()
        if os.environ.get("POSTHORN_KEEP"):
            print("kept", self.folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def size(self):
        """Of the Galera cluster, as an answering node sees it."""
        for node in self.nodes:
            if node.process.poll() is None:
                found = node.ask("show status like 'wsrep_cluster_size'", check=False).split()
                if len(found) == 2:
                    return int(found[1])
        return 0

    @property
    def flags(self):
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return ["--database", f"mysql://posthorn@{hosts}/posthorn", "--database-password-file", self.password_file]
