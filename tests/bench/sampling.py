"""Where the CPU goes: perf samples of all of Posthorn's processes during one load, by process and symbol."""
import shutil
import signal
import subprocess

from tests.bench import procs
from tests.bench.measure import Mailload
from tests.e2e.harness import ROOT

LOADS = {"deliver": ("deliver", "--messages", 20000), "deliver_fresh": ("deliver", "--fresh", "--messages", 20000),
         "login": ("login", "--messages", 20000)}
SYMBOLS = 40


def profile(bench):
    """One text file a load in build/bench; the time is sampled from a clock, which works in virtual machines too."""
    if not shutil.which("perf"):
        print("no profile: perf (Debian's linux-perf) is not installed")
        return
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    server = bench.servers[0]
    server.prepare(20)
    for name, options in LOADS.items():
        data = folder / f"{name}.perf"
        with Mailload(server, *options) as run:
            run.wait("begin")
            pids = ",".join(str(pid) for pid in procs.tree(server.roots))
            recorder = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-F", "1999", "-g", "-o", data, "-p",
                                         pids], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                run.go_on()
                run.result()
            finally:
                recorder.send_signal(signal.SIGINT)
                recorder.wait(60)
        report = ["perf", "report", "-i", data, "--stdio", "--no-children", "-g", "none", "--percent-limit", "0.3"]
        by_process = _lines([*report, "--sort", "comm"])
        by_symbol = _lines([*report, "--sort", "comm,dso,sym"])
        (folder / f"{name}.profile.txt").write_text("\n".join(by_process + [""] + by_symbol) + "\n")
        print(f"\nprofile of {name} (percent of all samples); whole in build/bench/{name}.profile.txt")
        print("\n".join("  " + line.rstrip() for line in by_process + by_symbol[:SYMBOLS]), flush=True)


def _lines(command):
    output = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    return [line for line in output.splitlines() if line.strip() and not line.startswith("#")]
