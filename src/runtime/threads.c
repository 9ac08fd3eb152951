#define _GNU_SOURCE 1

#include "runtime/threads.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>

#include "base/check.h"
#include "runtime/movables.h"
#include "runtime/process.h"

/* More calls than libc makes after the last round, when nobody would detach a lasting heap any more. */
#define CALLS_BEFORE_LASTING 64

#ifndef PTHREAD_DESTRUCTOR_ITERATIONS
#    define PTHREAD_DESTRUCTOR_ITERATIONS 4
#endif

/* ThreadSanitizer forgets a thread before its last round. */
#define LAST_ROUND (PTHREAD_DESTRUCTOR_ITERATIONS - HM_TSAN)

static_assert(sizeof(struct theap *) + sizeof(struct thread_exit) + sizeof(struct reader *) <= 24,
              "thread-local data stays far below the 64 bytes that a dlopened library may take");

static pthread_key_t key;
static bool have_key;

static void detach(void)
{
    struct theap *heap = process_heap;
    process_heap = &process_none;
    if (heap != &process_none) {
        core_detach(&process_core, heap);
    }
}

/* Asks for the exit hook. May allocate (keys beyond the first 32): the calling thread's heap is in place. */
static bool arm(void)
{
    return have_key && pthread_setspecific(key, &process_core) == 0;
}

static void exit_hook(void *armed)
{
    (void)armed;
    int saved = errno;
    if (process_exit.rounds < UINT8_MAX) {
        process_exit.rounds++;
    }
    process_exit.one_call = true;
    process_exit.calls = 0;
    if (!movables_thread_end(process_exit.rounds >= LAST_ROUND)) {
        arm();
    }
    detach();
    errno = saved;
}

bool threads_watch(void)
{
    int saved = errno;
    bool watched = process_exit.rounds == 0 && !process_exit.one_call && arm();
    errno = saved;
    return watched;
}

void threads_init(void)
{
    have_key = pthread_key_create(&key, exit_hook) == 0;
    if (!have_key) {
        warn("no thread-specific key is left: threads take a heap for each call, which is slow");
    }
}

struct theap *threads_attach(void)
{
    int saved = errno;
    struct theap *heap = core_attach(&process_core);
    if (heap != NULL) {
        process_heap = heap;
        if (process_exit.rounds == 0 && !process_exit.one_call && !arm()) {
            process_exit.one_call = true;
        }
    }
    errno = saved;
    return heap;
}

static bool deserves_lasting(void)
{
    if (process_exit.calls < CALLS_BEFORE_LASTING) {
        process_exit.calls++;
        return false;
    }
    return process_exit.rounds < PTHREAD_DESTRUCTOR_ITERATIONS;
}

void threads_done(void)
{
    int saved = errno;
    if (process_heap != &process_none) {
        process_exit.one_call = !deserves_lasting();
        if (!process_exit.one_call && !arm()) {
            process_exit.one_call = true;
            process_exit.calls = 0;
        }
        if (process_exit.one_call) {
            detach();
        }
    }
    errno = saved;
}
