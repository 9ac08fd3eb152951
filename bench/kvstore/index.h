/* Index of one shard: a hash table with chains, whose nodes can be drawn at random.
 *
 * Nodes are found by number, so that growing moves none, and have 32 bytes: the reference of the entry's block and
 * four numbers. Where many were removed, the last ones are moved into the places of those, so that
 * the index follows the number of entries down. It has pages of its own: what it takes is the same on every backend. The caller has the shard's lock. */
#ifndef HM_BENCH_KVSTORE_INDEX_H
#define HM_BENCH_KVSTORE_INDEX_H

#include "kvstore/backend.h"

enum {
    INDEX_NONE = 0,             /* no node */
    INDEX_SEGMENT_NODES = 2048, /* 64 KiB */
    INDEX_SEGMENTS = 2048
};

struct node {
    union ref ref;
    uint32_t hash;
    uint32_t next; /* in its chain */
    uint32_t used; /* the last second in which the entry was */
    uint32_t ends; /* the first second in which the entry is gone; 0: never */
};

struct index {
    struct node *segment[INDEX_SEGMENTS];
    uint32_t *buckets;
    uint32_t bucket_count; /* a power of two */
    uint32_t top;          /* highest node there is, used or free */
    uint32_t count;        /* used */
    uint32_t first_free;
    uint64_t seed;
};

static inline struct node *index_node(struct index *index, uint32_t number)
{
    return &index->segment[number / INDEX_SEGMENT_NODES][number % INDEX_SEGMENT_NODES];
}

/* The first node of the hash, the next one of the same; INDEX_NONE at the end. */
uint32_t index_first(struct index *index, uint32_t hash);
uint32_t index_next(struct index *index, uint32_t number);

/* A new node, without a block, all else 0; INDEX_NONE: memory is exhausted. */
uint32_t index_add(struct index *index, uint32_t hash);

/* Its block is freed already. */
void index_remove(struct index *index, uint32_t number);

/* Whether there is an entry at this number, 1 to top. */
bool index_has(struct index *index, uint32_t number);

/* Any node in use but `keep`; INDEX_NONE if there is no other. */
uint32_t index_draw(struct index *index, uint32_t keep);

/* One step of giving memory back, of at most `budget` nodes moved. False: there is nothing to do. */
bool index_shrink(struct index *index, const struct backend *backend, size_t budget);

/* No nodes any more; all blocks are freed. */
void index_drop(struct index *index);

#endif
