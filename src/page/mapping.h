/* Own mappings: one block, one mapping, for sizes where moving pages beats copying bytes.
 *
 * Freed mappings are kept for a while (with the same bound and decay as dirty runs) so that a loop of
 * allocating and freeing doesn't fault its pages anew; a kept one serves requests from 3/4 of its size up.
 * Locking and failure as in pageheap.h, whose lock and statistics these functions use. */
#ifndef HM_PAGE_MAPPING_H
#define HM_PAGE_MAPPING_H

#include "page/pageheap.h"

/* Fills the caller's descriptor as pageheap_alloc does, kind SPAN_OWN; `zero` says whether it came fresh. */
bool mapping_alloc(struct pageheap *heap, struct span *span, size_t bytes, size_t align);

/* Gives the mapping back, or keeps it; the descriptor is the caller's again (kind SPAN_NONE). */
void mapping_free(struct pageheap *heap, struct span *span);

/* Grows or shrinks by remapping; the contents move along, addr and bytes are updated. False: as before. */
bool mapping_resize(struct pageheap *heap, struct span *span, size_t bytes);

/* The own mapping with the user that contains addr; NULL if none. Linear: for diagnoses. */
struct span *mapping_find(struct pageheap *heap, uintptr_t addr);

/* Unmaps a kept mapping. False: the OS refused, and it stays kept. */
bool mapping_drop_locked(struct pageheap *heap, struct span *kept);

#endif
