#include <hmalloc/buffer.h>

#include "api/outcome.h"
#include "movable/buffer.h"

static_assert(HM_BUFFER_CONTROL_BYTES == BUFFER_CONTROL_BYTES,
              "callers set so much aside for the control structure");
static_assert(HM_BUFFER_BLOCK_BYTES == sizeof(struct descriptor), "callers set so much aside for a block");

HM_PUBLIC hm_heap *hm_buffer_create(void *buffer, size_t bytes, void *control, size_t count,
                                    const struct hm_movable_options *options)
{
    hm_heap *heap = NULL;
    if (buffer != NULL && control != NULL && count <= UINT32_MAX) {
        heap = buffer_create_outside(buffer, bytes, control, (uint32_t)count, options);
    }
    if (heap == NULL) {
        outcome(MOVABLE_INVALID);
    }
    return heap;
}

HM_PUBLIC bool hm_buffer_block_at(hm_heap *heap, size_t position, struct hm_buffer_block *block)
{
    struct buffer_block found;
    heap = outcome_heap(heap, __func__);
    if (heap == NULL || !buffer_is(heap)) {
        return heap != NULL && outcome(MOVABLE_INVALID);
    }
    if (position > UINT32_MAX || !buffer_block_at(heap, (uint32_t)position, &found)) {
        return false;
    }
    *block = (struct hm_buffer_block){.address = found.address, .size = found.bytes, .slot = found.slot};
    return true;
}
