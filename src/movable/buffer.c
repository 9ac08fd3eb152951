#include "movable/buffer.h"

#include "movable/buffer_lock.h"
#include "movable/buffer_report.h"
#include "movable/buffer_room.h"
#include "movable/buffer_slots.h"
#include "movable/wait.h"

static enum movable_result do_alloc(struct hm_heap *heap, size_t size, bool zero, hm_handle *handle)
{
    struct buffer *b = buffer_acquire(heap);
    bool handles = b->limit == UINT32_MAX;
    uint32_t number = handles ? room_alloc(b, size, 0, 0) : 0;
    if (number != 0) {
        *handle = buffer_handle(b, number);
        if (zero) {
            memset((char *)entry_address(&buffer_descriptor(b, number)->entry), 0, size);
        }
    }
    buffer_release(b);
    return number != 0 ? MOVABLE_OK : handles ? MOVABLE_NO_MEMORY : MOVABLE_UNSUPPORTED;
}

static hm_handle do_alloc_quick(struct hm_heap *heap, size_t size, alloc_otherwise *otherwise)
{
    return otherwise(heap, size);
}

static bool do_free_quick(struct hm_heap *heap, hm_handle handle, free_otherwise *otherwise)
{
    return otherwise(heap, handle);
}

static enum movable_result do_free(struct hm_heap *heap, hm_handle handle)
{
    struct buffer *b = buffer_acquire(heap);
    enum movable_result result = MOVABLE_STALE;
    uint32_t number = buffer_lookup(b, handle);
    if (number != 0) {
        const struct descriptor *d = buffer_descriptor(b, number);
        uintptr_t slot = descriptor_has_slot(d) ? entry_address(&d->entry) : SLOT_GONE;
        result = room_free(b, number);
        if (result == MOVABLE_OK && slot != SLOT_GONE) {
            slot_set(slot, 0);
        }
    }
    buffer_release(b);
    return result;
}

static enum movable_result do_resize(struct hm_heap *heap, hm_handle handle, size_t size)
{
    struct buffer *b = buffer_acquire(heap);
    uint32_t number = buffer_lookup(b, handle);
    enum movable_result result = number == 0 ? MOVABLE_STALE : room_resize(b, number, size);
    buffer_release(b);
    return result;
}

static enum movable_result do_size(struct hm_heap *heap, hm_handle handle, size_t *size)
{
    struct buffer *b = buffer_acquire(heap);
    uint32_t number = buffer_lookup(b, handle);
    *size = number == 0 ? 0 : buffer_descriptor(b, number)->bytes;
    buffer_release(b);
    return number == 0 ? MOVABLE_STALE : MOVABLE_OK;
}

static enum movable_result do_tag(struct hm_heap *heap, hm_handle handle, const char *name)
{
    (void)heap;
    (void)handle;
    (void)name;
    return MOVABLE_UNSUPPORTED;
}

static enum movable_result do_pin_tagged(struct hm_heap *heap, hm_handle handle, const char *name,
                                         void **address)
{
    (void)address;
    return do_tag(heap, handle, name);
}

static size_t do_pin_report(struct hm_heap *heap, struct hm_pin_info *pins, size_t max)
{
    (void)heap;
    (void)pins;
    (void)max;
    return 0;
}

/* Counted before the flag is looked at: a compactor sets the flag before it looks at the count. */
static void do_read_enter(struct hm_heap *heap)
{
    struct buffer *b = buffer_of(heap);
    struct wait wait = {0};
    for (;;) {
        atomic_fetch_add(&b->readers, 1);
        if (!HM_TSAN) {
            atomic_thread_fence(memory_order_seq_cst);
        }
        if (HM_LIKELY(!atomic_load(&b->sliding))) {
            return;
        }
        atomic_fetch_sub(&b->readers, 1);
        wait_step(&wait);
    }
}

/* One less, or false if there is none. */
static bool count_down(_Atomic uint32_t *count)
{
    uint32_t old = atomic_load_explicit(count, memory_order_relaxed);
    while (old > 0 && !atomic_compare_exchange_weak(count, &old, old - 1)) {
    }
    return old > 0;
}

/* In a child of fork there are none, whatever its thread believes. */
static void do_read_leave(struct hm_heap *heap)
{
    struct buffer *b = buffer_of(heap);
    if (HM_UNLIKELY(!count_down(&b->readers) && !count_down(&b->orphans))) {
        heap_no_section(heap);
    }
}

static void do_read_synchronize(struct hm_heap *heap)
{
    struct wait wait = {0};
    while (atomic_load(&buffer_of(heap)->readers) > 0) {
        wait_step(&wait);
    }
}

static struct hm_compact_result do_compact(struct hm_heap *heap, struct hm_budget budget, bool slots)
{
    struct buffer *b = buffer_acquire(heap);
    struct slide slide = {.budget = budget, .background = !slots};
    slide_down(b, &slide);
    buffer_release(b);
    return slide.result;
}

/* MOVING on, or off, for the blocks up to the cursor. */
static void release_blocks(struct buffer *b, uint32_t until)
{
    for (uint32_t number = b->head; number != until; number = buffer_descriptor(b, number)->next) {
        struct mentry *entry = &buffer_descriptor(b, number)->entry;
        entry_move_end(entry, entry_word(entry) & ~ENTRY_MOVING);
    }
}

/* All blocks or, if one is pinned, none: whoever wants to pin one waits. */
static bool hold_blocks(struct buffer *b)
{
    for (uint32_t number = b->head; number != 0; number = buffer_descriptor(b, number)->next) {
        struct mentry *entry = &buffer_descriptor(b, number)->entry;
        if (!entry_move_begin(entry, entry_word(entry))) {
            release_blocks(b, number);
            return false;
        }
    }
    return true;
}

static void drop_block(struct buffer *b, uint32_t number)
{
    struct mentry *entry = &buffer_descriptor(b, number)->entry;
    uint64_t word = entry_word(entry);
    word = (word & ENTRY_SLOT) != 0 ? buffer_freed_slot(word) : entry_freed(word);
    atomic_store_explicit(&entry->word, word, memory_order_release);
    buffer_give(b, number);
}

/* Slots first, as they may lie in blocks. */
static void drop_blocks(struct buffer *b)
{
    struct cursor c = cursor_start(b);
    while (cursor_next(b, &c)) {
        slots_clear(b, &c);
    }
    uint32_t next;
    for (uint32_t number = b->head; number != 0; number = next) {
        next = buffer_descriptor(b, number)->next;
        drop_block(b, number);
    }
    slide_freed(b, b->top);
    slide_wipe(b, 0, b->top);
    b->head = b->tail = b->live = 0;
    b->top = b->granules = b->bytes = 0;
}

static enum movable_result do_reset(struct hm_heap *heap)
{
    struct buffer *b = buffer_acquire(heap);
    bool held = hold_blocks(b);
    if (held) {
        drop_blocks(b);
    }
    buffer_release(b);
    return held ? MOVABLE_OK : MOVABLE_BUSY;
}

static void do_destroy(struct hm_heap *heap)
{
    struct buffer *b = buffer_acquire(heap);
    drop_blocks(b);
    buffer_release(b);
    heap_close(heap);
}

static void do_fork_prepare(struct hm_heap *heap)
{
    buffer_acquire(heap);
}

static void do_fork_parent(struct hm_heap *heap)
{
    buffer_release(buffer_of(heap));
}

static void do_fork_child(struct hm_heap *heap)
{
    struct buffer *b = buffer_of(heap);
    if ((heap->options.flags & HM_MOVABLE_SINGLE_OWNER) == 0) {
        lock_reset(&b->lock);
    }
    atomic_fetch_add(&b->orphans, atomic_exchange(&b->readers, 0));
    b->kept = 0;
}

static uint32_t do_index(struct hm_heap *heap, hm_handle handle)
{
    return (buffer_end(buffer_of(heap)) - (uint32_t)handle) / BUFFER_STEP;
}

static hm_handle do_at_index(struct hm_heap *heap, uint32_t index)
{
    struct buffer *b = buffer_acquire(heap);
    hm_handle handle = 0;
    if (index > 0 && index <= b->count) {
        const struct descriptor *d = buffer_descriptor(b, index);
        handle = descriptor_is_free(d) || descriptor_has_slot(d) ? 0 : buffer_handle(b, index);
    }
    buffer_release(b);
    return handle;
}

static const struct movable_kind kind = {
    .alloc_quick = do_alloc_quick,
    .free_quick = do_free_quick,
    .alloc = do_alloc,
    .free = do_free,
    .resize = do_resize,
    .size = do_size,
    .tag = do_tag,
    .pin_tagged = do_pin_tagged,
    .unpin_tagged = do_tag,
    .slot_find = slots_find,
    .slot_alloc = slots_alloc,
    .slot_move = slots_move,
    .slot_of = slots_of,
    .slot_check = slots_check,
    .read_enter = do_read_enter,
    .read_leave = do_read_leave,
    .read_synchronize = do_read_synchronize,
    .compact = do_compact,
    .reset = do_reset,
    .destroy = do_destroy,
    .stats = buffer_stats,
    .dump = buffer_dump,
    .pin_report = do_pin_report,
    .verify = buffer_verify,
    .fork_prepare = do_fork_prepare,
    .fork_parent = do_fork_parent,
    .fork_child = do_fork_child,
    .index = do_index,
    .at_index = do_at_index,
};

bool buffer_is(const struct hm_heap *heap)
{
    return heap->kind == &kind;
}

static struct buffer *create(char *control, size_t control_bytes, uint32_t number,
                             const struct hm_movable_options *options)
{
    struct buffer *b = (struct buffer *)(void *)control;
    memset(b, 0, sizeof(*b));
    b->heap.table = control;
    atomic_init(&b->heap.limit, (uint32_t)(control_bytes / 8) - 1);
    b->heap.number = number;
    b->heap.kind = &kind;
    if (options != NULL) {
        b->heap.options = *options;
    }
    if (b->heap.options.alignment == 0) {
        b->heap.options.alignment = 16;
    }
    list_init(&b->heap.in_process);
    lock_init(&b->lock, LOCK_RANK_MOVABLE_HEAP);
    return b;
}

struct hm_heap *buffer_create(void *memory, size_t bytes, uint32_t number,
                              const struct hm_movable_options *options)
{
    size_t alignment = options == NULL ? 0 : options->alignment;
    if (bytes < BUFFER_BYTES_MIN || bytes > BUFFER_BYTES_MAX ||
        (alignment != 0 && alignment != 8 && alignment != 16)) {
        return NULL;
    }
    uintptr_t start = bits_align_up((uintptr_t)memory, 8);
    uintptr_t end = bits_align_down((uintptr_t)memory + bytes, 8);
    char *control = (char *)memory + (start - (uintptr_t)memory);
    struct buffer *b = create(control, end - start, number, options);
    uintptr_t base = bits_align_up(start + sizeof(*b), buffer_unit(b));
    b->base = control + (base - start);
    b->room = end - base;
    b->limit = UINT32_MAX;
    heap_open(&b->heap);
    return &b->heap;
}

struct hm_heap *buffer_create_outside(void *memory, size_t bytes, void *control, uint32_t count,
                                      const struct hm_movable_options *options)
{
    size_t alignment = options == NULL ? 0 : options->alignment;
    if (bytes > BUFFER_BYTES_MAX || count > BUFFER_NUMBER_MASK || (uintptr_t)control % 8 != 0 ||
        (alignment != 0 && !bits_is_power(alignment))) {
        return NULL;
    }
    struct buffer *b = create(control, buffer_outside_bytes(count), ENTRY_NUMBER_MAX, options);
    b->base = memory;
    b->room = bytes;
    b->limit = count;
    heap_open(&b->heap);
    return &b->heap;
}
