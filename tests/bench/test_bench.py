#!/usr/bin/python3
"""The benchmark itself: what it says of figures whose truth is known, and that it finds what is wrong with a run.
Usage: test_bench.py BUILD LIBRARY"""
import contextlib
import io
import itertools
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from unittest import mock

import numpy

import catalog
import estimate
import flamegraph
import instructions
import kvstore
import report
from results import Results
from runner import RunFailed, Runner, read_report
from support.tap import check, run_tests


def noisy(centre, rounds, seed, spread=0.02):
    choose = random.Random(seed)
    return numpy.array([centre * choose.lognormvariate(0, spread) for _ in range(rounds)])


def test_finds_a_clear_difference(build, library):
    for rounds in (4, 10, 30):
        point, interval = estimate.ratio(noisy(0.8, rounds, 1), noisy(1, rounds, 2))
        check(interval[0] <= point <= interval[1], (point, interval))
        check(estimate.verdict(interval, "less", "more") == "less", f"{rounds} rounds: {interval}")
        _, interval = estimate.ratio(noisy(1, rounds, 2), noisy(0.8, rounds, 1))
        check(estimate.verdict(interval, "less", "more") == "more", f"{rounds} rounds: {interval}")


def test_intervals_hold_the_truth(build, library):
    """95 % is what they promise; of 400 trials, 88 % is what chance hardly ever undercuts."""
    for rounds in (3, 5, 10, 20):
        held = 0
        for trial in range(400):
            _, (low, high) = estimate.ratio(noisy(0.9, rounds, trial), noisy(1, rounds, 1000 + trial))
            held += low <= 0.9 <= high
        check(held >= 352, f"{rounds} rounds: {held} of 400 intervals hold the true ratio")


def test_noise_has_no_winner(build, library):
    verdicts = [estimate.verdict(estimate.ratio(noisy(1, 10, 2 * n, 0.1), noisy(1, 10, 2 * n + 1, 0.1))[1], "less", "more")
                for n in range(100)]
    check(verdicts.count("too noisy to tell") >= 85, verdicts)
    check(estimate.verdict(None, "less", "more") == "one round tells nothing", "a single round")


def test_same_figures_are_the_same(build, library):
    _, interval = estimate.ratio(numpy.full(5, 7.0), numpy.full(5, 7.0))
    check(estimate.verdict(interval, "less", "more") == "the same within 1 %", interval)


def test_geometric_mean(build, library):
    for rounds in (4, 10):
        pairs = [(noisy(4, rounds, 1), noisy(1, rounds, 2)), (noisy(9, rounds, 3), noisy(1, rounds, 4))]
        mean, (low, high) = estimate.geometric_mean(pairs)
        check(abs(mean - 6) < 0.2 and low < 6 < high and high - low < 0.7, (mean, low, high))


def test_best(build, library):
    figures = {"slow": noisy(1.5, 8, 1), "first": noisy(1, 8, 2), "close": noisy(1.005, 8, 3)}
    check(set(estimate.best(figures)) == {"first", "close"}, estimate.best(figures))
    figures.pop("close")
    check(estimate.best(figures) == ["first"], estimate.best(figures))


def bench_of(name):
    return catalog.select(catalog.read_catalog(), [name])[0]


def planted_results():
    """Two rounds of two benches, of which one fails on the second contender."""
    benches, contenders = [bench_of("lua"), bench_of("refill")], [catalog.Contender("a", ""), catalog.Contender("b", "")]
    results = Results({"length": "smoke", "settle_ms": 0, "settle_rounds": 0}, benches, contenders)
    for number in range(2):
        for bench in benches:
            for factor, contender in enumerate(contenders, 1):
                results.add(number, bench, contender, {"seconds": factor, "cpu": factor, "peak_kib": 2048 * factor,
                                                       "minor_faults": 5, "others": 0.5, "stolen": 0})
    results.add_failure(benches[1], contenders[1], "exit status 1")
    return results


def test_report(build, library):
    text = report.markdown(planted_results())
    check("| lua | 1.000 | 2.000 | a |" in text and "| lua | 5.000 | 5.000 |" in text, text)
    check("| refill | 1.000 | failed | a |" in text, text)
    check("- refill on b: exit status 1" in text, text)
    check("The machine was not idle" in text, "it says nothing of the other processes")


def test_report_of_nothing_but_failures(build, library):
    results = planted_results()
    results.runs.clear()
    text = report.markdown(results)
    check("- refill on b: exit status 1" in text and "No run was finished" in text, text)


def store_run(live, rss, checksum):
    return {"operations_per_second": 2e6, "cpu": 1, "seconds": 1, "peak_kib": 4096, "rss_start_kib": 1024, "rss_stop_kib": 9216,
            "rss_after_kib": 1024 + rss * 1024, "live_bytes": live * 2**20, "entries": 5, "checksum": checksum, "p50_us": 1, "p99_us": 2,
            "p999_us": 3, "max_us": 4, "others": 0, "stolen": 0}


def test_store_report(build, library):
    keepers = kvstore.keepers(library, ())
    results = Results({"length": "smoke", "settle_ms": 0, "settle_rounds": 0}, [kvstore.Trace("mixed")], keepers)
    for number in range(3):
        for factor, keeper in enumerate(keepers, 1):
            results.add(number, results.benches[0], keeper, store_run(2, 2 * factor, 7))
    text = kvstore.markdown(results)
    check("| mixed | 2 (1.00) | 4 (2.00) | 6 (3.00) | 8 (4.00) |" in text, text)
    check("| handles | 1.0 | 2.0 | 3.0 | 4.0 |" in text and "not the same entries" not in text, text)
    check("| mixed | 2.00 | 1.00" in text and all("millions" not in run for run in results.runs), text)
    results.add(3, results.benches[0], keepers[0], store_run(2, 2, 8))
    check(list(kvstore.disagreements(results)) != [] and "mixed: not the same entries" in kvstore.markdown(results), "planted")


OVERLAPPING_MALLOC = """
#include <stddef.h>
void *__libc_malloc(size_t size);
void __libc_free(void *block);
static void *last;
static unsigned calls;
void *malloc(size_t size)
{
    if (size > 200 && ++calls % 10 == 0)
        return last;
    return size > 200 ? last = __libc_malloc(size) : __libc_malloc(size);
}
void free(void *block)
{
    (void)block;
}
"""


def test_store_notices_overwritten_values(build, library):
    """An allocator that hands out every tenth block twice."""
    with tempfile.TemporaryDirectory() as folder:
        planted = os.path.join(folder, "planted.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", planted], input=OVERLAPPING_MALLOC, text=True, check=True)
        command = [os.path.join(build, "bench/bench_kvstore"), "malloc", "shift", "1"]
        result = subprocess.run(command, env={"LD_PRELOAD": planted}, capture_output=True, text=True, check=False)
        check(result.returncode == -6 and "kvstore: key " in result.stderr, f"{result.returncode}: {result.stderr}")
        result = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
        check(result.returncode == 0, result.stderr)


def test_reported_parts_add_up(build, library):
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:
        file.write("seconds 1\npeak_kib 5\nseconds 2\npeak_kib 4\n")
        file.flush()
        check(read_report(file.name) == {"seconds": 3, "peak_kib": 5}, read_report(file.name))


def test_store_report_of_nothing_but_failures(build, library):
    keepers = kvstore.keepers(library, ())
    results = Results({"length": "smoke", "settle_ms": 0, "settle_rounds": 0}, [kvstore.Trace("mixed")], keepers)
    results.add_failure(results.benches[0], keepers[0], "exit status 1")
    text = kvstore.markdown(results)
    check("- mixed on glibc: exit status 1" in text and "No run was finished" in text, text)


def test_failing_run(build, library):
    runner = Runner(build, "smoke", "/nonexistent")
    bench = bench_of("pair-16")
    bench.command = ["pair", "x"]
    try:
        runner.run(bench, catalog.Contender("glibc", ""))
    except RunFailed as failure:
        check("exit status 2" in str(failure) and "must be a number" in str(failure), failure)
    else:
        check(False, "nobody noticed that the bench failed")
    finally:
        runner.close()


def test_library_that_does_not_load(build, library):
    with tempfile.NamedTemporaryFile("w", suffix=".so") as file:
        try:
            catalog.Contender("planted", file.name).check_loads(os.path.join(build, "bench/measure"))
        except ValueError as error:
            check("can't be preloaded" in str(error), error)
        else:
            check(False, "nobody noticed that the library is none")
    catalog.Contender("hmalloc", library).check_loads(os.path.join(build, "bench/measure"))


def measured(build, *arguments):
    """Exit status and figures of measure; None among the arguments stands for the file that it writes."""
    with tempfile.NamedTemporaryFile("r") as usage:
        status = subprocess.run([os.path.join(build, "bench/measure"), *(usage.name if a is None else a for a in arguments)],
                                stderr=subprocess.DEVNULL, check=False).returncode
        return status, usage.read().split()


def test_peak_is_the_programs_own(build, library):
    """This process is many times as large as the one that is measured."""
    ballast = bytearray(b"x" * (64 << 20))
    status, (_, peak, _, _, faults) = measured(build, None, "/bin/true")
    check(status == 0 and 0 < int(peak) < len(ballast) // 1024 // 4 and int(faults) > 0, f"peak {peak} KiB, {faults} faults")


def test_measure_repeats_and_hands_on_the_status(build, library):
    with tempfile.TemporaryDirectory() as folder:
        line = os.path.join(folder, "lines")
        status, _ = measured(build, "--repeat", "3", None, "sh", "-c", f"echo >>{line}")
        with open(line, encoding="ascii") as file:
            check(status == 0 and len(file.readlines()) == 3, "not three times")
    check(measured(build, "--repeat", "3", None, "sh", "-c", "exit 7")[0] == 7, "exit status")
    check(measured(build, None, "sh", "-c", "kill -TERM $$")[0] == 128 + 15, "signal")
    check(measured(build, "--repeat", "0", None, "true")[0] == 125, "bad usage")


def test_preload_reaches_the_program_only(build, library):
    with tempfile.NamedTemporaryFile("r") as usage:
        output = subprocess.run([os.path.join(build, "bench/measure"), "--preload", library, usage.name, "sh", "-c",
                                 'echo "$LD_PRELOAD"; grep -c hmalloc-preload /proc/$PPID/maps'],
                                capture_output=True, text=True, check=False).stdout
    check(output == f"{library}\n0\n", output)


def compare(build, *arguments):
    command = ["/usr/bin/python3", os.path.join(catalog.TOP, "scripts/bench.d/compare"), "--build", build, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_compares_two_builds(build, library):
    with tempfile.TemporaryDirectory() as folder:
        result = compare(build, "--quick", "--runs", "2", "--only", "storm,lua", "--compare-builds", library, library, "--output",
                         folder)
        check(result.returncode == 0, result.stderr)
        with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
            runs = [(run["round"], run["bench"], run["contender"]) for run in json.load(file)["runs"]]
        wanted = itertools.product(range(2), ("lua", "storm"), ("after", "before"))
        check(sorted(runs) == sorted(wanted), runs)
        check("| workloads + programs | after | 1 |" in result.stdout, result.stdout)
        for name in ("results.md", "speed-memory.svg", "groups.svg"):
            check(os.path.getsize(os.path.join(folder, name)) > 0, name)


def test_bad_usage(build, library):
    for arguments, text in ((["--only", "planted"], "no bench or group is called planted"),
                            (["--against", "planted"], "planted: neither the path"),
                            (["--against", f"{library},/tmp/../{library}"], "two allocators are called libhmalloc-preload"),
                            (["--kvstore", "--against", f"{library},{library}"], "two allocators are called libhmalloc-preload"),
                            (["--compare-builds", "/planted.so", library], "there is no /planted.so")):
        result = compare(build, *arguments)
        check(result.returncode == 2 and text in result.stderr, result.stderr)


def test_instructions_that_grew(build, library):
    kept = {"machine": platform.machine(), "compiler": instructions.compiler(), "instructions": {"a": 100, "b": 100, "gone": 1}}
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        json.dump(kept, file)
        file.flush()
        output = io.StringIO()
        with mock.patch.object(instructions, "KEPT", file.name), contextlib.redirect_stdout(output):
            with mock.patch.object(instructions, "count_all", return_value={"a": 102.9, "b": 103.1, "new": 1}):
                status = instructions.check(build)
    lines = output.getvalue().splitlines()
    check(status == 1 and lines[-1] == "1 passed, 3 failed", lines)
    check([line.split()[:2] for line in lines[:-1]] == [["ok", "a"], ["FAILED", "b"], ["FAILED", "gone"], ["FAILED", "new"]], lines)


def test_instructions_see_the_library(build, library):
    """A library that does more must cost more."""
    counts = [instructions.count_case(build, path, "pair-16") for path in ("", library)]
    check(all(20 < value < 1000 for value in counts) and counts[0] != counts[1], counts)


PERF_OUTPUT = """\
lua5.4 12 100.1: cpu-clock:
\t  55d0 malloc (/lib/libx.so)
\t  55d1 luaM_realloc_+0x10 (/usr/bin/lua5.4)
\t  55d2 main<1> (/usr/bin/lua5.4)

lua5.4 12 100.2: cpu-clock:
\t  55d1 luaM_realloc_ (/usr/bin/lua5.4)
\t  55d2 main<1> (/usr/bin/lua5.4)

"""


def test_flame_graph(build, library):
    stacks, libraries = flamegraph.fold(PERF_OUTPUT.splitlines())
    check(stacks == {("lua5.4", "main<1>", "luaM_realloc_", "malloc"): 1, ("lua5.4", "main<1>", "luaM_realloc_"): 1}, stacks)
    check(libraries["malloc"] == "/lib/libx.so", libraries)
    svg = flamegraph.draw(stacks, libraries, "title & text", "samples")
    check("main&lt;1&gt; (2 samples, 100.0 %)" in svg and "malloc (1 samples, 50.0 %)" in svg, svg)
    check("title &amp; text" in svg, "the title is not escaped")


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__], *(os.path.realpath(path) for path in sys.argv[1:3])))
