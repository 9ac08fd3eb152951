/* refill: does memory freed by small blocks serve larger ones, and does it go back?
 *
 * Allocates 1.5 million blocks of 16 to 255 bytes, frees a random 90 %, and fills every third freed place
 * with a block of 300 to 600. Then frees everything, and for two seconds only does a small operation now and
 * then. */
#include "figures/figures.h"

enum { PLACES = 1500000, LIGHT_OPERATIONS = 5 };

static unsigned char **places;
static uint16_t *sizes;
static uint64_t seed = 1;

static void fill(void)
{
    for (size_t i = 0; i < PLACES; i++) {
        sizes[i] = (uint16_t)(16 + figures_random(&seed) % 240);
        places[i] = figures_block(sizes[i]);
    }
}

static void free_most(void)
{
    for (size_t i = 0; i < PLACES; i++) {
        if (figures_random(&seed) % 10 == 0)
            continue;
        free(places[i]);
        places[i] = NULL;
        sizes[i] = 0;
    }
}

static void refill(void)
{
    size_t freed = 0;
    for (size_t i = 0; i < PLACES; i++) {
        if (places[i] != NULL || freed++ % 3 != 0)
            continue;
        sizes[i] = (uint16_t)(300 + figures_random(&seed) % 301);
        places[i] = figures_block(sizes[i]);
    }
}

static size_t live_bytes(void)
{
    size_t live = 0;
    for (size_t i = 0; i < PLACES; i++)
        live += sizes[i];
    return live;
}

int main(void)
{
    places = figures_table(PLACES * sizeof *places);
    sizes = figures_table(PLACES * sizeof *sizes);
    setvbuf(stdout, NULL, _IONBF, 0);
    size_t start = figures_rollup("Rss:");
    fill();
    printf("filled_rss %zu\n", figures_rollup("Rss:") - start);
    free_most();
    refill();
    printf("live %zu\nrefilled_rss %zu\n", live_bytes(), figures_rollup("Rss:") - start);
    for (size_t i = 0; i < PLACES; i++)
        free(places[i]);
    for (int i = 0; i < LIGHT_OPERATIONS; i++) {
        figures_sleep_ms(2000 / LIGHT_OPERATIONS);
        free(figures_block(100));
    }
    printf("freed_rss %zu\n", figures_over(start, figures_rollup("Rss:")));
    return 0;
}
