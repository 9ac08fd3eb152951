/* The examples for one heap: quick start, reallocation, another owner, reset of all, the heap's state. */
#include "dalloc.h"

#include "check.h"

__attribute__((aligned(4))) static uint8_t heap_buffer[4096];

/* Another part of the program, which has the same heap. */
heap_t *other_part(void);

static void quick_start(void)
{
    uint8_t *data = NULL;
    CHECK(dalloc_register_heap(heap_buffer, sizeof(heap_buffer)));
    def_dalloc(64, (void **)&data);
    CHECK(data == heap_buffer);
    for (int i = 0; i < 64; i++) {
        data[i] = (uint8_t)i;
    }
    def_dfree((void **)&data);
    CHECK(data == NULL);
    for (int i = 0; i < 64; i++) {
        CHECK(heap_buffer[i] == 0);
    }
}

static void reallocation(void)
{
    uint8_t *buffer = NULL;
    uint8_t *behind = NULL;
    def_dalloc(32, (void **)&buffer);
    def_dalloc(8, (void **)&behind);
    memset(behind, 0x77, 8);
    for (int i = 0; i < 32; i++) {
        buffer[i] = (uint8_t)i;
    }
    CHECK(def_drealloc(64, (void **)&buffer));
    buffer[32] = 0xff;
    for (int i = 0; i < 32; i++) {
        CHECK(buffer[i] == i);
    }
    CHECK(behind[0] == 0x77 && behind[7] == 0x77);
    CHECK(dalloc_get_default_heap()->offset == 72);
    CHECK(def_drealloc(16, (void **)&buffer));
    CHECK(dalloc_get_default_heap()->offset == 24);
    CHECK(buffer[15] == 15 && behind[0] == 0x77);
    CHECK(!def_drealloc(5000, (void **)&buffer));
    CHECK(buffer[15] == 15);
    def_dfree((void **)&behind);
    def_dfree((void **)&buffer);
    CHECK(!def_drealloc(5, (void **)&buffer));
}

static void another_owner(void)
{
    uint8_t *temp_ptr = NULL;
    uint8_t *permanent_ptr = NULL;
    uint8_t *before = NULL;
    def_dalloc(64, (void **)&before);
    def_dalloc(64, (void **)&temp_ptr);
    temp_ptr[0] = 0x42;
    def_replace_pointers((void **)&temp_ptr, (void **)&permanent_ptr);
    CHECK(temp_ptr == NULL && permanent_ptr != NULL && permanent_ptr[0] == 0x42);
    def_dfree((void **)&before);
    CHECK(permanent_ptr == heap_buffer && permanent_ptr[0] == 0x42);
    def_dfree((void **)&permanent_ptr);
    CHECK(permanent_ptr == NULL);
}

static void reset_of_all(void)
{
    uint8_t *objects[100];
    uint8_t *one_too_many = heap_buffer;
    for (int i = 0; i < 100; i++) {
        objects[i] = NULL;
        def_dalloc(16, (void **)&objects[i]);
        CHECK(objects[i] != NULL);
        objects[i][0] = (uint8_t)i;
    }
    def_dalloc(16, (void **)&one_too_many);
    CHECK(one_too_many == NULL);
    CHECK(!dalloc_unregister_heap(false));
    dalloc_reset_heap();
    CHECK(dalloc_is_initialized());
    CHECK(dalloc_get_default_heap()->offset == 0);
    CHECK(dalloc_get_default_heap()->alloc_info.allocations_num == 0);
    CHECK(objects[99] != NULL);
}

static void state(void)
{
    uint8_t *data = NULL;
    if (!dalloc_is_initialized()) {
        dalloc_register_heap(heap_buffer, sizeof(heap_buffer));
    }
    CHECK(!dalloc_register_heap(heap_buffer, sizeof(heap_buffer)));
    def_dalloc(10, (void **)&data);
    heap_t *heap = dalloc_get_default_heap();
    CHECK(heap != NULL && heap == other_part());
    printf("Used: %lu / %lu bytes\n", (unsigned long)heap->offset, (unsigned long)heap->total_size);
    printf("Allocations: %lu\n", (unsigned long)heap->alloc_info.allocations_num);
    CHECK(heap->offset == 12 && heap->total_size == 4096 && heap->alloc_info.allocations_num == 1);
    print_def_dalloc_info();
    dump_def_heap();
    dump_def_dalloc_ptr_info();
    CHECK(!dalloc_unregister_heap(false));
    CHECK(dalloc_unregister_heap(true));
}

static void nothing_registered(void)
{
    uint8_t *data = heap_buffer;
    CHECK(!dalloc_is_initialized() && dalloc_get_default_heap() == NULL);
    CHECK(!dalloc_unregister_heap(true));
    CHECK(!dalloc_register_heap(NULL, 10) && !dalloc_register_heap(heap_buffer, 0));
    dalloc_reset_heap();
    def_dfree((void **)&data);
    CHECK(data == heap_buffer);
    CHECK(!def_drealloc(5, (void **)&data));
    def_dalloc(5, (void **)&data);
    CHECK(data == NULL);
    print_def_dalloc_info();
}

int main(void)
{
    nothing_registered();
    quick_start();
    reallocation();
    another_owner();
    reset_of_all();
    state();
    nothing_registered();
    return 0;
}
