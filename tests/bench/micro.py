"""The parts alone: programs beside this file that are built by name and print their own figures."""
import pathlib
import subprocess

from tests.e2e.harness import ROOT

SOURCES = ROOT / "tests" / "bench"
LIMIT_SECONDS = 300


def micro(bench):
    names = sorted(path.stem for path in SOURCES.glob("*_bench.cc"))
    build = ROOT / "build" / "release"
    built = subprocess.run(["ninja", "-C", str(build), *names], capture_output=True, text=True)
    if built.returncode != 0:
        raise RuntimeError(f"ninja {' '.join(names)}:\n{built.stdout[-2000:]}")
    for name in names:
        program = next(iter(build.rglob(name)), None)
        if program is None or not pathlib.Path(program).is_file():
            raise RuntimeError(f"{name} was built but is not in {build}")
        try:
            result = subprocess.run([program], capture_output=True, text=True, timeout=LIMIT_SECONDS, cwd=build)
        except subprocess.TimeoutExpired:
            print(f"\n{name}: stopped after {LIMIT_SECONDS} s")
            continue
        bench.report.texts[name] = (result.stdout + result.stderr).splitlines()
        print(f"\n{name}" + (f" (status {result.returncode})" if result.returncode else ""))
        print("\n".join("  " + line for line in bench.report.texts[name]), flush=True)
