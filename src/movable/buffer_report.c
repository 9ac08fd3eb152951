#include "movable/buffer_report.h"

#include "base/check.h"
#include "movable/buffer_lock.h"
#include "movable/dump.h"

static void count_blocks(const struct buffer *b, struct hm_movable_stats *stats)
{
    size_t end = 0;
    struct cursor c = cursor_start(b);
    while (cursor_next(b, &c)) {
        uint64_t word = entry_word(&buffer_descriptor(b, c.number)->entry);
        stats->pinned_blocks += (word & ENTRY_PINS) != 0;
        stats->slots += (word & ENTRY_SLOT) != 0;
        if (c.offset - end > stats->largest_free) {
            stats->largest_free = c.offset - end;
        }
        end = c.end;
    }
    if (buffer_room(b) - end > stats->largest_free) {
        stats->largest_free = buffer_room(b) - end;
    }
}

static void fill(const struct buffer *b, struct hm_movable_stats *stats)
{
    bool outside = b->limit != UINT32_MAX;
    size_t control = (size_t)(b->base - b->heap.table);
    *stats = (struct hm_movable_stats){
        .live_blocks = b->live,
        .live_bytes = b->bytes,
        .granule_bytes = b->granules,
        .metadata_bytes = (outside ? BUFFER_CONTROL_BYTES : control) + b->count * sizeof(struct descriptor),
        .held_bytes = b->room + (outside ? buffer_outside_bytes(b->limit) : control),
        .free_bytes = b->top - b->granules,
        .waiting_bytes = b->kept > b->top ? b->kept - b->top : 0,
        .moved_blocks = b->moved_blocks,
        .moved_bytes = b->moved_bytes,
        .released_bytes = b->released_bytes,
        .steps = b->steps,
        .longest_step_ns = b->longest_step_ns,
    };
    count_blocks(b, stats);
}

void buffer_stats(struct hm_heap *heap, struct hm_movable_stats *stats)
{
    struct buffer *b = buffer_acquire(heap);
    fill(b, stats);
    buffer_release(b);
}

static void show_block(struct dump_sink *sink, const struct buffer *b, const struct cursor *c)
{
    const struct descriptor *d = buffer_descriptor(b, c->number);
    uint64_t word = entry_word(&d->entry);
    bool slot = descriptor_has_slot(d);
    struct dump_piece piece = {
        .kind = cursor_lost(b, c)          ? DUMP_LOST
                : (word & ENTRY_PINS) != 0 ? DUMP_PINNED
                                           : DUMP_LIVE,
        .bytes = c->end - c->offset,
        .size = d->bytes,
        .handle = slot ? 0 : buffer_handle(b, c->number),
        .slot = slot ? (const void *)entry_address(&d->entry) : NULL,
        .pins = (unsigned)(word & ENTRY_PINS),
    };
    dump_piece(sink, &piece);
}

static void show_free(struct dump_sink *sink, size_t bytes)
{
    dump_piece(sink, &(struct dump_piece){.kind = DUMP_FREE, .bytes = bytes});
}

static void show_meta(struct dump_sink *sink, size_t bytes)
{
    dump_piece(sink, &(struct dump_piece){.kind = DUMP_META, .bytes = bytes});
}

static void walk(struct dump_sink *sink, void *context)
{
    const struct buffer *b = context;
    bool outside = b->limit != UINT32_MAX;
    size_t control = outside ? 0 : (size_t)(b->base - b->heap.table);
    dump_chunk(sink, b->base - control, control + b->room);
    show_meta(sink, control);
    struct cursor c = cursor_start(b);
    while (cursor_next(b, &c)) {
        show_free(sink, c.offset - c.floor);
        show_block(sink, b, &c);
    }
    show_free(sink, buffer_room(b) - b->top);
    show_meta(sink, b->room - buffer_room(b));
}

enum movable_result buffer_dump(struct hm_heap *heap, int fd, enum hm_dump format)
{
    struct buffer *b = buffer_acquire(heap);
    struct hm_movable_stats stats;
    fill(b, &stats);
    struct dump_layout layout = {
        .heap = heap,
        .kind = "in a buffer",
        .stats = &stats,
        .chunks = 1,
        .chunk_bytes = stats.held_bytes,
        .walk = walk,
        .context = b,
    };
    bool written = false;
    switch (format) {
    case HM_DUMP_TEXT:
        written = dump_text(&layout, fd);
        break;
    case HM_DUMP_SVG:
        written = dump_svg(&layout, fd);
        break;
    case HM_DUMP_HEX:
        written = dump_hex(b->base, b->room, fd);
        break;
    }
    buffer_release(b);
    return written ? MOVABLE_OK : MOVABLE_FAILED;
}

static void verify_blocks(const struct buffer *b)
{
    size_t granules = 0;
    size_t bytes = 0;
    uint32_t live = 0;
    struct cursor c = cursor_start(b);
    while (live <= b->count && cursor_next(b, &c)) {
        const struct descriptor *d = buffer_descriptor(b, c.number);
        HM_CHECK(c.number <= b->count && !descriptor_is_free(d), "a listed block has a live descriptor");
        HM_CHECK(entry_is_live(entry_word(&d->entry)), "a block's entry is live");
        HM_CHECK((entry_word(&d->entry) & ENTRY_MOVING) == 0, "a block at rest isn't moving");
        HM_CHECK(c.offset >= c.floor && c.offset % buffer_unit(b) == 0,
                 "blocks are aligned and don't overlap");
        granules += buffer_stride(b, d->bytes);
        bytes += d->bytes;
        live++;
    }
    HM_CHECK(live == b->live, "live blocks = blocks in the list");
    HM_CHECK(granules == b->granules && bytes == b->bytes, "granules = sum of strides, bytes = sum of sizes");
    HM_CHECK(b->tail == c.before && b->top == c.floor, "the last block ends at the top");
}

static void verify_descriptors(const struct buffer *b)
{
    uint32_t spare = 0;
    uint32_t retired = 0;
    for (uint32_t number = b->spare; number != 0 && spare <= b->count; spare++) {
        const struct descriptor *d = buffer_descriptor(b, number);
        HM_CHECK(number <= b->count && descriptor_is_free(d), "a spare descriptor is free");
        HM_CHECK(!entry_is_live(entry_word(&d->entry)), "a free entry isn't live");
        number = d->next;
    }
    for (uint32_t number = 1; number <= b->count; number++) {
        retired += entry_word(&buffer_descriptor(b, number)->entry) == ENTRY_RETIRED;
    }
    HM_CHECK(b->live + spare + retired == b->count, "live + spare + retired = count");
}

void buffer_verify(struct hm_heap *heap)
{
    struct buffer *b = buffer_acquire(heap);
    HM_CHECK(b->granules <= b->top && b->top <= buffer_room(b), "granules <= top <= room");
    verify_blocks(b);
    verify_descriptors(b);
    buffer_release(b);
}

bool buffer_block_at(struct hm_heap *heap, uint32_t position, struct buffer_block *block)
{
    struct buffer *b = buffer_acquire(heap);
    struct cursor c = cursor_start(b);
    bool found = true;
    for (uint32_t i = 0; i <= position && found; i++) {
        found = cursor_next(b, &c);
    }
    if (found) {
        const struct descriptor *d = buffer_descriptor(b, c.number);
        uintptr_t slot = descriptor_has_slot(d) ? entry_address(&d->entry) : SLOT_GONE;
        *block = (struct buffer_block){
            .address = b->base + c.offset,
            .bytes = d->bytes,
            .slot = slot == SLOT_GONE ? NULL : (void *)slot,
        };
    }
    buffer_release(b);
    return found;
}
