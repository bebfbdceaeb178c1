"""A clean Debian 12 in a folder, entered or booted with systemd: what a package is installed on."""
import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from tests.e2e.harness import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLONE_NEWNET = 0x40000000
INNER = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}


class CannotRun(Exception):
    """Why there is no machine here; tests that need one are skipped with it."""


def run(*command, check=True, timeout=300, env=None, **more):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, env=env,
                            stdin=subprocess.DEVNULL, **more)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {result.returncode}\n{result.stdout[-6000:]}\n"
                             f"{result.stderr[-4000:]}")
    return result


def clean_root(*packages):
    """The tar file of a minimal system (deploy/debian-root)."""
    if os.geteuid() != 0:
        raise CannotRun("only root can make a clean root")
    for program in ("debootstrap", "systemd-nspawn", "nsenter"):
        if shutil.which(program) is None:
            raise CannotRun(f"{program} is not installed")
    made = run(ROOT / "deploy" / "debian-root", *packages, check=False, timeout=900)
    if made.returncode != 0:
        raise CannotRun(f"no clean root could be made (is a Debian mirror within reach?): {made.stderr.strip()[-300:]}")
    return made.stdout.strip()


@contextlib.contextmanager
def in_network(pid):
    """Sockets made within belong to the network of that process."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(space):
        if libc.setns(space.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    with open("/proc/self/ns/net", encoding="ascii") as ours, open(f"/proc/{pid}/ns/net", encoding="ascii") as theirs:
        enter(theirs)
        try:
            yield
        finally:
            enter(ours)


class Machine:
    """One folder unpacked from a clean root, with a network of its own that has only loopback: every port is free."""

    def __init__(self):
        tar = clean_root()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-machine-"))
        self.root = self.dir / "root"
        self.root.mkdir()
        run("tar", "-C", self.root, "--numeric-owner", "-xf", tar)
        if pathlib.Path("/etc/resolv.conf").exists():
            shutil.copy("/etc/resolv.conf", self.root / "etc" / "resolv.conf")
        self.outside("apt-get", "update", "-q")
        self.console = self.dir / "console.log"
        self.process = None
        self.boots = False
        self.leader = 0

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def outside(self, *command):
        """Runs a command in the folder while the machine is off, with this machine's network."""
        return run("chroot", self.root, "env", "-i", *self.environment(), *command)

    def add(self, *packages):
        if packages:
            self.outside("apt-get", "install", "-y", "-q", "--no-install-recommends", *packages)

    def download(self, package):
        """Puts a package and all it needs into the machine, which has no network once it runs."""
        shutil.copy(package, self.root / "root")
        name = f"/root/{pathlib.Path(package).name}"
        self.outside("apt-get", "install", "-y", "-q", "--no-install-recommends", "--download-only", name)
        return name

    @staticmethod
    def environment():
        return [f"{name}={value}" for name, value in INNER.items()]

    def start(self, *command):
        """Boots systemd, or runs `command` as the machine's only program."""
        words = list(command) or ["--boot"]
        self.boots = not command
        log = self.console.open("wb")
        self.process = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--directory", self.root,
             *(["--as-pid2", "--"] if command else []), *words],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=INNER)
        log.close()
        self.leader = self.wait_for(self.find_leader, "the machine runs")
        if not command:
            self.wait_for(lambda: self.do("systemctl", "is-system-running", check=False).stdout.strip()
                          in ("running", "degraded"), "systemd has booted")

    def find_leader(self):
        if self.process.poll() is not None:
            raise CannotRun(f"systemd-nspawn: {self.console.read_text(errors='replace').strip()[-300:]}")
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
        for pid in map(int, children.split()):
            # Its network is its own once it is inside.
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"):
                    return pid
        return 0

    def stop(self):
        if self.process is None:
            return
        if self.boots and self.leader:
            self.do("systemctl", "poweroff", check=False)
        else:
            self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(60)
        self.process = None

    def do(self, *command, check=True, timeout=300):
        """Runs a command inside."""
        return run("nsenter", "-t", self.leader, "-a", "env", "-i", *self.environment(), *command, check=check,
                   timeout=timeout)

    def network(self):
        return in_network(self.leader)

    def wait_for(self, condition, what, timeout=120):
        try:
            return wait_for(condition, what, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.console.read_text(errors='replace')[-3000:]}") from None

    def status(self, pid):
        """/proc/PID/status of a process, by its number inside."""
        text = self.do("cat", f"/proc/{pid}/status").stdout
        return {key: value.split() for key, _, value in (line.partition(":") for line in text.splitlines())}

    def account(self, name):
        """The numbers of a user inside, as text."""
        found = re.search(rf"^{name}:[^:]*:(\d+):(\d+):", (self.root / "etc/passwd").read_text(encoding="utf-8"), re.M)
        return found.groups() if found else None
