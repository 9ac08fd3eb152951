#include "heap/alloc.h"

#include <string.h>

#include "base/stat.h"
#include "heap/diagnose.h"
#include "heap/fast.h"
#include "heap/large.h"
#include "heap/refill.h"
#include "heap/remote.h"

#define FREED_FILL   0xdf /* what freed memory is overwritten with */
#define GROWTH_SHARE 8    /* a block that has to move to grow gets at least this part more */

/* A block in a chunk, and what the map says of it. */
struct place {
    struct chunk *chunk;
    uint8_t *mark;
    unsigned granule;
    unsigned code;
};

/* True if `addr` is where a block with the user starts in a chunk. *in_chunk says whether it lies in a chunk
 * at all. */
HM_INLINE bool find_place(struct core *core, uintptr_t addr, struct place *place, bool *in_chunk)
{
    struct chunk *chunk = table_find(&core->table, addr);
    *in_chunk = chunk != NULL;
    if (chunk == NULL || addr % GRANULE_BYTES != 0) {
        return false;
    }
    place->chunk = chunk;
    place->granule = chunk_granule(addr);
    place->mark = &chunk->map[place->granule / 2];
    place->code = mark_load(place->mark);
    return place->code >= 1 && place->code <= CODE_LAST && code_parity(place->code) == place->granule % 2;
}

static bool owns(const struct theap *heap, const struct chunk *chunk)
{
    return heap != NULL && atomic_load_explicit(&chunk->span.owner, memory_order_relaxed) == heap;
}

static void *alloc_classed(struct core *core, struct theap *heap, size_t bytes, bool *zero)
{
    unsigned class = class_of(bytes);
    void *block = fast_pop(heap, THEAP_BIN_OF(class));
    if (block != NULL) {
        return block;
    }
    return class < CLASS_IN_CHUNK ? refill_bin(heap, class, bytes, zero)
                                  : large_alloc(core, heap, bytes, 1, zero);
}

static void *alloc_aligned(struct theap *heap, unsigned class, size_t align, bool *zero)
{
    void *block = fast_pop_aligned(heap, class, align);
    return block != NULL ? block : refill_aligned(heap, class, align, zero);
}

void *alloc_block(struct core *core, struct theap *heap, size_t bytes, size_t align, bool *zero)
{
    *zero = false;
    /* What no address space has room for isn't worth emptying the caches for, either. */
    if (!pagemap_covers(bytes) || !pagemap_covers(align)) {
        return NULL;
    }
    void *block;
    if (heap == NULL) {
        block = large_alloc(core, NULL, bytes + (bytes == 0), align, zero);
    } else if (align <= GRANULE_BYTES) {
        block = bytes <= CLASS_MAX_BYTES ? alloc_classed(core, heap, bytes, zero)
                                         : large_alloc(core, heap, bytes, 1, zero);
    } else if (bytes <= CLASS_CHUNK_BYTES && align <= CHUNK_BYTES / 4) {
        block = alloc_aligned(heap, class_of(bytes), align, zero);
    } else {
        block = large_alloc(core, heap, bytes + (bytes == 0), align, zero);
    }
    if (HM_UNLIKELY(block == NULL) && heap != NULL) {
        /* What the caches hide may be all that is missing. */
        theap_drop_bins(heap, true);
        pageheap_trim(&core->pages, 0);
        block = large_alloc(core, heap, bytes + (bytes == 0), align, zero);
    }
    return block;
}

/* check:1: what is read after the free shows. Not for blocks whose pages the program may never have touched. */
static void overwrite(const struct core *core, void *block, size_t bytes)
{
    if (HM_UNLIKELY(core->options.check > 0) && bytes <= CLASS_MAX_BYTES) {
        memset(block, FREED_FILL, bytes);
    }
}

static bool free_in_chunk(const struct core *core, struct theap *heap, void *block, const struct place *place)
{
    overwrite(core, block, class_bytes[code_class(place->code)]);
    unsigned class = code_class(place->code);
    if (heap != NULL && fast_push(heap, THEAP_BIN_OF(class), block, place->mark)) {
        return true;
    }
    if (!owns(heap, place->chunk)) {
        return remote_free(heap, place->chunk, place->mark, place->code);
    }
    mark_to_cached(place->mark);
    theap_push(heap, class, block, place->mark);
    return true;
}

bool alloc_free_in_chunk(struct core *core, struct theap *heap, void *block)
{
    struct place place;
    bool in_chunk;
    return find_place(core, (uintptr_t)block, &place, &in_chunk) && free_in_chunk(core, heap, block, &place);
}

void alloc_free(struct core *core, struct theap *heap, void *block)
{
    if (block == NULL) {
        return;
    }
    struct place place;
    bool in_chunk;
    bool freed = false;
    if (find_place(core, (uintptr_t)block, &place, &in_chunk)) {
        freed = free_in_chunk(core, heap, block, &place);
    } else if (!in_chunk) {
        struct span *span = large_find(core, (uintptr_t)block);
        if (span != NULL && mark_load(&span->mark) == LARGE_USER) {
            overwrite(core, block, span->bytes);
        }
        freed = span != NULL && large_free(core, heap, span);
    }
    if (HM_UNLIKELY(!freed)) {
        diagnose(core, block, "free");
    }
}

size_t alloc_usable(struct core *core, const void *block, const char *verb)
{
    struct place place;
    bool in_chunk;
    if (find_place(core, (uintptr_t)block, &place, &in_chunk)) {
        return class_bytes[code_class(place.code)];
    }
    struct span *span = in_chunk ? NULL : large_find(core, (uintptr_t)block);
    if (span == NULL || mark_load(&span->mark) != LARGE_USER) {
        diagnose(core, block, verb);
    }
    return span->bytes;
}

/* Resizing */

/* The tail of the block dies. The block keeps its chunk, so `used` can't reach 0 by this. */
static void shrink_in_chunk(struct theap *heap, const struct place *place, unsigned old_class, unsigned class)
{
    unsigned died = class_granules(old_class) - class_granules(class);
    mark_store(place->mark, class_code(class, place->granule % 2));
    chunk_note_dead(place->chunk, place->granule + class_granules(class));
    if (owns(heap, place->chunk)) {
        lock_acquire(&heap->lock);
        theap_lower_locked(heap, place->chunk, died);
        theap_settle_locked(heap, &place->chunk, 1);
        lock_release(&heap->lock);
    } else {
        remote_settled(place->chunk, chunk_lose(place->chunk, died));
    }
}

static bool grow_in_chunk(struct theap *heap, const struct place *place, unsigned old_class, unsigned class)
{
    unsigned from = place->granule + class_granules(old_class);
    unsigned to = place->granule + class_granules(class);
    if (!owns(heap, place->chunk) || (class >= CLASS_EXACT && place->granule % 2 != 0) ||
        chunk_starts_block(place->chunk, from)) {
        return false;
    }
    lock_acquire(&heap->lock);
    bool grown = carve_extension(&heap->holes, place->chunk, from, to);
    if (grown) {
        mark_store(place->mark, class_code(class, place->granule % 2));
        chunk_keep(place->chunk, to - from);
        stat_add(&heap->used, to - from);
        theap_rebucket_locked(heap, place->chunk);
    }
    lock_release(&heap->lock);
    return grown;
}

static bool resize_in_chunk(struct theap *heap, const struct place *place, size_t bytes)
{
    unsigned old_class = code_class(place->code);
    unsigned class = bytes <= CLASS_CHUNK_BYTES ? class_of(bytes) : CLASS_IN_CHUNK;
    if (class == old_class) {
        return true;
    }
    if (class > old_class) {
        return class < CLASS_IN_CHUNK && grow_in_chunk(heap, place, old_class, class);
    }
    if (class_bytes[old_class] - class_bytes[class] >= class_bytes[old_class] / 8) {
        shrink_in_chunk(heap, place, old_class, class);
    }
    return true;
}

/* Somewhere else, with room to grow a little further: what grows by small steps isn't copied at each of them. */
static void *move_in_chunk(struct core *core, struct theap *heap, void *block, const struct place *place,
                           size_t bytes)
{
    bool zero;
    size_t old_bytes = class_bytes[code_class(place->code)];
    size_t roomy = old_bytes + old_bytes / GROWTH_SHARE;
    void *moved = alloc_block(core, heap, bytes < roomy ? roomy : bytes, 1, &zero);
    if (moved == NULL) {
        return NULL;
    }
    memcpy(moved, block, old_bytes);
    if (HM_UNLIKELY(!free_in_chunk(core, heap, block, place))) {
        diagnose(core, block, "realloc");
    }
    return moved;
}

static void *move_large(struct core *core, struct theap *heap, void *block, size_t old_bytes, size_t bytes)
{
    bool zero;
    void *moved = alloc_block(core, heap, bytes, 1, &zero);
    if (moved == NULL) {
        return bytes <= old_bytes ? block : NULL;
    }
    memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
    alloc_free(core, heap, block);
    return moved;
}

void *alloc_resize(struct core *core, struct theap *heap, void *block, size_t bytes)
{
    struct place place;
    bool in_chunk;
    if (pagemap_covers(bytes) && find_place(core, (uintptr_t)block, &place, &in_chunk)) {
        return resize_in_chunk(heap, &place, bytes) ? block : move_in_chunk(core, heap, block, &place, bytes);
    }
    size_t old_bytes = alloc_usable(core, block, "realloc");
    if (!pagemap_covers(bytes)) {
        return NULL;
    }
    void *resized = NULL;
    if (bytes > CLASS_CHUNK_BYTES) {
        resized = large_resize(core, large_find(core, (uintptr_t)block), bytes);
    }
    return resized != NULL ? resized : move_large(core, heap, block, old_bytes, bytes);
}
