"""How much memory each process has, from its start on."""
import collections
import pathlib

MEGA = 1 << 20


def resident(pid):
    words = pathlib.Path(f"/proc/{pid}/statm").read_text().split()
    return int(words[1]) * 4096


class Growth:
    """Looks again and again; a process is known by its pid: one that was started again begins anew."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.seen = collections.defaultdict(list)

    def look(self, messages):
        for replica in self.cluster.all():
            if replica.running():
                self.seen[replica.kind, replica.name, replica.pid].append((messages, resident(replica.pid)))

    def lines(self):
        """One for each process that was seen several times: its memory at a third of its time and at the end."""
        out = []
        for (kind, name, _), looks in sorted(self.seen.items()):
            if len(looks) < 6:
                continue
            (first, before), (last, after) = looks[len(looks) // 3], looks[-1]
            out.append((kind, name, before, after, last - first))
        return out
