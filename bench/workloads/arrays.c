/* arrays STEPS: 16 arrays that grow by an eighth at a time, each to a length of its own between 256 KiB and 16 MiB,
 * with small blocks allocated in between; an array that is full is cut to what it needs and replaced after a while.
 *
 * Columns of data, lists of a scripting language, buffers of an editor: realloc's second life, in company. What
 * grows here must not be copied each time, and what it leaves behind must serve the others. */
#include "support/bench.h"

enum { ARRAYS = 16, SMALL = 4096, LEAST = 256 << 10, PAGE = 4096 };

struct array {
    char *data;
    size_t size, end;
};

static uint64_t seed = 1;
static void *small[SMALL];

static void resize(struct array *array, size_t size)
{
    char *data = realloc(array->data, size);
    if (data == NULL)
        bench_fail("realloc");
    for (size_t at = array->size; at < size; at += PAGE)
        data[at] = 1;
    array->data = data;
    array->size = size;
}

static void step(struct array *array)
{
    if (array->data == NULL) {
        array->end = (size_t)LEAST << bench_below(&seed, 7);
        resize(array, 64);
    } else if (array->size < array->end) {
        resize(array, array->size + array->size / 8 + 16);
    } else if (array->size > array->end) {
        resize(array, array->end);
    } else {
        free(array->data);
        array->data = NULL;
        array->size = 0;
    }
}

int main(int argc, char **argv)
{
    const size_t steps = bench_number(argc, argv, 1);
    static struct array arrays[ARRAYS];
    bench_start();
    for (size_t i = 0; i < steps; i++) {
        step(&arrays[bench_below(&seed, ARRAYS)]);
        for (int j = 0; j < 8; j++) {
            size_t place = bench_below(&seed, SMALL);
            free(small[place]);
            small[place] = bench_filled(bench_size(&seed, 16, 400));
        }
    }
    bench_stop();
    for (size_t i = 0; i < ARRAYS; i++)
        free(arrays[i].data);
    for (size_t i = 0; i < SMALL; i++)
        free(small[i]);
    bench_settle(0);
    return 0;
}
