/* Every kind of misuse with blocks of every class and of large sizes: each must end the process by SIGABRT, with one line that
 * names the address. */
#include <criterion/criterion.h>
#include <hmalloc/hmalloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk/class.h"
#include "support/child.h"
#include "support/env.h"

#define KIB ((size_t)1 << 10)

static const size_t large_sizes[] = {257 * KIB, 500 * KIB, 1024 * KIB, 2047 * KIB, 2048 * KIB, 10240 * KIB};

#define SIZES (CLASS_COUNT + sizeof(large_sizes) / sizeof(large_sizes[0]))

static size_t size_of(size_t index)
{
    return index < CLASS_COUNT ? class_bytes[index] : large_sizes[index - CLASS_COUNT];
}

/* What a child does: `prepare` makes a block of `bytes` bad, `use` passes it on. */
struct misuse {
    const char *name;
    char *(*prepare)(size_t bytes);
    void (*use)(void *bad);
};

struct call {
    const struct misuse *misuse;
    size_t bytes;
};

#define BLOCKS 300

static char *blocks[BLOCKS];

/* Fewer of the large ones; at least 4. */
static int count_for(size_t bytes)
{
    size_t count = ((size_t)4 << 20) / bytes;
    return count < 4 ? 4 : count > BLOCKS ? BLOCKS : (int)count;
}

static int allocate(size_t bytes)
{
    int count = count_for(bytes);
    for (int i = 0; i < count; i++) {
        blocks[i] = hmalloc(bytes);
        blocks[i][0] = 1;
        blocks[i][bytes - 1] = 1;
    }
    return count;
}

static void *free_one(void *block)
{
    hfree(block);
    return NULL;
}

static void free_elsewhere(void *block)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, free_one, block) != 0) {
        abort();
    }
    pthread_join(thread, NULL);
}

/* Preparations */

static char *in_use(size_t bytes)
{
    hmalloc(bytes);
    return hmalloc(bytes);
}

static char *freed(size_t bytes)
{
    char *block = in_use(bytes);
    hfree(block);
    return block;
}

static char *freed_before_others(size_t bytes)
{
    allocate(bytes);
    for (int i = 0; i < 4; i++) {
        hfree(blocks[i]);
    }
    return blocks[0];
}

static char *freed_and_flushed(size_t bytes)
{
    int count = allocate(bytes);
    for (int i = 0; i < count - 1; i++) {
        hfree(blocks[i]);
    }
    return blocks[count / 2];
}

static char *freed_and_given_back(size_t bytes)
{
    int count = allocate(bytes);
    for (int i = 0; i < count; i++) {
        hfree(blocks[i]);
    }
    hmalloc_trim(0);
    return blocks[count / 2];
}

static char *freed_and_swept(size_t bytes)
{
    int count = allocate(bytes);
    for (int i = 0; i < count; i += 2) {
        hfree(blocks[i]);
    }
    char *others[300];
    for (int i = 0; i < 300; i++) {
        others[i] = hmalloc(16384);
    }
    /* One that the others didn't get. */
    for (int i = 0; i < count; i += 2) {
        bool taken = false;
        for (int j = 0; j < 300; j++) {
            taken = taken || (blocks[i] >= others[j] && blocks[i] < others[j] + 16384);
        }
        if (!taken) {
            return blocks[i];
        }
    }
    return freed(bytes);
}

static char *freed_elsewhere(size_t bytes)
{
    char *block = in_use(bytes);
    free_elsewhere(block);
    return block;
}

static void *allocate_and_end(void *bytes)
{
    return in_use((size_t)(uintptr_t)bytes);
}

static char *freed_after_its_thread(size_t bytes)
{
    pthread_t thread;
    void *block;
    if (pthread_create(&thread, NULL, allocate_and_end, (void *)bytes) != 0) {
        abort();
    }
    pthread_join(thread, &block);
    hfree(block);
    return block;
}

static char *freed_instrumented(size_t bytes)
{
    hm_instrument(true);
    return freed(bytes);
}

static char *freed_aligned(size_t bytes)
{
    char *block = haligned_alloc(256, bytes);
    hfree(block);
    return block;
}

static char *inside(size_t bytes, size_t offset)
{
    char *block = in_use(bytes);
    return block + offset;
}

static char *one_inside(size_t bytes)
{
    return inside(bytes, 1);
}

static char *granule_inside(size_t bytes)
{
    return inside(bytes, 16);
}

static char *middle(size_t bytes)
{
    return inside(bytes, bytes / 2);
}

static char *last_granule(size_t bytes)
{
    return inside(bytes, bytes - 16);
}

static char *last_byte(size_t bytes)
{
    return inside(bytes, bytes - 1);
}

static char *inside_freed(size_t bytes)
{
    return freed(bytes) + 16;
}

/* Uses */

static void use_free(void *bad)
{
    hfree(bad);
}

static void use_free_elsewhere(void *bad)
{
    free_elsewhere(bad);
}

static void use_realloc(void *bad)
{
    hrealloc(bad, 24);
}

static void use_usable(void *bad)
{
    hmalloc_usable_size(bad);
}

static const struct misuse misuses[] = {
    {"double free", freed, use_free},
    {"double free, others between", freed_before_others, use_free},
    {"double free after the flush", freed_and_flushed, use_free},
    {"double free after the trim", freed_and_given_back, use_free},
    {"double free after the sweep", freed_and_swept, use_free},
    {"free after remote", freed_elsewhere, use_free},
    {"remote after free", freed, use_free_elsewhere},
    {"remote after remote", freed_elsewhere, use_free_elsewhere},
    {"remote after the flush", freed_and_flushed, use_free_elsewhere},
    {"double free of an ended thread's", freed_after_its_thread, use_free},
    {"double free, instrumented", freed_instrumented, use_free},
    {"double free of an aligned one", freed_aligned, use_free},
    {"realloc of freed", freed, use_realloc},
    {"realloc after remote", freed_elsewhere, use_realloc},
    {"usable size of freed", freed, use_usable},
    {"usable size after the flush", freed_and_flushed, use_usable},
    {"free one byte inside", one_inside, use_free},
    {"free one granule inside", granule_inside, use_free},
    {"free of the middle", middle, use_free},
    {"free of the last granule", last_granule, use_free},
    {"free of the last byte", last_byte, use_free},
    {"free inside elsewhere", granule_inside, use_free_elsewhere},
    {"realloc inside", granule_inside, use_realloc},
    {"usable size inside", middle, use_usable},
    {"free inside a freed one", inside_freed, use_free},
};

static void commit(void *argument)
{
    const struct call *call = argument;
    char *bad = call->misuse->prepare(call->bytes);
    hm_verify();
    /* The address that the line must name; nothing of it counts if the process ends otherwise. */
    fprintf(stderr, "%p\n", (void *)bad);
    call->misuse->use(bad);
}

static void expect_diagnosis(const struct misuse *misuse, size_t bytes)
{
    struct call call = {misuse, bytes};
    struct child child = child_run(commit, &call);
    cr_assert_eq(child.signal, SIGABRT, "%s, %zu bytes: signal %d, exit %d: %s", misuse->name, bytes,
                 child.signal, child.code, child.errors);
    char *line = strchr(child.errors, '\n');
    cr_assert_not_null(line);
    *line++ = 0;
    char *end = strchr(line, '\n');
    cr_assert(strncmp(line, "hmalloc: ", 9) == 0 && end != NULL && end[1] == 0, "%s, %zu bytes: %s",
              misuse->name, bytes, line);
    cr_assert_not_null(strstr(line, child.errors), "%s, %zu bytes of %s: %s", misuse->name, bytes,
                       child.errors, line);
    bool again = strncmp(misuse->name, "double", 6) == 0 || strstr(misuse->name, "after") != NULL;
    /* Memory that went back to the OS may be forgotten. */
    bool known = strstr(line, "double free of") != NULL || strstr(line, "of freed block") != NULL ||
                 misuse->prepare == freed_and_given_back;
    cr_assert(known || !again, "%s, %zu bytes: %s", misuse->name, bytes, line);
}

/* The classes on both sides of each border, and some between, where every class takes too long. */
static bool chosen(size_t index)
{
    return test_scale(100) >= 100 || index % 13 == 0 || index == CLASS_EXACT || index == CLASS_IN_CHUNK ||
           index >= CLASS_COUNT;
}

/* ThreadSanitizer has no threads in the children of a threaded process. */
static bool possible(const struct misuse *misuse)
{
    bool threads = misuse->use == use_free_elsewhere || misuse->prepare == freed_elsewhere ||
                   misuse->prepare == freed_after_its_thread;
    return !threads || !test_under("tsan");
}

Test(misuse, of_every_size)
{
    for (size_t m = 0; m < sizeof(misuses) / sizeof(misuses[0]); m++) {
        for (size_t i = 0; i < SIZES; i++) {
            if (chosen(i) && possible(&misuses[m])) {
                expect_diagnosis(&misuses[m], size_of(i));
            }
        }
    }
}
