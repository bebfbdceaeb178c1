"""A real Prometheus that scrapes a suite every second and evaluates our rules."""
import json
import pathlib
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import yaml

from tests.e2e.harness import PROCESSES, free_port, wait_for
from tests.monitoring import files


class Prometheus:
    def __init__(self, suite, more=()):
        """`more`: further targets, (process, address)."""
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-prometheus-"))
        self.port = free_port()
        targets = [(process, suite.endpoints["HEALTH_" + process.upper().replace("-", "_")]) for process in PROCESSES]
        self.targets = targets + list(more)
        self.process = None

    def __enter__(self):
        config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                  "rule_files": [str(path) for path in files.RULES],
                  "scrape_configs": [{"job_name": "posthorn", "static_configs": [
                      {"targets": [address], "labels": {"process": process}} for process, address in self.targets]}]}
        (self.dir / "prometheus.yaml").write_text(yaml.safe_dump(config))
        with open(self.dir / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={self.dir}/prometheus.yaml", f"--storage.tsdb.path={self.dir}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_for(self.ready, "prometheus is ready")
        wait_for(lambda: len(self.query('up{job="posthorn"} == 1')) == len(self.targets), "all targets were scraped")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)

    def get(self, path, **parameters):
        query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}{query}", timeout=10) as answer:
            return answer.read()

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"prometheus ended:\n{(self.dir / 'log').read_text()}")
        return b"Ready" in self.get("/-/ready")

    def query(self, expression):
        """The samples of an instant query: [(labels, value)]."""
        try:
            answer = json.loads(self.get("/api/v1/query", query=expression))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode(errors='replace')}") from None
        data = answer["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(sample["metric"], float(sample["value"][1])) for sample in data["result"]]
