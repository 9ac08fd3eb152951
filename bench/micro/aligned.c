/* aligned COUNT: keeps 1,000 blocks aligned to 32 bytes up to a page, and replaces one at random, COUNT times.
 *
 * Vector code, buffers for direct I/O and C++ types with alignas ask for alignment. It must neither waste what it
 * skips nor leave the fast path altogether. */
#include "support/bench.h"

enum { LIVE = 1000, STEPS = 1 << 16 };

struct step {
    uint32_t place, alignment, size;
};

static struct step *make_steps(void)
{
    uint64_t seed = 1;
    struct step *steps = bench_table(STEPS * sizeof *steps);
    for (size_t i = 0; i < STEPS; i++) {
        steps[i].place = (uint32_t)bench_below(&seed, LIVE);
        /* 32 half of the time, 64 a quarter of it, and so on to 4096. */
        steps[i].alignment = 32;
        while (steps[i].alignment < 4096 && bench_below(&seed, 2) != 0)
            steps[i].alignment *= 2;
        steps[i].size = (uint32_t)bench_size(&seed, 16, 4096);
    }
    return steps;
}

int main(int argc, char **argv)
{
    const size_t count = bench_number(argc, argv, 1);
    const struct step *steps = make_steps();
    static void *blocks[LIVE];
    bench_start();
    for (size_t i = 0; i < count; i++) {
        const struct step *step = &steps[i % STEPS];
        void *block;
        free(blocks[step->place]);
        if (posix_memalign(&block, step->alignment, step->size) != 0)
            bench_fail("posix_memalign");
        *(char *)block = 1;
        blocks[step->place] = block;
    }
    bench_stop();
    return 0;
}
