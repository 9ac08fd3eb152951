#include "chunk_fixture.h"

TestSuite(chunk, .init = fixture_setup, .fini = fixture_teardown);

static unsigned place(unsigned granule, unsigned class, unsigned extra)
{
    unsigned code = class_code(class, class < CLASS_EXACT ? granule % 2 : 0);
    mark_store(&chunk->map[granule / 2], code | extra);
    chunk_keep(chunk, class_granules(class));
    return class_granules(class);
}

/* No hole, everything dead. */
static void clear(void)
{
    holes_remove_all(&holes, chunk);
    chunk_keep(chunk, 0u - chunk_used(chunk));
}

Test(chunk, addresses_and_granules_are_inverse)
{
    for (unsigned granule = 0; granule < CHUNK_GRANULES; granule++) {
        cr_assert_eq(chunk_granule(chunk_address(chunk, granule)), granule);
        cr_assert_eq(chunk_granule(chunk_address(chunk, granule) + 15), granule);
    }
}

Test(chunk, a_map_byte_leads_to_its_chunk)
{
    for (unsigned granule = 0; granule < CHUNK_GRANULES; granule++) {
        uint8_t *mark = &chunk->map[granule / 2];
        cr_assert_eq(chunk_of_mark((const void *)chunk_address(chunk, granule), mark), chunk);
    }
}

Test(chunk, used_is_what_was_kept_and_is_not_gone)
{
    atomic_store(&chunk->kept, UINT32_MAX - 5);
    atomic_store(&chunk->gone, UINT32_MAX - 5);
    chunk_keep(chunk, 12);
    cr_assert_eq(chunk_used(chunk), 12);
    cr_assert_eq(chunk_lose(chunk, 3), 9);
    chunk_lower(chunk, 4);
    cr_assert_eq(chunk_used(chunk), 5);
    cr_assert_eq(chunk_lose(chunk, 5), 0);
}

/* Up to each place from each place. */
Test(chunk, what_died_is_cleared_up_to_the_next_other_mark)
{
    clear();
    for (unsigned stop = 0; stop <= 100; stop++) {
        for (unsigned from = 0; from <= 100; from++) {
            for (unsigned w = 0; w < CHUNK_WINDOWS; w++) {
                chunk->map[w] = w % 3 == 0 || w / 20 % 2 == 0 ? CODE_DEAD : 0;
            }
            chunk->map[stop] = CODE_CACHED | 1;
            unsigned expected = from <= stop ? stop : CHUNK_WINDOWS;
            cr_assert_eq(chunk_clear_dead(chunk, from), expected, "from %u to %u", from, stop);
            for (unsigned w = 0; w < CHUNK_WINDOWS; w++) {
                bool cleared = w >= from && w < expected;
                cr_assert(w == stop || !cleared || chunk->map[w] == 0, "%u: from %u to %u", w, from, stop);
                cr_assert(cleared || w % 3 != 0 || chunk->map[w] != 0, "%u: from %u to %u", w, from, stop);
            }
            cr_assert_eq(chunk->map[stop], CODE_CACHED | 1);
        }
    }
    cr_assert_eq(chunk_clear_dead(chunk, CHUNK_WINDOWS), CHUNK_WINDOWS);
}

Test(chunk, the_next_mark_is_found_from_everywhere)
{
    static const unsigned windows[] = {0, 1, 7, 8, 9, 62, 63, 64, 511, 1024, 2046, 2047};
    clear();
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        memset(chunk->map, 0, sizeof(chunk->map));
        chunk->map[windows[i]] = 1;
        for (unsigned from = 0; from <= CHUNK_WINDOWS; from++) {
            unsigned expected = from <= windows[i] ? windows[i] : CHUNK_WINDOWS;
            cr_assert_eq(chunk_next_mark(chunk, from), expected, "mark at %u, from %u", windows[i], from);
        }
    }
}

Test(chunk, a_block_starts_only_at_its_first_granule)
{
    clear();
    place(11, 3, 0);
    place(16, 4, CODE_CACHED);
    chunk->map[15] = CODE_HOLE;
    for (unsigned granule = 0; granule <= CHUNK_GRANULES; granule++) {
        cr_assert_eq(chunk_starts_block(chunk, granule), granule == 11 || granule == 16, "granule %u",
                     granule);
    }
}

Test(chunk, a_block_is_found_from_each_of_its_granules)
{
    for (unsigned class = 0; class < CLASS_IN_CHUNK; class ++) {
        for (unsigned start = 1000; start < 1000 + (class < CLASS_EXACT ? 2 : 1); start++) {
            struct block block;
            clear();
            unsigned granules = place(start, class, 0);
            for (unsigned g = start; g < start + granules; g++) {
                cr_assert(chunk_block_at(chunk, g, &block), "class %u, granule %u of it", class, g - start);
                cr_assert_eq(block.start, start);
                cr_assert_eq(block.granules, granules);
                cr_assert_eq(block.code, class_code(class, start % 2));
            }
            cr_assert_not(chunk_block_at(chunk, start - 1, &block));
            cr_assert_not(chunk_block_at(chunk, start + granules, &block));
            memset(chunk->map, 0, sizeof(chunk->map));
        }
    }
}

Test(chunk, cached_blocks_are_found_and_holes_are_not_blocks)
{
    struct block block;
    cr_assert_not(chunk_block_at(chunk, 0, &block));
    clear();
    place(7, 3, CODE_CACHED);
    cr_assert(chunk_block_at(chunk, 9, &block));
    cr_assert_eq(block.code, class_code(3, 1) | CODE_CACHED);
}

Test(chunk, neighbours_are_told_apart)
{
    struct block block;
    clear();
    place(0, 2, 0);
    place(3, 1, 0);
    place(5, 31, 0);
    cr_assert(chunk_block_at(chunk, 2, &block) && block.start == 0);
    cr_assert(chunk_block_at(chunk, 3, &block) && block.start == 3);
    cr_assert(chunk_block_at(chunk, 4, &block) && block.start == 3);
    cr_assert(chunk_block_at(chunk, 5, &block) && block.start == 5);
}

Test(chunk, a_block_is_taken_once)
{
    uint8_t mark = (uint8_t)class_code(5, 1);
    cr_assert_not(mark_swap(&mark, class_code(5, 0), CODE_DEAD));
    cr_assert(mark_swap(&mark, class_code(5, 1), CODE_DEAD));
    cr_assert_eq(mark, CODE_DEAD);
    cr_assert_not(mark_swap(&mark, class_code(5, 1), CODE_DEAD));
    /* Its owner frees it at the same moment: what its bin gives out is no block. */
    mark_to_cached(&mark);
    cr_assert_not(mark_to_user(&mark));
    /* Both found it in use, and it was handed out again. */
    mark = (uint8_t)class_code(5, 1);
    mark_to_cached(&mark);
    cr_assert(mark_to_user(&mark));
    cr_assert_not(mark_to_user(&mark));
}

Test(chunk, marks_go_to_the_cache_and_back)
{
    uint8_t mark = (uint8_t)class_code(5, 1);
    mark_to_cached(&mark);
    cr_assert_eq(mark, class_code(5, 1) | CODE_CACHED);
    mark_to_user(&mark);
    cr_assert_eq(mark, class_code(5, 1));
}

Test(chunk, dead_is_what_is_neither_used_nor_linked)
{
    cr_assert_eq(chunk_dead(chunk), 0);
    clear();
    cr_assert_eq(chunk_dead(chunk), CHUNK_GRANULES);
    place(0, 11, 0);
    cr_assert_eq(chunk_dead(chunk), CHUNK_GRANULES - 12);
}

/* A sweep links the block of a remote free that has marked it and not yet subtracted. */
Test(chunk, a_remote_free_between_its_steps_makes_no_negative_dead)
{
    chunk_keep(chunk, 12);
    cr_assert_eq(chunk_dead(chunk), 0);
    chunk_verify(chunk);
}

static void broken(void *change)
{
    clear();
    place(0, 11, 0);
    ((void (*)(void))change)();
    chunk_verify(chunk);
}

static void misalign(void)
{
    chunk->span.addr += 4096;
}

static void overlap(void)
{
    place(11, 10, 0);
}

static void stick_out(void)
{
    place(CHUNK_GRANULES - 2, 10, 0);
}

static void lose_count(void)
{
    chunk_keep(chunk, 0u - 1);
}

static void link_inside(void)
{
    chunk->map[3] = CODE_HOLE;
    chunk->linked = 2;
}

static void cache_a_hole(void)
{
    chunk->map[100] = (CODE_HOLE + 1) | CODE_CACHED;
    chunk->linked = 2;
}

static void die_inside(void)
{
    chunk->map[2] = CODE_DEAD;
}

static void lose_a_hole(void)
{
    chunk->linked = 2;
}

static void link_too_much(void)
{
    chunk->map[100] = CODE_HOLE;
    chunk->linked = CHUNK_GRANULES - 11;
}

static void other_kind(void)
{
    chunk->span.kind = SPAN_LARGE;
}

Test(chunk, verify_names_the_broken_equation)
{
    static const struct {
        void (*change)(void);
        const char *text;
    } cases[] = {
        {misalign, "aligned to its size"},
        {overlap, "blocks don't overlap"},
        {stick_out, "ends inside its chunk"},
        {lose_count, "used >= granules of blocks"},
        {link_inside, "no hole starts inside a block"},
        {cache_a_hole, "a hole is never cached"},
        {die_inside, "nothing died inside a block"},
        {lose_a_hole, "linked counts the marked holes"},
        {link_too_much, "<= all granules"},
        {other_kind, "kind chunk"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_panic(broken, (void *)cases[i].change, cases[i].text);
    }
}
