#include "api/general.h"

#include <errno.h>
#include <string.h>

#include "heap/alloc.h"
#include "heap/fast.h"
#include "runtime/process.h"

void *general_no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

/* Blocks that a thread without a heap frees before it gets one. */
#define FREES_BEFORE_HEAP 64

/* A new block, and whether its bytes are known to be zero. */
static void *obtain(size_t size, size_t alignment, bool *zero)
{
    void *block = alloc_block(&process_core, process_attach(), size, alignment, zero);
    process_done();
    return block != NULL ? block : general_no_memory();
}

static HM_NOINLINE void *malloc_of_any_size(size_t size)
{
    bool zero;
    process_ready();
    if (HM_UNLIKELY(process_other != NULL)) {
        return process_other->malloc(size);
    }
    return obtain(size, 1, &zero);
}

void *general_malloc_medium(size_t size, struct theap *heap)
{
    void *block = fast_alloc_medium(heap, size);
    return HM_LIKELY(block != NULL) ? block : malloc_of_any_size(size);
}

void *general_malloc(size_t size)
{
    return general_malloc_medium(size, process_heap);
}

void *general_calloc(size_t bytes)
{
    bool zero;
    process_ready();
    if (HM_UNLIKELY(process_other != NULL)) {
        return process_other->calloc(1, bytes);
    }
    void *block = obtain(bytes, 1, &zero);
    if (block != NULL && (!zero || process_core.options.tracked)) {
        memset(block, 0, bytes);
    }
    return block;
}

static HM_NOINLINE void *aligned_of_any_kind(size_t alignment, size_t size)
{
    bool zero;
    process_ready();
    if (HM_UNLIKELY(process_other != NULL)) {
        return process_other->memalign(alignment, size);
    }
    return obtain(size, alignment, &zero);
}

/* From the bin of the size, if it has one that happens to lie right. */
HM_INLINE void *pop_aligned(size_t alignment, size_t size)
{
    return size <= CLASS_CHUNK_BYTES ? fast_pop_aligned(process_heap, class_of(size), alignment) : NULL;
}

void *general_aligned(size_t alignment, size_t size)
{
    void *block = pop_aligned(alignment, size);
    return HM_LIKELY(block != NULL) ? block : aligned_of_any_kind(alignment, size);
}

static HM_NOINLINE int posix_memalign_of_any_kind(void **block, size_t alignment, size_t size)
{
    int saved = errno;
    void *new_block = aligned_of_any_kind(alignment, size);
    errno = saved;
    if (new_block == NULL) {
        return ENOMEM;
    }
    *block = new_block;
    return 0;
}

int general_posix_memalign(void **block, size_t alignment, size_t size)
{
    void *new_block = pop_aligned(alignment, size);
    if (HM_UNLIKELY(new_block == NULL)) {
        return posix_memalign_of_any_kind(block, alignment, size);
    }
    *block = new_block;
    return 0;
}

void *general_realloc(void *block, size_t size)
{
    process_ready();
    if (HM_UNLIKELY(process_other != NULL)) {
        return process_other->realloc(block, size);
    }
    if (size == 0) {
        general_free(block);
        return NULL;
    }
    void *resized = alloc_resize(&process_core, process_attach(), block, size);
    process_done();
    return resized != NULL ? resized : general_no_memory();
}

/* A thread that never allocates has no heap, unless it frees a lot: frees of other threads' blocks are cheaper with one. */
static struct theap *heap_to_free_with(void)
{
    struct theap *heap = process_current();
    if (heap == NULL && !process_exit.one_call && process_exit.rounds == 0) {
        if (process_exit.frees == FREES_BEFORE_HEAP) {
            return process_attach();
        }
        process_exit.frees++;
    }
    return heap;
}

static HM_NOINLINE void free_of_any_kind(void *block)
{
    if (block == NULL) {
        return;
    }
    process_ready();
    if (HM_UNLIKELY(process_other != NULL)) {
        process_other->free(block);
        return;
    }
    alloc_free(&process_core, heap_to_free_with(), block);
    process_done();
}

/* Of several branches the fast path leaves by, this one comes by once in a while even if all is well. */
static HM_NOINLINE void free_and_tick(void *block)
{
    struct theap *heap = process_current();
    if (heap != NULL) {
        heap->ticks = THEAP_TICKS;
        pageheap_tick(&process_core.pages);
    }
    free_of_any_kind(block);
}

void general_free_small(void *block, struct theap *heap)
{
    if (HM_UNLIKELY(heap->ticks == 0)) {
        free_and_tick(block);
    } else if (HM_UNLIKELY(!alloc_free_in_chunk(&process_core, heap, block))) {
        free_of_any_kind(block);
    }
}

/* No thread's heap is `process_none`, so that no block is its own. */
void general_free_large(void *block, struct theap *heap)
{
    if (!fast_free_covered(&process_core, heap, block)) {
        free_of_any_kind(block);
    }
}

/* The ticks of `process_none` are 0: it doesn't ask the page map, which may be none yet. */
void general_free(void *block)
{
    struct theap *heap = process_heap;
    if (block == NULL) {
        return;
    }
    if (HM_UNLIKELY(heap->ticks == 0)) {
        free_and_tick(block);
    } else if (!fast_free_large(&process_core, heap, block)) {
        general_free_small(block, heap);
    }
}

size_t general_usable(const void *block)
{
    process_ready();
    if (HM_UNLIKELY(process_other != NULL)) {
        return process_other->usable((void *)(uintptr_t)block);
    }
    return alloc_usable(&process_core, block, "malloc_usable_size");
}

int general_trim(size_t keep)
{
    process_ready();
    if (HM_UNLIKELY(process_other != NULL)) {
        return process_other->trim(keep);
    }
    return core_trim(&process_core, process_current(), keep) > 0;
}
