"""Speed against memory as SVG: one point an allocator, the nearer to the lower left the better."""
import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "hmalloc"  # the same results make the same file
from matplotlib import pyplot  # noqa: E402  (the backend must be chosen first)

import estimate  # noqa: E402

COLOURS = ["#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f"]
BOTH = ("workloads", "programs")


def distances(point, interval):
    return [[point - interval[0]], [interval[1] - point]] if interval else None


def draw_points(axes, results, groups):
    axes.axhline(1, color="#cccccc", zorder=0)
    axes.axvline(1, color="#cccccc", zorder=0)
    axes.plot(1, 1, "o", color="black")
    axes.annotate(results.reference, (1, 1), xytext=(6, 6), textcoords="offset points")
    for colour, name in zip(COLOURS, results.contenders[1:]):
        peaks, times = (results.pairs(groups, metric, name) for metric in ("peak", "time"))
        if not peaks or not times:
            continue
        (peak, peak_interval), (time, time_interval) = estimate.geometric_mean(peaks), estimate.geometric_mean(times)
        axes.errorbar(peak, time, xerr=distances(peak, peak_interval), yerr=distances(time, time_interval), fmt="o",
                      color=colour, capsize=2)
        axes.annotate(name, (peak, time), xytext=(6, 6), textcoords="offset points", color=colour)
    axes.margins(0.15)
    axes.set_xlabel(f"peak memory, ratio to {results.reference}")
    axes.set_ylabel(f"wall time, ratio to {results.reference}")
    axes.set_title(" and ".join(groups) + ", geometric means")


def speed_and_memory(results, path):
    figure, axes = pyplot.subplots(figsize=(7, 5))
    draw_points(axes, results, BOTH)
    save(figure, path)


def by_group(results, path):
    """The same for each group, and the micro set's times, whose memory says nothing, as bars."""
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(16, 5))
    draw_points(left, results, ("workloads",))
    draw_points(middle, results, ("programs",))
    for place, name in enumerate(results.contenders[1:]):
        pairs = results.pairs(("micro",), "time", name)
        if pairs:
            mean, interval = estimate.geometric_mean(pairs)
            right.barh(place, mean, xerr=distances(mean, interval), color=COLOURS[place % len(COLOURS)], capsize=2)
    right.set_yticks(range(len(results.contenders) - 1), results.contenders[1:])
    right.axvline(1, color="#cccccc", zorder=0)
    right.set_xlabel(f"wall time, ratio to {results.reference}")
    right.set_title("micro, geometric mean")
    save(figure, path)


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
