#include "heap/defrag.h"

#include "base/check.h"
#include "base/stat.h"
#include "heap/alloc.h"
#include "heap/refill.h"

#define FULL_GRANULES ((size_t)CHUNK_GRANULES / 8 * 7) /* chunks that have this much in use are left alone */
#define LOOKED_AT     64u                              /* chunks among which a target is chosen */
#define TARGETS_TRIED 4u                               /* for one block */

bool defrag_hint(struct core *core, const void *block, const char *verb)
{
    alloc_usable(core, block, verb);
    struct chunk *chunk = table_find(&core->table, (uintptr_t)block);
    struct theap *owner = chunk == NULL ? NULL : atomic_load(&chunk->span.owner);
    if (owner == NULL || atomic_load_explicit(&owner->dense, memory_order_relaxed) == chunk) {
        return false;
    }
    size_t used = chunk_used(chunk);
    size_t chunks = stat_get(&owner->chunk_count);
    return chunks > 1 && used < FULL_GRANULES &&
           (used < CHUNK_GRANULES / 2 || used * chunks <= stat_get(&owner->used));
}

/* Targets */

static unsigned free_granules(const struct chunk *chunk)
{
    unsigned used = chunk_used(chunk);
    return used < CHUNK_GRANULES ? CHUNK_GRANULES - used : 0;
}

static void set_target(struct theap *heap, struct chunk *chunk)
{
    atomic_store_explicit(&heap->dense, chunk, memory_order_relaxed);
    heap->dense_granule = 0;
    heap->dense_again = false;
    if (chunk != NULL && chunk_dead(chunk) > 0) {
        theap_sweep_locked(heap, chunk, NULL);
    }
}

/* The fullest of the next chunks that aren't full. The list's order means nothing: those that were looked at go to its end. */
static struct chunk *fullest_locked(struct theap *heap, unsigned granules)
{
    struct chunk *best = NULL;
    size_t looks = stat_get(&heap->chunk_count);
    looks = looks < LOOKED_AT ? looks : LOOKED_AT;
    while (looks-- > 0) {
        struct list *node = heap->chunks.next;
        struct chunk *chunk = LIST_ENTRY(node, struct chunk, span.link);
        list_remove(node);
        list_push_back(&heap->chunks, node);
        unsigned room = free_granules(chunk);
        if (room > CHUNK_GRANULES - FULL_GRANULES && room >= granules && room < CHUNK_GRANULES &&
            (best == NULL || room < free_granules(best))) {
            best = chunk;
        }
    }
    return best;
}

/* The target, if it still is one of the heap's chunks: descriptors are type stable, and what was given back has no owner, or another. */
static struct chunk *target_locked(struct theap *heap)
{
    struct chunk *chunk = atomic_load_explicit(&heap->dense, memory_order_relaxed);
    return chunk != NULL && atomic_load_explicit(&chunk->span.owner, memory_order_relaxed) == heap ? chunk
                                                                                                   : NULL;
}

/* Carving */

static void count_locked(struct theap *heap, struct chunk *chunk, unsigned class)
{
    stat_add(&heap->stats.carved, 1);
    stat_add(&heap->used, class_granules(class));
    theap_rebucket_locked(heap, chunk);
}

/* Takes one block from the first hole at or behind the place reached that it fits in. */
static bool carve_target_locked(struct theap *heap, struct chunk *chunk, unsigned class, struct entry *out)
{
    bool zero;
    for (unsigned w = chunk_next_mark(chunk, heap->dense_granule / 2); w < CHUNK_WINDOWS;
         w = chunk_next_mark(chunk, w + 1)) {
        unsigned value = mark_load(&chunk->map[w]);
        unsigned granule = 2 * w + value % 2;
        if ((value == CODE_HOLE || value == CODE_HOLE + 1) &&
            carve_aligned(&heap->holes, chunk, granule, class, GRANULE_BYTES, out, &zero)) {
            heap->dense_granule = chunk_granule((uintptr_t)out->block) + class_granules(class);
            heap->dense_again = true;
            count_locked(heap, chunk, class);
            return true;
        }
    }
    return false;
}

/* Takes one block from the hole that fits best, if that is in a full chunk. */
static bool carve_rest_locked(struct theap *heap, unsigned class, struct entry *out)
{
    bool zero;
    const void *at = holes_find(&heap->holes, class_granules(class));
    struct chunk *chunk = at == NULL ? NULL : table_find(&heap->core->table, (uintptr_t)at);
    if (chunk == NULL || free_granules(chunk) > CHUNK_GRANULES - FULL_GRANULES ||
        !carve_aligned(&heap->holes, chunk, chunk_granule((uintptr_t)at), class, GRANULE_BYTES, out, &zero)) {
        return false;
    }
    count_locked(heap, chunk, class);
    return true;
}

/* Where to go on when the target didn't serve. */
static struct chunk *next_target_locked(struct theap *heap, struct chunk *chunk, unsigned granules)
{
    if (chunk == NULL || !heap->dense_again) {
        chunk = fullest_locked(heap, granules);
    }
    set_target(heap, chunk);
    return chunk;
}

static bool carve_locked(struct theap *heap, unsigned class, struct entry *out)
{
    theap_drain_locked(heap);
    struct chunk *chunk = target_locked(heap);
    bool carved = carve_rest_locked(heap, class, out) ||
                  (chunk != NULL && carve_target_locked(heap, chunk, class, out));
    for (unsigned tried = 0; !carved && tried < TARGETS_TRIED; tried++) {
        chunk = next_target_locked(heap, chunk, class_granules(class));
        carved = chunk != NULL && carve_target_locked(heap, chunk, class, out);
    }
    return carved;
}

/* A new chunk becomes the target; others may have given it back before the lock was taken. */
static bool carve_new(struct theap *heap, unsigned class, struct entry *out)
{
    if (!theap_add_chunk(heap)) {
        return false;
    }
    lock_acquire(&heap->lock);
    bool carved = false;
    if (!list_empty(&heap->chunks)) {
        struct chunk *chunk = LIST_ENTRY(heap->chunks.prev, struct chunk, span.link);
        set_target(heap, chunk);
        carved = carve_target_locked(heap, chunk, class, out);
    }
    lock_release(&heap->lock);
    return carved;
}

void *defrag_alloc(struct theap *heap, size_t bytes)
{
    struct entry one;
    unsigned class = class_of(bytes);
    HM_ASSERT(class < CLASS_IN_CHUNK, "only blocks in chunks are placed densely");
    lock_acquire(&heap->lock);
    bool carved = carve_locked(heap, class, &one);
    lock_release(&heap->lock);
    if (!carved && !carve_new(heap, class, &one)) {
        bool zero;
        return refill_aligned(heap, class, GRANULE_BYTES, &zero);
    }
    mark_to_user(one.mark);
    pageheap_tick(&heap->core->pages);
    return one.block;
}
