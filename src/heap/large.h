/* Large blocks: one block, one span. Up to 256 KiB a thread may keep freed spans in its bins; from
 * options.own_mapping_bytes on a block is a mapping of its own. */
#ifndef HM_HEAP_LARGE_H
#define HM_HEAP_LARGE_H

#include "heap/core.h"

/* span.mark of one block spans. With CODE_CACHED: in a bin. */
#define LARGE_USER 1u

/* span.mark of a block of a movable heap in pages of its own, which the verbs of this file never touch. */
#define LARGE_MOVABLE 2u

#define LARGE_CACHED_MAX ((size_t)1 << 20) /* what one thread's bins may keep of large blocks */

void *large_alloc(struct core *core, struct theap *heap, size_t bytes, size_t align, bool *zero);

/* The span of a block that is (or was) handed out at exactly this address; NULL if there is none. */
struct span *large_find(struct core *core, uintptr_t addr);

/* False: it isn't with the user (double free). */
bool large_free(struct core *core, struct theap *heap, struct span *span);

/* In place or by remapping; NULL: neither, the block is as it was. */
void *large_resize(struct core *core, struct span *span, size_t bytes);

/* Gives the span of a block that nobody has any more back to the page heap. */
void large_discard(struct core *core, struct span *span);

HM_INLINE struct span *large_of_mark(uint8_t *mark)
{
    return (struct span *)(void *)((char *)mark - offsetof(struct span, mark));
}

#endif
