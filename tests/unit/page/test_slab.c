#include <criterion/criterion.h>

#include <string.h>

#include "page/slab.h"
#include "support/fake_os.h"

#define OBJECT_BYTES ((size_t)2176)
#define SLAB_BYTES   (SLAB_OBJECTS * OBJECT_BYTES)
#define OBJECTS      (4 * SLAB_OBJECTS)

static struct fake_os fake;
static struct meta meta;
static struct slab_pool pool;
static void *objects[OBJECTS];
static struct slab *slabs[OBJECTS];
static const void *busy_object;

static size_t claimed;

static bool claim(void *object)
{
    claimed += object != busy_object;
    return object != busy_object;
}

static void unclaim(void *object)
{
    cr_assert_neq(object, busy_object, "only what was claimed is let go");
    claimed--;
}

static void setup(void)
{
    fake_os_init(&fake, 0, 0);
    meta_init(&meta, &fake.os);
    slab_pool_init(&pool, &meta, OBJECT_BYTES, claim, unclaim);
    for (size_t i = 0; i < OBJECTS; i++) {
        objects[i] = slab_get(&pool, &slabs[i]);
        cr_assert_not_null(objects[i]);
        memset(objects[i], 0x5a, OBJECT_BYTES);
    }
    slab_pool_verify(&pool);
}

static void put_all(size_t keep)
{
    for (size_t i = 0; i < OBJECTS; i++) {
        slab_put(&pool, slabs[i], objects[i], keep);
        slab_pool_verify(&pool);
    }
}

TestSuite(slab, .init = setup);

Test(slab, objects_are_apart_and_aligned)
{
    for (size_t i = 0; i < OBJECTS; i++) {
        cr_assert_eq((uintptr_t)objects[i] % HM_CACHE_LINE, 0);
        for (size_t j = 0; j < i; j++) {
            size_t apart = objects[i] > objects[j] ? (size_t)((char *)objects[i] - (char *)objects[j])
                                                   : (size_t)((char *)objects[j] - (char *)objects[i]);
            cr_assert_geq(apart, OBJECT_BYTES);
        }
    }
}

Test(slab, freed_objects_are_reused_before_new_ones_are_made)
{
    size_t used = meta.used;
    put_all(SIZE_MAX);
    for (size_t i = 0; i < OBJECTS; i++) {
        struct slab *slab;
        cr_assert_not_null(slab_get(&pool, &slab));
    }
    cr_assert_eq(meta.used, used);
}

Test(slab, whole_slabs_beyond_keep_are_purged_and_read_as_zero)
{
    put_all(2 * SLAB_BYTES);
    cr_assert_eq(pool.whole_count, 2);
    cr_assert_eq(pool.purged_count, 2);
    cr_assert_eq(fake.calls[FAKE_PURGE], 2);
    size_t zero = 0;
    for (size_t i = 0; i < OBJECTS; i++) {
        static const char zeros[OBJECT_BYTES];
        zero += memcmp(objects[i], zeros, OBJECT_BYTES) == 0;
    }
    cr_assert_eq(zero, 2 * SLAB_OBJECTS);
}

Test(slab, what_is_kept_is_no_less_than_keep)
{
    put_all(SLAB_BYTES + 1);
    cr_assert_eq(pool.whole_count, 2);
}

Test(slab, a_slab_with_a_busy_object_is_not_purged)
{
    busy_object = objects[3];
    put_all(0);
    cr_assert_eq(pool.whole_count, 1);
    cr_assert_eq(*(const unsigned char *)busy_object, 0x5a);
}

Test(slab, a_slab_in_use_is_not_purged)
{
    for (size_t i = 1; i < OBJECTS; i++) {
        slab_put(&pool, slabs[i], objects[i], 0);
    }
    cr_assert_eq(pool.purged_count, OBJECTS / SLAB_OBJECTS - 1);
    cr_assert_eq(*(const unsigned char *)objects[0], 0x5a);
}

Test(slab, refused_purges_leave_everything_in_place)
{
    fake_os_refuse_kind(&fake, FAKE_PURGE, true);
    put_all(0);
    cr_assert_eq(pool.purged_count, 0);
    cr_assert_eq(*(const unsigned char *)objects[0], 0x5a);
}

Test(slab, no_memory_is_null)
{
    struct slab *slab;
    fake_os_refuse_kind(&fake, FAKE_RESERVE, true);
    while (slab_get(&pool, &slab) != NULL) {
    }
    slab_pool_verify(&pool);
    put_all(SIZE_MAX);
    cr_assert_not_null(slab_get(&pool, &slab));
}
