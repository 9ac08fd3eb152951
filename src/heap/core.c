#include "heap/core.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "heap/bins.h"
#include "heap/large.h"

static unsigned array_size_of(unsigned capacity)
{
    unsigned index = 0;
    while ((8u << index) - 1 < capacity) {
        index++;
    }
    HM_CHECK(index < CORE_ARRAY_SIZES && (8u << index) - 1 == capacity, "arrays come in six sizes");
    return index;
}

/* Only who sets `announced` may link the chunk: nobody does while its memory is given back. */
static bool chunk_claim(void *object)
{
    struct chunk *chunk = object;
    return !atomic_exchange(&chunk->announced, true);
}

static void chunk_unclaim(void *object)
{
    struct chunk *chunk = object;
    atomic_store(&chunk->announced, false);
}

static size_t whole_lines(size_t bytes)
{
    return bits_align_up(bytes, HM_CACHE_LINE);
}

static void init_pools(struct core *core)
{
    slab_pool_init(&core->chunk_pool, &core->meta, sizeof(struct chunk), chunk_claim, chunk_unclaim);
    meta_pool_init(&core->span_pool, &core->meta, whole_lines(sizeof(struct span)));
    meta_pool_init(&core->theap_pool, &core->meta, whole_lines(sizeof(struct theap)));
    for (unsigned i = 0; i < CORE_ARRAY_SIZES; i++) {
        meta_pool_init(&core->array_pool[i], &core->meta, (8u << i) * sizeof(struct entry));
    }
}

void core_init(struct core *core, const struct os *os, const struct core_options *options)
{
    core->os = os;
    core->options = *options;
    core->secret = os_random() | 1;
    lock_init(&core->registry.lock, LOCK_RANK_REGISTRY);
    list_init(&core->registry.all);
    list_init(&core->registry.orphans);
    list_init(&core->registry.spares);
    pagemap_init(&core->map, os);
    meta_init(&core->meta, os);
    init_pools(core);
    pageheap_init(&core->pages, os, &core->map, &core->meta, &options->pages);
    table_init(&core->table, &core->map, THEAP_FIRST_BIN, THEAP_BIN_BYTES);
    atomic_store(&core->instrumented, options->check > 0);
}

void core_use_own(struct core *core)
{
    meta_give(&core->meta, core->area, sizeof(core->area));
    pagemap_give(&core->map, &core->leaf);
}

/* Pools */

struct chunk *core_chunk_get(struct core *core)
{
    struct slab *slab;
    struct chunk *chunk = slab_get(&core->chunk_pool, &slab);
    if (chunk != NULL) {
        chunk->slab = slab;
    }
    return chunk;
}

void core_chunk_put(struct core *core, struct chunk *chunk)
{
    /* In step with the page heap: memory that it learned to keep will want descriptors again. */
    size_t chunks = pageheap_bound(&core->pages) / CHUNK_BYTES;
    size_t keep = chunks < SIZE_MAX / sizeof *chunk ? chunks * sizeof *chunk : SIZE_MAX;
    slab_put(&core->chunk_pool, chunk->slab, chunk, keep);
}

struct span *core_span_get(struct core *core)
{
    return meta_pool_get(&core->span_pool);
}

void core_span_put(struct core *core, struct span *span)
{
    meta_pool_put(&core->span_pool, span);
}

struct entry *core_array_get(struct core *core, unsigned capacity)
{
    struct entry *bottom = meta_pool_get(&core->array_pool[array_size_of(capacity)]);
    if (bottom != NULL) {
        memset(bottom, 0, sizeof *bottom);
    }
    return bottom;
}

void core_array_put(struct core *core, struct entry *bottom, unsigned capacity)
{
    meta_pool_put(&core->array_pool[array_size_of(capacity)], bottom);
}

/* The last freed large blocks, so that a second free of one can be told from a wild pointer. */

void core_note_freed(struct core *core, uintptr_t addr)
{
    unsigned place = atomic_fetch_add_explicit(&core->freed_next, 1, memory_order_relaxed);
    atomic_store_explicit(&core->freed[place % CORE_FREED_NOTES], addr, memory_order_relaxed);
}

bool core_was_freed(struct core *core, uintptr_t addr)
{
    for (unsigned i = 0; i < CORE_FREED_NOTES; i++) {
        if (atomic_load_explicit(&core->freed[i], memory_order_relaxed) == addr) {
            return true;
        }
    }
    return false;
}

/* Threads */

static struct theap *theap_of_state(struct list *node)
{
    return LIST_ENTRY(node, struct theap, in_state);
}

static struct theap *theap_of_registry(struct list *node)
{
    return LIST_ENTRY(node, struct theap, in_registry);
}

/* The registry's lock is held. */
static void set_state(struct core *core, struct theap *heap, enum theap_state state)
{
    struct registry *registry = &core->registry;
    if (heap->state == THEAP_LIVE) {
        registry->live_count--;
    } else if (heap->state == THEAP_ORPHAN) {
        atomic_fetch_sub_explicit(&registry->orphan_count, 1, memory_order_relaxed);
    }
    list_remove(&heap->in_state);
    heap->state = state;
    if (state == THEAP_LIVE) {
        registry->live_count++;
    } else if (state == THEAP_ORPHAN) {
        atomic_fetch_add_explicit(&registry->orphan_count, 1, memory_order_relaxed);
        list_push_back(&registry->orphans, &heap->in_state);
    } else {
        list_push_front(&registry->spares, &heap->in_state);
    }
}

static struct theap *make_theap(struct core *core)
{
    struct theap *heap = meta_pool_get(&core->theap_pool);
    if (heap != NULL) {
        theap_init(heap, core, core->secret);
        list_push_back(&core->registry.all, &heap->in_registry);
        core->registry.made_count++;
    }
    return heap;
}

struct theap *core_attach(struct core *core)
{
    struct registry *registry = &core->registry;
    struct theap *heap;
    lock_acquire(&registry->lock);
    if (!list_empty(&registry->orphans)) {
        heap = theap_of_state(registry->orphans.next);
    } else if (!list_empty(&registry->spares)) {
        heap = theap_of_state(registry->spares.next);
    } else {
        heap = make_theap(core);
    }
    if (heap != NULL) {
        set_state(core, heap, THEAP_LIVE);
        heap->closed = atomic_load_explicit(&core->instrumented, memory_order_relaxed);
    }
    lock_release(&registry->lock);
    return heap;
}

/* The heap has no thread any more: to the orphans while it has chunks. The registry's lock is held. */
static void retire(struct core *core, struct theap *heap)
{
    lock_acquire(&heap->lock);
    theap_tidy_locked(heap);
    bool empty = heap->chunk_count == 0;
    lock_release(&heap->lock);
    set_state(core, heap, empty ? THEAP_SPARE : THEAP_ORPHAN);
}

void core_detach(struct core *core, struct theap *heap)
{
    theap_drop_bins(heap, true);
    bins_discard_arrays(heap);
    lock_acquire(&core->registry.lock);
    retire(core, heap);
    lock_release(&core->registry.lock);
    pageheap_tick(&core->pages);
}

bool core_adopt(struct core *core, struct theap *heap, unsigned granules)
{
    struct registry *registry = &core->registry;
    bool found = false;
    if (atomic_load_explicit(&registry->orphan_count, memory_order_relaxed) == 0) {
        return false;
    }
    lock_acquire(&registry->lock);
    lock_acquire(&heap->lock);
    while (!found && !list_empty(&registry->orphans)) {
        struct theap *orphan = theap_of_state(registry->orphans.next);
        lock_acquire(&orphan->lock);
        found = theap_adopt_locked(heap, orphan, granules);
        bool empty = orphan->chunk_count == 0;
        lock_release(&orphan->lock);
        if (empty) {
            set_state(core, orphan, THEAP_SPARE);
        }
    }
    lock_release(&heap->lock);
    lock_release(&registry->lock);
    return found;
}

/* Fork */

void core_fork_prepare(struct core *core)
{
    lock_acquire(&core->registry.lock);
    for (struct list *node = core->registry.all.next; node != &core->registry.all; node = node->next) {
        lock_acquire(&theap_of_registry(node)->lock);
    }
    lock_acquire(&core->pages.lock);
    lock_acquire(&core->chunk_pool.lock);
    lock_acquire(&core->meta.lock);
}

static void unlock_all(struct core *core, void (*unlock)(struct lock *lock))
{
    unlock(&core->meta.lock);
    unlock(&core->chunk_pool.lock);
    unlock(&core->pages.lock);
    for (struct list *node = core->registry.all.prev; node != &core->registry.all; node = node->prev) {
        unlock(&theap_of_registry(node)->lock);
    }
    unlock(&core->registry.lock);
}

void core_fork_parent(struct core *core)
{
    unlock_all(core, lock_release);
}

/* A thread that the fork cut off between setting a chunk's flag and linking the chunk would leave it unheard for
 * ever. All inboxes are empty. */
static void forget_announcements(struct theap *heap)
{
    for (struct list *node = heap->chunks.next; node != &heap->chunks; node = node->next) {
        atomic_store(&LIST_ENTRY(node, struct chunk, span.link)->announced, false);
    }
}

static void tidy(struct theap *heap)
{
    lock_acquire(&heap->lock);
    theap_tidy_locked(heap);
    lock_release(&heap->lock);
}

static void for_all(struct core *core, void (*act)(struct theap *heap))
{
    for (struct list *node = core->registry.all.next; node != &core->registry.all; node = node->next) {
        act(theap_of_registry(node));
    }
}

void core_fork_child(struct core *core, struct theap *self)
{
    unlock_all(core, lock_reset);
    for_all(core, tidy);
    for_all(core, forget_announcements);
    for (struct list *node = core->registry.all.next; node != &core->registry.all; node = node->next) {
        struct theap *heap = theap_of_registry(node);
        if (heap->state == THEAP_LIVE && heap != self) {
            theap_drop_bins(heap, false);
            bins_discard_arrays(heap);
            lock_acquire(&core->registry.lock);
            retire(core, heap);
            lock_release(&core->registry.lock);
        }
    }
}

void core_instrument(struct core *core, struct theap *self, bool on)
{
    atomic_store_explicit(&core->instrumented, on, memory_order_relaxed);
    if (self != NULL) {
        theap_follow_mode(self);
    }
}

size_t core_trim(struct core *core, struct theap *self, size_t keep)
{
    if (self != NULL) {
        theap_drop_bins(self, true);
    }
    lock_acquire(&core->registry.lock);
    for_all(core, tidy);
    lock_release(&core->registry.lock);
    return pageheap_trim(&core->pages, keep);
}

/* The bins of a heap whose thread is the caller, or that has none. */
static void verify_bins(struct theap *heap)
{
    size_t large = 0;
    for (unsigned class = 0; class < CLASS_COUNT; class ++) {
        unsigned count = bins_count(heap, class);
        const struct entry *bottom = bins_bottom(heap, class);
        for (unsigned i = 1; i <= count; i++) {
            unsigned value = mark_load(bottom[i].mark);
            HM_CHECK((value & CODE_CACHED) != 0, "a bin's entries are marked cached");
            HM_CHECK(class >= CLASS_IN_CHUNK || code_class(value & ~CODE_CACHED) == class,
                     "a bin's entries are of its class");
        }
        HM_CHECK(bottom->block == NULL, "a bin's bottom is zero");
        HM_CHECK(count <= heap->info[class].room && heap->info[class].room <= heap->info[class].capacity,
                 "a bin has no more entries than room, and no more room than its array");
        large += class >= CLASS_IN_CHUNK ? (size_t)heap->info[class].room * class_bytes[class] : 0;
    }
    for (size_t i = 0; i < heap->loose_count; i++) {
        HM_CHECK((mark_load(heap->loose[i].mark) & CODE_CACHED) != 0, "loose blocks are marked cached");
    }
    for (unsigned i = 0; i < THEAP_SLOTS && heap->slot[i] != NULL; i++) {
        HM_CHECK(mark_load(&heap->slot[i]->mark) == (LARGE_USER | CODE_CACHED),
                 "what a slot holds is marked cached");
        large += heap->slot[i]->bytes;
    }
    HM_CHECK(heap->large_room == large,
             "large_room is the room of bins for large blocks, and the blocks in slots");
    HM_CHECK(large <= LARGE_CACHED_MAX, "a thread keeps no more of large blocks than it may");
}

void core_verify(struct core *core, struct theap *self)
{
    if (self != NULL) {
        verify_bins(self);
    }
    lock_acquire(&core->registry.lock);
    for_all(core, theap_verify);
    lock_release(&core->registry.lock);
    pageheap_verify(&core->pages);
    slab_pool_verify(&core->chunk_pool);
}
