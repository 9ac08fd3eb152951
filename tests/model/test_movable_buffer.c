/* Random traces over heaps in buffers of 1 KiB to 1 MiB, against a model that knows for each request whether it must
 * succeed: only sizes, addresses as they were before the call, and which blocks can't move. Contents are checked after
 * every move, and all of them at the end of each trace. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "movable/buffer.h"
#include "movable/heap.h"
#include "support/env.h"

#define TRACES     10000
#define BLOCKS     64
#define DESCRIPTOR 24
#define NUMBER     77

struct mblock {
    bool live;
    bool slot;
    bool vetoed;
    bool lost;
    int pins;
    size_t size;
    size_t offset;
    uint32_t index; /* of its descriptor, from 1 */
    uint32_t seed;
    hm_handle handle;
    int parent; /* the block whose first word is this one's slot; -1: the slot is variable[] */
    int child;  /* whose slot lies in this block; -1: none */
};

struct model {
    struct hm_heap *heap;
    char *memory;
    size_t bytes;
    size_t unit;
    size_t room; /* for blocks and descriptors */
    char *base;
    struct mblock block[BLOCKS];
    void *variable[BLOCKS];
    bool named[2 * BLOCKS + 1]; /* descriptors that a handle had once */
    bool used[2 * BLOCKS + 1];
    uint32_t count; /* of descriptors */
    bool rescue;
    uint64_t random;
    uint64_t seed;
    int resizing;
    size_t moves;
    size_t refusals;
    size_t wins; /* requests that succeeded only because blocks moved */
};

static uint64_t draw(struct model *m, uint64_t n)
{
    m->random = m->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (m->random >> 33) % n;
}

static size_t stride_of(const struct model *m, size_t size)
{
    size_t bytes = size == 0 ? 1 : size;
    return (bytes + m->unit - 1) / m->unit * m->unit;
}

/* Contents: a piece of one random table, another one for each block. */
#define PIECES 4096
static unsigned char table[PIECES + (1u << 20)];

static size_t own_from(const struct mblock *block)
{
    return block->child >= 0 ? sizeof(void *) : 0;
}

static void fill(struct model *m, const struct mblock *block, size_t from)
{
    if (from < block->size) {
        memcpy(m->base + block->offset + from, table + block->seed % PIECES + from, block->size - from);
    }
}

static void check_bytes(const struct model *m, const struct mblock *block, size_t size)
{
    size_t from = own_from(block);
    cr_assert(from >= size || memcmp(m->base + block->offset + from, table + block->seed % PIECES + from,
                                     size - from) == 0,
              "seed %zu: contents of %zu bytes at offset %zu", (size_t)m->seed, size, block->offset);
}

static bool moved(void *context, enum hm_move what, void *from, void *to, size_t size)
{
    struct model *m = context;
    size_t offset = (size_t)((char *)from - m->base);
    for (int i = 0; i < BLOCKS; i++) {
        struct mblock *block = &m->block[i];
        if (block->live && i != m->resizing && block->offset == offset) {
            cr_assert_eq(size, block->size);
            cr_assert(block->pins == 0 && !block->lost, "seed %zu: moves a block that can't be moved",
                      (size_t)m->seed);
            if (what == HM_MOVE_ASK) {
                return !block->vetoed;
            }
            cr_assert(!block->vetoed);
            block->offset = (size_t)((char *)to - m->base);
            check_bytes(m, block, size);
            m->moves++;
            return true;
        }
    }
    cr_assert_fail("seed %zu: no block at %zu", (size_t)m->seed, offset);
    return false;
}

static void **slot_of(struct model *m, int i)
{
    int parent = m->block[i].parent;
    return parent < 0 ? &m->variable[i] : (void **)(void *)(m->base + m->block[parent].offset);
}

/* Where the block is now, asked from the heap. */
static void look(struct model *m, int i)
{
    struct mblock *block = &m->block[i];
    char *address;
    if (block->slot) {
        address = *slot_of(m, i);
    } else {
        address = hm_deref(m->heap, block->handle);
        cr_assert_not_null(address);
    }
    block->offset = (size_t)(address - m->base);
    cr_assert(block->offset % m->unit == 0 && block->offset + block->size <= m->room);
}

/* What a request finds: free bytes by segments between blocks that can't move. */
struct space {
    size_t largest; /* of the segments but the last */
    size_t end;     /* of the last one, up to the descriptors */
    size_t own;     /* of the segment of the block that is resized, without its own bytes */
    size_t behind;  /* free bytes directly behind it, now */
};

static int by_offset(const void *a, const void *b)
{
    const struct mblock *const *x = a;
    const struct mblock *const *y = b;
    return (*x)->offset < (*y)->offset ? -1 : (*x)->offset > (*y)->offset;
}

static bool fixed(const struct model *m, int i, int held, int resized, bool slide)
{
    const struct mblock *block = &m->block[i];
    return !slide || block->pins > 0 || block->lost || i == held || (block->vetoed && i != resized);
}

static struct space survey(struct model *m, size_t limit, int held, int resized, bool slide)
{
    struct mblock *order[BLOCKS];
    size_t n = 0;
    for (int i = 0; i < BLOCKS; i++) {
        if (m->block[i].live) {
            order[n++] = &m->block[i];
        }
    }
    qsort(order, n, sizeof(order[0]), by_offset);
    struct space space = {0, 0, 0, 0};
    size_t begin = 0;
    size_t taken = 0;
    bool own = false;
    for (size_t k = 0; k <= n; k++) {
        int i = k < n ? (int)(order[k] - m->block) : -1;
        size_t at = k < n ? order[k]->offset : limit;
        if (k == n || fixed(m, i, held, resized, slide)) {
            size_t free = at - begin - taken;
            if (k == n) {
                space.end = free;
            } else if (free > space.largest) {
                space.largest = free;
            }
            if (own) {
                space.own = free;
            }
            begin = k < n ? at + stride_of(m, order[k]->size) : 0;
            taken = 0;
            own = false;
        } else {
            taken += stride_of(m, order[k]->size);
            own = own || i == resized;
        }
        if (i == resized && k < n) {
            size_t next = k + 1 < n ? order[k + 1]->offset : limit;
            space.behind = next - at - stride_of(m, order[k]->size);
        }
    }
    return space;
}

/* The array after the descriptors at its end that no handle ever had are dropped. */
static uint32_t shrunk(const struct model *m)
{
    uint32_t count = m->count;
    while (count > 0 && !m->used[count] && !m->named[count]) {
        count--;
    }
    return count;
}

static size_t limit_of(const struct model *m, uint32_t count)
{
    return m->room - (size_t)count * DESCRIPTOR;
}

static bool has_spare(const struct model *m, uint32_t count)
{
    for (uint32_t i = 1; i <= count; i++) {
        if (!m->used[i]) {
            return true;
        }
    }
    return false;
}

static bool fits(const struct space *space, size_t stride, size_t more)
{
    return (space->end >= more && space->end - more >= stride) ||
           (space->end >= more && space->largest >= stride);
}

/* Requests that find no room as it is drop descriptors first, then compact. */
static bool can_alloc(struct model *m, size_t size, int held)
{
    size_t stride = stride_of(m, size);
    for (int attempt = 0; attempt < 3; attempt++) {
        struct space space = survey(m, limit_of(m, m->count), held, -1, attempt == 2);
        if (fits(&space, stride, has_spare(m, m->count) ? 0 : DESCRIPTOR)) {
            return attempt < 2 || m->rescue;
        }
        m->count = shrunk(m);
    }
    return false;
}

static bool can_resize(struct model *m, int i, size_t size)
{
    size_t stride = stride_of(m, size);
    size_t old = stride_of(m, m->block[i].size);
    if (m->block[i].pins > 0) {
        return false;
    }
    for (int attempt = 0; attempt < 2; attempt++) {
        struct space space = survey(m, limit_of(m, m->count), -1, i, false);
        if (stride <= old || space.behind + old >= stride || fits(&space, stride, 0)) {
            return true;
        }
        m->count = shrunk(m);
    }
    struct space space =
        survey(m, limit_of(m, m->count), m->block[i].slot ? m->block[i].parent : -1, i, true);
    return m->rescue && (fits(&space, stride, 0) || space.own + old >= stride);
}

static int pick(struct model *m, bool live)
{
    int from = (int)draw(m, BLOCKS);
    for (int k = 0; k < BLOCKS; k++) {
        int i = (from + k) % BLOCKS;
        if (m->block[i].live == live) {
            return i;
        }
    }
    return -1;
}

static size_t draw_size(struct model *m)
{
    switch (draw(m, 8)) {
    case 0:
        return draw(m, 3);
    case 1:
        return draw(m, m->bytes);
    case 2:
        return draw(m, m->bytes / 3);
    default:
        return draw(m, m->bytes / 12);
    }
}

static void note_index(struct model *m, int i, uint32_t index)
{
    struct mblock *block = &m->block[i];
    bool spare = has_spare(m, m->count);
    cr_assert(index > 0 && (spare ? index <= m->count : index == m->count + 1),
              "seed %zu: descriptor %u of %u", (size_t)m->seed, index, m->count);
    cr_assert(!m->used[index]);
    m->count = index > m->count ? index : m->count;
    block->index = index;
    m->used[index] = true;
    m->named[index] = m->named[index] || !block->slot;
}

static int draw_parent(struct model *m, int i)
{
    int parent = draw(m, 4) == 0 ? pick(m, true) : -1;
    if (parent < 0 || parent == i) {
        return -1;
    }
    struct mblock *block = &m->block[parent];
    return block->child < 0 && block->size >= sizeof(void *) ? parent : -1;
}

static void act_alloc(struct model *m)
{
    int i = pick(m, false);
    if (i < 0) {
        return;
    }
    struct mblock *block = &m->block[i];
    size_t size = draw_size(m);
    bool slot = draw(m, 2) == 0;
    int parent = slot ? draw_parent(m, i) : -1;
    size_t before = m->moves;
    bool must = can_alloc(m, size, parent);
    enum movable_result result;
    hm_handle handle = 0;
    block->parent = parent;
    if (slot) {
        if (parent >= 0) {
            m->block[parent].child = i;
        }
        *slot_of(m, i) = NULL;
        result = m->heap->kind->slot_alloc(m->heap, slot_of(m, i), size);
        cr_assert_eq(*slot_of(m, i) != NULL, result == MOVABLE_OK);
    } else {
        result = m->heap->kind->alloc(m->heap, size, false, &handle);
    }
    cr_assert_eq(result, must ? MOVABLE_OK : MOVABLE_NO_MEMORY, "seed %zu: %zu bytes, result %d",
                 (size_t)m->seed, size, result);
    m->refusals += !must;
    m->wins += must && m->moves > before;
    if (!must) {
        if (parent >= 0) {
            m->block[parent].child = -1;
            fill(m, &m->block[parent], 0);
        }
        return;
    }
    *block = (struct mblock){.live = true,
                             .slot = slot,
                             .size = size,
                             .handle = handle,
                             .parent = parent,
                             .child = -1,
                             .seed = (uint32_t)draw(m, 1u << 20)};
    if (slot) {
        cr_assert_eq(m->heap->kind->slot_find(m->heap, slot_of(m, i), &handle), MOVABLE_OK);
    }
    note_index(m, i, m->heap->kind->index(m->heap, handle));
    look(m, i);
    fill(m, block, 0);
}

static void act_free(struct model *m)
{
    int i = pick(m, true);
    if (i < 0 || m->block[i].child >= 0 || m->block[i].lost) {
        return;
    }
    struct mblock *block = &m->block[i];
    hm_handle handle = block->handle;
    if (block->slot) {
        cr_assert_eq(m->heap->kind->slot_find(m->heap, slot_of(m, i), &handle), MOVABLE_OK);
    }
    enum movable_result result = m->heap->kind->free(m->heap, handle);
    cr_assert_eq(result, block->pins > 0 ? MOVABLE_BUSY : MOVABLE_OK);
    if (result == MOVABLE_OK) {
        block->live = false;
        m->used[block->index] = false;
        if (block->slot) {
            cr_assert_null(*slot_of(m, i));
        } else {
            cr_assert_null(hm_deref(m->heap, handle));
        }
        if (block->parent >= 0) {
            m->block[block->parent].child = -1;
            fill(m, &m->block[block->parent], 0);
        }
    }
}

static void act_resize(struct model *m)
{
    int i = pick(m, true);
    if (i < 0 || m->block[i].lost) {
        return;
    }
    struct mblock *block = &m->block[i];
    size_t size = draw_size(m);
    size = block->child >= 0 && size < sizeof(void *) ? sizeof(void *) : size;
    hm_handle handle = block->handle;
    if (block->slot) {
        cr_assert_eq(m->heap->kind->slot_find(m->heap, slot_of(m, i), &handle), MOVABLE_OK);
    }
    bool must = can_resize(m, i, size);
    m->resizing = i;
    enum movable_result result = m->heap->kind->resize(m->heap, handle, size);
    m->resizing = -1;
    look(m, i);
    cr_assert_eq(result,
                 block->pins > 0 ? MOVABLE_BUSY
                 : must          ? MOVABLE_OK
                                 : MOVABLE_NO_MEMORY,
                 "seed %zu: %zu to %zu bytes, result %d, must %d", (size_t)m->seed, block->size, size, result,
                 must);
    check_bytes(m, block,
                size < block->size || result != MOVABLE_OK ? (result == MOVABLE_OK ? size : block->size)
                                                           : block->size);
    if (result == MOVABLE_OK) {
        size_t old = block->size;
        block->size = size;
        fill(m, block, old < size ? old : size);
    }
}

static void act_pin(struct model *m)
{
    int i = pick(m, true);
    if (i < 0 || m->block[i].lost) {
        return;
    }
    struct mblock *block = &m->block[i];
    hm_handle handle = block->handle;
    if (block->slot) {
        cr_assert_eq(m->heap->kind->slot_find(m->heap, slot_of(m, i), &handle), MOVABLE_OK);
    }
    if (block->pins > 0) {
        cr_assert_eq(entry_unpin(heap_entry(m->heap, handle), handle), ENTRY_OK);
        block->pins--;
    } else if (draw(m, 3) == 0) {
        cr_assert_eq(entry_pin(heap_entry(m->heap, handle), handle), ENTRY_OK);
        block->pins++;
    } else {
        block->vetoed = !block->vetoed;
    }
}

/* A slot outside of the heap loses its block, or gets it back. In larger heaps such a block may take more room than its own. */
static void act_lose(struct model *m)
{
    if (m->bytes > m->unit << 14) {
        return;
    }
    int i = pick(m, true);
    if (i < 0 || !m->block[i].slot || m->block[i].parent >= 0 || m->block[i].child >= 0 ||
        m->block[i].pins > 0) {
        return;
    }
    struct mblock *block = &m->block[i];
    char *address = m->base + block->offset;
    hm_handle handle;
    m->variable[i] = block->lost ? address : address + 8;
    block->lost = !block->lost;
    cr_assert_eq(m->heap->kind->slot_find(m->heap, &m->variable[i], &handle),
                 block->lost ? MOVABLE_STALE : MOVABLE_OK);
}

static void act_compact(struct model *m)
{
    struct hm_budget budget = {draw(m, 2) == 0 ? 0 : draw(m, m->bytes / 4), 0};
    struct hm_movable_stats before;
    struct hm_movable_stats after;
    m->heap->kind->stats(m->heap, &before);
    size_t moves = m->moves;
    struct hm_compact_result result = m->heap->kind->compact(m->heap, budget, true);
    m->heap->kind->stats(m->heap, &after);
    cr_assert_eq(result.moved_blocks, m->moves - moves);
    cr_assert_eq(result.left_bytes, after.free_bytes);
    cr_assert(result.done || (budget.bytes > 0 && result.moved_bytes >= budget.bytes));
    cr_assert_eq(before.granule_bytes, after.granule_bytes);
    if (budget.bytes == 0) {
        struct space space = survey(m, m->room, -1, -1, true);
        struct space now = survey(m, m->room, -1, -1, false);
        cr_assert(result.done);
        cr_assert_eq(space.end, now.end, "seed %zu: %zu bytes could be free at the end, %zu are",
                     (size_t)m->seed, space.end, now.end);
    }
}

static void act(struct model *m)
{
    static void (*const acts[])(struct model * m) = {
        act_alloc, act_alloc,  act_alloc,  act_alloc, act_alloc, act_free,    act_free,
        act_free,  act_resize, act_resize, act_pin,   act_pin,   act_compact, act_lose,
    };
    acts[draw(m, sizeof(acts) / sizeof(acts[0]))](m);
}

static void check_all(struct model *m)
{
    size_t lost = 0;
    for (int i = 0; i < BLOCKS; i++) {
        struct mblock *block = &m->block[i];
        if (block->live) {
            size_t offset = block->offset;
            if (!block->lost) {
                look(m, i);
            }
            cr_assert_eq(block->offset, offset, "seed %zu: moved without a word", (size_t)m->seed);
            check_bytes(m, block, block->size);
            lost += block->lost;
        }
    }
    m->heap->kind->verify(m->heap);
    cr_assert_eq(m->heap->kind->slot_check(m->heap), lost);
}

static void begin(struct model *m, uint64_t seed, char *memory)
{
    memset(m, 0, sizeof(*m));
    m->seed = m->random = seed;
    m->resizing = -1;
    for (int i = 0; i < 4; i++) {
        draw(m, 2);
    }
    m->bytes = (size_t)1024 << draw(m, 11);
    m->bytes = m->bytes > 1024 ? m->bytes - draw(m, m->bytes / 2) : m->bytes;
    m->memory = memory + draw(m, 32);
    m->unit = draw(m, 2) == 0 ? 8 : 16;
    m->rescue = draw(m, 8) != 0;
    struct hm_movable_options options = {
        .alignment = m->unit,
        .flags = (m->rescue ? 0 : HM_MOVABLE_NO_RESCUE) | (draw(m, 2) == 0 ? HM_MOVABLE_SINGLE_OWNER : 0) |
                 (draw(m, 4) == 0 ? HM_MOVABLE_ZERO_ON_FREE : 0),
        .on_move = moved,
        .context = m,
    };
    memset(m->memory + m->bytes, 0x5a, 16);
    m->heap = buffer_create(m->memory, m->bytes, NUMBER, &options);
    cr_assert_not_null(m->heap);
    struct buffer *b = (struct buffer *)m->heap;
    m->base = b->base;
    b->warned = true;
    m->room = ((uintptr_t)m->memory + m->bytes) / 8 * 8 - (uintptr_t)b->base;
    cr_assert_leq(m->bytes - m->room, 256 + 16 + 16, "the control structure is small");
}

Test(movable_buffer, requests_fail_only_when_there_is_no_room)
{
    static struct model m;
    size_t refusals = 0;
    size_t moves = 0;
    size_t wins = 0;
    char *memory = malloc((1u << 20) + 64);
    size_t traces = test_scale(TRACES);
    m.random = 1;
    for (size_t i = 0; i < sizeof(table); i++) {
        table[i] = (unsigned char)draw(&m, 256);
    }
    for (size_t trace = 0; trace < traces; trace++) {
        begin(&m, test_seed(trace * 7919 + 1), memory);
        size_t steps = 30 + draw(&m, 120);
        for (size_t step = 0; step < steps; step++) {
            act(&m);
            m.heap->kind->verify(m.heap);
        }
        check_all(&m);
        for (int i = 0; i < 16; i++) {
            cr_assert_eq(m.memory[m.bytes + (size_t)i], 0x5a, "seed %zu: written behind the buffer",
                         (size_t)m.seed);
        }
        m.heap->kind->destroy(m.heap);
        refusals += m.refusals;
        moves += m.moves;
        wins += m.wins;
    }
    free(memory);
    cr_assert(test_scale(100) < 100 || (moves > 10 * traces && refusals > traces && wins > traces / 5));
}
