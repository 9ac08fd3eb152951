#include <hmalloc/hmalloc.h>

#include "api/verbs.h"

HM_PUBLIC void *hmalloc(size_t size)
{
    return verb_malloc(size);
}

HM_PUBLIC void hfree(void *block)
{
    verb_free(block);
}

HM_PUBLIC void *hcalloc(size_t count, size_t size)
{
    return verb_calloc(count, size);
}

HM_PUBLIC void *hrealloc(void *block, size_t size)
{
    return verb_realloc(block, size);
}

HM_PUBLIC void *hreallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    return bits_mul(count, size, &bytes) ? verb_realloc(block, bytes) : general_no_memory();
}

HM_PUBLIC void *haligned_alloc(size_t alignment, size_t size)
{
    return verb_aligned_alloc(alignment, size);
}

HM_PUBLIC int hposix_memalign(void **block, size_t alignment, size_t size)
{
    return verb_posix_memalign(block, alignment, size);
}

HM_PUBLIC size_t hmalloc_usable_size(const void *block)
{
    return verb_usable(block);
}

HM_PUBLIC int hmalloc_trim(size_t keep)
{
    return verb_trim(keep);
}

HM_PUBLIC void hm_instrument(bool on)
{
    process_ready();
    if (process_other == NULL) {
        core_instrument(&process_core, process_current(), on);
    }
}

HM_PUBLIC void hm_verify(void)
{
    process_ready();
    if (process_other == NULL) {
        core_verify(&process_core, process_current());
    }
}
