/* Threads that begin together, and a mailbox through which one hands blocks to another to free. */
#ifndef HM_BENCH_THREADS_H
#define HM_BENCH_THREADS_H

#include <pthread.h>
#include <stdatomic.h>

#include "support/bench.h"

enum { THREADS_MOST = 64 };

/* Runs work(0) .. work(count - 1), each in a thread of its own, and waits for all of them. */
void threads_run(size_t count, void (*work)(size_t number));

/* A list through the blocks' first words. Any thread puts in, one takes everything out. Aligned, so that two
 * mailboxes don't share a cache line. */
struct mailbox {
    _Alignas(64) _Atomic(void *) first;
};

static inline void mailbox_put(struct mailbox *mailbox, void *block)
{
    void *first = atomic_load_explicit(&mailbox->first, memory_order_relaxed);
    do {
        *(void **)block = first;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->first, &first, block, memory_order_release,
                                                    memory_order_relaxed));
}

/* The number of blocks freed. */
static inline size_t mailbox_free_all(struct mailbox *mailbox)
{
    void *block = atomic_exchange_explicit(&mailbox->first, NULL, memory_order_acquire);
    size_t count = 0;
    for (; block != NULL; count++) {
        void *next = *(void **)block;
        free(block);
        block = next;
    }
    return count;
}

#endif
