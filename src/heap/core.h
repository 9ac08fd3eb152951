/* Core: one instance of the whole allocator over one OS table. The process has one (runtime/); tests make
 * their own.
 *
 * Lock order: registry.lock, theap.lock, pages.lock, chunk_pool.lock, meta.lock (os/lock.h). */
#ifndef HM_HEAP_CORE_H
#define HM_HEAP_CORE_H

#include "chunk/table.h"
#include "heap/theap.h"
#include "page/pageheap.h"
#include "page/slab.h"

#define CORE_ARRAY_SIZES 6  /* arrays of 7, 15, 31, 63, 127, 255 entries */
#define CORE_FREED_NOTES 64 /* large blocks whose free is remembered */
#define CORE_AREA_BYTES  ((size_t)128 << 10)

struct core_options {
    struct pageheap_options pages;
    size_t own_mapping_bytes; /* blocks from this size on get a mapping of their own */
    unsigned check;           /* 0: default checks; 1: instrumented mode, every call takes the general path */
    bool
        tracked; /* a tool tracks what was written to, and takes the break's new memory for undefined: what is to be zero is cleared */
};

struct registry {
    struct lock lock;
    struct list all;
    struct list orphans;
    struct list spares;
    _Atomic size_t orphan_count; /* read without the lock to see whether it is worth taking */
    size_t live_count;
    size_t made_count;
};

/* Mostly untouched memory, in an order that keeps what a small process touches on few pages: the members that are no tables;
 * metadata; where the page map's ends and the chunk table begins. */
struct core {
    const struct os *os;
    struct core_options options;
    uint64_t secret;
    _Atomic bool instrumented;
    struct registry registry;
    struct meta meta;
    struct slab_pool chunk_pool;
    struct meta_pool span_pool;
    struct meta_pool theap_pool;
    struct meta_pool array_pool[CORE_ARRAY_SIZES];
    _Atomic unsigned freed_next;
    struct pageheap pages;
    _Atomic uintptr_t freed[CORE_FREED_NOTES];
    char area[CORE_AREA_BYTES];
    struct pagemap map;
    struct chunk_table table;
    struct pagemap_leaf leaf;
};

void core_init(struct core *core, const struct os *os, const struct core_options *options);

/* Takes the first metadata and the first leaf of the page map from the instance itself, so that a small process needs no
 * mappings for them. For an instance that stays for ever; right after core_init. */
void core_use_own(struct core *core);

/* Descriptors. NULL: the OS refused. */
struct chunk *core_chunk_get(struct core *core);
void core_chunk_put(struct core *core, struct chunk *chunk);
struct span *core_span_get(struct core *core);
void core_span_put(struct core *core, struct span *span);

/* An array of `capacity` entries (7, 15, 31, 63, 127 or 255) and a zero bottom before them. */
struct entry *core_array_get(struct core *core, unsigned capacity);
void core_array_put(struct core *core, struct entry *bottom, unsigned capacity);

/* A heap for the calling thread: an orphan with its chunks, a spare, or a new one. NULL: the OS refused. */
struct theap *core_attach(struct core *core);

/* The thread ends (or stops using the heap): flushes, gives back, leaves the rest to be adopted. */
void core_detach(struct core *core, struct theap *heap);

/* Takes chunks over from ended threads' heaps until `heap` has a hole of that many granules. Neither lock
 * held. */
bool core_adopt(struct core *core, struct theap *heap, unsigned granules);

/* Every lock, by rank, around fork. In the child the locks are reset, and all heaps but `self` (may be NULL)
 * become orphans. */
HM_COLD void core_fork_prepare(struct core *core);
HM_COLD void core_fork_parent(struct core *core);
HM_COLD void core_fork_child(struct core *core, struct theap *self);

/* Instrumented mode: bins stay empty, so that every call takes the general path. The bins of `self` (may be
 * NULL) close or open at once, those of other threads at their next refill or flush. */
void core_instrument(struct core *core, struct theap *self, bool on);

/* Gives back all it can, keeping `keep` bytes on top of the break; `self` (may be NULL) is the caller's heap.
 * Bytes given back. */
size_t core_trim(struct core *core, struct theap *self, size_t keep);

/* All verifiers of all layers. `self` as above. */
HM_COLD void core_verify(struct core *core, struct theap *self);

/* Remembers the address of a freed large block / says whether it is among the last ones remembered. */
void core_note_freed(struct core *core, uintptr_t addr);
bool core_was_freed(struct core *core, uintptr_t addr);

#endif
