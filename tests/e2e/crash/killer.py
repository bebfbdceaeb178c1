"""Kills the processes of a suite: at random moments, at named points between two steps, and all at once."""
import contextlib
import os
import random
import re
import signal
import time

from tests.e2e.harness import PROCESSES, wait_for

# (process, point, how often it is passed before it kills). The variable stays set, so a process that comes back is
# killed there again.
POINTS = (
    ("store-service", "store.blob.written", 150),
    ("delivery-queue", "journal.before_sync", 150),
    ("smtp-gateway", "smtp.after_enqueue", 200),
    ("store-service", "lane.before_commit", 300),
    ("delivery-queue", "journal.after_sync", 150),
    ("store-service", "lane.after_commit", 300),
    ("delivery-queue", "queue.after_deliver", 200),
    ("smtp-gateway", "smtp.before_enqueue", 200),
    ("store-service", "store.blob.durable", 150),
    ("delivery-queue", "journal.before_write", 150),
    ("delivery-queue", "queue.after_accept", 200),
    ("delivery-queue", "queue.after_expansion", 5),
)
ENDED = re.compile(r"up: (\S+) ended: signal 9\b")
BACK = 90


class Killer:
    def __init__(self, suite, seed=1):
        self.suite = suite
        self.random = random.Random(seed)
        self.kills = dict.fromkeys(PROCESSES, 0)
        self.at_points = {}
        self.log_size = 0
        self.rounds = 0
        self.own = {}      # in this life of the supervisor, by process
        self.counted = 0   # in this life, by the named point

    def round(self):
        """One life of the supervisor: a named point, single kills, then everything at once."""
        process, point, passes = POINTS[self.rounds % len(POINTS)]
        self.rounds += 1
        self.suite.start({"POSTHORN_KILL_AT": f"{point}:{passes + self.random.randrange(passes)}"})
        victims = sorted(PROCESSES, key=lambda p: (self.kills[p], self.random.random()))[:4]
        for victim in victims:
            time.sleep(self.random.random() * 0.8)  # any moment, as below
            self.kill_one(victim)
        before = self.at_points.get(point, 0)
        with contextlib.suppress(AssertionError):  # not every life passes its point so often
            wait_for(lambda: self.ended_by_itself(process, point) != before, "it ends at its point", 15)
        time.sleep(self.random.random() * 0.5)
        self.kill_all()

    def kill_one(self, process):
        pid = wait_for(lambda: self.suite.pid(process) or None, f"{process} runs", BACK)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # a named point was faster
        self.kills[process] += 1
        wait_for(lambda: self.suite.pid(process) not in (0, pid) and self.suite.ready(process),
                 f"{process} is back", BACK)
        self.own[process] = self.own.get(process, 0) + 1

    def ended_by_itself(self, process, point):
        """How often the named point has killed: what the supervisor saw less what this class did."""
        text = self.suite.log()[self.log_size:]
        seen = sum(1 for name in ENDED.findall(text) if name == process)
        at_point = max(0, seen - self.own.get(process, 0))
        known = self.at_points.setdefault(point, 0)
        fresh = at_point - self.counted
        if fresh > 0:
            self.counted = at_point
            self.at_points[point] = known + fresh
            self.kills[process] += fresh
        return self.at_points[point]

    def kill_all(self):
        """No order, no warning: as when the machine's memory runs out, or a container is removed."""
        supervisor = int(self.suite.read_endpoints()["PID"])
        os.kill(supervisor, signal.SIGSTOP)  # it would start what we end
        pids = {process: self.suite.pid(process) for process in PROCESSES}
        for process, pid in self.random.sample(sorted(pids.items()), len(pids)):
            try:
                os.kill(pid, signal.SIGKILL) if pid else None
                self.kills[process] += 1 if pid else 0
            except ProcessLookupError:
                pass
        os.kill(supervisor, signal.SIGKILL)
        wait_for(lambda: not any(self.lives(pid) for pid in [supervisor, *pids.values()] if pid), "all are gone")
        self.log_size = len(self.suite.log())
        self.own, self.counted = {}, 0

    @staticmethod
    def lives(pid):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
        except OSError:
            return False
