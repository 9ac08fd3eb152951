/* The interface of dalloc 1.5 (github.com/SkyEng1neering/dalloc), so that programs written for it build and run unchanged on libhmalloc:
 * compile with -I<prefix>/include/hmalloc/compat, link with -lhmalloc. C and C++.
 *
 * Blocks are named by the address of the pointer variable that holds them, and each dfree() closes the gap that it leaves, as programs
 * may rely on. The whole buffer is for blocks; what libhmalloc needs to know about them lies in heap_t (256 bytes and 24 for each of
 * MAX_NUM_OF_ALLOCATIONS blocks).
 *
 * Configuration is dalloc's: by macros, or a file of them named by DALLOC_CUSTOM_CONF_FILE. The same for all parts of a program.
 *
 * Differences, all for the better: drealloc() needs no room for a second copy; a pointer variable inside a block of the same heap
 * follows it; a variable that no longer holds its block's address isn't written to, and the block stays where it is. */
#ifndef HMALLOC_COMPAT_DALLOC_H
#define HMALLOC_COMPAT_DALLOC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../buffer.h"

#ifdef DALLOC_CUSTOM_CONF_FILE
#    include DALLOC_CUSTOM_CONF_FILE
#endif

#ifndef DALLOC_VERSION
#    define DALLOC_VERSION "1.5.0"
#endif
#ifndef MAX_NUM_OF_ALLOCATIONS
#    define MAX_NUM_OF_ALLOCATIONS 100UL
#endif
#ifndef FILL_FREED_MEMORY_BY_NULLS
#    define FILL_FREED_MEMORY_BY_NULLS true
#endif
#ifndef USE_ALIGNMENT
#    define USE_ALIGNMENT
#endif
#ifndef ALLOCATION_ALIGNMENT_BYTES
#    define ALLOCATION_ALIGNMENT_BYTES 4U
#endif
#ifndef dalloc_debug
#    define dalloc_debug printf
#endif

#ifdef USE_THREAD_SAFETY
#    ifdef USE_FREE_RTOS
#        include "FreeRTOS.h"
#        include "semphr.h"
#        ifndef DALLOC_MUTEX_TYPE
#            define DALLOC_MUTEX_TYPE SemaphoreHandle_t
#        endif
#        ifndef DALLOC_MUTEX_CREATE
#            define DALLOC_MUTEX_CREATE() xSemaphoreCreateMutex()
#        endif
#        ifndef DALLOC_MUTEX_DELETE
#            define DALLOC_MUTEX_DELETE(mutex) vSemaphoreDelete(mutex)
#        endif
#        ifndef DALLOC_MUTEX_LOCK
#            define DALLOC_MUTEX_LOCK(mutex) xSemaphoreTake(mutex, portMAX_DELAY)
#        endif
#        ifndef DALLOC_MUTEX_UNLOCK
#            define DALLOC_MUTEX_UNLOCK(mutex) xSemaphoreGive(mutex)
#        endif
#    endif
#    if !defined(DALLOC_MUTEX_TYPE) || !defined(DALLOC_MUTEX_CREATE) || !defined(DALLOC_MUTEX_DELETE) ||     \
        !defined(DALLOC_MUTEX_LOCK) || !defined(DALLOC_MUTEX_UNLOCK)
#        error                                                                                               \
            "USE_THREAD_SAFETY needs DALLOC_MUTEX_TYPE, _CREATE, _DELETE, _LOCK and _UNLOCK, or USE_FREE_RTOS"
#    endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { DALLOC_OK = 0, DALLOC_ERR } dalloc_stat_t;

/* How a block is named: by the address of its pointer variable, or by the block's own address in any variable. */
typedef enum { USING_PTR_ADDRESS = 0, USING_PTR_VALUE } validate_ptr_condition_t;

typedef struct {
    uint32_t allocations_num;        /* blocks */
    uint32_t max_memory_amount;      /* the largest `offset` there was */
    uint32_t max_allocations_amount; /* the most blocks there were */
} alloc_info_t;

typedef struct {
    uint8_t *mem;
    uint32_t offset;     /* bytes in use: where the last block ends */
    uint32_t total_size; /* of mem */
    alloc_info_t alloc_info;
#ifdef USE_THREAD_SAFETY
    DALLOC_MUTEX_TYPE mutex;
#endif
    hm_heap *hm; /* in `hm_control`; NULL: not initialised */
    uint64_t hm_control[HM_BUFFER_CONTROL_FOR(MAX_NUM_OF_ALLOCATIONS) / sizeof(uint64_t)];
} heap_t;

/* Not every program calls all of them. */
#define HM_DALLOC static inline __attribute__((unused))

HM_DALLOC void hm_dalloc_lock(heap_t *heap)
{
#ifdef USE_THREAD_SAFETY
    DALLOC_MUTEX_LOCK(heap->mutex);
#else
    (void)heap;
#endif
}

HM_DALLOC void hm_dalloc_unlock(heap_t *heap)
{
#ifdef USE_THREAD_SAFETY
    DALLOC_MUTEX_UNLOCK(heap->mutex);
#else
    (void)heap;
#endif
}

/* Closes all gaps, and brings the fields that programs read up to date. */
HM_DALLOC void hm_dalloc_settle(heap_t *heap)
{
    struct hm_budget all = {0, 0};
    struct hm_movable_stats stats;
    hm_compact(heap->hm, all);
    hm_movable_stats_get(heap->hm, &stats, sizeof(stats));
    heap->offset = (uint32_t)(stats.granule_bytes + stats.free_bytes);
    heap->alloc_info.allocations_num = (uint32_t)stats.live_blocks;
    if (heap->offset > heap->alloc_info.max_memory_amount) {
        heap->alloc_info.max_memory_amount = heap->offset;
    }
    if (heap->alloc_info.allocations_num > heap->alloc_info.max_allocations_amount) {
        heap->alloc_info.max_allocations_amount = heap->alloc_info.allocations_num;
    }
}

/* The variable that owns the block which the condition names; NULL: none. */
HM_DALLOC void **hm_dalloc_owner(heap_t *heap, void **ptr, validate_ptr_condition_t condition)
{
    if (condition == USING_PTR_ADDRESS) {
        return hm_slot_valid(heap->hm, ptr) ? ptr : NULL;
    }
    return (void **)hm_slot_of(heap->hm, *ptr);
}

HM_DALLOC bool hm_dalloc_ready(const heap_t *heap)
{
    return heap != NULL && heap->hm != NULL;
}

/* Zeroes the buffer. Wrong arguments are ignored. */
HM_DALLOC void heap_init(heap_t *heap_struct_ptr, void *mem_ptr, uint32_t mem_size)
{
    struct hm_movable_options options;
    if (heap_struct_ptr == NULL || mem_ptr == NULL || mem_size == 0) {
        return;
    }
    memset(&options, 0, sizeof(options));
    options.alignment = ALLOCATION_ALIGNMENT_BYTES;
    options.flags = HM_MOVABLE_SINGLE_OWNER | (FILL_FREED_MEMORY_BY_NULLS ? HM_MOVABLE_ZERO_ON_FREE : 0u);
    memset(mem_ptr, 0, mem_size);
    heap_struct_ptr->mem = (uint8_t *)mem_ptr;
    heap_struct_ptr->offset = 0;
    heap_struct_ptr->total_size = mem_size;
    memset(&heap_struct_ptr->alloc_info, 0, sizeof(heap_struct_ptr->alloc_info));
    heap_struct_ptr->hm =
        hm_buffer_create(mem_ptr, mem_size, heap_struct_ptr->hm_control, MAX_NUM_OF_ALLOCATIONS, &options);
#ifdef USE_THREAD_SAFETY
    heap_struct_ptr->mutex = DALLOC_MUTEX_CREATE();
#endif
}

/* Blocks are gone; their variables aren't touched. */
HM_DALLOC void heap_deinit(heap_t *heap_struct_ptr)
{
    if (!hm_dalloc_ready(heap_struct_ptr)) {
        return;
    }
#ifdef USE_THREAD_SAFETY
    DALLOC_MUTEX_DELETE(heap_struct_ptr->mutex);
#endif
    heap_struct_ptr->hm = NULL;
    heap_struct_ptr->mem = NULL;
    heap_struct_ptr->offset = 0;
    heap_struct_ptr->total_size = 0;
    heap_struct_ptr->alloc_info.allocations_num = 0;
}

/* *ptr is the new block, or NULL. A block that the variable held before is left without an owner. */
HM_DALLOC void dalloc(heap_t *heap_struct_ptr, uint32_t size, void **ptr)
{
    bool done;
    if (ptr == NULL) {
        return;
    }
    if (!hm_dalloc_ready(heap_struct_ptr) || size == 0) {
        *ptr = NULL;
        return;
    }
    hm_dalloc_lock(heap_struct_ptr);
    if (hm_slot_valid(heap_struct_ptr->hm, ptr)) {
        *ptr = NULL;
    }
    done = hm_slot_alloc(heap_struct_ptr->hm, ptr, size);
    if (!done) {
        *ptr = NULL;
    }
    hm_dalloc_settle(heap_struct_ptr);
    hm_dalloc_unlock(heap_struct_ptr);
    if (!done) {
        dalloc_debug("dalloc: no room for %lu bytes: %lu of %lu bytes, %lu of %lu blocks in use\n",
                     (unsigned long)size, (unsigned long)heap_struct_ptr->offset,
                     (unsigned long)heap_struct_ptr->total_size,
                     (unsigned long)heap_struct_ptr->alloc_info.allocations_num,
                     (unsigned long)MAX_NUM_OF_ALLOCATIONS);
    }
}

/* The block's variable becomes NULL. */
HM_DALLOC void dfree(heap_t *heap_struct_ptr, void **ptr, validate_ptr_condition_t condition)
{
    void **owner;
    if (!hm_dalloc_ready(heap_struct_ptr) || ptr == NULL) {
        dalloc_debug("dfree: no heap, or no pointer\n");
        return;
    }
    hm_dalloc_lock(heap_struct_ptr);
    owner = hm_dalloc_owner(heap_struct_ptr, ptr, condition);
    if (owner != NULL) {
        hm_slot_free(heap_struct_ptr->hm, owner);
        hm_dalloc_settle(heap_struct_ptr);
    }
    hm_dalloc_unlock(heap_struct_ptr);
    if (owner == NULL) {
        dalloc_debug("dfree: not a pointer of this heap\n");
    }
}

/* False: not a pointer of this heap, or no room; the block is as it was. */
HM_DALLOC bool drealloc(heap_t *heap_struct_ptr, uint32_t size, void **ptr)
{
    bool done = false;
    if (!hm_dalloc_ready(heap_struct_ptr) || ptr == NULL) {
        return false;
    }
    hm_dalloc_lock(heap_struct_ptr);
    if (hm_slot_valid(heap_struct_ptr->hm, ptr)) {
        done = hm_slot_resize(heap_struct_ptr->hm, ptr, size);
        hm_dalloc_settle(heap_struct_ptr);
    }
    hm_dalloc_unlock(heap_struct_ptr);
    return done;
}

/* *ptr_index, if not NULL: the block's position in the heap. */
HM_DALLOC bool validate_ptr(heap_t *heap_struct_ptr, void **ptr, validate_ptr_condition_t condition,
                            uint32_t *ptr_index)
{
    bool found = false;
    struct hm_buffer_block block;
    if (!hm_dalloc_ready(heap_struct_ptr) || ptr == NULL) {
        return false;
    }
    hm_dalloc_lock(heap_struct_ptr);
    void **owner = hm_dalloc_owner(heap_struct_ptr, ptr, condition);
    for (uint32_t i = 0; owner != NULL && !found && hm_buffer_block_at(heap_struct_ptr->hm, i, &block); i++) {
        found = block.slot == (void *)owner;
        if (found && ptr_index != NULL) {
            *ptr_index = i;
        }
    }
    hm_dalloc_unlock(heap_struct_ptr);
    return found;
}

/* The block belongs to *ptr_new from now on; *ptr_to_replace becomes NULL. */
HM_DALLOC void replace_pointers(heap_t *heap_struct_ptr, void **ptr_to_replace, void **ptr_new)
{
    bool done = false;
    if (hm_dalloc_ready(heap_struct_ptr) && ptr_to_replace != NULL && ptr_new != NULL) {
        hm_dalloc_lock(heap_struct_ptr);
        done = hm_slot_valid(heap_struct_ptr->hm, ptr_to_replace);
        if (done && ptr_to_replace != ptr_new) {
            if (hm_slot_valid(heap_struct_ptr->hm, ptr_new)) {
                *ptr_new = NULL;
            }
            done = hm_slot_move(heap_struct_ptr->hm, ptr_to_replace, ptr_new);
        }
        hm_dalloc_unlock(heap_struct_ptr);
    }
    if (!done) {
        dalloc_debug("replace_pointers: not a pointer of this heap\n");
    }
}

HM_DALLOC void print_dalloc_info(heap_t *heap_struct_ptr)
{
    if (heap_struct_ptr == NULL) {
        return;
    }
    dalloc_debug("heap of %lu bytes: %lu bytes in %lu blocks in use; at most %lu bytes and %lu blocks were\n",
                 (unsigned long)heap_struct_ptr->total_size, (unsigned long)heap_struct_ptr->offset,
                 (unsigned long)heap_struct_ptr->alloc_info.allocations_num,
                 (unsigned long)heap_struct_ptr->alloc_info.max_memory_amount,
                 (unsigned long)heap_struct_ptr->alloc_info.max_allocations_amount);
}

HM_DALLOC void dump_heap(heap_t *heap_struct_ptr)
{
    if (!hm_dalloc_ready(heap_struct_ptr)) {
        return;
    }
    for (uint32_t i = 0; i < heap_struct_ptr->total_size; i++) {
        dalloc_debug("%02X%s", (unsigned)heap_struct_ptr->mem[i], i % 32 == 31 ? "\n" : " ");
    }
    dalloc_debug("\n");
}

HM_DALLOC void dump_dalloc_ptr_info(heap_t *heap_struct_ptr)
{
    struct hm_buffer_block block;
    if (!hm_dalloc_ready(heap_struct_ptr)) {
        return;
    }
    hm_dalloc_lock(heap_struct_ptr);
    for (uint32_t i = 0; hm_buffer_block_at(heap_struct_ptr->hm, i, &block); i++) {
        dalloc_debug("pointer at %p, block at %p, %lu bytes, the first is 0x%02X\n", block.slot,
                     block.address, (unsigned long)block.size, (unsigned)*(uint8_t *)block.address);
    }
    hm_dalloc_unlock(heap_struct_ptr);
}

#ifdef USE_SINGLE_HEAP_MEMORY

/* One for the whole program, whichever of its parts include this file. */
extern heap_t hm_dalloc_default;
__attribute__((weak)) heap_t hm_dalloc_default;

HM_DALLOC bool dalloc_is_initialized(void)
{
    return hm_dalloc_ready(&hm_dalloc_default);
}

/* NULL: none is registered. */
HM_DALLOC heap_t *dalloc_get_default_heap(void)
{
    return dalloc_is_initialized() ? &hm_dalloc_default : NULL;
}

/* False: no buffer, or one is registered already. */
HM_DALLOC bool dalloc_register_heap(void *buffer, uint32_t size)
{
    if (dalloc_is_initialized()) {
        dalloc_debug("dalloc_register_heap: there is a heap already\n");
        return false;
    }
    heap_init(&hm_dalloc_default, buffer, size);
    return dalloc_is_initialized();
}

/* False: none is registered, or, without force, it has blocks. */
HM_DALLOC bool dalloc_unregister_heap(bool force)
{
    if (!dalloc_is_initialized() || (!force && hm_dalloc_default.alloc_info.allocations_num > 0)) {
        dalloc_debug("dalloc_unregister_heap: no heap, or it is in use\n");
        return false;
    }
    heap_deinit(&hm_dalloc_default);
    return true;
}

/* All blocks are gone; their variables aren't touched. */
HM_DALLOC void dalloc_reset_heap(void)
{
    uint8_t *buffer = hm_dalloc_default.mem;
    uint32_t size = hm_dalloc_default.total_size;
    if (dalloc_is_initialized()) {
        heap_deinit(&hm_dalloc_default);
        heap_init(&hm_dalloc_default, buffer, size);
    }
}

HM_DALLOC void def_dalloc(uint32_t size, void **ptr)
{
    dalloc(dalloc_get_default_heap(), size, ptr);
}

HM_DALLOC void def_dfree(void **ptr)
{
    dfree(dalloc_get_default_heap(), ptr, USING_PTR_ADDRESS);
}

HM_DALLOC bool def_drealloc(uint32_t size, void **ptr)
{
    return drealloc(dalloc_get_default_heap(), size, ptr);
}

HM_DALLOC void def_replace_pointers(void **ptr_to_replace, void **ptr_new)
{
    replace_pointers(dalloc_get_default_heap(), ptr_to_replace, ptr_new);
}

HM_DALLOC void print_def_dalloc_info(void)
{
    print_dalloc_info(dalloc_get_default_heap());
}

HM_DALLOC void dump_def_heap(void)
{
    dump_heap(dalloc_get_default_heap());
}

HM_DALLOC void dump_def_dalloc_ptr_info(void)
{
    dump_dalloc_ptr_info(dalloc_get_default_heap());
}

#endif

#ifdef __cplusplus
}
#endif

#endif
