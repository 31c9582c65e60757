"""Run the benchmarks, print what they measured and write it to a table that the book's appendix shows.

Usage: python benchmarks/run.py [--write book/benchmarks.csv]
"""

import argparse
import csv
import importlib
import os
import platform
from datetime import date
from pathlib import Path

BENCHMARKS = [
    "bench_routing",
    "bench_expected_max",
    "bench_cascade_routing",
    "bench_learned",
    "bench_runner",
    "bench_resume",
]


def main() -> None:
    """Run every benchmark in this process, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="where to write the table, as CSV")
    write = parser.parse_args().write
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {date.today()}"
    print(machine)
    table = []
    for name in BENCHMARKS:
        for what, unit, figure in importlib.import_module(name).rows():
            print(f"{what:60s} {figure:12.4g} {unit}", flush=True)
            table.append((name.removeprefix("bench_"), what, f"{figure:.4g}", unit))
    if write:
        with write.open("w", newline="") as file:
            file.write(f"# {machine}\n")
            csv.writer(file).writerows([("benchmark", "what", "figure", "unit"), *table])


if __name__ == "__main__":
    main()
