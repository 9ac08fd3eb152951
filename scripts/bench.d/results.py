"""The runs of a session, as they are written to results.json, and the figures taken from them."""
import datetime
import json
import os
import platform

import numpy

MIB = 1024


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith(("model name", "Model"))]
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1])
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as file:
            huge_pages = file.read().strip()
    except OSError:
        huge_pages = "unknown"
    return {"processor": models[0] if models else platform.machine(), "processors": os.cpu_count(),
            "memory_mib": memory // MIB, "kernel": platform.release(), "page_size": os.sysconf("SC_PAGE_SIZE"),
            "transparent_huge_pages": huge_pages, "load_before": os.getloadavg()[0]}


class Results:
    """values(): rounds where a contender failed are missing from all of its figures for that bench."""

    def __init__(self, options, benches, contenders):
        self.benches, self.contenders = benches, [contender.name for contender in contenders]
        self.reference = self.contenders[0]
        self.runs, self.failures = [], []
        self.head = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "machine": machine(),
                     "options": options, "contenders": [contender.describe() for contender in contenders]}

    def add(self, round_number, bench, contender, figures):
        self.runs.append({"round": round_number, "bench": bench.name, "contender": contender.name, **figures})

    def add_failure(self, bench, contender, reason):
        self.failures.append({"bench": bench.name, "contender": contender.name, "reason": reason})

    def failed(self, bench, name):
        return any(failure["bench"] == bench.name and failure["contender"] == name for failure in self.failures)

    def values(self, bench, metric):
        """Contender -> one value a round, of those that finished this bench every time."""
        found = {}
        for name in self.contenders:
            values = [value_of(run, metric) for run in self.runs if run["bench"] == bench.name and run["contender"] == name]
            values = [value for value in values if value is not None]
            if values and not self.failed(bench, name):
                found[name] = numpy.array(values)
        return found

    def pairs(self, groups, metric, name):
        """(its values, the reference's) for each bench of the groups that counts for this metric."""
        pairs, counts = [], "time" if metric == "cpu" else metric
        for bench in self.benches:
            if bench.group in groups and counts in bench.metrics:
                values = self.values(bench, metric)
                if name in values and self.reference in values:
                    pairs.append((values[name], values[self.reference]))
        return pairs

    def disturbance(self):
        """Shares of one processor that other processes used, and that the host took, while benches ran: median of the runs."""
        return tuple(float(numpy.median([run[key] for run in self.runs])) for key in ("others", "stolen"))

    def write(self, path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**self.head, "failures": self.failures, "runs": self.runs}, file, indent=1)


def value_of(run, metric):
    """One figure of a run: time in s, cpu in s, peak and after in MiB, live in MiB, faults; None where it has none."""
    if metric == "after":
        return max(run["rss_after_kib"] - run["rss_start_kib"], 0) / MIB if "rss_after_kib" in run else None
    key, unit = {"time": ("seconds", 1), "cpu": ("cpu", 1), "peak": ("peak_kib", MIB), "live": ("live_kib", MIB),
                 "faults": ("minor_faults", 1), "private dirty": ("private_dirty_kib", MIB)}[metric]
    return run[key] / unit if key in run else None
