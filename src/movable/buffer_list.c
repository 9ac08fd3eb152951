#include "movable/buffer_list.h"

#include "base/check.h"

#define PLACE_MASK      ((UINT32_C(1) << BUFFER_PLACE_BITS) - 1)
#define PLACE_LOW_MASK  ((UINT32_C(1) << BUFFER_PLACE_LOW) - 1)
#define PLACE_WORD_MASK ((uint64_t)PLACE_LOW_MASK << BUFFER_PLACE_SHIFT)

static_assert((PLACE_WORD_MASK & (ENTRY_PINS | ENTRY_MOVING | ENTRY_SLOT | ENTRY_NESTED | ENTRY_RETIRED)) ==
                  0,
              "a place has bits of its own in the word");
static_assert(BUFFER_PLACE_SHIFT + BUFFER_PLACE_LOW == ENTRY_GENERATION,
              "a place ends where the generation begins");

uint32_t buffer_lookup(const struct buffer *b, hm_handle handle)
{
    uint32_t below = buffer_end(b) - (uint32_t)handle;
    uint32_t number = below / BUFFER_STEP;
    if (!heap_has(&b->heap, handle) || below % BUFFER_STEP != 0 || number > b->count) {
        return 0;
    }
    const struct descriptor *d = buffer_descriptor(b, number);
    return !descriptor_is_free(d) && entry_is_of(entry_word(&d->entry), handle) ? number : 0;
}

hm_handle buffer_handle(const struct buffer *b, uint32_t number)
{
    uint64_t generation = entry_generation(entry_word(&buffer_descriptor(b, number)->entry));
    return generation | (buffer_end(b) - BUFFER_STEP * number);
}

static size_t place_of(const struct descriptor *d)
{
    uint64_t low = entry_word(&d->entry) >> BUFFER_PLACE_SHIFT & PLACE_LOW_MASK;
    return (size_t)d->place_high << BUFFER_PLACE_LOW | low;
}

/* What the slot's variable says about where the block lies; false if it isn't one of the places that `first` stands for. */
static bool slot_offset(const struct buffer *b, const struct descriptor *d, size_t first, size_t *offset)
{
    uintptr_t slot = entry_address(&d->entry);
    if (slot == SLOT_GONE) {
        return false;
    }
    size_t at = slot_get(slot) - (uintptr_t)b->base;
    size_t stride = buffer_stride(b, d->bytes);
    *offset = at;
    return at >= first && at <= b->top && b->top - at >= stride &&
           (at - first) % (buffer_unit(b) << BUFFER_PLACE_BITS) == 0;
}

/* The lowest offset from `floor` on that the descriptor's place can stand for. */
static size_t slot_first(const struct buffer *b, const struct descriptor *d, size_t floor)
{
    size_t unit = buffer_unit(b);
    size_t at = floor / unit;
    return (at + ((place_of(d) - at) & PLACE_MASK)) * unit;
}

/* Where the first block at or behind `number` lies whose place is certain; the top if none is. */
static size_t certain_start(const struct buffer *b, uint32_t number, size_t floor)
{
    for (; number != 0; number = buffer_descriptor(b, number)->next) {
        const struct descriptor *d = buffer_descriptor(b, number);
        size_t offset;
        if (!descriptor_has_slot(d)) {
            return entry_address(&d->entry) - (uintptr_t)b->base;
        }
        if (slot_offset(b, d, slot_first(b, d, floor), &offset)) {
            return offset;
        }
    }
    return b->top;
}

static void locate(const struct buffer *b, struct cursor *c)
{
    const struct descriptor *d = buffer_descriptor(b, c->number);
    size_t stride = buffer_stride(b, d->bytes);
    if (!descriptor_has_slot(d)) {
        c->offset = entry_address(&d->entry) - (uintptr_t)b->base;
        c->end = c->offset + stride;
        return;
    }
    size_t period = buffer_unit(b) << BUFFER_PLACE_BITS;
    c->offset = slot_first(b, d, c->floor);
    c->end = c->offset + stride;
    size_t offset;
    if (c->end + period > b->top) {
        return;
    }
    if (slot_offset(b, d, c->offset, &offset)) {
        c->offset = offset;
        c->end = offset + stride;
    } else {
        size_t bound = certain_start(b, d->next, c->end);
        c->end += bound > c->end ? (bound - c->end) / period * period : 0;
    }
}

struct cursor cursor_start(const struct buffer *b)
{
    (void)b;
    return (struct cursor){.number = 0};
}

bool cursor_next(const struct buffer *b, struct cursor *c)
{
    c->before = c->number;
    c->floor = c->end;
    c->number = c->before == 0 ? b->head : buffer_descriptor(b, c->before)->next;
    if (c->number == 0) {
        return false;
    }
    locate(b, c);
    return true;
}

struct cursor cursor_find(const struct buffer *b, uint32_t number)
{
    struct cursor c = cursor_start(b);
    while (cursor_next(b, &c) && c.number != number) {
    }
    HM_CHECK(c.number == number, "a live block of a buffer is in its list");
    return c;
}

bool cursor_lost(const struct buffer *b, const struct cursor *c)
{
    const struct descriptor *d = buffer_descriptor(b, c->number);
    size_t offset;
    return descriptor_has_slot(d) && !(slot_offset(b, d, c->offset, &offset) && offset == c->offset);
}

void buffer_warn_lost(struct buffer *b, const struct cursor *c)
{
    const struct descriptor *d = buffer_descriptor(b, c->number);
    uintptr_t slot = entry_address(&d->entry);
    if (b->warned) {
        return;
    }
    b->warned = true;
    if (slot == SLOT_GONE) {
        warn("the slot of a block of %u bytes at %p is gone: the block can't be moved or freed", d->bytes,
             (void *)(b->base + c->offset));
    } else {
        warn(
            "slot %p doesn't hold the address %p of its block of %u bytes: the block can't be moved or freed",
            (void *)slot, (void *)(b->base + c->offset), d->bytes);
    }
}

uint32_t buffer_container(const struct buffer *b, uintptr_t address)
{
    size_t at = address - (uintptr_t)b->base;
    struct cursor c = cursor_start(b);
    while (at < b->top && cursor_next(b, &c)) {
        if (at < c.end) {
            return at >= c.offset ? c.number : 0;
        }
    }
    return 0;
}

void buffer_place(struct buffer *b, uint32_t number, size_t offset)
{
    struct descriptor *d = buffer_descriptor(b, number);
    uintptr_t address = (uintptr_t)b->base + offset;
    uint64_t word = entry_word(&d->entry);
    if ((word & ENTRY_SLOT) == 0) {
        entry_set_address(&d->entry, address);
        return;
    }
    size_t place = offset / buffer_unit(b) & PLACE_MASK;
    d->place_high = (uint32_t)(place >> BUFFER_PLACE_LOW) & 31u;
    word = (word & ~PLACE_WORD_MASK) | (place & PLACE_LOW_MASK) << BUFFER_PLACE_SHIFT;
    atomic_store_explicit(&d->entry.word, word, memory_order_relaxed);
    slot_set(entry_address(&d->entry), address);
}

size_t buffer_take_bytes(const struct buffer *b)
{
    if (b->spare != 0) {
        return 0;
    }
    if (b->count == b->limit || b->count == BUFFER_NUMBER_MASK) {
        return SIZE_MAX;
    }
    return b->limit == UINT32_MAX ? sizeof(struct descriptor) : 0;
}

uint32_t buffer_take(struct buffer *b)
{
    uint32_t number = b->spare;
    if (number != 0) {
        b->spare = buffer_descriptor(b, number)->next;
        return number;
    }
    number = ++b->count;
    struct descriptor *d = buffer_descriptor(b, number);
    memset(d, 0, sizeof(*d));
    atomic_init(&d->entry.word, ENTRY_NEW);
    return number;
}

uint64_t buffer_freed_slot(uint64_t word)
{
    return entry_uses(word) << ENTRY_GENERATION | ENTRY_FREE;
}

void buffer_give(struct buffer *b, uint32_t number)
{
    struct descriptor *d = buffer_descriptor(b, number);
    atomic_store_explicit(&d->entry.address, 0, memory_order_release);
    d->bytes = 0;
    d->next = 0;
    if ((entry_word(&d->entry) & ENTRY_RETIRED) == 0) {
        d->next = b->spare & BUFFER_NUMBER_MASK;
        b->spare = number;
    }
}

/* No handle ever named it, so none can be stale. */
static bool is_droppable(const struct buffer *b)
{
    const struct descriptor *d = buffer_descriptor(b, b->count);
    return descriptor_is_free(d) && entry_word(&d->entry) == ENTRY_NEW;
}

void buffer_shrink(struct buffer *b)
{
    uint32_t count = b->count;
    while (b->count > 0 && is_droppable(b)) {
        b->count--;
    }
    if (b->count == count) {
        return;
    }
    b->spare = 0;
    for (uint32_t number = b->count; number > 0; number--) {
        if (descriptor_is_free(buffer_descriptor(b, number))) {
            buffer_give(b, number);
        }
    }
}

void buffer_link(struct buffer *b, uint32_t number, uint32_t before)
{
    struct descriptor *d = buffer_descriptor(b, number);
    d->next = (before == 0 ? b->head : buffer_descriptor(b, before)->next) & BUFFER_NUMBER_MASK;
    if (before == 0) {
        b->head = number;
    } else {
        buffer_descriptor(b, before)->next = number & BUFFER_NUMBER_MASK;
    }
    if (d->next == 0) {
        b->tail = number;
    }
}

void buffer_unlink(struct buffer *b, const struct cursor *c)
{
    uint32_t next = buffer_descriptor(b, c->number)->next;
    if (c->before == 0) {
        b->head = next;
    } else {
        buffer_descriptor(b, c->before)->next = next & BUFFER_NUMBER_MASK;
    }
    if (b->tail == c->number) {
        b->tail = c->before;
        b->top = c->floor;
    }
}

void buffer_forget_slots(struct buffer *b, size_t from, size_t bytes)
{
    for (uint32_t number = 1; number <= b->count; number++) {
        struct descriptor *d = buffer_descriptor(b, number);
        size_t at = entry_address(&d->entry) - (uintptr_t)b->base;
        if (descriptor_has_slot(d) && at < from + bytes && at + sizeof(void *) > from) {
            entry_set_address(&d->entry, SLOT_GONE);
        }
    }
}

void buffer_carry_slots(struct buffer *b, size_t from, size_t bytes, ptrdiff_t delta)
{
    for (uint32_t number = 1; number <= b->count; number++) {
        struct descriptor *d = buffer_descriptor(b, number);
        uintptr_t slot = entry_address(&d->entry);
        if (descriptor_has_slot(d) && slot - (uintptr_t)b->base - from < bytes) {
            entry_set_address(&d->entry, slot + (uintptr_t)delta);
        }
    }
}
