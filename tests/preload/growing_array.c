/* growing_array: grows an array by reallocarray and checks what it holds; a product that overflows fails with ENOMEM. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    size_t *array = malloc(sizeof *array);
    for (size_t count = 1; count <= 1000; count++) {
        array = reallocarray(array, count, sizeof *array);
        if (array == NULL)
            return 1;
        array[count - 1] = count;
    }
    for (size_t i = 0; i < 1000; i++)
        if (array[i] != i + 1)
            return 2;
    volatile size_t too_many = SIZE_MAX / 4;
    errno = 0;
    void *refused = reallocarray(array, too_many, sizeof *array);
    puts(refused == NULL && errno == ENOMEM ? "ok" : "an overflow was not refused");
    free(refused == NULL ? array : refused);
    return 0;
}
