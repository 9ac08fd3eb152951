#include "movable/buffer_slots.h"

#include "base/check.h"
#include "movable/buffer_lock.h"
#include "movable/buffer_room.h"

/* The first block whose slot shares memory with the variable, whatever it holds; 0: none. */
static uint32_t owner(const struct buffer *b, uintptr_t slot)
{
    for (uint32_t number = 1; number <= b->count; number++) {
        const struct descriptor *d = buffer_descriptor(b, number);
        if (descriptor_has_slot(d) &&
            entry_address(&d->entry) - slot + (sizeof(void *) - 1) < 2 * sizeof(void *) - 1) {
            return number;
        }
    }
    return 0;
}

enum movable_result slots_find(struct hm_heap *heap, const void *slot, hm_handle *handle)
{
    *handle = 0;
    if (!buffer_takes_slot(buffer_of(heap), slot)) {
        return MOVABLE_INVALID;
    }
    struct buffer *b = buffer_acquire(heap);
    enum movable_result result = MOVABLE_OK;
    if (slot_get((uintptr_t)slot) != 0) {
        uint32_t number = owner(b, (uintptr_t)slot);
        struct cursor c = {.number = 0};
        result = MOVABLE_STALE;
        if (number != 0 && entry_address(&buffer_descriptor(b, number)->entry) == (uintptr_t)slot &&
            (c = cursor_find(b, number), !cursor_lost(b, &c))) {
            *handle = buffer_handle(b, number);
            result = MOVABLE_OK;
        }
    }
    buffer_release(b);
    return result;
}

/* The heap's own memory, in which only blocks may hold slots. */
static bool is_inside(const struct buffer *b, uintptr_t address)
{
    uintptr_t control = (uintptr_t)b;
    return address - (uintptr_t)b->base < b->room || address - control < (size_t)buffer_end(b) * 8;
}

/* Whether the address may become a slot, and the block that it lies in. A block whose slot was at this address once, and was
 * lost, has none from now on. */
static bool prepare(struct buffer *b, uintptr_t slot, uint32_t *container)
{
    *container = buffer_container(b, slot);
    if (*container == 0 && is_inside(b, slot)) {
        return false;
    }
    if (*container != 0) {
        struct cursor c = cursor_find(b, *container);
        size_t at = slot - (uintptr_t)b->base - c.offset;
        if (at + sizeof(void *) > buffer_descriptor(b, *container)->bytes) {
            return false;
        }
    }
    for (uint32_t number = owner(b, slot); number != 0; number = owner(b, slot)) {
        struct cursor c = cursor_find(b, number);
        if (!cursor_lost(b, &c)) {
            return false;
        }
        entry_set_address(&buffer_descriptor(b, number)->entry, SLOT_GONE);
    }
    return true;
}

/* Pinners may change the word at the same time. */
static void mark_container(struct buffer *b, uint32_t container)
{
    if (container != 0) {
        atomic_fetch_or(&buffer_descriptor(b, container)->entry.word, ENTRY_NESTED);
    }
}

enum movable_result slots_alloc(struct hm_heap *heap, void *slot, size_t size)
{
    uint32_t container;
    if (!buffer_takes_slot(buffer_of(heap), slot)) {
        return MOVABLE_INVALID;
    }
    struct buffer *b = buffer_acquire(heap);
    enum movable_result result = MOVABLE_INVALID;
    if (prepare(b, (uintptr_t)slot, &container)) {
        result = MOVABLE_OK;
        if (room_alloc(b, size, (uintptr_t)slot, container) == 0) {
            slot_set((uintptr_t)slot, 0);
            result = MOVABLE_NO_MEMORY;
        } else {
            mark_container(b, container);
        }
    }
    buffer_release(b);
    return result;
}

enum movable_result slots_move(struct hm_heap *heap, hm_handle handle, void *to)
{
    uint32_t container;
    if (!buffer_takes_slot(buffer_of(heap), to)) {
        return MOVABLE_INVALID;
    }
    struct buffer *b = buffer_acquire(heap);
    enum movable_result result = MOVABLE_STALE;
    uint32_t number = buffer_lookup(b, handle);
    if (number != 0 && descriptor_has_slot(buffer_descriptor(b, number))) {
        struct mentry *entry = &buffer_descriptor(b, number)->entry;
        uintptr_t from = entry_address(entry);
        result = MOVABLE_INVALID;
        if (prepare(b, (uintptr_t)to, &container)) {
            mark_container(b, container);
            slot_set((uintptr_t)to, slot_get(from));
            entry_set_address(entry, (uintptr_t)to);
            slot_set(from, 0);
            result = MOVABLE_OK;
        }
    }
    buffer_release(b);
    return result;
}

void *slots_of(struct hm_heap *heap, const void *address)
{
    struct buffer *b = buffer_acquire(heap);
    uintptr_t slot = 0;
    uint32_t number = buffer_container(b, (uintptr_t)address);
    if (number != 0) {
        struct cursor c = cursor_find(b, number);
        bool begins = (uintptr_t)b->base + c.offset == (uintptr_t)address;
        const struct descriptor *d = buffer_descriptor(b, number);
        slot = begins && descriptor_has_slot(d) && !cursor_lost(b, &c) ? entry_address(&d->entry) : 0;
    }
    buffer_release(b);
    return (void *)slot;
}

size_t slots_check(struct hm_heap *heap)
{
    struct buffer *b = buffer_acquire(heap);
    size_t lost = 0;
    struct cursor c = cursor_start(b);
    while (cursor_next(b, &c)) {
        if (cursor_lost(b, &c)) {
            buffer_warn_lost(b, &c);
            lost++;
        }
    }
    buffer_release(b);
    return lost;
}

void slots_clear(struct buffer *b, const struct cursor *c)
{
    if (descriptor_has_slot(buffer_descriptor(b, c->number)) && !cursor_lost(b, c)) {
        slot_set(entry_address(&buffer_descriptor(b, c->number)->entry), 0);
    }
}
