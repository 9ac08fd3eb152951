/* What the measuring programs share: memory as the kernel counts it, time, repeatable random numbers. */
#ifndef HM_TESTS_FIGURES_H
#define HM_TESTS_FIGURES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* A line of /proc/self/smaps_rollup, in bytes. Reads without stdio, whose buffer would be a block of its own.
 */
size_t figures_rollup(const char *key);

/* What is resident of the mappings of a file, named by a part of its path, in bytes; 0: it isn't mapped. */
size_t figures_resident(const char *file);

static inline double figures_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline void figures_sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static inline uint32_t figures_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* A touched array that no allocator sees, for the program's own bookkeeping. */
static inline void *figures_table(size_t bytes)
{
    void *table =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (table == MAP_FAILED)
        exit(2);
    return table;
}

/* A block whose every byte was written, as a program's would be. */
static inline void *figures_block(size_t size)
{
    void *block = malloc(size);
    if (block == NULL)
        exit(2);
    return memset(block, 0x5a, size);
}

/* Bytes of growth since `start`, 0 when memory has shrunk. */
static inline size_t figures_over(size_t start, size_t now)
{
    return now > start ? now - start : 0;
}

#endif
