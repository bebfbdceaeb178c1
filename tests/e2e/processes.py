"""Single processes beside a suite, or a whole installation without `posthorn up`."""
import signal
import subprocess

from tests.e2e.harness import PROCESSES, Suite, free_port, free_port_base, wait_for


class Process:
    """One of the seven, started by hand; its ports, when it is a gateway, are `base` + the standard ones."""

    def __init__(self, suite, name, *flags, base=None):
        self.suite, self.name, self.flags, self.base = suite, name, flags, base
        self.health_port = free_port()
        self.log = suite.dir / f"{name}.{self.health_port}.log"
        self.data = suite.dir / f"data-{name}.{self.health_port}"
        self.endpoints = {"HEALTH_" + name.upper().replace("-", "_"): f"127.0.0.1:{self.health_port}"}
        self.process = None

    def __enter__(self):
        flags = ["--data", self.data, "--health", f"127.0.0.1:{self.health_port}", *self.flags]
        if self.base:
            flags += ["--port-base", self.base, "--bind", "127.0.0.1"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([self.suite.bin / f"posthorn-{self.name}", *map(str, flags)], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.text()}")
            page[:] = self.page()
            return page[0] == 200
        page = []
        try:
            wait_for(ready, f"{self.name} is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\nit said {page}\n{self.text()}") from None
        return self

    def page(self, name="readyz"):
        return Suite.health(self, self.name, name)

    def metric(self, name):
        return Suite.metric(self, self.name, name)

    def health(self, process, page):
        return Suite.health(self, process, page)

    def text(self):
        return self.log.read_text(errors="replace")

    def port(self, name):
        return self.base + {"smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993, "pop3": 110,
                            "pop3s": 995}[name]


class Replaceable:
    """What is one process at a time: `process`, which each start makes anew."""

    process = None

    def wait_ready(self):
        self.process.wait_ready()
        return self

    def running(self):
        process = self.process and self.process.process
        return process is not None and process.poll() is None

    def drain(self, timeout=60):
        """As an orchestrator stops it; its exit status."""
        self.process.process.send_signal(signal.SIGTERM)
        return self.process.process.wait(timeout)

    def metric(self, name):
        return self.process.metric(name)

    def port(self, name):
        return self.process.port(name)

    def text(self):
        return self.process.text()


def start(stack, suite, name, *flags, base=None):
    """Starts a process that ends with `stack` (an ExitStack), and waits until it is ready."""
    return stack.enter_context(Process(suite, name, *flags, base=base)).wait_ready()


def second_gateways(stack, suite):
    """One more of each gateway beside a running suite: {name: Process}."""
    base = free_port_base()
    return {name: start(stack, suite, name, "--run", suite.dir / "run", base=base)
            for name in ("smtp-gateway", "imap-gateway", "pop3-gateway")}


def tls_flags(folder):
    return ["--tls-cert", folder / "tls.crt", "--tls-key", folder / "tls.key", "--tls-ca", folder / "ca.crt"]


class Alone:
    """All seven, each started by itself and told the others' TCP addresses; no `posthorn up`, no sockets.

    One port for each caller's role, as the sockets of one machine: what a process may ask is decided by where it asks.
    With `certificates`, a folder that `posthorn certs init` made, one port for all: the caller's certificate decides."""

    CALLERS = {"store": set(PROCESSES), "admin": set(PROCESSES) | {"cli"}, "spam": {"smtp-gateway"},
               "queue": {"smtp-gateway", "pop3-gateway", "admin-service"}}
    NAMES = {"store": "store-service", "admin": "admin-service", "queue": "delivery-queue", "spam": "spam-service"}

    def __init__(self, suite, stack, certificates=None, more=None):
        """`suite` is not started: it lends its folder and programs. `more`: further flags, {name: list}."""
        base = free_port_base()
        # Below the gateways' ports of the same reserved base, so that nobody takes them before they are bound.
        ports = iter(port for port in range(base + 1, base + 100) if port - base not in (25, 80))
        self.addresses = {word: {role: f"127.0.0.1:{next(ports)}" for role in sorted(callers - {self.NAMES[word]})}
                          for word, callers in self.CALLERS.items()}
        if certificates:
            self.addresses = {word: dict.fromkeys(addresses, next(iter(addresses.values())))
                              for word, addresses in self.addresses.items()}
        self.processes = {}
        for name in PROCESSES:
            flags = tls_flags(certificates / name) if certificates else []
            for word, addresses in self.addresses.items():
                if self.NAMES[word] == name and certificates:
                    flags += ["--listen", next(iter(addresses.values()))]
                elif self.NAMES[word] == name:
                    for role, address in addresses.items():  # operators come without a role, and log in
                        flags += ["--listen", address if role == "cli" else f"{address}={role}"]
                elif name in addresses:
                    flags += [f"--{word}", addresses[name]]
            flags += (more or {}).get(name, [])
            if name == "admin-service":
                flags += ["--password-file", suite.dir / "admin.password"]
            process = Process(suite, name, *flags, base=base if name.endswith("gateway") else None)
            self.processes[name] = stack.enter_context(process)

    def wait_ready(self):
        for process in self.processes.values():
            process.wait_ready()
        return self
