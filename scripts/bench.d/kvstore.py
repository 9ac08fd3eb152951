"""bench/kvstore: the same store on every allocator, on handles and on slots, and a report of memory, throughput and latency."""
import numpy

import catalog
import estimate
from report import describe, failures, table
from runner import Runner

PEERS = ("jemalloc", "mimalloc", "tcmalloc")
QUICK = {"runs": 2, "settle_ms": 500, "settle_rounds": 2, "seconds": None}
FULL = {"runs": 5, "settle_ms": 2000, "settle_rounds": 5, "seconds": None}
PERCENT = {"full": "100", "quick": "10", "smoke": "1"}
TRACES = {"shift": "LRU at 100 MB, values of 240 bytes, then of 492", "delete": "1 GiB, of which 80 % at random are deleted",
          "mixed": "reads and updates in two threads", "expiry": "times to live"}


class Trace:
    """As catalog.Bench."""
    group, metrics = "kvstore", ("time", "peak", "after")

    def __init__(self, name):
        self.name = name


class Keeper(catalog.Contender):
    """An allocator for the store, or its own movable heap."""

    def __init__(self, name, library, package="", backend="malloc"):
        super().__init__(name, library, package)
        self.backend = backend

    def describe(self):
        return super().describe() if self.backend == "malloc" else {"name": self.name, "version": "movable heap, compacted"}


class StoreRunner(Runner):
    def _command(self, bench, contender, usage):
        preload = ["--preload", contender.library] if contender.library else []
        return [self.measure, *preload, usage, f"{self.build}/bench/bench_kvstore", contender.backend, bench.name,
                PERCENT[self.length]]


def keepers(library, words):
    """The first is the reference."""
    found = [Keeper("glibc", "")]
    for word in words:
        peer = catalog.find_contender(word)
        found.append(Keeper(peer.name, peer.library, peer.package))
    return found + [Keeper("hmalloc", library), Keeper("handles", "", backend="handles"), Keeper("slots", "", backend="slots")]


def value(run, key):
    if key == "resident":
        return (run["rss_after_kib"] - run["rss_start_kib"]) / 1024
    if key == "at once":
        return (run["rss_stop_kib"] - run["rss_start_kib"]) / 1024
    if key == "millions":
        return run["operations_per_second"] / 1e6
    return {"live": run["live_bytes"] / 2**20, "peak": run["peak_kib"] / 1024}.get(key, run.get(key))


def values(results, trace, name, key):
    """One a round."""
    runs = [run for run in results.runs if run["bench"] == trace.name and run["contender"] == name]
    return numpy.array([value(run, key) for run in runs if value(run, key) is not None])


def disagreements(results):
    """Where contenders didn't end with the same entries: (trace, what they said)."""
    for trace in results.benches:
        said = {(run["entries"], run["live_bytes"], run["checksum"]) for run in results.runs if run["bench"] == trace.name}
        if len(said) > 1:
            yield trace.name, sorted(said)


def medians(results, key, form):
    rows = []
    for trace in results.benches:
        cells = [values(results, trace, name, key) for name in results.contenders]
        rows.append([trace.name] + [form(trace, numpy.median(cell)) if len(cell) else "" for cell in cells])
    return table(["trace", *results.contenders], rows)


def memory(results):
    def form(trace, resident):
        return f"{resident:.0f} ({resident / live[trace.name]:.2f})"

    live = {trace.name: numpy.median(numpy.concatenate([values(results, trace, name, "live") for name in results.contenders]))
            for trace in results.benches}
    lines = ["### Memory: resident, MiB, and over what is live", "",
             "Live are the bytes of keys and values: " + ", ".join(f"{name} {size:.1f}" for name, size in live.items()) + " MiB.", ""]
    return (lines + medians(results, "resident", form) + ["The same at once, not some time later:", ""] +
            medians(results, "at once", form) + ["Peak, MiB:", ""] + medians(results, "peak", lambda trace, peak: f"{peak:.0f}"))


def ratios(results, key, title, unit):
    rows = []
    for trace in results.benches:
        reference, row = values(results, trace, results.reference, key), [trace.name]
        for name in results.contenders:
            found = values(results, trace, name, key)
            if len(found) == 0:
                row.append("")
            elif name == results.reference or len(found) != len(reference):
                row.append(f"{numpy.median(found):,.2f}")
            else:
                point, interval = estimate.ratio(found, reference)
                row.append(f"{point:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""))
        rows.append(row)
    return [f"### {title}", ""] + table(["trace", f"{results.reference}, {unit}", *results.contenders[1:]], rows)


def latency(results):
    keys = ("p50_us", "p99_us", "p999_us", "max_us")
    rows = []
    for trace in results.benches:
        for name in results.contenders:
            found = [values(results, trace, name, key) for key in keys]
            if len(found[0]):
                rows.append([name] + [f"{numpy.median(figures):,.1f}" for figures in found])
    return ["### Latency of one operation of `mixed`, µs", ""] + table(["allocator", "p50", "p99", "p99.9", "longest"], rows) if rows else []


def compaction(results):
    rows = []
    for trace in results.benches:
        for name in results.contenders:
            found = [values(results, trace, name, key) for key in ("moved_kib", "released_kib", "metadata_kib", "longest_step_us")]
            if len(found[0]):
                moved, released, metadata, step = (numpy.median(figures) for figures in found)
                rows.append([trace.name, name, f"{moved / 1024:.1f}", f"{released / 1024:.1f}", f"{metadata / 1024:.1f}", f"{step:,.0f}"])
    return ["### Compaction", ""] + table(["trace", "kind", "moved, MiB", "given back, MiB", "metadata, MiB", "longest step, µs"],
                                          rows) if rows else []


def markdown(results):
    lines = ["# One store on several allocators", "", *describe(results), *failures(results)]
    lines += [f"- **{name}: not the same entries at the end**: {said}" for name, said in disagreements(results)]
    lines += [f"- {trace.name}: {TRACES[trace.name]}" for trace in results.benches] + [""]
    if not results.runs:
        return "\n".join(lines)
    lines += memory(results)
    lines += ratios(results, "millions", "Throughput, more is better", "millions of operations a second")
    lines += ratios(results, "cpu", "Processor time of all threads, less is better", "s")
    return "\n".join(lines + latency(results) + compaction(results))
