#define _GNU_SOURCE 1

#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

#define ACCESS_RW (PROT_READ | PROT_WRITE)

#ifndef MADV_COLLAPSE
#    define MADV_COLLAPSE 25
#endif

/* Not through libc's wrappers: programs replace those, to trace or to register memory with a device, and what
 * they put there may allocate, while a lock of ours is held. ThreadSanitizer needs to see the calls, and
 * s390x passes mmap's arguments in a struct. */
#if HM_TSAN || defined(__s390x__)
#    define call_mmap     mmap
#    define call_mprotect mprotect
#    define call_munmap   munmap
#    define call_mremap   mremap
#    define call_madvise  madvise
#else
static void *call_mmap(void *addr, size_t bytes, int access, int flags, int fd, off_t offset)
{
    return (void *)syscall(SYS_mmap, addr, bytes, access, flags, fd, offset);
}

static int call_mprotect(void *addr, size_t bytes, int access)
{
    return (int)syscall(SYS_mprotect, addr, bytes, access);
}

static int call_munmap(void *addr, size_t bytes)
{
    return (int)syscall(SYS_munmap, addr, bytes);
}

static void *call_mremap(void *addr, size_t old_bytes, size_t new_bytes, int flags)
{
    return (void *)syscall(SYS_mremap, addr, old_bytes, new_bytes, flags);
}

static int call_madvise(void *addr, size_t bytes, int advice)
{
    return (int)syscall(SYS_madvise, addr, bytes, advice);
}
#endif

static void *map_at(void *addr, size_t bytes, int access, int flags)
{
    int saved = errno;
    void *result = call_mmap(addr, bytes, access, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    errno = saved;
    return result == MAP_FAILED ? NULL : result;
}

static void *linux_map(const struct os *os, size_t bytes)
{
    (void)os;
    return map_at(NULL, bytes, ACCESS_RW, MAP_NORESERVE);
}

static void *linux_reserve(const struct os *os, size_t bytes)
{
    (void)os;
    return map_at(NULL, bytes, PROT_NONE, MAP_NORESERVE);
}

static bool linux_commit(const struct os *os, void *addr, size_t bytes)
{
    (void)os;
    int saved = errno;
    bool done = call_mprotect(addr, bytes, ACCESS_RW) == 0;
    errno = saved;
    return done;
}

static bool linux_unmap(const struct os *os, void *addr, size_t bytes)
{
    (void)os;
    int saved = errno;
    bool done = call_munmap(addr, bytes) == 0;
    errno = saved;
    return done;
}

static void *linux_remap(const struct os *os, void *addr, size_t old_bytes, size_t new_bytes)
{
    (void)os;
    int saved = errno;
    void *result = call_mremap(addr, old_bytes, new_bytes, MREMAP_MAYMOVE);
    errno = saved;
    return result == MAP_FAILED ? NULL : result;
}

/* Through libc, which caches the break: a raw system call would let its next sbrk hand out memory of ours. */
static void *linux_move_break(const struct os *os, intptr_t delta)
{
    (void)os;
    int saved = errno;
    void *before = sbrk(delta);
    errno = saved;
    return (intptr_t)before == -1 ? NULL : before;
}

extern char __libc_single_threaded __attribute__((weak));

bool os_single_threaded(void)
{
    return &__libc_single_threaded != NULL && __libc_single_threaded != 0;
}

static void *beside_move_break(const struct os *os, intptr_t delta)
{
    return os_single_threaded() ? linux_move_break(os, delta) : NULL;
}

/* New pages in the place of old ones, for when madvise is filtered. The kernel joins them with the mapping
 * around them, and so spares the limited number of mappings, if the flags agree: memory of the break has no
 * MAP_NORESERVE. A wrong guess of what lies below the break costs mappings, nothing else. */
static bool replace_pages(const struct os *os, void *addr, size_t bytes)
{
    bool in_break = (uintptr_t)addr < (uintptr_t)linux_move_break(os, 0);
    return map_at(addr, bytes, ACCESS_RW, MAP_FIXED | (in_break ? 0 : MAP_NORESERVE)) != NULL;
}

/* EINVAL (locked pages), ENOMEM and EAGAIN are answers of the kernel about this memory; anything else is a
 * filter's. */
static bool linux_purge(const struct os *os, void *addr, size_t bytes)
{
    int saved = errno;
    bool done = call_madvise(addr, bytes, MADV_DONTNEED) == 0;
    if (!done && errno != EINVAL && errno != ENOMEM && errno != EAGAIN) {
        done = replace_pages(os, addr, bytes);
    }
    errno = saved;
    return done;
}

static bool linux_huge(const struct os *os, void *addr, size_t bytes, enum os_huge huge)
{
    (void)os;
    int saved = errno;
    bool done = call_madvise(addr, bytes, huge == OS_HUGE_ALWAYS ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0;
    errno = saved;
    return done;
}

/* MADV_COLLAPSE (Linux 6.1) and not MADV_HUGEPAGE, which would outlast this one page: it splits mappings, and has the
 * kernel fill what is purged later on. It needs a page that is there, and calls nothing done a success, too. */
static uint64_t linux_fill_huge(const struct os *os, void *addr, size_t bytes)
{
    bool is_huge = bytes == os->page_size / sizeof(uint64_t) * os->page_size; /* a page full of entries */
    if (!is_huge || !os_huge_allowed()) {
        return 0;
    }
    int saved = errno;
    uint64_t start = os_now_ns();
    *(volatile char *)addr = 0;
    bool done = call_madvise(addr, bytes, MADV_COLLAPSE) == 0;
    uint64_t took = os_now_ns() - start;
    if (!done) {
        linux_purge(os, addr, os->page_size);
    }
    errno = saved;
    return !done ? 0 : took > 0 ? took : 1;
}

static uint64_t linux_now_ms(const struct os *os)
{
    (void)os;
    int saved = errno;
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    errno = saved;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#define LINUX_OS(move_break_)                                                                                \
    {                                                                                                        \
        .map = linux_map, .reserve = linux_reserve, .commit = linux_commit, .unmap = linux_unmap,            \
        .remap = linux_remap, .purge = linux_purge, .huge = linux_huge, .fill_huge = linux_fill_huge,        \
        .move_break = (move_break_), .now_ms = linux_now_ms,                                                 \
    }

static const struct os linux_calls = LINUX_OS(linux_move_break);
static const struct os beside_calls = LINUX_OS(beside_move_break);
static struct os linux_os;
static struct os beside_os;

size_t os_page_size(void)
{
    int saved = errno;
    size_t page_size = getauxval(AT_PAGESZ);
    errno = saved;
    return page_size;
}

/* At run time, as the page size is known only then: so nothing of the tables that are written is in the file (layout.ld). */
static const struct os *fill(struct os *os, const struct os *calls)
{
    if (HM_UNLIKELY(os->page_size == 0)) {
        *os = *calls;
        os->page_size = os_page_size();
    }
    return os;
}

const struct os *os_linux(void)
{
    return fill(&linux_os, &linux_calls);
}

const struct os *os_linux_beside(void)
{
    return fill(&beside_os, &beside_calls);
}
