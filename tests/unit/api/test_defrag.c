#include <criterion/criterion.h>
#include <errno.h>
#include <hmalloc/defrag.h>
#include <hmalloc/hmalloc.h>
#include <stdint.h>
#include <string.h>

#include "os/os.h"
#include "support/env.h"

#define MIB ((size_t)1 << 20)

#define ENTRIES 200000

static void *entries[ENTRIES];
static size_t sizes[ENTRIES];

static uint64_t state = 1;

static size_t below(size_t limit)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(state >> 33) % limit;
}

/* Bytes in blocks. */
static size_t fill(size_t count)
{
    size_t live = 0;
    for (size_t i = 0; i < count; i++) {
        sizes[i] = 32 + below(1000);
        entries[i] = memset(hmalloc(sizes[i]), (int)i, sizes[i]);
        live += sizes[i];
    }
    return live;
}

static size_t delete_most(size_t count)
{
    size_t deleted = 0;
    for (size_t i = 0; i < count; i++) {
        if (below(5) != 0) {
            hfree(entries[i]);
            entries[i] = NULL;
            deleted += sizes[i];
        }
    }
    hmalloc_trim(0);
    return deleted;
}

static size_t move_hinted(size_t count)
{
    size_t moved = 0;
    for (size_t i = 0; i < count; i++) {
        if (hm_defrag_hint(entries[i])) {
            void *copy = hm_alloc_dense(sizes[i]);
            cr_assert_not_null(copy);
            memcpy(copy, entries[i], sizes[i]);
            hfree(entries[i]);
            entries[i] = copy;
            moved++;
        }
    }
    hmalloc_trim(0);
    return moved;
}

static void check_and_free(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const unsigned char *bytes = entries[i];
        if (bytes != NULL) {
            cr_assert(bytes[0] == i % 256 && memcmp(bytes, bytes + 1, sizes[i] - 1) == 0, "entry %zu", i);
        }
        hfree(entries[i]);
    }
}

/* What a program reaches that rewrites its own pointers: after one pass at most 1.35 times what is live. */
Test(defrag, a_store_of_which_most_was_deleted)
{
    size_t count = test_scale(ENTRIES);
    memset(entries, 0, sizeof entries);
    memset(sizes, 1, sizeof sizes);
    hfree(hmalloc(1));
    size_t start = os_resident();
    size_t live = fill(count);
    live -= delete_most(count);
    size_t sparse = os_resident() - start;
    cr_assert_gt(move_hinted(count), count / 10);
    size_t after = os_resident() - start;
    hm_verify();
    if (count == ENTRIES) {
        cr_assert_gt(sparse, 4 * live);
        cr_assert_leq(after, live + live * 35 / 100, "%zu KiB resident, %zu live", after / 1024, live / 1024);
    }
    check_and_free(count);
}

Test(defrag, passes_end)
{
    size_t count = test_scale(ENTRIES / 10);
    size_t passes = 0;
    fill(count);
    delete_most(count);
    while (move_hinted(count) > 0) {
        cr_assert_leq(++passes, 15);
    }
    check_and_free(count);
    hm_verify();
}

Test(defrag, batches_say_the_same)
{
    static unsigned char hints[ENTRIES];
    size_t count = test_scale(ENTRIES / 10);
    fill(count);
    delete_most(count);
    size_t ones = hm_defrag_hints((const void *const *)entries, count, hints);
    cr_assert_gt(ones, 0);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(hints[i], hm_defrag_hint(entries[i]), "entry %zu", i);
        ones -= hints[i];
    }
    cr_assert_eq(ones, 0);
    cr_assert_eq(hm_defrag_hints(NULL, 0, NULL), 0);
    check_and_free(count);
}

Test(defrag, no_hint_without_a_chunk)
{
    void *large = hmalloc(100000);
    cr_assert_eq(hm_defrag_hint(NULL), 0);
    cr_assert_eq(hm_defrag_hint(large), 0);
    hfree(large);
}

Test(defrag, dense_blocks_are_blocks)
{
    for (size_t bytes = 0; bytes < 5 * MIB; bytes += 1 + bytes / 5) {
        char *block = hm_alloc_dense(bytes);
        cr_assert_not_null(block);
        cr_assert(hmalloc_usable_size(block) >= bytes && (uintptr_t)block % 16 == 0);
        memset(block, 1, hmalloc_usable_size(block));
        block = hrealloc(block, bytes + 100);
        cr_assert(bytes == 0 || block[bytes - 1] == 1);
        hfree(block);
    }
    hm_verify();
}

Test(defrag, impossible_sizes)
{
    static const size_t impossible[] = {SIZE_MAX, SIZE_MAX - 15, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX};
    for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
        errno = 0;
        cr_assert(hm_alloc_dense(impossible[i]) == NULL && errno == ENOMEM);
    }
}
