#!/usr/bin/python3
"""Runs every bench once with hardly any work, on the preload library, and checks that it reports what bench/catalog says; and
the key-value store on each of its backends, which must end with the same entries.
Usage: smoke.py BUILD LIBRARY"""
import os
import sys
import tempfile

import catalog
import kvstore
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


def run_store(runner, trace, keepers):
    """The figures of its backends agree where they must."""
    said = set()
    for keeper in keepers:
        figures = runner.run(trace, keeper, SETTLE_MS)
        for key in ("seconds", "peak_kib", "rss_after_kib", "rss_stop_kib", "live_bytes", "entries", "operations_per_second"):
            check(figures[key] > 0, f"{key} of {keeper.name} is {figures[key]}")
        check(trace.name != "mixed" or 0 < figures["p50_us"] <= figures["p999_us"] <= figures["max_us"] * 17 / 16, figures)
        check(keeper.backend == "malloc" or figures["metadata_kib"] > 0, "a movable heap has metadata")
        said.add((figures["entries"], figures["live_bytes"], figures["checksum"]))
    check(len(said) == 1, f"not the same entries at the end: {said}")


def main():
    build, library = (os.path.realpath(path) for path in sys.argv[1:3])
    passed = failed = 0

    def count(run, bench, *arguments):
        nonlocal passed, failed
        try:
            run(runner, bench, *arguments)
            passed += 1
        except (RunFailed, AssertionError) as failure:
            print(f"FAILED  {bench.name}: {failure}", flush=True)
            failed += 1

    with tempfile.TemporaryDirectory(prefix="hmalloc-bench-inputs-") as cache:
        runner = Runner(build, "smoke", cache)
        try:
            for bench in catalog.read_catalog():
                count(run_bench, bench, catalog.Contender("hmalloc", library))
        finally:
            runner.close()
        runner = kvstore.StoreRunner(build, "smoke", cache)
        try:
            for name in kvstore.TRACES:
                count(run_store, kvstore.Trace(name), kvstore.keepers(library, ()))
        finally:
            runner.close()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
