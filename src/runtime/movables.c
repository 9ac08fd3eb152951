#define _GNU_SOURCE 1

#include "runtime/movables.h"

#include <errno.h>
#include <sched.h>

#include "movable/buffer.h"
#include "movable/growing.h"
#include "runtime/compactor.h"
#include "runtime/process.h"
#include "runtime/threads.h"

#define NUMBERS (1u << ENTRY_HEAP_BITS)

struct readers movables_readers;

/* The calling thread's record of sections; NULL: it has none (yet). */
static HM_TLS struct reader *own_reader;

/* The lock guards all of it. */
static struct {
    struct list heaps;
    uint64_t used[NUMBERS / 64]; /* a bit for each number; that of 0 is set */
    uint32_t last;               /* the number given last */
    struct hm_heap *own;         /* the default heap when none is chosen; NULL: not made yet */
    struct growing_env env;
} movables;

static struct lock lock = LOCK_STATIC(LOCK_RANK_MOVABLE_LIST);

/* Set once all of the above is in place; `chosen` is read without the lock. */
static _Atomic bool ready;
static _Atomic(struct hm_heap *) chosen;

static unsigned cpus(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : (unsigned)CPU_SETSIZE;
}

static void start(void)
{
    int saved = errno;
    struct core *core = process_core_for_heaps();
    readers_init(&movables_readers, &core->meta);
    compactor_init(&core->meta);
    growing_env_init(&movables.env, core, &movables_readers, movables_own_reader, cpus(), os_address_limit());
    list_init(&movables.heaps);
    movables.used[0] = 1;
    errno = saved;
}

static void take_lock(void)
{
    process_ready();
    lock_acquire(&lock);
    if (HM_UNLIKELY(!atomic_load_explicit(&ready, memory_order_relaxed))) {
        start();
        atomic_store_explicit(&ready, true, memory_order_release);
    }
}

void movables_prepare(void)
{
    if (HM_UNLIKELY(!atomic_load_explicit(&ready, memory_order_acquire))) {
        take_lock();
        lock_release(&lock);
    }
}

/* 0: all are taken. */
static uint32_t take_number(void)
{
    for (uint32_t i = 1; i <= NUMBERS; i++) {
        uint32_t number = (movables.last + i) % NUMBERS;
        uint64_t bit = UINT64_C(1) << number % 64;
        if ((movables.used[number / 64] & bit) == 0) {
            movables.used[number / 64] |= bit;
            movables.last = number;
            return number;
        }
    }
    return 0;
}

static void give_number(uint32_t number)
{
    movables.used[number / 64] &= ~(UINT64_C(1) << number % 64);
}

/* The lock is held. */
static struct hm_heap *enlist(struct hm_heap *heap, uint32_t number)
{
    if (heap == NULL) {
        give_number(number);
        return NULL;
    }
    heap->compactor = NULL;
    list_push_back(&movables.heaps, &heap->in_process);
    return heap;
}

static struct hm_heap *create_locked(const struct hm_movable_options *options)
{
    uint32_t number = take_number();
    return number == 0 ? NULL : enlist(growing_create(&movables.env, number, options), number);
}

struct hm_heap *movables_create(const struct hm_movable_options *options)
{
    take_lock();
    struct hm_heap *heap = create_locked(options);
    lock_release(&lock);
    return heap;
}

struct hm_heap *movables_create_in(void *buffer, size_t bytes, const struct hm_movable_options *options)
{
    take_lock();
    uint32_t number = take_number();
    struct hm_heap *heap = number == 0 ? NULL : enlist(buffer_create(buffer, bytes, number, options), number);
    lock_release(&lock);
    return heap;
}

void movables_destroy(struct hm_heap *heap)
{
    uint32_t number = heap->number;
    compactor_stop(heap);
    take_lock();
    bool listed = !list_empty(&heap->in_process);
    list_remove(&heap->in_process);
    struct hm_heap *expected = heap;
    atomic_compare_exchange_strong(&chosen, &expected, NULL);
    if (movables.own == heap) {
        movables.own = NULL;
    }
    lock_release(&lock);
    heap->kind->destroy(heap);
    if (listed) {
        take_lock();
        give_number(number);
        lock_release(&lock);
    }
}

static const struct hm_movable_options own_options = {.name = "default", .alignment = 16};

struct hm_heap *movables_default(void)
{
    struct hm_heap *heap = atomic_load_explicit(&chosen, memory_order_acquire);
    if (HM_LIKELY(heap != NULL)) {
        return heap;
    }
    take_lock();
    heap = atomic_load(&chosen);
    if (heap == NULL) {
        movables.own = movables.own != NULL ? movables.own : create_locked(&own_options);
        heap = movables.own;
        atomic_store(&chosen, heap);
    }
    lock_release(&lock);
    return heap;
}

void movables_choose(struct hm_heap *heap)
{
    take_lock();
    atomic_store(&chosen, heap != NULL ? heap : movables.own);
    lock_release(&lock);
}

static void each_locked(void (*act)(struct hm_heap *heap, void *context), void *context)
{
    struct list *next;
    for (struct list *node = movables.heaps.next; node != &movables.heaps; node = next) {
        next = node->next;
        act(LIST_ENTRY(node, struct hm_heap, in_process), context);
    }
}

void movables_each(void (*act)(struct hm_heap *heap, void *context), void *context)
{
    take_lock();
    each_locked(act, context);
    lock_release(&lock);
}

/* Read sections */

/* A record is had only where it will be given back: by the exit hook, which has run its course in a thread past its end. */
static HM_COLD struct reader *first_reader(void)
{
    int saved = errno;
    own_reader = threads_watch() ? readers_get(&movables_readers) : NULL;
    errno = saved;
    return own_reader;
}

struct reader *movables_own_reader(void)
{
    return HM_LIKELY(own_reader != NULL) ? own_reader : first_reader();
}

bool movables_thread_end(bool last)
{
    struct reader *reader = own_reader;
    if (reader == NULL) {
        return true;
    }
    if (readers_inside(reader) && !last) {
        return false;
    }
    own_reader = NULL;
    readers_put(reader);
    return true;
}

/* Fork */

static void prepare_heap(struct hm_heap *heap, void *unused)
{
    (void)unused;
    heap->kind->fork_prepare(heap);
}

static void free_heap_in_parent(struct hm_heap *heap, void *unused)
{
    (void)unused;
    heap->kind->fork_parent(heap);
}

/* The compactor's thread is the parent's. */
static void free_heap_in_child(struct hm_heap *heap, void *unused)
{
    (void)unused;
    heap->kind->fork_child(heap);
    compactor_forget(heap);
}

void movables_fork_prepare(void)
{
    lock_acquire(&lock);
    if (atomic_load_explicit(&ready, memory_order_relaxed)) {
        each_locked(prepare_heap, NULL);
    }
}

void movables_fork_parent(void)
{
    if (atomic_load_explicit(&ready, memory_order_relaxed)) {
        each_locked(free_heap_in_parent, NULL);
    }
    lock_release(&lock);
}

void movables_fork_child(void)
{
    if (atomic_load_explicit(&ready, memory_order_relaxed)) {
        readers_fork_child(&movables_readers, own_reader);
        each_locked(free_heap_in_child, NULL);
    }
    lock_reset(&lock);
}
