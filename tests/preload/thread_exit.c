/* thread_exit [THREADS]: short-lived threads one after another; what they leave must be used again.
 *
 * Each allocates and frees, leaves a block that the next thread frees, frees and allocates in its key
 * destructors (all rounds of them), and makes glibc free memory of the thread after those (strerror's buffer,
 * locale, the thread's stack). */
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WARM_UP = 1000, BLOCKS = 100, LEFT = 20, GROWTH_KIB = 256 };

static pthread_key_t key, again_key;
static void *left[LEFT];
static char shown[200];

static long resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
        exit(2);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Runs in every round of destructors: sets its key again until the last. */
static void destroy(void *value)
{
    int *round = value;
    int number = *round;
    free(round);
    free(malloc(50000));
    if (number < PTHREAD_DESTRUCTOR_ITERATIONS) {
        round = malloc(sizeof *round * 30);
        *round = number + 1;
        pthread_setspecific(number % 2 ? again_key : key, round);
    }
}

static void *thread(void *argument)
{
    uintptr_t number = (uintptr_t)argument;
    char *blocks[BLOCKS];
    for (size_t i = 0; i < LEFT; i++) {
        free(left[i]);
        left[i] = malloc(i * 40 + number % 50);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc((i * i + number) % 3000 + 1);
        memset(blocks[i], 1, (i * i + number) % 3000 + 1);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    int *round = malloc(sizeof *round);
    *round = 1;
    pthread_setspecific(key, round);
    snprintf(shown, sizeof shown, "%s", strerror(100000 + (int)number));
    return NULL;
}

static void run_one(uintptr_t number)
{
    pthread_t id;
    if (pthread_create(&id, NULL, thread, (void *)number) != 0 || pthread_join(id, NULL) != 0) {
        puts("pthread_create failed");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    uintptr_t threads = argc > 1 ? (uintptr_t)atol(argv[1]) : 10000;
    pthread_key_create(&key, destroy);
    pthread_key_create(&again_key, destroy);
    for (uintptr_t i = 0; i < WARM_UP; i++)
        run_one(i);
    long before = resident_kib();
    for (uintptr_t i = WARM_UP; i < threads; i++)
        run_one(i);
    long growth = resident_kib() - before;
    fprintf(stderr, "RSS after %d threads: %ld KiB, then %+ld KiB\n", WARM_UP, before, growth);
    if (growth > GROWTH_KIB) {
        puts("RSS grows with the number of threads");
        return 1;
    }
    puts("ok");
    return 0;
}
