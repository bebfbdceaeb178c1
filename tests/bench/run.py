#!/usr/bin/env python3
"""./dev bench: what Posthorn costs, beside Postfix and Dovecot on the same machine in the same run.

Nothing here fails on a time: figures are printed (median, min–max) and written to build/bench/results.json.
"""
import argparse
import contextlib
import os
import pathlib
import signal
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench import micro, peers, sampling  # noqa: E402
from tests.bench.measure import MEASUREMENTS, Bench  # noqa: E402
from tests.bench.posthorn import Cluster, Posthorn, PosthornOnMariaDb  # noqa: E402
from tests.bench.report import Report, machine  # noqa: E402

# Those that share a pair of servers; the rest get fresh ones, so that what one filled does not burden the next.
GROUPS = (("deliver", "deliver_fresh", "login", "notify"), ("database",), ("stores",), ("big",), ("idle", "idle_many"))


def parse():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("name", nargs="?", choices=[*MEASUREMENTS, "micro"], help="only this measurement")
    parser.add_argument("--only", choices=[*MEASUREMENTS, "micro"], help="the same")
    parser.add_argument("--quick", action="store_true", help="one pair, a tenth of the messages")
    parser.add_argument("--pairs", type=int, help="interleaved pairs (default 5)")
    parser.add_argument("--no-peers", action="store_true", help="Posthorn alone")
    parser.add_argument("--profile", action="store_true", help="perf samples of Posthorn's processes; nothing else")
    parser.add_argument("--no-micro", action="store_true", help="without the parts alone")
    return parser.parse_args()


def peers_can_run():
    missing = [path for path in ("/usr/sbin/postfix", "/usr/sbin/dovecot", "/usr/lib/dovecot/lmtp", "/usr/lib/dovecot/imap")
               if not os.path.exists(path)]
    if os.getuid() != 0:
        return "Postfix and Dovecot need root to start"
    return f"not installed: {' '.join(missing)}" if missing else ""


def servers_for(names, options):
    if names == ["database"]:
        return [Posthorn(), PosthornOnMariaDb()]
    if names == ["stores"]:
        return [Cluster(1), Cluster(2)]
    return [Posthorn()] if options.no_peers else [Posthorn(), peers.PostfixDovecot()]


def run_group(names, options, report):
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(server) for server in servers_for(names, options)]
        bench = Bench(report, servers, options.pairs or (1 if options.quick else 5), options.quick)
        for name in names:
            known = set(report.load)
            MEASUREMENTS[name](bench)
            for measurement in [key for key in report.load if key not in known]:
                print("\n".join(report.lines(measurement)), flush=True)


def main():
    options = parse()
    only = options.only or options.name
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends every `with` on the way out
    if not options.no_peers and (why := peers_can_run()):
        print(f"without peers: {why}")
        options.no_peers = True
    report = Report(ROOT)
    print(machine())
    if options.profile:
        with Posthorn() as server:
            sampling.profile(Bench(report, [server], 1, options.quick))
        return 0
    try:
        for group in GROUPS:
            if names := [name for name in group if only in (None, name)]:
                run_group(names, options, report)
        if only == "micro" or not (only or options.no_micro):
            micro.micro(Bench(report, [], 1, options.quick))
    except KeyboardInterrupt:
        print("\nstopped; what was measured so far is kept")
        return 130
    finally:
        path = ROOT / "build" / "bench" / "results.json"
        report.write(path)
        print(f"\nwritten: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
