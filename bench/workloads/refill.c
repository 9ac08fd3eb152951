/* refill BLOCKS: allocates BLOCKS blocks of 16 to 255 bytes, frees a random 90 %, and fills every third freed place
 * with a block of 300 to 600 bytes; then frees everything.
 *
 * Does memory that small blocks left serve larger ones? Only where neighbours of different sizes are joined. Slabs
 * of one size can't, and show up here with nearly twice the peak. */
#include "support/bench.h"

static size_t count;
static unsigned char **places;
static uint64_t seed = 1;

static void fill(void)
{
    for (size_t i = 0; i < count; i++)
        places[i] = bench_filled(16 + bench_below(&seed, 240));
}

static void free_most(void)
{
    for (size_t i = 0; i < count; i++) {
        if (bench_below(&seed, 10) == 0)
            continue;
        free(places[i]);
        places[i] = NULL;
    }
}

static void fill_again(void)
{
    size_t freed = 0;
    for (size_t i = 0; i < count; i++)
        if (places[i] == NULL && freed++ % 3 == 0)
            places[i] = bench_filled(300 + bench_below(&seed, 301));
}

int main(int argc, char **argv)
{
    count = bench_number(argc, argv, 1);
    places = bench_table(count * sizeof *places);
    bench_start();
    fill();
    free_most();
    fill_again();
    for (size_t i = 0; i < count; i++)
        free(places[i]);
    bench_stop();
    bench_settle(0);
    return 0;
}
