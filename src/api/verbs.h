/* The public verbs as inline functions, for the h* names and for the names of libc alike: no extra jump in
 * either. */
#ifndef HM_API_VERBS_H
#define HM_API_VERBS_H

#include <errno.h>

#include "api/general.h"
#include "base/bits.h"
#include "heap/fast.h"
#include "runtime/process.h"

#define VERBS_INLINE_ZERO 256 /* calloc of up to so many bytes clears without a call */

HM_INLINE void *verb_malloc(size_t size)
{
    struct theap *heap = process_heap;
    void *block = fast_alloc(heap, size);
    return HM_LIKELY(block != NULL) ? block : general_malloc_medium(size, heap);
}

HM_INLINE void verb_free(void *block)
{
    struct theap *heap = process_heap;
    uintptr_t granule = table_granule(&process_core.table, (uintptr_t)block);
    if (HM_UNLIKELY(granule >= TABLE_GRANULES)) {
        general_free(block);
        return;
    }
    uintptr_t map = fast_map(&process_core, granule);
    if (HM_UNLIKELY(map == 0)) {
        general_free_large(block, heap); /* also NULL: while the window isn't chosen yet it begins there */
    } else if (HM_UNLIKELY(!fast_free_in_chunk(&process_core, heap, block, granule, map))) {
        general_free_small(block, heap);
    }
}

/* Blocks are whole granules, so clearing may run to the end of the last one. Straight line code: a call or a
 * loop costs more than the stores do. */
HM_INLINE void verb_clear(void *block, size_t bytes)
{
    typedef uint64_t granule __attribute__((vector_size(GRANULE_BYTES), may_alias));
    granule *at = block;
    granule zero = {0, 0};
    HM_FORGET_VECTOR(zero); /* or it is made anew for each store */
    switch ((bytes + GRANULE_BYTES - 1) / GRANULE_BYTES) {
#define VERBS_CLEAR(n)                                                                                       \
case (n) + 1:                                                                                                \
    at[n] = zero;                                                                                            \
    __attribute__((fallthrough));
        VERBS_CLEAR(15)
        VERBS_CLEAR(14)
        VERBS_CLEAR(13)
        VERBS_CLEAR(12)
        VERBS_CLEAR(11)
        VERBS_CLEAR(10)
        VERBS_CLEAR(9)
        VERBS_CLEAR(8)
        VERBS_CLEAR(7)
        VERBS_CLEAR(6)
        VERBS_CLEAR(5)
        VERBS_CLEAR(4)
        VERBS_CLEAR(3)
        VERBS_CLEAR(2)
        VERBS_CLEAR(1)
        VERBS_CLEAR(0)
#undef VERBS_CLEAR
    default:
        break;
    }
}

HM_INLINE void *verb_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (HM_UNLIKELY(!bits_mul(count, size, &bytes))) {
        return general_no_memory();
    }
    if (HM_LIKELY(bytes <= VERBS_INLINE_ZERO)) {
        void *block = fast_alloc(process_heap, bytes);
        if (HM_LIKELY(block != NULL)) {
            verb_clear(block, bytes);
            return block;
        }
    }
    return general_calloc(bytes);
}

HM_INLINE void *verb_realloc(void *block, size_t size)
{
    if (HM_LIKELY(fast_fits(&process_core, block, size))) {
        return block;
    }
    return block == NULL ? verb_malloc(size) : general_realloc(block, size);
}

/* Any power of two as alignment. */
HM_INLINE void *verb_aligned(size_t alignment, size_t size)
{
    return alignment <= GRANULE_BYTES ? verb_malloc(size) : general_aligned(alignment, size);
}

/* The same for an alignment that a caller chose: NULL with EINVAL if it is no power of two. */
HM_INLINE void *verb_aligned_alloc(size_t alignment, size_t size)
{
    if (!bits_is_power(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    return verb_aligned(alignment, size);
}

/* Returns what posix_memalign returns, and keeps errno. */
HM_INLINE int verb_posix_memalign(void **block, size_t alignment, size_t size)
{
    if (!bits_is_power(alignment) || alignment % sizeof(void *) != 0) {
        return EINVAL;
    }
    return general_posix_memalign(block, alignment, size);
}

HM_INLINE size_t verb_usable(const void *block)
{
    return block == NULL ? 0 : general_usable(block);
}

HM_INLINE int verb_trim(size_t keep)
{
    return general_trim(keep);
}

#endif
