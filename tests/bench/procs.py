"""What processes cost, read from /proc.

CPU of a set of processes is user + system time of each, plus what the kernel added to a parent for children that ended
and were waited for (cutime, cstime). Summed over a whole tree nothing is counted twice and nothing that ended is lost.
"""
import os
import pathlib

TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """(name, parent, own seconds, seconds of ended children), or None when the process is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name = text[text.index("(") + 1:text.rindex(")")]
    fields = text[text.rindex(")") + 2:].split()
    user, system, child_user, child_system = (int(field) / TICK for field in fields[11:15])
    return name, int(fields[1]), user + system, child_user + child_system


def tree(roots):
    """{pid: stat} of the processes `roots` and all their descendants."""
    stats = {int(entry): _stat(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    children = {}
    for pid, stat in stats.items():
        if stat:
            children.setdefault(stat[1], []).append(pid)
    found, pending = {}, list(roots)
    while pending:
        pid = pending.pop()
        if stats.get(pid) and pid not in found:
            found[pid] = stats[pid]
            pending += children.get(pid, [])
    return found


def cpu(roots):
    """CPU seconds so far by process name; "(ended)" is what processes that are gone had used."""
    seconds = {}
    for name, _, own, ended in tree(roots).values():
        seconds[name] = seconds.get(name, 0.0) + own
        seconds["(ended)"] = seconds.get("(ended)", 0.0) + ended
    return seconds


def difference(after, before):
    """CPU seconds between two readings of cpu(), by name, without what did not move."""
    names = set(after) | set(before)
    moved = {name: after.get(name, 0.0) - before.get(name, 0.0) for name in names}
    return {name: value for name, value in sorted(moved.items(), key=lambda item: -item[1]) if abs(value) > 0.0005}


def pss_kb(roots):
    """Proportional set size by process name, in KB: shared pages counted once over all processes."""
    sizes = {}
    for pid, stat in tree(roots).items():
        try:
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith("Pss:"):
                sizes[stat[0]] = sizes.get(stat[0], 0) + int(line.split()[1])
    return sizes
