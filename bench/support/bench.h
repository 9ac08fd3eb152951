/* What the bench programs share. Each is `NAME OWN-ARGUMENTS... AMOUNT`, does a fixed amount of work with a
 * fixed seed, and reports lines of "key value" into the file that HM_BENCH_REPORT names (else to standard
 * output).
 *
 * A program prepares its tables, calls bench_start, works, calls bench_stop, and, if memory after its work is
 * of interest, bench_settle. Nothing in here allocates: the only blocks are the program's own. */
#ifndef HM_BENCH_SUPPORT_H
#define HM_BENCH_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The argument as a number; ends the program with a message when it is missing or isn't one. */
size_t bench_number(int argc, char **argv, int index);

/* Notes resident memory and starts the clock. */
void bench_start(void);

/* Reports wall time, processor time and page faults since bench_start. */
void bench_stop(void);

/* Reports resident memory, what it was at bench_start, and `live`, the bytes that the program still has in
 * blocks. Waits as long as HM_BENCH_SETTLE_MS says before, in ten steps with a few allocations after each, as a
 * program that waits for something to do makes; does nothing when that is unset. */
void bench_settle(size_t live);

void bench_report(const char *key, double value);

/* A line of /proc/self/smaps_rollup, in KiB. */
size_t bench_rollup(const char *key);

/* Touched zeroed memory that no allocator sees, for the program's own bookkeeping. */
void *bench_table(size_t bytes);

/* Ends the program: out of memory, or a thread that can't be started. */
_Noreturn void bench_fail(const char *what);

/* An order of 0 .. count - 1, in memory from bench_table. */
uint32_t *bench_shuffled(size_t count, uint64_t *seed);

static inline uint32_t bench_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Below the limit. */
static inline size_t bench_below(uint64_t *state, size_t limit)
{
    return (size_t)(((uint64_t)bench_random(state) * limit) >> 31);
}

/* Sizes as programs ask for them: small ones often, large ones seldom. */
static inline size_t bench_size(uint64_t *state, size_t least, size_t most)
{
    size_t a = bench_below(state, most - least + 1), b = bench_below(state, most - least + 1);
    return least + (a < b ? a : b);
}

/* A block whose first byte was written. */
static inline void *bench_block(size_t size)
{
    char *block = malloc(size);
    if (block == NULL)
        bench_fail("malloc");
    *block = 1;
    return block;
}

/* A block whose every byte was written. */
static inline void *bench_filled(size_t size)
{
    return memset(bench_block(size), 0x5a, size);
}

#endif
