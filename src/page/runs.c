#include "page/runs.h"

#include <assert.h>

#include "base/bits.h"
#include "base/check.h"

#define RUNS_STEPS ((size_t)1 << RUNS_STEP_BITS)

/* How many runs of one bin are looked at. Each may miss the cache, and a search that gives up too early costs
 * page faults for new memory: 32 looks cost less than two faults. */
#define RUNS_LOOKS 32

static_assert(RUNS_LEVELS <= 64, "one bit a level");
static_assert(RUNS_STEPS <= 8, "one bit a step");

/* Level 0 holds 1 to 7 pages, level l > 0 holds 2^(l+2) to 2^(l+3) - 1, each step an eighth of it. */
static size_t bin_index(size_t pages)
{
    if (pages < RUNS_STEPS) {
        return pages;
    }
    unsigned log = bits_log2(pages);
    size_t step = (pages >> (log - RUNS_STEP_BITS)) & (RUNS_STEPS - 1);
    return ((size_t)(log - RUNS_STEP_BITS + 1) << RUNS_STEP_BITS) | step;
}

static size_t bin_of(const struct runs *runs, const struct span *run)
{
    size_t index = bin_index(run->bytes >> runs->page_shift);
    HM_ASSERT(index < RUNS_BINS, "a run is shorter than the address space");
    return index;
}

static struct list *bin_head(const struct runs *runs, size_t index)
{
    return &runs->bin[index * RUNS_INDEXES];
}

/* The first bin from `index` on that isn't empty; RUNS_BINS if there is none. */
static size_t bin_from(const struct runs *runs, size_t index)
{
    if (index >= RUNS_BINS) {
        return RUNS_BINS;
    }
    size_t level = index >> RUNS_STEP_BITS;
    unsigned steps = (unsigned)runs->steps[level] >> (index & (RUNS_STEPS - 1));
    if (steps != 0) {
        return index + bits_lowest(steps);
    }
    uint64_t levels = runs->levels >> level >> 1;
    if (levels == 0) {
        return RUNS_BINS;
    }
    level += 1 + bits_lowest(levels);
    return (level << RUNS_STEP_BITS) + bits_lowest(runs->steps[level]);
}

/* The last bin before `index` that isn't empty; RUNS_BINS if there is none. */
static size_t bin_before(const struct runs *runs, size_t index)
{
    size_t level = index >> RUNS_STEP_BITS;
    unsigned steps = level < RUNS_LEVELS ? runs->steps[level] & ((1u << (index & (RUNS_STEPS - 1))) - 1) : 0;
    if (steps != 0) {
        return (level << RUNS_STEP_BITS) + bits_log2(steps);
    }
    uint64_t levels = runs->levels & (((uint64_t)1 << level) - 1);
    if (levels == 0) {
        return RUNS_BINS;
    }
    level = bits_log2(levels);
    return (level << RUNS_STEP_BITS) + bits_log2(runs->steps[level]);
}

void runs_init(struct runs *runs, unsigned page_shift, struct list *bin)
{
    runs->page_shift = page_shift;
    runs->count = 0;
    runs->bytes = 0;
    runs->levels = 0;
    runs->bin = bin;
    for (size_t level = 0; level < RUNS_LEVELS; level++) {
        runs->steps[level] = 0;
    }
}

void runs_insert(struct runs *runs, struct span *run)
{
    size_t index = bin_of(runs, run);
    size_t level = index >> RUNS_STEP_BITS;
    size_t step = index & (RUNS_STEPS - 1);
    struct list *head = bin_head(runs, index);
    if ((runs->steps[level] >> step & 1) == 0) {
        /* Only now, so that the heads of bins that are never used stay untouched memory. */
        list_init(head);
    }
    bool lowest = list_empty(head) || run->addr < LIST_ENTRY(head->next, struct span, link)->addr;
    list_insert_after(lowest ? head : head->next, &run->link);
    runs->levels |= (uint64_t)1 << level;
    runs->steps[level] = (uint8_t)(runs->steps[level] | 1u << step);
    runs->count++;
    runs->bytes += run->bytes;
}

void runs_remove(struct runs *runs, struct span *run)
{
    size_t index = bin_of(runs, run);
    size_t level = index >> RUNS_STEP_BITS;
    size_t step = index & (RUNS_STEPS - 1);
    list_remove(&run->link);
    if (list_empty(bin_head(runs, index))) {
        runs->steps[level] = (uint8_t)(runs->steps[level] & ~(1u << step));
        if (runs->steps[level] == 0) {
            runs->levels &= ~((uint64_t)1 << level);
        }
    }
    runs->count--;
    runs->bytes -= run->bytes;
}

bool runs_place(uintptr_t lo, uintptr_t hi, size_t bytes, size_t align, uintptr_t *addr)
{
    uintptr_t low = bits_align_up(lo, align);
    if (low < lo || low > hi || hi - low < bytes) {
        return false;
    }
    uintptr_t high = bits_align_down(hi - bytes, align);
    *addr = low != lo && high + bytes == hi ? high : low;
    return true;
}

/* The first run of the bin from which the pages can be taken without leaving two rests, else the first that
 * fits. */
static struct span *bin_find(const struct runs *runs, size_t index, size_t bytes, size_t align)
{
    const struct list *head = bin_head(runs, index);
    struct span *fits = NULL;
    unsigned looks = 0;
    for (struct list *at = head->next; at != head && looks < RUNS_LOOKS; at = at->next, looks++) {
        struct span *run = LIST_ENTRY(at, struct span, link);
        uintptr_t addr;
        if (!runs_place(run->addr, span_end(run), bytes, align, &addr)) {
            continue;
        }
        if (addr == run->addr || addr + bytes == span_end(run)) {
            return run;
        }
        if (fits == NULL) {
            fits = run;
        }
    }
    return fits;
}

struct span *runs_find(const struct runs *runs, size_t bytes, size_t align)
{
    size_t index = bin_index(bytes >> runs->page_shift);
    while ((index = bin_from(runs, index)) < RUNS_BINS) {
        struct span *run = bin_find(runs, index, bytes, align);
        if (run != NULL) {
            return run;
        }
        index++;
    }
    return NULL;
}

struct span *runs_smaller(const struct runs *runs, const struct span *run)
{
    size_t index = run == NULL ? RUNS_BINS : bin_of(runs, run);
    if (run != NULL && run->link.next != bin_head(runs, index)) {
        return LIST_ENTRY(run->link.next, struct span, link);
    }
    index = bin_before(runs, index);
    return index < RUNS_BINS ? LIST_ENTRY(bin_head(runs, index)->next, struct span, link) : NULL;
}

void runs_verify(const struct runs *runs)
{
    size_t count = 0;
    size_t bytes = 0;
    for (size_t index = 0; index < RUNS_BINS; index++) {
        const struct list *head = bin_head(runs, index);
        size_t level = index >> RUNS_STEP_BITS;
        bool marked = (runs->steps[level] >> (index & (RUNS_STEPS - 1)) & 1) != 0;
        HM_CHECK((runs->levels >> level & 1) == (runs->steps[level] != 0),
                 "a level's bit is set exactly when it has a step");
        if (!marked) {
            continue;
        }
        HM_CHECK(!list_empty(head), "a step's bit is set exactly when its bin isn't empty");
        for (struct list *at = head->next; at != head; at = at->next) {
            const struct span *run = LIST_ENTRY(at, struct span, link);
            HM_CHECK(at->next->prev == at && at->prev->next == at, "a list's links are mutual");
            HM_CHECK(run->kind == SPAN_FREE && run->bytes > 0, "the index holds runs");
            HM_CHECK(bin_of(runs, run) == index, "a run is in the bin of its length");
            count++;
            bytes += run->bytes;
        }
    }
    HM_CHECK(count == runs->count, "count = number of runs in the bins");
    HM_CHECK(bytes == runs->bytes, "bytes = sum of the runs' lengths");
}
