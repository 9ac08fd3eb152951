#include "support/page_fixture.h"

static struct fixture *f;
static struct span a, b, c;

/* A dirty run, a clean run, two spans, an own mapping and a kept one. */
static void setup(void)
{
    f = fixture_make(&fixture_options, 0, 0);
    fixture_alloc(f, &a, 4 * PAGE, PAGE);
    fixture_alloc(f, &b, 4 * PAGE, PAGE);
    cr_assert(mapping_alloc(&f->heap, &c, MIB, PAGE));
    pageheap_free(&f->heap, &a);
    cr_assert(mapping_alloc(&f->heap, &a, 64 * KIB, PAGE));
    mapping_free(&f->heap, &a);
}

static void teardown(void)
{
    fixture_drop(f);
}

TestSuite(verify, .init = setup, .fini = teardown);

static struct span *dirty_run(void)
{
    return LIST_ENTRY(f->heap.ages.next, struct span, age);
}

Test(verify, a_whole_heap_passes)
{
    pageheap_verify(&f->heap);
}

Test(verify, sees_a_wrong_count_of_live_bytes, .signal = SIGABRT)
{
    f->heap.stats.live += PAGE;
    pageheap_verify(&f->heap);
}

Test(verify, sees_a_run_that_the_page_map_misses, .signal = SIGABRT)
{
    pagemap_clear(&f->map, dirty_run());
    pageheap_verify(&f->heap);
}

Test(verify, sees_neighbours_that_should_be_one, .signal = SIGABRT)
{
    struct span *rest = meta_pool_get(&f->heap.run_pool);
    struct span *run = dirty_run();
    runs_remove(&f->heap.dirty, run);
    *rest = *run;
    rest->addr += PAGE;
    rest->bytes -= PAGE;
    run->bytes = PAGE;
    list_push_back(&f->heap.ages, &rest->age);
    runs_insert(&f->heap.dirty, run);
    runs_insert(&f->heap.dirty, rest);
    pagemap_enter(&f->map, run);
    pagemap_enter(&f->map, rest);
    pageheap_verify(&f->heap);
}

Test(verify, sees_a_run_in_the_wrong_index, .signal = SIGABRT)
{
    dirty_run()->dirty = false;
    pageheap_verify(&f->heap);
}

Test(verify, sees_a_dirty_run_that_is_not_queued, .signal = SIGABRT)
{
    list_remove(&dirty_run()->age);
    pageheap_verify(&f->heap);
}

Test(verify, sees_a_queue_out_of_order, .signal = SIGABRT)
{
    pageheap_free(&f->heap, &b);
    fixture_alloc(f, &a, 2 * PAGE, PAGE);
    fixture_alloc(f, &b, 2 * PAGE, PAGE);
    pageheap_free(&f->heap, &a);
    dirty_run()->stamp += 1000;
    pageheap_verify(&f->heap);
}

Test(verify, sees_a_missing_reserve, .signal = SIGABRT)
{
    f->heap.reserved = f->heap.run_pool.free_count + 1;
    pageheap_verify(&f->heap);
}

Test(verify, sees_a_lost_own_mapping, .signal = SIGABRT)
{
    list_remove(&c.link);
    pageheap_verify(&f->heap);
}

Test(verify, sees_a_kept_mapping_of_the_wrong_kind, .signal = SIGABRT)
{
    LIST_ENTRY(f->heap.own_cached.next, struct span, age)->kind = SPAN_FREE;
    pageheap_verify(&f->heap);
}
