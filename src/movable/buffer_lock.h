/* The one lock of a heap in a buffer: not taken in heaps with one owner. */
#ifndef HM_MOVABLE_BUFFER_LOCK_H
#define HM_MOVABLE_BUFFER_LOCK_H

#include "movable/buffer_list.h"

HM_INLINE struct buffer *buffer_acquire(struct hm_heap *heap)
{
    struct buffer *b = buffer_of(heap);
    if ((heap->options.flags & HM_MOVABLE_SINGLE_OWNER) == 0) {
        lock_acquire(&b->lock);
    }
    return b;
}

HM_INLINE void buffer_release(struct buffer *b)
{
    if ((b->heap.options.flags & HM_MOVABLE_SINGLE_OWNER) == 0) {
        lock_release(&b->lock);
    }
}

#endif
