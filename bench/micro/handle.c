/* handle WHAT COUNT: COUNT times what a program does all the time with blocks that move, and the like with plain pointers.
 *
 * pair: a block of 64 bytes is allocated, its handle freed. churn: the same with 1,000 blocks kept, the oldest freed. pin: a block is
 * pinned, written and unpinned. deref: a list in a ring whose nodes all fit the first cache, each naming the next one by handle, is
 * followed in one read section; plain: the same by pointers, in nodes laid out alike. It shows what a handle costs where nothing
 * hides it: each step waits for the one before. */
#include "support/bench.h"

#include <hmalloc/handle.h>
#include <stdio.h>

enum { SIZE = 64, KEPT = 1000, NODES = 128, NODE_BYTES = 56 };

struct node {
    hm_handle name;
    struct node *next;
    char unused[NODE_BYTES - 16];
};

static hm_heap *heap;

static hm_handle make(size_t size)
{
    hm_handle handle = hm_handle_alloc(heap, size);
    if (handle == 0)
        bench_fail("hm_handle_alloc");
    return handle;
}

static void pair(size_t count)
{
    bench_start();
    for (size_t i = 0; i < count; i++)
        hm_handle_free(heap, make(SIZE));
    bench_stop();
}

static void churn(size_t count)
{
    hm_handle *kept = bench_table(KEPT * sizeof *kept);
    bench_start();
    for (size_t i = 0, place = 0; i < count; i++) {
        hm_handle_free(heap, kept[place]);
        kept[place] = make(SIZE);
        place = place + 1 < KEPT ? place + 1 : 0;
    }
    bench_stop();
}

static void pin(size_t count)
{
    hm_handle handle = make(SIZE);
    bench_start();
    for (size_t i = 0; i < count; i++) {
        *(volatile char *)hm_pin(heap, handle) = 1;
        hm_unpin(heap, handle);
    }
    bench_stop();
}

/* A ring of all nodes in an order that no prefetcher guesses. `nodes`: where they are now. */
static void link_nodes(struct node **nodes, const hm_handle *names)
{
    uint64_t seed = 1;
    const uint32_t *order = bench_shuffled(NODES, &seed);
    for (size_t i = 0; i < NODES; i++) {
        struct node *node = nodes[order[i]];
        uint32_t next = order[(i + 1) % NODES];
        node->name = names[next];
        node->next = nodes[next];
    }
}

/* Returns the first name; *first is the same by pointer. The blocks stay where they are: nobody compacts. */
static hm_handle make_ring(struct node **first)
{
    hm_handle names[NODES];
    struct node *nodes[NODES];
    for (size_t i = 0; i < NODES; i++) {
        names[i] = make(sizeof(struct node));
        nodes[i] = hm_pin(heap, names[i]);
        hm_unpin(heap, names[i]);
    }
    link_nodes(nodes, names);
    *first = nodes[0];
    return names[0];
}

static void deref(size_t count)
{
    struct node *node;
    hm_handle name = make_ring(&node);
    bench_start();
    hm_read_enter(heap);
    for (size_t i = 0; i < count; i++) {
        node = hm_deref(heap, name);
        if (node == NULL)
            bench_fail("hm_deref");
        name = node->name;
    }
    hm_read_leave(heap);
    bench_stop();
    if (!hm_handle_valid(heap, name))
        bench_fail("the ring is broken");
}

static void plain(size_t count)
{
    struct node *node;
    make_ring(&node);
    bench_start();
    for (size_t i = 0; i < count; i++) {
        node = node->next;
        if (node == NULL)
            bench_fail("the ring is broken");
    }
    bench_stop();
}

static const struct {
    const char *name;
    void (*work)(size_t count);
} WORK[] = {{"pair", pair}, {"churn", churn}, {"pin", pin}, {"deref", deref}, {"plain", plain}};

int main(int argc, char **argv)
{
    const size_t count = bench_number(argc, argv, 2);
    heap = hm_movable_create(NULL);
    if (heap == NULL)
        bench_fail("hm_movable_create");
    for (size_t i = 0; i < sizeof WORK / sizeof WORK[0]; i++)
        if (strcmp(argv[1], WORK[i].name) == 0) {
            WORK[i].work(count);
            return 0;
        }
    fprintf(stderr, "%s: no such work\n", argv[1]);
    return 2;
}
