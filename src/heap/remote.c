#include "heap/remote.h"

#include "base/check.h"
#include "base/stat.h"

#define OWED_MAX 128u /* granules; a chunk with fewer dead ones isn't swept anyway */

static void push(struct theap *heap, struct chunk *chunk)
{
    struct chunk *head = atomic_load_explicit(&heap->inbox, memory_order_relaxed);
    do {
        chunk->inbox_next = head;
    } while (!atomic_compare_exchange_weak(&heap->inbox, &head, chunk));
}

/* Announces the chunk. If its owner changed meanwhile, it lies in an inbox that perhaps nobody looks into
 * again: then that inbox is taken and returned, to be announced anew. */
static struct chunk *announce(struct chunk *chunk)
{
    do {
        /* The plain look first keeps the line shared while many blocks of one chunk are freed. */
        if (atomic_load(&chunk->announced) || atomic_exchange(&chunk->announced, true)) {
            return NULL;
        }
        struct theap *owner = atomic_load(&chunk->span.owner);
        if (owner != NULL) {
            push(owner, chunk);
            return atomic_load(&chunk->span.owner) == owner ? NULL : atomic_exchange(&owner->inbox, NULL);
        }
        atomic_store(&chunk->announced, false);
        /* Whoever freed into the chunk's next life meanwhile saw the flag and relied on it. */
    } while (atomic_load(&chunk->span.owner) != NULL);
    return NULL;
}

static struct chunk *joined(struct chunk *front, struct chunk *back)
{
    struct chunk *last = front;
    while (last->inbox_next != NULL) {
        last = last->inbox_next;
    }
    last->inbox_next = back;
    return front;
}

struct chunk *remote_unlink(struct chunk *first)
{
    struct chunk *next = first->inbox_next;
    atomic_exchange(&first->announced, false);
    return next;
}

void remote_announce(struct chunk *chunk)
{
    struct chunk *list = NULL;
    for (;;) {
        struct chunk *again = announce(chunk);
        list = again == NULL ? list : joined(again, list);
        if (list == NULL) {
            return;
        }
        chunk = list;
        list = remote_unlink(chunk);
    }
}

/* True when there is nothing left to do for the chunk: it was given back, has blocks again, or is nobody's. */
static bool release_from(struct theap *owner, struct chunk *chunk)
{
    lock_acquire(&owner->lock);
    bool owned = atomic_load_explicit(&chunk->span.owner, memory_order_relaxed) == owner;
    if (owned && chunk_used(chunk) == 0) {
        theap_release_locked(owner, chunk);
    }
    /* Most often the chunk is in the inbox; a chunk that is gone should not stay there. */
    theap_drain_locked(owner);
    lock_release(&owner->lock);
    return owned;
}

static void release_unused(struct chunk *chunk)
{
    struct theap *owner;
    /* Again when another heap adopted the chunk meanwhile. */
    do {
        owner = atomic_load_explicit(&chunk->span.owner, memory_order_acquire);
    } while (owner != NULL && chunk_used(chunk) == 0 && !release_from(owner, chunk));
    if (owner != NULL) {
        pageheap_tick(&owner->core->pages);
    }
}

void remote_pay(struct theap *heap)
{
    uint32_t owed = heap->owed;
    if (owed != 0) {
        struct chunk *chunk = heap->owed_chunk;
        heap->owed = 0;
        remote_settled(chunk, chunk_lose(chunk, owed));
    }
}

static void owe(struct theap *heap, struct chunk *chunk, unsigned granules)
{
    bool first = chunk != heap->owed_chunk;
    if (first) {
        remote_pay(heap);
        heap->owed_chunk = chunk;
    }
    heap->owed += granules;
    if (first || heap->owed >= OWED_MAX) {
        remote_pay(heap);
    }
}

bool remote_free(struct theap *heap, struct chunk *chunk, uint8_t *mark, unsigned code)
{
    unsigned granules = class_granules(code_class(code));
    if (!mark_swap(mark, code, CODE_DEAD)) {
        return false;
    }
    if (heap != NULL) {
        stat_add(&heap->stats.remote_frees, 1);
    }
    if (heap == NULL || heap->closed) {
        remote_settled(chunk, chunk_lose(chunk, granules));
    } else {
        owe(heap, chunk, granules);
    }
    return true;
}

void remote_settled(struct chunk *chunk, unsigned left)
{
    remote_announce(chunk);
    if (left == 0) {
        release_unused(chunk);
    }
}
