/* How long operations took: counts by nanoseconds, in steps of at most 1/16. */
#ifndef HM_BENCH_KVSTORE_LATENCY_H
#define HM_BENCH_KVSTORE_LATENCY_H

#include <stddef.h>
#include <stdint.h>

enum { LATENCY_STEPS = 16, LATENCY_BINS = 40 * LATENCY_STEPS };

struct latency {
    uint64_t count[LATENCY_BINS];
    uint64_t total, longest;
};

uint64_t latency_now(void);
void latency_note(struct latency *latency, uint64_t nanoseconds);
void latency_join(struct latency *sum, const struct latency *part);

/* Median, 99th and 99.9th percentile (each at most 1/16 too long), and the longest, in microseconds. */
void latency_report(const struct latency *latency);

#endif
