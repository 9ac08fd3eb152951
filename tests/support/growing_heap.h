/* One movable heap that grows, for test files of which each test has such a heap: `use` makes it, `teardown` verifies it and takes it down. */
#ifndef HM_TESTS_SUPPORT_GROWING_HEAP_H
#define HM_TESTS_SUPPORT_GROWING_HEAP_H

#include <pthread.h>

#include "support/growing_fixture.h"

static struct growing_fixture fixture;
static struct hm_heap *heap;
static struct growing *growing;

static void use(const struct hm_movable_options *options)
{
    growing_fixture_init(&fixture, 1);
    heap = growing_fixture_heap(&fixture, options);
    growing = growing_of(heap);
}

static void teardown(void)
{
    growing_fixture_end(&fixture, heap);
}

/* A verb that another thread calls for a block that is being moved. */
struct kept_waiting {
    enum movable_result (*verb)(hm_handle handle);
    hm_handle handle;
    struct mentry *entry;
    uint64_t word;
    pthread_t thread;
    _Atomic bool done;
    enum movable_result result;
};

static inline void *kept_waiting_call(void *arg)
{
    struct kept_waiting *waiting = arg;
    waiting->result = waiting->verb(waiting->handle);
    atomic_store(&waiting->done, true);
    return NULL;
}

static inline void kept_waiting_begin(struct kept_waiting *waiting)
{
    waiting->entry = heap_entry(heap, waiting->handle);
    waiting->word = entry_word(waiting->entry);
    cr_assert(entry_move_begin(waiting->entry, waiting->word));
    pthread_create(&waiting->thread, NULL, kept_waiting_call, waiting);
}

/* The verb hasn't come back; the move ends, and it does. */
static inline enum movable_result kept_waiting_end(struct kept_waiting *waiting)
{
    cr_assert_not(atomic_load(&waiting->done));
    entry_move_end(waiting->entry, waiting->word);
    pthread_join(waiting->thread, NULL);
    return waiting->result;
}

#endif
