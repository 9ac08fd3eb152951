#include <criterion/criterion.h>
#include <errno.h>
#include <hmalloc/hmalloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#define HUGE_SIZE (SIZE_MAX / 2 + 1)

static bool is_zero(const void *memory, size_t bytes)
{
    const char *at = memory;
    return at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0;
}

/* errno is ENOMEM, and is reset. */
static bool no_memory(const void *result)
{
    bool told = result == NULL && errno == ENOMEM;
    errno = 0;
    return told;
}

Test(hmalloc, every_size_up_to_a_page_and_some_above)
{
    for (size_t bytes = 0; bytes < 9000000; bytes += bytes < 4200 ? 1 : bytes / 7) {
        char *block = hmalloc(bytes);
        cr_assert_not_null(block);
        cr_assert_eq((uintptr_t)block % 16, 0);
        size_t usable = hmalloc_usable_size(block);
        cr_assert(usable >= bytes && usable > 0);
        memset(block, 0xff, usable);
        cr_assert_eq(hmalloc_usable_size(block), usable);
        hfree(block);
    }
    hm_verify();
}

Test(hmalloc, blocks_of_no_bytes_are_distinct)
{
    void *blocks[4] = {hmalloc(0), hcalloc(0, 5), hcalloc(5, 0), hrealloc(NULL, 0)};
    for (int i = 0; i < 4; i++) {
        cr_assert_not_null(blocks[i]);
        for (int j = 0; j < i; j++) {
            cr_assert_neq(blocks[i], blocks[j]);
        }
    }
    for (int i = 0; i < 4; i++) {
        hfree(blocks[i]);
    }
}

Test(hmalloc, impossible_sizes)
{
    static const size_t sizes[] = {SIZE_MAX,    SIZE_MAX - 4096, HUGE_SIZE, (size_t)PTRDIFF_MAX + 1,
                                   PTRDIFF_MAX, (size_t)1 << 60};
    void *block = hmalloc(100);
    memset(block, 7, 100);
    errno = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cr_assert(no_memory(hmalloc(sizes[i])));
        cr_assert(no_memory(hcalloc(1, sizes[i])));
        cr_assert(no_memory(hcalloc(sizes[i], 1)));
        cr_assert(no_memory(hrealloc(block, sizes[i])));
        cr_assert(no_memory(hrealloc(NULL, sizes[i])));
        cr_assert(no_memory(haligned_alloc(16, sizes[i])));
        cr_assert(no_memory(haligned_alloc(4096, sizes[i])));
        cr_assert(no_memory(hreallocarray(block, 1, sizes[i])));
    }
    cr_assert(((char *)block)[0] == 7 && ((char *)block)[99] == 7);
    hfree(block);
    hm_verify();
}

Test(hmalloc, products_that_overflow)
{
    static const struct {
        size_t count;
        size_t size;
    } products[] = {
        {SIZE_MAX / 2, 3}, {(size_t)1 << 32, (size_t)1 << 32}, {3, SIZE_MAX / 3 + 1}, {SIZE_MAX, SIZE_MAX}};
    void *block = hmalloc(100);
    errno = 0;
    for (size_t i = 0; i < sizeof(products) / sizeof(products[0]); i++) {
        cr_assert(no_memory(hcalloc(products[i].count, products[i].size)));
        cr_assert(no_memory(hreallocarray(block, products[i].count, products[i].size)));
        cr_assert(no_memory(hreallocarray(NULL, products[i].count, products[i].size)));
    }
    hfree(block);
}

Test(hmalloc, calloc_is_zero_wherever_it_comes_from)
{
    for (int round = 0; round < 3; round++) {
        for (size_t bytes = 1; bytes < 3000000; bytes += 1 + bytes / 9) {
            void *block = hcalloc(1, bytes);
            cr_assert(is_zero(block, bytes), "%zu bytes in round %d", bytes, round);
            memset(block, 0xff, hmalloc_usable_size(block));
            hfree(block);
        }
        for (size_t bytes = 1; bytes <= 300; bytes++) {
            void *block = hcalloc(bytes, 1);
            cr_assert(is_zero(block, bytes));
            memset(block, 0xff, hmalloc_usable_size(block));
            hfree(block);
        }
    }
}

/* Small callocs are cleared without a call: exactly as far as they must be. */
Test(hmalloc, calloc_leaves_the_neighbours_alone)
{
    for (size_t bytes = 1; bytes <= 300; bytes++) {
        unsigned char *blocks[3];
        for (int i = 0; i < 3; i++) {
            blocks[i] = hmalloc(bytes);
            memset(blocks[i], 0xee, hmalloc_usable_size(blocks[i]));
        }
        size_t usable = hmalloc_usable_size(blocks[0]);
        hfree(blocks[1]);
        unsigned char *middle = hcalloc(1, bytes);
        cr_assert(is_zero(middle, bytes));
        for (int i = 0; i < 3; i += 2) {
            cr_assert(blocks[i][0] == 0xee && memcmp(blocks[i], blocks[i] + 1, usable - 1) == 0, "%zu",
                      bytes);
            hfree(blocks[i]);
        }
        hfree(middle);
    }
}

Test(hmalloc, realloc_keeps_the_contents)
{
    unsigned char *block = hmalloc(1);
    size_t old = 1;
    block[0] = 0;
    for (unsigned step = 1; step < 400; step++) {
        size_t bytes = 1 + step * 7919u * step % 50021u * (step % 17 == 0 ? 60 : 1);
        block = hrealloc(block, bytes);
        for (size_t i = 0; i < (old < bytes ? old : bytes); i++) {
            cr_assert_eq(block[i], (unsigned char)i, "byte %zu, from %zu to %zu", i, old, bytes);
        }
        for (size_t i = old; i < bytes; i++) {
            block[i] = (unsigned char)i;
        }
        old = bytes;
    }
    errno = 5;
    cr_assert_null(hrealloc(block, 0));
    cr_assert_eq(errno, 5);
    hm_verify();
}

Test(hmalloc, reallocarray_is_realloc_of_the_product)
{
    char *block = hreallocarray(NULL, 10, 10);
    memset(block, 3, 100);
    block = hreallocarray(block, 100, 100);
    cr_assert_eq(block[99], 3);
    cr_assert_geq(hmalloc_usable_size(block), 10000);
    cr_assert_null(hreallocarray(block, 0, 5));
}

Test(hmalloc, alignments)
{
    for (size_t alignment = 1; alignment <= (size_t)1 << 23; alignment *= 2) {
        for (size_t bytes = 0; bytes < 100000; bytes = bytes * 5 + 1) {
            char *block = haligned_alloc(alignment, bytes);
            cr_assert_not_null(block);
            cr_assert_eq((uintptr_t)block % alignment, 0);
            memset(block, 1, hmalloc_usable_size(block));
            block = hrealloc(block, bytes + 100);
            cr_assert(bytes == 0 || block[bytes - 1] == 1);
            hfree(block);
        }
    }
    hm_verify();
}

Test(hmalloc, alignments_that_are_none)
{
    static const size_t bad[] = {0, 3, 24, 48, 4097, SIZE_MAX, ((size_t)1 << 63) + 1};
    void *block = &block;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        errno = 0;
        cr_assert_null(haligned_alloc(bad[i], 100));
        cr_assert_eq(errno, EINVAL);
        errno = 5;
        cr_assert_eq(hposix_memalign(&block, bad[i], 100), EINVAL);
        cr_assert(block == &block && errno == 5, "*block and errno are left alone");
    }
    cr_assert_eq(hposix_memalign(&block, 4, 100), EINVAL, "no multiple of a pointer's size");
    cr_assert_eq(hposix_memalign(&block, 64, PTRDIFF_MAX), ENOMEM);
    cr_assert_eq(hposix_memalign(&block, (size_t)1 << 63, 1), ENOMEM);
    cr_assert(block == &block && errno == 5);
    errno = 0;
    /* Not known to the compiler, which warns of them. */
    static const volatile size_t huge[] = {(size_t)1 << 62, (size_t)1 << 63};
    cr_assert(no_memory(haligned_alloc(huge[0], 1)));
    cr_assert(no_memory(haligned_alloc(huge[1], 1)));
}

Test(hmalloc, posix_memalign)
{
    void *block = NULL;
    for (size_t alignment = 8; alignment <= 65536; alignment *= 2) {
        cr_assert_eq(hposix_memalign(&block, alignment, 1000), 0);
        cr_assert_eq((uintptr_t)block % alignment, 0);
        hfree(block);
    }
}

Test(hmalloc, null)
{
    errno = 5;
    hfree(NULL);
    cr_assert_eq(hmalloc_usable_size(NULL), 0);
    void *block = hrealloc(NULL, 10);
    cr_assert_not_null(block);
    cr_assert_eq(errno, 5);
    hfree(block);
}

Test(hmalloc, free_keeps_errno_whatever_it_does)
{
    static void *blocks[3000];
    for (int i = 0; i < 3000; i++) {
        blocks[i] = hmalloc(i % 100 == 0 ? 3000000 : (size_t)i * 10);
    }
    for (int i = 0; i < 3000; i++) {
        errno = 1234;
        hfree(blocks[i]);
        cr_assert_eq(errno, 1234);
    }
}

Test(hmalloc, trim_says_whether_it_gave_anything_back)
{
    static void *blocks[2000];
    for (int i = 0; i < 2000; i++) {
        blocks[i] = hmalloc(2000);
        memset(blocks[i], 1, 2000);
    }
    for (int i = 0; i < 2000; i++) {
        hfree(blocks[i]);
    }
    cr_assert_eq(hmalloc_trim(0), 1);
    cr_assert_eq(hmalloc_trim(0), 0);
    cr_assert_eq(hmalloc_trim(SIZE_MAX), 0);
    hm_verify();
}

Test(hmalloc, instrumented_mode_can_be_switched_at_any_time)
{
    void *blocks[400];
    for (int i = 0; i < 400; i++) {
        hm_instrument(i / 100 % 2 == 0);
        blocks[i] = hmalloc((size_t)i * 300);
    }
    for (int i = 0; i < 400; i++) {
        hm_instrument(i / 37 % 2 == 0);
        hfree(blocks[i]);
    }
    hm_instrument(false);
    hm_verify();
}

static void *first_call(void *which)
{
    switch ((uintptr_t)which) {
    case 0:
        hfree(hmalloc(5000000));
        break;
    case 1:
        hfree(hcalloc(10, 10));
        break;
    case 2:
        hfree(haligned_alloc(1024, 10));
        break;
    case 3:
        hfree(hrealloc(NULL, 10));
        break;
    case 4:
        hmalloc_trim(0);
        break;
    case 5:
        hm_verify();
        break;
    case 6:
        cr_assert_eq(hmalloc_usable_size(NULL), 0);
        break;
    default:
        hfree(NULL);
        hfree(hmalloc(1));
        break;
    }
    return NULL;
}

Test(hmalloc, any_call_may_be_a_threads_first)
{
    for (uintptr_t which = 0; which < 8; which++) {
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, first_call, (void *)which), 0);
        pthread_join(thread, NULL);
    }
    hm_verify();
}
