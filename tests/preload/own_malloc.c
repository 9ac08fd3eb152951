/* own_malloc: an executable that brings its own malloc, but not the whole family.
 *
 * Its four functions win over a preloaded library's, for libc too; only the rest of the family reaches the
 * library, which must leave it to glibc. Prints the same with and without a preloaded library that turns
 * passive. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_SIZE = 64 << 20, HEADER = 16, THREADS = 4 };

static _Alignas(16) unsigned char arena[ARENA_SIZE];
static atomic_size_t arena_used;
static atomic_ulong served, released, foreign;

static int is_own(const void *p)
{
    return (uintptr_t)p >= (uintptr_t)arena && (uintptr_t)p < (uintptr_t)arena + ARENA_SIZE;
}

void *malloc(size_t size)
{
    if (size > ARENA_SIZE / 2) {
        errno = ENOMEM;
        return NULL;
    }
    size_t at = atomic_fetch_add(&arena_used, HEADER + (size + 15) / 16 * 16);
    if (at + HEADER + size > ARENA_SIZE)
        abort();
    memcpy(arena + at, &size, sizeof size);
    atomic_fetch_add(&served, 1);
    return arena + at + HEADER;
}

/* A block of the rest of the family comes from elsewhere: this heap can only leave it alone. */
void free(void *p)
{
    if (p != NULL)
        atomic_fetch_add(is_own(p) ? &released : &foreign, 1);
}

void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return malloc(bytes);
}

void *realloc(void *p, size_t size)
{
    void *fresh = malloc(size);
    if (p != NULL && fresh != NULL) {
        size_t old;
        memcpy(&old, (unsigned char *)p - HEADER, sizeof old);
        memcpy(fresh, p, old < size ? old : size);
        free(p);
    }
    return fresh;
}

static void expect(int truth, const char *what)
{
    if (!truth) {
        printf("failed: %s\n", what);
        exit(1);
    }
}

/* Blocks that libc itself allocates must be this executable's. */
static void use_libc(void)
{
    char *copy = strdup("text");
    expect(is_own(copy), "strdup uses the executable's malloc");
    free(copy);
    FILE *file = tmpfile();
    expect(file != NULL && fputs("one line\n", file) >= 0, "tmpfile");
    rewind(file);
    char *line = NULL;
    size_t size = 0;
    expect(getline(&line, &size, file) == 9 && is_own(line), "getline uses the executable's malloc");
    free(line);
    fclose(file);
}

static void use_rest_of_family(void)
{
    void *block = NULL;
    expect(posix_memalign(&block, 4096, 5000) == 0 && (uintptr_t)block % 4096 == 0, "posix_memalign");
    expect(malloc_usable_size(block) >= 5000, "malloc_usable_size of it");
    memset(block, 1, 5000);
    free(block);
    block = aligned_alloc(64, 640);
    expect(block != NULL && (uintptr_t)block % 64 == 0, "aligned_alloc");
    memset(block, 2, malloc_usable_size(block));
    free(block);
    block = memalign(256, 100);
    expect(block != NULL && (uintptr_t)block % 256 == 0 && !is_own(block), "memalign");
    free(block);
    block = valloc(100);
    expect(block != NULL && !is_own(block), "valloc");
    free(block);
    block = reallocarray(NULL, 10, 10);
    expect(block != NULL && is_own(block), "reallocarray calls the executable's realloc");
    free(block);
    struct mallinfo2 info = mallinfo2();
    expect(info.uordblks > 0, "mallinfo2");
    malloc_trim(0);
}

static void *thread(void *argument)
{
    for (int i = 0; i < 1000; i++) {
        char *block = malloc((size_t)i);
        block = realloc(block, (size_t)i * 2 + 1);
        memset(block, 3, (size_t)i * 2 + 1);
        free(block);
    }
    use_rest_of_family();
    return argument;
}

int main(void)
{
    pthread_t threads[THREADS];
    use_libc();
    use_rest_of_family();
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, thread, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    expect(served >= THREADS * 2000 && released >= THREADS * 1000, "the executable's malloc served");
    printf("blocks of the rest of the family: %lu\nok\n", foreign);
    return 0;
}
