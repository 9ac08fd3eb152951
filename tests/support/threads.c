#include "support/threads.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TRIES 20000

/* The threads with the name, or those of them in that state. */
static int count_threads(const char *name, const char *state)
{
    int found = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300];
        char line[64] = "";
        char want[300];
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", task->d_name);
        snprintf(want, sizeof want, "%s (%s) %s", task->d_name, name, state);
        FILE *file = fopen(path, "r");
        if (file != NULL) {
            found += fgets(line, sizeof line, file) != NULL && strncmp(line, want, strlen(want)) == 0;
            fclose(file);
        }
    }
    closedir(tasks);
    return found;
}

int threads_named(const char *name)
{
    return count_threads(name, "");
}

bool threads_asleep(const char *name, int count)
{
    bool asleep = false;
    for (int i = 0; i < TRIES && !asleep; i++) {
        asleep = count_threads(name, "S") >= count;
        usleep(asleep ? 0 : 1000);
    }
    return asleep;
}

void threads_run(const atomic_int *running, int count)
{
    while (atomic_load(running) < count) {
        sched_yield();
    }
}
