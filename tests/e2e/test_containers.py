"""What containers need of the programs because they have no shell: `posthorn probe`, `posthorn certs ensure`."""
import contextlib
import pathlib
import sys
import tempfile
import unittest

from tests.e2e.clients import run
from tests.e2e.harness import BIN, PROCESSES, Suite, free_port, wait_for
from tests.e2e.processes import Process


def probe(address, *page):
    result = run(BIN / "posthorn", "probe", address, *page, check=False)
    return result.returncode, (result.stdout + result.stderr).decode()


class Containers(unittest.TestCase):
    def test_probe_tells_ready_from_alive_and_from_nobody(self):
        with Suite() as suite, contextlib.ExitStack() as stack:
            for process in PROCESSES:
                address = suite.endpoints["HEALTH_" + process.upper().replace("-", "_")]
                self.assertEqual(probe(address), (0, ""), process)
                self.assertEqual(probe(address, "livez"), (0, ""), process)
            # There is no admin-service in its folder: it lives, and is not ready.
            waiting = stack.enter_context(Process(suite, "imap-gateway", "--run", suite.dir / "elsewhere"))
            address = f"127.0.0.1:{waiting.health_port}"
            wait_for(lambda: probe(address, "livez")[0] == 0, "it lives")
            status, said = probe(address)
            self.assertEqual(status, 1)
            self.assertIn("waiting for configuration", said)
        status, said = probe(f"127.0.0.1:{free_port()}")
        self.assertEqual(status, 3)
        self.assertIn("nobody answers", said)
        for wrong in (("127.0.0.1",), ("127.0.0.1:1", "metrics"), ()):
            self.assertEqual(run(BIN / "posthorn", "probe", *wrong, check=False).returncode, 2, wrong)

    def test_certs_ensure_makes_what_is_missing_and_leaves_what_is_good(self):
        with tempfile.TemporaryDirectory(prefix="posthorn-e2e-") as name:
            folder = pathlib.Path(name)
            ensure = (BIN / "posthorn", "certs", "ensure", "--dir", folder)
            run(*ensure)
            made = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
            self.assertLessEqual({folder / process / "tls.key" for process in PROCESSES}, set(made))
            self.assertIn(b"nothing is due", run(*ensure).stdout)
            (folder / "imap-gateway" / "tls.crt").unlink()
            self.assertIn(b"imap-gateway: good until", run(*ensure).stdout)
            changed = {path for path, data in made.items() if path.read_bytes() != data}
            self.assertEqual(changed, {folder / "imap-gateway" / name for name in ("tls.crt", "tls.key")})
            self.assertEqual(run(BIN / "posthorn", "certs", "show", "--dir", folder).returncode, 0)


if __name__ == "__main__":
    sys.exit(unittest.main())
