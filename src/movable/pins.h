/* Names in a heap that grows: of blocks (tags) and of pins (records of who pins, and since when).
 *
 * Tags are interned: a block keeps a number from 1 to 255, 0 is no name; a name stays known until the heap goes. Records lie in the order in
 * which they were made, oldest first, and in buckets by handle. Memory comes from pools that the heaps of a process share
 * (struct pin_pools), and goes back to them.
 *
 * Equations: count = length of `records` = sum of the buckets' lengths; tags 1 to tag_count have names, all different. Locking: every
 * function takes the instance's lock (LOCK_RANK_MOVABLE_PINS). Failure: 0 or false, with everything as it was. */
#ifndef HM_MOVABLE_PINS_H
#define HM_MOVABLE_PINS_H

#include <hmalloc/handle.h>

#include "base/list.h"
#include "os/lock.h"
#include "page/meta.h"

#define PINS_TAGS       255u
#define PINS_NAME_BYTES 32u /* with its end */
#define PINS_BUCKETS    32u

struct pin_pools {
    struct meta_pool records;
    struct meta_pool names;
};

struct pins {
    struct lock lock;
    struct pin_pools *pools;
    struct list records;
    struct list bucket[PINS_BUCKETS];
    size_t count;
    uint32_t tag_count;
    _Atomic(const char *) tag[PINS_TAGS + 1]; /* [0] is NULL */
};

void pin_pools_init(struct pin_pools *pools, struct meta *meta);

void pins_init(struct pins *pins, struct pin_pools *pools);

/* Gives all memory back to the pools; names of tags and of records can't be used any more. */
void pins_destroy(struct pins *pins);

/* The number of the name (its first 31 bytes), which is copied when it is new. 0: 255 others are known, or the OS refused; NULL is 0,
 * too. Linear in the number of names. */
uint8_t pins_tag(struct pins *pins, const char *name);

/* NULL for 0 and for numbers that were never given. No lock. */
const char *pins_tag_name(const struct pins *pins, uint8_t tag);

/* Records a pin; `name` must live until it is removed (NULL stands for ""). `now_ns`: not before that of earlier records, or the order isn't by age. */
bool pins_add(struct pins *pins, hm_handle handle, const char *name, uint64_t now_ns);

/* Forgets the newest pin of the handle with that name (compared as text). False: there is none. *left, if not NULL: how many
 * records the handle still has. */
bool pins_remove(struct pins *pins, hm_handle handle, const char *name, size_t *left);

/* Forgets all of a handle's records, when a heap is reset in spite of them. */
void pins_forget(struct pins *pins, hm_handle handle);

/* Fills in handle, name and age_ns of the oldest records, zeros for the rest; returns how many records there are. */
size_t pins_oldest(struct pins *pins, struct hm_pin_info *info, size_t max, uint64_t now_ns);

/* Panics with the broken equation. */
void pins_verify(struct pins *pins);

#endif
