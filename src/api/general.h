/* The general path of the public verbs: what happens when the fast path can't finish. Not inlined, so that
 * the fast path stays a leaf. These set errno as the standard functions do. */
#ifndef HM_API_GENERAL_H
#define HM_API_GENERAL_H

#include "base/attr.h"

struct theap;

void *general_malloc(size_t size);
void *general_calloc(size_t bytes);
void *general_realloc(void *block, size_t size);
void *general_aligned(size_t alignment, size_t size);
void general_free(void *block);
size_t general_usable(const void *block);
int general_trim(size_t keep);

/* For a valid alignment; as posix_memalign does: returns the error, and keeps errno. */
int general_posix_memalign(void **block, size_t alignment, size_t size);

/* The same, for what the fast path already knows: the thread's heap; and a large request; an address in the chunk table's window,
 * in no chunk, or in a chunk. */
void *general_malloc_medium(size_t size, struct theap *heap);
void general_free_large(void *block, struct theap *heap);
void general_free_small(void *block, struct theap *heap);

/* Sets errno to ENOMEM and returns NULL. */
HM_COLD void *general_no_memory(void);

#endif
