"""Figures by measurement, server and metric: printed as medians with their spread, kept as JSON."""
import json
import os
import pathlib
import statistics
import subprocess
import time


def machine():
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) // 1024 // 1024
    return f"{os.cpu_count()} cores ({model}), {memory} GiB, Linux {os.uname().release}"


class Report:
    def __init__(self, root):
        self.root = root
        self.figures = {}  # (measurement, metric, server) -> [values]
        self.profiles = {}  # (measurement, server) -> [{process: microseconds an operation}]
        self.load = {}  # measurement -> what was done
        self.texts = {}  # micro benchmarks as they print themselves

    def add(self, measurement, server, **metrics):
        for metric, value in metrics.items():
            self.figures.setdefault((measurement, metric, server), []).append(value)

    def add_profile(self, measurement, server, seconds, operations):
        self.profiles.setdefault((measurement, server), []).append(
            {name: value * 1e6 / operations for name, value in seconds.items()})

    def median_profile(self, key):
        rounds = self.profiles[key]
        names = {name for one in rounds for name in one}
        profile = {name: statistics.median(one.get(name, 0.0) for one in rounds) for name in names}
        return dict(sorted(((n, v) for n, v in profile.items() if v >= 0.5), key=lambda item: -item[1]))

    def lines(self, only=None):
        for measurement in self.load:
            if only and measurement != only:
                continue
            yield f"\n{measurement}: {self.load[measurement]}"
            rows = [(key[1], key[2], values) for key, values in self.figures.items() if key[0] == measurement]
            for metric, server, values in sorted(rows, key=lambda row: row[0]):
                spread = f"({min(values):,.1f}–{max(values):,.1f}, {len(values)} runs)" if len(values) > 1 else ""
                yield f"  {metric:<28} {server:<16} {statistics.median(values):>12,.1f} {spread}"
            yield from self._ratios(rows)
            for key in self.profiles:
                if key[0] == measurement:
                    parts = ", ".join(f"{name} {value:,.0f}" for name, value in self.median_profile(key).items())
                    yield f"  us by process, {key[1]}: {parts}"

    @staticmethod
    def _ratios(rows):
        medians = {(metric, server): statistics.median(values) for metric, server, values in rows}
        for (metric, server), value in medians.items():
            peer = medians.get((metric, "postfix+dovecot"))
            if server == "posthorn" and peer and value:
                yield f"  {metric:<28} {'posthorn : peer':<16} {value / peer:>12.3f}   (peer : posthorn {peer / value:.1f})"

    def write(self, path):
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=self.root, capture_output=True,
                                text=True).stdout.strip()
        figures = {}
        for (measurement, metric, server), values in self.figures.items():
            figures.setdefault(measurement, {}).setdefault(server, {})[metric] = {
                "median": statistics.median(values), "min": min(values), "max": max(values), "values": values}
        profiles = {}
        for key in self.profiles:
            profiles.setdefault(key[0], {})[key[1]] = self.median_profile(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({
            "machine": machine(), "commit": commit, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "load": self.load, "figures": figures, "cpu_us_by_process": profiles, "micro": self.texts}, indent=1) + "\n")
