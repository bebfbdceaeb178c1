"""A Docker engine of the tests' own, in a temporary folder; nothing of a running one is touched."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from tests.deploy.machine import ROOT, CannotRun, run
from tests.e2e.harness import wait_for

# What a machine allows differs: tried in this order.
WAYS = (("--storage-driver=overlay2",), ("--storage-driver=vfs",),
        ("--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--ip-masq=false"))


class Engine:
    def __init__(self):
        if os.geteuid() != 0:
            raise CannotRun("only root can start a container engine")
        for program in ("dockerd", "docker", "docker-compose"):
            if shutil.which(program) is None:
                raise CannotRun(f"{program} is not installed")
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-docker-"))
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{self.dir}/sock", "COMPOSE_INTERACTIVE_NO_CLI": "1",
                            "DOCKER_CONFIG": str(self.dir / "config")}
        self.process = None
        said = ""
        for way in WAYS:
            said = self.start(way)
            if not said:
                return
            self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        raise CannotRun(f"no container engine can start here: {said}")

    def start(self, way):
        """What went wrong, or nothing."""
        log = self.dir / "dockerd.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["dockerd", "--data-root", self.dir / "data", "--exec-root", self.dir / "exec", "--pidfile", self.dir / "pid",
                 "--host", f"unix://{self.dir}/sock", "--bridge=none", *way], stdout=output, stderr=output,
                stdin=subprocess.DEVNULL, start_new_session=True)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: self.process.poll() is not None or self.answers(), "dockerd answers", 40)
        if self.answers():
            return ""
        lines = log.read_text(errors="replace").strip().splitlines()
        return lines[-1][-300:] if lines else "it says nothing"

    def answers(self):
        return self.docker("info", check=False).returncode == 0

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __exit__(self, *_):
        self.stop()
        mounts = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
        for mount in sorted((mount for mount in mounts if mount.startswith(f"{self.dir}/")), reverse=True):
            run("umount", "-l", mount, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def docker(self, *arguments, check=True, timeout=300):
        return run("docker", *arguments, check=check, timeout=timeout, env=self.environment)

    def inspect(self, container):
        return json.loads(self.docker("inspect", container).stdout)[0]

    def build_images(self):
        run(ROOT / "deploy" / "image" / "build", env=self.environment, timeout=300)
        made = run(ROOT / "deploy" / "compose" / "companions" / "build", env=self.environment, check=False, timeout=1200)
        if made.returncode != 0:
            raise CannotRun(f"no images of MariaDB, haproxy and Prometheus: {made.stderr.strip()[-300:]}")


class Project:
    """deploy/compose, brought up from a copy of its own with ports of its own."""

    def __init__(self, engine, ports, compose):
        self.engine = engine
        self.compose_words = compose
        self.dir = engine.dir / "deploy"
        shutil.copytree(ROOT / "deploy", self.dir, ignore=shutil.ignore_patterns("secrets", ".env"))
        self.folder = self.dir / "compose"
        self.name = f"posthorn{os.getpid()}"
        self.ports = ports
        settings = {"PUBLISH": "127.0.0.1", **{f"{name.upper()}_PORT": port for name, port in ports.items()}}
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        run(self.folder / "prepare")

    def compose(self, *arguments, check=True, timeout=300):
        return run(*self.compose_words, "-p", self.name, *arguments, cwd=self.folder, env=self.engine.environment,
                   check=check, timeout=timeout)

    def __exit__(self, *_):
        self.compose("down", "-v", "-t", "1", check=False)

    def posthorn(self, *arguments, check=True):
        return self.compose("run", "--rm", "-T", "posthorn", *map(str, arguments), check=check).stdout

    def containers(self, service):
        return self.compose("ps", "-q", service).stdout.split()

    def address(self, container, network):
        return self.engine.inspect(container)["NetworkSettings"]["Networks"][f"{self.name}_{network}"]["IPAddress"]

    def healthy(self, *services):
        states = [self.engine.inspect(container)["State"] for service in services for container in self.containers(service)]
        return bool(states) and all(state["Running"] and state["Health"]["Status"] == "healthy" for state in states)

    def logs(self):
        return self.compose("logs", "--no-color", "--tail=40", check=False).stdout
