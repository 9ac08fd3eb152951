"""What can be said from repeated runs: medians, ratios with intervals, verdicts.

Figures are {contender: array of one value a round}. Within a round all contenders ran one after the other, so ratios are taken
of values of the same rounds. The interval of a ratio is
  - from WIDE_ROUNDS rounds on, the 95 % bootstrap interval of the ratio of medians, rounds resampled;
  - with fewer, where the bootstrap says too little, the range of the rounds' own ratios. It holds the median of the ratios with
    75 % at three rounds, 94 % at five.
"""
import numpy

WIDE_ROUNDS = 6
RESAMPLES = 2000
SAME = 0.01


def resampled_rounds(rounds, seed):
    return numpy.random.default_rng(seed).integers(0, rounds, (RESAMPLES, rounds))


def interval_of(samples):
    low, high = numpy.percentile(samples, [2.5, 97.5])
    return float(low), float(high)


def ratio(values, reference):
    """Ratio of medians, and its interval (None with a single round)."""
    point = float(numpy.median(values) / numpy.median(reference))
    rounds = len(values)
    if rounds < 2:
        return point, None
    if rounds < WIDE_ROUNDS:
        each = values / reference
        return point, (float(min(each.min(), point)), float(max(each.max(), point)))
    chosen = resampled_rounds(rounds, 1)
    return point, interval_of(numpy.median(values[chosen], axis=1) / numpy.median(reference[chosen], axis=1))


def geometric_mean(pairs):
    """Geometric mean of the ratios of (values, reference) pairs, one a bench, and its interval."""
    points = [ratio(*pair)[0] for pair in pairs]
    mean = float(numpy.exp(numpy.mean(numpy.log(points))))
    rounds = min(len(values) for values, _ in pairs)
    if rounds < 2:
        return mean, None
    if rounds < WIDE_ROUNDS:
        each = numpy.exp(numpy.mean([numpy.log(values[:rounds] / reference[:rounds]) for values, reference in pairs], axis=0))
        return mean, (float(min(each.min(), mean)), float(max(each.max(), mean)))
    logs = numpy.zeros(RESAMPLES)
    for seed, (values, reference) in enumerate(pairs):
        chosen = resampled_rounds(len(values), seed)
        logs += numpy.log(numpy.median(values[chosen], axis=1) / numpy.median(reference[chosen], axis=1))
    return mean, interval_of(numpy.exp(logs / len(pairs)))


def verdict(interval, less, more):
    """Less or more than the reference, or that it can't be told."""
    if interval is None:
        return "one round tells nothing"
    low, high = interval
    if 1 - SAME < low and high < 1 + SAME:
        return "the same within 1 %"
    if low <= 1 <= high:
        return "too noisy to tell"
    return less if high < 1 else more


def best(figures):
    """The contender with the lowest figures, if its distance from every other is beyond the noise; else all that may be."""
    order = sorted(figures, key=lambda name: numpy.median(figures[name]))
    first = order[0]
    near = [first]
    for other in order[1:]:
        if not numpy.median(figures[first]) > 0:
            if not numpy.median(figures[other]) > 0:
                near.append(other)
            continue
        _, interval = ratio(figures[other], figures[first])
        if interval is None or interval[0] <= 1 + SAME:
            near.append(other)
    return near
