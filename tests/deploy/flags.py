"""What the programs say of their own flags."""
import functools
import os
import pathlib
import re
import subprocess

from tests.deploy.machine import ROOT

BIN = pathlib.Path(os.environ.get("POSTHORN_BIN", ROOT / "build" / "release" / "bin"))


@functools.cache
def flags_of(process):
    """All flags in `posthorn-PROCESS --help`."""
    text = subprocess.run([BIN / f"posthorn-{process}", "--help"], capture_output=True, text=True, check=True).stdout
    return frozenset(re.findall(r"--[a-z0-9-]+", text))


def deadlines():
    """The programs' own deadlines at their defaults, in seconds."""
    proto = (ROOT / "proto/posthorn/config/v1/kinds.proto").read_text(encoding="utf-8")
    drain = re.search(r'drain_deadline = \d+ \[[^\]]*default_value: "(\d+)s"', proto)
    queue = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "delivery-queue").glob("*.cc"))
    finish = re.search(r"kFinishLimit = std::chrono::seconds\((\d+)\)", queue)
    return {"drain": int(drain[1]), "finish": int(finish[1])}
