/* deepbind HELPER own|to_helper|from_helper: loads HELPER with RTLD_DEEPBIND and lets it allocate and free.
 *
 * own: each side frees its own blocks. to_helper: the helper frees the program's. from_helper: the other way.
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

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (library == NULL) {
        puts(dlerror());
        return 1;
    }
    allocate_function *allocate = (allocate_function *)find(library, "helper_allocate");
    release_function *release = (release_function *)find(library, "helper_release");
    work_function *work = (work_function *)find(library, "helper_work");
    if (strcmp(argv[2], "to_helper") == 0)
        pass_blocks(malloc, release);
    else if (strcmp(argv[2], "from_helper") == 0)
        pass_blocks(allocate, free);
    else if (!work(5000))
        return 1;
    pass_blocks(malloc, free);
    puts("ok");
    return dlclose(library);
}
