#include "heap/large.h"

#include "base/bits.h"
#include "base/stat.h"
#include "page/mapping.h"

#define NO_BIN        CLASS_COUNT
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
    struct span *span = core_span_get(core);
    if (span == NULL) {
        return NULL;
    }
    bytes = bits_align_up(bytes, core->os->page_size);
    align = align < core->os->page_size ? core->os->page_size : align;
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
    if (!mark_take(&span->mark, LARGE_USER)) {
        return false;
    }
    if (heap != NULL && !heap->closed && span->bin != NO_BIN &&
        atomic_load_explicit(&span->owner, memory_order_relaxed) == heap &&
        heap->large_cached + class_bytes[span->bin] <= LARGE_CACHED_MAX) {
        heap->large_cached += class_bytes[span->bin];
        mark_store(&span->mark, LARGE_USER | CODE_CACHED);
        theap_push(heap, span->bin, (void *)span->addr, &span->mark);
    } else {
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
