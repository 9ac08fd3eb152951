/* What a heap in a buffer says about itself. The functions take the heap's lock. */
#ifndef HM_MOVABLE_BUFFER_REPORT_H
#define HM_MOVABLE_BUFFER_REPORT_H

#include "movable/buffer_list.h"

/* The verbs of struct movable_kind. */
void buffer_stats(struct hm_heap *heap, struct hm_movable_stats *stats);
enum movable_result buffer_dump(struct hm_heap *heap, int fd, enum hm_dump format);
void buffer_verify(struct hm_heap *heap);

#endif
