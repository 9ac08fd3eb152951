/* A library that guards a lock of its own across fork, registered by a constructor before anything in the process
 * has allocated. */
#include <pthread.h>
#include <stdlib.h>

enum { BLOCKS = 4000, BLOCK_BYTES = 200 };

void locked_allocation(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void before_fork(void)
{
    static void *blocks[BLOCKS];
    pthread_mutex_lock(&lock);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BLOCK_BYTES);
    }
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void at_load(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

void locked_allocation(void)
{
    pthread_mutex_lock(&lock);
    void *volatile block = malloc(100000);
    free(block);
    pthread_mutex_unlock(&lock);
}
