#include "heap_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

TestSuite(core, .init = fixture_setup, .fini = fixture_teardown);

Test(core, an_ended_threads_heap_with_chunks_is_taken_first)
{
    void *block = get(a, 100);
    core_detach(core, a);
    core_detach(core, b);
    cr_assert_eq(a->state, THEAP_ORPHAN);
    cr_assert_eq(b->state, THEAP_SPARE);
    cr_assert_eq(core->registry.live_count, 0);
    cr_assert_eq(core_attach(core), a);
    cr_assert_eq(core_attach(core), b);
    struct theap *third = core_attach(core);
    cr_assert(third != NULL && third != a && third != b);
    cr_assert_eq(core->registry.made_count, 3);
    put(a, block);
    assert_empty();
}

Test(core, a_small_process_needs_no_mappings, .init = NULL)
{
    core_fixture_init(&f, NULL, 16 * MIB, 0);
    core_use_own(f.core);
    struct theap *heap = core_attach(f.core);
    void *block = core_malloc(f.core, heap, 100);
    cr_assert_not_null(block);
    cr_assert_eq(f.fake.calls[FAKE_MAP] + f.fake.calls[FAKE_RESERVE], 0);
    core_free(f.core, heap, block);
    core_verify(f.core, heap);
}

Test(core, a_heap_is_attached_in_the_mode_of_the_day)
{
    core_detach(core, b);
    core_instrument(core, a, true);
    b = core_attach(core);
    cr_assert(b->closed);
    core_detach(core, b);
    core_instrument(core, a, false);
    b = core_attach(core);
    cr_assert_not(b->closed);
}

Test(core, detach_flushes_the_bins)
{
    void *blocks[50];
    for (int i = 0; i < 50; i++) {
        blocks[i] = get(a, 16 + 500 * (size_t)i);
    }
    for (int i = 0; i < 50; i++) {
        put(a, blocks[i]);
    }
    core_detach(core, a);
    cr_assert_eq(a->state, THEAP_SPARE);
    cr_assert_eq(a->chunk_count, 0);
    verify();
}

Test(core, a_thousand_threads_one_after_another_need_one_heap)
{
    core_detach(core, a);
    core_detach(core, b);
    size_t used = 0;
    for (int i = 0; i < 1000; i++) {
        struct theap *heap = core_attach(core);
        core_free(core, heap, core_malloc(core, heap, 10 + (size_t)i));
        core_detach(core, heap);
        used = i == 500 ? core->meta.used : used;
    }
    cr_assert_eq(core->registry.made_count, 2);
    cr_assert_eq(core->meta.used, used, "descriptors don't leak");
    verify();
}

Test(core, what_ended_threads_left_is_adopted_before_memory_is_asked_for)
{
    void *blocks[200];
    for (int i = 0; i < 200; i++) {
        blocks[i] = get(a, 1000);
    }
    for (int i = 1; i < 200; i += 2) {
        put(a, blocks[i]);
    }
    core_detach(core, a);
    size_t made = b->stats.chunks_made;
    for (int i = 0; i < 90; i++) {
        get(b, 1000);
    }
    cr_assert_eq(b->stats.chunks_made, made);
    cr_assert_gt(b->stats.chunks_adopted, 0);
    verify();
    for (int i = 0; i < 200; i += 2) {
        put(b, blocks[i]);
    }
}

Test(core, an_emptied_orphan_is_a_spare)
{
    void *block = get(a, 1000);
    core_detach(core, a);
    cr_assert(core_adopt(core, b, 100));
    cr_assert_eq(a->state, THEAP_SPARE);
    cr_assert_eq(atomic_load(&core->registry.orphan_count), 0);
    cr_assert_eq(atomic_load(&chunk_of(block)->span.owner), b);
    cr_assert_not(core_adopt(core, b, 100));
    put(b, block);
    assert_empty();
}

/* The hole that is asked for is in none of the chunks: all of them change hands all the same. */
Test(core, adoption_without_a_hole_says_so)
{
    void *blocks[64];
    for (int i = 0; i < 64; i++) {
        blocks[i] = get(a, 16384);
    }
    core_detach(core, a);
    size_t chunks = a->chunk_count;
    cr_assert_not(core_adopt(core, b, 1024));
    cr_assert_eq(b->chunk_count, chunks);
    verify();
    for (int i = 0; i < 64; i++) {
        put(b, blocks[i]);
    }
    assert_empty();
}

Test(core, trim_gives_back_what_it_can)
{
    void *blocks[1000];
    for (int i = 0; i < 1000; i++) {
        blocks[i] = get(a, 5000);
    }
    for (int i = 0; i < 1000; i++) {
        put(a, blocks[i]);
    }
    cr_assert_gt(core_trim(core, a, 0), 0);
    cr_assert_eq(core_trim(core, a, 0), 0);
    struct pageheap_stats stats;
    pageheap_stats_get(&core->pages, &stats);
    cr_assert_eq(stats.dirty, 0);
    cr_assert_eq(fake_os_break_bytes(&f.fake), 0);
    assert_empty();
}

Test(core, trim_works_off_what_others_freed)
{
    void *block = get(a, 1000);
    void *last = get(a, 1000);
    put(b, block);
    cr_assert_not_null(atomic_load(&a->inbox));
    core_trim(core, b, 0);
    cr_assert_null(atomic_load(&a->inbox));
    put(a, last);
    assert_empty();
}

Test(core, freed_large_blocks_are_remembered_for_a_while)
{
    cr_assert_not(core_was_freed(core, 4096));
    core_note_freed(core, 4096);
    for (uintptr_t i = 2; i <= CORE_FREED_NOTES; i++) {
        core_note_freed(core, i * 4096);
        cr_assert(core_was_freed(core, 4096));
    }
    core_note_freed(core, 5);
    cr_assert_not(core_was_freed(core, 4096));
}

Test(core, arrays_come_in_six_sizes_with_a_zero_bottom)
{
    for (unsigned capacity = 7; capacity <= 255; capacity = 2 * capacity + 1) {
        struct entry *bottom = core_array_get(core, capacity);
        cr_assert(bottom->block == NULL && bottom->mark == NULL);
        bottom[capacity].block = bottom;
        core_array_put(core, bottom, capacity);
        cr_assert_eq(core_array_get(core, capacity), bottom);
        cr_assert_null(bottom->block);
    }
}

static void odd_array(void *capacity)
{
    core_array_get(core, (unsigned)(uintptr_t)capacity);
}

Test(core, other_sizes_of_arrays_are_a_mistake)
{
    assert_panic(odd_array, (void *)8, "arrays come in six sizes");
    assert_panic(odd_array, (void *)511, "arrays come in six sizes");
}

static void *mine[100], *theirs[100];

static void child_of_fork(void)
{
    core_fork_child(core, a);
    cr_assert_eq(b->state, b->chunk_count == 0 ? THEAP_SPARE : THEAP_ORPHAN);
    core_verify(core, a);
    core_verify(core, b);
    for (int i = 0; i < 100; i++) {
        put(a, mine[i]);
        put(a, theirs[i]);
    }
    for (int i = 0; i < 100; i++) {
        get(a, 1500);
    }
    core_verify(core, a);
    cr_assert_eq(core_attach(core), b);
}

Test(core, a_forked_child_can_use_and_adopt_everything)
{
    for (int i = 0; i < 100; i++) {
        mine[i] = get(a, 700);
        theirs[i] = get(b, 700);
    }
    put(b, get(b, 50));
    core_fork_prepare(core);
    pid_t pid = fork();
    if (pid == 0) {
        child_of_fork();
        _exit(0);
    }
    core_fork_parent(core);
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    cr_assert_eq(b->state, THEAP_LIVE);
    for (int i = 0; i < 100; i++) {
        put(a, mine[i]);
        put(b, theirs[i]);
    }
    assert_empty();
}

Test(core, a_forked_child_without_a_heap)
{
    mine[0] = get(a, 700);
    core_fork_prepare(core);
    core_fork_child(core, NULL);
    cr_assert_eq(core->registry.live_count, 0);
    alloc_free(core, NULL, mine[0]);
    verify();
}

static void wrong_class(void *unused)
{
    (void)unused;
    void *block = get(a, 100);
    put(a, block);
    *mark_of(block) = (uint8_t)(CODE_CACHED | class_code(1, (uintptr_t)block / 16 % 2));
    core_verify(core, a);
}

static void not_cached(void *unused)
{
    (void)unused;
    void *block = get(a, 100);
    put(a, block);
    mark_to_user(mark_of(block));
    core_verify(core, a);
}

Test(core, verify_compares_bins_with_marks)
{
    assert_panic(wrong_class, NULL, "a bin's entries are of its class");
    assert_panic(not_cached, NULL, "a bin's entries are marked cached");
}

Test(core, page_sizes_up_to_a_chunk)
{
    for (size_t page = 8192; page <= CHUNK_BYTES; page *= 2) {
        struct core_fixture other;
        void *blocks[200];
        core_fixture_init(&other, NULL, 0, page);
        struct theap *heap = core_attach(other.core);
        for (int i = 0; i < 200; i++) {
            size_t bytes = (size_t)i * (size_t)i * 80;
            blocks[i] = core_malloc(other.core, heap, bytes);
            cr_assert_not_null(blocks[i]);
            memset(blocks[i], i, bytes);
        }
        core_verify(other.core, heap);
        for (int i = 0; i < 200; i++) {
            cr_assert(i == 0 || *(unsigned char *)blocks[i] == i);
            core_free(other.core, heap, blocks[i]);
        }
        core_trim(other.core, heap, 0);
        core_verify(other.core, heap);
        core_fixture_drop(&other);
    }
}
