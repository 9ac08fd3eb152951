#include <pthread.h>
#include <stdlib.h>

#define USE_THREAD_SAFETY
#define DALLOC_MUTEX_TYPE pthread_mutex_t *
#define DALLOC_MUTEX_CREATE()                                                                                \
    ({                                                                                                       \
        pthread_mutex_t *m = (pthread_mutex_t *)malloc(sizeof(pthread_mutex_t));                             \
        if (m)                                                                                               \
            pthread_mutex_init(m, NULL);                                                                     \
        m;                                                                                                   \
    })
#define DALLOC_MUTEX_DELETE(mutex)                                                                           \
    do {                                                                                                     \
        if (mutex) {                                                                                         \
            pthread_mutex_destroy(mutex);                                                                    \
            free(mutex);                                                                                     \
        }                                                                                                    \
    } while (0)
#define DALLOC_MUTEX_LOCK(mutex)                                                                             \
    do {                                                                                                     \
        if (mutex)                                                                                           \
            pthread_mutex_lock(mutex);                                                                       \
    } while (0)
#define DALLOC_MUTEX_UNLOCK(mutex)                                                                           \
    do {                                                                                                     \
        if (mutex)                                                                                           \
            pthread_mutex_unlock(mutex);                                                                     \
    } while (0)
#define dalloc_debug(...)
