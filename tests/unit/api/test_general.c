#include "api/general.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "api/verbs.h"
#include "heap/bins.h"
#include "support/assert_panic.h"

/* Each as the first call of the process. */

Test(general, aligned_blocks_keep_errno_whether_there_is_one_or_not)
{
    void *blocks[3];
    errno = 4711;
    for (size_t alignment = sizeof(void *); alignment <= 8192; alignment *= 2) {
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(general_posix_memalign(&blocks[i], alignment, alignment + 1), 0);
            cr_assert_eq((uintptr_t)blocks[i] % alignment, 0);
        }
        for (int i = 0; i < 3; i++) {
            general_free(blocks[i]);
        }
        cr_assert_eq(general_aligned(alignment, alignment + 1), blocks[2], "the newest one that lies right");
    }
    void *untouched = blocks;
    cr_assert_eq(general_posix_memalign(&untouched, 64, PTRDIFF_MAX), ENOMEM);
    cr_assert(untouched == blocks && errno == 4711);
}

/* Inside the chunk table's window and outside of it, where the public verbs part. */
Test(general, large_blocks_are_kept_wherever_they_lie)
{
    void *small = verb_malloc(100);
    uintptr_t base = process_core.table.base;
    for (int moved = 0; moved < 2; moved++) {
        void *block = verb_malloc(100000);
        process_core.table.base = moved ? (uintptr_t)1 << 40 : base;
        verb_free(block);
        cr_assert_eq(verb_malloc(100000), block);
        verb_free(block);
        process_core.table.base = base;
        cr_assert_eq(bins_count(process_heap, class_of(100000)), 1);
    }
    verb_free(small);
    verb_free(NULL);
}

Test(general, malloc_first)
{
    cr_assert_eq(process_current(), NULL);
    void *block = general_malloc(100);
    cr_assert_not_null(block);
    cr_assert_neq(process_current(), NULL);
    general_free(block);
}

Test(general, medium_sizes_come_from_the_bins)
{
    void *block = general_malloc(5000);
    general_free(block);
    cr_assert_eq(general_malloc(5000), block);
    void *large = general_malloc(100000);
    general_free(large);
    cr_assert_eq(general_malloc(100000), large);
}

Test(general, calloc_clears)
{
    char *block = general_malloc(5000);
    memset(block, 1, 5000);
    general_free(block);
    char *again = general_calloc(5000);
    cr_assert_eq(again, block);
    cr_assert(again[0] == 0 && memcmp(again, again + 1, 4999) == 0);
}

Test(general, no_memory_sets_errno)
{
    errno = 0;
    cr_assert_null(general_no_memory());
    cr_assert_eq(errno, ENOMEM);
}

Test(general, exhaustion_sets_errno)
{
    void *block = general_malloc(10);
    errno = 0;
    cr_assert(general_malloc(SIZE_MAX) == NULL && errno == ENOMEM);
    errno = 0;
    cr_assert(general_calloc(SIZE_MAX) == NULL && errno == ENOMEM);
    errno = 0;
    cr_assert(general_aligned(64, SIZE_MAX) == NULL && errno == ENOMEM);
    errno = 0;
    cr_assert(general_realloc(block, SIZE_MAX) == NULL && errno == ENOMEM);
    general_free(block);
}

Test(general, realloc_to_nothing_frees)
{
    void *block = general_malloc(10);
    errno = 5;
    cr_assert_null(general_realloc(block, 0));
    cr_assert_eq(errno, 5);
    cr_assert_eq(verb_malloc(10), block);
}

/* A thread that never allocated frees what others did. */
static void *free_only(void *block)
{
    general_free(block);
    cr_assert_eq(process_current(), NULL, "it needs no heap for that");
    return NULL;
}

Test(general, free_needs_no_heap)
{
    static const size_t sizes[] = {10, 1000, 10000, 100000, 5000000};
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, free_only, general_malloc(sizes[i])), 0);
        pthread_join(thread, NULL);
    }
    general_free(NULL);
    core_verify(&process_core, process_current());
}

static void *free_many(void *argument)
{
    void **blocks = argument;
    for (int i = 0; i < 200; i++) {
        bool early = i < 64;
        general_free(blocks[i]);
        cr_assert(!early || process_current() == NULL, "a few frees need no heap");
    }
    cr_assert_neq(process_current(), NULL, "many do");
    return NULL;
}

Test(general, a_thread_that_frees_a_lot_gets_a_heap)
{
    void *blocks[200];
    pthread_t thread;
    for (int i = 0; i < 200; i++) {
        blocks[i] = general_malloc(100);
    }
    cr_assert_eq(pthread_create(&thread, NULL, free_many, blocks), 0);
    pthread_join(thread, NULL);
    core_verify(&process_core, process_current());
}

Test(general, usable)
{
    void *block = general_malloc(5000);
    cr_assert_eq(general_usable(block), class_bytes[class_of(5000)]);
    cr_assert_eq(verb_usable(NULL), 0);
}

Test(general, clearing_ends_with_the_granule)
{
    unsigned char memory[VERBS_INLINE_ZERO + 2 * GRANULE_BYTES] __attribute__((aligned(16)));
    for (size_t bytes = 0; bytes <= VERBS_INLINE_ZERO; bytes++) {
        size_t end = (bytes + GRANULE_BYTES - 1) / GRANULE_BYTES * GRANULE_BYTES;
        memset(memory, 0xff, sizeof(memory));
        verb_clear(memory, bytes);
        for (size_t i = 0; i < sizeof(memory); i++) {
            cr_assert_eq(memory[i], i < end ? 0 : 0xff, "byte %zu for %zu", i, bytes);
        }
    }
}

static void free_wild(void *unused)
{
    (void)unused;
    general_free((void *)4096);
}

Test(general, a_wild_pointer_as_the_first_call_of_all)
{
    assert_panic(free_wild, NULL, "invalid pointer 0x1000 passed to free");
}

/* Another allocator, as where an executable brings its own. */

static char other_block[64];
static size_t other_calls;

static void *other_malloc(size_t size)
{
    other_calls += size;
    return other_block;
}

static void other_free(void *block)
{
    cr_assert_eq(block, other_block);
    other_calls += 10;
}

static void *other_calloc(size_t count, size_t size)
{
    other_calls += count * size;
    return other_block;
}

static void *other_realloc(void *block, size_t size)
{
    cr_assert(block == other_block || block == NULL);
    other_calls += size;
    return other_block;
}

static void *other_memalign(size_t alignment, size_t size)
{
    other_calls += alignment + size;
    return other_block;
}

static size_t other_usable(const void *block)
{
    cr_assert_eq(block, other_block);
    return 64;
}

static int other_trim(size_t keep)
{
    other_calls += keep;
    return 1;
}

static const struct process_other other = {.malloc = other_malloc,
                                           .free = other_free,
                                           .calloc = other_calloc,
                                           .realloc = other_realloc,
                                           .memalign = other_memalign,
                                           .usable = other_usable,
                                           .trim = other_trim};

/* What was asked of it since the last look. */
static size_t calls_made(void)
{
    size_t made = other_calls;
    other_calls = 0;
    return made;
}

static void be_passive(void *unused)
{
    (void)unused;
    process_other = &other;
    bool right = verb_malloc(10) == other_block && calls_made() == 10;
    verb_free(other_block);
    right = right && calls_made() == 10;
    right = right && verb_malloc(5000) == other_block && calls_made() == 5000;
    right = right && verb_calloc(3, 7) == other_block && calls_made() == 21;
    right = right && verb_calloc(1000, 7) == other_block && calls_made() == 7000;
    right = right && verb_realloc(other_block, 9) == other_block && calls_made() == 9;
    right = right && verb_realloc(NULL, 9) == other_block && calls_made() == 9;
    right = right && verb_aligned(64, 9) == other_block && calls_made() == 73;
    right = right && verb_usable(other_block) == 64 && verb_usable(NULL) == 0;
    right = right && verb_trim(3) == 1 && calls_made() == 3;
    verb_free(NULL);
    _exit(right && calls_made() == 0 ? 7 : 1);
}

Test(general, a_passive_process_forwards_everything)
{
    struct child child = child_run(be_passive, NULL);
    cr_assert_eq(child.code, 7, "signal %d: %s", child.signal, child.errors);
}
