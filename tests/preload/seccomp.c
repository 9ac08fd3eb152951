/* seccomp [unfiltered]: an allocation workload under a filter that refuses madvise, mremap, getrandom, membarrier and
 * open.
 *
 * Waits for a line on standard input before the filter goes in, so that a test can look at the process first.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 4, HELD = 500, ROUNDS = 20000 };

static const unsigned refused[] = {
    SYS_madvise, SYS_mremap, SYS_getrandom, SYS_membarrier, SYS_openat, SYS_openat2,
#ifdef SYS_open
    SYS_open,
#endif
};
enum { REFUSED = sizeof refused / sizeof refused[0] };

static int install_filter(void)
{
    struct sock_filter code[2 * REFUSED + 2];
    unsigned short at = 0;
    code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < REFUSED; i++) {
        code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused[i], 0, 1);
        code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    }
    code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {at, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void require(int truth, const char *what)
{
    if (!truth) {
        printf("failed: %s\n", what);
        fflush(stdout);
        _exit(1);
    }
}

/* Without mremap a growing block must be copied. */
static void grow(void)
{
    size_t step = 256 << 10, size = 0;
    unsigned char *block = NULL;
    for (int i = 0; i < 128; i++) {
        unsigned char *bigger = realloc(block, size + step);
        require(bigger != NULL, "realloc while growing");
        block = bigger;
        block[size] = (unsigned char)i;
        size += step;
    }
    for (int i = 0; i < 128; i++)
        require(block[(size_t)i * step] == (unsigned char)i, "contents after growing");
    block = realloc(block, 1000);
    require(block != NULL && block[0] == 0, "shrinking");
    free(block);
}

/* calloc can't count on madvise to make memory read as zero again. */
static void reuse(void)
{
    for (int i = 0; i < 30; i++) {
        size_t size = (size_t)1 << (10 + i % 14);
        unsigned char *block = malloc(size);
        require(block != NULL, "malloc");
        memset(block, 0xff, size);
        free(block);
        block = calloc(1, size);
        require(block != NULL, "calloc");
        for (size_t at = 0; at < size; at += 64)
            require(block[at] == 0, "calloc reads as zero");
        free(block);
    }
}

static void *churn(void *argument)
{
    void *held[HELD] = {NULL};
    unsigned seed = *(const unsigned *)argument;
    for (int i = 0; i < ROUNDS; i++) {
        seed = seed * 1664525u + 1013904223u;
        size_t slot = (seed >> 8) % HELD, size = (seed >> 12) % (i % 100 ? 2000 : 300000) + 1;
        free(held[slot]);
        held[slot] = malloc(size);
        require(held[slot] != NULL, "malloc");
        memset(held[slot], (int)slot, size);
    }
    for (int i = 0; i < HELD; i++)
        free(held[i]);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    unsigned seeds[THREADS];
    require(getchar() == '\n', "a line on standard input");
    if (argc < 2 || strcmp(argv[1], "unfiltered") != 0) {
        require(install_filter(), "the filter");
        require(madvise(NULL, 0, MADV_NORMAL) == -1 && errno == EPERM, "the filter refuses madvise");
    }
    grow();
    reuse();
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i;
        require(pthread_create(&threads[i], NULL, churn, &seeds[i]) == 0, "pthread_create");
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    reuse();
    puts("ok");
    return 0;
}
