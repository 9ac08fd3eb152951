"""Instructions per operation, counted by callgrind: the same on every run and every machine, whatever else goes on there.

Each program runs with two amounts of work; the difference of the counts, divided by that of the amounts, is what one operation
costs in the steady state. Start-up, tables and the first fill cancel out. The figures are kept in bench/instructions.json.
"""
import concurrent.futures
import json
import os
import platform
import re
import subprocess

import catalog
from runner import ENVIRONMENT

KEPT = os.path.join(catalog.TOP, "bench/instructions.json")
TOLERANCE = 0.03
COUNTED = ("Instructions that callgrind counts in the whole process for one step of a bench program's loop: the loop itself (under "
           "ten instructions), the calls through the PLT, and the allocator. pair and zeroed: a step is one allocation, a write to "
           "the block, one free. batch and burst: the same on average, stored in and read from a table. churn: one block is freed "
           "and one allocated in its place; place and size are read from a table made beforehand (bench/micro/churn.c), so no "
           "random number is made in the loop. growth: one realloc. aligned: one free and one posix_memalign, from a table. "
           "handle: what the top of bench/micro/handle.c says, with the shared library; plain is the loop without any call.")

# Name -> program and arguments, the two amounts.
CASES = {
    "pair-16": (["pair", "16"], 20000, 120000),
    "pair-128": (["pair", "128"], 20000, 120000),
    "pair-1024": (["pair", "1024"], 20000, 120000),
    "pair-8192": (["pair", "8192"], 20000, 120000),
    "pair-65536": (["pair", "65536"], 20000, 120000),
    "pair-1048576": (["pair", "1048576"], 5000, 25000),
    "zeroed-128": (["zeroed", "128"], 20000, 120000),
    "batch-lifo": (["batch", "lifo", "1", "100", "64"], 20000, 120000),
    "batch-fifo": (["batch", "fifo", "1", "100", "64"], 20000, 120000),
    "burst-fifo-20k": (["batch", "fifo", "1", "20000", "64"], 100000, 300000),
    "burst-shuffled-20k": (["batch", "shuffled", "1", "20000", "64"], 100000, 300000),
    "churn-20k": (["churn", "20000"], 200000, 400000),
    "growth-16": (["growth", "16", "4096"], 20000, 120000),
    "aligned": (["aligned"], 50000, 150000),
    "handle-pair": (["handle", "pair"], 20000, 120000),
    "handle-churn": (["handle", "churn"], 20000, 120000),
    "handle-pin": (["handle", "pin"], 20000, 120000),
    "handle-deref": (["handle", "deref"], 20000, 120000),
    "handle-plain": (["handle", "plain"], 20000, 120000),
}

# They use the library that they are linked with.
LINKED = ("handle",)


def count(build, library, program, amount):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
               os.path.join(build, "bench/bench_" + program[0]), *program[1:], str(amount)]
    preloaded = {"LD_PRELOAD": library} if library and program[0] not in LINKED else {}
    environment = dict(ENVIRONMENT, HM_BENCH_REPORT="/dev/null", **preloaded)
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    collected = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode or not collected:
        raise RuntimeError(f"{' '.join(command)}: exit status {result.returncode}\n{result.stderr}")
    return int(collected[1])


def count_case(build, library, name):
    program, few, many = CASES[name]
    return (count(build, library, program, many) - count(build, library, program, few)) / (many - few)


def count_all(build, library, names=tuple(CASES)):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(names, pool.map(lambda name: round(count_case(build, library, name), 1), names)))


def preload_library(build):
    return os.path.join(build, "preload/libhmalloc-preload.so")


def compiler():
    return subprocess.run([os.environ.get("CC") or "cc", "--version"], capture_output=True, text=True,
                          check=True).stdout.splitlines()[0]


def show(build, contenders):
    """A table of several allocators; nothing is kept."""
    names = [name for name in CASES if CASES[name][0][0] not in LINKED]
    columns = [count_all(build, contender.library, names) for contender in contenders]
    print(f"{'':20}" + "".join(f"{contender.name:>12}" for contender in contenders))
    for name in names:
        print(f"{name:20}" + "".join(f"{column[name]:12.1f}" for column in columns))
    return 0


def update(build):
    figures = count_all(build, preload_library(build))
    with open(KEPT, "w", encoding="utf-8") as file:
        json.dump({"counted": COUNTED, "machine": platform.machine(), "compiler": compiler(), "instructions": figures}, file,
                  indent=2)
        file.write("\n")
    for name, value in figures.items():
        print(f"{name:20} {value:8.1f}")
    return 0


def check(build):
    """Fails where an operation takes more than TOLERANCE more than what is kept. The last line adds up."""
    with open(KEPT, encoding="utf-8") as file:
        kept = json.load(file)
    if kept["machine"] != platform.machine():
        print(f"skipped: the figures are for {kept['machine']}")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    if kept["compiler"] != compiler():
        print(f"note: the figures are from {kept['compiler']}, this is {compiler()}")
    figures, passed, failed = count_all(build, preload_library(build)), 0, 0
    for name in sorted(kept["instructions"].keys() | figures.keys()):
        before, now = kept["instructions"].get(name), figures.get(name)
        good = before is not None and now is not None and now <= before * (1 + TOLERANCE)
        passed, failed = passed + good, failed + (not good)
        print(f"{'ok    ' if good else 'FAILED'} {name:20} {now} instructions, kept: {before}")
        if good and now < before * (1 - TOLERANCE):
            print(f"       {name} has become cheaper: scripts/bench --instructions keeps the new figure")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
