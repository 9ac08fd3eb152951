/* dlopen_library LIBRARY: loads libhmalloc.so at run time and uses it, also in threads older than it. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 20000, HELD = 200 };

typedef void *allocate_function(size_t);
typedef void *resize_function(void *, size_t);
typedef void release_function(void *);

static allocate_function *allocate;
static resize_function *resize;
static release_function *release;
static pthread_barrier_t loaded;

static void *find(void *library, const char *name)
{
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        puts(dlerror());
        exit(1);
    }
    return symbol;
}

static void *use(void *argument)
{
    unsigned char *held[HELD] = {NULL};
    size_t sizes[HELD] = {0};
    unsigned seed = *(const unsigned *)argument;
    pthread_barrier_wait(&loaded);
    for (int i = 0; i < ROUNDS; i++) {
        seed = seed * 1664525u + 1013904223u;
        size_t slot = (seed >> 8) % HELD, size = (seed >> 16) % 3000 + 1;
        if (held[slot] != NULL && held[slot][sizes[slot] - 1] != (unsigned char)slot)
            exit(1);
        if (i % 3 == 0) {
            held[slot] = resize(held[slot], size);
        } else {
            release(held[slot]);
            held[slot] = allocate(size);
        }
        sizes[slot] = size;
        memset(held[slot], (int)slot, size);
        free(malloc(size));
    }
    for (int i = 0; i < HELD; i++)
        release(held[i]);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t before[THREADS], after;
    unsigned seeds[THREADS];
    pthread_barrier_init(&loaded, NULL, THREADS + 1);
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i + 1;
        pthread_create(&before[i], NULL, use, &seeds[i]);
    }
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (library == NULL) {
        puts(argc > 1 ? dlerror() : "no library named");
        return 1;
    }
    allocate = (allocate_function *)find(library, "hmalloc");
    resize = (resize_function *)find(library, "hrealloc");
    release = (release_function *)find(library, "hfree");
    pthread_barrier_wait(&loaded);
    for (int i = 0; i < THREADS; i++)
        pthread_join(before[i], NULL);
    void *kept = allocate(100);
    pthread_barrier_destroy(&loaded);
    pthread_barrier_init(&loaded, NULL, 1);
    pthread_create(&after, NULL, use, &seeds[0]);
    pthread_join(after, NULL);
    release(kept);
    puts("ok");
    /* Threads and fork handlers may still point into it; closing must be harmless. */
    return dlclose(library);
}
