"""Rules, dashboards and pages as data."""
import json
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
RULES = sorted(path for path in (MONITORING / "rules").glob("*.yaml") if not path.stem.endswith("_test"))
DASHBOARDS = sorted((MONITORING / "dashboards").glob("*.json"))
# Metrics of installations that the suite of test_live.py is none of: (pattern, where they appear).
ELSEWHERE = [
    (r"posthorn_process_certificate_", "processes with --tls-cert"),
    (r"posthorn_store_s3_", "stores with --blobs s3://"),
]
SAMPLE = re.compile(r"_(bucket|sum|count)$")


def page(name):
    return (ROOT / "docs" / name).read_text()


def rules():
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def alerts():
    return [rule for rule in rules() if "alert" in rule]


def dashboards():
    return {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}


def panels():
    """(dashboard, title, expression) of every query."""
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield name, panel["title"], target["expr"]


def selectors(expression):
    """The series an expression asks for: names with their label matchers, without ranges and functions."""
    return re.findall(r'(?:posthorn[a-z0-9_:]+|up)(?:\{[^}]*\})?', re.sub(r'\b(?:by|on|without)\s*\([^)]*\)', "", expression))


def names(expression):
    return {selector.split("{")[0] for selector in selectors(expression)}


def documented():
    """Names of metrics in docs/metrics.md."""
    return set(re.findall(r"^\| `(posthorn_[a-z0-9_]+)`", page("metrics.md"), re.MULTILINE))


def elsewhere(name):
    return any(re.match(pattern, name) for pattern, _ in ELSEWHERE)


def family(name):
    """The metric of a histogram's sample: posthorn_x_seconds of posthorn_x_seconds_bucket."""
    return SAMPLE.sub("", name)
