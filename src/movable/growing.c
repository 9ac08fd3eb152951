#include "movable/growing.h"

#include "base/check.h"
#include "movable/block.h"
#include "movable/spare.h"

void growing_env_init(struct growing_env *env, struct core *core, struct readers *readers,
                      struct reader *(*reader)(void), unsigned cpus, size_t address_limit)
{
    env->core = core;
    env->readers = readers;
    env->reader = reader;
    pin_pools_init(&env->pins, &core->meta);
    meta_pool_init(&env->heaps, &core->meta, bits_align_up(sizeof(struct growing), HM_CACHE_LINE));
    meta_pool_init(&env->chunks, &core->meta, bits_align_up(sizeof(struct mchunk), HM_CACHE_LINE));
    meta_pool_init(&env->larges, &core->meta, bits_align_up(sizeof(struct mlarge), HM_CACHE_LINE));
    env->address_limit = address_limit;
    env->lanes = 1;
    env->lane_turn = 0;
    while (env->lanes < 2 * cpus && env->lanes < GROWING_LANES_MAX) {
        env->lanes *= 2;
    }
}

/* Verbs */

static enum movable_result resize(struct hm_heap *heap, hm_handle handle, size_t size)
{
    return block_resize(growing_of(heap), handle, size);
}

/* What is looked at stays where it is: a pin more, or as many as there can be. */
static bool hold(struct hm_heap *heap, hm_handle handle, struct mblock *block, bool *pinned)
{
    if (!heap_has(heap, handle)) {
        return false;
    }
    struct mentry *entry = heap_entry(heap, handle);
    enum entry_result result = entry_pin(entry, handle);
    *pinned = result == ENTRY_OK;
    if (result == ENTRY_STALE) {
        return false;
    }
    block_of_entry(growing_of(heap), entry, entry_word(entry), block);
    return true;
}

static void let_go(const struct mblock *block, hm_handle handle, bool pinned)
{
    if (pinned) {
        entry_unpin(block->entry, handle);
    }
}

static enum movable_result size_of(struct hm_heap *heap, hm_handle handle, size_t *size)
{
    struct mblock block;
    bool pinned;
    if (!hold(heap, handle, &block, &pinned)) {
        return MOVABLE_STALE;
    }
    *size = block.size;
    let_go(&block, handle, pinned);
    return MOVABLE_OK;
}

static void set_tag(const struct mblock *block, uint8_t tag)
{
    if (block->large != NULL) {
        atomic_store_explicit(&block->large->tag, tag, memory_order_relaxed);
        return;
    }
    mheader *header = header_of(block->at);
    uint64_t old = atomic_load_explicit(header, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(header, &old,
                                                  header_block(block->index, header_size(old), tag),
                                                  memory_order_release, memory_order_relaxed)) {
    }
}

static enum movable_result tag(struct hm_heap *heap, hm_handle handle, const char *name)
{
    struct mblock block;
    bool pinned;
    if (!hold(heap, handle, &block, &pinned)) {
        return MOVABLE_STALE;
    }
    uint8_t number = pins_tag(&growing_of(heap)->pins, name);
    bool done = number != 0 || name == NULL;
    if (done) {
        set_tag(&block, number);
    }
    let_go(&block, handle, pinned);
    return done ? MOVABLE_OK : MOVABLE_NO_MEMORY;
}

static enum movable_result pin_tagged(struct hm_heap *heap, hm_handle handle, const char *name,
                                      void **address)
{
    struct growing *growing = growing_of(heap);
    struct mblock block;
    bool pinned;
    if (!hold(heap, handle, &block, &pinned)) {
        return MOVABLE_STALE;
    }
    if (!pinned) {
        return MOVABLE_BUSY;
    }
    if (!pins_add(&growing->pins, handle, name, os_now_ns())) {
        entry_unpin(block.entry, handle);
        return MOVABLE_NO_MEMORY;
    }
    entry_flags(block.entry, handle, ENTRY_TAGGED, 0);
    *address = (void *)block.at;
    return MOVABLE_OK;
}

static enum movable_result unpin_tagged(struct hm_heap *heap, hm_handle handle, const char *name)
{
    struct growing *growing = growing_of(heap);
    size_t left;
    if (!heap_has(heap, handle) || !pins_remove(&growing->pins, handle, name, &left)) {
        return MOVABLE_STALE;
    }
    return entry_unpin(heap_entry(heap, handle), handle) == ENTRY_OK ? MOVABLE_OK : MOVABLE_STALE;
}

/* Read sections */

/* From the first one on, blocks aren't remapped or cut off where they lie: who is about to do so holds one of these locks. */
HM_COLD static void first_read(struct growing *growing)
{
    growing_lock_all(growing);
    atomic_store_explicit(&growing->read, true, memory_order_relaxed);
    growing_unlock_all(growing);
}

/* Sections of the calling thread that began when it could have no record. */
static HM_TLS uint32_t own_crowd;

static void read_enter(struct hm_heap *heap)
{
    struct growing *growing = growing_of(heap);
    struct reader *reader = growing->env->reader();
    if (HM_UNLIKELY(!atomic_load_explicit(&growing->read, memory_order_relaxed))) {
        first_read(growing);
    }
    if (HM_LIKELY(reader != NULL)) {
        readers_enter(growing->env->readers, reader);
    } else {
        readers_enter_crowd(growing->env->readers);
        own_crowd++;
    }
}

/* A thread past its end, whose record was given back for good, may have been in a section then. */
HM_COLD static void leave_crowd(const struct hm_heap *heap, struct readers *readers,
                                const struct reader *reader)
{
    if (own_crowd > 0) {
        readers_leave_crowd(readers);
        own_crowd--;
    } else if (reader != NULL) {
        heap_no_section(heap);
    }
}

static void read_leave(struct hm_heap *heap)
{
    struct growing_env *env = growing_of(heap)->env;
    struct reader *reader = env->reader();
    if (HM_LIKELY(readers_inside(reader))) {
        readers_leave(reader);
    } else {
        leave_crowd(heap, env->readers, reader);
    }
}

static void read_synchronize(struct hm_heap *heap)
{
    struct growing_env *env = growing_of(heap)->env;
    readers_synchronize(env->readers, env->reader(), own_crowd);
}

/* Compaction */

static struct hm_compact_result run(struct growing *growing, const struct evacuate_how *how)
{
    struct hm_compact_result result = evacuate_run(growing, how);
    if (how->all) {
        /* Pages of large blocks that were freed wait in the page heap to be used again. */
        result.released_bytes += pageheap_trim(&growing->env->core->pages, 0);
    } else if (result.done) {
        pageheap_tick(&growing->env->core->pages);
    }
    return result;
}

static bool slots_move(const struct hm_heap *heap)
{
    return (heap->options.flags & HM_MOVABLE_SLOTS_PINNED) != 0;
}

static struct hm_compact_result compact(struct hm_heap *heap, struct hm_budget budget, bool slots)
{
    struct evacuate_how how = {.budget = budget,
                               .slots = slots || slots_move(heap),
                               .all = slots && budget.bytes == 0 && budget.nanoseconds == 0};
    return run(growing_of(heap), &how);
}

static struct hm_compact_result tend(struct hm_heap *heap, struct hm_budget budget, unsigned worth)
{
    struct evacuate_how how = {.budget = budget, .slots = slots_move(heap), .worth = worth};
    return run(growing_of(heap), &how);
}

/* Fork */

void growing_lock_all(struct growing *growing)
{
    if (!growing->locked) {
        return;
    }
    lock_acquire(&growing->evacuate.lock);
    for (unsigned i = 0; i <= growing->lane_mask; i++) {
        lock_acquire(&growing->lane[i].lock);
    }
    lock_acquire(&growing->chunks.lock);
}

static void unlock_all(struct growing *growing, void (*unlock)(struct lock *lock))
{
    unlock(&growing->chunks.lock);
    for (unsigned i = growing->lane_mask + 1; i-- > 0;) {
        unlock(&growing->lane[i].lock);
    }
    unlock(&growing->evacuate.lock);
}

void growing_unlock_all(struct growing *growing)
{
    if (growing->locked) {
        unlock_all(growing, lock_release);
    }
}

static void fork_prepare(struct hm_heap *heap)
{
    struct growing *growing = growing_of(heap);
    growing_lock_all(growing);
    lock_acquire(&growing->table.lock);
    lock_acquire(&growing->pins.lock);
}

static void fork_parent(struct hm_heap *heap)
{
    struct growing *growing = growing_of(heap);
    lock_release(&growing->pins.lock);
    lock_release(&growing->table.lock);
    growing_unlock_all(growing);
}

/* Who resized a block when the fork came isn't here to end it. The block is where it was. */
static void forget_resizers(struct growing *growing)
{
    uint32_t fresh = atomic_load(&growing->table.fresh);
    for (uint32_t i = 1; i < fresh; i++) {
        atomic_fetch_and(&mtable_entry(&growing->table, i)->word, ~ENTRY_MOVING);
    }
    atomic_store(&growing->resizing, 0);
}

static void fork_child(struct hm_heap *heap)
{
    struct growing *growing = growing_of(heap);
    lock_reset(&growing->pins.lock);
    lock_reset(&growing->table.lock);
    unlock_all(growing, lock_reset);
    mchunks_fork_child(&growing->chunks);
    if (atomic_load(&growing->resizing) > 0) {
        forget_resizers(growing);
    }
}

/* 32-bit names */

static uint32_t index_of(struct hm_heap *heap, hm_handle handle)
{
    (void)heap;
    return (uint32_t)handle / MTABLE_LOW;
}

static hm_handle at_index(struct hm_heap *heap, uint32_t index)
{
    struct growing *growing = growing_of(heap);
    if (!mtable_has(&growing->table, index)) {
        return 0;
    }
    uint64_t word = entry_word(mtable_entry(&growing->table, index));
    return entry_is_live(word) ? entry_generation(word) | (hm_handle)index * MTABLE_LOW : 0;
}

/* A heap with one owner differs in the two verbs that matter most. */
#define GROWING_KIND(alloc_, free_)                                                                          \
    {                                                                                                        \
        .alloc_quick = (alloc_), .free_quick = (free_), .alloc = block_alloc, .free = block_free,            \
        .resize = resize, .size = size_of, .tag = tag, .pin_tagged = pin_tagged,                             \
        .unpin_tagged = unpin_tagged, .slot_find = growing_slot_find, .slot_alloc = growing_slot_alloc,      \
        .slot_move = growing_slot_move, .slot_of = growing_slot_of, .slot_check = growing_slot_check,        \
        .read_enter = read_enter, .read_leave = read_leave, .read_synchronize = read_synchronize,            \
        .compact = compact, .tend = tend, .reset = growing_reset, .destroy = growing_destroy,                \
        .stats = growing_stats, .look = growing_look, .dump = growing_dump,                                  \
        .pin_report = growing_pin_report, .verify = growing_verify, .fork_prepare = fork_prepare,            \
        .fork_parent = fork_parent, .fork_child = fork_child, .index = index_of, .at_index = at_index,       \
    }

static const struct movable_kind growing_kind = GROWING_KIND(block_alloc_quick, block_free_quick);
static const struct movable_kind growing_kind_single =
    GROWING_KIND(block_alloc_quick_single, block_free_quick_single);

/* Creating */

/* Under a limit, chunks are a small part of it, and one is kept free for the compactor. */
static void set_limits(struct growing *growing, const struct hm_movable_options *options)
{
    struct mchunks *chunks = &growing->chunks;
    size_t bytes = MCHUNK_BYTES;
    chunks->limit = options->max_bytes != 0 ? options->max_bytes : SIZE_MAX;
    while (bytes > MCHUNK_BYTES_MIN && bytes > chunks->limit / 32) {
        bytes /= 2;
    }
    chunks->chunk_bytes = bytes;
    bool spare = chunks->limit != SIZE_MAX && (options->flags & HM_MOVABLE_NO_RESCUE) == 0 &&
                 chunks->limit / 4 >= bytes;
    chunks->reserve = spare ? bytes : 0;
    /* What is near its limit has none to spare. */
    chunks->spare_bytes = chunks->limit == SIZE_MAX ? SPARE_BYTES_MAX : 0;
    growing->small_bytes = bytes == MCHUNK_BYTES ? MCHUNK_SMALL_BYTES : bytes / 8 - 1;
}

static void init(struct growing *growing, struct growing_env *env, const struct hm_movable_options *options)
{
    growing->env = env;
    growing->locked = (options->flags & HM_MOVABLE_SINGLE_OWNER) == 0;
    growing->alignment = options->alignment != 0 ? options->alignment : 16;
    growing->round = HEADER_BYTES + growing->alignment - 1;
    growing->mask = ~(growing->alignment - 1);
    growing->lane_mask = growing->locked ? env->lanes - 1 : 0;
    growing->lane_offsets = growing->lane_mask << LANE_SHIFT;
    atomic_store(&growing->read, false);
    atomic_store(&growing->resizing, 0);
    atomic_store(&growing->warned, false);
    pins_init(&growing->pins, &env->pins);
    mchunks_init(&growing->chunks, &env->core->pages, &env->chunks, env->readers);
    growing->chunks.locked = growing->locked;
    growing->chunks.alignment = growing->alignment;
    growing->chunks.special = (options->flags & HM_MOVABLE_ZERO_ON_FREE) != 0 ? MCHUNK_WIPED : 0;
    set_limits(growing, options);
    mlarges_init(&growing->larges, &growing->chunks, &env->larges);
    evacuate_init(&growing->evacuate);
    for (unsigned i = 0; i <= growing->lane_mask; i++) {
        lane_init(&growing->lane[i]);
    }
}

struct hm_heap *growing_create(struct growing_env *env, uint32_t number,
                               const struct hm_movable_options *options)
{
    struct growing *growing = meta_pool_get(&env->heaps);
    if (growing == NULL) {
        return NULL;
    }
    if (!mtable_init(&growing->table, env->core->os, options->max_handles, env->address_limit)) {
        meta_pool_put(&env->heaps, growing);
        return NULL;
    }
    init(growing, env, options);
    growing->heap.table = (char *)growing->table.base;
    atomic_store(&growing->heap.limit, MTABLE_LOW);
    growing->heap.number = number;
    growing->make = ((uint64_t)number << ENTRY_NUMBER) - ENTRY_FREE;
    growing->free = (UINT64_C(1) << ENTRY_GENERATION) - growing->make;
    growing->heap.kind = growing->locked ? &growing_kind : &growing_kind_single;
    growing->heap.options = *options;
    growing->heap.compactor = NULL;
    list_init(&growing->heap.in_process);
    heap_open(&growing->heap);
    return &growing->heap;
}
