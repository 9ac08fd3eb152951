/* churn LIVE COUNT: keeps LIVE blocks of 16 to 512 bytes; COUNT times, frees one at random and allocates
 * another of a random size in its place.
 *
 * The steady state of a long-running program, reduced to the allocator's part: every free goes to a block that
 * was allocated long ago, so caches of the processor and order in memory matter. Places and sizes come from a
 * table made beforehand, so that making random numbers isn't measured. */
#include "support/bench.h"

enum { STEPS = 1 << 20, LEAST = 16, MOST = 512 };

struct step {
    uint32_t place, size;
};

static struct step *make_steps(size_t live)
{
    uint64_t seed = 1;
    struct step *steps = bench_table(STEPS * sizeof *steps);
    for (size_t i = 0; i < STEPS; i++) {
        steps[i].place = (uint32_t)bench_below(&seed, live);
        steps[i].size = (uint32_t)bench_size(&seed, LEAST, MOST);
    }
    return steps;
}

int main(int argc, char **argv)
{
    const size_t live = bench_number(argc, argv, 1), count = bench_number(argc, argv, 2);
    const struct step *steps = make_steps(live);
    char **blocks = bench_table(live * sizeof *blocks);
    bench_start();
    for (size_t i = 0; i < live; i++)
        blocks[i] = bench_block(steps[i % STEPS].size);
    for (size_t i = 0; i < count; i++) {
        const struct step *step = &steps[i % STEPS];
        free(blocks[step->place]);
        char *block = malloc(step->size);
        *block = 1;
        blocks[step->place] = block;
    }
    bench_stop();
    for (size_t i = 0; i < live; i++)
        free(blocks[i]);
    bench_settle(0);
    return 0;
}
