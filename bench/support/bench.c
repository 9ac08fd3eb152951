#define _GNU_SOURCE
#include "support/bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { SETTLE_STEPS = 10, SETTLE_BLOCKS = 64 };

static struct {
    double wall;
    struct rusage usage;
    size_t rss_kib;
} start;

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds_between(struct timeval from, struct timeval to)
{
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_usec - from.tv_usec) / 1e6;
}

_Noreturn void bench_fail(const char *what)
{
    perror(what);
    _exit(2);
}

size_t bench_number(int argc, char **argv, int index)
{
    char *end = NULL;
    size_t number = index < argc ? strtoul(argv[index], &end, 10) : 0;
    if (end == NULL || end == argv[index] || *end != '\0') {
        fprintf(stderr, "%s: argument %d must be a number; see the top of its source\n", argv[0], index);
        exit(2);
    }
    return number;
}

void bench_report(const char *key, double value)
{
    char line[100];
    int length = snprintf(line, sizeof line, "%s %.6f\n", key, value);
    const char *path = getenv("HM_BENCH_REPORT");
    int file = path == NULL ? 1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0 || write(file, line, (size_t)length) != length)
        bench_fail("HM_BENCH_REPORT");
    if (file != 1)
        close(file);
}

size_t bench_rollup(const char *key)
{
    char text[4096];
    size_t used = 0;
    ssize_t got;
    int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        bench_fail("/proc/self/smaps_rollup");
    while (used < sizeof text - 1 && (got = read(file, text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)got;
    close(file);
    text[used] = '\0';
    const char *line = strstr(text, key);
    if (line == NULL)
        bench_fail(key);
    return strtoul(line + strlen(key), NULL, 10);
}

void *bench_table(size_t bytes)
{
    void *table =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (table == MAP_FAILED)
        bench_fail("mmap");
    return table;
}

uint32_t *bench_shuffled(size_t count, uint64_t *seed)
{
    uint32_t *order = bench_table(count * sizeof *order);
    for (size_t i = 0; i < count; i++) {
        size_t other = bench_below(seed, i + 1);
        order[i] = order[other];
        order[other] = (uint32_t)i;
    }
    return order;
}

void bench_start(void)
{
    start.rss_kib = bench_rollup("\nRss:");
    getrusage(RUSAGE_SELF, &start.usage);
    start.wall = seconds_now();
}

void bench_stop(void)
{
    double wall = seconds_now() - start.wall;
    struct rusage now;
    getrusage(RUSAGE_SELF, &now);
    bench_report("seconds", wall);
    bench_report("user", seconds_between(start.usage.ru_utime, now.ru_utime));
    bench_report("system", seconds_between(start.usage.ru_stime, now.ru_stime));
    bench_report("minor_faults", (double)(now.ru_minflt - start.usage.ru_minflt));
}

static void allocate_a_little(uint64_t *seed)
{
    void *blocks[SETTLE_BLOCKS];
    for (size_t i = 0; i < SETTLE_BLOCKS; i++)
        blocks[i] = bench_block(bench_size(seed, 16, 2000));
    for (size_t i = 0; i < SETTLE_BLOCKS; i++)
        free(blocks[i]);
}

void bench_settle(size_t live)
{
    const char *text = getenv("HM_BENCH_SETTLE_MS");
    long step = text == NULL ? 0 : strtol(text, NULL, 10) * 1000000 / SETTLE_STEPS;
    if (step == 0)
        return;
    uint64_t seed = 99;
    struct timespec pause = {step / 1000000000, step % 1000000000};
    for (int i = 0; i < SETTLE_STEPS; i++) {
        nanosleep(&pause, NULL);
        allocate_a_little(&seed);
    }
    bench_report("rss_start_kib", (double)start.rss_kib);
    bench_report("rss_after_kib", (double)bench_rollup("\nRss:"));
    bench_report("live_kib", (double)live / 1024);
}
