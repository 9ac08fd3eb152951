/* consumer: one thread allocates 256 MiB in blocks of 300 bytes and sleeps; another, which never allocates,
 * frees them. Two seconds and one operation of any thread later, how much is still held? */
#include "figures/figures.h"

#include <pthread.h>

enum { BLOCK = 300, BLOCKS = (256 << 20) / BLOCK };

static void **blocks;
static pthread_barrier_t allocated, freed, measured;

static void *produce(void *argument)
{
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = figures_block(BLOCK);
    pthread_barrier_wait(&allocated);
    pthread_barrier_wait(&measured);
    return argument;
}

static void *consume(void *argument)
{
    pthread_barrier_wait(&allocated);
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    pthread_barrier_wait(&freed);
    pthread_barrier_wait(&measured);
    return argument;
}

static void *operate(void *argument)
{
    free(figures_block(100));
    return argument;
}

int main(void)
{
    pthread_t producer, consumer, other;
    blocks = figures_table(BLOCKS * sizeof *blocks);
    setvbuf(stdout, NULL, _IONBF, 0);
    pthread_barrier_init(&allocated, NULL, 3);
    pthread_barrier_init(&freed, NULL, 2);
    pthread_barrier_init(&measured, NULL, 3);
    size_t start = figures_rollup("Rss:");
    pthread_create(&producer, NULL, produce, NULL);
    pthread_create(&consumer, NULL, consume, NULL);
    pthread_barrier_wait(&allocated);
    size_t full = figures_rollup("Rss:");
    pthread_barrier_wait(&freed);
    figures_sleep_ms(2000);
    pthread_create(&other, NULL, operate, NULL);
    pthread_join(other, NULL);
    printf("allocated_rss %zu\nfreed_rss %zu\n", full - start, figures_over(start, figures_rollup("Rss:")));
    pthread_barrier_wait(&measured);
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    return 0;
}
