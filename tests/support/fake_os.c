#define _GNU_SOURCE 1

#include "support/fake_os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BREAK_BYTES_DEFAULT ((size_t)1 << 30)

static const char *const call_names[FAKE_CALLS] = {"map",   "reserve", "commit",    "unmap",     "remap",
                                                   "purge", "huge",    "fill_huge", "move_break"};

_Noreturn static void misuse(enum fake_call call, const void *addr, size_t bytes, const char *why)
{
    fprintf(stderr, "fake_os: %s(%p, %zu): %s\n", call_names[call], addr, bytes, why);
    abort();
}

static struct fake_os *enter(const struct os *os)
{
    struct fake_os *fake = os->context;
    pthread_mutex_lock(&fake->mutex);
    return fake;
}

static void leave(struct fake_os *fake)
{
    pthread_mutex_unlock(&fake->mutex);
}

/* Counts the call; false: it is to be refused. `growth` is what it adds to the memory under the limit. */
static bool admit(struct fake_os *fake, enum fake_call call, size_t growth)
{
    fake->calls[call]++;
    fake->all_calls++;
    bool nth = fake->countdown > 0 && --fake->countdown == 0;
    size_t used = fake->mapped + fake_os_break_bytes(fake);
    bool beyond = fake->limit != 0 && growth > 0 && (used > fake->limit || growth > fake->limit - used);
    if (nth || beyond || fake->refuse[call]) {
        fake->refused[call]++;
        return false;
    }
    return true;
}

static void check_size(struct fake_os *fake, enum fake_call call, const void *addr, size_t bytes)
{
    if (bytes == 0 || bytes % fake->os.page_size != 0 || (uintptr_t)addr % fake->os.page_size != 0) {
        misuse(call, addr, bytes, "not a multiple of the page size, or empty");
    }
}

/* The memory must have been handed out by this instance: mapped, or (where break_too) added to the break. */
static void check_range(struct fake_os *fake, enum fake_call call, const void *addr, size_t bytes,
                        bool break_too)
{
    uintptr_t start = (uintptr_t)addr;
    uintptr_t end = start + bytes;
    check_size(fake, call, addr, bytes);
    if (!ranges_cover(&fake->ranges, start, end) && !(break_too && ranges_cover(&fake->grown, start, end))) {
        misuse(call, addr, bytes, "not memory that may be used so");
    }
}

static void note_peak(struct fake_os *fake)
{
    size_t used = fake->mapped + fake_os_break_bytes(fake);
    fake->mapped_peak = used > fake->mapped_peak ? used : fake->mapped_peak;
}

static void note_mapped(struct fake_os *fake, uintptr_t start, size_t bytes)
{
    ranges_add(&fake->ranges, start, start + bytes);
    fake->mapped += bytes;
    note_peak(fake);
}

static void note_unmapped(struct fake_os *fake, uintptr_t start, size_t bytes)
{
    ranges_cut(&fake->ranges, start, start + bytes);
    fake->mapped -= bytes;
}

/* Real memory aligned to the fake's page size. */
static void *real_map(const struct fake_os *fake, size_t bytes, bool access)
{
    const struct os *linux_os = os_linux();
    size_t page = fake->os.page_size;
    size_t slack = page - linux_os->page_size;
    size_t total;
    if (__builtin_add_overflow(bytes, slack, &total)) {
        return NULL;
    }
    char *base = (access ? linux_os->map : linux_os->reserve)(linux_os, total);
    if (base == NULL || slack == 0) {
        return base;
    }
    size_t head = (page - (uintptr_t)base % page) % page;
    if (head > 0) {
        linux_os->unmap(linux_os, base, head);
    }
    if (slack > head) {
        linux_os->unmap(linux_os, base + head + bytes, slack - head);
    }
    return base + head;
}

static void *make_mapping(const struct os *os, enum fake_call call, size_t bytes)
{
    struct fake_os *fake = enter(os);
    check_size(fake, call, NULL, bytes);
    void *result = NULL;
    if (admit(fake, call, bytes)) {
        result = real_map(fake, bytes, call == FAKE_MAP);
        if (result != NULL) {
            note_mapped(fake, (uintptr_t)result, bytes);
        } else {
            fake->refused[call]++;
        }
    }
    leave(fake);
    return result;
}

static void *fake_map(const struct os *os, size_t bytes)
{
    return make_mapping(os, FAKE_MAP, bytes);
}

static void *fake_reserve(const struct os *os, size_t bytes)
{
    return make_mapping(os, FAKE_RESERVE, bytes);
}

static bool fake_commit(const struct os *os, void *addr, size_t bytes)
{
    struct fake_os *fake = enter(os);
    check_range(fake, FAKE_COMMIT, addr, bytes, false);
    bool done = admit(fake, FAKE_COMMIT, 0) && os_linux()->commit(os_linux(), addr, bytes);
    leave(fake);
    return done;
}

static bool fake_unmap(const struct os *os, void *addr, size_t bytes)
{
    struct fake_os *fake = enter(os);
    check_range(fake, FAKE_UNMAP, addr, bytes, false);
    bool done = admit(fake, FAKE_UNMAP, 0) && os_linux()->unmap(os_linux(), addr, bytes);
    if (done) {
        note_unmapped(fake, (uintptr_t)addr, bytes);
    }
    leave(fake);
    return done;
}

/* With the machine's page size the kernel does it; it wouldn't keep a larger alignment, so there the contents
 * are copied. */
static void *real_remap(const struct fake_os *fake, void *addr, size_t old_bytes, size_t new_bytes)
{
    const struct os *linux_os = os_linux();
    if (fake->os.page_size == linux_os->page_size) {
        return linux_os->remap(linux_os, addr, old_bytes, new_bytes);
    }
    void *moved = real_map(fake, new_bytes, true);
    if (moved != NULL) {
        memcpy(moved, addr, old_bytes < new_bytes ? old_bytes : new_bytes);
        linux_os->unmap(linux_os, addr, old_bytes);
    }
    return moved;
}

static void *fake_remap(const struct os *os, void *addr, size_t old_bytes, size_t new_bytes)
{
    struct fake_os *fake = enter(os);
    check_range(fake, FAKE_REMAP, addr, old_bytes, false);
    check_size(fake, FAKE_REMAP, addr, new_bytes);
    void *result = NULL;
    if (admit(fake, FAKE_REMAP, new_bytes > old_bytes ? new_bytes - old_bytes : 0)) {
        result = real_remap(fake, addr, old_bytes, new_bytes);
        if (result != NULL) {
            note_unmapped(fake, (uintptr_t)addr, old_bytes);
            note_mapped(fake, (uintptr_t)result, new_bytes);
        } else {
            fake->refused[FAKE_REMAP]++;
        }
    }
    leave(fake);
    return result;
}

static bool fake_purge(const struct os *os, void *addr, size_t bytes)
{
    struct fake_os *fake = enter(os);
    check_range(fake, FAKE_PURGE, addr, bytes, true);
    bool done = admit(fake, FAKE_PURGE, 0) && os_linux()->purge(os_linux(), addr, bytes);
    if (done) {
        fake->purged_bytes += bytes;
        fake->last_purge = (struct range){(uintptr_t)addr, (uintptr_t)addr + bytes};
    }
    leave(fake);
    return done;
}

static bool fake_huge(const struct os *os, void *addr, size_t bytes, enum os_huge huge)
{
    struct fake_os *fake = enter(os);
    check_range(fake, FAKE_HUGE, addr, bytes, true);
    bool done = admit(fake, FAKE_HUGE, 0) && os_linux()->huge(os_linux(), addr, bytes, huge);
    if (done) {
        fake->last_huge = (struct range){(uintptr_t)addr, (uintptr_t)addr + bytes};
        fake->last_advice = huge;
    }
    leave(fake);
    return done;
}

/* Nothing happens to the pages: a huge page can't be told from others by its contents. */
static uint64_t fake_fill_huge(const struct os *os, void *addr, size_t bytes)
{
    struct fake_os *fake = enter(os);
    check_range(fake, FAKE_FILL_HUGE, addr, bytes, true);
    if ((uintptr_t)addr % bytes != 0) {
        misuse(FAKE_FILL_HUGE, addr, bytes, "not at a multiple of its length");
    }
    fake->last_fill = (struct range){(uintptr_t)addr, (uintptr_t)addr + bytes};
    uint64_t took = admit(fake, FAKE_FILL_HUGE, 0) ? fake->fill_ns : 0;
    leave(fake);
    return took;
}

/* As the kernel does: whole pages above the break are gone and come back as zero, the rest of its own page
 * stays. */
static void *shift_break(struct fake_os *fake, intptr_t delta)
{
    uintptr_t before = fake->break_at;
    uintptr_t after = before + (uintptr_t)delta;
    bool wrapped = delta < 0 ? after > before : after < before;
    if (wrapped || after < fake->arena || after > fake->arena + fake->arena_bytes) {
        return NULL;
    }
    size_t page = fake->os.page_size;
    uintptr_t old_top = (before + page - 1) / page * page;
    uintptr_t new_top = (after + page - 1) / page * page;
    char *base = (char *)fake->arena;
    bool done = true;
    if (new_top > old_top) {
        done = mprotect(base + (old_top - fake->arena), new_top - old_top, PROT_READ | PROT_WRITE) == 0;
    } else if (new_top < old_top) {
        void *gone = base + (new_top - fake->arena);
        done = madvise(gone, old_top - new_top, MADV_DONTNEED) == 0 &&
               mprotect(gone, old_top - new_top, PROT_NONE) == 0;
    }
    if (!done) {
        perror("fake_os: break");
        abort();
    }
    if (after < before) {
        ranges_cut(&fake->grown, after, before);
    }
    fake->break_at = after;
    note_peak(fake);
    return base + (before - fake->arena);
}

static void *fake_move_break(const struct os *os, intptr_t delta)
{
    struct fake_os *fake = enter(os);
    uintptr_t at = fake->break_at;
    if (delta < 0 && !ranges_cover(&fake->grown, at + (uintptr_t)delta, at)) {
        misuse(FAKE_MOVE_BREAK, (void *)at, (size_t)-delta, "lowers the break below memory of others");
    }
    void *before = NULL;
    if (admit(fake, FAKE_MOVE_BREAK, delta > 0 ? (size_t)delta : 0)) {
        before = shift_break(fake, delta);
        fake->refused[FAKE_MOVE_BREAK] += before == NULL;
    }
    if (before != NULL && delta > 0) {
        ranges_add(&fake->grown, at, at + (uintptr_t)delta);
    }
    leave(fake);
    return before;
}

static uint64_t fake_now_ms(const struct os *os)
{
    struct fake_os *fake = enter(os);
    uint64_t now = fake->now_ms;
    leave(fake);
    return now;
}

void fake_os_init(struct fake_os *fake, size_t break_bytes, size_t page_size)
{
    size_t real_page = os_linux()->page_size;
    *fake = (struct fake_os){
        .os =
            {
                .map = fake_map,
                .reserve = fake_reserve,
                .commit = fake_commit,
                .unmap = fake_unmap,
                .remap = fake_remap,
                .purge = fake_purge,
                .huge = fake_huge,
                .fill_huge = fake_fill_huge,
                .move_break = fake_move_break,
                .now_ms = fake_now_ms,
                .page_size = page_size == 0 ? real_page : page_size,
                .context = fake,
            },
        .now_ms = 1000,
        .arena_bytes = break_bytes == 0 ? BREAK_BYTES_DEFAULT : break_bytes,
    };
    pthread_mutex_init(&fake->mutex, NULL);
    fake->arena = (uintptr_t)real_map(fake, fake->arena_bytes, false);
    if (fake->arena == 0 || fake->os.page_size % real_page != 0 ||
        fake->arena_bytes % fake->os.page_size != 0) {
        fprintf(stderr, "fake_os: no arena of %zu bytes in pages of %zu\n", break_bytes, fake->os.page_size);
        abort();
    }
    fake->break_at = fake->arena;
}

void fake_os_destroy(struct fake_os *fake)
{
    const struct os *linux_os = os_linux();
    for (size_t i = 0; i < fake->ranges.count; i++) {
        struct range range = fake->ranges.range[i];
        linux_os->unmap(linux_os, (void *)range.start, range.end - range.start);
    }
    linux_os->unmap(linux_os, (void *)fake->arena, fake->arena_bytes);
    ranges_free(&fake->ranges);
    ranges_free(&fake->grown);
    pthread_mutex_destroy(&fake->mutex);
}

void fake_os_refuse_nth(struct fake_os *fake, size_t n)
{
    pthread_mutex_lock(&fake->mutex);
    fake->countdown = n;
    fake->armed = n > 0;
    pthread_mutex_unlock(&fake->mutex);
}

bool fake_os_fired(const struct fake_os *fake)
{
    return fake->armed && fake->countdown == 0;
}

void fake_os_refuse_kind(struct fake_os *fake, enum fake_call call, bool refuse)
{
    pthread_mutex_lock(&fake->mutex);
    fake->refuse[call] = refuse;
    pthread_mutex_unlock(&fake->mutex);
}

void fake_os_limit(struct fake_os *fake, size_t bytes)
{
    pthread_mutex_lock(&fake->mutex);
    fake->limit = bytes;
    pthread_mutex_unlock(&fake->mutex);
}

void *fake_os_foreign_sbrk(struct fake_os *fake, intptr_t delta)
{
    pthread_mutex_lock(&fake->mutex);
    void *before = shift_break(fake, delta);
    pthread_mutex_unlock(&fake->mutex);
    return before;
}

size_t fake_os_break_bytes(const struct fake_os *fake)
{
    return fake->break_at - fake->arena;
}
