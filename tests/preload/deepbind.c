/* deepbind HELPER own|to_helper|from_helper|opener: loads HELPER with RTLD_DEEPBIND and lets it allocate and free.
 *
 * own: each side frees its own blocks. to_helper: the helper frees the program's. from_helper: the other way.
 * opener: HELPER opens another library itself.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 2000 };

typedef void *allocate_function(size_t);
typedef void release_function(void *);
typedef int work_function(int);
typedef void *open_function(void);

static void *find(void *library, const char *name)
{
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        puts(dlerror());
        exit(1);
    }
    return symbol;
}

static void pass_blocks(allocate_function *allocate, release_function *release)
{
    void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = allocate(i * 7 % 5000 + 1);
        memset(blocks[i], 1, i * 7 % 5000 + 1);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        release(blocks[i]);
}

static int use_helper(void *library, const char *way)
{
    allocate_function *allocate = (allocate_function *)find(library, "helper_allocate");
    release_function *release = (release_function *)find(library, "helper_release");
    work_function *work = (work_function *)find(library, "helper_work");
    if (strcmp(way, "to_helper") == 0)
        pass_blocks(malloc, release);
    else if (strcmp(way, "from_helper") == 0)
        pass_blocks(allocate, free);
    else if (!work(5000))
        return 0;
    pass_blocks(malloc, free);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (library != NULL && strcmp(argv[2], "opener") == 0)
        library = ((open_function *)find(library, "opener_open"))();
    if (library == NULL) {
        puts(dlerror());
        return 1;
    }
    if (!use_helper(library, argv[2]))
        return 1;
    puts("ok");
    return dlclose(library);
}
