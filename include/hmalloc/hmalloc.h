/* libhmalloc: a general purpose memory allocator for Linux.
 *
 * All functions may be called from any thread at any time, also before main and in thread-exit destructors,
 * but not from signal handlers and not in a child of vfork. Blocks may be freed by any thread. Every block is
 * aligned to at least 16 bytes, the alignment of max_align_t.
 *
 * Misuse that is noticed (see hfree) writes one line that begins with "hmalloc: " to stderr and aborts. */
#ifndef HMALLOC_HMALLOC_H
#define HMALLOC_HMALLOC_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HM_VERSION_MAJOR 0
#define HM_VERSION_MINOR 1
#define HM_VERSION_PATCH 0

/* Allocates `size` bytes, uninitialised, as malloc(3). Size 0 gives a unique block that can be freed. The
 * caller owns the block until it passes it to hfree or hrealloc. Returns NULL with errno ENOMEM when memory
 * is exhausted or size exceeds PTRDIFF_MAX. Constant time, but for page faults and calls to the OS. */
void *hmalloc(size_t size) __attribute__((malloc, alloc_size(1)));

/* Frees a block as free(3); NULL is a no-op. Keeps errno.
 * Fatal: a pointer that isn't a block of this allocator (wild, foreign, inside a block, misaligned), and a
 * block that was freed before and not handed out again, wherever it waits. Constant time. */
void hfree(void *block);

/* Allocates count * size bytes, all zero, as calloc(3). Returns NULL with errno ENOMEM on exhaustion and when
 * the product overflows. Memory that is known to be zero isn't written. */
void *hcalloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2)));

/* Resizes a block as realloc(3), keeping the contents up to the smaller size. NULL allocates (also with size
 * 0); size 0 frees the block and returns NULL without touching errno. On failure returns NULL with errno
 * ENOMEM, and the block is as it was. In place where the memory behind is free; by remapping from the size on
 * at which blocks have their own mapping; else by copying. Fatal as hfree. */
void *hrealloc(void *block, size_t size) __attribute__((alloc_size(2)));

/* hrealloc(block, count * size), as reallocarray(3); NULL with errno ENOMEM when the product overflows, the
 * block is as it was. */
void *hreallocarray(void *block, size_t count, size_t size) __attribute__((alloc_size(2, 3)));

/* Allocates at a multiple of `alignment`, as aligned_alloc(3) in C17: a power of two, else NULL with errno
 * EINVAL; `size` need not be a multiple of it. NULL with ENOMEM on exhaustion. */
void *haligned_alloc(size_t alignment, size_t size) __attribute__((malloc, alloc_align(1), alloc_size(2)));

/* As posix_memalign(3): 0 and *block set, or EINVAL (alignment no power of two or no multiple of sizeof(void
 * *)) or ENOMEM, with *block and errno left alone. */
int hposix_memalign(void **block, size_t alignment, size_t size);

/* Bytes that may be written in the block, at least the size that was asked for, the same until it is resized;
 * 0 for NULL. As malloc_usable_size(3). Fatal as hfree. */
size_t hmalloc_usable_size(const void *block);

/* Gives free memory back to the OS, as malloc_trim(3), keeping `keep` bytes on top of the program break.
 * Empties the calling thread's caches. Returns 1 if memory was given back, else 0. Linear in the number of
 * chunks. */
int hmalloc_trim(size_t keep);

/* Switches instrumented mode: every call takes the general path, where checks and profiles see it. For all
 * threads from their next call that misses the caches on. */
void hm_instrument(bool on);

/* Checks every invariant of the allocator; fatal if one is broken. For tests: linear in the heap, other
 * threads wait. */
void hm_verify(void);

#ifdef __cplusplus
}
#endif

#endif
