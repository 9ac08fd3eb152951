#include <hmalloc/defrag.h>

#include "api/verbs.h"
#include "heap/defrag.h"

static bool hint(const void *block)
{
    return block != NULL && process_other == NULL && defrag_hint(&process_core, block, "hm_defrag_hint");
}

HM_PUBLIC int hm_defrag_hint(const void *block)
{
    process_ready();
    return hint(block);
}

HM_PUBLIC size_t hm_defrag_hints(const void *const *blocks, size_t count, unsigned char *hints)
{
    size_t ones = 0;
    process_ready();
    for (size_t i = 0; i < count; i++) {
        hints[i] = hint(blocks[i]);
        ones += hints[i];
    }
    return ones;
}

HM_PUBLIC void *hm_alloc_dense(size_t size)
{
    void *block = NULL;
    process_ready();
    if (process_other == NULL && size <= CLASS_CHUNK_BYTES) {
        struct theap *heap = process_attach();
        block = heap == NULL ? NULL : defrag_alloc(heap, size);
        process_done();
    }
    /* What caches hold is better than nothing. */
    return block != NULL ? block : verb_malloc(size);
}
