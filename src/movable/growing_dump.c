#include "base/check.h"
#include "movable/block.h"
#include "movable/dump.h"
#include "movable/spare.h"

#define PINS_SHOWN 16u

/* All locks are held while the heap is walked: nothing is made, freed or moved meanwhile. Pinning goes on. */
struct shown {
    struct growing *growing;
    uint64_t horizon;
};

static void show(struct dump_sink *sink, enum dump_kind kind, size_t bytes)
{
    dump_piece(sink, &(struct dump_piece){.kind = kind, .bytes = bytes});
}

static bool is_lost(const struct mentry *entry, uint64_t word, uintptr_t at)
{
    if ((word & (ENTRY_SLOT | ENTRY_MOVING)) != ENTRY_SLOT) {
        return false;
    }
    const _Atomic uintptr_t *slot = (const _Atomic uintptr_t *)entry_address(entry);
    return slot == NULL || atomic_load_explicit(slot, memory_order_relaxed) != at;
}

static void show_block(struct dump_sink *sink, struct growing *growing, uint32_t index, uintptr_t at,
                       struct dump_piece *piece)
{
    HM_CHECK(mtable_has(&growing->table, index), "a header's index is that of an entry");
    const struct mentry *entry = mtable_entry(&growing->table, index);
    uint64_t word = entry_word(entry);
    bool slot = (word & ENTRY_SLOT) != 0;
    piece->pins = (unsigned)(word & ENTRY_PINS);
    piece->kind = is_lost(entry, word, at) ? DUMP_LOST : piece->pins > 0 ? DUMP_PINNED : DUMP_LIVE;
    piece->handle = slot ? 0 : entry_generation(word) | (hm_handle)index * MTABLE_LOW;
    piece->slot = slot ? (const void *)entry_address(entry) : NULL;
    dump_piece(sink, piece);
}

static void show_piece(struct dump_sink *sink, const struct shown *shown, const struct piece *piece)
{
    struct growing *growing = shown->growing;
    struct dump_piece block = {.bytes = piece->length, .size = piece->size};
    if (piece->index != 0) {
        block.name = pins_tag_name(&growing->pins, piece->tag);
        show_block(sink, growing, piece->index, sink->at + HEADER_BYTES, &block);
    } else if (piece->making) {
        show(sink, DUMP_META, piece->length);
    } else {
        bool passed = readers_passed(growing->env->readers, piece->epoch, shown->horizon);
        show(sink, passed ? DUMP_FREE : DUMP_DEAD, piece->length);
    }
}

/* A range that a lane allocates from counts as one free piece; of one that reaches to the end, all blocks lie before it. */
static void show_chunk(struct dump_sink *sink, const struct shown *shown, struct mchunk *chunk)
{
    struct growing *growing = shown->growing;
    const struct lane *lane = growing_lane_of(growing, chunk);
    uintptr_t start = chunk->span.addr;
    bool open = lane != NULL && lane->at != lane->stop;
    uintptr_t skip = open ? lane->at : 0;
    uintptr_t skip_end = open ? lane->stop : 0;
    uint32_t top = chunk->top;
    uint32_t before = MCHUNK_FIRST;
    chunk->top = lane != NULL && lane->tail ? (uint32_t)(lane->at - start) : top;
    show(sink, DUMP_META, MCHUNK_FIRST);
    for (uint32_t offset = MCHUNK_FIRST; offset < chunk->top;) {
        struct piece piece;
        if (start + offset == skip) {
            show(sink, DUMP_FREE, skip_end - skip);
            offset = (uint32_t)(skip_end - start);
            continue;
        }
        mchunk_read(chunk, growing->alignment, offset, before, &piece);
        show_piece(sink, shown, &piece);
        before = offset;
        offset += piece.length;
    }
    chunk->top = top;
    show(sink, DUMP_FREE, start + chunk->span.bytes - sink->at);
}

static void show_large(struct dump_sink *sink, struct growing *growing, const struct mlarge *large)
{
    uint32_t index = atomic_load_explicit(&large->index, memory_order_relaxed);
    struct dump_piece piece = {.bytes = large->span.bytes,
                               .size = atomic_load_explicit(&large->size, memory_order_relaxed)};
    dump_chunk(sink, (void *)large->span.addr, large->span.bytes);
    if (index != 0 && index != MLARGE_DEAD) {
        piece.name = pins_tag_name(&growing->pins, atomic_load_explicit(&large->tag, memory_order_relaxed));
        show_block(sink, growing, index, large->span.addr, &piece);
    } else {
        show(sink, DUMP_META, large->span.bytes);
    }
}

static void walk(struct dump_sink *sink, void *context)
{
    const struct shown *shown = context;
    struct growing *growing = shown->growing;
    const struct list *chunks = &growing->chunks.all;
    const struct list *larges = &growing->larges.all;
    const struct list *limbo = &growing->larges.limbo;
    for (struct list *node = chunks->next; node != chunks; node = node->next) {
        struct mchunk *chunk = LIST_ENTRY(node, struct mchunk, all);
        dump_chunk(sink, (void *)chunk->span.addr, chunk->span.bytes);
        if (chunk->state == MCHUNK_LIMBO || chunk->state == MCHUNK_GOING) {
            show(sink, chunk->epoch < shown->horizon ? DUMP_FREE : DUMP_DEAD, chunk->span.bytes);
        } else {
            show_chunk(sink, shown, chunk);
        }
    }
    for (struct list *node = larges->next; node != larges; node = node->next) {
        show_large(sink, growing, LIST_ENTRY(node, struct mlarge, all));
    }
    for (struct list *node = limbo->next; node != limbo; node = node->next) {
        const struct mlarge *large = LIST_ENTRY(node, struct mlarge, all);
        dump_chunk(sink, (void *)large->span.addr, large->span.bytes);
        show(sink, DUMP_DEAD, large->span.bytes);
    }
}

static void measure(const struct list *head, struct dump_layout *layout)
{
    for (const struct list *node = head->next; node != head; node = node->next) {
        size_t bytes = LIST_ENTRY(node, struct mlarge, all)->span.bytes;
        layout->chunks++;
        layout->chunk_bytes = bytes > layout->chunk_bytes ? bytes : layout->chunk_bytes;
    }
}

static bool write_locked(struct growing *growing, struct dump_layout *layout, int fd, enum hm_dump format)
{
    for (unsigned i = 0; i <= growing->lane_mask; i++) {
        spare_drop_all_locked(&growing->lane[i], &growing->chunks);
    }
    layout->chunks = growing->chunks.count;
    layout->chunk_bytes = growing->chunks.chunk_bytes;
    measure(&growing->larges.all, layout);
    measure(&growing->larges.limbo, layout);
    return format == HM_DUMP_TEXT ? dump_text(layout, fd) : dump_svg(layout, fd);
}

enum movable_result growing_dump(struct hm_heap *heap, int fd, enum hm_dump format)
{
    struct growing *growing = growing_of(heap);
    struct hm_movable_stats stats;
    struct hm_pin_info pins[PINS_SHOWN];
    if (format == HM_DUMP_HEX) {
        return MOVABLE_UNSUPPORTED;
    }
    growing_stats(heap, &stats);
    size_t count = growing_pin_report(heap, pins, PINS_SHOWN);
    struct shown shown = {.growing = growing, .horizon = readers_advance(growing->env->readers)};
    struct dump_layout layout = {.heap = heap,
                                 .kind = "grows",
                                 .stats = &stats,
                                 .pins = pins,
                                 .pin_count = count < PINS_SHOWN ? count : PINS_SHOWN,
                                 .summary = true,
                                 .walk = walk,
                                 .context = &shown};
    growing_lock_all(growing);
    bool written = write_locked(growing, &layout, fd, format);
    growing_unlock_all(growing);
    return written ? MOVABLE_OK : MOVABLE_FAILED;
}
