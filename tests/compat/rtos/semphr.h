#ifndef HM_TESTS_COMPAT_SEMPHR_H
#define HM_TESTS_COMPAT_SEMPHR_H

typedef struct semaphore {
    int taken;
    int times;
    int deleted;
} * SemaphoreHandle_t;

SemaphoreHandle_t xSemaphoreCreateMutex(void);
int xSemaphoreTake(SemaphoreHandle_t mutex, unsigned ticks);
int xSemaphoreGive(SemaphoreHandle_t mutex);
void vSemaphoreDelete(SemaphoreHandle_t mutex);

#endif
