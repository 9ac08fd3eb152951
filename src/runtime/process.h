/* The process's one core, and each thread's heap of it.
 *
 * Initialised by the first call of whatever thread comes first, perhaps before any constructor, and without libc calls
 * that allocate; so a process that never allocates has none of it. After that it never changes but for the thread heaps. */
#ifndef HM_RUNTIME_PROCESS_H
#define HM_RUNTIME_PROCESS_H

#include "heap/core.h"
#include "runtime/options.h"

/* Zero-filled until process_ready(). The fast path may use it before: nothing in it matches any thread heap
 * then. */
extern struct core process_core;

/* The all-zero heap, whose bins are empty and full. Nobody ever writes to it. */
extern struct theap process_none;

/* The calling thread's heap; `process_none` before its first allocation and after its end. */
extern HM_TLS struct theap *process_heap;

/* Where the calling thread is on its way out; zero-filled before. */
struct thread_exit {
    bool one_call;  /* the heap is given back after each call: nobody would do it later */
    uint8_t rounds; /* times the exit hook has run */
    uint16_t calls; /* general path calls since it did */
    uint16_t frees; /* of blocks while it had no heap, up to when it gets one */
};

extern HM_TLS struct thread_exit process_exit;

/* What HMALLOC_CONF said; set by process_ready(). */
extern struct options process_options;

/* Another allocator that serves every call of the process instead of this one. Each member means what libc's
 * function of that name means, errno included. */
struct process_other {
    void *(*malloc)(size_t size);
    void (*free)(void *block);
    void *(*calloc)(size_t count, size_t size);
    void *(*realloc)(void *block, size_t size);
    void *(*memalign)(size_t alignment, size_t size);
    size_t (*usable)(const void *block);
    int (*trim)(size_t keep);
};

/* NULL, or this library is passive: process_core serves nothing but movable heaps, every thread stays on `process_none`,
 * and so every call ends in the general path, which forwards. Set by process_ready(). */
extern const struct process_other *process_other;

/* Defined where the core is linked into something that may have to be passive: called once, by the first
 * process_ready(). It can't allocate. */
const struct process_other *process_choose(void) __attribute__((weak));

/* True if the choice depends on what the program may change before its first call: then process_ready() is called when the
 * library is loaded. It can't allocate. */
bool process_choose_early(void) __attribute__((weak));

/* The core that movable heaps are to use: the process's. If the library is passive, that is made now, and serves nothing else. To be called
 * once, after process_ready(). */
struct core *process_core_for_heaps(void);

/* The general path of process_attach() and process_done(), in threads.c. */
struct theap *threads_attach(void);
void threads_done(void);

enum process_state { PROCESS_NEW, PROCESS_STARTING, PROCESS_READY };

extern _Atomic uint32_t process_state;

/* process_ready() before it is; keeps errno. */
HM_COLD void process_start(void);

/* Initialises the process once (concurrent first calls wait), reads HMALLOC_CONF unless AT_SECURE, registers
 * the fork handlers if they aren't yet, and the thread exit hook. Keeps errno. */
HM_INLINE void process_ready(void)
{
    if (HM_UNLIKELY(atomic_load_explicit(&process_state, memory_order_acquire) != PROCESS_READY)) {
        process_start();
    }
}

/* The calling thread's heap, NULL if it has none. Enough to free a block. */
HM_INLINE struct theap *process_current(void)
{
    struct theap *heap = process_heap;
    return heap == &process_none ? NULL : heap;
}

/* The calling thread's heap for the general path: attaches one if the thread has none. NULL: none can be had;
 * the general path copes. A thread past its end (its destructors have run) gets a heap that process_done()
 * gives back at once. Keeps errno. */
HM_INLINE struct theap *process_attach(void)
{
    struct theap *heap = process_heap;
    return HM_LIKELY(heap != &process_none) ? heap : threads_attach();
}

/* To be called after the general path: detaches the heap of a thread that is past its end; otherwise nothing.
 * Keeps errno. */
HM_INLINE void process_done(void)
{
    if (HM_UNLIKELY(process_exit.one_call)) {
        threads_done();
    }
}

#endif
