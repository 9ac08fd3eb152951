/* Entries, table and read sections under threads that make, free, pin, read and move blocks all at once. Nothing of a heap but
 * what the protocol needs: blocks are places of an array, and a dead place is used again when no section can look at it. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "movable/readers.h"
#include "movable/table.h"
#include "support/env.h"
#include "support/fake_os.h"

#define NUMBER 9u
#define CELLS  6u  /* handles that everybody knows */
#define PLACES 12u /* few, so that dead ones are used again soon */
#define WORDS  16u /* of a block; the last one is the writer's */
#define LANES  2u
#define BATCH  4u
#define MAKING 1u /* in a cell: its block is being made or freed */

enum place_state { FREE, USED, DEAD };

struct place {
    uint64_t word[WORDS];
    enum place_state state;
    uint64_t died;
};

struct lane {
    pthread_mutex_t mutex;
    struct mstack stack;
};

static struct fake_os fake;
static struct meta meta;
static struct mtable table;
static struct readers readers;
static struct lane lanes[LANES];
static pthread_mutex_t places_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct place places[PLACES];
static unsigned next_place;
static _Atomic hm_handle cells[CELLS];
static _Atomic size_t made, freed, moved, pinned, read_blocks, written;
static _Atomic bool stop;

static struct mentry *entry_of(hm_handle handle)
{
    return mtable_entry(&table, (uint32_t)handle / MTABLE_LOW);
}

static struct place *usable(uint64_t horizon)
{
    for (unsigned i = 0; i < PLACES; i++) {
        struct place *place = &places[(next_place + i) % PLACES];
        if (place->state == FREE || (place->state == DEAD && place->died < horizon)) {
            next_place = (next_place + i + 1) % PLACES;
            return place;
        }
    }
    return NULL;
}

static struct place *get_place(void)
{
    struct place *place;
    pthread_mutex_lock(&places_mutex);
    while ((place = usable(readers_advance(&readers))) == NULL) {
        pthread_mutex_unlock(&places_mutex);
        sched_yield();
        pthread_mutex_lock(&places_mutex);
    }
    place->state = USED;
    pthread_mutex_unlock(&places_mutex);
    memset(place->word, 0, sizeof(place->word));
    return place;
}

static void drop_place(struct place *place)
{
    uint64_t died = readers_epoch(&readers);
    pthread_mutex_lock(&places_mutex);
    place->state = DEAD;
    place->died = died;
    pthread_mutex_unlock(&places_mutex);
}

static uint32_t get_index(struct lane *lane)
{
    pthread_mutex_lock(&lane->mutex);
    if (lane->stack.head == 0) {
        cr_assert_eq(mtable_get(&table, &lane->stack, BATCH), BATCH);
    }
    uint32_t index = mstack_pop(&table, &lane->stack);
    pthread_mutex_unlock(&lane->mutex);
    return index;
}

static void put_index(struct lane *lane, uint32_t index)
{
    pthread_mutex_lock(&lane->mutex);
    mstack_push(&table, &lane->stack, index);
    if (lane->stack.count > 2 * BATCH) {
        mtable_put(&table, &lane->stack, BATCH);
    }
    pthread_mutex_unlock(&lane->mutex);
}

static void make_block(struct lane *lane, _Atomic hm_handle *cell)
{
    hm_handle nothing = 0;
    if (!atomic_compare_exchange_strong(cell, &nothing, MAKING)) {
        return;
    }
    struct place *place = get_place();
    uint32_t index = get_index(lane);
    struct mentry *entry = mtable_entry(&table, index);
    hm_handle handle =
        entry_generation(entry_word(entry)) | (uint64_t)NUMBER << ENTRY_NUMBER | index * MTABLE_LOW;
    for (unsigned i = 0; i < WORDS - 1; i++) {
        place->word[i] = handle;
    }
    cr_assert_eq(entry_make(entry, index * MTABLE_LOW, NUMBER, (uintptr_t)place, 0), handle);
    atomic_fetch_add(&made, 1);
    atomic_store_explicit(cell, handle, memory_order_release);
}

/* Several threads may hold this handle: one of them frees. */
static void free_block(struct lane *lane, _Atomic hm_handle *cell, hm_handle handle)
{
    uint64_t word;
    enum entry_result result = entry_take(entry_of(handle), handle, &word);
    cr_assert(result == ENTRY_OK || result == ENTRY_PINNED || result == ENTRY_STALE);
    if (result == ENTRY_OK) {
        hm_handle expected = handle;
        struct place *place = (struct place *)entry_address(entry_of(handle));
        cr_assert_eq(place->word[0], handle);
        drop_place(place);
        put_index(lane, (uint32_t)handle / MTABLE_LOW);
        atomic_fetch_add(&freed, 1);
        cr_assert(atomic_compare_exchange_strong(cell, &expected, 0), "the block was freed once");
    }
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *state >> 33;
}

static void *make_and_free(void *argument)
{
    struct lane *lane = argument;
    uint64_t random = (uintptr_t)lane;
    for (size_t n = test_scale(30000); n > 0; n--) {
        _Atomic hm_handle *cell = &cells[next_random(&random) % CELLS];
        hm_handle handle = atomic_load_explicit(cell, memory_order_acquire);
        if (handle == 0) {
            make_block(lane, cell);
        } else if (handle != MAKING) {
            free_block(lane, cell, handle);
        }
        if (n % 8 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void check_block(const struct place *place, hm_handle handle)
{
    for (unsigned i = 0; i < WORDS - 1; i++) {
        cr_assert_eq(place->word[i], handle, "word %u", i);
    }
}

static hm_handle some_handle(uint64_t *random)
{
    hm_handle handle = atomic_load_explicit(&cells[next_random(random) % CELLS], memory_order_acquire);
    if (next_random(random) % 64 == 0) {
        sched_yield(); /* or a test on few CPUs takes its time slices one by one */
    }
    return handle == MAKING ? 0 : handle;
}

static void *pin_and_look(void *argument)
{
    uint64_t random = 1;
    (void)argument;
    while (!atomic_load(&stop)) {
        hm_handle handle = some_handle(&random);
        if (handle == 0 || entry_pin(entry_of(handle), handle) != ENTRY_OK) {
            continue;
        }
        uintptr_t address = entry_address(entry_of(handle));
        check_block((const struct place *)address, handle);
        cr_assert_eq(entry_address(entry_of(handle)), address, "a pinned block doesn't move");
        cr_assert_eq(entry_unpin(entry_of(handle), handle), ENTRY_OK);
        atomic_fetch_add(&pinned, 1);
    }
    return NULL;
}

/* The only one who writes to the last word: it counts his pins of this block, so a write that a move forgets shows. */
static void *pin_and_write(void *argument)
{
    uint64_t random = 2;
    (void)argument;
    while (!atomic_load(&stop)) {
        hm_handle handle = some_handle(&random);
        uint64_t count = 0;
        for (int i = 0; handle != 0 && i < 20 && entry_pin(entry_of(handle), handle) == ENTRY_OK; i++) {
            struct place *place = (struct place *)entry_address(entry_of(handle));
            count = i == 0 ? place->word[WORDS - 1] : count;
            cr_assert_eq(place->word[WORDS - 1], count, "a move loses no write");
            place->word[WORDS - 1] = ++count;
            cr_assert_eq(entry_unpin(entry_of(handle), handle), ENTRY_OK);
            atomic_fetch_add(&written, 1);
        }
    }
    return NULL;
}

static void *read_in_sections(void *argument)
{
    struct hm_front front = {.table = (char *)table.base, .limit = MTABLE_LOW * table.limit};
    uint64_t random = 3;
    struct reader *reader = readers_get(&readers);
    (void)argument;
    while (!atomic_load(&stop)) {
        readers_enter(&readers, reader);
        hm_handle handle = some_handle(&random);
        const struct place *place = hm_deref((const hm_heap *)(const void *)&front, handle);
        if (handle != 0 && place != NULL) {
            if (next_random(&random) % 16 == 0) {
                sched_yield();
            }
            check_block(place, handle);
            atomic_fetch_add(&read_blocks, 1);
        }
        readers_leave(reader);
    }
    readers_put(reader);
    return NULL;
}

static void *move_blocks(void *argument)
{
    uint64_t random = 4;
    (void)argument;
    while (!atomic_load(&stop)) {
        hm_handle handle = some_handle(&random);
        struct mentry *entry = entry_of(handle);
        uint64_t word = entry_word(entry);
        if (handle == 0 || !entry_is_live(word)) {
            continue;
        }
        struct place *to = get_place();
        if (!entry_move_begin(entry, word)) {
            drop_place(to);
            continue;
        }
        struct place *from = (struct place *)entry_address(entry);
        memcpy(to->word, from->word, sizeof(to->word));
        entry_set_address(entry, (uintptr_t)to);
        drop_place(from);
        entry_move_end(entry, word);
        atomic_fetch_add(&moved, 1);
    }
    return NULL;
}

/* Places in use are those of live blocks; everybody else is gone. */
static void check_end(void)
{
    size_t live = 0;
    size_t used = 0;
    for (unsigned i = 0; i < CELLS; i++) {
        hm_handle handle = atomic_load(&cells[i]);
        cr_assert_neq(handle, MAKING);
        if (handle != 0) {
            live++;
            cr_assert_eq(entry_word(entry_of(handle)), entry_generation(handle));
            check_block((const struct place *)entry_address(entry_of(handle)), handle);
        }
    }
    for (unsigned i = 0; i < PLACES; i++) {
        used += places[i].state == USED;
    }
    cr_assert_eq(used, live);
    cr_assert_eq(atomic_load(&made) - atomic_load(&freed), live);
    mtable_verify(&table, lanes[0].stack.count + lanes[1].stack.count, live);
    readers_verify(&readers);
}

Test(entries, storm, .timeout = 200)
{
    static void *(*const others[])(void *) = {pin_and_look, pin_and_write, read_in_sections, move_blocks};
    pthread_t thread[LANES + 4];
    fake_os_init(&fake, 0, 0);
    meta_init(&meta, &fake.os);
    readers_init(&readers, &meta);
    cr_assert(mtable_init(&table, &fake.os, 1000, SIZE_MAX));
    for (unsigned i = 0; i < LANES; i++) {
        pthread_mutex_init(&lanes[i].mutex, NULL);
        cr_assert_eq(pthread_create(&thread[i], NULL, make_and_free, &lanes[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&thread[LANES + i], NULL, others[i], NULL), 0);
    }
    for (unsigned i = 0; i < LANES; i++) {
        pthread_join(thread[i], NULL);
    }
    atomic_store(&stop, true);
    for (unsigned i = LANES; i < LANES + 4; i++) {
        pthread_join(thread[i], NULL);
    }
    check_end();
    cr_assert(made > 0 && freed > 0 && moved > 0 && pinned > 0 && read_blocks > 0 && written > 0,
              "made %zu freed %zu moved %zu pinned %zu read %zu written %zu", made, freed, moved, pinned,
              read_blocks, written);
    mtable_destroy(&table);
    fake_os_destroy(&fake);
}
