#include "kvstore/latency.h"

#include <time.h>

#include "support/bench.h"

uint64_t latency_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Below 2 * LATENCY_STEPS each number has a bin; above, each octave has LATENCY_STEPS. */
static unsigned bin_of(uint64_t value)
{
    unsigned shift = 0;
    while (value >> shift >= 2 * LATENCY_STEPS)
        shift++;
    unsigned bin = shift * LATENCY_STEPS + (unsigned)(value >> shift);
    return bin < LATENCY_BINS ? bin : LATENCY_BINS - 1;
}

static uint64_t end_of_bin(unsigned bin)
{
    unsigned shift = bin < 2 * LATENCY_STEPS ? 0 : bin / LATENCY_STEPS - 1;
    return (uint64_t)(bin - shift * LATENCY_STEPS + 1) << shift;
}

void latency_note(struct latency *latency, uint64_t nanoseconds)
{
    latency->count[bin_of(nanoseconds)]++;
    latency->total++;
    if (nanoseconds > latency->longest)
        latency->longest = nanoseconds;
}

void latency_join(struct latency *sum, const struct latency *part)
{
    for (unsigned bin = 0; bin < LATENCY_BINS; bin++)
        sum->count[bin] += part->count[bin];
    sum->total += part->total;
    if (part->longest > sum->longest)
        sum->longest = part->longest;
}

static double percentile(const struct latency *latency, double share)
{
    uint64_t wanted = (uint64_t)((double)latency->total * share);
    uint64_t seen = 0;
    unsigned bin = 0;
    while (bin < LATENCY_BINS - 1 && (seen += latency->count[bin]) <= wanted)
        bin++;
    return (double)end_of_bin(bin) / 1e3;
}

void latency_report(const struct latency *latency)
{
    bench_report("p50_us", percentile(latency, 0.5));
    bench_report("p99_us", percentile(latency, 0.99));
    bench_report("p999_us", percentile(latency, 0.999));
    bench_report("max_us", (double)latency->longest / 1e3);
}
