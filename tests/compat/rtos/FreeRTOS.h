/* As much of FreeRTOS as dalloc.h asks for. */
#ifndef HM_TESTS_COMPAT_FREERTOS_H
#define HM_TESTS_COMPAT_FREERTOS_H

#define portMAX_DELAY 0xffffffffu

#endif
