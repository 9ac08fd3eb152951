#include "heap/bins.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/stat.h"
#include "heap/core.h"
#include "heap/diagnose.h"
#include "heap/large.h"
#include "heap/remote.h"

#define BATCH_BYTES  16384u            /* what one refill fetches at most, */
#define BATCH_BLOCKS BINS_MAX_CAPACITY /* and in blocks */
#define IDLE_SHARE   32u               /* of the heap's chunks: less than that may be idle */

#define LARGE_CLASSES (~UINT64_C(0) << (CLASS_IN_CHUNK - 64)) /* in the second word */

static_assert(CLASS_COUNT <= 128, "two words have a bit for each class");
static_assert(CLASS_IN_CHUNK >= 64, "large classes have theirs in the second word");

static struct entry *entry_at(struct theap *heap, uintptr_t offset)
{
    return (struct entry *)(void *)((char *)heap + offset);
}

static uintptr_t offset_of(const struct theap *heap, const struct entry *entry)
{
    return (uintptr_t)entry - (uintptr_t)heap;
}

unsigned bins_max_batch(unsigned class)
{
    unsigned blocks = BATCH_BYTES / class_bytes[class];
    blocks = blocks > 0 ? blocks : 1;
    return blocks < BATCH_BLOCKS ? blocks : BATCH_BLOCKS;
}

static unsigned max_capacity(unsigned class)
{
    unsigned capacity = BINS_MIN_CAPACITY;
    while (capacity < BINS_MAX_CAPACITY && capacity < 2 * bins_max_batch(class) - 1) {
        capacity = 2 * capacity + 1;
    }
    return capacity;
}

struct entry *bins_bottom(struct theap *heap, unsigned class)
{
    return entry_at(heap, heap->bin[class].limit) - heap->info[class].room;
}

unsigned bins_count(struct theap *heap, unsigned class)
{
    /* Also while an array or its room is being exchanged, as a forked child may find it: then the entries are lost. */
    if (heap->info[class].capacity == 0) {
        return 0;
    }
    return (unsigned)(entry_at(heap, heap->bin[class].top) - bins_bottom(heap, class));
}

static void set_array(struct theap *heap, unsigned class, struct entry *bottom, unsigned capacity,
                      unsigned count)
{
    unsigned room = class < CLASS_IN_CHUNK ? capacity : 0;
    uint64_t bit = UINT64_C(1) << class % 64;
    heap->with_array[class / 64] =
        capacity != 0 ? heap->with_array[class / 64] | bit : heap->with_array[class / 64] & ~bit;
    uint8_t *visible = &heap->info[class].capacity;
    __atomic_store_n(visible, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&heap->bin[class].top, offset_of(heap, bottom + count), __ATOMIC_RELEASE);
    __atomic_store_n(&heap->info[class].room, (uint8_t)room, __ATOMIC_RELEASE);
    __atomic_store_n(&heap->bin[class].limit, offset_of(heap, bottom + room), __ATOMIC_RELEASE);
    __atomic_store_n(visible, (uint8_t)capacity, __ATOMIC_RELEASE);
}

void bins_set_room(struct theap *heap, unsigned class, unsigned room)
{
    struct entry *bottom = bins_bottom(heap, class);
    uint8_t *visible = &heap->info[class].capacity;
    uint8_t capacity = *visible;
    __atomic_store_n(visible, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&heap->info[class].room, (uint8_t)room, __ATOMIC_RELEASE);
    __atomic_store_n(&heap->bin[class].limit, offset_of(heap, bottom + room), __ATOMIC_RELEASE);
    __atomic_store_n(visible, capacity, __ATOMIC_RELEASE);
}

unsigned bins_reserve(struct theap *heap, unsigned class, unsigned count)
{
    unsigned old_capacity = heap->info[class].capacity;
    unsigned limit = max_capacity(class);
    unsigned capacity = old_capacity != 0 ? old_capacity : BINS_MIN_CAPACITY;
    while (capacity < count && capacity < limit) {
        capacity = 2 * capacity + 1;
    }
    struct entry *bottom = capacity > old_capacity ? core_array_get(heap->core, capacity) : NULL;
    if (bottom != NULL) {
        struct entry *old = bins_bottom(heap, class);
        unsigned used = bins_count(heap, class);
        memcpy(bottom + 1, old + 1, used * sizeof *old);
        set_array(heap, class, bottom, capacity, used);
        if (old_capacity != 0) {
            core_array_put(heap->core, old, old_capacity);
        }
    }
    return heap->info[class].capacity;
}

struct entry *bins_end(struct theap *heap, unsigned class)
{
    return entry_at(heap, heap->bin[class].top) + 1;
}

void bins_advance(struct theap *heap, unsigned class, unsigned count)
{
    heap->bin[class].top += count * sizeof(struct entry);
    HM_ASSERT(heap->bin[class].top <= heap->bin[class].limit, "a bin's top is at most its limit");
}

/* An entry that a fork may have torn counts only if it is one of a cached block of this class. */
static bool entry_is_whole(unsigned class, const struct entry *entry, const struct chunk *chunk)
{
    if (chunk == NULL || entry->mark != &chunk->map[chunk_granule((uintptr_t)entry->block) / 2]) {
        return false;
    }
    unsigned granule = chunk_granule((uintptr_t)entry->block);
    return mark_load(entry->mark) == (class_code(class, granule % 2) | CODE_CACHED);
}

static bool large_entry_is_whole(const struct theap *heap, unsigned class, const struct entry *entry)
{
    struct span *span = large_find(heap->core, (uintptr_t)entry->block);
    return span != NULL && entry->mark == &span->mark && span->bin == class &&
           atomic_load_explicit(&span->owner, memory_order_relaxed) == heap &&
           mark_load(entry->mark) == (LARGE_USER | CODE_CACHED);
}

/* The block dies, and the map says so. */
HM_INLINE void end_block(const struct entry *entry, uint8_t *mark)
{
    /* Else two threads freed it at the same moment. */
    if (HM_UNLIKELY(HM_RACY_BYTE(mark) <= CODE_CACHED)) {
        diagnose_race(entry->block);
    }
    mark_store(mark, CODE_DEAD);
}

/* What was ended: a chunk for each row of entries of one. Those of this heap from the front; those of others, which don't know of it
 * yet, from the back, with how much it was. */
struct ended {
    unsigned own;
    unsigned others;
    uint32_t own_granules;
    uint32_t granules[BINS_MAX_CAPACITY];
    struct chunk *chunk[BINS_MAX_CAPACITY];
};

static void ended_init(struct ended *ended)
{
    ended->own = 0;
    ended->others = 0;
    ended->own_granules = 0;
}

static void end_row_of_other(struct ended *ended, struct chunk *chunk, uint32_t granules)
{
    unsigned place = BINS_MAX_CAPACITY - ++ended->others;
    ended->granules[place] = granules;
    ended->chunk[place] = chunk;
    ended->own_granules -= granules;
}

/* `own` is the next place for one of this heap's chunks; returns the next but this one. Who owns a chunk changes only with the lock of
 * whose it is held, and no thread but this one takes any over for this heap. */
HM_INLINE struct chunk **end_row(struct theap *heap, struct ended *ended, struct chunk **own,
                                 struct chunk *chunk, uint32_t granules)
{
    if (HM_UNLIKELY(atomic_load_explicit(&chunk->span.owner, memory_order_relaxed) != heap)) {
        end_row_of_other(ended, chunk, granules);
        return own;
    }
    chunk_lower(chunk, granules);
    *own = chunk;
    return own + 1;
}

/* Marks the entries' blocks dead and lowers this heap's chunks' counts, once for each row of entries of one chunk. `count` > 0;
 * the last entry is spoilt. */
static void end_blocks(struct theap *heap, unsigned class, struct entry *entries, unsigned count,
                       struct ended *ended)
{
    const uint32_t granules = class_granules(class);
    struct chunk **own = ended->chunk + ended->own;
    struct entry *last = entries + count - 1;
    struct entry *entry = entries;
    uint8_t *last_mark = last->mark;
    /* Of no chunk, so that a row ends there without being asked for. */
    last->mark = NULL;
    ended->own_granules += count * granules;
    while (entry != last) {
        uint8_t *mark = entry->mark;
        struct chunk *chunk = chunk_of_mark(entry->block, mark);
        uintptr_t window_of = (uintptr_t)0 - (uintptr_t)chunk->map;
        uint32_t dead = 0;
        HM_FORGET(window_of); /* or it is subtracted from a copy of each mark */
        do {
            end_block(entry, mark);
            dead += granules;
            entry++;
            mark = entry->mark;
        } while ((uintptr_t)mark + window_of < CHUNK_WINDOWS);
        own = end_row(heap, ended, own, chunk, dead);
    }
    end_block(last, last_mark);
    own = end_row(heap, ended, own, chunk_of_mark(last->block, last_mark), granules);
    ended->own = (unsigned)(own - ended->chunk);
}

/* Lock held. */
static void settle_own_locked(struct theap *heap, const struct ended *ended)
{
    stat_add(&heap->used, 0 - (size_t)ended->own_granules);
    theap_settle_locked(heap, ended->chunk, ended->own);
}

/* Other heaps' locks may be needed: none is held. */
static void settle_others(const struct ended *ended)
{
    for (unsigned i = BINS_MAX_CAPACITY - ended->others; i < BINS_MAX_CAPACITY; i++) {
        remote_settled(ended->chunk[i], chunk_lose(ended->chunk[i], ended->granules[i]));
    }
}

static void flush_small(struct theap *heap, unsigned class, struct entry *entries, unsigned count,
                        bool trusted)
{
    struct ended ended;
    ended_init(&ended);
    lock_acquire(&heap->lock);
    stat_add(&heap->stats.flushes, 1);
    if (trusted) {
        end_blocks(heap, class, entries, count, &ended);
    } else {
        /* One at a time: an entry that was being moved may be there twice. */
        for (unsigned i = 0; i < count; i++) {
            const struct chunk *chunk = table_find(&heap->core->table, (uintptr_t)entries[i].block);
            if (entry_is_whole(class, &entries[i], chunk)) {
                end_blocks(heap, class, &entries[i], 1, &ended);
            }
        }
    }
    heap->flushed += ended.own_granules;
    settle_own_locked(heap, &ended);
    lock_release(&heap->lock);
    settle_others(&ended);
}

static unsigned class_of_entry(const struct entry *entry)
{
    unsigned code = mark_load(entry->mark) & ~CODE_CACHED;
    if (HM_UNLIKELY(code == 0)) {
        diagnose_race(entry->block);
    }
    return code_class(code);
}

/* The class of a loose block, or CLASS_COUNT when a fork tore the entry. */
static unsigned whole_class(const struct theap *heap, const struct entry *entry)
{
    const struct chunk *chunk = table_find(&heap->core->table, (uintptr_t)entry->block);
    for (unsigned class = 0; class < CLASS_IN_CHUNK; class ++) {
        if (entry_is_whole(class, entry, chunk)) {
            return class;
        }
    }
    return CLASS_COUNT;
}

void bins_settle_loose(struct theap *heap, bool trusted)
{
    struct ended ended;
    if (heap->loose_count == 0) {
        return;
    }
    ended_init(&ended);
    lock_acquire(&heap->lock);
    for (size_t i = 0; i < heap->loose_count; i++) {
        struct entry *entry = &heap->loose[i];
        unsigned class = trusted ? class_of_entry(entry) : whole_class(heap, entry);
        if (class < CLASS_IN_CHUNK) {
            end_blocks(heap, class, entry, 1, &ended);
        }
    }
    heap->loose_count = 0;
    settle_own_locked(heap, &ended);
    lock_release(&heap->lock);
    settle_others(&ended);
}

void bins_settle(struct theap *heap, unsigned class, void *block, uint8_t *mark)
{
    if (class >= CLASS_IN_CHUNK) {
        large_discard(heap->core, large_of_mark(mark));
        return;
    }
    heap->loose[heap->loose_count++] = (struct entry){.block = block, .mark = mark};
    if (heap->closed || heap->loose_count == THEAP_LOOSE_MAX) {
        bins_settle_loose(heap, true);
    }
}

static void flush_large(struct theap *heap, unsigned class, const struct entry *entries, unsigned count,
                        bool trusted)
{
    for (unsigned i = 0; i < count; i++) {
        if (trusted || large_entry_is_whole(heap, class, &entries[i])) {
            if (HM_UNLIKELY(mark_load(entries[i].mark) != (LARGE_USER | CODE_CACHED))) {
                diagnose_race(entries[i].block);
            }
            large_discard(heap->core, large_of_mark(entries[i].mark));
        }
    }
}

void bins_flush(struct theap *heap, unsigned class, unsigned count, bool trusted)
{
    if (count == 0) {
        return;
    }
    struct entry *bottom = bins_bottom(heap, class);
    unsigned used = bins_count(heap, class);
    if (class < CLASS_IN_CHUNK) {
        flush_small(heap, class, bottom + 1, count, trusted);
    } else {
        flush_large(heap, class, bottom + 1, count, trusted);
    }
    memmove(bottom + 1, bottom + 1 + count, (used - count) * sizeof *bottom);
    heap->bin[class].top -= count * sizeof *bottom;
}

/* Where the bin's top is, but for what lies 256 entries apart. */
static uint8_t top_seen(const struct theap *heap, unsigned class)
{
    return (uint8_t)(heap->bin[class].top / sizeof(struct entry));
}

static unsigned older_half(struct theap *heap, unsigned class)
{
    return (bins_count(heap, class) + 1) / 2;
}

/* Looks at 64 classes from `first` on: which of those in `looked_at` are idle, and what their older halves have together. */
static uint64_t find_idle(struct theap *heap, unsigned first, uint64_t looked_at, size_t *bytes)
{
    uint64_t idle = 0;
    for (uint64_t rest = looked_at; rest != 0; rest &= rest - 1) {
        unsigned class = first + bits_lowest(rest);
        uint8_t seen = top_seen(heap, class);
        if (seen == heap->info[class].seen) {
            *bytes += (size_t)older_half(heap, class) * class_bytes[class];
            idle |= rest & (0 - rest);
        }
        heap->info[class].seen = seen;
    }
    return idle;
}

static void flush_idle(struct theap *heap, unsigned first, uint64_t idle)
{
    for (uint64_t rest = idle; rest != 0; rest &= rest - 1) {
        unsigned class = first + bits_lowest(rest);
        unsigned count = older_half(heap, class);
        if (count > 0) {
            bins_flush(heap, class, count, true);
            heap->info[class].batch = (uint8_t)((heap->info[class].batch + 1) / 2);
            heap->info[class].seen = top_seen(heap, class);
        }
    }
}

bool bins_age(struct theap *heap)
{
    size_t least = stat_get(&heap->chunk_count) * (CHUNK_BYTES / IDLE_SHARE);
    size_t bytes = 0;
    uint64_t lower = find_idle(heap, 0, heap->with_array[0], &bytes);
    uint64_t upper = find_idle(heap, 64, heap->with_array[1] & ~LARGE_CLASSES, &bytes);
    bool enough = bytes > 0 && bytes >= least;
    if (enough) {
        flush_idle(heap, 0, lower);
        flush_idle(heap, 64, upper);
    }
    return enough;
}

void bins_age_large(struct theap *heap)
{
    size_t bytes = 0;
    flush_idle(heap, 64, find_idle(heap, 64, heap->with_array[1] & LARGE_CLASSES, &bytes));
}

static void discard_array(struct theap *heap, unsigned class)
{
    unsigned capacity = heap->info[class].capacity;
    struct entry *bottom = bins_bottom(heap, class);
    /* The bin forgets the array first: after a fork in between it must not be given back once more. */
    set_array(heap, class, &heap->none, 0, 0);
    if (capacity != 0) {
        core_array_put(heap->core, bottom, capacity);
    }
}

void bins_discard_arrays(struct theap *heap)
{
    for (unsigned class = 0; class < CLASS_COUNT; class ++) {
        HM_CHECK(bins_count(heap, class) == 0, "only empty bins lose their arrays");
        discard_array(heap, class);
        heap->info[class].batch = 0;
    }
    heap->narrow = CLASS_COUNT;
}

void bins_open_narrow(struct theap *heap, unsigned class)
{
    unsigned old = heap->narrow;
    if (old != CLASS_COUNT && heap->info[old].capacity <= BINS_NARROW && heap->info[old].batch == 0) {
        bins_flush(heap, old, bins_count(heap, old), true);
        discard_array(heap, old);
    }
    heap->narrow = class;
    bins_reserve(heap, class, BINS_NARROW);
}
