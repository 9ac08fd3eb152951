#include "movable/buffer_slide.h"

#include <string.h>

#include "os/os.h"

void slide_wipe(struct buffer *b, size_t from, size_t end)
{
    if ((b->heap.options.flags & HM_MOVABLE_ZERO_ON_FREE) != 0 && from < end) {
        memset(b->base + from, 0, end - from);
    }
}

void slide_freed(struct buffer *b, size_t end)
{
    if (atomic_load(&b->readers) > 0 && b->kept < end) {
        b->kept = end;
    }
}

/* While it is set no section opens: one that is about to sees it, or is seen here. */
static bool sections_shut(struct buffer *b)
{
    atomic_store(&b->sliding, true);
    if (atomic_load(&b->readers) == 0) {
        b->kept = 0;
        return true;
    }
    atomic_store(&b->sliding, false);
    return false;
}

static void sections_allow(struct buffer *b)
{
    atomic_store(&b->sliding, false);
}

static bool on_move(struct buffer *b, enum hm_move what, size_t from, size_t to, size_t bytes)
{
    const struct hm_movable_options *options = &b->heap.options;
    return options->on_move == NULL ||
           options->on_move(options->context, what, b->base + from, b->base + to, bytes);
}

static bool begin(struct descriptor *d)
{
    return entry_move_begin(&d->entry, entry_word(&d->entry));
}

static void end(struct descriptor *d)
{
    entry_move_end(&d->entry, entry_word(&d->entry) & ~ENTRY_MOVING);
}

/* What keeps the block from moving to `to`, as the figure that counts it; NULL: nothing that is known yet. */
static size_t *find_obstacle(struct buffer *b, struct slide *slide, const struct cursor *c, size_t to)
{
    const struct descriptor *d = buffer_descriptor(b, c->number);
    uint64_t word = entry_word(&d->entry);
    bool unexpected = (word & ENTRY_SLOT) != 0 && slide->background &&
                      (b->heap.options.flags & HM_MOVABLE_SLOTS_PINNED) == 0;
    if (c->number == slide->held || unexpected) {
        return &slide->result.skipped_slots;
    }
    if ((word & ENTRY_PINS) != 0) {
        return &slide->result.skipped_pinned;
    }
    if (cursor_lost(b, c)) {
        buffer_warn_lost(b, c);
        return &slide->result.skipped_lost;
    }
    if (c->number != slide->resized && !on_move(b, HM_MOVE_ASK, c->offset, to, d->bytes)) {
        return &slide->result.skipped_vetoed;
    }
    return NULL;
}

/* True with MOVING set: it may be moved to `to`. */
static bool may_move(struct buffer *b, struct slide *slide, const struct cursor *c, size_t to)
{
    size_t *obstacle = find_obstacle(b, slide, c, to);
    if (obstacle == NULL && begin(buffer_descriptor(b, c->number))) {
        return true;
    }
    obstacle = obstacle == NULL ? &slide->result.skipped_pinned : obstacle;
    ++*obstacle;
    return false;
}

static void count_move(struct buffer *b, struct slide *slide, size_t bytes)
{
    slide->result.moved_blocks++;
    slide->result.moved_bytes += bytes;
    b->moved_blocks++;
    b->moved_bytes += bytes;
}

static void move_down(struct buffer *b, struct slide *slide, const struct cursor *c, size_t to)
{
    struct descriptor *d = buffer_descriptor(b, c->number);
    size_t stride = c->end - c->offset;
    memmove(b->base + to, b->base + c->offset, d->bytes);
    if ((entry_word(&d->entry) & ENTRY_NESTED) != 0) {
        buffer_carry_slots(b, c->offset, stride, (ptrdiff_t)to - (ptrdiff_t)c->offset);
    }
    if (c->number != slide->resized) {
        on_move(b, HM_MOVED, c->offset, to, d->bytes);
    }
    buffer_place(b, c->number, to);
    slide_wipe(b, to + stride > c->offset ? to + stride : c->offset, c->end);
    end(d);
    count_move(b, slide, d->bytes);
}

static bool is_used_up(const struct slide *slide, uint64_t start)
{
    const struct hm_budget *budget = &slide->budget;
    return slide->result.moved_blocks > 0 &&
           ((budget->bytes > 0 && slide->result.moved_bytes >= budget->bytes) ||
            (budget->nanoseconds > 0 && os_now_ns() - start >= budget->nanoseconds));
}

/* The cursor's end, from which the next block is located, follows the block. */
static void slide_blocks(struct buffer *b, struct slide *slide, uint64_t start)
{
    struct cursor c = cursor_start(b);
    size_t to = 0;
    while (cursor_next(b, &c)) {
        if (c.offset > to) {
            if (is_used_up(slide, start)) {
                return;
            }
            if (may_move(b, slide, &c, to)) {
                size_t stride = c.end - c.offset;
                move_down(b, slide, &c, to);
                c.end = to + stride;
            }
        }
        to = c.end;
        if (c.number == b->tail) {
            b->top = to;
        }
    }
    slide->result.done = true;
}

void slide_down(struct buffer *b, struct slide *slide)
{
    uint64_t start = os_now_ns();
    size_t top = b->top;
    if (!sections_shut(b)) {
        slide->result.waiting_bytes = b->top - b->granules;
        slide->result.done = true;
    } else {
        slide_blocks(b, slide, start);
        sections_allow(b);
    }
    slide->result.released_bytes += top - b->top;
    slide->result.left_bytes = b->top - b->granules;
    b->released_bytes += top - b->top;
    b->steps++;
    uint64_t took = os_now_ns() - start;
    took = took > UINT32_MAX ? UINT32_MAX : took;
    b->longest_step_ns = took > b->longest_step_ns ? (uint32_t)took : b->longest_step_ns;
}

static void reverse(char *from, char *to)
{
    while (from < to) {
        char c = *from;
        *from++ = *--to;
        *to = c;
    }
}

/* [from, middle) changes places with [middle, end). */
static void rotate(char *from, char *middle, char *last)
{
    reverse(from, middle);
    reverse(middle, last);
    reverse(from, last);
}

/* Sets MOVING on the blocks behind `c`, as long as each lies at the end of the one before and may be moved. *run ends up at the
 * last of them, or at c; *limit is where the free memory behind it ends. */
static void take_run(struct buffer *b, struct slide *slide, const struct cursor *c, struct cursor *run,
                     size_t *limit)
{
    size_t down = c->end - c->offset;
    struct cursor next = *c;
    *run = *c;
    *limit = buffer_room(b);
    while (cursor_next(b, &next)) {
        if (next.offset != run->end || !may_move(b, slide, &next, next.offset - down)) {
            *limit = next.offset;
            return;
        }
        *run = next;
    }
}

/* For each block from behind `c` to `run`: to its new place, or, with `down` 0, to where it was. */
static void end_run(struct buffer *b, struct slide *slide, const struct cursor *c, const struct cursor *run,
                    size_t down)
{
    struct cursor next = *c;
    while (next.number != run->number && cursor_next(b, &next)) {
        struct descriptor *d = buffer_descriptor(b, next.number);
        if (down > 0) {
            on_move(b, HM_MOVED, next.offset, next.offset - down, d->bytes);
            buffer_place(b, next.number, next.offset - down);
            count_move(b, slide, d->bytes);
        }
        end(d);
    }
}

/* Slots that lie in the rotated memory. First out of the way: the two parts change places. */
static void carry_rotated(struct buffer *b, const struct cursor *c, const struct cursor *run)
{
    size_t stride = c->end - c->offset;
    size_t behind = run->end - c->end;
    const ptrdiff_t away = (ptrdiff_t)1 << 40;
    buffer_carry_slots(b, c->offset, stride, away);
    buffer_carry_slots(b, c->end, behind, -(ptrdiff_t)stride);
    buffer_carry_slots(b, c->offset + (size_t)away, stride, (ptrdiff_t)behind - away);
}

static void swap_run(struct buffer *b, struct slide *slide, const struct cursor *c, const struct cursor *run)
{
    struct descriptor *d = buffer_descriptor(b, c->number);
    size_t stride = c->end - c->offset;
    rotate(b->base + c->offset, b->base + c->end, b->base + run->end);
    carry_rotated(b, c, run);
    end_run(b, slide, c, run, stride);
    size_t top = b->top;
    buffer_unlink(b, c);
    buffer_link(b, c->number, run->number);
    b->top = top;
    buffer_place(b, c->number, run->end - stride);
    count_move(b, slide, d->bytes);
}

bool slide_behind(struct buffer *b, struct slide *slide, size_t stride)
{
    struct cursor c = cursor_find(b, slide->resized);
    struct descriptor *d = buffer_descriptor(b, c.number);
    struct cursor run;
    size_t limit;
    bool fits = false;
    if (!sections_shut(b)) {
        return false;
    }
    if (begin(d)) {
        take_run(b, slide, &c, &run, &limit);
        fits = limit - run.end + (c.end - c.offset) >= stride;
        if (fits && run.number != c.number) {
            swap_run(b, slide, &c, &run);
        } else {
            end_run(b, slide, &c, &run, 0);
        }
        end(d);
    }
    sections_allow(b);
    return fits;
}

bool slide_copy(struct buffer *b, uint32_t number, const struct cursor *from, size_t to, size_t keep)
{
    struct descriptor *d = buffer_descriptor(b, number);
    if (!begin(d)) {
        return false;
    }
    memcpy(b->base + to, b->base + from->offset, keep);
    if ((entry_word(&d->entry) & ENTRY_NESTED) != 0) {
        buffer_carry_slots(b, from->offset, from->end - from->offset,
                           (ptrdiff_t)to - (ptrdiff_t)from->offset);
    }
    buffer_place(b, number, to);
    end(d);
    slide_freed(b, b->top);
    slide_wipe(b, from->offset, from->end);
    return true;
}
