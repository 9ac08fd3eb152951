#include "movable/readers.h"

#include <assert.h>

#include "movable/wait.h"

static_assert(sizeof(struct reader) <= HM_CACHE_LINE, "a record shares no cache line with others");

void readers_init(struct readers *readers, struct meta *meta)
{
    atomic_init(&readers->epoch, 1);
    atomic_init(&readers->all, NULL);
    atomic_init(&readers->crowd, 0);
    readers->meta = meta;
}

static bool claim(struct reader *reader)
{
    bool used = false;
    return !atomic_load_explicit(&reader->used, memory_order_relaxed) &&
           atomic_compare_exchange_strong_explicit(&reader->used, &used, true, memory_order_acquire,
                                                   memory_order_relaxed);
}

static struct reader *first(const struct readers *readers)
{
    return atomic_load(&readers->all);
}

struct reader *readers_get(struct readers *readers)
{
    for (struct reader *reader = first(readers); reader != NULL; reader = reader->next) {
        if (claim(reader)) {
            return reader;
        }
    }
    struct reader *reader = meta_alloc(readers->meta, sizeof(*reader));
    if (reader == NULL) {
        return NULL;
    }
    atomic_init(&reader->used, true);
    reader->next = first(readers);
    /* In the one order of all that a section and a scan do: a scan that misses the record is one that the section comes after. */
    while (!atomic_compare_exchange_weak(&readers->all, &reader->next, reader)) {
    }
    return reader;
}

void readers_put(struct reader *reader)
{
    reader->depth = 0;
    atomic_store_explicit(&reader->epoch, 0, memory_order_release);
    atomic_store_explicit(&reader->used, false, memory_order_release);
}

void readers_enter_crowd(struct readers *readers)
{
    atomic_fetch_add(&readers->crowd, 1);
    if (!HM_TSAN) {
        atomic_thread_fence(memory_order_seq_cst);
    }
}

/* Below 0 it doesn't go: the child of a fork may leave a section that its parent entered. */
void readers_leave_crowd(struct readers *readers)
{
    size_t crowd = atomic_load_explicit(&readers->crowd, memory_order_relaxed);
    while (crowd > 0 && !atomic_compare_exchange_weak_explicit(&readers->crowd, &crowd, crowd - 1,
                                                               memory_order_release, memory_order_relaxed)) {
    }
}

/* The smallest epoch of a section, but for those of `mine` and for `crowd` without a record; `most` if that is less. */
static uint64_t oldest(const struct readers *readers, uint64_t most, const struct reader *mine, size_t crowd)
{
    if (atomic_load(&readers->crowd) > crowd) {
        return 0;
    }
    for (const struct reader *reader = first(readers); reader != NULL; reader = reader->next) {
        uint64_t epoch = atomic_load(&reader->epoch);
        if (reader != mine && epoch != 0 && epoch < most) {
            most = epoch;
        }
    }
    return most;
}

uint64_t readers_horizon(const struct readers *readers)
{
    return oldest(readers, atomic_load(&readers->epoch), NULL, 0);
}

uint64_t readers_advance(struct readers *readers)
{
    return oldest(readers, atomic_fetch_add(&readers->epoch, 1) + 1, NULL, 0);
}

void readers_synchronize(struct readers *readers, const struct reader *mine, size_t crowd)
{
    struct wait wait = {0};
    uint64_t epoch = atomic_fetch_add(&readers->epoch, 1) + 1;
    while (oldest(readers, epoch, mine, crowd) < epoch) {
        wait_step(&wait);
    }
}

void readers_fork_child(struct readers *readers, const struct reader *mine)
{
    for (struct reader *reader = first(readers); reader != NULL; reader = reader->next) {
        if (reader != mine) {
            readers_put(reader);
        }
    }
    atomic_store(&readers->crowd, 0);
}

void readers_verify(const struct readers *readers)
{
    for (const struct reader *reader = first(readers); reader != NULL; reader = reader->next) {
        uint64_t epoch = atomic_load(&reader->epoch);
        HM_CHECK(epoch <= atomic_load(&readers->epoch), "a section's epoch is one that was");
        HM_CHECK((uintptr_t)reader % HM_CACHE_LINE == 0, "a record has its cache line");
    }
}
