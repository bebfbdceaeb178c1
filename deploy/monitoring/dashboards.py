#!/usr/bin/env python3
"""Writes dashboards/*.json (Grafana 9 and 10) from panels.py. `--check` only says whether they are up to date."""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import panels  # noqa: E402

WIDTH, HEIGHT, COLUMNS = 8, 8, 3
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def expression(query, process):
    me = f'process="{process}",instance=~"$instance"'
    return query.replace("RANGE", "$__rate_interval").replace("ME}", me + "}").replace("{}", "")


def graph(panel, process, number, x, y):
    return {
        "id": number, "type": "timeseries", "title": panel.title, "description": panel.help,
        "datasource": DATASOURCE, "gridPos": {"h": HEIGHT, "w": WIDTH, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": {"msg/s": "cps"}.get(panel.unit, panel.unit), "min": 0,
                                     "color": {"mode": "palette-classic"},
                                     "custom": {"drawStyle": "line", "fillOpacity": 10, "lineWidth": 1,
                                                "showPoints": "never", "spanNulls": False}},
                        "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                    "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [{"refId": chr(ord("A") + i), "datasource": DATASOURCE, "expr": expression(query, process),
                     "legendFormat": legend, "range": True, "editorMode": "code"}
                    for i, (query, legend) in enumerate(panel.queries)],
    }


def place(dashboard):
    """Rows with their panels below, in Grafana's flat list."""
    placed, number, y = [], 0, 0
    for row in dashboard.rows:
        number += 1
        placed.append({"id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [],
                       "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}})
        y += 1
        for i, panel in enumerate(row.panels):
            number += 1
            placed.append(graph(panel, dashboard.process, number, i % COLUMNS * WIDTH, y + i // COLUMNS * HEIGHT))
        y += (len(row.panels) + COLUMNS - 1) // COLUMNS * HEIGHT
    return placed


def variables(dashboard):
    found = [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0,
              "includeAll": False, "multi": False, "options": [], "refresh": 1, "regex": "", "skipUrlSync": False,
              "current": {}}]
    if dashboard.process:
        query = f'label_values(posthorn_process_ready{{process="{dashboard.process}"}}, instance)'
        found.append({"name": "instance", "label": "Instance", "type": "query", "datasource": DATASOURCE,
                      "definition": query, "query": {"query": query, "refId": "instances"}, "hide": 0,
                      "includeAll": True, "allValue": ".*", "multi": True, "options": [], "refresh": 2, "regex": "",
                      "skipUrlSync": False, "sort": 1, "current": {"text": "All", "value": "$__all"}})
    return found


def grafana(dashboard):
    return {
        "uid": dashboard.name, "title": dashboard.title, "tags": ["posthorn"], "schemaVersion": 37, "version": 1,
        "editable": True, "graphTooltip": 1, "refresh": "30s", "timezone": "browser", "fiscalYearStartMonth": 0,
        "time": {"from": "now-6h", "to": "now"}, "timepicker": {}, "weekStart": "", "liveNow": False, "style": "dark",
        "annotations": {"list": []}, "templating": {"list": variables(dashboard)},
        "links": [{"title": "Posthorn", "type": "dashboards", "tags": ["posthorn"], "asDropdown": True, "icon": "",
                   "includeVars": False, "keepTime": True, "targetBlank": False, "tooltip": "", "url": ""}],
        "panels": place(dashboard),
    }


def main(arguments):
    stale = []
    for dashboard in panels.ALL:
        path = HERE / "dashboards" / f"{dashboard.name}.json"
        text = json.dumps(grafana(dashboard), indent=1) + "\n"
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path.name)
        if arguments != ["--check"]:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if arguments == ["--check"] and stale:
        print("run deploy/monitoring/dashboards.py, these are not up to date:", *stale, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
