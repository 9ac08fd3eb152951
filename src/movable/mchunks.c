#include "movable/mchunks.h"

#include "base/check.h"

#define TRIM_MIN       ((uint32_t)16 << 10)
#define ROOM_SHARE     8  /* room: this part of a chunk */
#define KEEP_SHARE     32 /* empty chunks kept: this part of all */
#define UNTENDED_SHARE 8  /* fresh chunks since the last step of compaction: this part of all */

void mchunks_init(struct mchunks *set, struct pageheap *pages, struct meta_pool *pool,
                  struct readers *readers)
{
    lock_init(&set->lock, LOCK_RANK_MOVABLE_HEAP);
    set->pages = pages;
    set->pool = pool;
    set->readers = readers;
    atomic_store_explicit(&set->held, 0, memory_order_relaxed);
    set->count = 0;
    set->limbo_count = 0;
    set->going_count = 0;
    set->untended = 0;
    set->released = 0;
    atomic_store_explicit(&set->freed, 0, memory_order_relaxed);
    atomic_store_explicit(&set->taken, 0, memory_order_relaxed);
    set->filled = 0;
    for (unsigned i = 0; i < MCHUNKS_BUCKETS; i++) {
        list_init(&set->bucket[i]);
    }
    list_init(&set->stuck);
    list_init(&set->room);
    list_init(&set->limbo);
    list_init(&set->all);
}

static void lock(struct mchunks *set)
{
    movable_lock(&set->lock, set->locked);
}

static void unlock(struct mchunks *set)
{
    movable_unlock(&set->lock, set->locked);
}

static struct mchunk *of_link(struct list *node)
{
    return LIST_ENTRY(node, struct mchunk, link);
}

void mchunk_set_nested(struct mchunk *chunk)
{
    atomic_store_explicit(&chunk->nested, true, memory_order_relaxed);
    atomic_fetch_or_explicit(&chunk->special, MCHUNK_NESTED, memory_order_relaxed);
}

/* Charges */

static bool charge(struct mchunks *set, size_t bytes, size_t limit)
{
    size_t held = atomic_load_explicit(&set->held, memory_order_relaxed);
    do {
        if (held > limit || bytes > limit - held) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&set->held, &held, held + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool mchunks_charge(struct mchunks *set, size_t bytes)
{
    return charge(set, bytes, set->limit - set->reserve);
}

void mchunks_discharge(struct mchunks *set, size_t bytes)
{
    atomic_fetch_sub_explicit(&set->held, bytes, memory_order_relaxed);
}

/* Lists: the lock is held. */

static void unlist(struct mchunks *set, struct mchunk *chunk)
{
    list_remove(&chunk->link);
    list_remove(&chunk->room);
    if (chunk->state == MCHUNK_LIMBO) {
        set->limbo_count--;
    } else if (chunk->bucket < MCHUNKS_BUCKETS && list_empty(&set->bucket[chunk->bucket])) {
        set->filled &= ~(UINT64_C(1) << chunk->bucket);
    }
}

static void hold(struct mchunks *set, struct mchunk *chunk)
{
    unlist(set, chunk);
    chunk->state = MCHUNK_HELD;
}

static void to_limbo(struct mchunks *set, struct mchunk *chunk)
{
    chunk->state = MCHUNK_LIMBO;
    chunk->epoch = readers_epoch(set->readers);
    chunk->stamp = set->pages->os->now_ms(set->pages->os);
    list_push_back(&set->limbo, &chunk->link);
    set->limbo_count++;
}

static void list_room(struct mchunks *set, struct mchunk *chunk)
{
    if (mchunk_end(chunk) - chunk->top >= set->chunk_bytes / ROOM_SHARE) {
        list_push_back(&set->room, &chunk->room);
    }
}

/* A chunk that is on no list. */
static void enlist(struct mchunks *set, struct mchunk *chunk)
{
    if (atomic_load_explicit(&chunk->live, memory_order_acquire) == 0) {
        to_limbo(set, chunk);
        return;
    }
    size_t bucket = (size_t)mchunk_garbage(chunk) * (MCHUNKS_BUCKETS - 1) / set->chunk_bytes;
    chunk->state = MCHUNK_LISTED;
    chunk->bucket = (uint8_t)bucket;
    list_push_back(&set->bucket[bucket], &chunk->link);
    set->filled |= UINT64_C(1) << bucket;
    list_room(set, chunk);
}

void mchunks_relist_locked(struct mchunks *set, struct mchunk *chunk)
{
    if (atomic_load_explicit(&chunk->set, memory_order_relaxed) == set && chunk->state == MCHUNK_LISTED) {
        unlist(set, chunk);
        enlist(set, chunk);
    }
}

bool mchunks_relist(struct mchunks *set, struct mchunk *chunk)
{
    atomic_fetch_add_explicit(&set->freed, MCHUNKS_CROSSING, memory_order_relaxed);
    lock(set);
    mchunks_relist_locked(set, chunk);
    bool many = set->limbo_count > mchunks_keep(set);
    unlock(set);
    return many;
}

void mchunks_give_locked(struct mchunks *set, struct mchunk *chunk)
{
    enlist(set, chunk);
}

void mchunks_give(struct mchunks *set, struct mchunk *chunk)
{
    lock(set);
    enlist(set, chunk);
    unlock(set);
}

void mchunks_give_stuck(struct mchunks *set, struct mchunk *chunk, uint32_t pass)
{
    lock(set);
    if (atomic_load_explicit(&chunk->live, memory_order_acquire) == 0) {
        to_limbo(set, chunk);
    } else {
        chunk->state = MCHUNK_LISTED;
        chunk->bucket = MCHUNKS_STUCK;
        chunk->pass = pass;
        list_push_back(&set->stuck, &chunk->link);
        list_room(set, chunk);
    }
    unlock(set);
}

/* Taking */

static struct mchunk *take_fresh(struct mchunks *set, size_t limit)
{
    if (!charge(set, set->chunk_bytes, limit)) {
        return NULL;
    }
    struct mchunk *chunk = meta_pool_get(set->pool);
    if (chunk == NULL) {
        mchunks_discharge(set, set->chunk_bytes);
        return NULL;
    }
    chunk->span.mark = MCHUNK_MARK;
    mchunk_init(chunk);
    atomic_store_explicit(&chunk->special, set->special, memory_order_relaxed);
    atomic_store_explicit(&chunk->set, set, memory_order_relaxed);
    if (!pageheap_alloc(set->pages, &chunk->span, set->chunk_bytes, set->chunk_bytes, SPAN_MOVABLE)) {
        atomic_store_explicit(&chunk->set, NULL, memory_order_relaxed);
        meta_pool_put(set->pool, chunk);
        mchunks_discharge(set, set->chunk_bytes);
        return NULL;
    }
    if (!chunk->span.zero) {
        chunk->touched = mchunk_end(chunk);
    }
    lock(set);
    list_push_back(&set->all, &chunk->all);
    set->count++;
    set->untended++;
    unlock(set);
    return chunk;
}

static struct mchunk *most_garbage(struct mchunks *set, unsigned least)
{
    uint64_t filled = set->filled >> least << least;
    return filled == 0 ? NULL : of_link(set->bucket[bits_log2(filled)].next);
}

static struct mchunk *least_garbage(struct mchunks *set)
{
    uint64_t filled = set->filled & ~UINT64_C(1);
    return filled == 0 ? NULL : of_link(set->bucket[bits_lowest(filled)].next);
}

static struct mchunk *emptied(struct mchunks *set)
{
    if (list_empty(&set->limbo)) {
        return NULL;
    }
    struct mchunk *chunk = of_link(set->limbo.next);
    return readers_safe(set->readers, chunk->epoch) || chunk->epoch < readers_advance(set->readers) ? chunk
                                                                                                    : NULL;
}

void mchunks_tended(struct mchunks *set)
{
    lock(set);
    set->untended = 0;
    unlock(set);
}

/* Where compaction is under way, chunks with few holes are left to it, until that has cost too many fresh ones. */
static unsigned least_wanted(const struct mchunks *set)
{
    return set->untended > set->count / UNTENDED_SHARE ? MCHUNKS_DENSE : MCHUNKS_SPARSE;
}

/* One of the chunks there are, before a fresh one is asked for: where the fewest headers have to be read. */
static struct mchunk *choose(struct mchunks *set, enum mchunks_want want)
{
    if (!list_empty(&set->room)) {
        return LIST_ENTRY(set->room.next, struct mchunk, room);
    }
    struct mchunk *chunk = emptied(set);
    if (chunk == NULL) {
        return want == WANT_ANY ? most_garbage(set, least_wanted(set)) : NULL;
    }
    chunk->top = MCHUNK_FIRST;
    chunk->purged = 0;
    atomic_store_explicit(&chunk->nested, false, memory_order_relaxed);
    atomic_store_explicit(&chunk->special, set->special, memory_order_relaxed);
    return chunk;
}

static struct mchunk *last_resort(struct mchunks *set, enum mchunks_want want)
{
    struct mchunk *chunk = want == WANT_MOVE ? least_garbage(set) : most_garbage(set, 1);
    if (chunk == NULL && want != WANT_MOVE && !list_empty(&set->stuck)) {
        chunk = of_link(set->stuck.next);
    }
    return chunk;
}

static struct mchunk *take_listed(struct mchunks *set, enum mchunks_want want,
                                  struct mchunk *(*chosen)(struct mchunks *, enum mchunks_want))
{
    lock(set);
    struct mchunk *chunk = chosen(set, want);
    if (chunk != NULL) {
        hold(set, chunk);
    }
    unlock(set);
    return chunk;
}

struct mchunk *mchunks_take(struct mchunks *set, enum mchunks_want want)
{
    struct mchunk *chunk = take_listed(set, want, choose);
    if (chunk == NULL) {
        chunk = take_fresh(set, want == WANT_MOVE ? set->limit : set->limit - set->reserve);
    }
    if (chunk == NULL) {
        chunk = take_listed(set, want, last_resort);
    }
    if (chunk != NULL) {
        chunk->purged = 0;
    }
    return chunk;
}

struct mchunk *mchunks_victim(struct mchunks *set, uint32_t pass, unsigned least)
{
    lock(set);
    struct mchunk *chunk = most_garbage(set, least);
    if (chunk == NULL && least == 1 && !list_empty(&set->stuck)) {
        struct mchunk *stuck = of_link(set->stuck.next);
        chunk = stuck->pass != pass ? stuck : NULL;
    }
    if (chunk != NULL) {
        hold(set, chunk);
    }
    unlock(set);
    return chunk;
}

/* Giving back */

size_t mchunks_trim(struct mchunks *set, struct mchunk *chunk)
{
    const struct os *os = set->pages->os;
    uintptr_t lo = bits_align_up(chunk->span.addr + chunk->top, os->page_size);
    uintptr_t hi = bits_align_up(chunk->span.addr + chunk->touched, os->page_size);
    if (hi <= lo + TRIM_MIN) {
        return 0;
    }
    uintptr_t from = hi - lo < MCHUNKS_PURGE + TRIM_MIN ? lo : hi - MCHUNKS_PURGE;
    if (!os->purge(os, (void *)from, hi - from)) {
        return 0;
    }
    chunk->touched = (uint32_t)(from - chunk->span.addr);
    return hi - from;
}

size_t mchunks_keep(const struct mchunks *set)
{
    size_t keep = set->count / KEEP_SHARE;
    return keep > 1 ? keep : 1;
}

/* The chunk is GOING, or the heap goes. */
static void discard(struct mchunks *set, struct mchunk *chunk, bool clean)
{
    lock(set);
    list_remove(&chunk->all);
    set->going_count -= chunk->state == MCHUNK_GOING ? 1 : 0;
    chunk->state = MCHUNK_NONE;
    atomic_store_explicit(&chunk->set, NULL, memory_order_relaxed);
    set->count--;
    set->released += set->chunk_bytes;
    mchunks_discharge(set, chunk->span.bytes);
    unlock(set);
    if (clean) {
        pageheap_free_clean(set->pages, &chunk->span);
    } else {
        pageheap_free(set->pages, &chunk->span);
    }
    meta_pool_put(set->pool, chunk);
}

/* Back to where it came from; the lock is held. */
static void stay(struct mchunks *set, struct mchunk *chunk)
{
    chunk->state = MCHUNK_LIMBO;
    set->going_count--;
    list_push_front(&set->limbo, &chunk->link);
    set->limbo_count++;
}

void mchunks_fork_child(struct mchunks *set)
{
    struct list *node = set->all.next;
    for (; node != &set->all && set->going_count > 0; node = node->next) {
        struct mchunk *chunk = LIST_ENTRY(node, struct mchunk, all);
        if (chunk->state == MCHUNK_GOING) {
            stay(set, chunk);
        }
    }
}

/* Purges the end of what was touched. False: refused. */
static bool purge_some(struct mchunks *set, struct mchunk *chunk, size_t *bytes)
{
    const struct os *os = set->pages->os;
    size_t hi = bits_align_up(chunk->touched, os->page_size);
    size_t lo = hi > MCHUNKS_PURGE ? bits_align_down(hi - MCHUNKS_PURGE, os->page_size) : 0;
    *bytes = hi - lo;
    if (!os->purge(os, (void *)(chunk->span.addr + lo), *bytes)) {
        return false;
    }
    chunk->touched = (uint32_t)lo;
    return true;
}

size_t mchunks_release(struct mchunks *set, size_t keep)
{
    size_t bytes = 0;
    lock(set);
    struct mchunk *chunk = set->limbo_count > keep ? emptied(set) : NULL;
    if (chunk != NULL) {
        unlist(set, chunk);
        chunk->state = MCHUNK_GOING;
        chunk->top = MCHUNK_FIRST;
        set->going_count++;
    }
    unlock(set);
    if (chunk == NULL) {
        return 0;
    }
    bool clean = purge_some(set, chunk, &bytes);
    if (clean && chunk->touched > 0) {
        lock(set);
        stay(set, chunk);
        unlock(set);
    } else {
        discard(set, chunk, clean);
    }
    return bytes;
}

void mchunks_settle(struct mchunks *set, size_t keep)
{
    while (mchunks_release(set, keep) > 0) {
    }
}

void mchunks_destroy(struct mchunks *set)
{
    while (!list_empty(&set->all)) {
        struct mchunk *chunk = LIST_ENTRY(set->all.next, struct mchunk, all);
        list_remove(&chunk->link);
        list_remove(&chunk->room);
        discard(set, chunk, false);
    }
}

/* Seeing */

void mchunks_stats(struct mchunks *set, struct mchunks_stats *stats)
{
    uint64_t horizon = readers_advance(set->readers);
    *stats = (struct mchunks_stats){0};
    lock(set);
    for (struct list *node = set->all.next; node != &set->all; node = node->next) {
        const struct mchunk *chunk = LIST_ENTRY(node, struct mchunk, all);
        if (chunk->state == MCHUNK_LIMBO || chunk->state == MCHUNK_GOING) {
            stats->waiting += chunk->epoch < horizon ? 0 : chunk->touched;
        } else {
            stats->garbage += mchunk_garbage(chunk);
        }
        stats->touched += chunk->touched - (chunk->purged < chunk->touched ? chunk->purged : chunk->touched);
    }
    unlock(set);
}

static size_t verify_list(const struct mchunks *set, const struct list *head, enum mchunk_state state,
                          unsigned bucket)
{
    size_t count = 0;
    for (struct list *node = head->next; node != head; node = node->next) {
        const struct mchunk *chunk = of_link(node);
        HM_CHECK(atomic_load(&chunk->set) == set, "a chunk on a list is the heap's");
        HM_CHECK(chunk->state == state, "a chunk is on the list of its state");
        HM_CHECK(state != MCHUNK_LISTED || chunk->bucket == bucket, "a chunk is in its bucket");
        HM_CHECK(state != MCHUNK_LIMBO || atomic_load(&chunk->live) == 0, "a chunk in limbo has no blocks");
        HM_CHECK(state != MCHUNK_LISTED || bucket == MCHUNKS_STUCK || atomic_load(&chunk->live) > 0,
                 "a listed chunk has blocks");
        count++;
    }
    return count;
}

void mchunks_verify_locked(struct mchunks *set)
{
    size_t listed = 0;
    size_t going = 0;
    size_t all = 0;
    for (unsigned i = 0; i < MCHUNKS_BUCKETS; i++) {
        size_t length = verify_list(set, &set->bucket[i], MCHUNK_LISTED, i);
        HM_CHECK((length > 0) == (set->filled >> i & 1), "bit b of filled = bucket b isn't empty");
        listed += length;
    }
    listed += verify_list(set, &set->stuck, MCHUNK_LISTED, MCHUNKS_STUCK);
    size_t limbo = verify_list(set, &set->limbo, MCHUNK_LIMBO, 0);
    HM_CHECK(limbo == set->limbo_count, "limbo_count = length of limbo");
    for (struct list *node = set->all.next; node != &set->all; node = node->next) {
        struct mchunk *chunk = LIST_ENTRY(node, struct mchunk, all);
        HM_CHECK(mchunks_find(set, chunk->span.addr) == chunk, "the page map leads to the heap's chunks");
        listed -= chunk->state == MCHUNK_LISTED ? 1 : 0;
        going += chunk->state == MCHUNK_GOING ? 1 : 0;
        all++;
    }
    HM_CHECK(going == set->going_count, "going_count = chunks that are given back");
    HM_CHECK(all == set->count && listed == 0, "count = length of all; listed chunks are on lists");
}
