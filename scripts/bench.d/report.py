"""Results as Markdown."""
import numpy

import estimate

SUMMARY = [("workloads + programs", ("workloads", "programs")), ("micro", ("micro",)), ("workloads", ("workloads",)),
           ("programs", ("programs",))]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def ratio_text(point, interval):
    return f"{point:.3f}" if interval is None else f"{point:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def summary(results):
    """Geometric means of each group, with what can be said about each contender against the reference."""
    lines = []
    for metric, title, less, more in (("time", "Wall time", "faster", "slower"), ("cpu", "Processor time", "less", "more"),
                                      ("peak", "Peak memory", "less", "more")):
        rows = []
        for label, groups in SUMMARY:
            for name in results.contenders[1:]:
                pairs = results.pairs(groups, metric, name)
                if pairs:
                    mean, interval = estimate.geometric_mean(pairs)
                    rows.append([label, name, str(len(pairs)), ratio_text(mean, interval),
                                 estimate.verdict(interval, less, more)])
        if rows:
            lines += [f"### {title}: ratio to {results.reference}, geometric means", ""]
            lines += table(["group", "allocator", "benches", "ratio (interval)", "verdict"], rows)
    return lines


def cell(results, values, name):
    """The reference's median, the others' ratios to it."""
    if name not in values:
        return "failed"
    if name == results.reference or results.reference not in values:
        return number(numpy.median(values[name]))
    point, interval = estimate.ratio(values[name], values[results.reference])
    return f"{point:.3f}" + ("" if interval and not interval[0] <= 1 <= interval[1] else " ?")


def best_text(values):
    near = estimate.best(values)
    if len(near) == len(values) > 1:
        return "too noisy to tell"
    return near[0] if len(near) == 1 else "too noisy to tell: " + ", ".join(near)


def by_bench(results, metric, title, unit):
    """One row a bench."""
    rows = []
    for bench in results.benches:
        values = results.values(bench, metric)
        if metric in bench.metrics and values:
            rows.append([bench.name] + [cell(results, values, name) for name in results.contenders] + [best_text(values)])
    if not rows:
        return []
    head = ["bench", f"{results.reference}, {unit}"] + results.contenders[1:] + ["lowest"]
    return [f"### {title}", ""] + table(head, rows)


def plain(results, metric, title, extra=()):
    """Medians as they are."""
    rows = []
    for bench in results.benches:
        values = results.values(bench, metric)
        if values:
            row = [bench.name] + [number(numpy.median(values[name])) if name in values else "" for name in results.contenders]
            for other in extra:
                others = results.values(bench, other)
                row.append(number(min(numpy.median(value) for value in others.values())) if others else "")
            rows.append(row)
    return [f"### {title}", ""] + table(["bench"] + results.contenders + list(extra), rows) if rows else []


def describe(results):
    head = results.head
    machine = head["machine"]
    rounds = max((run["round"] + 1 for run in results.runs), default=0)
    lines = [
        f"{head['date']}, {machine['processors']} × {machine['processor']}, {machine['memory_mib']:,} MiB, "
        f"Linux {machine['kernel']}, transparent huge pages {machine['transparent_huge_pages']}.",
        f"{rounds} rounds, {head['options']['length']} amounts; memory after the work is taken {head['options']['settle_ms']} ms "
        f"after it, over that at the start, in {head['options']['settle_rounds']} of the rounds.",
        "", "Contenders: " + "; ".join(f"{c['name']} ({c['version']})" if c["version"] else f"{c['name']} ({c['library']})"
                                     for c in head["contenders"]) + ".", ""]
    return lines + disturbance(results)


def disturbance(results):
    if not results.runs:
        return ["**No run was finished.**", ""]
    others, stolen = results.disturbance()
    lines = [f"While a bench ran, other processes used {others:.0%} of one processor and the host took {stolen:.0%} (medians).", ""]
    return lines + (["**The machine was not idle: take none of this for a result.**", ""] if others > 0.1 else [])


def failures(results):
    if not results.failures:
        return []
    lines = ["### Failed", ""]
    for failure in results.failures:
        reason = " / ".join(failure["reason"].splitlines()[:3])
        lines.append(f"- {failure['bench']} on {failure['contender']}: {reason}")
    return lines + [""]


def markdown(results):
    reference = results.reference
    lines = ["# Allocators compared", "", *describe(results), *failures(results), *summary(results)]
    legend = (f"Medians: {reference}'s as they are, the others' as ratios to it, smaller is better; a question mark where the "
              "interval of a ratio holds 1: too noisy to tell.")
    lines += [legend, ""]
    lines += by_bench(results, "time", "Wall time", "s")
    lines += by_bench(results, "peak", "Peak memory", "MiB")
    lines += plain(results, "after", "Memory after the work, MiB over that at its start, beside what is live", ("live",))
    lines += plain(results, "private dirty", "Private dirty memory, MiB")
    lines += plain(results, "cpu", "Processor time, s")
    lines += plain(results, "peak", "Peak memory, MiB")
    lines += plain(results, "faults", "Minor page faults")
    return "\n".join(lines)
