#include "chunk/sweep.h"
#include "chunk_fixture.h"

TestSuite(carve, .init = fixture_setup, .fini = fixture_teardown);

#define MANY 4096

static struct entry out[MANY];
static bool zero;

/* Carves from the only hole there is, or the best that there is. */
static unsigned carve(unsigned class, unsigned want, struct entry *into)
{
    void *at = holes_find(&holes, class_granules(class) + (class >= CLASS_EXACT));
    if (at == NULL) {
        return 0;
    }
    return carve_blocks(&holes, chunk, chunk_granule((uintptr_t)at), class, want, into, &zero);
}

Test(carve, each_class_fills_a_chunk)
{
    for (unsigned class = 0; class < CLASS_IN_CHUNK; class ++) {
        unsigned fit = CHUNK_GRANULES / class_granules(class);
        cr_assert_eq(carve_blocks(&holes, chunk, 0, class, MANY, out, &zero), fit, "class %u", class);
        cr_assert_eq(chunk_used(chunk), fit * class_granules(class));
        cr_assert_eq(zero, class == 0, "fresh only in the first round");
        fixture_verify();
        for (unsigned i = 0; i < fit; i++) {
            cr_assert_eq(out[i].block, granule_memory((fit - 1 - i) * class_granules(class)));
            cr_assert_eq(*out[i].mark & CODE_CACHED, CODE_CACHED);
            fixture_kill(&out[i]);
        }
        sweep_chunk(&holes, chunk, NULL);
        fixture_verify();
        cr_assert_eq(chunk->linked, CHUNK_GRANULES, "class %u: all of it is one hole again", class);
        cr_assert_eq(holes_find(&holes, CHUNK_GRANULES), granule_memory(0));
    }
}

Test(carve, no_more_than_wanted)
{
    cr_assert_eq(carve(4, 7, out), 7);
    cr_assert_eq(chunk_used(chunk), 7 * 5);
    cr_assert_eq(chunk->linked, CHUNK_GRANULES - 7 * 5);
    fixture_verify();
}

Test(carve, larger_classes_start_at_even_granules)
{
    carve(2, 1, out);
    cr_assert_eq(carve(CLASS_EXACT, 3, out), 3);
    cr_assert_eq(out[2].block, granule_memory(4), "the odd granule is left out");
    cr_assert_eq(chunk_dead(chunk), 1);
    fixture_verify();
}

/* What is left out in front serves others, if it is long enough for them. */
Test(carve, in_a_long_hole_blocks_lie_in_as_few_cache_lines_as_they_can)
{
    static const struct {
        size_t bytes, align;
    } wanted[] = {{32, 32}, {48, 16}, {64, 64}, {96, 32}, {128, 64}, {576, 64}};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        unsigned class = class_of(wanted[i].bytes);
        struct entry first;
        cr_assert_eq(carve(class_of(48), 1, &first), 1);
        cr_assert_eq(carve(class, 3, out), 3);
        for (unsigned b = 0; b < 3; b++) {
            cr_assert_eq((uintptr_t)out[b].block % wanted[i].align, 0, "%zu bytes", wanted[i].bytes);
        }
        fixture_verify();
        for (unsigned b = 0; b < 3; b++) {
            fixture_kill(&out[b]);
        }
        fixture_kill(&first);
        sweep_chunk(&holes, chunk, NULL);
        cr_assert_eq(chunk->linked, CHUNK_GRANULES);
    }
    unsigned blocks = 0;
    struct entry all[CHUNK_GRANULES / 2];
    cr_assert_eq(carve(class_of(48), 1, all), 1);
    cr_assert_eq(carve(class_of(128), 1, all + 1), 1);
    cr_assert_eq(carve(class_of(64), 1, all + 2), 1);
    cr_assert_eq(chunk_dead(chunk), 1, "between the first two");
    while ((blocks = carve(class_of(32), MANY, out)) > 0) {
    }
    cr_assert_leq(chunk->linked, 1);
}

/* The only hole is too short to leave anything out. */
Test(carve, in_a_short_hole_blocks_lie_anywhere)
{
    unsigned granules = class_granules(class_of(64));
    unsigned end = 3 + 5 * granules;
    cr_assert_eq(carve_blocks(&holes, chunk, 0, class_of(48), 1, out, &zero), 1);
    cr_assert_eq(holes_remove(&holes, chunk, 3), CHUNK_GRANULES - 3);
    holes_insert(&holes, chunk, 3, end - 3);
    cr_assert_eq(carve_blocks(&holes, chunk, 3, class_of(64), MANY, out, &zero), 5);
    cr_assert_eq(out[4].block, granule_memory(3));
}

Test(carve, a_hole_that_is_too_short_at_its_even_granule_stays)
{
    unsigned granules = class_granules(CLASS_EXACT);
    holes_remove_all(&holes, chunk);
    holes_insert(&holes, chunk, 1, granules);
    cr_assert_eq(carve_blocks(&holes, chunk, 1, CLASS_EXACT, 1, out, &zero), 0);
    cr_assert_eq(chunk->linked, granules);
    fixture_verify();
}

Test(carve, a_rest_of_one_granule_is_dead)
{
    holes_remove_all(&holes, chunk);
    holes_insert(&holes, chunk, 5, 5);
    cr_assert_eq(carve_blocks(&holes, chunk, 5, 0, 9, out, &zero), 2);
    cr_assert_eq(chunk->linked, 0);
    fixture_verify();
}

Test(carve, fresh_memory_is_zero_and_known_to_be)
{
    for (int i = 0; i < 100; i++) {
        unsigned got = carve((unsigned)i % CLASS_IN_CHUNK, 2, out);
        if (got == 0) {
            break;
        }
        cr_assert(zero);
        for (unsigned b = 0; b < got; b++) {
            size_t bytes = class_bytes[(unsigned)i % CLASS_IN_CHUNK];
            cr_assert(is_zero(out[b].block, bytes));
            memset(out[b].block, 0x5a, bytes);
        }
    }
}

Test(carve, used_memory_is_not_known_to_be_zero)
{
    carve(10, 1, out);
    memset(out[0].block, 0x5a, class_bytes[10]);
    fixture_kill(&out[0]);
    sweep_chunk(&holes, chunk, NULL);
    cr_assert_eq(carve(20, 1, out), 1);
    cr_assert_not(zero);
}

/* Also where fresh memory begins right behind the block that died. */
Test(carve, zero_is_said_of_no_byte_that_was_used)
{
    for (unsigned class = 0; class < 12; class ++) {
        for (unsigned next = 0; next < 20; next++) {
            struct chunk *other = chunk_make(0);
            holes_init(&holes, SECRET);
            carve_init(&holes, other, true);
            cr_assert_eq(carve_blocks(&holes, other, 0, class, 1, out, &zero), 1);
            memset(out[0].block, 0x5a, class_bytes[class]);
            mark_store(out[0].mark, CODE_DEAD);
            chunk_keep(other, 0u - class_granules(class));
            sweep_chunk(&holes, other, NULL);
            cr_assert_eq(carve_blocks(&holes, other, 0, next, 1, out, &zero), 1);
            cr_assert_not(zero, "%u, then %u", class_bytes[class], class_bytes[next]);
            chunk_drop(other);
        }
    }
}

Test(carve, a_dirty_chunk_is_not_known_to_be_zero)
{
    struct chunk *dirty = chunk_make(0x5a);
    holes_remove_all(&holes, chunk);
    carve_init(&holes, dirty, false);
    cr_assert_eq(carve_blocks(&holes, dirty, 0, 10, 1, out, &zero), 1);
    cr_assert_not(zero);
    holes_remove_all(&holes, dirty);
    chunk_drop(dirty);
}

Test(carve, a_place_is_exact_if_no_more_than_a_granule_is_left)
{
    holes_remove_all(&holes, chunk);
    for (unsigned class = 0; class < CLASS_IN_CHUNK; class ++) {
        for (unsigned length = 1; length < class_granules(class) + 4; length++) {
            for (unsigned from = 10; from < 12; from++) {
                struct carve_order order = {.class = class, .want = 1, .out = out, .zero = &zero};
                unsigned start = class >= CLASS_EXACT ? from + from % 2 : from;
                unsigned end = start + class_granules(class);
                bool exact = end == from + length || end + 1 == from + length;
                exact = exact && length <= class_granules(class) + 1;
                cr_assert_eq(carve_exact(chunk, from, from + length, &order), exact, "class %u, %u from %u",
                             class, length, from);
                cr_assert_eq(order.got, exact);
                if (exact) {
                    cr_assert_eq(out[0].block, granule_memory(start));
                    cr_assert_eq(chunk_used(chunk), class_granules(class));
                    cr_assert_not(carve_exact(chunk, 100, 100 + class_granules(class), &order), "enough");
                    chunk_verify(chunk);
                    fixture_kill(&out[0]);
                    mark_store(out[0].mark, 0);
                }
            }
        }
    }
}

Test(carve, aligned_blocks_lie_right_with_holes_on_both_sides)
{
    for (size_t align = 32; align <= CHUNK_BYTES / 4; align *= 2) {
        for (unsigned class = 0; class < CLASS_IN_CHUNK; class += 7) {
            struct entry first;
            cr_assert_eq(carve(2, 1, &first), 1);
            unsigned granule = chunk_granule((uintptr_t)first.block) + 3;
            cr_assert(carve_aligned(&holes, chunk, granule, class, align, out, &zero));
            cr_assert_eq((uintptr_t)out[0].block % align, 0);
            cr_assert_eq(code_class(*out[0].mark & ~CODE_CACHED), class);
            fixture_verify();
            fixture_kill(&first);
            fixture_kill(&out[0]);
            sweep_chunk(&holes, chunk, NULL);
            cr_assert_eq(chunk->linked, CHUNK_GRANULES);
        }
    }
}

Test(carve, no_aligned_place_leaves_the_hole)
{
    holes_remove_all(&holes, chunk);
    holes_insert(&holes, chunk, 1, 70);
    cr_assert_not(carve_aligned(&holes, chunk, 1, 10, 1024, out, &zero));
    cr_assert_eq(chunk->linked, 70);
    fixture_verify();
}

Test(carve, a_block_extends_into_holes_and_dead_granules)
{
    cr_assert_eq(carve(0, 10, out), 10);
    /* out[9] is the first block: behind it one dead, one in a hole, one dead. */
    for (int i = 6; i < 9; i++) {
        fixture_kill(&out[i]);
    }
    holes_insert(&holes, chunk, 4, 2);
    cr_assert(carve_extension(&holes, chunk, 2, 5));
    cr_assert_eq(chunk_block_at(chunk, 4, &(struct block){0}), false);
    chunk_keep(chunk, 3);
    mark_store(out[9].mark, class_code(3, 0));
    fixture_verify();
    cr_assert_not(carve_extension(&holes, chunk, 5, 9), "a block is in the way");
    fixture_verify();
    cr_assert(carve_extension(&holes, chunk, 5, 8));
}

Test(carve, an_extension_leaves_the_rest_of_a_hole)
{
    cr_assert_eq(carve(0, 1, out), 1);
    cr_assert(carve_extension(&holes, chunk, 2, 40));
    cr_assert_eq(chunk->linked, CHUNK_GRANULES - 40);
    cr_assert_eq(holes_find(&holes, 2), granule_memory(40));
    cr_assert_eq(chunk->fresh, 40, "the caller's bytes aren't known to be zero");
    cr_assert_not(carve_extension(&holes, chunk, 2, CHUNK_GRANULES + 1));
}

/* Against a reference: which granule belongs to which block. */
static unsigned char owner_of[CHUNK_GRANULES];

static void reference_check(const struct entry *entries, const bool *alive, unsigned count)
{
    memset(owner_of, 0, sizeof(owner_of));
    for (unsigned i = 0; i < count; i++) {
        if (!alive[i]) {
            continue;
        }
        unsigned start = chunk_granule((uintptr_t)entries[i].block);
        unsigned granules = class_granules(code_class(*entries[i].mark & ~CODE_CACHED));
        for (unsigned g = start; g < start + granules; g++) {
            cr_assert_eq(owner_of[g], 0, "two blocks share granule %u", g);
            owner_of[g] = 1;
        }
    }
    for (unsigned g = 0; g < CHUNK_GRANULES; g++) {
        cr_assert_eq(chunk_block_at(chunk, g, &(struct block){0}), owner_of[g], "granule %u", g);
    }
}

Test(carve, random_carving_and_killing_agrees_with_a_reference)
{
    static struct entry entries[2000];
    static bool alive[2000];
    unsigned count = 0;
    uint64_t seed = 42;
    for (int step = 0; step < 4000 && count < 1900; step++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        unsigned pick = (unsigned)(seed >> 33);
        if (pick % 2 == 0) {
            unsigned got = carve(pick / 2 % 7 == 0 ? pick / 16 % CLASS_IN_CHUNK : pick / 16 % 12,
                                 1 + pick / 4096 % 4, entries + count);
            memset(alive + count, 1, got);
            count += got;
        } else if (count > 0 && alive[pick / 2 % count]) {
            fixture_kill(&entries[pick / 2 % count]);
            alive[pick / 2 % count] = false;
        }
        if (step % 16 == 0) {
            sweep_chunk(&holes, chunk, NULL);
            fixture_verify();
        }
        if (step % 200 == 0) {
            reference_check(entries, alive, count);
        }
    }
    reference_check(entries, alive, count);
    cr_assert_gt(count, 500);
}
