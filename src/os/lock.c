#define _GNU_SOURCE 1

#include "os/lock.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/pause.h"

#define SPIN_TRIES 64

enum { WORD_FREE, WORD_HELD, WORD_SLEEPERS };
enum cpus { CPUS_UNKNOWN, CPUS_ONE, CPUS_MANY };

static_assert(sizeof(struct lock) == 8, "a lock is 8 bytes");

/* Locks of each rank that this thread holds. Used by debug builds only, so release builds have no
 * thread-local data here. Rank NONE is outside the order and not counted. */
static HM_TLS uint32_t held[LOCK_RANK_COUNT];

/* The lowest rank that must not be held when one of `rank` is taken. Asking for a held lock of the same rank and
 * address would be the simplest deadlock: equal ranks are refused too. */
static uint32_t rank_bound(uint32_t rank)
{
    if (rank == LOCK_RANK_THEAP && held[LOCK_RANK_REGISTRY] > 0) {
        return rank + 1;
    }
    if (rank == LOCK_RANK_MOVABLE_LANE && held[LOCK_RANK_MOVABLE_LIST] == 0 &&
        held[LOCK_RANK_MOVABLE_COMPACT] > 0) {
        return rank + 1;
    }
    bool movable = rank > LOCK_RANK_MOVABLE_LIST && rank <= LOCK_RANK_MOVABLE_PINS;
    return movable && held[LOCK_RANK_MOVABLE_LIST] > 0 ? LOCK_RANK_MOVABLE_PINS + 1 : rank;
}

static void rank_check(const struct lock *lock)
{
    if (!HM_DEBUG || lock->rank == LOCK_RANK_NONE) {
        return;
    }
    for (uint32_t rank = rank_bound(lock->rank); rank < LOCK_RANK_COUNT; rank++) {
        if (HM_UNLIKELY(held[rank] > 0)) {
            panic("lock of rank %u taken while holding one of rank %u", lock->rank, rank);
        }
    }
}

static void rank_enter(const struct lock *lock)
{
    if (HM_DEBUG && lock->rank != LOCK_RANK_NONE) {
        held[lock->rank]++;
    }
}

static void rank_leave(const struct lock *lock)
{
    if (HM_DEBUG && lock->rank != LOCK_RANK_NONE && held[lock->rank] > 0) {
        held[lock->rank]--;
    }
}

/* By the affinity mask: get_nprocs() opens files. A mask too small for the machine is refused, so there are
 * many. */
static bool cpus_many(void)
{
    static _Atomic int known = CPUS_UNKNOWN;
    int cpus = atomic_load_explicit(&known, memory_order_relaxed);
    if (cpus == CPUS_UNKNOWN) {
        cpu_set_t set;
        bool one = sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1;
        cpus = one ? CPUS_ONE : CPUS_MANY;
        atomic_store_explicit(&known, cpus, memory_order_relaxed);
    }
    return cpus == CPUS_MANY;
}

static bool word_take(struct lock *lock)
{
    uint32_t expected = WORD_FREE;
    return atomic_compare_exchange_strong_explicit(&lock->word, &expected, WORD_HELD, memory_order_acquire,
                                                   memory_order_relaxed);
}

static bool spin(struct lock *lock)
{
    if (!cpus_many()) {
        return false;
    }
    for (int i = 0; i < SPIN_TRIES; i++) {
        uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
        if (word == WORD_SLEEPERS) {
            return false;
        }
        if (word == WORD_FREE && word_take(lock)) {
            return true;
        }
        cpu_pause();
    }
    return false;
}

static void sleep_on(struct lock *lock)
{
    long result = syscall(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, WORD_SLEEPERS, NULL, NULL, 0);
    if (result == -1 && errno != EAGAIN && errno != EINTR) {
        sched_yield();
    }
}

/* Whoever comes through here takes the lock as WORD_SLEEPERS, because others may sleep that it doesn't know
 * of. */
HM_COLD static void acquire_contended(struct lock *lock)
{
    int saved = errno;
    if (!spin(lock)) {
        while (atomic_exchange_explicit(&lock->word, WORD_SLEEPERS, memory_order_acquire) != WORD_FREE) {
            sleep_on(lock);
        }
    }
    errno = saved;
}

HM_COLD static void wake_one(struct lock *lock)
{
    int saved = errno;
    syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = saved;
}

void lock_init(struct lock *lock, enum lock_rank rank)
{
    atomic_init(&lock->word, WORD_FREE);
    lock->rank = rank;
}

void lock_acquire(struct lock *lock)
{
    rank_check(lock);
    if (HM_UNLIKELY(!word_take(lock))) {
        acquire_contended(lock);
    }
    rank_enter(lock);
}

/* Never waits, so it can't deadlock and the order isn't checked; what it took counts for later acquisitions.
 */
bool lock_try(struct lock *lock)
{
    if (!word_take(lock)) {
        return false;
    }
    rank_enter(lock);
    return true;
}

void lock_release(struct lock *lock)
{
    rank_leave(lock);
    uint32_t word = atomic_exchange_explicit(&lock->word, WORD_FREE, memory_order_release);
    HM_ASSERT(word != WORD_FREE, "a lock that is released is held");
    if (HM_UNLIKELY(word == WORD_SLEEPERS)) {
        wake_one(lock);
    }
}

void lock_wake(struct lock *lock)
{
    atomic_store_explicit(&lock->word, WORD_FREE, memory_order_release);
    wake_one(lock);
}

void lock_reset(struct lock *lock)
{
    if (atomic_exchange_explicit(&lock->word, WORD_FREE, memory_order_release) != WORD_FREE) {
        rank_leave(lock);
    }
}

bool lock_held(struct lock *lock)
{
    bool mine = !HM_DEBUG || lock->rank == LOCK_RANK_NONE || held[lock->rank] > 0;
    return mine && atomic_load_explicit(&lock->word, memory_order_relaxed) != WORD_FREE;
}
