"""Every flag in the units and in docker-compose.yml is one that its program has."""
import re
import sys
import unittest

import yaml

from tests.deploy.flags import deadlines, flags_of
from tests.deploy.machine import ROOT
from tests.e2e.harness import PROCESSES


class Flags(unittest.TestCase):
    def assert_known(self, process, words, where):
        unknown = {word for word in words if word.startswith("--")} - flags_of(process)
        self.assertEqual(unknown, set(), f"{where}: posthorn-{process} has no such flag")

    def test_systemd_units(self):
        for process in PROCESSES:
            unit = (ROOT / "deploy/systemd/units" / f"posthorn-{process}.service").read_text(encoding="utf-8")
            command = re.search(r"^ExecStart=(.*)$", unit, re.M)[1].split()
            self.assertEqual(command[0], f"/usr/lib/posthorn/posthorn-{process}")
            self.assert_known(process, command, "deploy/systemd")

    def test_compose_services(self):
        services = yaml.safe_load((ROOT / "deploy/compose/docker-compose.yml").read_text(encoding="utf-8"))["services"]
        for process in PROCESSES:
            command = services[process]["command"]
            self.assertEqual(command[0], f"posthorn-{process}")
            self.assert_known(process, command, "deploy/compose")

    def test_all_may_finish_what_they_do(self):
        needed = sum(deadlines().values())
        common = (ROOT / "deploy/systemd/units/posthorn-.service.d/10-common.conf").read_text(encoding="utf-8")
        self.assertGreater(int(re.search(r"^TimeoutStopSec=(\d+)$", common, re.M)[1]), needed)
        compose = yaml.safe_load((ROOT / "deploy/compose/docker-compose.yml").read_text(encoding="utf-8"))
        self.assertGreater(int(compose["x-posthorn"]["stop_grace_period"].rstrip("s")), needed)


if __name__ == "__main__":
    sys.exit(unittest.main())
