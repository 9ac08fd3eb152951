/* The examples for several heaps, the one with 32 bytes, the pictures, and what the text says about limits. */
#include "dalloc.h"

#include "check.h"

__attribute__((aligned(4))) static uint8_t buffer1[2048];
static uint8_t buffer2[2048];
static heap_t heap_fast;
static heap_t heap_slow;

static void two_heaps(void)
{
    uint8_t *critical_data = NULL;
    uint8_t *temp_data = NULL;
    heap_init(&heap_fast, buffer1, sizeof(buffer1));
    heap_init(&heap_slow, buffer2, sizeof(buffer2));
    dalloc(&heap_fast, 256, (void **)&critical_data);
    dalloc(&heap_slow, 512, (void **)&temp_data);
    CHECK(critical_data == buffer1 && temp_data == buffer2);
    dfree(&heap_slow, (void **)&critical_data, USING_PTR_ADDRESS);
    CHECK(critical_data == buffer1 && heap_fast.offset == 256);
    dfree(&heap_fast, (void **)&critical_data, USING_PTR_ADDRESS);
    dfree(&heap_slow, (void **)&temp_data, USING_PTR_ADDRESS);
    CHECK(critical_data == NULL && temp_data == NULL);
    heap_deinit(&heap_fast);
    heap_deinit(&heap_slow);
    dalloc(&heap_fast, 256, (void **)&critical_data);
    CHECK(critical_data == NULL);
}

static void thirty_two_bytes(void)
{
    static uint8_t heap_array[32];
    static heap_t heap;
    uint8_t *data_ptr = NULL;
    uint8_t *second = NULL;
    uint8_t *third = NULL;
    uint32_t allocation_size = 8;
    heap_init(&heap, (void *)heap_array, 32);
    dalloc(&heap, allocation_size, (void **)&data_ptr);
    CHECK(data_ptr == heap_array);
    memset(data_ptr, 0xde, allocation_size);
    dump_heap(&heap);
    CHECK(drealloc(&heap, 11, (void **)&data_ptr));
    CHECK(heap.offset == 12);
    dalloc(&heap, 5, (void **)&second);
    dalloc(&heap, 12, (void **)&third);
    CHECK(second == heap_array + 12 && third == heap_array + 20 && heap.offset == 32);
    memset(third, 0x33, 12);
    CHECK(data_ptr[0] == 0xde && data_ptr[7] == 0xde);
    dfree(&heap, (void **)&data_ptr, USING_PTR_ADDRESS);
    CHECK(second == heap_array && third == heap_array + 8 && third[11] == 0x33 && heap.offset == 20);
    CHECK(heap.alloc_info.max_memory_amount == 32 && heap.alloc_info.max_allocations_amount == 3);
    dfree(&heap, (void **)&second, USING_PTR_ADDRESS);
    dfree(&heap, (void **)&third, USING_PTR_ADDRESS);
    CHECK(heap.offset == 0 && heap.alloc_info.allocations_num == 0);
    dalloc(&heap, 32, (void **)&third);
    CHECK(third == heap_array);
}

/* 7 kB free, but not in one piece: 4 kB are asked for. */
static void the_pictures(void)
{
    static uint8_t memory[12 * 1024];
    static heap_t heap;
    uint8_t *block[12];
    uint8_t *large = NULL;
    heap_init(&heap, memory, sizeof(memory));
    for (int i = 0; i < 12; i++) {
        block[i] = NULL;
        dalloc(&heap, 1024, (void **)&block[i]);
        memset(block[i], i, 1024);
    }
    for (int i = 0; i < 12; i += 2) {
        dfree(&heap, (void **)&block[i], USING_PTR_ADDRESS);
    }
    dfree(&heap, (void **)&block[3], USING_PTR_ADDRESS);
    CHECK(heap.offset == 5 * 1024);
    dalloc(&heap, 4096, (void **)&large);
    CHECK(large == memory + 5 * 1024);
    for (int i = 1; i < 12; i += 2) {
        CHECK(i == 3 ? block[i] == NULL : block[i][0] == i && block[i][1023] == i);
    }
}

static void by_value(void)
{
    uint8_t *first = NULL;
    uint8_t *second = NULL;
    uint8_t *copy;
    uint8_t *wild = buffer1 + 500;
    uint32_t index = 99;
    heap_init(&heap_fast, buffer1, sizeof(buffer1));
    dalloc(&heap_fast, 100, (void **)&first);
    dalloc(&heap_fast, 100, (void **)&second);
    copy = second;
    CHECK(validate_ptr(&heap_fast, (void **)&second, USING_PTR_ADDRESS, &index) && index == 1);
    CHECK(!validate_ptr(&heap_fast, (void **)&copy, USING_PTR_ADDRESS, &index));
    CHECK(validate_ptr(&heap_fast, (void **)&copy, USING_PTR_VALUE, &index) && index == 1);
    CHECK(validate_ptr(&heap_fast, (void **)&first, USING_PTR_VALUE, NULL));
    CHECK(!validate_ptr(&heap_fast, (void **)&wild, USING_PTR_VALUE, &index));
    CHECK(!validate_ptr(NULL, (void **)&first, USING_PTR_VALUE, &index));
    dfree(&heap_fast, (void **)&wild, USING_PTR_ADDRESS);
    dfree(NULL, (void **)&first, USING_PTR_ADDRESS);
    dfree(&heap_fast, NULL, USING_PTR_ADDRESS);
    replace_pointers(&heap_fast, (void **)&wild, (void **)&copy);
    CHECK(heap_fast.alloc_info.allocations_num == 2 && copy == second);
    dfree(&heap_fast, (void **)&copy, USING_PTR_VALUE);
    CHECK(second == NULL && heap_fast.alloc_info.allocations_num == 1);
    dfree(&heap_fast, (void **)&second, USING_PTR_ADDRESS);
    CHECK(heap_fast.alloc_info.allocations_num == 1);
    dalloc(&heap_fast, 0, (void **)&first);
    CHECK(first == NULL);
}

/* The pointer belongs to the caller: so it should be. */
static bool good_function(heap_t *heap, uint8_t **data_ptr)
{
    dalloc(heap, 64, (void **)data_ptr);
    return *data_ptr != NULL;
}

/* The pointer's life ends with the function: the block can't be freed any more, and nothing else is harmed. */
__attribute__((noinline)) static uint8_t *bad_function(heap_t *heap)
{
    uint8_t *data_ptr = NULL;
    dalloc(heap, 64, (void **)&data_ptr);
    return data_ptr;
}

__attribute__((noinline)) static void overwrite_stack(void)
{
    volatile char space[1024];
    for (size_t i = 0; i < sizeof(space); i++) {
        space[i] = 0x55;
    }
}

static void lifetimes(void)
{
    uint8_t *good = NULL;
    uint8_t *other = NULL;
    heap_init(&heap_fast, buffer1, sizeof(buffer1));
    dalloc(&heap_fast, 64, (void **)&other);
    uint8_t *bad = bad_function(&heap_fast);
    CHECK(good_function(&heap_fast, &good));
    CHECK(bad != NULL);
    memset(bad, 0x11, 64);
    memset(good, 0x22, 64);
    overwrite_stack();
    dfree(&heap_fast, (void **)&other, USING_PTR_ADDRESS);
    CHECK(bad == buffer1 + 64 && bad[0] == 0x11 && bad[63] == 0x11);
    CHECK(good[0] == 0x22 && good[63] == 0x22);
    dfree(&heap_fast, (void **)&good, USING_PTR_ADDRESS);
    CHECK(good == NULL && heap_fast.alloc_info.allocations_num == 1);
}

/* The same variable again, without a dfree() between: it has the new block. */
static void the_same_variable(void)
{
    uint8_t *data = NULL;
    heap_init(&heap_fast, buffer1, sizeof(buffer1));
    dalloc(&heap_fast, 5, (void **)&data);
    dalloc(&heap_fast, 11, (void **)&data);
    CHECK(data == buffer1 + 8 && heap_fast.alloc_info.allocations_num == 2);
    dfree(&heap_fast, (void **)&data, USING_PTR_ADDRESS);
    CHECK(data == NULL && heap_fast.alloc_info.allocations_num == 1);
}

int main(void)
{
    two_heaps();
    thirty_two_bytes();
    the_pictures();
    by_value();
    lifetimes();
    the_same_variable();
    return 0;
}
