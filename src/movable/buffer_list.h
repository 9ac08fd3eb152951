/* Blocks of a heap in a buffer: descriptors, their order, and where each block lies. The caller holds the heap's lock. */
#ifndef HM_MOVABLE_BUFFER_LIST_H
#define HM_MOVABLE_BUFFER_LIST_H

#include <string.h>

#include "base/bits.h"
#include "movable/buffer.h"

#define BUFFER_PLACE_LOW   9u /* in the entry's word, above the flags */
#define BUFFER_PLACE_SHIFT 23u
#define BUFFER_PLACE_BITS  14u
#define BUFFER_NUMBER_MASK ((UINT32_C(1) << 27) - 1)
#define BUFFER_STEP        3u /* a descriptor is 3 * 8 bytes: lower half of the handle = buffer_end - 3 * number */

/* The address of a slot that doesn't exist any more. */
#define SLOT_GONE (~(uintptr_t)7)

HM_INLINE struct buffer *buffer_of(struct hm_heap *heap)
{
    return (struct buffer *)heap;
}

/* Where descriptors end, in 8 bytes from the table. The heap's limit is one less, as 16 bytes are read at any handle below it. */
HM_INLINE uint32_t buffer_end(const struct buffer *b)
{
    return atomic_load_explicit(&b->heap.limit, memory_order_relaxed) + 1;
}

HM_INLINE struct descriptor *buffer_descriptor(const struct buffer *b, uint32_t number)
{
    return (struct descriptor *)(void *)(b->heap.table + 8 * (size_t)(buffer_end(b) - BUFFER_STEP * number));
}

HM_INLINE size_t buffer_unit(const struct buffer *b)
{
    return b->heap.options.alignment;
}

/* Slots may lie at any address in heaps whose blocks aren't aligned as pointers are. */
HM_INLINE bool buffer_takes_slot(const struct buffer *b, const void *slot)
{
    return slot != NULL && (buffer_unit(b) < sizeof(void *) || (uintptr_t)slot % sizeof(void *) == 0);
}

/* The variable. Atomic where it is aligned: other threads may ask whether it is NULL. */
HM_INLINE uintptr_t slot_get(uintptr_t slot)
{
    uintptr_t value;
    if (HM_LIKELY(slot % sizeof(value) == 0)) {
        return __atomic_load_n((const hm_word *)slot, __ATOMIC_RELAXED);
    }
    memcpy(&value, (const void *)slot, sizeof(value));
    return value;
}

HM_INLINE void slot_set(uintptr_t slot, uintptr_t value)
{
    if (HM_LIKELY(slot % sizeof(value) == 0)) {
        __atomic_store_n((hm_word *)slot, value, __ATOMIC_RELAXED);
    } else {
        memcpy((void *)slot, &value, sizeof(value));
    }
}

/* Wraps to 0 for sizes that no buffer can hold. */
HM_INLINE size_t buffer_stride(const struct buffer *b, size_t bytes)
{
    return bits_align_up(bytes == 0 ? 1 : bytes, buffer_unit(b));
}

HM_INLINE bool descriptor_is_free(const struct descriptor *d)
{
    return entry_address(&d->entry) == 0;
}

HM_INLINE bool descriptor_has_slot(const struct descriptor *d)
{
    return (entry_word(&d->entry) & ENTRY_SLOT) != 0;
}

/* The end of the free end. */
HM_INLINE size_t buffer_room(const struct buffer *b)
{
    return b->limit == UINT32_MAX ? b->room - b->count * sizeof(struct descriptor) : b->room;
}

/* The number of the live block's descriptor that the handle names; 0: stale, foreign or none. */
uint32_t buffer_lookup(const struct buffer *b, hm_handle handle);

hm_handle buffer_handle(const struct buffer *b, uint32_t number);

/* Walks the blocks upwards:
 *   struct cursor c = cursor_start(b);
 *   while (cursor_next(b, &c)) ...
 * The block at the cursor may be moved or unlinked; those before it aren't looked at again. */
struct cursor {
    uint32_t number;
    uint32_t before; /* the block before; 0: none */
    size_t floor;    /* the end of the block before */
    size_t offset;
    size_t end; /* offset + stride, but for lost blocks whose place isn't known */
};

struct cursor cursor_start(const struct buffer *b);
bool cursor_next(const struct buffer *b, struct cursor *c);

/* The cursor at the block with the number, which is live. */
struct cursor cursor_find(const struct buffer *b, uint32_t number);

/* Whether the block at the cursor has a slot that doesn't hold its address. */
bool cursor_lost(const struct buffer *b, const struct cursor *c);

/* One warning line for the first lost block of the heap. */
void buffer_warn_lost(struct buffer *b, const struct cursor *c);

/* The block that covers the address, which may be of anything; 0: none. */
uint32_t buffer_container(const struct buffer *b, uintptr_t address);

/* Says where the block is from now on; its slot is written. The entry isn't live yet, or has MOVING set. */
void buffer_place(struct buffer *b, uint32_t number, size_t offset);

/* Takes a descriptor (the free end has room for it) or gives one. */
uint32_t buffer_take(struct buffer *b);
void buffer_give(struct buffer *b, uint32_t number);

/* How many bytes of the free end buffer_take takes; SIZE_MAX: it would fail. */
size_t buffer_take_bytes(const struct buffer *b);

/* The word of an entry whose block had a slot, after it is freed: no handle named it, so none becomes stale. */
uint64_t buffer_freed_slot(uint64_t word);

/* Drops free descriptors at the array's end that no handle ever named. */
void buffer_shrink(struct buffer *b);

/* In the list; `before` is 0 for the list's head. The end of the last block is kept up. */
void buffer_link(struct buffer *b, uint32_t number, uint32_t before);
void buffer_unlink(struct buffer *b, const struct cursor *c);

/* Slots any part of which lies in [from, from + bytes), which is about to be free: forgotten. */
void buffer_forget_slots(struct buffer *b, size_t from, size_t bytes);

/* Slots that lay in [from, from + bytes) lie `delta` bytes further now. */
void buffer_carry_slots(struct buffer *b, size_t from, size_t bytes, ptrdiff_t delta);

#endif
