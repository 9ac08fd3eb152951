#include "heap/diagnose.h"

#include <string.h>

#include "base/check.h"
#include "heap/large.h"
#include "page/mapping.h"

/* "double free of X" for free, "Y of freed block X" for the other verbs. */
static const char *freed_prefix(const char *verb)
{
    return strcmp(verb, "free") == 0 ? "double free" : verb;
}

static const char *freed_word(const char *verb)
{
    return strcmp(verb, "free") == 0 ? "" : "freed block ";
}

static _Noreturn void diagnose_inside(const void *block, const char *verb, uintptr_t start, size_t bytes,
                                      const char *state)
{
    panic("invalid pointer %p passed to %s: %zu bytes inside %p (block of %zu bytes, %s)", block, verb,
          (size_t)((uintptr_t)block - start), (const void *)start, bytes, state);
}

static size_t free_bytes_around(const struct chunk *chunk, unsigned granule, unsigned *start)
{
    struct block block;
    unsigned end = granule;
    *start = granule;
    while (*start > 0 && !chunk_block_at(chunk, *start - 1, &block)) {
        --*start;
    }
    while (end < CHUNK_GRANULES && !chunk_block_at(chunk, end, &block)) {
        end++;
    }
    return (size_t)(end - *start) * GRANULE_BYTES;
}

static _Noreturn void diagnose_in_chunk(const struct chunk *chunk, const void *at, const char *verb)
{
    unsigned granule = chunk_granule((uintptr_t)at);
    struct block block;
    if (chunk_block_at(chunk, granule, &block)) {
        bool cached = (block.code & CODE_CACHED) != 0;
        size_t bytes = (size_t)block.granules * GRANULE_BYTES;
        uintptr_t start = chunk_address(chunk, block.start);
        if (start == (uintptr_t)at && cached) {
            panic("%s of %s%p (block of %zu bytes, waiting in a thread's cache)", freed_prefix(verb),
                  freed_word(verb), at, bytes);
        }
        if (start == (uintptr_t)at) {
            panic("%s of %p (block of %zu bytes): freed by two threads at once", verb, at, bytes);
        }
        diagnose_inside(at, verb, start, bytes, cached ? "freed" : "in use");
    }
    if ((uintptr_t)at % GRANULE_BYTES != 0) {
        panic("invalid pointer %p passed to %s: misaligned, in free memory", at, verb);
    }
    if (granule >= chunk->fresh) {
        panic("invalid pointer %p passed to %s: never handed out", at, verb);
    }
    unsigned start;
    size_t bytes = free_bytes_around(chunk, granule, &start);
    panic("%s of %s%p (now inside free memory of %zu bytes at %p)", freed_prefix(verb), freed_word(verb), at,
          bytes, (const void *)chunk_address(chunk, start));
}

static _Noreturn void diagnose_in_span(const struct span *span, const void *at, const char *verb)
{
    if (span->kind == SPAN_MOVABLE || mark_load(&span->mark) == LARGE_MOVABLE) {
        panic(
            "invalid pointer %p passed to %s: a movable block's memory, which belongs to its handle or slot",
            at, verb);
    }
    if (span->kind == SPAN_FREE) {
        panic("%s of %s%p (now inside free pages of %zu bytes at %p)", freed_prefix(verb), freed_word(verb),
              at, span->bytes, (const void *)span->addr);
    }
    bool with_user = mark_load(&span->mark) == LARGE_USER;
    if (span->addr == (uintptr_t)at) {
        panic("%s of %s%p (block of %zu bytes, %s)", freed_prefix(verb), freed_word(verb), at, span->bytes,
              with_user ? "freed by two threads at once" : "waiting in a thread's cache");
    }
    diagnose_inside(at, verb, span->addr, span->bytes, with_user ? "in use" : "freed");
}

static struct span *find_in_runs(const struct runs *runs, uintptr_t addr)
{
    struct span *run = runs_smaller(runs, NULL);
    while (run != NULL && (addr < run->addr || addr >= span_end(run))) {
        run = runs_smaller(runs, run);
    }
    return run;
}

/* What is longer than the page map can be walked back over. */
static const struct span *find_long(struct pageheap *pages, uintptr_t addr)
{
    struct span *found = NULL;
    lock_acquire(&pages->lock);
    for (struct list *at = pages->large.next; at != &pages->large && found == NULL; at = at->next) {
        struct span *span = LIST_ENTRY(at, struct span, link);
        found = span->addr <= addr && addr < span_end(span) ? span : NULL;
    }
    found = found != NULL ? found : find_in_runs(&pages->dirty, addr);
    found = found != NULL ? found : find_in_runs(&pages->clean, addr);
    lock_release(&pages->lock);
    return found;
}

void diagnose_race(const void *block)
{
    panic("double free of %p: freed by two threads at once", block);
}

void diagnose(struct core *core, const void *block, const char *verb)
{
    uintptr_t addr = (uintptr_t)block;
    const struct chunk *chunk = table_find(&core->table, addr);
    if (chunk != NULL) {
        diagnose_in_chunk(chunk, block, verb);
    }
    const struct span *span = pagemap_find(&core->map, addr);
    if (span == NULL) {
        span = mapping_find(&core->pages, addr);
    }
    if (span == NULL) {
        span = find_long(&core->pages, addr);
    }
    if (span != NULL) {
        diagnose_in_span(span, block, verb);
    }
    if (core_was_freed(core, addr)) {
        panic("%s of %s%p (a large block, its pages are back with the OS)", freed_prefix(verb),
              freed_word(verb), block);
    }
    if (source_gave_back(&core->pages.source, addr)) {
        panic("%s of %s%p (its pages are back with the OS)", freed_prefix(verb), freed_word(verb), block);
    }
    panic("invalid pointer %p passed to %s: not a block of this allocator", block, verb);
}
