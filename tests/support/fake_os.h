/* A `struct os` for tests: real memory, but every call is counted, can be refused, and is checked.
 *
 * Memory comes from the real system calls; the program break is an arena of its own in reserved address
 * space, so that several page heaps can have one each. The clock stands still until the test moves it. The
 * page size may be any multiple of the machine's. Calls may come from any thread.
 *
 * A call that breaks the contract of os/os.h (unaligned or empty, or about memory that this instance hasn't
 * handed out, or lowering the break below what others put there) ends the process with one line: it is a bug
 * in the caller, not a refusal. The instance must not be copied or moved.
 *
 *     struct fake_os fake;
 *     fake_os_init(&fake, 0, 0);
 *     pageheap_init(heap, &fake.os, ...);
 *     fake_os_refuse_nth(&fake, 3);
 *     ...
 *     fake_os_destroy(&fake); */
#ifndef HM_TESTS_SUPPORT_FAKE_OS_H
#define HM_TESTS_SUPPORT_FAKE_OS_H

#include <pthread.h>

#include "os/os.h"
#include "support/ranges.h"

/* Every call but now_ms can be refused. */
enum fake_call {
    FAKE_MAP,
    FAKE_RESERVE,
    FAKE_COMMIT,
    FAKE_UNMAP,
    FAKE_REMAP,
    FAKE_PURGE,
    FAKE_HUGE,
    FAKE_FILL_HUGE,
    FAKE_MOVE_BREAK, /* asking where the break is included */
    FAKE_CALLS,
};

/* The first group may be read and `now_ms` and `fill_ns` written by the test at any time no call is under way. */
struct fake_os {
    struct os os; /* pass &fake.os down */
    uint64_t now_ms;
    uint64_t fill_ns;           /* what filling a huge page takes; 0, at first: there are none */
    size_t calls[FAKE_CALLS];   /* made, refused ones included */
    size_t refused[FAKE_CALLS]; /* refused for whatever reason */
    size_t all_calls;           /* sum of calls */
    size_t purged_bytes;        /* by purges that were not refused */
    struct range last_purge;
    struct range last_huge;
    enum os_huge last_advice;
    struct range last_fill; /* asked for, refused or not */
    size_t mapped;          /* bytes mapped and reserved minus bytes unmapped: 0 at the end unless leaked */
    size_t mapped_peak;     /* most of mapped + fake_os_break_bytes */

    pthread_mutex_t mutex;
    struct ranges ranges; /* what `mapped` counts */
    struct ranges grown;  /* what move_break added below the break: foreign memory isn't in it */
    bool armed;           /* fake_os_refuse_nth is in force or has fired */
    size_t countdown;     /* calls until one is refused */
    bool refuse[FAKE_CALLS];
    size_t limit; /* on mapped + fake_os_break_bytes; 0: none */
    uintptr_t arena;
    size_t arena_bytes;
    uintptr_t break_at; /* need not be page aligned */
};

/* break_bytes: how far the break can go, 0 for 1 GiB. page_size: 0 for the machine's. Failure ends the
 * process. */
void fake_os_init(struct fake_os *fake, size_t break_bytes, size_t page_size);

/* Unmaps everything that is still mapped, leaked or not, and the break's arena. */
void fake_os_destroy(struct fake_os *fake);

/* Refuses the n-th call from now, of whatever kind (1: the next), and only that; 0 disarms. */
void fake_os_refuse_nth(struct fake_os *fake, size_t n);

/* True when the call that was armed has come and was refused: ends a loop over n. */
bool fake_os_fired(const struct fake_os *fake);

/* Refuses all calls of a kind from now on, or no longer. */
void fake_os_refuse_kind(struct fake_os *fake, enum fake_call call, bool refuse);

/* Refuses what would take mapped memory and the break together above `bytes`, as RLIMIT_AS does; 0: no limit.
 */
void fake_os_limit(struct fake_os *fake, size_t bytes);

/* Somebody else moves the break, by any number of bytes; never refused or counted. The old break, NULL when
 * outside the arena. Memory between is readable and writable. */
void *fake_os_foreign_sbrk(struct fake_os *fake, intptr_t delta);

/* Bytes below the break now. */
size_t fake_os_break_bytes(const struct fake_os *fake);

#endif
