"""What neighbouring versions say to each other stays understood: expand, then contract."""
import pathlib
import re
import tempfile
import unittest

from tests.e2e.harness import ROOT
from tests.upgrade.contracts import breaks, contract

RELEASES = sorted((pathlib.Path(__file__).parent / "contracts").glob("*.txt"))
BEFORE = """syntax = "proto3";
package t;
enum Color { RED = 0; BLUE = 1; }
message Note {
  string name = 1;
  uint64 size = 2;
  repeated bytes parts = 3;
  Color color = 4;
  reserved 9;
  oneof what { string text = 5; bytes data = 6; }
}
message Reply { message Inner { bool done = 1; } Inner inner = 1; }
service Notes { rpc Put(Note) returns (Reply); rpc Watch(Note) returns (stream Reply); }
"""


def lines(text):
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "t.proto").write_text(text)
        return contract(folder)


class Contracts(unittest.TestCase):
    def test_every_release_understands_what_is_here(self):
        self.assertTrue(RELEASES)
        now = contract(ROOT / "proto")
        for release in RELEASES:
            with self.subTest(release.stem):
                found = breaks(release.read_text().splitlines(), now)
                self.assertEqual(found, [], f"\nneighbours of release {release.stem} would misunderstand (expand, then "
                                 "contract: docs/contributors.md):\n  " + "\n  ".join(found))


class Rules(unittest.TestCase):
    """Seeded mistakes are found, and what only adds is not a mistake."""

    def check(self, old, new, *words, count=1):
        changed = BEFORE.replace(old, new)
        self.assertNotEqual(changed, BEFORE)
        found = breaks(lines(BEFORE), lines(changed))
        self.assertEqual(len(found), count, found)
        for word in words:
            self.assertRegex(found[0], re.escape(word))

    def test_additions_break_nothing(self):
        self.check("string name = 1;", "string name = 1; uint32 more = 20;", count=0)
        self.check("BLUE = 1;", "BLUE = 1; GREEN = 2;", count=0)
        self.check("rpc Put", "rpc Get(Note) returns (Reply); rpc Put", count=0)
        self.check("message Reply", "message Other {} message Reply", count=0)

    def test_a_reserved_number_may_go(self):
        self.check("string name = 1;", "reserved 1;", count=0)
        self.check("string name = 1;", "", "t.Note.name = 1 is gone", "reserved 1;")
        self.check("reserved 9;", "", "number 9 is no longer reserved")
        self.check("reserved 9;", "bool again = 9;", "9", count=2)

    def test_a_number_keeps_type_and_name(self):
        self.check("uint64 size = 2", "string size = 2", "field 2 was uint64 (size), now string")
        self.check("repeated bytes parts", "bytes parts", "was repeated bytes")
        self.check("uint64 size = 2", "uint64 size = 12", "t.Note.size was number 2, now 12")
        self.check("string name = 1", "string title = 1", "was name, now title")
        self.check("bytes data = 6; }", "} bytes data = 6;", "in oneof what")
        self.check("bool done", "uint64 done", "t.Reply.Inner")

    def test_enum_values_stay(self):
        self.check("BLUE = 1;", "", "value 1 was BLUE, now it is gone")
        self.check("BLUE = 1", "PINK = 1", "now PINK")

    def test_methods_stay(self):
        self.check("rpc Put(Note) returns (Reply);", "", "t.Notes.Put is gone")
        self.check("rpc Put(Note)", "rpc Put(stream Note)", "add a method")
        self.check("returns (stream Reply)", "returns (Reply)", "t.Notes.Watch was")


if __name__ == "__main__":
    unittest.main()
