/* leaky EPOCHS: a long-running program in EPOCHS. Each fills its live set to 64 MiB with blocks of that epoch's
 * sizes, then frees at random until 20 % of the bytes are left; one block in two hundred is forgotten for good.
 *
 * The classic cause of fragmentation: survivors lie scattered, and what comes next has other sizes. Memory after
 * the last epoch says how much of what was freed can't be given back, the peak how much of it can't be used. */
#include "support/bench.h"

enum { PLACES = 1 << 20, FULL = 64 << 20, FORGOTTEN = 200 };

static const struct {
    uint16_t least, most;
} epochs[] = {{16, 128}, {100, 700}, {32, 64}, {400, 3000}, {16, 400}};

static uint64_t seed = 1;
static unsigned char **places;
static uint16_t *sizes;
static size_t live, forgotten;

static void fill(size_t epoch)
{
    size_t kind = epoch % (sizeof epochs / sizeof *epochs);
    for (size_t i = 0; i < PLACES && live < FULL; i++) {
        if (places[i] != NULL)
            continue;
        size_t size = bench_size(&seed, epochs[kind].least, epochs[kind].most);
        places[i] = bench_filled(size);
        sizes[i] = (uint16_t)size;
        live += size;
    }
}

static void shrink(void)
{
    while (live > FULL / 5) {
        size_t i = bench_below(&seed, PLACES);
        if (places[i] == NULL)
            continue;
        live -= sizes[i];
        if (bench_below(&seed, FORGOTTEN) == 0)
            forgotten += sizes[i];
        else
            free(places[i]);
        places[i] = NULL;
    }
}

int main(int argc, char **argv)
{
    const size_t count = bench_number(argc, argv, 1);
    places = bench_table(PLACES * sizeof *places);
    sizes = bench_table(PLACES * sizeof *sizes);
    bench_start();
    for (size_t epoch = 0; epoch < count; epoch++) {
        fill(epoch);
        shrink();
    }
    bench_stop();
    bench_settle(live + forgotten);
    return 0;
}
