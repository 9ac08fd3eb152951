#include "movable/evacuate.h"

#include "base/check.h"
#include "movable/block.h"
#include "movable/move.h"
#include "movable/spare.h"

#define PIECE_BYTES  ((size_t)256 << 10) /* moved for one holding of the lock, */
#define PIECE_NS     UINT64_C(1000000)   /* or so long */
#define AHEAD_BYTES  4096
#define CLOCK_PIECES 8 /* looked at between two looks at the clock */
#define CLOCK_BYTES  ((size_t)8 << 10)
#define RUN_SHARE    4 /* a run moves at most so many times what the heap holds */

/* One holding of the lock. */
struct step {
    struct growing *growing;
    struct evacuate *evacuate;
    const struct evacuate_how *how;
    struct hm_compact_result *result;
    size_t bytes;      /* still to be moved */
    uint64_t deadline; /* UINT64_MAX: none */
    unsigned pieces;   /* until the next look at the clock */
    size_t copied;
    bool no_place;
};

void evacuate_init(struct evacuate *evacuate)
{
    *evacuate = (struct evacuate){.idle = true};
    lock_init(&evacuate->lock, LOCK_RANK_MOVABLE_COMPACT);
    lane_init(&evacuate->lane);
}

static bool in_time(struct step *step)
{
    if (step->pieces-- > 0 && step->copied < CLOCK_BYTES) {
        return true;
    }
    step->pieces = CLOCK_PIECES;
    step->copied = 0;
    return step->deadline == UINT64_MAX || os_now_ns() < step->deadline;
}

/* Emptying the victim */

static void count(struct step *step, enum move_outcome outcome, size_t size)
{
    struct hm_compact_result *result = step->result;
    result->skipped_pinned += outcome == MOVE_PINNED;
    result->skipped_vetoed += outcome == MOVE_VETOED;
    result->skipped_lost += outcome == MOVE_LOST;
    result->skipped_slots += outcome == MOVE_SLOTS;
    step->no_place = outcome == MOVE_NO_PLACE;
    if (outcome == MOVE_DONE) {
        result->moved_blocks++;
        result->moved_bytes += size;
        step->evacuate->moved_blocks++;
        step->evacuate->moved_bytes += size;
        step->copied += size;
        step->bytes -= size < step->bytes ? size : step->bytes;
    }
}

/* Each header says where the next one is: without this, every one of them would be waited for. */
static void fetch_lines(struct evacuate *evacuate, uint32_t end)
{
    const struct mchunk *victim = evacuate->victim;
    end = end < victim->top ? end : victim->top;
    for (; evacuate->lines < end; evacuate->lines += HM_CACHE_LINE) {
        __builtin_prefetch((const void *)(victim->span.addr + evacuate->lines));
    }
}

/* Entries lie anywhere: asks for those of the next few blocks. What is read here is a hint. */
static void look_ahead(struct step *step)
{
    struct evacuate *evacuate = step->evacuate;
    struct mchunk *victim = evacuate->victim;
    uint32_t at = evacuate->ahead < evacuate->cursor ? evacuate->cursor : evacuate->ahead;
    uint32_t end =
        evacuate->cursor + AHEAD_BYTES < victim->top ? evacuate->cursor + AHEAD_BYTES : victim->top;
    fetch_lines(evacuate, end + AHEAD_BYTES);
    while (at < end) {
        uint64_t header = atomic_load_explicit(header_at(victim->span.addr + at), memory_order_acquire);
        bool dead = (header & HEADER_DEAD) != 0;
        if (!dead) {
            __builtin_prefetch(mtable_entry(&step->growing->table, header_index(header)), 1);
        }
        at += (uint32_t)(dead ? header_size(header) << 3
                              : mchunk_stride(header_size(header), step->growing->alignment));
        at = (header_size(header) == 0 && dead) ? victim->top : at;
    }
    evacuate->ahead = at;
}

static void next_piece(struct step *step)
{
    struct evacuate *evacuate = step->evacuate;
    struct piece piece;
    look_ahead(step);
    mchunk_read(evacuate->victim, step->growing->alignment, evacuate->cursor, evacuate->before, &piece);
    if (piece.index != 0) {
        struct move move = {.growing = step->growing,
                            .how = step->how,
                            .chunk = evacuate->victim,
                            .at = evacuate->victim->span.addr + piece.offset + HEADER_BYTES,
                            .header = piece.header,
                            .index = piece.index,
                            .before = evacuate->before};
        count(step, move_block(&move), piece.size);
    }
    if (!step->no_place) {
        evacuate->before = evacuate->cursor;
        evacuate->cursor += piece.length;
    }
}

/* Some of the run's pages. */
static void purge_run(struct step *step)
{
    struct evacuate *evacuate = step->evacuate;
    struct mchunk *chunk = evacuate->victim;
    const struct os *os = step->growing->env->core->os;
    uint32_t left = evacuate->run_end - evacuate->run;
    uint32_t bytes = left < MCHUNKS_PURGE ? left : (uint32_t)MCHUNKS_PURGE;
    if (os->purge(os, (void *)(chunk->span.addr + evacuate->run), bytes)) {
        chunk->purged += bytes;
        evacuate->purged_bytes += bytes;
        step->result->released_bytes += bytes;
        evacuate->run += bytes;
    } else {
        evacuate->run = evacuate->run_end;
    }
    step->copied += CLOCK_BYTES;
}

/* Joins the next run of dead pieces of some pages, whose whole pages are to be purged. False: there is none. */
static bool join_next(struct step *step)
{
    struct evacuate *evacuate = step->evacuate;
    struct mchunk *chunk = evacuate->victim;
    const struct os *os = step->growing->env->core->os;
    struct range_wanted wanted = {.need = 2 * os->page_size,
                                  .alignment = step->growing->alignment,
                                  .readers = step->growing->env->readers,
                                  .horizon = evacuate->lane.horizon};
    uintptr_t at;
    uintptr_t end;
    bool gave_up;
    /* It may be a long way to the next run. */
    step->copied += CLOCK_BYTES;
    if (!mchunk_range(chunk, &wanted, &evacuate->cursor, &at, &end, &gave_up)) {
        return gave_up;
    }
    if (end == chunk->span.addr + mchunk_end(chunk)) {
        chunk->top = (uint32_t)(at - chunk->span.addr);
        return false;
    }
    atomic_store_explicit(header_at(at), header_dead(end - at, 0), memory_order_release);
    uintptr_t lo = bits_align_up(at + HEADER_BYTES, os->page_size);
    uintptr_t hi = bits_align_down(end, os->page_size);
    if (hi > lo) {
        evacuate->run = (uint32_t)(lo - chunk->span.addr);
        evacuate->run_end = (uint32_t)(hi - chunk->span.addr);
    }
    return true;
}

/* False: nothing of the victim is left to be purged. */
static bool purge_next(struct step *step)
{
    if (step->evacuate->run == step->evacuate->run_end) {
        return join_next(step);
    }
    purge_run(step);
    return true;
}

/* The victim is one no more. */
static struct mchunk *spared(struct evacuate *evacuate)
{
    struct mchunk *chunk = evacuate->victim;
    evacuate->victim = NULL;
    evacuate->purging = false;
    evacuate->run = evacuate->run_end;
    if (chunk != NULL) {
        atomic_fetch_and_explicit(&chunk->special, (uint8_t)~MCHUNK_VICTIM, memory_order_relaxed);
    }
    return chunk;
}

/* The victim's walk is over: empty, or its free pages are to be purged first. */
static void walked(struct step *step)
{
    struct evacuate *evacuate = step->evacuate;
    if (atomic_load_explicit(&evacuate->victim->live, memory_order_acquire) == 0) {
        mchunks_give(&step->growing->chunks, spared(evacuate));
        return;
    }
    evacuate->purging = true;
    evacuate->cursor = MCHUNK_FIRST;
    evacuate->victim->purged = 0;
    evacuate->lane.horizon = readers_advance(step->growing->env->readers);
}

/* Its free pages went, but for those at the end. */
static void purged(struct step *step)
{
    struct evacuate *evacuate = step->evacuate;
    step->copied += CLOCK_BYTES;
    if (mchunks_trim(&step->growing->chunks, evacuate->victim) > 0) {
        return;
    }
    mchunks_give_stuck(&step->growing->chunks, spared(evacuate), evacuate->pass);
}

/* Beginning and end of a pass */

/* The chunk is nobody's. */
static void give_detached(struct growing *growing, struct mchunk *chunk, bool trim)
{
    while (trim && mchunks_trim(&growing->chunks, chunk) > 0) {
    }
    mchunks_give(&growing->chunks, chunk);
}

/* Garbage in a lane's chunk. */
static size_t detached_from(const struct growing *growing, const struct evacuate_how *how)
{
    size_t least = growing->chunks.chunk_bytes / 32;
    size_t worth = growing->chunks.chunk_bytes / 100 * how->worth;
    return worth > least ? worth : least;
}

static void detach_lane(struct growing *growing, struct lane *lane, const struct evacuate_how *how)
{
    movable_lock(&lane->lock, growing->locked);
    if (how->worth == 0) {
        spare_drop_all(lane, &growing->chunks);
    }
    bool worth = lane->chunk != NULL && (how->all || lane_garbage(lane) > detached_from(growing, how));
    struct mchunk *chunk = worth ? lane_detach(lane) : NULL;
    movable_unlock(&lane->lock, growing->locked);
    if (chunk != NULL) {
        give_detached(growing, chunk, how->all);
    }
}

static void detach_own(struct growing *growing, bool trim)
{
    struct mchunk *chunk = lane_detach(&growing->evacuate.lane);
    if (chunk != NULL) {
        give_detached(growing, chunk, trim);
    }
}

static void give_held_locked(struct growing *growing, struct mchunk *chunk)
{
    if (chunk != NULL) {
        mchunks_give_locked(&growing->chunks, chunk);
    }
}

void evacuate_detach_locked(struct growing *growing)
{
    struct evacuate *evacuate = &growing->evacuate;
    for (unsigned i = 0; i <= growing->lane_mask; i++) {
        spare_drop_all_locked(&growing->lane[i], &growing->chunks);
        give_held_locked(growing, lane_detach(&growing->lane[i]));
    }
    give_held_locked(growing, lane_detach(&evacuate->lane));
    give_held_locked(growing, spared(evacuate));
}

static void count_left(struct step *step)
{
    struct mchunks_stats stats;
    mchunks_stats(&step->growing->chunks, &stats);
    step->evacuate->left = stats.garbage;
    step->result->waiting_bytes = stats.waiting;
}

static void begin_pass(struct step *step)
{
    struct growing *growing = step->growing;
    step->evacuate->idle = false;
    step->evacuate->pass++;
    step->evacuate->moved_before = step->evacuate->moved_bytes;
    for (unsigned i = 0; i <= growing->lane_mask; i++) {
        detach_lane(growing, &growing->lane[i], step->how);
    }
    if (step->evacuate->lane.chunk != NULL &&
        lane_garbage(&step->evacuate->lane) > detached_from(growing, step->how)) {
        detach_own(growing, false);
    }
    count_left(step);
}

static void end_pass(struct step *step)
{
    step->evacuate->idle = true;
    step->no_place = false;
    detach_own(step->growing, step->how->all);
    count_left(step);
}

/* The bucket of chunks that are worth emptying. */
static unsigned least_bucket(const struct step *step)
{
    unsigned least = step->how->worth * (MCHUNKS_BUCKETS - 1) / 100;
    return least > 1 ? least : 1;
}

/* What lies above its blocks needs no moving: without it, the victim may be worth none. Where there is no time for all of it, its turn comes
 * again. */
static void trim_victim(struct step *step)
{
    struct mchunks *chunks = &step->growing->chunks;
    struct mchunk *victim = step->evacuate->victim;
    size_t all = 0;
    size_t bytes;
    do {
        bytes = mchunks_trim(chunks, victim);
        all += bytes;
        step->copied += bytes > 0 ? CLOCK_BYTES : 0;
    } while (bytes > 0 && in_time(step));
    step->result->released_bytes += all;
    step->evacuate->purged_bytes += all;
    size_t least = chunks->chunk_bytes / (MCHUNKS_BUCKETS - 1) * least_bucket(step);
    if (bytes > 0 || (all > 0 && mchunk_garbage(victim) < least)) {
        mchunks_give(chunks, spared(step->evacuate));
    }
}

static bool next_victim(struct step *step)
{
    struct evacuate *evacuate = step->evacuate;
    evacuate->victim = mchunks_victim(&step->growing->chunks, evacuate->pass, least_bucket(step));
    evacuate->cursor = MCHUNK_FIRST;
    evacuate->before = MCHUNK_FIRST;
    evacuate->ahead = MCHUNK_FIRST;
    evacuate->lines = 0;
    if (evacuate->victim == NULL) {
        return false;
    }
    atomic_fetch_or_explicit(&evacuate->victim->special, MCHUNK_VICTIM, memory_order_relaxed);
    trim_victim(step);
    return true;
}

/* One piece of work. False: nothing is left to do. */
static bool work(struct step *step)
{
    struct evacuate *evacuate = step->evacuate;
    if (evacuate->victim == NULL) {
        return next_victim(step);
    }
    if (step->no_place) {
        evacuate->cursor = evacuate->victim->top;
        step->no_place = false;
    }
    if (evacuate->purging) {
        if (!purge_next(step)) {
            purged(step);
        }
    } else if (evacuate->cursor < evacuate->victim->top) {
        next_piece(step);
    } else {
        walked(step);
    }
    return true;
}

/* How many empty chunks lanes are to find: few when the heap comes to rest. */
static size_t keep(const struct step *step, bool done)
{
    if (step->how->all) {
        return 0;
    }
    bool rests = done && step->evacuate->moved_bytes == step->evacuate->moved_before;
    return rests ? 1 : mchunks_keep(&step->growing->chunks);
}

/* Empty chunks beyond so many. False: there are more, but no time. */
static bool release(struct step *step, size_t kept)
{
    struct mchunks *chunks = &step->growing->chunks;
    struct mlarges *larges = &step->growing->larges;
    bool more = atomic_load_explicit(&larges->waiting, memory_order_relaxed) > 0;
    uint64_t horizon = more ? readers_advance(step->growing->env->readers) : 0;
    while (in_time(step)) {
        size_t large = more ? mlarges_settle_one(larges, horizon) : 0;
        size_t bytes = large > 0 ? 0 : mchunks_release(chunks, kept);
        if (large + bytes == 0) {
            return true;
        }
        more = large > 0;
        step->result->released_bytes += large + bytes;
        step->evacuate->purged_bytes += bytes;
        step->copied += CLOCK_BYTES;
    }
    return false;
}

/* True: nothing is left to do. */
static bool step_locked(struct step *step)
{
    bool done = false;
    mchunks_tended(&step->growing->chunks);
    if (step->evacuate->idle) {
        begin_pass(step);
    }
    release(step, keep(step, false));
    while (!done && step->bytes > 0 && in_time(step)) {
        if (step->evacuate->victim == NULL) {
            release(step, keep(step, false));
        }
        done = !work(step);
    }
    done = done && release(step, keep(step, true));
    if (done) {
        end_pass(step);
    }
    return done;
}

/* The run */

static uint64_t sum_capped(uint64_t a, uint64_t b)
{
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

static void count_step(struct evacuate *evacuate, uint64_t ns)
{
    evacuate->steps++;
    evacuate->longest_ns = ns > evacuate->longest_ns ? ns : evacuate->longest_ns;
}

struct hm_compact_result evacuate_run(struct growing *growing, const struct evacuate_how *how)
{
    struct hm_compact_result result = {0};
    struct evacuate *evacuate = &growing->evacuate;
    size_t held = atomic_load_explicit(&growing->chunks.held, memory_order_relaxed);
    size_t left = how->budget.bytes != 0 ? how->budget.bytes : held * RUN_SHARE + PIECE_BYTES;
    uint64_t now = os_now_ns();
    uint64_t end = how->budget.nanoseconds != 0 ? sum_capped(now, how->budget.nanoseconds) : UINT64_MAX;
    do {
        uint64_t begun = now;
        struct step step = {.growing = growing, .evacuate = evacuate, .how = how, .result = &result};
        step.bytes = left < PIECE_BYTES ? left : PIECE_BYTES;
        step.deadline = sum_capped(now, PIECE_NS) < end ? sum_capped(now, PIECE_NS) : end;
        size_t moved = result.moved_bytes;
        movable_lock(&evacuate->lock, growing->locked);
        result.done = step_locked(&step);
        now = os_now_ns();
        count_step(evacuate, now - begun);
        result.left_bytes = evacuate->left;
        movable_unlock(&evacuate->lock, growing->locked);
        moved = result.moved_bytes - moved;
        left -= moved < left ? moved : left;
    } while (!result.done && left > 0 && now < end);
    return result;
}
