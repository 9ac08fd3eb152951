#include <criterion/criterion.h>
#include <errno.h>
#include <hmalloc/buffer.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/env.h"
#include "support/threads.h"

static uint64_t control[HM_BUFFER_CONTROL_FOR(4) / 8];

Test(api_buffer, every_byte_of_the_buffer_is_for_blocks)
{
    char memory[64];
    char *slot[3] = {NULL};
    struct hm_movable_options options = {.alignment = 8, .flags = HM_MOVABLE_SINGLE_OWNER};
    struct hm_buffer_block block;
    hm_heap *heap = hm_buffer_create(memory, sizeof(memory), control, 4, &options);
    cr_assert_not_null(heap);
    cr_assert(hm_slot_alloc(heap, &slot[0], 20) && hm_slot_alloc(heap, &slot[1], 40));
    cr_assert(slot[0] == memory && slot[1] == memory + 24);
    cr_assert(hm_buffer_block_at(heap, 1, &block));
    cr_assert(block.address == slot[1] && block.size == 40 && block.slot == &slot[1]);
    cr_assert_not(hm_buffer_block_at(heap, 2, &block));
    cr_assert_not(hm_buffer_block_at(heap, SIZE_MAX, &block));
    cr_assert(hm_slot_free(heap, &slot[0]) && hm_slot_alloc(heap, &slot[2], 24));
    cr_assert(slot[1] == memory + 24 && slot[2] == memory, "there was a gap that fitted");
    cr_assert_eq(hm_handle_alloc(heap, 1), 0);
    cr_assert_eq(errno, ENOTSUP);
    hm_movable_verify(heap);
}

Test(api_buffer, the_number_of_blocks_is_what_was_said)
{
    char memory[1000];
    char *slot[5] = {NULL};
    hm_heap *heap = hm_buffer_create(memory, sizeof(memory), control, 4, NULL);
    for (int i = 0; i < 4; i++) {
        cr_assert(hm_slot_alloc(heap, &slot[i], 1));
    }
    cr_assert_not(hm_slot_alloc(heap, &slot[4], 1));
    cr_assert_eq(errno, ENOMEM);
    cr_assert(hm_slot_free(heap, &slot[1]) && hm_slot_alloc(heap, &slot[4], 900));
}

Test(api_buffer, arguments_are_checked)
{
    char memory[100];
    struct hm_movable_options options = {.alignment = 3};
    errno = 0;
    cr_assert_null(hm_buffer_create(NULL, 100, control, 4, NULL));
    cr_assert_eq(errno, EINVAL);
    cr_assert_null(hm_buffer_create(memory, 100, NULL, 4, NULL));
    cr_assert_null(hm_buffer_create(memory, 100, (char *)control + 1, 4, NULL));
    cr_assert_null(hm_buffer_create(memory, 100, control, SIZE_MAX, NULL));
    cr_assert_null(hm_buffer_create(memory, 100, control, 4, &options));
}

Test(api_buffer, a_compactor_can_be_the_first_thing_that_a_process_asks_for)
{
    static char memory[1000];
    hm_heap *heap = hm_buffer_create(memory, sizeof(memory), control, 4, NULL);
    cr_assert(hm_compactor_start(heap, NULL));
    cr_assert_not(hm_compactor_start(heap, NULL));
    cr_assert_eq(errno, EBUSY);
    hm_compactor_stop(heap);
    hm_compactor_stop(heap);
    cr_assert(hm_compactor_start(heap, NULL));
    hm_movable_destroy(heap);
}

Test(api_buffer, a_child_can_stop_and_start_the_compactor)
{
    static char memory[1000];
    hm_heap *heap = hm_buffer_create(memory, sizeof(memory), control, 4, NULL);
    cr_assert(hm_compactor_start(heap, NULL));
    cr_assert(threads_asleep("hm-compactor", 1));
    for (int stop_first = 0; stop_first < 2; stop_first++) {
        pid_t pid = test_under("tsan") ? -1 : fork();
        if (pid == 0) {
            alarm(20);
            if (stop_first) {
                hm_compactor_stop(heap);
            }
            bool started = hm_compactor_start(heap, NULL);
            hm_compactor_stop(heap);
            _exit(!started);
        }
        int status = 0;
        cr_assert(pid == -1 || (waitpid(pid, &status, 0) == pid && status == 0));
    }
    hm_compactor_stop(heap);
}

Test(api_buffer, a_heap_that_grows_has_no_positions)
{
    struct hm_buffer_block block;
    hm_heap *heap = hm_movable_create(NULL);
    cr_assert_neq(hm_handle_alloc(heap, 10), 0);
    errno = 0;
    cr_assert_not(hm_buffer_block_at(heap, 0, &block));
    cr_assert_eq(errno, EINVAL);
    errno = 0;
    cr_assert_not(hm_buffer_block_at(NULL, 0, &block));
    cr_assert_eq(errno, EINVAL);
    hm_movable_destroy(heap);
}
