/* Thread safety with the mutexes of POSIX, from the program's configuration. A block may move as long as it isn't freed: threads
 * don't look at theirs. */
#include "dalloc.h"

#include "check.h"

static heap_t heap;

static void *churn(void *unused)
{
    (void)unused;
    for (int i = 0; i < 500; i++) {
        uint8_t *ptr = NULL;
        dalloc(&heap, (uint32_t)(16 + i % 64), (void **)&ptr);
        if (i % 2 == 0) {
            drealloc(&heap, 32, (void **)&ptr);
        }
        dfree(&heap, (void **)&ptr, USING_PTR_ADDRESS);
    }
    return NULL;
}

int main(void)
{
    static uint8_t memory[16 * 1024];
    pthread_t threads[4];
    heap_init(&heap, memory, sizeof(memory));
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, churn, NULL) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(heap.alloc_info.allocations_num == 0 && heap.offset == 0);
    heap_deinit(&heap);
    return 0;
}
