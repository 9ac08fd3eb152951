#define _GNU_SOURCE 1

#include "runtime/movables.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "movable/buffer.h"
#include "runtime/process.h"
#include "support/env.h"
#include "support/threads.h"

#define BUFFER_BYTES 2048
#define MOST         1023

static char buffers[MOST + 1][BUFFER_BYTES] __attribute__((aligned(16)));
static struct hm_heap *heap[MOST + 1];
static const struct hm_movable_options plain = {.alignment = 16};

static struct hm_heap *make(unsigned place)
{
    heap[place] = movables_create_in(buffers[place], BUFFER_BYTES, &plain);
    return heap[place];
}

Test(movables, numbers_come_back_as_late_as_possible)
{
    bool seen[MOST + 1] = {false};
    for (unsigned i = 0; i < MOST; i++) {
        cr_assert_not_null(make(0));
        uint32_t number = heap[0]->number;
        cr_assert(number >= 1 && number <= MOST);
        cr_assert_not(seen[number], "%u came back after %u others", number, i);
        seen[number] = true;
        movables_destroy(heap[0]);
    }
}

Test(movables, so_many_heaps_live_and_no_more)
{
    bool seen[MOST + 1] = {false};
    for (unsigned i = 0; i < MOST; i++) {
        cr_assert_not_null(make(i));
        cr_assert_not(seen[heap[i]->number]);
        seen[heap[i]->number] = true;
    }
    cr_assert_null(make(MOST));
    cr_assert_null(movables_create(&plain));
    cr_assert_null(movables_default());
    uint32_t number = heap[500]->number;
    movables_destroy(heap[500]);
    cr_assert_not_null(make(500));
    cr_assert_eq(heap[500]->number, number);
}

Test(movables, a_heap_that_nobody_knows_of_gives_no_number_back)
{
    static uint64_t control[BUFFER_CONTROL_BYTES / 8 + 30];
    struct hm_heap *apart = buffer_create_outside(buffers[MOST], BUFFER_BYTES, control, 10, &plain);
    for (unsigned i = 0; i < MOST; i++) {
        cr_assert_not_null(make(i));
    }
    movables_destroy(apart);
    cr_assert_null(movables_create(&plain), "number %u is a living heap's", apart->number);
}

static void count(struct hm_heap *one, void *context)
{
    cr_assert_geq(one->number, 1);
    ++*(int *)context;
}

Test(movables, the_list_knows_all_heaps)
{
    int found = 0;
    for (unsigned i = 0; i < 10; i++) {
        make(i);
    }
    movables_destroy(heap[3]);
    movables_each(count, &found);
    cr_assert_eq(found, 9);
}

static void *ask_for_default(void *unused)
{
    (void)unused;
    return movables_default();
}

Test(movables, all_threads_find_one_default_heap)
{
    pthread_t thread[8];
    void *found[8];
    for (int i = 0; i < 8; i++) {
        pthread_create(&thread[i], NULL, ask_for_default, NULL);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(thread[i], &found[i]);
        cr_assert_not_null(found[i]);
        cr_assert_eq(found[i], found[0]);
    }
}

/* Read sections */

static struct hm_heap *shared;

static void *read_once(void *unused)
{
    (void)unused;
    hm_read_enter(shared);
    hm_read_leave(shared);
    return NULL;
}

static size_t records(void)
{
    size_t all = 0;
    for (struct reader *reader = atomic_load(&movables_readers.all); reader != NULL; reader = reader->next) {
        all++;
    }
    return all;
}

static size_t records_used(void)
{
    size_t used = 0;
    for (struct reader *reader = atomic_load(&movables_readers.all); reader != NULL; reader = reader->next) {
        used += atomic_load(&reader->used);
    }
    return used;
}

static void run(void *(*function)(void *))
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, function, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

Test(movables, records_of_ended_threads_are_used_again)
{
    shared = movables_create(&plain);
    for (size_t i = test_scale(200); i > 0; i--) {
        run(read_once);
    }
    cr_assert_eq(records(), 1);
    cr_assert_eq(records_used(), 0);
}

static void *end_inside(void *unused)
{
    (void)unused;
    hm_read_enter(shared);
    return NULL;
}

Test(movables, a_section_ends_with_its_thread)
{
    shared = movables_create(&plain);
    run(end_inside);
    cr_assert_eq(records_used(), 0);
    hm_read_synchronize(shared);
}

static pthread_key_t key;
static atomic_int rounds;

/* In and behind the last of the rounds in which the library gives records back. */
static void read_late(void *value)
{
    hm_handle handle = *(hm_handle *)value;
    hm_read_enter(shared);
    if (hm_deref(shared, handle) == NULL) {
        abort();
    }
    hm_read_leave(shared);
    if (++rounds < 4) {
        pthread_setspecific(key, value);
    }
}

static void *end_late(void *handle)
{
    read_once(NULL);
    pthread_setspecific(key, handle);
    return NULL;
}

Test(movables, destructors_may_have_sections)
{
    pthread_t thread;
    shared = movables_create(&plain);
    hm_handle handle = hm_handle_alloc(shared, 10);
    read_once(NULL);
    pthread_key_create(&key, read_late);
    pthread_create(&thread, NULL, end_late, &handle);
    pthread_join(thread, NULL);
    cr_assert_eq(rounds, 4);
    cr_assert_eq(records_used(), 1);
    hm_read_synchronize(shared);
}

static atomic_size_t used_late;

/* The library's key is older, so its destructor has run when this one does. */
static void leave_late(void *unused)
{
    (void)unused;
    used_late = records_used();
    hm_read_leave(shared);
}

static void *end_inside_until_destructor(void *unused)
{
    (void)unused;
    hm_read_enter(shared);
    pthread_setspecific(key, &key);
    return NULL;
}

Test(movables, a_destructor_may_leave_what_the_thread_entered)
{
    shared = movables_create(&plain);
    read_once(NULL);
    pthread_key_create(&key, leave_late);
    run(end_inside_until_destructor);
    cr_assert_eq(used_late, 2);
    cr_assert_eq(records_used(), 1);
    cr_assert_eq(atomic_load(&movables_readers.crowd), 0);
    hm_read_synchronize(shared);
}

/* Fork */

static atomic_bool stop;
static atomic_int running;

static void use(struct hm_heap *one, unsigned *seed)
{
    hm_handle handle = hm_handle_alloc(one, 1 + (size_t)rand_r(seed) % 700);
    if (handle == 0) {
        return;
    }
    char *at = hm_pin(one, handle);
    at[0] = 1;
    hm_unpin(one, handle);
    hm_read_enter(one);
    hm_deref(one, handle);
    hm_read_leave(one);
    hm_handle_resize(one, handle, 1 + (size_t)rand_r(seed) % 1500);
    hm_compact(one, (struct hm_budget){4096, 0});
    hm_handle_free(one, handle);
}

static void *churn(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    atomic_fetch_add(&running, 1);
    while (!atomic_load(&stop)) {
        use(shared, &seed);
        use(heap[0], &seed);
        struct hm_heap *brief = movables_create(&plain);
        if (brief != NULL) {
            use(brief, &seed);
            movables_destroy(brief);
        }
    }
    return NULL;
}

static void child_work(hm_handle kept)
{
    unsigned seed = 1;
    alarm(20);
    char *at = hm_pin(shared, kept);
    bool well = at != NULL && strcmp(at, "kept") == 0;
    hm_unpin(shared, kept);
    for (int i = 0; i < 50; i++) {
        use(shared, &seed);
        use(heap[0], &seed);
    }
    well = well && hm_compactor_start(shared, NULL);
    use(shared, &seed);
    hm_compactor_stop(shared);
    hm_read_synchronize(shared);
    hm_movable_verify(shared);
    hm_movable_verify(heap[0]);
    movables_destroy(shared);
    movables_destroy(heap[0]);
    _exit(well ? 0 : 1);
}

Test(movables, a_child_has_all_heaps_and_no_compactor, .timeout = 100)
{
    pthread_t thread[3];
    if (test_under("tsan")) {
        cr_skip("ThreadSanitizer allows no threads in forked children");
    }
    struct hm_compactor_options eager = {
        .high_percent = 1, .low_percent = 1, .idle_ms = 1, .cpu_percent = 100};
    shared = movables_create(&plain);
    make(0);
    hm_handle kept = hm_handle_alloc(shared, 100);
    strcpy(hm_pin(shared, kept), "kept");
    hm_unpin(shared, kept);
    cr_assert(hm_compactor_start(shared, &eager));
    cr_assert(hm_compactor_start(heap[0], &eager));
    for (uintptr_t i = 0; i < 3; i++) {
        pthread_create(&thread[i], NULL, churn, (void *)(i + 1));
    }
    threads_run(&running, 3);
    cr_assert(threads_asleep("hm-compactor", 2));
    bool well = true;
    for (size_t i = test_scale(60); i > 0 && well; i--) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            child_work(kept);
        }
        well = waitpid(pid, &status, 0) == pid && status == 0;
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
    }
    cr_assert(well);
    hm_movable_verify(shared);
    movables_destroy(shared);
    movables_destroy(heap[0]);
}
