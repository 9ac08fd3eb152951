#include "movable/table.h"

#include "base/bits.h"

#define STEP_MIN      ((size_t)64 << 10)
#define STEP_MAX      ((size_t)16 << 20)
#define STEP_SHARE    8 /* a step is this part of what is committed */
#define ADDRESS_SHARE 8 /* a table takes at most this part of a limited address space */

static size_t bytes_of(size_t entries)
{
    return entries * sizeof(struct mentry);
}

/* Never 0: the limit may be small, but some table there must be. */
static size_t first_try(const struct os *os, size_t max_entries, size_t address_limit)
{
    size_t entries = max_entries == 0 ? MTABLE_DEFAULT : max_entries;
    /* Entry 0 comes on top. */
    size_t bytes = bytes_of(entries < MTABLE_MAX ? entries + 1 : MTABLE_MAX);
    size_t share = address_limit / ADDRESS_SHARE;
    bytes = bytes < share ? bytes : share;
    bytes = bytes > os->page_size ? bytes : os->page_size;
    return bits_align_up(bytes, os->page_size);
}

static bool reserve(struct mtable *table, size_t bytes)
{
    const struct os *os = table->os;
    while (bytes >= os->page_size) {
        table->base = os->reserve(os, bytes);
        if (table->base != NULL) {
            table->reserved = bytes;
            return true;
        }
        bytes = bits_align_down(bytes / 2, os->page_size);
    }
    return false;
}

static bool commit(struct mtable *table, size_t bytes)
{
    size_t left = table->reserved - table->committed;
    size_t step = bits_align_up(bytes, table->os->page_size);
    step = step < left ? step : left;
    if (step == 0 || !table->os->commit(table->os, (char *)table->base + table->committed, step)) {
        return false;
    }
    table->committed += step;
    return true;
}

/* A whole step, or at least a page. */
static bool grow(struct mtable *table)
{
    size_t step = table->committed / STEP_SHARE;
    step = step > STEP_MIN ? step : STEP_MIN;
    return commit(table, step < STEP_MAX ? step : STEP_MAX) || commit(table, table->os->page_size);
}

bool mtable_init(struct mtable *table, const struct os *os, size_t max_entries, size_t address_limit)
{
    *table = (struct mtable){.os = os};
    lock_init(&table->lock, LOCK_RANK_MOVABLE_TABLE);
    atomic_init(&table->fresh, 1);
    if (!reserve(table, first_try(os, max_entries, address_limit))) {
        return false;
    }
    size_t fits = table->reserved / sizeof(struct mentry);
    bool chosen = max_entries != 0 && max_entries < fits;
    table->limit = (uint32_t)(chosen ? max_entries + 1 : fits);
    if (!grow(table)) {
        mtable_destroy(table);
        return false;
    }
    /* Handle 0 finds it: it must not be taken for a free one of generation 0. */
    atomic_init(&table->base[0].word, ENTRY_RETIRED);
    return true;
}

void mtable_destroy(struct mtable *table)
{
    if (table->base != NULL) {
        table->os->unmap(table->os, table->base, table->reserved);
        table->base = NULL;
    }
}

/* An index that was never handed out; 0: there is none. */
static uint32_t take_fresh_locked(struct mtable *table)
{
    uint32_t index = atomic_load_explicit(&table->fresh, memory_order_relaxed);
    if (index >= table->limit || (bytes_of((size_t)index + 1) > table->committed && !grow(table))) {
        return 0;
    }
    atomic_store_explicit(&mtable_entry(table, index)->word, ENTRY_NEW, memory_order_relaxed);
    atomic_store_explicit(&table->fresh, index + 1, memory_order_relaxed);
    return index;
}

static uint32_t take_locked(struct mtable *table)
{
    struct mstack list = {.head = table->free, .count = table->free_count};
    uint32_t index = mstack_pop(table, &list);
    if (index == 0) {
        return take_fresh_locked(table);
    }
    HM_CHECK(mtable_has(table, index) && !entry_is_live(entry_word(mtable_entry(table, index))),
             "what the list of free entries leads to is a free entry");
    table->free = list.head;
    table->free_count = list.count;
    return index;
}

uint32_t mtable_get(struct mtable *table, struct mstack *stack, uint32_t count)
{
    uint32_t got = 0;
    lock_acquire(&table->lock);
    while (got < count) {
        uint32_t index = take_locked(table);
        if (index == 0) {
            break;
        }
        mstack_push(table, stack, index);
        got++;
    }
    lock_release(&table->lock);
    return got;
}

void mtable_put(struct mtable *table, struct mstack *stack, uint32_t count)
{
    lock_acquire(&table->lock);
    struct mstack list = {.head = table->free, .count = table->free_count};
    while (count-- > 0 && stack->head != 0) {
        mstack_push(table, &list, mstack_pop(table, stack));
    }
    table->free = list.head;
    table->free_count = list.count;
    lock_release(&table->lock);
}

size_t mtable_used(struct mtable *table)
{
    lock_acquire(&table->lock);
    size_t used = atomic_load_explicit(&table->fresh, memory_order_relaxed) - 1 - table->free_count -
                  atomic_load_explicit(&table->retired, memory_order_relaxed);
    lock_release(&table->lock);
    return used;
}

size_t mtable_resident(const struct mtable *table)
{
    uint32_t fresh = atomic_load_explicit(&table->fresh, memory_order_relaxed);
    return bits_align_up(bytes_of(fresh), table->os->page_size);
}

static void verify_list(const struct mtable *table)
{
    uint32_t length = 0;
    for (uint32_t index = table->free; index != 0; length++) {
        HM_CHECK(length < table->free_count, "the list of free entries is as long as its count");
        HM_CHECK(mtable_has(table, index), "a free entry lies in the table");
        uint64_t word = entry_word(mtable_entry(table, index));
        HM_CHECK(!entry_is_live(word) && (uint32_t)word == ENTRY_FREE, "a free entry is marked so");
        index = (uint32_t)entry_address(mtable_entry(table, index));
    }
    HM_CHECK(length == table->free_count, "the list of free entries is as long as its count");
}

void mtable_verify(struct mtable *table, size_t on_stacks, size_t live)
{
    size_t lives = 0;
    size_t retired = 0;
    lock_acquire(&table->lock);
    uint32_t fresh = atomic_load_explicit(&table->fresh, memory_order_relaxed);
    HM_CHECK(table->committed <= table->reserved, "committed <= reserved");
    HM_CHECK(fresh <= table->limit && bytes_of(fresh) <= table->committed,
             "entries that were handed out lie in committed memory");
    HM_CHECK(entry_word(table->base) == ENTRY_RETIRED, "entry 0 is never used");
    verify_list(table);
    for (uint32_t index = 1; index < fresh; index++) {
        uint64_t word = entry_word(mtable_entry(table, index));
        lives += entry_is_live(word);
        retired += word == ENTRY_RETIRED;
    }
    HM_CHECK(lives == live, "live entries are those that blocks have");
    HM_CHECK(retired == atomic_load(&table->retired), "retired entries are counted");
    HM_CHECK(fresh - 1 == table->free_count + retired + on_stacks + live,
             "fresh - 1 = free + retired + on stacks + live");
    lock_release(&table->lock);
}
