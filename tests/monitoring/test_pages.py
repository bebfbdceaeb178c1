"""Rules, dashboards and pages against each other."""
import re
import subprocess
import sys
import unittest

from tests.monitoring import files


class Pages(unittest.TestCase):
    def run_tool(self, *command):
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_promtool_likes_the_rules(self):
        self.run_tool("promtool", "check", "rules", *files.RULES)

    def test_alerts_fire_when_they_should_and_only_then(self):
        self.run_tool("promtool", "test", "rules", files.MONITORING / "rules" / "alerts_test.yaml")

    def test_promtool_likes_the_configurations(self):
        for path in sorted((files.MONITORING / "prometheus").glob("*.yaml")):
            self.run_tool("promtool", "check", "config", "--syntax-only", path)

    def test_dashboards_and_the_list_of_metrics_are_what_their_scripts_make(self):
        for script in ("dashboards.py", "metrics.py"):
            self.run_tool(sys.executable, files.MONITORING / script, "--check")

    def test_every_alert_is_tested_explained_and_on_the_page(self):
        tests = (files.MONITORING / "rules" / "alerts_test.yaml").read_text()
        page, runbook = files.page("monitoring.md"), files.page("runbook.md")
        entries = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", runbook, re.MULTILINE | re.DOTALL))
        for rule in files.alerts():
            name = rule["alert"]
            with self.subTest(name):
                self.assertIn(f"name: {name} fires", tests)
                self.assertIn(f"name: {name} stays silent", tests)
                self.assertIn(name, page)
                self.assertRegex(entries.get(name, ""), r"(?s)Means: .*Look.*")
                self.assertEqual(rule["annotations"]["runbook"], f"docs/runbook.md#{name.lower()}")
                self.assertIn(rule["labels"]["severity"], ("critical", "warning", "info"))
                self.assertTrue(rule["annotations"]["summary"] and rule["annotations"]["description"])
        self.assertEqual(set(entries), {rule["alert"] for rule in files.alerts()}, "entries without an alert")

    def test_the_page_names_panels_and_metrics_that_exist(self):
        titles = {title for _, title, _ in files.panels()}
        for line in files.page("monitoring.md").splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if len(cells) != 4 or not cells[0].endswith("?"):
                continue
            with self.subTest(cells[0]):
                for panel in filter(None, (part.strip() for part in cells[2].split(";"))):
                    self.assertIn(re.sub(r"^\*[^*]*\*\s*", "", panel), titles)
                for metric in re.findall(r"posthorn_[a-z0-9_]+", cells[1]):
                    self.assertTrue(metric in files.documented() or files.elsewhere(metric), metric)

    def test_nothing_asks_for_a_metric_that_is_not_documented(self):
        recorded = {rule["record"] for rule in files.rules() if "record" in rule}
        known = files.documented() | recorded | {"up"}
        asked = [(f"{dashboard}: {title}", expression) for dashboard, title, expression in files.panels()]
        asked += [(rule.get("alert") or rule["record"], rule["expr"]) for rule in files.rules()]
        for where, expression in asked:
            with self.subTest(where):
                for name in files.names(expression):
                    self.assertTrue({name, files.family(name)} & known or files.elsewhere(name), f"{name} in {expression}")

    def test_dashboards_are_whole(self):
        seen = set()
        for name, dashboard in files.dashboards().items():
            with self.subTest(name):
                self.assertEqual(dashboard["uid"], name)
                self.assertNotIn(dashboard["title"], seen)
                seen.add(dashboard["title"])
                ids = [panel["id"] for panel in dashboard["panels"]]
                self.assertEqual(len(ids), len(set(ids)))
                places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
                self.assertEqual(len(places), len(set(places)))
                for panel in dashboard["panels"]:
                    self.assertLessEqual(panel["gridPos"]["x"] + panel["gridPos"]["w"], 24)
                    references = [target["refId"] for target in panel.get("targets", ())]
                    self.assertEqual(len(references), len(set(references)))
                    self.assertTrue(panel["type"] == "row" or references)


if __name__ == "__main__":
    unittest.main()
