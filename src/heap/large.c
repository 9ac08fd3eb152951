#include "heap/large.h"

#include "base/bits.h"
#include "base/stat.h"
#include "heap/bins.h"
#include "heap/diagnose.h"
#include "page/mapping.h"

#define NO_BIN        CLASS_COUNT
#define AGE_EVERY     16 /* blocks from the page heap until what is kept is looked at again */
#define ALIGN_OWN_MIN ((size_t)64 << 20)

/* The page heap would take all of a huge alignment into its stock, a mapping leaves nothing behind. */
static bool obtain(struct core *core, struct span *span, size_t bytes, size_t align)
{
    if (align >= ALIGN_OWN_MIN) {
        return mapping_alloc(&core->pages, span, bytes, align);
    }
    if (bytes >= core->options.own_mapping_bytes && mapping_alloc(&core->pages, span, bytes, align)) {
        return true;
    }
    return pageheap_alloc(&core->pages, span, bytes, align, SPAN_LARGE);
}

/* What a thread may keep */

/* Takes the room that bins don't use. */
static void revoke_unused(struct theap *heap)
{
    for (unsigned class = CLASS_IN_CHUNK; class < CLASS_COUNT; class ++) {
        unsigned count = bins_count(heap, class);
        size_t unused = heap->info[class].room - count;
        if (unused > 0) {
            bins_set_room(heap, class, count);
            heap->large_room -= unused * class_bytes[class];
        }
    }
}

static bool may_keep(struct theap *heap, size_t bytes)
{
    if (heap->large_room + bytes > LARGE_CACHED_MAX) {
        revoke_unused(heap);
    }
    return heap->large_room + bytes <= LARGE_CACHED_MAX;
}

bool large_grant(struct theap *heap, unsigned class)
{
    unsigned count = bins_count(heap, class);
    if (count == heap->info[class].room) {
        if (count == heap->info[class].capacity || !may_keep(heap, class_bytes[class])) {
            return false;
        }
        bins_set_room(heap, class, count + 1);
        heap->large_room += class_bytes[class];
    }
    return true;
}

/* Slots */

static void slot_close(struct theap *heap, unsigned index)
{
    for (; index + 1 < THEAP_SLOTS; index++) {
        heap->slot[index] = heap->slot[index + 1];
    }
    heap->slot[THEAP_SLOTS - 1] = NULL;
}

/* A block of exactly so many bytes, at a multiple of `align`; NULL if no slot has one. */
static void *slot_take(struct theap *heap, size_t bytes, size_t align)
{
    for (unsigned i = 0; i < THEAP_SLOTS && heap->slot[i] != NULL; i++) {
        struct span *span = heap->slot[i];
        if (span->bytes == bytes && (span->addr & (align - 1)) == 0) {
            slot_close(heap, i);
            heap->slots_used = true;
            heap->large_room -= bytes;
            if (HM_UNLIKELY(!mark_to_user(&span->mark))) {
                diagnose_race((const void *)span->addr);
            }
            return (void *)span->addr;
        }
    }
    return NULL;
}

/* The last one is the oldest. */
static void slot_evict(struct theap *heap)
{
    unsigned last = THEAP_SLOTS - 1;
    while (heap->slot[last] == NULL) {
        last--;
    }
    struct span *span = heap->slot[last];
    heap->slot[last] = NULL;
    heap->large_room -= span->bytes;
    large_discard(heap->core, span);
}

/* Keeps the block, whose mark was taken, instead of older ones. False: there is no room for it beside what the bins
 * have. */
static bool slot_keep(struct theap *heap, struct span *span)
{
    if (span->bytes > LARGE_CACHED_MAX) {
        return false;
    }
    while (heap->slot[0] != NULL && (heap->slot[THEAP_SLOTS - 1] != NULL || !may_keep(heap, span->bytes))) {
        slot_evict(heap);
    }
    if (!may_keep(heap, span->bytes)) {
        return false;
    }
    for (unsigned i = THEAP_SLOTS - 1; i > 0; i--) {
        heap->slot[i] = heap->slot[i - 1];
    }
    heap->large_room += span->bytes;
    mark_store(&span->mark, LARGE_USER | CODE_CACHED);
    heap->slot[0] = span;
    heap->slots_used = true;
    return true;
}

void large_drop(struct theap *heap, bool trusted)
{
    for (unsigned i = 0; i < THEAP_SLOTS; i++) {
        struct span *span = heap->slot[i];
        bool whole = span != NULL && (trusted || (large_find(heap->core, span->addr) == span &&
                                                  mark_load(&span->mark) == (LARGE_USER | CODE_CACHED)));
        heap->slot[i] = NULL;
        if (whole) {
            heap->large_room -= span->bytes;
            large_discard(heap->core, span);
        }
    }
    revoke_unused(heap);
}

void large_age(struct theap *heap)
{
    if (heap->large_room == 0) {
        return;
    }
    bins_age_large(heap);
    if (heap->slot[0] != NULL && !heap->slots_used) {
        slot_evict(heap);
    }
    heap->slots_used = false;
    revoke_unused(heap);
}

static void age_sometimes(struct theap *heap)
{
    if (stat_get(&heap->stats.large_allocs) % AGE_EVERY == 0) {
        large_age(heap);
    }
}

void *large_alloc(struct core *core, struct theap *heap, size_t bytes, size_t align, bool *zero)
{
    bool cacheable =
        heap != NULL && bytes <= CLASS_MAX_BYTES && bytes > CLASS_CHUNK_BYTES && align <= core->os->page_size;
    unsigned class = cacheable ? class_of(bytes) : NO_BIN;
    size_t requested = bytes;
    size_t sum;
    bytes = cacheable ? class_bytes[class] : bytes;
    if (!bits_add(bytes, align + core->os->page_size, &sum)) {
        return NULL;
    }
    bytes = bits_align_up(bytes, core->os->page_size);
    align = align < core->os->page_size ? core->os->page_size : align;
    void *kept = heap != NULL && bytes > CLASS_MAX_BYTES ? slot_take(heap, bytes, align) : NULL;
    if (kept != NULL) {
        *zero = false;
        return kept;
    }
    if (heap != NULL) {
        age_sometimes(heap);
    }
    struct span *span = core_span_get(core);
    if (span == NULL) {
        return NULL;
    }
    if (!obtain(core, span, bytes, align)) {
        core_span_put(core, span);
        return NULL;
    }
    span->bin = (uint16_t) class;
    atomic_store_explicit(&span->owner, cacheable ? heap : NULL, memory_order_relaxed);
    mark_store(&span->mark, LARGE_USER);
    *zero = span->zero;
    if (heap != NULL) {
        stat_add(&heap->stats.large_allocs, 1);
        stat_add(&heap->stats.large_requested, requested);
        stat_add(&heap->stats.large_granted, bytes);
    }
    return (void *)span->addr;
}

struct span *large_find(struct core *core, uintptr_t addr)
{
    struct span *span = pagemap_get(&core->map, addr);
    bool large = span != NULL && (span->kind == SPAN_LARGE || span->kind == SPAN_OWN) && span->addr == addr;
    return large ? span : NULL;
}

bool large_free(struct core *core, struct theap *heap, struct span *span)
{
    if (!mark_swap(&span->mark, LARGE_USER, 0)) {
        return false;
    }
    if (heap != NULL && !heap->closed && span->bin != NO_BIN &&
        atomic_load_explicit(&span->owner, memory_order_relaxed) == heap) {
        mark_store(&span->mark, LARGE_USER | CODE_CACHED);
        theap_push(heap, span->bin, (void *)span->addr, &span->mark);
    } else if (heap == NULL || heap->closed || span->kind != SPAN_LARGE || span->bytes <= CLASS_MAX_BYTES ||
               !slot_keep(heap, span)) {
        large_discard(core, span);
    }
    return true;
}

void large_discard(struct core *core, struct span *span)
{
    mark_store(&span->mark, 0);
    atomic_store_explicit(&span->owner, NULL, memory_order_relaxed);
    core_note_freed(core, span->addr);
    if (span->kind == SPAN_OWN) {
        mapping_free(&core->pages, span);
    } else {
        pageheap_free(&core->pages, span);
    }
    core_span_put(core, span);
}

void *large_resize(struct core *core, struct span *span, size_t bytes)
{
    size_t page = core->os->page_size;
    if (bytes > SIZE_MAX - page) {
        return NULL;
    }
    size_t rounded = bits_align_up(bytes, page);
    if (rounded == span->bytes) {
        return (void *)span->addr;
    }
    bool done;
    uintptr_t before = span->addr;
    if (span->kind == SPAN_OWN) {
        done = rounded >= core->options.own_mapping_bytes / 2 && mapping_resize(&core->pages, span, rounded);
    } else if (rounded > span->bytes) {
        done = pageheap_extend(&core->pages, span, rounded);
    } else {
        pageheap_shrink(&core->pages, span, rounded);
        done = true;
    }
    if (done) {
        /* Its size is no class's any more. */
        span->bin = NO_BIN;
        atomic_store_explicit(&span->owner, NULL, memory_order_relaxed);
        if (span->addr != before) {
            core_note_freed(core, before);
        }
        return (void *)span->addr;
    }
    return NULL;
}
