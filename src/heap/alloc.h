/* The general path of every public verb: any size, any thread, any pointer. The fast path (fast.h) ends here
 * whenever it can't finish. Exhaustion is NULL; misuse ends the process (diagnose.h). Nothing here sets
 * errno, everything keeps it.
 *
 * `heap` is the calling thread's heap, or NULL if it can have none (then larger costs, same results). */
#ifndef HM_HEAP_ALLOC_H
#define HM_HEAP_ALLOC_H

#include "heap/core.h"

/* `bytes` writable bytes at a multiple of `align` (a power of two); 16 holds for every block. *zero: all
 * bytes are known to be zero. */
void *alloc_block(struct core *core, struct theap *heap, size_t bytes, size_t align, bool *zero);

/* Frees any block of the core; NULL is a no-op. */
void alloc_free(struct core *core, struct theap *heap, void *block);

/* The short way for a block in a chunk. False: the general way is due (nothing is changed). */
bool alloc_free_in_chunk(struct core *core, struct theap *heap, void *block);

/* Resizes in place, by remapping, or by copying. bytes > 0. NULL: the block is as it was. */
void *alloc_resize(struct core *core, struct theap *heap, void *block, size_t bytes);

/* Writable bytes of a block with the user. `verb` names the caller in a diagnosis. */
size_t alloc_usable(struct core *core, const void *block, const char *verb);

#endif
