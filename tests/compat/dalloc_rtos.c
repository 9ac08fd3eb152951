/* Thread safety with the mutexes of FreeRTOS: each call takes and gives it once. */
#define USE_THREAD_SAFETY
#define USE_FREE_RTOS
#include "dalloc.h"

#include "check.h"

static struct semaphore semaphore;

SemaphoreHandle_t xSemaphoreCreateMutex(void)
{
    return &semaphore;
}

int xSemaphoreTake(SemaphoreHandle_t mutex, unsigned ticks)
{
    CHECK(ticks == portMAX_DELAY && !mutex->taken && !mutex->deleted);
    mutex->taken = 1;
    mutex->times++;
    return 1;
}

int xSemaphoreGive(SemaphoreHandle_t mutex)
{
    CHECK(mutex->taken);
    mutex->taken = 0;
    return 1;
}

void vSemaphoreDelete(SemaphoreHandle_t mutex)
{
    CHECK(!mutex->taken);
    mutex->deleted = 1;
}

int main(void)
{
    static uint8_t memory[256];
    static heap_t heap;
    uint8_t *data = NULL;
    uint8_t *other = NULL;
    heap_init(&heap, memory, sizeof(memory));
    dalloc(&heap, 100, (void **)&data);
    dalloc(&heap, 1000, (void **)&other);
    CHECK(other == NULL && semaphore.times == 2);
    CHECK(drealloc(&heap, 50, (void **)&data) && semaphore.times == 3);
    CHECK(validate_ptr(&heap, (void **)&data, USING_PTR_ADDRESS, NULL) && semaphore.times == 4);
    replace_pointers(&heap, (void **)&data, (void **)&other);
    CHECK(other == memory && semaphore.times == 5);
    dfree(&heap, (void **)&other, USING_PTR_ADDRESS);
    dump_dalloc_ptr_info(&heap);
    CHECK(semaphore.times == 7);
    heap_deinit(&heap);
    CHECK(semaphore.deleted);
    return 0;
}
