#include <string.h>

#include "base/check.h"
#include "movable/block.h"
#include "movable/nested.h"

static uintptr_t load(const void *slot)
{
    return atomic_load_explicit((const _Atomic uintptr_t *)slot, memory_order_acquire);
}

static void store(void *slot, uintptr_t block)
{
    atomic_store_explicit((_Atomic uintptr_t *)slot, block, memory_order_release);
}

/* Chunks that the compactor empties stay readable while the slot's content is followed. */
struct section {
    struct growing *growing;
    struct reader *reader;
};

static struct section enter(struct growing *growing)
{
    struct section section = {.growing = growing};
    if (growing->locked) {
        section.reader = growing->env->reader();
        if (section.reader != NULL) {
            readers_enter(growing->env->readers, section.reader);
        } else {
            readers_enter_crowd(growing->env->readers);
        }
    }
    return section;
}

static void leave(const struct section *section)
{
    if (section->reader != NULL) {
        readers_leave(section->reader);
    } else if (section->growing->locked) {
        readers_leave_crowd(section->growing->env->readers);
    }
}

/* The handle of the block at an address, if it is one with a slot; *slot is where. 0: none. */
static hm_handle follow(struct growing *growing, uintptr_t at, uintptr_t *slot)
{
    struct mblock block;
    if (!block_at(growing, at, &block)) {
        return 0;
    }
    uint64_t word = entry_word(block.entry);
    *slot = entry_address(block.entry);
    bool has = entry_is_live(word) && (word & ENTRY_SLOT) != 0;
    return has ? entry_generation(word) | (hm_handle)block.index * MTABLE_LOW : 0;
}

/* A block that is moved meanwhile isn't found where the slot said a moment ago. Nothing has to be kept readable for a slot that holds
 * none. */
static hm_handle find(struct growing *growing, const void *slot, uintptr_t *content)
{
    hm_handle handle;
    uintptr_t named = 0;
    uintptr_t now = load(slot);
    if (now == 0) {
        *content = 0;
        return 0;
    }
    struct section section = enter(growing);
    do {
        *content = now;
        handle = *content != 0 ? follow(growing, *content, &named) : 0;
        now = load(slot);
    } while (now != *content);
    leave(&section);
    return named == (uintptr_t)slot ? handle : 0;
}

static bool aligned(const void *slot)
{
    return (uintptr_t)slot % sizeof(void *) == 0 && slot != NULL;
}

enum movable_result growing_slot_find(struct hm_heap *heap, const void *slot, hm_handle *handle)
{
    uintptr_t content;
    *handle = 0;
    if (!aligned(slot)) {
        return MOVABLE_INVALID;
    }
    *handle = find(growing_of(heap), slot, &content);
    return *handle == 0 && content != 0 ? MOVABLE_STALE : MOVABLE_OK;
}

/* Whether the variable is free to become a slot. */
static bool is_vacant(struct hm_heap *heap, const void *slot)
{
    hm_handle handle;
    return growing_slot_find(heap, slot, &handle) != MOVABLE_INVALID && handle == 0;
}

enum movable_result growing_slot_alloc(struct hm_heap *heap, void *slot, size_t size)
{
    hm_handle handle;
    if (!is_vacant(heap, slot)) {
        return MOVABLE_INVALID;
    }
    enum movable_result result = block_alloc_in(growing_of(heap), size, false, (uintptr_t)slot, &handle);
    if (result != MOVABLE_OK) {
        store(slot, 0);
    }
    return result;
}

/* A pin keeps the compactor off while neither variable is right. */
enum movable_result growing_slot_move(struct hm_heap *heap, hm_handle handle, void *to)
{
    if (!is_vacant(heap, to)) {
        return MOVABLE_INVALID;
    }
    struct mentry *entry = heap_entry(heap, handle);
    enum entry_result result = entry_pin(entry, handle);
    if (result != ENTRY_OK) {
        return result == ENTRY_FULL ? MOVABLE_BUSY : MOVABLE_STALE;
    }
    void *from = (void *)entry_address(entry);
    uintptr_t block = load(from);
    nested_note(growing_of(heap), (uintptr_t)to);
    store(to, block);
    entry_set_address(entry, (uintptr_t)to);
    store(from, 0);
    entry_unpin(entry, handle);
    return MOVABLE_OK;
}

void *growing_slot_of(struct hm_heap *heap, const void *address)
{
    struct growing *growing = growing_of(heap);
    uintptr_t slot = 0;
    struct section section = enter(growing);
    bool found = follow(growing, (uintptr_t)address, &slot) != 0 && slot != 0 &&
                 load((const void *)slot) == (uintptr_t)address;
    leave(&section);
    return found ? (void *)slot : NULL;
}

/* Whether the slot of a live entry doesn't hold its block any more; both may be let go meanwhile, which is no loss. One that is being
 * moved isn't judged: who moves it has its slot in hand. */
static bool is_lost(struct growing *growing, const struct mentry *entry, uint32_t index)
{
    uint64_t word = entry_word(entry);
    uintptr_t slot = entry_address(entry);
    uintptr_t content;
    if (!entry_is_live(word) || (word & (ENTRY_SLOT | ENTRY_MOVING)) != ENTRY_SLOT) {
        return false;
    }
    bool holds = slot != 0 && (uint32_t)find(growing, (const void *)slot, &content) == index * MTABLE_LOW;
    return !holds && entry_word(entry) == word && entry_address(entry) == slot;
}

static void warn_lost(struct growing *growing, const struct mentry *entry)
{
    const char *name = growing->heap.options.name;
    if (!atomic_exchange_explicit(&growing->warned, true, memory_order_relaxed)) {
        warn("movable heap %s: the slot at %p doesn't hold its block any more",
             name != NULL ? name : "without a name", (const void *)entry_address(entry));
    }
}

size_t growing_slot_check(struct hm_heap *heap)
{
    struct growing *growing = growing_of(heap);
    uint32_t fresh = atomic_load(&growing->table.fresh);
    size_t lost = 0;
    movable_lock(&growing->evacuate.lock, growing->locked);
    for (uint32_t i = 1; i < fresh; i++) {
        const struct mentry *entry = mtable_entry(&growing->table, i);
        if (is_lost(growing, entry, i)) {
            warn_lost(growing, entry);
            lost++;
        }
    }
    movable_unlock(&growing->evacuate.lock, growing->locked);
    return lost;
}
