#include <criterion/criterion.h>
#include <pthread.h>
#include <unistd.h>

#include "movable/readers.h"
#include "support/assert_panic.h"
#include "support/fake_os.h"

static struct fake_os fake;
static struct meta meta;
static struct readers readers;

static void setup(void)
{
    fake_os_init(&fake, 0, 0);
    meta_init(&meta, &fake.os);
    readers_init(&readers, &meta);
}

static void teardown(void)
{
    readers_verify(&readers);
    fake_os_destroy(&fake);
}

TestSuite(readers, .init = setup, .fini = teardown, .timeout = 30);

Test(readers, without_sections_an_epoch_is_enough)
{
    uint64_t died = readers_epoch(&readers);
    cr_assert_not(readers_safe(&readers, died), "a section could begin in this epoch");
    cr_assert_eq(readers_advance(&readers), died + 1, "and no more: the new one may have sections");
    cr_assert_eq(readers_epoch(&readers), died + 1);
    cr_assert(readers_safe(&readers, died));
    cr_assert_not(readers_safe(&readers, readers_epoch(&readers)));
}

Test(readers, a_section_keeps_what_died_since_it_began)
{
    struct reader *reader = readers_get(&readers);
    uint64_t before = readers_epoch(&readers);
    readers_advance(&readers);
    readers_enter(&readers, reader);
    uint64_t since = readers_epoch(&readers);
    uint64_t horizon = readers_advance(&readers);
    uint64_t later = readers_epoch(&readers);
    horizon = readers_advance(&readers);
    cr_assert_eq(horizon, since);
    cr_assert(readers_safe(&readers, before));
    cr_assert_not(readers_safe(&readers, since));
    cr_assert_not(readers_safe(&readers, later));
    readers_leave(reader);
    cr_assert(readers_safe(&readers, since));
    cr_assert(readers_safe(&readers, later));
}

Test(readers, sections_nest)
{
    struct reader *reader = readers_get(&readers);
    cr_assert_not(readers_inside(NULL));
    cr_assert_not(readers_inside(reader));
    readers_enter(&readers, reader);
    uint64_t died = readers_epoch(&readers);
    readers_advance(&readers);
    readers_enter(&readers, reader);
    readers_leave(reader);
    cr_assert(readers_inside(reader));
    cr_assert_not(readers_safe(&readers, died), "the inner one neither ends nor renews it");
    readers_leave(reader);
    cr_assert_not(readers_inside(reader));
    cr_assert(readers_safe(&readers, died));
}

Test(readers, the_oldest_section_counts)
{
    struct reader *old = readers_get(&readers);
    struct reader *young = readers_get(&readers);
    cr_assert_neq(old, young);
    readers_enter(&readers, old);
    uint64_t first = readers_epoch(&readers);
    readers_advance(&readers);
    readers_enter(&readers, young);
    uint64_t second = readers_epoch(&readers);
    readers_advance(&readers);
    cr_assert_eq(readers_horizon(&readers), first);
    readers_leave(old);
    cr_assert_eq(readers_horizon(&readers), second);
    readers_leave(young);
    cr_assert_eq(readers_horizon(&readers), readers_epoch(&readers));
}

Test(readers, half_an_epoch_is_enough)
{
    static const uint64_t starts[] = {10, UINT64_C(0xfffffff0), UINT64_C(0x100000005),
                                      UINT64_C(0x7ffffffffffffff0)};
    struct reader *reader = readers_get(&readers);
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        atomic_store(&readers.epoch, starts[i]);
        for (int step = 0; step < 40; step++) {
            uint64_t died = readers_epoch(&readers);
            readers_advance(&readers);
            readers_enter(&readers, reader);
            uint64_t kept = readers_epoch(&readers);
            uint64_t horizon = readers_advance(&readers);
            cr_assert(readers_passed(&readers, (uint32_t)died, horizon));
            cr_assert_not(readers_passed(&readers, (uint32_t)kept, horizon));
            cr_assert_not(readers_passed(&readers, (uint32_t)readers_epoch(&readers), horizon));
            readers_leave(reader);
        }
    }
    atomic_store(&readers.epoch, UINT64_C(0x500000000));
    cr_assert_not(readers_passed(&readers, 1, 1),
                  "a section that stands still for very long keeps what it sees");
}

Test(readers, records_are_reused)
{
    struct reader *first = readers_get(&readers);
    readers_enter(&readers, first);
    uint64_t died = readers_epoch(&readers);
    readers_advance(&readers);
    cr_assert_not(readers_safe(&readers, died));
    readers_put(first);
    cr_assert(readers_safe(&readers, died), "the thread's section ends with it");
    for (int i = 0; i < 1000; i++) {
        struct reader *again = readers_get(&readers);
        cr_assert_eq(again, first);
        cr_assert_not(readers_inside(again));
        readers_put(again);
    }
    cr_assert_eq((uintptr_t)first % HM_CACHE_LINE, 0);
}

Test(readers, without_memory_sections_are_counted)
{
    fake_os_refuse_kind(&fake, FAKE_RESERVE, true);
    cr_assert_null(readers_get(&readers));
    uint64_t died = readers_epoch(&readers);
    readers_advance(&readers);
    readers_enter_crowd(&readers);
    cr_assert_not(readers_safe(&readers, died));
    readers_enter_crowd(&readers);
    readers_leave_crowd(&readers);
    readers_advance(&readers);
    cr_assert_not(readers_safe(&readers, died));
    readers_leave_crowd(&readers);
    cr_assert(readers_safe(&readers, died));
    readers_leave_crowd(&readers);
    cr_assert(readers_safe(&readers, died), "below 0 it doesn't go");
    fake_os_refuse_kind(&fake, FAKE_RESERVE, false);
    cr_assert_not_null(readers_get(&readers));
}

struct holder {
    pthread_t thread;
    struct reader *reader;
    _Atomic bool inside;
    _Atomic bool leave;
    _Atomic bool left;
};

static void *hold(void *argument)
{
    struct holder *holder = argument;
    holder->reader = readers_get(&readers);
    readers_enter(&readers, holder->reader);
    atomic_store(&holder->inside, true);
    while (!atomic_load(&holder->leave)) {
        usleep(100);
    }
    atomic_store(&holder->left, true);
    readers_leave(holder->reader);
    return NULL;
}

static void begin(struct holder *holder)
{
    cr_assert_eq(pthread_create(&holder->thread, NULL, hold, holder), 0);
    while (!atomic_load(&holder->inside)) {
        usleep(100);
    }
}

static void *leave_later(void *argument)
{
    struct holder *holder = argument;
    usleep(30000);
    atomic_store(&holder->leave, true);
    return NULL;
}

Test(readers, synchronize_waits_for_the_others)
{
    struct holder holder = {0};
    pthread_t later;
    struct reader *mine = readers_get(&readers);
    readers_synchronize(&readers, NULL, 0);
    readers_enter(&readers, mine);
    readers_synchronize(&readers, mine, 0);
    begin(&holder);
    cr_assert_eq(pthread_create(&later, NULL, leave_later, &holder), 0);
    readers_synchronize(&readers, mine, 0);
    cr_assert(atomic_load(&holder.left));
    pthread_join(later, NULL);
    pthread_join(holder.thread, NULL);
    readers_leave(mine);
}

struct child_view {
    struct reader *mine;
    uint64_t died;
};

/* Ends with a panic's line either way, because the status of a child alone says little. */
static void look_in_child(void *argument)
{
    struct child_view *view = argument;
    bool kept = !readers_safe(&readers, view->died);
    readers_fork_child(&readers, view->mine);
    readers_verify(&readers);
    bool still = !readers_safe(&readers, view->died);
    if (view->mine != NULL) {
        readers_leave(view->mine);
    }
    bool free = readers_safe(&readers, view->died);
    panic("kept %d still %d free %d", kept, still, free);
}

Test(readers, a_child_forgets_the_sections_of_other_threads)
{
    struct holder holder = {0};
    begin(&holder);
    struct child_view view = {.died = readers_epoch(&readers)};
    readers_advance(&readers);
    readers_enter_crowd(&readers);
    assert_panic(look_in_child, &view, "kept 1 still 0 free 1");
    readers_leave_crowd(&readers);
    view.mine = readers_get(&readers);
    readers_enter(&readers, view.mine);
    view.died = readers_epoch(&readers);
    readers_advance(&readers);
    assert_panic(look_in_child, &view, "kept 1 still 1 free 1");
    readers_leave(view.mine);
    atomic_store(&holder.leave, true);
    pthread_join(holder.thread, NULL);
}

static void break_epoch(void *argument)
{
    struct reader *reader = readers_get(&readers);
    (void)argument;
    atomic_store(&reader->epoch, 1000);
    readers_verify(&readers);
}

Test(readers, verify_notices_an_epoch_that_never_was)
{
    assert_panic(break_epoch, NULL, "a section's epoch is one that was");
}
