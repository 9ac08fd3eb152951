#include "movable/buffer_room.h"

#include "base/check.h"

struct spot {
    size_t offset;
    uint32_t before; /* the block before it; 0: none */
};

/* A block at the free end, with `more` bytes taken from it for the descriptor. */
static bool find_end(const struct buffer *b, size_t stride, size_t more, struct spot *spot)
{
    *spot = (struct spot){b->kept > b->top ? b->kept : b->top, b->tail};
    size_t room = buffer_room(b);
    return spot->offset <= room && room - spot->offset >= stride && room - spot->offset - stride >= more;
}

/* The first gap that fits; the descriptor must have room all the same. */
static bool find_gap(const struct buffer *b, size_t stride, size_t more, struct spot *spot)
{
    if (b->kept > 0 || b->top - b->granules < stride || buffer_room(b) - b->top < more) {
        return false;
    }
    struct cursor c = cursor_start(b);
    while (cursor_next(b, &c)) {
        if (c.offset - c.floor >= stride) {
            *spot = (struct spot){c.floor, c.before};
            return true;
        }
    }
    return false;
}

/* Nobody is left who could read what was freed. */
static void let_go(struct buffer *b)
{
    if (b->kept > 0 && atomic_load(&b->readers) == 0) {
        b->kept = 0;
    }
}

static bool find(struct buffer *b, size_t stride, size_t more, struct spot *spot)
{
    let_go(b);
    return find_end(b, stride, more, spot) || find_gap(b, stride, more, spot);
}

static bool may_rescue(const struct buffer *b)
{
    return (b->heap.options.flags & HM_MOVABLE_NO_RESCUE) == 0;
}

/* Also after dropping descriptors, and after compacting. */
static bool find_at_last(struct buffer *b, size_t stride, uint32_t held, struct spot *spot)
{
    size_t more = buffer_take_bytes(b);
    if (more != SIZE_MAX && find(b, stride, more, spot)) {
        return true;
    }
    buffer_shrink(b);
    more = buffer_take_bytes(b);
    if (more == SIZE_MAX) {
        return false;
    }
    if (find(b, stride, more, spot)) {
        return true;
    }
    if (!may_rescue(b) || b->top == b->granules) {
        return false;
    }
    struct slide slide = {.held = held};
    slide_down(b, &slide);
    return find(b, stride, more, spot);
}

uint32_t room_alloc(struct buffer *b, size_t bytes, uintptr_t slot, uint32_t held)
{
    struct spot spot;
    size_t stride = buffer_stride(b, bytes);
    if (bytes > UINT32_MAX || !find_at_last(b, stride, held, &spot)) {
        return 0;
    }
    uint32_t number = buffer_take(b);
    struct descriptor *d = buffer_descriptor(b, number);
    d->bytes = (uint32_t)bytes;
    buffer_link(b, number, spot.before);
    b->top = b->tail == number ? spot.offset + stride : b->top;
    uintptr_t address = slot != 0 ? slot : (uintptr_t)b->base + spot.offset;
    hm_handle low = buffer_handle(b, number);
    entry_make(&d->entry, (uint32_t)low, b->heap.number, address, slot != 0 ? ENTRY_SLOT : 0);
    buffer_place(b, number, spot.offset);
    b->live++;
    b->bytes += bytes;
    b->granules += stride;
    return number;
}

enum movable_result room_free(struct buffer *b, uint32_t number)
{
    struct descriptor *d = buffer_descriptor(b, number);
    struct cursor c = cursor_find(b, number);
    uint64_t word;
    if (entry_take(&d->entry, buffer_handle(b, number), &word) != ENTRY_OK) {
        return MOVABLE_BUSY;
    }
    if ((word & ENTRY_SLOT) != 0) {
        atomic_store_explicit(&d->entry.word, buffer_freed_slot(word), memory_order_release);
    }
    if ((word & ENTRY_NESTED) != 0) {
        buffer_forget_slots(b, c.offset, c.end - c.offset);
    }
    slide_freed(b, b->top);
    slide_wipe(b, c.offset, c.end);
    b->live--;
    b->bytes -= d->bytes;
    b->granules -= buffer_stride(b, d->bytes);
    buffer_unlink(b, &c);
    buffer_give(b, number);
    return MOVABLE_OK;
}

/* Where the free memory behind the block ends. */
static size_t limit_behind(const struct buffer *b, const struct cursor *c)
{
    struct cursor next = *c;
    if (!cursor_next(b, &next)) {
        return buffer_room(b);
    }
    return next.offset;
}

static void set_bytes(struct buffer *b, const struct cursor *c, size_t bytes)
{
    struct descriptor *d = buffer_descriptor(b, c->number);
    size_t stride = buffer_stride(b, bytes);
    b->bytes += bytes - d->bytes;
    b->granules += stride - buffer_stride(b, d->bytes);
    d->bytes = (uint32_t)bytes;
    if (b->tail == c->number) {
        b->top = c->offset + stride;
    }
}

/* In place: smaller, or into free memory behind it. */
static bool resize_here(struct buffer *b, const struct cursor *c, size_t bytes)
{
    size_t end = c->offset + buffer_stride(b, bytes);
    let_go(b);
    if (end > c->end && (limit_behind(b, c) < end || b->kept > c->end)) {
        return false;
    }
    if (end < c->end) {
        if ((entry_word(&buffer_descriptor(b, c->number)->entry) & ENTRY_NESTED) != 0) {
            buffer_forget_slots(b, end, c->end - end);
        }
        slide_freed(b, b->top);
    }
    size_t old = buffer_descriptor(b, c->number)->bytes;
    set_bytes(b, c, bytes);
    slide_wipe(b, c->offset + bytes, bytes < old ? c->end : 0);
    return true;
}

/* By a copy to other free memory. */
static bool resize_away(struct buffer *b, const struct cursor *c, size_t bytes)
{
    struct spot spot;
    struct descriptor *d = buffer_descriptor(b, c->number);
    if (!find(b, buffer_stride(b, bytes), 0, &spot)) {
        return false;
    }
    if (!slide_copy(b, c->number, c, spot.offset, bytes < d->bytes ? bytes : d->bytes)) {
        return false;
    }
    /* The new place may be the gap right behind the old one. */
    if (spot.before != c->number) {
        buffer_unlink(b, c);
        buffer_link(b, c->number, spot.before);
    }
    struct cursor now = {.number = c->number, .offset = spot.offset};
    set_bytes(b, &now, bytes);
    return true;
}

/* After everything has slid down; the block itself as well, but for what can't. */
static bool resize_at_last(struct buffer *b, uint32_t number, size_t bytes, uint32_t held)
{
    struct slide slide = {.held = held, .resized = number};
    slide_down(b, &slide);
    struct cursor c = cursor_find(b, number);
    if (resize_here(b, &c, bytes)) {
        return true;
    }
    if (held == number) {
        return false;
    }
    if (resize_away(b, &c, bytes)) {
        return true;
    }
    if (!slide_behind(b, &slide, buffer_stride(b, bytes))) {
        return false;
    }
    c = cursor_find(b, number);
    return resize_here(b, &c, bytes);
}

enum movable_result room_resize(struct buffer *b, uint32_t number, size_t bytes)
{
    struct descriptor *d = buffer_descriptor(b, number);
    uint64_t word = entry_word(&d->entry);
    struct cursor c = cursor_find(b, number);
    if ((word & ENTRY_PINS) != 0) {
        return MOVABLE_BUSY;
    }
    if (bytes > UINT32_MAX) {
        return MOVABLE_NO_MEMORY;
    }
    uint32_t held = (word & ENTRY_SLOT) != 0 ? buffer_container(b, entry_address(&d->entry)) : 0;
    for (int dropped = 0; dropped < 2; dropped++) {
        if (resize_here(b, &c, bytes) || (held != number && resize_away(b, &c, bytes))) {
            return MOVABLE_OK;
        }
        buffer_shrink(b);
    }
    return may_rescue(b) && resize_at_last(b, number, bytes, held) ? MOVABLE_OK : MOVABLE_NO_MEMORY;
}
