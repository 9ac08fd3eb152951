/* Moving blocks of a heap in a buffer. The caller holds the heap's lock. */
#ifndef HM_MOVABLE_BUFFER_SLIDE_H
#define HM_MOVABLE_BUFFER_SLIDE_H

#include "movable/buffer_list.h"

struct slide {
    struct hm_budget budget;
    uint32_t held;    /* this block doesn't move: the slot of the call lies in it; 0: none */
    uint32_t resized; /* this one moves without a word to on_move: its owner is resizing it; 0: none */
    bool background;  /* nobody's call: blocks with slots stay, unless they are pinned when they are read */
    struct hm_compact_result result;
};

/* Slides blocks down, in order, until all are as low as they can be or the budget is used up (one block is moved in any
 * case). */
void slide_down(struct buffer *b, struct slide *slide);

/* Brings the block past those behind it, as far as they can be moved, if it can have `stride` bytes of room there or where it is. True:
 * it has; the block is slide->resized, not pinned, all of its slots lie outside of it. */
bool slide_behind(struct buffer *b, struct slide *slide, size_t stride);

/* Copies the block to free memory: everything about its place but its position in the list. False: pinned meanwhile. */
bool slide_copy(struct buffer *b, uint32_t number, const struct cursor *from, size_t to, size_t keep);

/* After memory was freed: while sections are open it isn't used again. */
void slide_freed(struct buffer *b, size_t end);

/* Zeros for freed memory, if the heap is so. */
void slide_wipe(struct buffer *b, size_t from, size_t end);

#endif
