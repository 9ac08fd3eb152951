#include "heap/theap.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/stat.h"
#include "chunk/sweep.h"
#include "heap/bins.h"
#include "heap/core.h"
#include "heap/diagnose.h"
#include "heap/large.h"
#include "heap/remote.h"

#define SWEEP_MIN_BUCKET  7u              /* 2^7 granules: 1/32 of a chunk */
#define SPARSE_MIN_CHUNKS 16u             /* smaller heaps are never sparse */
#define KEPT_MAX          63u             /* entries that a full bin keeps at most */
#define DROP_MIN_GRANULES ((size_t)32768) /* 512 KiB flushed make dropping the bins worth while */

void theap_init(struct theap *heap, struct core *core, uint64_t secret)
{
    memset(heap, 0, sizeof *heap);
    heap->core = core;
    heap->ticks = THEAP_TICKS;
    heap->narrow = CLASS_COUNT;
    lock_init(&heap->lock, LOCK_RANK_THEAP);
    holes_init(&heap->holes, secret);
    list_init(&heap->chunks);
    for (unsigned b = 0; b < THEAP_BUCKETS; b++) {
        list_init(&heap->bucket[b]);
    }
    list_init(&heap->in_registry);
    list_init(&heap->in_state);
}

/* Chunks */

static struct chunk *chunk_of_age(struct list *node)
{
    return LIST_ENTRY(node, struct chunk, span.age);
}

/* By the dead granules that the last sweep left none of. */
static unsigned bucket_of(unsigned dead)
{
    return dead == 0 ? 0 : bits_log2(dead);
}

static void unbucket(struct theap *heap, struct chunk *chunk)
{
    list_remove(&chunk->span.age);
    if (list_empty(&heap->bucket[chunk->bucket])) {
        heap->buckets &= ~(1u << chunk->bucket);
    }
}

static void enter_bucket(struct theap *heap, struct chunk *chunk)
{
    list_push_back(&heap->bucket[chunk->bucket], &chunk->span.age);
    heap->buckets |= 1u << chunk->bucket;
}

/* The chunk's bucket, and the `used` below which it becomes another. */
static uint8_t find_bucket(struct chunk *chunk, uint32_t used)
{
    unsigned taken = used + chunk->linked + chunk->swept_dead;
    unsigned dead = taken < CHUNK_GRANULES ? CHUNK_GRANULES - taken : 0;
    unsigned bucket = bucket_of(dead);
    unsigned until = (2u << bucket) - dead;
    atomic_store_explicit(&chunk->review_used, used > until ? used - until : 0, memory_order_relaxed);
    return (uint8_t)bucket;
}

/* Remote frees are seen here, some time later. */
static void hear(struct theap *heap, struct chunk *chunk)
{
    uint32_t gone = atomic_load_explicit(&chunk->gone, memory_order_relaxed);
    stat_add(&heap->used, (size_t)0 - (gone - chunk->heard));
    chunk->heard = gone;
}

/* The chunk's part of the heap's sum. */
static uint32_t counted(const struct chunk *chunk)
{
    return atomic_load_explicit(&chunk->kept, memory_order_relaxed) - chunk->heard;
}

void theap_rebucket_locked(struct theap *heap, struct chunk *chunk)
{
    uint8_t bucket = find_bucket(chunk, chunk_used(chunk));
    hear(heap, chunk);
    if (bucket != chunk->bucket) {
        unbucket(heap, chunk);
        chunk->bucket = bucket;
        enter_bucket(heap, chunk);
    }
}

static void own_chunk(struct theap *heap, struct chunk *chunk)
{
    list_push_back(&heap->chunks, &chunk->span.link);
    chunk->bucket = find_bucket(chunk, chunk_used(chunk));
    enter_bucket(heap, chunk);
    chunk->heard = atomic_load_explicit(&chunk->gone, memory_order_relaxed);
    stat_add(&heap->used, counted(chunk));
    stat_add(&heap->chunk_count, 1);
    atomic_store(&chunk->span.owner, heap);
    table_enter(&heap->core->table, chunk);
}

static void disown_chunk(struct theap *heap, struct chunk *chunk)
{
    holes_remove_all(&heap->holes, chunk);
    stat_add(&heap->used, (size_t)0 - counted(chunk));
    unbucket(heap, chunk);
    list_remove(&chunk->span.link);
    stat_add(&heap->chunk_count, (size_t)-1);
}

/* `used` counts too little when a block was freed twice at the same moment and the owner's mark came last. */
static void wipe_empty(struct chunk *chunk)
{
    unsigned window = chunk_clear_dead(chunk, 0);
    if (HM_UNLIKELY(window < CHUNK_WINDOWS)) {
        unsigned code = mark_load(&chunk->map[window]) & ~CODE_CACHED;
        diagnose_race((const void *)chunk_address(chunk, 2 * window + code_parity(code)));
    }
}

void theap_release_locked(struct theap *heap, struct chunk *chunk)
{
    struct core *core = heap->core;
    HM_ASSERT(chunk_used(chunk) == 0, "only an unused chunk is given back");
    disown_chunk(heap, chunk);
    wipe_empty(chunk);
    stat_add(&heap->stats.chunks_released, 1);
    atomic_store(&chunk->span.owner, NULL);
    table_clear(&core->table, chunk);
    pageheap_free(&core->pages, &chunk->span);
    core_chunk_put(core, chunk);
}

static void review(struct theap *heap, struct chunk *chunk)
{
    if (chunk_used(chunk) != 0) {
        theap_rebucket_locked(heap, chunk);
        return;
    }
    theap_release_locked(heap, chunk);
    /* Whoever makes a chunk no longer the heap's looks into the inbox after that: if it stayed there, nobody would
     * hear of remote frees in the chunk's next life until this heap's next drain. */
    theap_drain_locked(heap);
}

void theap_settle_locked(struct theap *heap, struct chunk *const *chunks, unsigned count)
{
    if (!HM_TSAN) {
        atomic_thread_fence(memory_order_seq_cst);
    }
    for (unsigned i = 0; i < count; i++) {
        if (HM_TSAN) {
            /* What TSan, which knows no fences, takes in its place. */
            atomic_fetch_add(&chunks[i]->gone, 0);
        }
        /* One of those before may have taken this one along, through the inbox or because it's the same: then it may be another
         * heap's by now. */
        if (chunk_used(chunks[i]) <= atomic_load_explicit(&chunks[i]->review_used, memory_order_relaxed) &&
            atomic_load_explicit(&chunks[i]->span.owner, memory_order_relaxed) == heap) {
            review(heap, chunks[i]);
        }
    }
}

void theap_lower_locked(struct theap *heap, struct chunk *chunk, unsigned granules)
{
    chunk_lower(chunk, granules);
    stat_add(&heap->used, (size_t)0 - granules);
}

void theap_drain_locked(struct theap *heap)
{
    /* Until it is empty: a chunk that was given back here may have been announced once more. */
    while (atomic_load(&heap->inbox) != NULL) {
        struct chunk *list = atomic_exchange(&heap->inbox, NULL);
        while (list != NULL) {
            struct chunk *chunk = list;
            list = remote_unlink(chunk);
            if (atomic_load_explicit(&chunk->span.owner, memory_order_acquire) != heap) {
                remote_announce(chunk);
            } else if (chunk_used(chunk) == 0) {
                theap_release_locked(heap, chunk);
            } else {
                theap_rebucket_locked(heap, chunk);
            }
        }
    }
}

void theap_tidy_locked(struct theap *heap)
{
    theap_drain_locked(heap);
    struct list *next;
    for (struct list *node = heap->chunks.next; node != &heap->chunks; node = next) {
        struct chunk *chunk = LIST_ENTRY(node, struct chunk, span.link);
        next = node->next;
        if (chunk_used(chunk) == 0) {
            theap_release_locked(heap, chunk);
        }
    }
}

bool theap_add_chunk(struct theap *heap)
{
    struct core *core = heap->core;
    struct chunk *chunk = core_chunk_get(core);
    if (chunk == NULL) {
        return false;
    }
    if (!pageheap_alloc(&core->pages, &chunk->span, CHUNK_BYTES, CHUNK_BYTES, SPAN_CHUNK)) {
        core_chunk_put(core, chunk);
        return false;
    }
    lock_acquire(&heap->lock);
    list_init(&chunk->span.link);
    list_init(&chunk->span.age);
    carve_init(&heap->holes, chunk, chunk->span.zero);
    own_chunk(heap, chunk);
    stat_add(&heap->stats.chunks_made, 1);
    lock_release(&heap->lock);
    return true;
}

void theap_sweep_locked(struct theap *heap, struct chunk *chunk, struct carve_order *order)
{
    sweep_chunk(&heap->holes, chunk, order);
    theap_rebucket_locked(heap, chunk);
    stat_add(&heap->stats.sweeps, 1);
}

struct chunk *theap_most_dead_locked(struct theap *heap)
{
    if (heap->buckets >> SWEEP_MIN_BUCKET == 0) {
        return NULL;
    }
    return chunk_of_age(heap->bucket[bits_log2(heap->buckets)].next);
}

void theap_sweep_all_locked(struct theap *heap)
{
    for (struct list *node = heap->chunks.next; node != &heap->chunks; node = node->next) {
        struct chunk *chunk = LIST_ENTRY(node, struct chunk, span.link);
        if (chunk_dead(chunk) > 0) {
            theap_sweep_locked(heap, chunk, NULL);
        }
    }
}

static bool take_chunks(struct theap *heap, struct theap *orphan, unsigned granules)
{
    theap_drain_locked(orphan);
    while (!list_empty(&orphan->chunks)) {
        struct chunk *chunk = LIST_ENTRY(orphan->chunks.next, struct chunk, span.link);
        if (chunk_used(chunk) == 0) {
            theap_release_locked(orphan, chunk);
            continue;
        }
        disown_chunk(orphan, chunk);
        own_chunk(heap, chunk);
        stat_add(&heap->stats.chunks_adopted, 1);
        theap_sweep_locked(heap, chunk, NULL);
        if (holes_find(&heap->holes, granules) != NULL) {
            return true;
        }
    }
    return false;
}

bool theap_adopt_locked(struct theap *heap, struct theap *orphan, unsigned granules)
{
    bool found = take_chunks(heap, orphan, granules);
    /* After the owners were changed: whoever announced to the old one before is met here, who does later sees the
     * new one. */
    theap_drain_locked(orphan);
    return found;
}

/* Taking back */

void theap_follow_mode(struct theap *heap)
{
    bool closed = atomic_load_explicit(&heap->core->instrumented, memory_order_relaxed);
    if (HM_UNLIKELY(closed != heap->closed)) {
        theap_drop_bins(heap, true);
        bins_discard_arrays(heap);
        heap->closed = closed;
    }
}

/* True when blocks take less than an eighth of the heap: then what waits in bins may keep most of it from being given
 * back. */
static bool is_sparse(const struct theap *heap)
{
    size_t chunks = stat_get(&heap->chunk_count);
    return chunks >= SPARSE_MIN_CHUNKS && stat_get(&heap->used) < chunks * (CHUNK_GRANULES / 8);
}

/* When a quarter of the heap was flushed since, the bins' blocks may keep chunks alive that could go. */
static void drop_when_much_was_freed(struct theap *heap)
{
    size_t quarter = stat_get(&heap->chunk_count) * (CHUNK_GRANULES / 4);
    if (heap->flushed > DROP_MIN_GRANULES && heap->flushed > quarter) {
        theap_drop_bins(heap, true);
    } else if (is_sparse(heap) && heap->flushed > stat_get(&heap->used) / 4) {
        /* Without arrays, blocks go straight to their chunks until a bin is refilled. */
        theap_drop_bins(heap, true);
        bins_discard_arrays(heap);
    }
}

/* In a sparse heap, of the bins without an array the one that blocks are freed into in a row gets a narrow one. */
static void push_without_array(struct theap *heap, unsigned class, void *block, uint8_t *mark)
{
    bins_settle(heap, class, block, mark);
    if (class < CLASS_IN_CHUNK && heap->loose_count == 0) {
        bins_open_narrow(heap, class);
    }
}

/* Half of the entries, so that neither frees nor allocations soon meet the bin's end again; but of a large bin what makes the
 * next flush rare enough is what was flushed, not what stays. */
static unsigned kept_when_full(unsigned count)
{
    return count / 2 < KEPT_MAX ? count / 2 : KEPT_MAX;
}

static void make_place(struct theap *heap, unsigned class, unsigned count, bool narrow)
{
    remote_pay(heap);
    bins_flush(heap, class, narrow ? count : count - kept_when_full(count), true);
    if (!narrow) {
        drop_when_much_was_freed(heap);
    }
    pageheap_tick(&heap->core->pages);
}

void theap_push(struct theap *heap, unsigned class, void *block, uint8_t *mark)
{
    theap_follow_mode(heap);
    if (heap->closed) {
        bins_settle(heap, class, block, mark);
        return;
    }
    unsigned capacity = heap->info[class].capacity;
    bool sparse = is_sparse(heap);
    if (sparse && capacity == 0) {
        push_without_array(heap, class, block, mark);
        return;
    }
    bool narrow = sparse && class == heap->narrow && capacity <= BINS_NARROW;
    unsigned count = bins_count(heap, class);
    unsigned room = narrow ? capacity : bins_reserve(heap, class, count + 1);
    if (count > 0 && count == room) {
        make_place(heap, class, count, narrow);
        room = heap->info[class].capacity;
    }
    if (room == 0 || (class >= CLASS_IN_CHUNK && !large_grant(heap, class))) {
        bins_settle(heap, class, block, mark);
        return;
    }
    struct entry *end = bins_end(heap, class);
    end->block = block;
    end->mark = mark;
    bins_advance(heap, class, 1);
}

void theap_drop_bins(struct theap *heap, bool trusted)
{
    for (unsigned class = 0; class < CLASS_COUNT; class ++) {
        bins_flush(heap, class, bins_count(heap, class), trusted);
    }
    bins_settle_loose(heap, trusted);
    large_drop(heap, trusted);
    if (trusted) {
        remote_pay(heap);
    } else {
        /* These may be torn too. */
        heap->large_room = 0;
        heap->owed = 0;
    }
    heap->flushed = 0;
}

void theap_verify(struct theap *heap)
{
    size_t chunks = 0;
    size_t linked = 0;
    size_t used = 0;
    size_t in_holes = 0;
    lock_acquire(&heap->lock);
    for (struct list *node = heap->chunks.next; node != &heap->chunks; node = node->next) {
        struct chunk *chunk = LIST_ENTRY(node, struct chunk, span.link);
        HM_CHECK(atomic_load(&chunk->span.owner) == heap, "a heap owns the chunks on its list");
        HM_CHECK(table_find(&heap->core->table, chunk->span.addr) == chunk, "the table leads to every chunk");
        HM_CHECK((heap->buckets >> chunk->bucket & 1) != 0, "a bucket's bit is set while it has chunks");
        HM_CHECK(mark_load(&chunk->span.mark) == 0, "only a large span has a mark");
        chunk_verify(chunk);
        linked += chunk->linked;
        used += counted(chunk);
        chunks++;
    }
    holes_verify(&heap->holes, &in_holes);
    HM_CHECK(used == heap->used, "used is the sum of what was counted of each chunk");
    HM_CHECK(chunks == heap->chunk_count, "chunk_count counts the chunks");
    HM_CHECK(linked == in_holes, "the holes of all chunks are those of the index");
    lock_release(&heap->lock);
}
