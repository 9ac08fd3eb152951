/* Movable heaps in a buffer of which every byte is for blocks: what the heap itself needs lies in memory apart from it.
 *
 * For buffers in memory that is scarce or fast, for buffers below 1 KiB, and for programs that know how many blocks they have at most. Such a
 * heap serves the functions of hmalloc/handle.h, but for those about handles (ENOTSUP): blocks are named by slots. It belongs to nobody but
 * the caller: nothing is to be done when it isn't used any more, and fork doesn't wait for its lock. */
#ifndef HMALLOC_BUFFER_H
#define HMALLOC_BUFFER_H

#include "handle.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of control memory for at most `count` blocks at a time. */
#define HM_BUFFER_CONTROL_BYTES      256
#define HM_BUFFER_BLOCK_BYTES        24
#define HM_BUFFER_CONTROL_FOR(count) (HM_BUFFER_CONTROL_BYTES + HM_BUFFER_BLOCK_BYTES * (size_t)(count))

/* A heap in `buffer`, which has any size up to 4 GiB; its control structure in `control`, HM_BUFFER_CONTROL_FOR(count) bytes, aligned to
 * 8. Blocks are aligned relative to the buffer's start, to options->alignment, which can be any power of two here (0: 16).
 * NULL with EINVAL. */
hm_heap *hm_buffer_create(void *buffer, size_t bytes, void *control, size_t count,
                          const struct hm_movable_options *options);

struct hm_buffer_block {
    void *address;
    size_t size;
    void *slot; /* NULL: the block has a handle, or lost its slot */
};

/* The block at a position, counted from 0 in the order of addresses, of any heap in a buffer. False: there are no more, or, with EINVAL, the heap
 * isn't in a buffer. Linear in the position. */
bool hm_buffer_block_at(hm_heap *heap, size_t position, struct hm_buffer_block *block);

#ifdef __cplusplus
}
#endif

#endif
