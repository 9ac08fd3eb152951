/* symbols: checks what each libc allocation function means, edge cases and errno included. Run it with the preload library.
 *
 * Prints one line for each expectation that isn't met, and "ok" when all are. Most of it holds on glibc as well; what
 * glibc does differently says so. */
#define _GNU_SOURCE 1

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT_ERRNO 4711

static int failures;

static void check(bool condition, const char *text, int line)
{
    if (!condition) {
        printf("line %d: %s\n", line, text);
        failures++;
    }
}

#define CHECK(condition) check((condition), #condition, __LINE__)

/* These hide a value from the compiler, which knows too well what the functions do. */
static size_t opaque(size_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

static void *hidden(void *block)
{
    __asm__ volatile("" : "+r"(block));
    return block;
}

static bool aligned_to(const void *block, size_t alignment)
{
    return (uintptr_t)block % alignment == 0;
}

static bool filled_with(const unsigned char *block, unsigned char value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (block[i] != value) {
            return false;
        }
    }
    return true;
}

/* The call must fail with NULL and this errno. */
#define CHECK_FAILS(call, error)                                                                             \
    do {                                                                                                     \
        errno = KEPT_ERRNO;                                                                                  \
        CHECK(hidden(call) == NULL);                                                                         \
        CHECK(errno == (error));                                                                             \
    } while (0)

static void test_malloc(void)
{
    void *first = malloc(opaque(0));
    void *second = malloc(opaque(0));
    CHECK(first != NULL && second != NULL && first != second);
    free(first);
    free(second);
    for (size_t size = 1; size < (size_t)1 << 24; size = size * 3 / 2 + 1) {
        errno = KEPT_ERRNO;
        unsigned char *block = malloc(size);
        CHECK(block != NULL && aligned_to(block, _Alignof(max_align_t)));
        CHECK(malloc_usable_size(block) >= size);
        memset(block, 0xa5, malloc_usable_size(block));
        free(block);
        CHECK(errno == KEPT_ERRNO);
    }
    CHECK_FAILS(malloc(opaque((size_t)PTRDIFF_MAX + 1)), ENOMEM);
    CHECK_FAILS(malloc(opaque(SIZE_MAX)), ENOMEM);
    CHECK_FAILS(malloc(opaque((size_t)PTRDIFF_MAX)), ENOMEM);
    CHECK(malloc_usable_size(NULL) == 0);
}

static void test_free_keeps_errno(void)
{
    static const size_t sizes[] = {1, 100, 5000, 40000, 300000, 5 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        void *block = malloc(sizes[i]);
        errno = KEPT_ERRNO;
        free(block);
        CHECK(errno == KEPT_ERRNO);
    }
    free(NULL);
    CHECK(errno == KEPT_ERRNO);
}

static void test_calloc(void)
{
    for (size_t size = 1; size < (size_t)1 << 23; size = size * 3 + 1) {
        unsigned char *dirty = malloc(size);
        memset(dirty, 0xff, size);
        free(dirty);
        unsigned char *block = calloc(size, 1);
        CHECK(block != NULL && filled_with(block, 0, size));
        free(block);
    }
    void *empty = calloc(opaque(0), opaque(100));
    CHECK(empty != NULL);
    free(empty);
    CHECK_FAILS(calloc(opaque(SIZE_MAX / 2), opaque(3)), ENOMEM);
    CHECK_FAILS(calloc(opaque((size_t)1 << 32), opaque((size_t)1 << 32)), ENOMEM);
    CHECK_FAILS(calloc(opaque((size_t)PTRDIFF_MAX), opaque(2)), ENOMEM);
}

static void test_realloc(void)
{
    unsigned char *block = realloc(NULL, opaque(0));
    CHECK(block != NULL);
    size_t size = 1;
    for (; size < (size_t)1 << 23; size *= 2) {
        block = realloc(block, size);
        CHECK(block != NULL && malloc_usable_size(block) >= size);
        CHECK(filled_with(block, 7, size / 2));
        memset(block, 7, size);
    }
    for (size /= 2; size > 1; size /= 3) {
        block = realloc(block, size);
        CHECK(block != NULL && filled_with(block, 7, size));
    }
    CHECK_FAILS(realloc(hidden(block), opaque(SIZE_MAX)), ENOMEM);
    CHECK_FAILS(realloc(hidden(block), opaque((size_t)PTRDIFF_MAX + 1)), ENOMEM);
    CHECK(block[0] == 7);
    errno = KEPT_ERRNO;
    CHECK(realloc(block, opaque(0)) == NULL);
    CHECK(errno == KEPT_ERRNO);
}

static void test_reallocarray(void)
{
    unsigned char *block = reallocarray(NULL, opaque(3), opaque(7));
    CHECK(block != NULL);
    memset(block, 9, 21);
    block = reallocarray(block, opaque(1000), opaque(7));
    CHECK(block != NULL && filled_with(block, 9, 21));
    CHECK_FAILS(reallocarray(hidden(block), opaque(SIZE_MAX / 2), opaque(3)), ENOMEM);
    CHECK(filled_with(block, 9, 21));
    CHECK(reallocarray(block, opaque(0), opaque(7)) == NULL);
}

static void test_posix_memalign(void)
{
    void *const untouched = &failures;
    void *block = untouched;
    errno = KEPT_ERRNO;
    CHECK(posix_memalign(&block, opaque(3), 10) == EINVAL);
    CHECK(posix_memalign(&block, opaque(0), 10) == EINVAL);
    CHECK(posix_memalign(&block, opaque(sizeof(void *) / 2), 10) == EINVAL);
    CHECK(posix_memalign(&block, opaque(sizeof(void *) * 3), 10) == EINVAL);
    CHECK(posix_memalign(&block, 64, opaque(SIZE_MAX)) == ENOMEM);
    CHECK(posix_memalign(&block, opaque((size_t)1 << 62), 10) == ENOMEM);
    CHECK(posix_memalign(&block, opaque(SIZE_MAX / 2 + 1), 10) != 0);
    CHECK(block == untouched && errno == KEPT_ERRNO);
    for (size_t alignment = sizeof(void *); alignment <= (size_t)1 << 24; alignment *= 2) {
        CHECK(posix_memalign(&block, alignment, alignment / 2 + 1) == 0);
        CHECK(aligned_to(block, alignment) && malloc_usable_size(block) >= alignment / 2 + 1);
        memset(block, 1, malloc_usable_size(block));
        free(block);
    }
    CHECK(posix_memalign(&block, 4096, 0) == 0 && block != NULL);
    free(block);
    CHECK(errno == KEPT_ERRNO);
}

static void test_aligned_alloc(void)
{
    for (size_t alignment = 1; alignment <= (size_t)1 << 22; alignment *= 2) {
        void *block = aligned_alloc(alignment, alignment + 3);
        CHECK(block != NULL && aligned_to(block, alignment));
        block = realloc(block, 3 * alignment);
        CHECK(block != NULL);
        free(block);
    }
    /* glibc up to 2.37 rounds the alignment up. */
    CHECK_FAILS(aligned_alloc(opaque(48), 48), EINVAL);
    CHECK_FAILS(aligned_alloc(opaque(0), 48), EINVAL);
    CHECK_FAILS(aligned_alloc(64, opaque(SIZE_MAX)), ENOMEM);
    CHECK_FAILS(aligned_alloc(opaque((size_t)1 << 60), 48), ENOMEM);
}

static void test_memalign(void)
{
    static const size_t asked[] = {0, 1, 3, 17, 24, 48, 1000, 4097};
    static const size_t given[] = {1, 1, 4, 32, 32, 64, 1024, 8192};
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        void *block = memalign(opaque(asked[i]), 100);
        CHECK(block != NULL && aligned_to(block, given[i]));
        free(block);
    }
    CHECK_FAILS(memalign(opaque(SIZE_MAX), 10), EINVAL);
    CHECK_FAILS(memalign(opaque(SIZE_MAX / 2 + 2), 10), EINVAL);
    CHECK_FAILS(memalign(opaque(SIZE_MAX / 2 + 1), 10), ENOMEM);
    CHECK_FAILS(memalign(64, opaque(SIZE_MAX - 32)), ENOMEM);
}

static void test_page_aligned(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *block = valloc(100);
    CHECK(block != NULL && aligned_to(block, page));
    free(block);
    block = pvalloc(page + 1);
    CHECK(block != NULL && aligned_to(block, page) && malloc_usable_size(block) >= 2 * page);
    free(block);
    block = pvalloc(0);
    CHECK(block != NULL && aligned_to(block, page));
    free(block);
    CHECK_FAILS(valloc(opaque(SIZE_MAX)), ENOMEM);
    CHECK_FAILS(pvalloc(opaque(SIZE_MAX)), ENOMEM);
}

/* Functions that the headers or the libc of the machine may not have. */
static void test_other_frees(void)
{
    union {
        void *symbol;
        void (*plain)(void *);
        void (*sized)(void *, size_t);
        void (*aligned)(void *, size_t, size_t);
    } function;
    errno = KEPT_ERRNO;
    function.symbol = dlsym(RTLD_DEFAULT, "free_sized");
    CHECK(function.symbol != NULL);
    if (function.symbol != NULL) {
        function.sized(malloc(100), 100);
    }
    function.symbol = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    CHECK(function.symbol != NULL);
    if (function.symbol != NULL) {
        function.aligned(aligned_alloc(64, 128), 64, 128);
    }
    function.symbol = dlsym(RTLD_DEFAULT, "cfree");
    CHECK(function.symbol != NULL);
    if (function.symbol != NULL) {
        function.plain(malloc(100));
    }
    CHECK(errno == KEPT_ERRNO);
}

/* A program that can rewrite its own pointers finds these when it is preloaded. */
static void test_defrag(void)
{
    enum { BLOCKS = 2000, SIZE = 500 };
    static void *blocks[BLOCKS];
    union {
        void *symbol;
        int (*hint)(const void *);
        void *(*dense)(size_t);
    } hint, dense;
    hint.symbol = dlsym(RTLD_DEFAULT, "hm_defrag_hint");
    dense.symbol = dlsym(RTLD_DEFAULT, "hm_alloc_dense");
    CHECK(hint.symbol != NULL && dense.symbol != NULL);
    if (hint.symbol == NULL || dense.symbol == NULL) {
        return;
    }
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (i % 5 != 0) {
            free(blocks[i]);
        }
    }
    malloc_trim(0);
    int hints = 0;
    for (int i = 0; i < BLOCKS; i += 5) {
        hints += hint.hint(blocks[i]);
        void *copy = dense.dense(SIZE);
        CHECK(copy != NULL && malloc_usable_size(copy) >= SIZE);
        free(blocks[i]);
        free(copy);
    }
    CHECK(hints > BLOCKS / 5 / 2);
}

static void test_usable_is_stable(void)
{
    for (size_t size = 0; size < 200000; size = size * 5 / 4 + 1) {
        unsigned char *block = malloc(size);
        unsigned char *neighbour = malloc(size);
        size_t usable = malloc_usable_size(block);
        memset(neighbour, 3, malloc_usable_size(neighbour));
        memset(block, 4, usable);
        CHECK(malloc_usable_size(block) == usable);
        CHECK(filled_with(neighbour, 3, malloc_usable_size(neighbour)));
        free(neighbour);
        CHECK(filled_with(block, 4, usable));
        free(block);
    }
}

static void test_mallinfo(void)
{
    enum { BLOCKS = 2000, SIZE = 3000 };
    static void *blocks[BLOCKS];
    struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
    }
    struct mallinfo2 during = mallinfo2();
    CHECK(during.uordblks >= before.uordblks + (size_t)BLOCKS * SIZE);
    CHECK(during.uordblks <= before.uordblks + (size_t)BLOCKS * SIZE * 5 / 4);
    CHECK(during.arena >= during.uordblks);
    CHECK(during.arena == during.uordblks + during.fordblks);
    void *large = hidden(malloc((size_t)64 << 20));
    CHECK(mallinfo2().hblkhd >= during.hblkhd + ((size_t)64 << 20));
    free(large);
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    struct mallinfo2 after = mallinfo2();
    CHECK(after.uordblks < before.uordblks + (size_t)BLOCKS * SIZE / 10);
    CHECK(malloc_trim(0) == 1);
    CHECK(malloc_trim(0) == 0 || mallinfo2().keepcost < (1u << 20));
    CHECK(mallinfo2().arena < during.arena);
    void *kept = hidden(malloc(100));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct mallinfo narrow = mallinfo();
#pragma GCC diagnostic pop
    CHECK(narrow.arena > 0 && narrow.uordblks > 0);
    free(kept);
}

/* True when the text is one XML element that is well nested; enough of XML for what the function writes. */
static bool well_formed(const char *text)
{
    char open[8][32];
    int depth = 0;
    bool seen = false;
    for (const char *at = strchr(text, '<'); at != NULL; at = strchr(at, '<')) {
        const char *end = strchr(at, '>');
        size_t len = strcspn(at + 1, " />");
        if (end == NULL || (seen && depth == 0)) {
            return false;
        }
        seen = true;
        if (at[1] == '/') {
            len = strcspn(at + 2, ">");
            if (depth == 0 || strlen(open[depth - 1]) != len || strncmp(open[depth - 1], at + 2, len) != 0) {
                return false;
            }
            depth--;
        } else if (end[-1] != '/') {
            if (depth == 8 || len >= sizeof(open[0])) {
                return false;
            }
            memcpy(open[depth], at + 1, len);
            open[depth++][len] = 0;
        }
        at = end;
    }
    return seen && depth == 0;
}

static void test_malloc_info(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    CHECK(malloc_info(0, file) == 0);
    CHECK(malloc_info(1, file) == EINVAL);
    fclose(file);
    CHECK(len > 0 && strncmp(text, "<malloc version=", 16) == 0);
    CHECK(well_formed(text));
    const char *system = strstr(text, "<system type=\"current\" size=\"");
    CHECK(system != NULL && strtoull(system + 29, NULL, 10) > 0);
    free(text);
}

static void test_mallopt(void)
{
    CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1);
    CHECK(mallopt(M_TOP_PAD, 1 << 16) == 1);
    CHECK(mallopt(M_TRIM_THRESHOLD, -1) == 1);
    CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1);
    CHECK(mallopt(M_MMAP_MAX, 65536) == 1);
    CHECK(mallopt(M_CHECK_ACTION, 3) == 1);
    CHECK(mallopt(M_ARENA_MAX, 2) == 1);
    CHECK(mallopt(M_MXFAST, 64) == 1);
    CHECK(mallopt(M_MXFAST, -1) == 0);
    /* glibc fills memory; for unknown parameters it returns 1 although its manual says 0. */
    CHECK(mallopt(M_PERTURB, 0xa5) == 0);
    CHECK(mallopt(12345, 1) == 0);
    size_t own = mallinfo2().hblkhd;
    void *block = hidden(malloc(3 << 19));
    CHECK(mallinfo2().hblkhd >= own + (3u << 19));
    free(block);
}

/* What it writes to standard error is thrown away; that it writes something isn't. */
static void test_malloc_stats(void)
{
    char buf[64] = "";
    int ends[2];
    int saved = dup(STDERR_FILENO);
    CHECK(pipe(ends) == 0);
    dup2(ends[1], STDERR_FILENO);
    malloc_stats();
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    CHECK(read(ends[0], buf, sizeof(buf) - 1) > 0);
    close(ends[0]);
    close(saved);
}

int main(void)
{
    test_malloc();
    test_free_keeps_errno();
    test_calloc();
    test_realloc();
    test_reallocarray();
    test_posix_memalign();
    test_aligned_alloc();
    test_memalign();
    test_page_aligned();
    test_other_frees();
    test_defrag();
    test_usable_is_stable();
    test_mallinfo();
    test_malloc_info();
    test_mallopt();
    test_malloc_stats();
    if (failures == 0) {
        puts("ok");
    }
    return failures != 0;
}
