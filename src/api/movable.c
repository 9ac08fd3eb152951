#include <hmalloc/handle.h>

#include <string.h>

#include "api/outcome.h"
#include "runtime/compactor.h"

#define BUFFER_BYTES_MIN 1024
#define BUFFER_BYTES_MAX ((size_t)1 << 32)
#define FLAGS                                                                                                \
    (HM_MOVABLE_ZERO_ON_FREE | HM_MOVABLE_SINGLE_OWNER | HM_MOVABLE_SLOTS_PINNED | HM_MOVABLE_NO_RESCUE)

/* The marks and shares of a compactor whose options are 0. */
#define LOW_PERCENT  3
#define HIGH_PERCENT 10
#define CPU_PERCENT  50u
#define STEP_BYTES   ((size_t)64 << 10)
#define STEP_NS      100000
#define IDLE_MS      50

/* With the defaults filled in. False with EINVAL. */
static bool complete(const struct hm_movable_options *from, bool grows, struct hm_movable_options *options)
{
    memset(options, 0, sizeof *options);
    if (from != NULL) {
        *options = *from;
    }
    options->alignment = options->alignment == 0 ? 16 : options->alignment;
    bool aligned = options->alignment == 8 || options->alignment == 16;
    bool known = (options->flags & ~FLAGS) == 0;
    return outcome(aligned && known && (grows || options->max_bytes == 0) ? MOVABLE_OK : MOVABLE_INVALID);
}

static hm_heap *or_no_memory(hm_heap *heap)
{
    if (heap == NULL) {
        errno = ENOMEM;
    }
    return heap;
}

HM_PUBLIC hm_heap *hm_movable_create(const struct hm_movable_options *options)
{
    struct hm_movable_options all;
    return complete(options, true, &all) ? or_no_memory(movables_create(&all)) : NULL;
}

HM_PUBLIC hm_heap *hm_movable_create_in(void *buffer, size_t bytes, const struct hm_movable_options *options)
{
    struct hm_movable_options all;
    if (buffer == NULL || bytes < BUFFER_BYTES_MIN || bytes > BUFFER_BYTES_MAX) {
        errno = EINVAL;
        return NULL;
    }
    return complete(options, false, &all) ? or_no_memory(movables_create_in(buffer, bytes, &all)) : NULL;
}

HM_PUBLIC void hm_movable_destroy(hm_heap *heap)
{
    if (heap != NULL) {
        movables_destroy(outcome_heap(heap, __func__));
    }
}

HM_PUBLIC bool hm_movable_reset(hm_heap *heap)
{
    heap = outcome_heap(heap, __func__);
    return heap != NULL && outcome(heap->kind->reset(heap));
}

HM_PUBLIC hm_heap *hm_movable_default(void)
{
    return outcome_heap(NULL, __func__);
}

HM_PUBLIC void hm_movable_set_default(hm_heap *heap)
{
    movables_choose(heap != NULL ? outcome_heap(heap, __func__) : NULL);
}

HM_PUBLIC struct hm_compact_result hm_compact(hm_heap *heap, struct hm_budget budget)
{
    heap = outcome_heap_or_none(heap, __func__);
    return heap != NULL ? heap->kind->compact(heap, budget, true) : (struct hm_compact_result){.done = true};
}

static void compactor_complete(struct hm_compactor_options *options)
{
    options->low_percent = options->low_percent == 0 ? LOW_PERCENT : options->low_percent;
    options->high_percent = options->high_percent == 0 ? HIGH_PERCENT : options->high_percent;
    options->cpu_percent = options->cpu_percent == 0 ? CPU_PERCENT : options->cpu_percent;
    options->idle_ms = options->idle_ms == 0 ? IDLE_MS : options->idle_ms;
    if (options->step.bytes == 0 && options->step.nanoseconds == 0) {
        options->step = (struct hm_budget){.bytes = STEP_BYTES, .nanoseconds = STEP_NS};
    }
}

/* A thread of its own is what the heap's one owner can't agree with. */
HM_PUBLIC bool hm_compactor_start(hm_heap *heap, const struct hm_compactor_options *options)
{
    struct hm_compactor_options all;
    memset(&all, 0, sizeof all);
    if (options != NULL) {
        all = *options;
    }
    compactor_complete(&all);
    heap = outcome_heap(heap, __func__);
    if (heap == NULL) {
        return false;
    }
    if (all.cpu_percent > 100 || all.low_percent > all.high_percent || all.high_percent > 100 ||
        (heap->options.flags & HM_MOVABLE_SINGLE_OWNER) != 0) {
        return outcome(MOVABLE_INVALID);
    }
    movables_prepare();
    enum compactor_result result = compactor_start(heap, &all);
    if (result == COMPACTOR_NO_THREAD) {
        errno = EAGAIN;
        return false;
    }
    return outcome(result == COMPACTOR_OK ? MOVABLE_OK : MOVABLE_BUSY);
}

HM_PUBLIC void hm_compactor_stop(hm_heap *heap)
{
    heap = outcome_heap_or_none(heap, __func__);
    if (heap != NULL) {
        compactor_stop(heap);
    }
}

HM_PUBLIC bool hm_movable_stats_get(hm_heap *heap, struct hm_movable_stats *stats, size_t size)
{
    struct hm_movable_stats all;
    if (size == 0) {
        return outcome(MOVABLE_INVALID);
    }
    heap = outcome_heap(heap, __func__);
    if (heap == NULL) {
        return false;
    }
    memset(&all, 0, sizeof all);
    heap->kind->stats(heap, &all);
    memset(stats, 0, size);
    memcpy(stats, &all, size < sizeof all ? size : sizeof all);
    return true;
}

HM_PUBLIC bool hm_movable_dump(hm_heap *heap, int fd, enum hm_dump format)
{
    heap = outcome_heap(heap, __func__);
    if (heap == NULL) {
        return false;
    }
    if (format != HM_DUMP_TEXT && format != HM_DUMP_SVG && format != HM_DUMP_HEX) {
        return outcome(MOVABLE_INVALID);
    }
    return outcome(heap->kind->dump(heap, fd, format));
}

HM_PUBLIC size_t hm_pin_report(hm_heap *heap, struct hm_pin_info *pins, size_t max)
{
    heap = outcome_heap_or_none(heap, __func__);
    return heap != NULL && heap->kind->pin_report != NULL ? heap->kind->pin_report(heap, pins, max) : 0;
}

HM_PUBLIC void hm_movable_verify(hm_heap *heap)
{
    heap = outcome_heap_or_none(heap, __func__);
    if (heap != NULL) {
        heap->kind->verify(heap);
    }
}
