#include "movable/mchunk.h"

#include "base/check.h"
#include "movable/readers.h"

void mchunk_init(struct mchunk *chunk)
{
    atomic_store_explicit(&chunk->live, 0, memory_order_relaxed);
    chunk->top = MCHUNK_FIRST;
    chunk->touched = MCHUNK_FIRST;
    chunk->purged = 0;
    chunk->state = MCHUNK_HELD;
    chunk->bucket = 0;
    atomic_store_explicit(&chunk->nested, false, memory_order_relaxed);
    chunk->pass = 0;
    list_init(&chunk->link);
    list_init(&chunk->room);
    list_init(&chunk->all);
}

/* False: the header can't be one of ours, as pieces end at `limit` or before. */
static bool decode(const struct mchunk *chunk, size_t alignment, uint32_t offset, uint32_t limit,
                   struct piece *piece)
{
    uintptr_t at = chunk->span.addr + offset;
    uint64_t header = atomic_load_explicit(header_at(at), memory_order_acquire);
    *piece = (struct piece){.offset = offset, .header = header};
    if ((header & HEADER_DEAD) != 0) {
        piece->length = (uint32_t)(header_size(header) << 3);
        piece->epoch = (uint32_t)header;
        piece->making = (header & HEADER_MAKING) != 0;
        if ((header & HEADER_CHECK_MASK) != HEADER_CHECK || piece->length == 0) {
            return false;
        }
    } else {
        piece->index = header_index(header);
        piece->size = (uint32_t)header_size(header);
        piece->tag = header_tag(header);
        piece->length = (uint32_t)mchunk_stride(piece->size, alignment);
        if (piece->index == 0 || piece->size > MCHUNK_SMALL_BYTES) {
            return false;
        }
    }
    return (piece->length & (alignment - 1)) == 0 && piece->length <= limit - offset;
}

void mchunk_read(const struct mchunk *chunk, size_t alignment, uint32_t offset, uint32_t before,
                 struct piece *piece)
{
    if (HM_UNLIKELY(!decode(chunk, alignment, offset, chunk->top, piece))) {
        mchunk_corrupt(chunk, alignment, offset, before);
    }
}

void mchunk_corrupt(const struct mchunk *chunk, size_t alignment, uint32_t offset, uint32_t before)
{
    struct piece piece;
    uintptr_t at = chunk->span.addr + offset;
    if (before < offset && decode(chunk, alignment, before, mchunk_end(chunk), &piece)) {
        panic("corrupted movable heap: the header at %p was overwritten, perhaps by the block before it, %p "
              "of %zu bytes%s",
              (const void *)at, (const void *)(chunk->span.addr + before + HEADER_BYTES),
              piece.index != 0 ? (size_t)piece.size : (size_t)piece.length - HEADER_BYTES,
              piece.index != 0 ? "" : ", freed");
    }
    panic("corrupted movable heap: the header at %p was overwritten", (const void *)at);
}

uint32_t mchunk_before(const struct mchunk *chunk, size_t alignment, uint32_t offset)
{
    uint32_t before = offset;
    uint32_t at = MCHUNK_FIRST;
    struct piece piece;
    while (at < offset && decode(chunk, alignment, at, mchunk_end(chunk), &piece)) {
        before = at;
        at += piece.length;
    }
    return before;
}

static bool usable(const struct range_wanted *wanted, const struct piece *piece)
{
    return piece->index == 0 && !piece->making &&
           readers_passed(wanted->readers, piece->epoch, wanted->horizon);
}

bool mchunk_range(struct mchunk *chunk, const struct range_wanted *wanted, uint32_t *cursor, uintptr_t *at,
                  uintptr_t *end, bool *gave_up)
{
    uint32_t start = *cursor;
    uint32_t offset = start;
    uint32_t before = start;
    unsigned looks = 0;
    *gave_up = false;
    while (offset < chunk->top) {
        struct piece piece;
        if (looks++ >= MCHUNK_LOOKS && offset - start < wanted->need) {
            *gave_up = true;
            *cursor = offset;
            return false;
        }
        mchunk_read(chunk, wanted->alignment, offset, before, &piece);
        bool joins = usable(wanted, &piece);
        if (!joins && offset - start >= wanted->need) {
            break;
        }
        before = offset;
        offset += piece.length;
        start = joins ? start : offset;
    }
    /* What lies above the top is one with free memory right below it. */
    bool last = offset >= chunk->top;
    uint32_t limit = last ? mchunk_end(chunk) : offset;
    *cursor = limit;
    /* Where the next search begins. */
    __builtin_prefetch((const void *)(chunk->span.addr + limit));
    *at = chunk->span.addr + start;
    *end = chunk->span.addr + limit;
    return limit - start >= wanted->need && limit > start;
}
