#include "kvstore/index.h"

#include <sys/mman.h>

#include "support/bench.h"

enum { LEAST_BUCKETS = 1024, FREE = UINT32_MAX };

#define SEGMENT_BYTES (INDEX_SEGMENT_NODES * sizeof(struct node))

static void *get_pages(size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

/* Chains */

static uint32_t *bucket_of(struct index *index, uint32_t hash)
{
    return &index->buckets[hash & (index->bucket_count - 1)];
}

static uint32_t skip_to(struct index *index, uint32_t number, uint32_t hash)
{
    while (number != INDEX_NONE && index_node(index, number)->hash != hash)
        number = index_node(index, number)->next;
    return number;
}

uint32_t index_first(struct index *index, uint32_t hash)
{
    return index->buckets == NULL ? (uint32_t)INDEX_NONE : skip_to(index, *bucket_of(index, hash), hash);
}

uint32_t index_next(struct index *index, uint32_t number)
{
    struct node *node = index_node(index, number);
    return skip_to(index, node->next, node->hash);
}

/* The place that holds the number of the node. */
static uint32_t *link_to(struct index *index, uint32_t number)
{
    uint32_t *link = bucket_of(index, index_node(index, number)->hash);
    while (*link != number)
        link = &index_node(index, *link)->next;
    return link;
}

/* False: memory is exhausted, nothing changed. */
static bool set_buckets(struct index *index, uint32_t count)
{
    uint32_t *buckets = get_pages(count * sizeof *buckets);
    if (buckets == NULL)
        return false;
    if (index->buckets != NULL)
        munmap(index->buckets, index->bucket_count * sizeof *buckets);
    index->buckets = buckets;
    index->bucket_count = count;
    for (uint32_t number = 1; number <= index->top; number++) {
        if (index_has(index, number)) {
            struct node *node = index_node(index, number);
            uint32_t *bucket = bucket_of(index, node->hash);
            node->next = *bucket;
            *bucket = number;
        }
    }
    return true;
}

/* Free nodes */

/* A list through `used`, and back through `hash`. */

bool index_has(struct index *index, uint32_t number)
{
    return index_node(index, number)->next != (uint32_t)FREE;
}

static void push_free(struct index *index, uint32_t number)
{
    struct node *node = index_node(index, number);
    node->next = (uint32_t)FREE;
    node->hash = INDEX_NONE;
    node->used = index->first_free;
    if (index->first_free != INDEX_NONE)
        index_node(index, index->first_free)->hash = number;
    index->first_free = number;
}

static void take_free(struct index *index, uint32_t number)
{
    struct node *node = index_node(index, number);
    if (node->hash != INDEX_NONE)
        index_node(index, node->hash)->used = node->used;
    else
        index->first_free = node->used;
    if (node->used != INDEX_NONE)
        index_node(index, node->used)->hash = node->hash;
}

uint32_t index_draw(struct index *index, uint32_t keep)
{
    uint32_t number = INDEX_NONE;
    if (index->count < 2)
        return number;
    do
        number = 1 + (uint32_t)bench_below(&index->seed, index->top);
    while (number == keep || !index_has(index, number));
    return number;
}

/* A node without a place in anything; INDEX_NONE: memory is exhausted. */
static uint32_t new_node(struct index *index)
{
    uint32_t number = index->first_free;
    if (number != INDEX_NONE) {
        take_free(index, number);
        return number;
    }
    number = index->top + 1;
    uint32_t segment = number / INDEX_SEGMENT_NODES;
    if (segment == INDEX_SEGMENTS)
        return INDEX_NONE;
    if (index->segment[segment] == NULL)
        index->segment[segment] = get_pages(SEGMENT_BYTES);
    if (index->segment[segment] == NULL)
        return INDEX_NONE;
    index->top = number;
    return number;
}

uint32_t index_add(struct index *index, uint32_t hash)
{
    uint32_t wanted = index->bucket_count == 0 ? (uint32_t)LEAST_BUCKETS : 2 * index->bucket_count;
    /* Long chains serve too, as long as there is one. */
    if (index->count == index->bucket_count && !set_buckets(index, wanted) && index->buckets == NULL)
        return INDEX_NONE;
    uint32_t number = new_node(index);
    if (number == INDEX_NONE)
        return INDEX_NONE;
    struct node *node = index_node(index, number);
    uint32_t *bucket = bucket_of(index, hash);
    *node = (struct node){.hash = hash, .next = *bucket};
    *bucket = number;
    index->count++;
    return number;
}

void index_remove(struct index *index, uint32_t number)
{
    struct node *node = index_node(index, number);
    *link_to(index, number) = node->next;
    push_free(index, number);
    index->count--;
}

/* Shrinking */

static void drop_top(struct index *index)
{
    uint32_t number = index->top--;
    take_free(index, number);
    if (number % INDEX_SEGMENT_NODES == 0 || index->top == 0) {
        munmap(index->segment[number / INDEX_SEGMENT_NODES], SEGMENT_BYTES);
        index->segment[number / INDEX_SEGMENT_NODES] = NULL;
    }
}

static void move_node(struct index *index, const struct backend *backend, uint32_t from, uint32_t to)
{
    struct node *source = index_node(index, from);
    struct node *target = index_node(index, to);
    *link_to(index, from) = to;
    target->hash = source->hash;
    target->next = source->next;
    target->used = source->used;
    target->ends = source->ends;
    backend->move(&source->ref, &target->ref);
}

bool index_shrink(struct index *index, const struct backend *backend, size_t budget)
{
    if (index->bucket_count > (uint32_t)LEAST_BUCKETS && index->count < index->bucket_count / 4)
        return set_buckets(index, index->bucket_count / 2);
    if (index->top - index->count < INDEX_SEGMENT_NODES / 2 + index->count / 8)
        return false;
    while (index->top > index->count && budget-- > 0) {
        if (index_has(index, index->top)) {
            uint32_t to = index->first_free;
            take_free(index, to);
            move_node(index, backend, index->top, to);
            push_free(index, index->top);
        }
        drop_top(index);
    }
    return true;
}

void index_drop(struct index *index)
{
    for (uint32_t segment = 0; segment < INDEX_SEGMENTS && index->segment[segment] != NULL; segment++)
        munmap(index->segment[segment], SEGMENT_BYTES);
    if (index->buckets != NULL)
        munmap(index->buckets, index->bucket_count * sizeof *index->buckets);
    *index = (struct index){.buckets = NULL};
}
