/* Defragmentation with plain pointers: libhmalloc never moves what hmalloc returned, but it can say which blocks keep memory that is
 * mostly free from being given back. A program that can find and rewrite its own pointers to a block allocates a new one with hm_alloc_dense,
 * copies, rewrites, and frees the old one:
 *
 *     if (hm_defrag_hint(item)) {
 *         struct item *copy = hm_alloc_dense(size);
 *         if (copy != NULL) {
 *             memcpy(copy, item, size);
 *             replace(item, copy);
 *             hfree(item);
 *         }
 *     }
 *
 * for all of its blocks, in any order, at once or a few at a time; then hmalloc_trim(0), for what still waits in the thread's
 * caches. As blocks move, other chunks become the sparse ones: further passes gain less and less, and end when there are no hints.
 *
 * All functions may be called wherever hmalloc may, on blocks of any thread. */
#ifndef HMALLOC_DEFRAG_H
#define HMALLOC_DEFRAG_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 1: the block (of hmalloc, or of malloc where this library replaces it) lies in a chunk that is sparse, both by itself and compared with
 * the others of the same thread, and whose memory could be given back if its blocks were elsewhere. 0: moving it gains nothing; always so for
 * blocks over 16 KiB, which have pages of their own, and NULL. Constant time, without locks: neighbours that are freed meanwhile may be
 * counted or not. Fatal as hfree. */
int hm_defrag_hint(const void *block);

/* hints[i] = hm_defrag_hint(blocks[i]) for `count` blocks. Returns the number of ones. */
size_t hm_defrag_hints(const void *const *blocks, size_t count, unsigned char *hints);

/* As hmalloc, but the block is taken from the fullest chunks of the calling thread that have room for it, not from its caches. Slower.
 * Blocks over 16 KiB as by hmalloc. */
void *hm_alloc_dense(size_t size) __attribute__((malloc, alloc_size(1)));

#ifdef __cplusplus
}
#endif

#endif
