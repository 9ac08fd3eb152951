/* mixed THREADS STEPS: each thread does STEPS steps of different kinds: strings that grow, lists built and torn
 * down, zeroed records, buffers, and blocks that live for 16, 256, 4,096 or 65,536 steps; one in ten of those is
 * freed by the next thread.
 *
 * No program does only one thing. Here the kinds compete for the same memory, in several threads at once. */
#include "support/threads.h"

enum { LIFETIMES = 4, SHORTEST = 16, NODES = 20 };

static size_t threads, steps;
static struct mailbox mailboxes[THREADS_MOST];
static void **tables[THREADS_MOST];

static void grow_string(uint64_t *seed)
{
    size_t end = bench_size(seed, 32, 2000), size = 16;
    char *text = bench_block(size);
    while (size < end) {
        size *= 2;
        text = realloc(text, size);
        if (text == NULL)
            bench_fail("realloc");
        text[size - 1] = 1;
    }
    free(text);
}

static void build_list(uint64_t *seed)
{
    void **first = NULL;
    size_t size = bench_size(seed, 16, 100);
    for (int i = 0; i < NODES; i++) {
        void **node = bench_block(size);
        *node = first;
        first = node;
    }
    while (first != NULL) {
        void **next = *first;
        free(first);
        first = next;
    }
}

static void use_record(uint64_t *seed)
{
    char *record = calloc(1, bench_size(seed, 32, 1000));
    char *buffer = bench_block(bench_size(seed, 1000, 40000));
    if (record == NULL || *record != 0)
        bench_fail("calloc");
    free(buffer);
    free(record);
}

/* The table is four rings, one for each lifetime: a block is replaced when its ring has come round. */
static void replace(void **table, struct mailbox *other, size_t step, uint64_t *seed)
{
    size_t lifetime = SHORTEST, kind = bench_below(seed, LIFETIMES);
    for (size_t i = 0; i < kind; i++) {
        table += lifetime;
        lifetime *= 16;
    }
    void **place = &table[step % lifetime];
    if (*place != NULL && step % 10 == 0)
        mailbox_put(other, *place);
    else
        free(*place);
    *place = bench_filled(bench_size(seed, 16, 1000));
}

static void work(size_t number)
{
    uint64_t seed = number + 1;
    struct mailbox *own = &mailboxes[number], *other = &mailboxes[(number + 1) % threads];
    for (size_t i = 0; i < steps; i++) {
        switch (bench_below(&seed, 8)) {
        case 0:
            grow_string(&seed);
            break;
        case 1:
            build_list(&seed);
            break;
        case 2:
            use_record(&seed);
            break;
        default:
            replace(tables[number], other, i, &seed);
        }
        if (i % 256 == 0)
            mailbox_free_all(own);
    }
}

int main(int argc, char **argv)
{
    const size_t places = SHORTEST + 256 + 4096 + 65536;
    threads = bench_number(argc, argv, 1);
    steps = bench_number(argc, argv, 2);
    for (size_t i = 0; i < threads && i < THREADS_MOST; i++)
        tables[i] = bench_table(places * sizeof(void *));
    bench_start();
    threads_run(threads, work);
    bench_stop();
    for (size_t t = 0; t < threads; t++) {
        mailbox_free_all(&mailboxes[t]);
        for (size_t i = 0; i < places; i++)
            free(tables[t][i]);
    }
    bench_settle(0);
    return 0;
}
