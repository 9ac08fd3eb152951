/* libc's allocation functions, with the names, meanings and errno of glibc. */
#define _GNU_SOURCE 1

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "api/verbs.h"
#include "os/os.h"
#include "preload/passive.h"

#define ALIGNMENT_MAX (SIZE_MAX / 2 + 1)

/* Not in the headers of every libc. */
HM_PUBLIC void free_sized(void *block, size_t size);
HM_PUBLIC void free_aligned_sized(void *block, size_t alignment, size_t size);
HM_PUBLIC void cfree(void *block);

HM_PUBLIC void *malloc(size_t size)
{
    return verb_malloc(size);
}

HM_PUBLIC void free(void *block)
{
    verb_free(block);
}

HM_PUBLIC void *calloc(size_t count, size_t size)
{
    return verb_calloc(count, size);
}

HM_PUBLIC void *realloc(void *block, size_t size)
{
    return verb_realloc(block, size);
}

HM_PUBLIC size_t malloc_usable_size(void *block)
{
    return verb_usable(block);
}

HM_PUBLIC int malloc_trim(size_t keep)
{
    return verb_trim(keep);
}

HM_PUBLIC void free_sized(void *block, size_t size)
{
    (void)size;
    verb_free(block);
}

HM_PUBLIC void free_aligned_sized(void *block, size_t alignment, size_t size)
{
    (void)alignment;
    (void)size;
    verb_free(block);
}

HM_PUBLIC void cfree(void *block)
{
    verb_free(block);
}

HM_PUBLIC void *aligned_alloc(size_t alignment, size_t size)
{
    return verb_aligned_alloc(alignment, size);
}

HM_PUBLIC int posix_memalign(void **block, size_t alignment, size_t size)
{
    return verb_posix_memalign(block, alignment, size);
}

/* Any alignment up to the largest power of two, rounded up to one. */
HM_PUBLIC void *memalign(size_t alignment, size_t size)
{
    if (alignment > ALIGNMENT_MAX) {
        errno = EINVAL;
        return NULL;
    }
    if (!bits_is_power(alignment)) {
        alignment = alignment == 0 ? 1 : (size_t)2 << bits_log2(alignment);
    }
    return verb_aligned(alignment, size);
}

HM_PUBLIC void *valloc(size_t size)
{
    return verb_aligned(os_page_size(), size);
}

HM_PUBLIC void *pvalloc(size_t size)
{
    size_t page = os_page_size();
    size_t bytes = bits_align_up(size, page);
    return bytes < size ? general_no_memory() : verb_aligned(page, bytes);
}
