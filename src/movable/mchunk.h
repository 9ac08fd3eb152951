/* Movable chunk: a range of pages filled with blocks from the front, each behind a header of 8 bytes.
 *
 * A header says how far it is to the next one, so that a chunk can be walked, by whoever has the right to allocate from it. It is
 * one of three: a block's (index of its entry, size, tag); a dead piece's (its length, the lower half of the epoch of its death, and a
 * check value, so that an overflow into it is likely to be noticed); a block's in the making, which is neither moved nor reused. A block's
 * header is believed only as far as its entry confirms it.
 *
 * A thread that frees turns a header from block to dead, at any time, in any chunk, and then takes the block off `live`: its last
 * access. Only the chunk's holder (a lane, or the compactor) turns dead pieces into something else.
 *
 * Equations: the lengths of the pieces from `first` on add up to `top` (a range that a lane allocates from counts as one piece);
 * live = lengths of blocks + of the holder's range. Nothing at and above `touched` was written to since the pages were fresh;
 * while a lane holds the chunk, it keeps count only of what it is done with. */
#ifndef HM_MOVABLE_MCHUNK_H
#define HM_MOVABLE_MCHUNK_H

#include <stdatomic.h>

#include "base/bits.h"
#include "heap/large.h"
#include "page/span.h"

#define MCHUNK_MARK        3u /* span.mark; LARGE_MOVABLE is that of a block in pages of its own */
#define MCHUNK_BYTES       ((size_t)1 << 20)
#define MCHUNK_BYTES_MIN   ((size_t)64 << 10)
#define MCHUNK_FIRST       8u /* where the first header is */
#define MCHUNK_SMALL_BYTES (((size_t)64 << 10) - 1)
#define MCHUNK_LOOKS       256u /* headers looked at for one range */

#define HEADER_BYTES      8u
#define HEADER_DEAD       (UINT64_C(1) << 63)
#define HEADER_MAKING     (UINT64_C(1) << 62) /* with HEADER_DEAD: a block in the making */
#define HEADER_SIZE_SHIFT 32
#define HEADER_SIZE       UINT64_C(0x1ffff) /* after the shift; the length in 8 bytes of a dead piece */
#define HEADER_TAG_SHIFT  49
#define HEADER_CHECK      (UINT64_C(0x15a7) << 49) /* bits 49 to 61 of a dead piece's */
#define HEADER_CHECK_MASK (UINT64_C(0x1fff) << 49)
#define HEADER_NAME       (HEADER_DEAD | UINT64_C(1) << 48 | UINT32_MAX) /* of a block's: only the index isn't 0 */

static_assert(MCHUNK_SMALL_BYTES <= HEADER_SIZE, "a header holds a block's size");
static_assert((MCHUNK_BYTES >> 3) <= HEADER_SIZE + 1, "a header holds a dead piece's length");

typedef _Atomic uint64_t mheader;

/* mchunk.special */
#define MCHUNK_NESTED 1u /* slots of blocks may lie in it */
#define MCHUNK_WIPED  2u /* what is freed is wiped */
#define MCHUNK_VICTIM 4u /* it is being emptied: no place in it is to be used again */

enum mchunk_state {
    MCHUNK_NONE,
    MCHUNK_LISTED, /* nobody allocates from it: in a bucket, or stuck */
    MCHUNK_HELD,   /* by a lane or by the compactor */
    MCHUNK_LIMBO,  /* no blocks; read sections may look at it */
    MCHUNK_GOING,  /* no blocks; a thread that holds no lock gives its pages back */
};

struct mchunks;
struct readers;

struct mchunk {
    struct span span;              /* first */
    _Atomic(struct mchunks *) set; /* changes under the set's lock */
    _Atomic uint32_t live;
    uint32_t top;             /* the holder's, or under the set's lock */
    _Atomic uint32_t touched; /* likewise */
    _Atomic uint32_t purged;  /* likewise: bytes of dead pieces purged since it was last allocated from */
    uint8_t state;            /* the set's lock, as what follows */
    uint8_t bucket;
    _Atomic bool nested;     /* slots of blocks may lie in it; its holder may clear it */
    _Atomic uint8_t special; /* MCHUNK_WIPED and so on: a free must look closer */
    uint32_t pass;           /* stuck: the pass of compaction that could not empty it */
    struct list link;        /* bucket, stuck or limbo */
    struct list room;        /* of those listed, which have room at the end */
    struct list all;
    uint64_t epoch; /* limbo: of its death */
    uint64_t stamp; /* limbo: milliseconds */
};

/* A header taken apart. */
struct piece {
    uint32_t offset;
    uint32_t length;
    uint32_t index; /* 0: dead, or in the making */
    uint32_t size;
    uint32_t epoch; /* dead */
    uint8_t tag;
    bool making;
    uint64_t header;
};

HM_INLINE size_t mchunk_stride(size_t size, size_t alignment)
{
    return bits_align_up(size + HEADER_BYTES, alignment);
}

HM_INLINE uint64_t header_block(uint32_t index, size_t size, uint8_t tag)
{
    return index | (uint64_t)size << HEADER_SIZE_SHIFT | (uint64_t)tag << HEADER_TAG_SHIFT;
}

HM_INLINE uint32_t header_index(uint64_t header)
{
    return (uint32_t)header;
}

HM_INLINE size_t header_size(uint64_t header)
{
    return header >> HEADER_SIZE_SHIFT & HEADER_SIZE;
}

HM_INLINE uint8_t header_tag(uint64_t header)
{
    return (uint8_t)(header >> HEADER_TAG_SHIFT);
}

HM_INLINE uint64_t header_dead(size_t length, uint64_t epoch)
{
    return (uint32_t)epoch | (uint64_t)length << (HEADER_SIZE_SHIFT - 3) | HEADER_DEAD | HEADER_CHECK;
}

HM_INLINE uint64_t header_making(size_t length)
{
    return header_dead(length, 0) | HEADER_MAKING;
}

HM_INLINE mheader *header_at(uintptr_t at)
{
    return (mheader *)at;
}

HM_INLINE mheader *header_of(uintptr_t block)
{
    return (mheader *)(block - HEADER_BYTES);
}

/* Blocks end at or before it. */
HM_INLINE uint32_t mchunk_end(const struct mchunk *chunk)
{
    return (uint32_t)chunk->span.bytes - HEADER_BYTES;
}

/* Bytes that are resident for nothing. */
HM_INLINE uint32_t mchunk_garbage(const struct mchunk *chunk)
{
    uint32_t touched = chunk->touched;
    uint32_t used = MCHUNK_FIRST + chunk->purged + atomic_load_explicit(&chunk->live, memory_order_relaxed);
    return touched > used ? touched - used : 0;
}

/* The chunk is new: its pages were never touched. */
void mchunk_init(struct mchunk *chunk);

/* The piece at an offset below `top`. Panics if the header makes no sense; `before` is the offset of the piece before it, to be
 * named then. */
void mchunk_read(const struct mchunk *chunk, size_t alignment, uint32_t offset, uint32_t before,
                 struct piece *piece);

/* From *cursor on: the next range of at least `need` bytes of dead pieces that died before the horizon, or of what lies
 * above `top`. Moves *cursor behind what was looked at. False: none, or none in the first MCHUNK_LOOKS headers (*gave_up). The caller
 * holds the chunk, and puts a header where the range begins unless it uses it up. */
struct range_wanted {
    size_t need;
    size_t alignment;
    const struct readers *readers;
    uint64_t horizon;
};
bool mchunk_range(struct mchunk *chunk, const struct range_wanted *wanted, uint32_t *cursor, uintptr_t *at,
                  uintptr_t *end, bool *gave_up);

/* An overflow into the header of the block at an address: says so and names the block before it. */
_Noreturn HM_COLD void mchunk_corrupt(const struct mchunk *chunk, size_t alignment, uint32_t offset,
                                      uint32_t before);

/* The offset of the piece before the one at `offset`, by walking; for diagnoses. */
uint32_t mchunk_before(const struct mchunk *chunk, size_t alignment, uint32_t offset);

#endif
