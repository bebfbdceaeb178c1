#!/usr/bin/env python3
"""Writes docs/metrics.md, the list of all metrics, from the help texts in the code. `--check` only says whether it is
up to date."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "metrics.md"
# Labels that do not stand beside the name in the code.
LABELS = {"posthorn_rpc_server_calls_total": ["method"], "posthorn_rpc_server_seconds": ["method"]}
HEAD = """# Metrics

Made by `deploy/monitoring/metrics.py` from the code. What they answer: [monitoring.md](monitoring.md). Every metric is in
`/metrics` of each process that can count it; label values come from closed sets.

| metric | kind | labels | what |
|---|---|---|---|
"""
STRING = r'"(?:[^"\\]|\\.)*"'
METRIC = re.compile(r'"(posthorn_[a-z0-9_]+)"\s*,\s*((?:' + STRING + r"\s*)+)")


def sources():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.cc", "*.h"], cwd=ROOT, text=True,
                            capture_output=True, check=True).stdout.split()
    return [ROOT / path for path in listed if "_test" not in path and not path.startswith("tests/")]


def metrics():
    """{name: (kind, labels, help)}"""
    found = {}
    for path in sources():
        if not path.exists():
            continue
        text = path.read_text(errors="replace")
        for match in METRIC.finditer(text):
            name, words = match.groups()
            rest = text[match.end():match.end() + 240]
            what = "".join(part[1:-1] for part in re.findall(STRING, words)).replace('\\"', '"')
            before = text[max(0, match.start() - 40):match.start()]
            kind = "histogram" if "Histogram" in before else "counter" if name.endswith("_total") else "gauge"
            labels = LABELS.get(name) or re.findall(r'\{"([a-z]+)",', re.split(r"\);|\n\n|NewCounter|NewGauge", rest)[0])
            found.setdefault(name, (kind, list(dict.fromkeys(labels)), what))
    return found


def page():
    rows = [f"| `{name}` | {kind} | {', '.join(labels)} | {what} |\n"
            for name, (kind, labels, what) in sorted(metrics().items())]
    return HEAD + "".join(rows)


def main(arguments):
    text = page()
    if PAGE.exists() and PAGE.read_text() == text:
        return 0
    if arguments == ["--check"]:
        print("run deploy/monitoring/metrics.py: docs/metrics.md is not up to date", file=sys.stderr)
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
