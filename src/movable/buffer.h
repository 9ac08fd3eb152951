/* Movable heap in a buffer: one piece of memory, compacted by sliding, and no other memory.
 *
 * Blocks lie upwards from `base`, in units of the alignment, without headers. Each has a descriptor; descriptors lie downwards from
 * the end, number 1 at the very end, and never move, because handles name them. Between `top`, the end of the last block, and the
 * lowest descriptor is the free end; free memory between blocks (gaps) has no state: it is what no block covers. Blocks are
 * linked through their descriptors in the order of their addresses.
 *
 *   buffer: [struct buffer][blocks and gaps][free end][descriptors count .. 1]
 *
 * Control structure and descriptors can also lie outside, one behind the other; then all of the buffer is for blocks.
 *
 * A request takes room at the free end, else in the first gap that fits, else compacts and looks again. It fails only if, with all
 * blocks slid down as far as those that can't move allow, neither the free end nor a gap has room; a resize may also
 * rotate its block past those behind it. Blocks that can't move: pinned, vetoed by on_move, lost (below), the one in which the slot of
 * the call itself lies, and all of them while a read section is open.
 *
 * Where a slot's block lies must be known even if the slot doesn't say so any more. Its descriptor has no room for a
 * second address, so it keeps the lowest BUFFER_PLACE_BITS bits of the offset in units: together with the end of the block before
 * they give the place, unless so much is free around the block that several fit. Then the slot decides, and if it is lost, too,
 * all places that fit count as taken. A slot whose own memory was freed (it lay in a block of this heap) is forgotten (SLOT_GONE), and its
 * block is lost for good.
 *
 * Equations: granules = sum of strides <= top <= buffer_room; live + spare + retired = count. stride = size rounded up to the
 * alignment, at least one unit.
 *
 * Free descriptors are used again. Those at the array's end that no handle ever named are dropped when a request needs their
 * memory; those of handles stay, for a stale handle is told by them. An entry serves 2^22 handles, after that it is retired. Slots
 * use nothing up.
 *
 * Locking: every verb takes `lock`, not at all under HM_MOVABLE_SINGLE_OWNER; pins and read sections take none. on_move is called with it
 * held. All verbs are linear in the number of blocks. Failure: the heap is as it was, though blocks may have moved. */
#ifndef HM_MOVABLE_BUFFER_H
#define HM_MOVABLE_BUFFER_H

#include "movable/heap.h"
#include "os/lock.h"

#define BUFFER_BYTES_MIN     1024u
#define BUFFER_BYTES_MAX     ((size_t)1 << 32)
#define BUFFER_CONTROL_BYTES 256u

struct descriptor {
    struct mentry entry; /* address 0: free */
    uint32_t bytes;      /* the size asked for */
    uint32_t next : 27;  /* the block behind, or the next spare descriptor; 0: none */
    uint32_t place_high : 5;
};

struct buffer {
    struct hm_heap heap;
    struct lock lock;
    char *base;
    size_t room;     /* from base to the end of what blocks (and descriptors, if inside) may take */
    size_t top;      /* end of the last block */
    size_t granules; /* of live blocks */
    size_t bytes;    /* of live blocks, as asked for */
    size_t
        kept; /* memory below it was freed in a read section and isn't used again before that ends; 0: none */
    uint32_t head; /* first and last block */
    uint32_t tail;
    uint32_t spare; /* descriptors to be used again */
    uint32_t count; /* descriptors in the array */
    uint32_t limit; /* of count; UINT32_MAX: they share the room with the blocks, and there are handles */
    uint32_t live;
    _Atomic uint32_t readers; /* open read sections */
    _Atomic bool sliding;     /* sections can't be opened */
    bool warned;              /* of a lost slot */
    uint32_t moved_blocks;
    _Atomic uint32_t orphans; /* sections that were open when this process was forked and haven't been left */
    uint64_t moved_bytes;
    uint64_t released_bytes;
    uint32_t steps;
    uint32_t longest_step_ns;
};

static_assert(sizeof(struct descriptor) == 24, "a block costs 24 bytes");
static_assert(sizeof(struct buffer) <= BUFFER_CONTROL_BYTES,
              "1 KiB has room for more than the control structure");

/* All of the heap in `memory`. NULL: fewer than BUFFER_BYTES_MIN or more than BUFFER_BYTES_MAX bytes, or an alignment that is neither 0, 8
 * nor 16. `number` as in struct hm_heap. */
struct hm_heap *buffer_create(void *memory, size_t bytes, uint32_t number,
                              const struct hm_movable_options *options);

/* Only blocks in `memory`, of at most BUFFER_BYTES_MAX bytes; at most `count` of them. They are aligned relative to its start, to any power
 * of two (0: 16). Control structure and descriptors lie in `control`, of buffer_outside_bytes(count) bytes, aligned to 8. No
 * handles are given out, only slots are served: the heap needs no number and nobody has to know of it. */
struct hm_heap *buffer_create_outside(void *memory, size_t bytes, void *control, uint32_t count,
                                      const struct hm_movable_options *options);

/* Whether a heap of any kind is in a buffer. */
bool buffer_is(const struct hm_heap *heap);

HM_INLINE size_t buffer_outside_bytes(uint32_t count)
{
    return BUFFER_CONTROL_BYTES + count * sizeof(struct descriptor);
}

struct buffer_block {
    void *address;
    size_t bytes;
    void *slot; /* NULL: named by a handle, or the slot is gone */
};

/* The block at a position, which counts from 0 in the order of addresses. False: there are fewer blocks. */
bool buffer_block_at(struct hm_heap *heap, uint32_t position, struct buffer_block *block);

#endif
