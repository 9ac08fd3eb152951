/* The operating system as a table of functions: the only way to a system call.
 *
 * The table is passed down from runtime/, so that a test can build a page heap over its own table and refuse the n-th
 * call. All sizes and addresses are multiples of page_size. Failure is NULL or false, never an abort; errno is kept by
 * every function. All functions may be called from any thread, with locks held. */
#ifndef HM_OS_OS_H
#define HM_OS_OS_H

#include "base/attr.h"

enum os_huge { OS_HUGE_NEVER, OS_HUGE_ALWAYS };

struct os {
    /* New zero-filled private memory, readable and writable; NULL when refused. */
    void *(*map)(const struct os *os, size_t bytes);
    /* New address space without access or commit charge (PROT_NONE); NULL when refused. */
    void *(*reserve)(const struct os *os, size_t bytes);
    /* Makes a part of reserved space readable and writable. */
    bool (*commit)(const struct os *os, void *addr, size_t bytes);
    bool (*unmap)(const struct os *os, void *addr, size_t bytes);
    /* Resizes a mapping that map() made, moving it when it can't stay. NULL: refused and the old one is untouched. */
    void *(*remap)(const struct os *os, void *addr, size_t old_bytes, size_t new_bytes);
    /* Gives the pages' memory back now; they read as zero afterwards. False: refused, contents as they were. */
    bool (*purge)(const struct os *os, void *addr, size_t bytes);
    /* Advice about transparent huge pages; a refusal has no consequence. */
    bool (*huge)(const struct os *os, void *addr, size_t bytes, enum os_huge huge);
    /* Makes new memory, all zero, resident as one transparent huge page, whose length it has and at a multiple of it, if the
     * system's setting allows them at least on request. Returns the nanoseconds that it took, at least 1; 0: not done, and
     * none of it is resident. */
    uint64_t (*fill_huge)(const struct os *os, void *addr, size_t bytes);
    /* Moves the program break by delta bytes and returns where it was before, or NULL when refused. move_break(os, 0)
     * asks where it is. Foreign sbrk callers move it too: compare the answer with what you expect. */
    void *(*move_break)(const struct os *os, intptr_t delta);
    /* Milliseconds of a monotonic clock, cheap and coarse (some 4 ms). */
    uint64_t (*now_ms)(const struct os *os);
    size_t page_size;
    void *context;
};

/* The kernel's page size, asked for anew each time. Keeps errno. */
size_t os_page_size(void);

/* The kernel's page size and Linux's calls; safe before any constructor has run. The first call fills the table: until it
 * returns no other thread may call. */
const struct os *os_linux(void);

/* The same for a process whose malloc is another allocator that moves the break, too: libc's sbrk is not made for two
 * callers at once, so the break can be moved only while the process has one thread. */
const struct os *os_linux_beside(void);

/* True while the process has one thread, as libc says; false if it doesn't say. */
bool os_single_threaded(void);

/* 64 unpredictable bits; falls back to AT_RANDOM and the clock when getrandom is refused. */
uint64_t os_random(void);

/* Nanoseconds of a monotonic clock, exact (some 25 ns a call). Keeps errno. */
uint64_t os_now_ns(void);

/* True when the system's setting lets processes have transparent huge pages on request: asked for anew each time. */
bool os_huge_allowed(void);

/* Reads the beginning of a file, no more than `cap` bytes. Returns how many; 0 when it can't be read. Keeps errno. */
size_t os_read(const char *path, char *buf, size_t cap);

/* Bytes of this process resident in memory, anonymous part, by /proc/self/statm; 0 when /proc can't be read. */
size_t os_resident(void);

/* Bytes of address space that this process may have (RLIMIT_AS); SIZE_MAX: as many as there are. */
size_t os_address_limit(void);

#endif
