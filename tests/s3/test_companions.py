"""The store's conformance tests against S3 servers that others wrote."""

import os
import pathlib
import subprocess
import tempfile
import unittest

from tests.s3 import companions

TESTS = pathlib.Path(os.environ.get("POSTHORN_BUILD", "build/release")) / "store-service/blob/s3/store_blob_s3_tests"


class CompanionsTest(unittest.TestCase):
    def check(self, kind):
        with tempfile.TemporaryDirectory(prefix="posthorn-s3-") as folder:
            companion = kind(folder)
            try:
                try:
                    given = companion.start()
                except companions.Missing as missing:
                    self.skipTest(str(missing))
                run = subprocess.run([TESTS, "--gtest_filter=Forms/Conformance.*/Given"], check=False, timeout=500,
                                     env={**os.environ, "POSTHORN_S3": given}, capture_output=True, text=True)
                self.assertEqual(run.returncode, 0, run.stdout[-6000:] + run.stderr[-2000:])
                self.assertNotIn("SKIPPED", run.stdout)
            finally:
                companion.stop()

    def test_s3rver(self):
        self.check(companions.S3rver)

    def test_swift(self):
        self.check(companions.Swift)


if __name__ == "__main__":
    unittest.main()
