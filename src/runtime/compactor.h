/* A heap's background compactor: a thread that does one budgeted step after the other while too much of the heap is free memory
 * between blocks, and sleeps otherwise.
 *
 * It begins when the free share is above the high mark and goes on until it is at the low mark, or moving doesn't help; then
 * it leaves the heap alone until it has more free memory than that.
 *
 * A heap is stirred while the program allocates or frees so fast that it would go through all of it in 16 seconds. What is moved
 * then may be dead soon, and holes would be filled without help; so only chunks of which at least half is garbage are emptied: a byte
 * won costs at most a byte moved. When the program lets the heap be after much of that, it is compacted down to the low mark, wherever
 * between the marks it is. So a busy program pays for what it is worth, and an idle one's memory comes back soon and almost all.
 *
 * Between steps it sleeps as long as its shares of CPU time and of bytes moved ask for; both are kept over time, not for each step.
 * Where the process has work for most CPUs, it takes only an eighth of its share (one percent at least), unless the free share is
 * above four times the high mark. It takes no memory from the allocator.
 *
 * heap->compactor changes by atomic exchange, and whoever takes it away waits for the thread. In a child of fork there is no such
 * thread; compactor_forget() says so, and starting and stopping see it by themselves for heaps that fork doesn't know of. */
#ifndef HM_RUNTIME_COMPACTOR_H
#define HM_RUNTIME_COMPACTOR_H

#include "movable/heap.h"
#include "page/meta.h"

/* Before the first use. */
void compactor_init(struct meta *meta);

enum compactor_result {
    COMPACTOR_OK,
    COMPACTOR_RUNNING,   /* the heap has one */
    COMPACTOR_NO_THREAD, /* or no memory for its state */
};

/* Options are complete and valid (api/movable.c). */
enum compactor_result compactor_start(struct hm_heap *heap, const struct hm_compactor_options *options);

/* Waits for the step under way. Nothing if there is none. */
void compactor_stop(struct hm_heap *heap);

/* In a forked child. */
void compactor_forget(struct hm_heap *heap);

/* Accounts, apart from the thread for tests. Time in nanoseconds since the start. */

struct compactor_pace {
    unsigned cpu_percent;
    size_t bytes_per_second; /* 0: no limit */
    uint64_t cpu_due;        /* the time at which the CPU time used so far is within its share */
    uint64_t bytes_due;      /* the same for bytes moved */
};

/* A step that ended at `now` used so much. Returns how long to sleep. What was not used in the past counts for nothing. */
uint64_t compactor_account(struct compactor_pace *pace, uint64_t now, uint64_t cpu, size_t bytes);

/* The share of CPU time to keep to. */
unsigned compactor_share(unsigned cpu_percent, bool busy, unsigned high_percent, size_t free_bytes,
                         size_t held_bytes);

struct compactor_marks {
    unsigned low_percent;
    unsigned high_percent;
    bool working;
    bool stirred;
    size_t moved;    /* bytes, since it works */
    size_t hopeless; /* free bytes when it gave up; 0: it didn't */
    unsigned looks;  /* since then */
    unsigned tries;  /* how often it gave up with no more free memory than the first time */
};

/* Whether to do a step. After giving up only when there is more free memory, or many looks later (twice as many each
 * time): pins may be gone. */
bool compactor_wants(struct compactor_marks *marks, size_t free_bytes, size_t held_bytes);

/* Says whether the heap is stirred now, and if it isn't, whether much of it was since it had come to rest. A change ends what was
 * given up. */
void compactor_stirred(struct compactor_marks *marks, bool stirred, bool much);

/* A step moved so much; not called for a heap that is stirred. Who has moved the whole heap twice without coming to the low mark gives up. */
void compactor_count(struct compactor_marks *marks, size_t moved, size_t free_bytes, size_t held_bytes);
void compactor_give_up(struct compactor_marks *marks, size_t free_bytes);

#endif
