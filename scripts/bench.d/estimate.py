"""What can be said from repeated runs: medians, ratios with intervals, verdicts.

Figures are arrays of one value a round. Within a round all contenders ran one after the other, so ratios are taken of values of
the same rounds. All intervals are meant to hold the true ratio with 95 %:
  - from MANY_ROUNDS rounds on, the bootstrap's, of the ratio of medians, rounds resampled;
  - with fewer, where resampling says too little, Student's, of the mean of the rounds' logarithmic ratios. With three rounds it
    is wide, as it should be.
"""
import numpy

MANY_ROUNDS = 6
STUDENT = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776}  # 97.5 % quantile, by the number of rounds
RESAMPLES = 2000
SAME = 0.01


def resampled_rounds(rounds, seed):
    return numpy.random.default_rng(seed).integers(0, rounds, (RESAMPLES, rounds))


def interval_of(samples):
    low, high = numpy.percentile(samples, [2.5, 97.5])
    return float(low), float(high)


def student_interval(logs, point):
    """Of the mean of a few logarithmic ratios; it is made to hold the point."""
    rounds = len(logs)
    reach = STUDENT[rounds] * logs.std(ddof=1) / rounds**0.5
    low, high = numpy.exp(logs.mean() - reach), numpy.exp(logs.mean() + reach)
    return float(min(low, point)), float(max(high, point))


def ratio(values, reference):
    """Ratio of medians, and its interval (None with a single round)."""
    point = float(numpy.median(values) / numpy.median(reference))
    rounds = len(values)
    if rounds < 2:
        return point, None
    if rounds < MANY_ROUNDS:
        return point, student_interval(numpy.log(values / reference), point)
    chosen = resampled_rounds(rounds, 1)
    return point, interval_of(numpy.median(values[chosen], axis=1) / numpy.median(reference[chosen], axis=1))


def geometric_mean(pairs):
    """Geometric mean of the ratios of (values, reference) pairs, one a bench, and its interval."""
    mean = float(numpy.exp(numpy.mean([numpy.log(ratio(*pair)[0]) for pair in pairs])))
    rounds = min(len(values) for values, _ in pairs)
    if rounds < 2:
        return mean, None
    if rounds < MANY_ROUNDS:
        logs = numpy.mean([numpy.log(values[:rounds] / reference[:rounds]) for values, reference in pairs], axis=0)
        return mean, student_interval(logs, mean)
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
    """The contender with the lowest median, if its distance from each other is beyond the noise; else all that may be it."""
    first = min(figures, key=lambda name: numpy.median(figures[name]))
    near = [first]
    for name in sorted(figures.keys() - {first}, key=lambda name: numpy.median(figures[name])):
        _, interval = ratio(figures[name], figures[first])
        if interval is None or interval[0] <= 1:
            near.append(name)
    return near
