/* Store: keys and values of any size, with a limit of memory and times to live. Any number of threads.
 *
 * Sixteen shards, chosen by the key's hash, each with a lock, an index and a share of the limit. An entry is one block of the backend:
 * a header, the key, the value. What counts for the limit is the bytes of keys and values, so that every backend keeps the same
 * entries. A set that would exceed the limit throws out
 * entries: of five drawn at random the one that was used longest ago, as Redis does, until it fits. Entries whose time
 * is over are gone for every caller at once; their memory goes when somebody asks for them, or when the sweep comes by. */
#ifndef HM_BENCH_KVSTORE_STORE_H
#define HM_BENCH_KVSTORE_STORE_H

#include "kvstore/backend.h"

enum { STORE_FOREVER = 0 };

/* Opens the one store of the process; limit 0: none. Time starts at 0. */
void store_open(const struct backend *backend, size_t limit);
void store_close(void);

/* Seconds, as a caller counts them. */
void store_set_time(uint32_t now);

struct text {
    const void *bytes;
    uint32_t length;
};

/* `life` in seconds, or STORE_FOREVER. False: memory is exhausted, or the entry is larger than a shard's limit; the key
 * has no value then. */
bool store_set(struct text key, struct text value, uint32_t life);

/* Copies the value to `buffer`; its length, or -1: there is none, or it needs more than `room`. */
int64_t store_get(struct text key, void *buffer, uint32_t room);

/* False: there is no such key. */
bool store_delete(struct text key);
bool store_expire(struct text key, uint32_t life);

/* Housekeeping, to be called now and then: looks at `entries` entries of each shard for such whose time is over, and lets
 * the index shrink. True while there is something left to shrink. */
bool store_sweep(size_t entries);

struct store_totals {
    size_t entries, bytes;          /* of keys and values */
    size_t evicted, expired, swept; /* so far; swept: those of the expired that nobody asked for */
};
struct store_totals store_totals(void);

#endif
