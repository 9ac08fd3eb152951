#define _GNU_SOURCE 1

#include "runtime/fork.h"

#include <pthread.h>

#include "base/check.h"
#include "runtime/movables.h"
#include "runtime/process.h"

/* glibc's; other libcs don't have them, nor the order of locks that makes them necessary. */
extern void _IO_list_lock(void) __attribute__((weak));
extern void _IO_list_unlock(void) __attribute__((weak));
extern void _IO_list_resetlock(void) __attribute__((weak));

/* The fork that is under way holds the locks. Changed only by its thread. */
static bool holding;

/* In the middle of the start there would be nobody in the child to finish it. */
static bool core_in_use(void)
{
    process_ready();
    return process_core.os != NULL;
}

/* Without other threads nobody else holds a lock; and if this one does, a signal handler forks in the middle
 * of an allocation, which goes on in both processes when the handler returns. */
static void before_fork(void)
{
    if (os_single_threaded() || !core_in_use()) {
        return;
    }
    if (_IO_list_lock != NULL) {
        _IO_list_lock();
    }
    movables_fork_prepare();
    core_fork_prepare(&process_core);
    holding = true;
}

static void in_parent(void)
{
    if (!holding) {
        return;
    }
    holding = false;
    core_fork_parent(&process_core);
    movables_fork_parent();
    if (_IO_list_unlock != NULL) {
        _IO_list_unlock();
    }
}

static void in_child(void)
{
    if (!holding) {
        return;
    }
    holding = false;
    core_fork_child(&process_core, process_current());
    movables_fork_child();
    if (_IO_list_resetlock != NULL) {
        _IO_list_resetlock();
    }
}

void fork_init(void)
{
    static _Atomic bool done;
    if (atomic_exchange_explicit(&done, true, memory_order_relaxed)) {
        return;
    }
    if (pthread_atfork(before_fork, in_parent, in_child) != 0) {
        warn("fork handlers can't be registered: children of threaded programs may hang");
    }
}
