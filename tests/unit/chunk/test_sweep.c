#include "chunk/sweep.h"
#include "chunk_fixture.h"

TestSuite(sweep, .init = fixture_setup, .fini = fixture_teardown);

#define MANY 2048

static struct entry out[MANY];
static bool zero;

/* Carves from the best hole that there is. */
static unsigned take(unsigned class, unsigned want, struct entry *into)
{
    const void *at = holes_find(&holes, class_granules(class) + (class >= CLASS_EXACT));
    return at == NULL ? 0
                      : carve_blocks(&holes, chunk, chunk_granule((uintptr_t)at), class, want, into, &zero);
}

/* What another thread's free does. */
static void kill_from_afar(const struct entry *entry)
{
    unsigned code = mark_load(entry->mark) & ~CODE_CACHED;
    mark_store(entry->mark, code);
    cr_assert(mark_swap(entry->mark, code, CODE_DEAD));
    chunk_lose(chunk, class_granules(code_class(code)));
}

static bool is_linked(unsigned granule)
{
    return mark_load(&chunk->map[granule / 2]) == CODE_HOLE + granule % 2;
}

/* Every stretch between two blocks is one hole, unless it is too short, and nothing is marked dead. */
static void expect_all_joined(void)
{
    struct block block;
    unsigned start = 0;
    unsigned dead = 0;
    fixture_verify();
    cr_assert_null(memchr(chunk->map, CODE_DEAD, sizeof chunk->map));
    for (unsigned granule = 0; granule <= CHUNK_GRANULES; granule++) {
        if (granule < CHUNK_GRANULES && !chunk_block_at(chunk, granule, &block)) {
            continue;
        }
        if (granule - start >= HOLE_MIN_GRANULES) {
            cr_assert(is_linked(start), "hole at %u", start);
            cr_assert_eq(holes_length(&holes, granule_memory(start)), granule - start, "hole at %u", start);
        } else {
            dead += granule - start;
        }
        granule = granule < CHUNK_GRANULES ? block.start + block.granules - 1 : granule;
        start = granule + 1;
    }
    cr_assert_eq(chunk->swept_dead, dead);
}

Test(sweep, it_joins_dead_blocks_of_all_sizes)
{
    unsigned count = 0;
    for (unsigned class = 0; class < CLASS_IN_CHUNK; class += 3) {
        count += take(class, 1, out + count);
    }
    for (unsigned i = 0; i < count; i++) {
        if (i % 4 != 0) {
            fixture_kill(&out[i]);
        }
    }
    sweep_chunk(&holes, chunk, NULL);
    fixture_verify();
    for (unsigned i = 0; i + 4 < count; i += 4) {
        struct block block;
        cr_assert(chunk_block_at(chunk, chunk_granule((uintptr_t)out[i].block), &block));
        unsigned behind = block.start + block.granules;
        unsigned next = chunk_granule((uintptr_t)out[i + 4].block);
        cr_assert_eq(holes_length(&holes, granule_memory(behind)), next - behind, "block %u", i);
    }
}

Test(sweep, it_changes_nothing_when_nothing_died)
{
    take(5, 9, out);
    fixture_kill(&out[4]);
    sweep_chunk(&holes, chunk, NULL);
    uint8_t before[CHUNK_WINDOWS];
    memcpy(before, chunk->map, sizeof(before));
    sweep_chunk(&holes, chunk, NULL);
    cr_assert_arr_eq(before, chunk->map, sizeof(before));
    fixture_verify();
}

Test(sweep, it_remembers_what_it_could_not_use)
{
    take(2, 3, out);
    /* Three granules, of which two get a block again, and one stays dead. */
    fixture_kill(&out[1]);
    sweep_chunk(&holes, chunk, NULL);
    cr_assert_eq(chunk->swept_dead, 0);
    void *hole = holes_find(&holes, 3);
    cr_assert_eq(carve_blocks(&holes, chunk, chunk_granule((uintptr_t)hole), 0, 1, out, &zero), 1);
    sweep_chunk(&holes, chunk, NULL);
    cr_assert_eq(chunk->swept_dead, 1);
    cr_assert_eq(chunk_dead(chunk), 1);
}

Test(sweep, what_others_freed_is_joined_too)
{
    take(3, 9, out);
    fixture_kill(&out[2]);
    kill_from_afar(&out[3]);
    kill_from_afar(&out[6]);
    sweep_chunk(&holes, chunk, NULL);
    expect_all_joined();
    kill_from_afar(&out[4]);
    sweep_chunk(&holes, chunk, NULL);
    expect_all_joined();
}

Test(sweep, a_chunk_whose_holes_were_unlinked_is_looked_at_as_a_whole)
{
    take(3, 9, out);
    fixture_kill(&out[2]);
    sweep_chunk(&holes, chunk, NULL);
    holes_remove_all(&holes, chunk);
    sweep_chunk(&holes, chunk, NULL);
    expect_all_joined();
    cr_assert_eq(chunk_dead(chunk), 0, "what was linked and what was dead");
}

Test(sweep, a_tail_that_is_noted_is_joined)
{
    take(8, 3, out);
    mark_store(out[1].mark, class_code(5, chunk_granule((uintptr_t)out[1].block) % 2));
    chunk_lower(chunk, class_granules(8) - class_granules(5));
    chunk_note_dead(chunk, chunk_granule((uintptr_t)out[1].block) + class_granules(5));
    sweep_chunk(&holes, chunk, NULL);
    expect_all_joined();
}

/* Also if it begins in the window that the block which grew ends in. */
Test(sweep, what_an_extension_leaves_of_dead_blocks_is_joined)
{
    for (unsigned died = 2; died <= 5; died++) {
        for (unsigned more = 1; more < died; more++) {
            struct entry three[3];
            cr_assert_eq(take(died - 1, 3, three), 3);
            unsigned behind = chunk_granule((uintptr_t)three[1].block);
            fixture_kill(&three[1]);
            cr_assert(carve_extension(&holes, chunk, behind, behind + more));
            chunk_keep(chunk, more);
            mark_store(three[2].mark,
                       class_code(died - 1 + more, chunk_granule((uintptr_t)three[2].block) % 2));
            sweep_chunk(&holes, chunk, NULL);
            expect_all_joined();
        }
    }
}

Test(sweep, an_order_gets_what_fits_it_and_no_more_than_it_wants)
{
    struct entry got[2];
    struct carve_order order = {.class = 3, .want = 2, .out = got, .zero = &zero};
    take(3, 20, out);
    zero = true;
    for (unsigned i = 2; i <= 8; i += 2) {
        fixture_kill(&out[i]);
    }
    fixture_kill(&out[7]);
    sweep_chunk(&holes, chunk, &order);
    cr_assert_eq(order.got, 2, "the row of three isn't touched");
    cr_assert_eq(got[0].block, out[4].block);
    cr_assert_eq(got[1].block, out[2].block);
    cr_assert_eq(*got[0].mark, class_code(3, 0) | CODE_CACHED);
    cr_assert_not(zero);
    cr_assert_eq(chunk_used(chunk), 17 * class_granules(3));
    expect_all_joined();
    fixture_kill(&out[11]);
    fixture_kill(&out[13]);
    order.want = 1;
    order.got = 0;
    sweep_chunk(&holes, chunk, &order);
    cr_assert_eq(order.got, 1);
    expect_all_joined();
}

/* Blocks of all sizes, freed here and by others. */
Test(sweep, random_deaths_leave_nothing_unjoined)
{
    unsigned count = 0;
    uint64_t seed = 7;
    for (int step = 0; step < 30000; step++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        unsigned pick = (unsigned)(seed >> 33);
        if (pick % 8 < 4 && count + 4 < MANY) {
            count += take(pick / 8 % 7 == 0 ? pick / 64 % CLASS_IN_CHUNK : pick / 64 % 20,
                          1 + pick / 8192 % 4, out + count);
        } else if (pick % 8 < 7 && count > 0) {
            struct entry *entry = &out[pick / 8 % count];
            pick / 65536 % 16 == 0 && step % 1000 > 500 ? kill_from_afar(entry) : fixture_kill(entry);
            *entry = out[--count];
        } else if (pick / 8 % 4 == 0) {
            unsigned want = count + 4 < MANY ? pick / 32 % 4 : 0;
            struct carve_order order = {
                .class = pick / 128 % 50, .want = want, .out = out + count, .zero = &zero};
            sweep_chunk(&holes, chunk, &order);
            expect_all_joined();
            count += order.got;
        }
    }
    cr_assert_gt(count, 50);
}
