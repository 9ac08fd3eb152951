#include "observe/stats.h"

#include <string.h>

#include "base/stat.h"
#include "heap/large.h"

#define MARK_VALUES 256

/* In chunks */

static void add_blocks(struct observe_class *row, bool cached, size_t blocks, size_t bytes)
{
    *(cached ? &row->cached_blocks : &row->live_blocks) += blocks;
    *(cached ? &row->cached : &row->live) += bytes;
}

static void count_marks(const struct chunk *chunk, size_t count[MARK_VALUES])
{
    for (unsigned w = chunk_next_mark(chunk, 0); w < CHUNK_WINDOWS; w = chunk_next_mark(chunk, w + 1)) {
        count[mark_load(&chunk->map[w])]++;
    }
}

/* Codes of holes, and the zero that a mark may have become meanwhile, are no blocks. */
static void take_blocks(const size_t count[MARK_VALUES], struct observe_heap *row,
                        struct observe_class *classes)
{
    for (unsigned code = 1; code <= CODE_LAST; code++) {
        size_t bytes = class_bytes[code_class(code)];
        size_t live = count[code];
        size_t cached = count[code | CODE_CACHED];
        add_blocks(&classes[code_class(code)], false, live, live * bytes);
        add_blocks(&classes[code_class(code)], true, cached, cached * bytes);
        row->live_blocks += live;
        row->live += live * bytes;
        row->cached += cached * bytes;
    }
}

static void take_counters(const struct theap *heap, struct observe_heap *row)
{
#define TAKE_COUNTER(name, text) row->counted.name = stat_get(&heap->stats.name);
    THEAP_STATS(TAKE_COUNTER)
#undef TAKE_COUNTER
}

/* The registry's lock is held. */
static void take_heap(struct theap *heap, struct observe_heap *row, struct observe_class *classes)
{
    size_t count[MARK_VALUES] = {0};
    memset(row, 0, sizeof *row);
    row->state = heap->state;
    lock_acquire(&heap->lock);
    for (struct list *node = heap->chunks.next; node != &heap->chunks; node = node->next) {
        const struct chunk *chunk = LIST_ENTRY(node, struct chunk, span.link);
        row->chunks++;
        row->holes += (size_t)chunk->linked * GRANULE_BYTES;
        count_marks(chunk, count);
    }
    take_counters(heap, row);
    lock_release(&heap->lock);
    take_blocks(count, row, classes);
    row->dead = row->chunks * CHUNK_BYTES - row->live - row->cached - row->holes;
}

static void add_heap(struct observe_heap *sum, const struct observe_heap *row)
{
#define ADD_MEMBER(name, text) sum->name += row->name;
    OBSERVE_HEAP(ADD_MEMBER)
#undef ADD_MEMBER
#define ADD_COUNTER(name, text) sum->counted.name += row->counted.name;
    THEAP_STATS(ADD_COUNTER)
#undef ADD_COUNTER
}

static void take_heaps(struct core *core, struct observation *observation)
{
    struct registry *registry = &core->registry;
    lock_acquire(&registry->lock);
    for (struct list *node = registry->all.next; node != &registry->all; node = node->next) {
        struct observe_heap row;
        take_heap(LIST_ENTRY(node, struct theap, in_registry), &row, observation->class);
        add_heap(&observation->all, &row);
        if (row.state == THEAP_SPARE) {
            continue;
        }
        if (observation->heaps < OBSERVE_HEAPS) {
            observation->heap[observation->heaps++] = row;
        } else {
            observation->heaps_left_out++;
        }
    }
    observation->stats.threads = registry->live_count;
    observation->stats.orphans = atomic_load_explicit(&registry->orphan_count, memory_order_relaxed);
    lock_release(&registry->lock);
}

/* In pages of their own */

static struct observe_class *class_of_span(struct observation *observation, const struct span *span)
{
    bool own = span->kind == SPAN_OWN;
    bool classed = !own && span->bytes <= CLASS_MAX_BYTES;
    return &observation->class[own ? OBSERVE_OWN : classed ? class_of(span->bytes) : OBSERVE_LARGER];
}

/* The page heap's lock is held. A mark that is neither of the two: the block is being handed out or given back. */
static void take_spans(struct observation *observation, struct list *head)
{
    for (struct list *node = head->next; node != head; node = node->next) {
        const struct span *span = LIST_ENTRY(node, struct span, link);
        unsigned mark = mark_load(&span->mark);
        if ((mark & ~CODE_CACHED) == LARGE_USER) {
            add_blocks(class_of_span(observation, span), (mark & CODE_CACHED) != 0, 1, span->bytes);
        }
    }
}

static void take_pages(struct core *core, struct observation *observation)
{
    struct pageheap *pages = &core->pages;
    lock_acquire(&pages->lock);
    take_spans(observation, &pages->large);
    take_spans(observation, &pages->own);
    lock_release(&pages->lock);
    pageheap_stats_get(pages, &observation->pages);
}

static size_t metadata_bytes(struct core *core)
{
    struct slab_pool *pool = &core->chunk_pool;
    lock_acquire(&pool->lock);
    size_t purged = pool->purged_count * SLAB_OBJECTS * pool->object_bytes;
    lock_release(&pool->lock);
    lock_acquire(&core->meta.lock);
    size_t used = core->meta.used;
    lock_release(&core->meta.lock);
    return used - purged;
}

/* Sums */

static void fill_from_pages(struct hm_stats *stats, const struct pageheap_stats *pages, size_t page_size)
{
    stats->dirty = pages->dirty;
    stats->clean = pages->clean;
    stats->from_break = pages->from_break;
    stats->from_map = pages->from_map;
    stats->own = pages->own + pages->own_cached;
    stats->own_kept = pages->own_cached;
    stats->mapped = stats->from_break + stats->from_map + stats->own;
    stats->purged = pages->purged;
    stats->trimmed = pages->trimmed;
    stats->purges = pages->purges;
    stats->faults_avoided = pages->reused_dirty / page_size;
    stats->os_refusals = pages->refusals;
}

static void fill_from_heaps(struct hm_stats *stats, const struct observe_heap *all)
{
    stats->free_in_chunks = all->holes + all->dead;
    stats->sweeps = all->counted.sweeps;
    stats->refills = all->counted.refills;
    stats->flushes = all->counted.flushes;
    stats->remote_frees = all->counted.remote_frees;
    stats->chunks = all->chunks;
    stats->served = all->counted.carved + all->counted.large_allocs;
}

/* bytes * part / whole; the product may need more than 64 bits. */
static size_t share(size_t bytes, size_t part, size_t whole)
{
    return whole == 0 ? bytes : (size_t)((unsigned __int128)bytes * part / whole);
}

static void fill_from_classes(struct hm_stats *stats, const struct observation *observation)
{
    const struct theap_stats *counted = &observation->all.counted;
    for (unsigned i = 0; i < OBSERVE_CLASSES; i++) {
        const struct observe_class *row = &observation->class[i];
        stats->live += row->live;
        stats->live_blocks += row->live_blocks;
        stats->cached += row->cached;
    }
    size_t in_chunks = observation->all.live;
    stats->requested = share(in_chunks, counted->sampled_requested, counted->sampled_granted) +
                       share(stats->live - in_chunks, counted->large_requested, counted->large_granted);
}

void observe_take(struct core *core, struct observation *observation)
{
    struct hm_stats *stats = &observation->stats;
    memset(observation, 0, sizeof *observation);
    for (unsigned class = 0; class < CLASS_COUNT; class ++) {
        observation->class[class].block_bytes = class_bytes[class];
    }
    take_heaps(core, observation);
    take_pages(core, observation);
    fill_from_pages(stats, &observation->pages, core->os->page_size);
    fill_from_heaps(stats, &observation->all);
    fill_from_classes(stats, observation);
    stats->metadata = metadata_bytes(core);
    stats->resident = os_resident();
}

void observe_stats(struct core *core, struct hm_stats *stats)
{
    struct observation observation;
    observe_take(core, &observation);
    *stats = observation.stats;
}
