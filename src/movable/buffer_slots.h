/* Slots of a heap in a buffer. The functions take the heap's lock. */
#ifndef HM_MOVABLE_BUFFER_SLOTS_H
#define HM_MOVABLE_BUFFER_SLOTS_H

#include "movable/buffer_list.h"

/* The verbs of struct movable_kind. */
enum movable_result slots_find(struct hm_heap *heap, const void *slot, hm_handle *handle);
enum movable_result slots_alloc(struct hm_heap *heap, void *slot, size_t size);
enum movable_result slots_move(struct hm_heap *heap, hm_handle handle, void *to);
void *slots_of(struct hm_heap *heap, const void *address);
size_t slots_check(struct hm_heap *heap);

/* The variable of the block's slot becomes NULL, if it holds the block's address. The caller holds the lock. */
void slots_clear(struct buffer *b, const struct cursor *c);

#endif
