/* Requests of a heap in a buffer: finding room, resizing, freeing. The caller holds the heap's lock. */
#ifndef HM_MOVABLE_BUFFER_ROOM_H
#define HM_MOVABLE_BUFFER_ROOM_H

#include "movable/buffer_slide.h"

/* A new block, live, named by a handle (slot 0) or by the slot, which lies in no block or in `held`. 0: no room. */
uint32_t room_alloc(struct buffer *b, size_t bytes, uintptr_t slot, uint32_t held);

/* The block's slot isn't written to. BUSY: pinned. */
enum movable_result room_free(struct buffer *b, uint32_t number);

enum movable_result room_resize(struct buffer *b, uint32_t number, size_t bytes);

#endif
