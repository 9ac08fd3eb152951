#!/usr/bin/python3
"""Runs every bench once with hardly any work, on the preload library, and checks that it reports what bench/catalog says.
Usage: smoke.py BUILD LIBRARY"""
import os
import sys
import tempfile

import catalog
from runner import RunFailed, Runner
from support.tap import check

SETTLE_MS = 10


def run_bench(runner, bench, contender):
    figures = runner.run(bench, contender, SETTLE_MS)
    for key in ("seconds", "peak_kib", "minor_faults", "cpu"):
        check(figures[key] > 0, f"{key} is {figures[key]}")
    if "dirty" in bench.metrics:
        check(figures["private_dirty_kib"] > 0, "no private dirty memory")
    if "after" in bench.metrics:
        check(figures["rss_after_kib"] > 0 and figures["rss_start_kib"] > 0 and figures["live_kib"] >= 0, figures)


def main():
    build, library = (os.path.realpath(path) for path in sys.argv[1:3])
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="hmalloc-bench-inputs-") as cache:
        runner = Runner(build, "smoke", cache)
        try:
            for bench in catalog.read_catalog():
                try:
                    run_bench(runner, bench, catalog.Contender("hmalloc", library))
                    passed += 1
                except (RunFailed, AssertionError) as failure:
                    print(f"FAILED  {bench.name}: {failure}", flush=True)
                    failed += 1
        finally:
            runner.close()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
