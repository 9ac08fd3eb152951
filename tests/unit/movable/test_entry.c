#include <criterion/criterion.h>
#include <pthread.h>
#include <unistd.h>

#include "movable/entry.h"

#define LOW    14u
#define NUMBER 5u
#define HOME   0x1000u
#define AWAY   0x2000u

static struct mentry entries[LOW / 2 + 1];
static struct mentry *const entry = &entries[LOW / 2];

static hm_handle make(uint64_t flags)
{
    if (entry_word(entry) == 0) {
        atomic_store(&entry->word, ENTRY_NEW);
    }
    return entry_make(entry, LOW, NUMBER, HOME, flags);
}

static hm_handle of_use(uint64_t uses)
{
    atomic_store(&entry->word, uses << ENTRY_GENERATION | ENTRY_FREE);
    return make(0);
}

static enum entry_result take(hm_handle handle)
{
    uint64_t word;
    return entry_take(entry, handle, &word);
}

TestSuite(entry, .timeout = 30);

Test(entry, handle_says_heap_use_and_place)
{
    hm_handle handle = of_use(7);
    cr_assert_eq((uint32_t)handle, LOW);
    cr_assert_eq(entry_uses(handle), 7);
    cr_assert_eq(handle >> ENTRY_NUMBER, NUMBER);
    cr_assert(entry_is_live(entry_word(entry)));
    cr_assert(entry_is_of(entry_word(entry), handle));
    cr_assert_eq(entry_address(entry), HOME);
}

Test(entry, pins_nest_and_keep_the_block)
{
    hm_handle handle = make(0);
    uint64_t word = entry_word(entry);
    cr_assert_eq(entry_pin(entry, handle), ENTRY_OK);
    cr_assert_eq(entry_pin(entry, handle), ENTRY_OK);
    cr_assert_eq(take(handle), ENTRY_PINNED);
    cr_assert_not(entry_move_begin(entry, entry_word(entry)), "two pins");
    cr_assert_not(entry_move_begin(entry, word), "a word from before the pins");
    cr_assert_eq(entry_unpin(entry, handle), ENTRY_OK);
    cr_assert_eq(entry_move_take(entry, handle, &word), ENTRY_PINNED);
    cr_assert_eq(entry_unpin(entry, handle), ENTRY_OK);
    cr_assert_eq(entry_unpin(entry, handle), ENTRY_UNPINNED);
    cr_assert_eq(take(handle), ENTRY_OK);
}

Test(entry, pins_keep_flags)
{
    hm_handle handle = make(ENTRY_LARGE | ENTRY_NESTED);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(entry_pin(entry, handle), ENTRY_OK);
    }
    cr_assert_eq(entry_word(entry), entry_generation(handle) | ENTRY_LARGE | ENTRY_NESTED | 3);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(entry_unpin(entry, handle), ENTRY_OK);
    }
    cr_assert_eq(entry_unpin(entry, handle), ENTRY_UNPINNED);
    cr_assert_eq(entry_word(entry), entry_generation(handle) | ENTRY_LARGE | ENTRY_NESTED);
}

Test(entry, pins_end_at_65535)
{
    hm_handle handle = make(0);
    atomic_store(&entry->word, entry_generation(handle) | (ENTRY_PINS - 1));
    cr_assert_eq(entry_pin(entry, handle), ENTRY_OK);
    cr_assert_eq(entry_pin(entry, handle), ENTRY_FULL);
    cr_assert_eq(entry_word(entry), entry_generation(handle) | ENTRY_PINS);
    cr_assert_eq(entry_unpin(entry, handle), ENTRY_OK);
    cr_assert_eq(entry_pin(entry, handle), ENTRY_OK);
}

static void expect_stale(hm_handle handle)
{
    uint64_t word;
    uint64_t before = entry_word(entry);
    cr_expect_eq(entry_pin(entry, handle), ENTRY_STALE);
    cr_expect_eq(entry_unpin(entry, handle), ENTRY_STALE);
    cr_expect_eq(entry_take(entry, handle, &word), ENTRY_STALE);
    cr_expect_eq(entry_move_take(entry, handle, &word), ENTRY_STALE);
    cr_expect_eq(entry_flags(entry, handle, ENTRY_SLOT, 0), ENTRY_STALE);
    cr_expect_eq(entry_word(entry), before);
}

Test(entry, stale_foreign_and_made_up_handles_change_nothing)
{
    hm_handle old = make(0);
    cr_assert_eq(take(old), ENTRY_OK);
    expect_stale(old);
    expect_stale(entry_generation(entry_word(entry)) | LOW); /* as if the free entry were heap 0's */
    hm_handle new = make(0);
    cr_assert_neq(new, old);
    expect_stale(old);
    expect_stale(new ^ UINT64_C(1) << ENTRY_NUMBER);
    expect_stale(LOW);
    cr_assert_eq(take(new), ENTRY_OK);
}

Test(entry, taking_gives_the_flags_and_drops_them)
{
    uint64_t word;
    hm_handle handle = make(ENTRY_SLOT | ENTRY_TAGGED);
    cr_assert_eq(entry_take(entry, handle, &word), ENTRY_OK);
    cr_assert_eq(word, entry_generation(handle) | ENTRY_SLOT | ENTRY_TAGGED);
    cr_assert_eq(entry_word(entry), ((entry_uses(handle) + 1) << ENTRY_GENERATION | ENTRY_FREE));
    cr_assert_eq(entry_address(entry), HOME);
}

Test(entry, the_last_use_retires)
{
    hm_handle handle = of_use(ENTRY_USES_LAST - 1);
    cr_assert_eq(take(handle), ENTRY_OK);
    handle = make(0);
    cr_assert_eq(entry_uses(handle), ENTRY_USES_LAST);
    cr_assert_eq(handle >> ENTRY_NUMBER, NUMBER);
    cr_assert_eq(take(handle), ENTRY_OK);
    cr_assert_eq(entry_word(entry), ENTRY_RETIRED);
    expect_stale(handle);
    expect_stale(ENTRY_RETIRED);
}

Test(entry, a_move_changes_the_address_and_nothing_else)
{
    hm_handle handle = make(ENTRY_LARGE);
    uint64_t word = entry_word(entry);
    cr_assert(entry_move_begin(entry, word));
    cr_assert_not(entry_move_begin(entry, word), "it is being moved");
    cr_assert_not(entry_move_begin(entry, word | ENTRY_MOVING), "it is being moved");
    uint64_t other;
    cr_assert_eq(entry_move_try(entry, handle, &other), ENTRY_BUSY);
    entry_set_address(entry, AWAY);
    entry_move_end(entry, word);
    cr_assert_eq(entry_word(entry), word);
    cr_assert_eq(entry_address(entry), AWAY);
    cr_assert_eq(entry_move_take(entry, handle, &other), ENTRY_OK);
    cr_assert_eq(other, word);
    entry_move_end(entry, other | ENTRY_TAGGED);
    cr_assert_eq(entry_word(entry), word | ENTRY_TAGGED);
}

Test(entry, flags_change_under_pins)
{
    hm_handle handle = make(ENTRY_SLOT);
    cr_assert_eq(entry_pin(entry, handle), ENTRY_OK);
    cr_assert_eq(entry_flags(entry, handle, ENTRY_NESTED, ENTRY_SLOT), ENTRY_OK);
    cr_assert_eq(entry_word(entry), entry_generation(handle) | ENTRY_NESTED | 1);
}

/* What others do while the block is being moved: each must wait for the end, and find it then. */
enum verb { PIN, TAKE, MOVE, FLAGS, VERBS };

struct waiter {
    pthread_t thread;
    enum verb verb;
    hm_handle handle;
    _Atomic bool done;
    enum entry_result result;
    uintptr_t address;
};

static void *wait_for_move(void *argument)
{
    struct waiter *waiter = argument;
    uint64_t word;
    if (waiter->verb == PIN) {
        waiter->result = entry_pin(entry, waiter->handle);
    } else if (waiter->verb == TAKE) {
        waiter->result = entry_take(entry, waiter->handle, &word);
    } else if (waiter->verb == MOVE) {
        waiter->result = entry_move_take(entry, waiter->handle, &word);
    } else {
        waiter->result = entry_flags(entry, waiter->handle, ENTRY_NESTED, 0);
    }
    waiter->address = entry_address(entry);
    atomic_store(&waiter->done, true);
    return NULL;
}

Test(entry, everybody_waits_for_the_end_of_a_move)
{
    for (enum verb verb = PIN; verb < VERBS; verb++) {
        atomic_store(&entry->word, 0);
        struct waiter waiter = {.verb = verb, .handle = make(ENTRY_LARGE)};
        uint64_t word = entry_word(entry);
        cr_assert(entry_move_begin(entry, word));
        cr_assert_eq(pthread_create(&waiter.thread, NULL, wait_for_move, &waiter), 0);
        usleep(20000);
        cr_assert_not(atomic_load(&waiter.done), "verb %d doesn't wait", verb);
        cr_assert_eq(entry_word(entry), word | ENTRY_MOVING);
        entry_set_address(entry, AWAY);
        entry_move_end(entry, word);
        pthread_join(waiter.thread, NULL);
        cr_assert_eq(waiter.result, ENTRY_OK);
        cr_assert_eq(waiter.address, AWAY);
    }
}

Test(entry, deref_reads_entries)
{
    struct hm_front front = {.table = (char *)entries, .limit = 2 * (LOW / 2 + 1)};
    const hm_heap *heap = (const hm_heap *)(const void *)&front;
    hm_handle handle = make(0);
    cr_assert_eq(hm_deref(heap, handle), (void *)HOME);
    cr_assert_null(hm_deref(heap, LOW), "half a handle");
    cr_assert_eq(take(handle), ENTRY_OK);
    cr_assert_null(hm_deref(heap, handle));
    make(0);
    cr_assert_null(hm_deref(heap, handle));
}
