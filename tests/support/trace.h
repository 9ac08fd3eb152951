/* Random traces of allocator calls against a reference.
 *
 * The reference knows each block's address, size and contents: a pattern of its own, so that a block that overlaps
 * another, loses its contents in a realloc, or is handed out twice shows. calloc's zeros, alignment, usable size
 * and the sorted order of all blocks are checked too. A finding ends the process with a line that names the seed
 * and the step. */
#ifndef HM_TESTS_SUPPORT_TRACE_H
#define HM_TESTS_SUPPORT_TRACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `self` is what the trace was made with. */
struct trace_verbs {
    void *(*malloc)(void *self, size_t bytes);
    void *(*calloc)(void *self, size_t bytes);
    void *(*aligned)(void *self, size_t align, size_t bytes);
    void *(*realloc)(void *self, void *block, size_t bytes);
    void (*free)(void *self, void *block);
    size_t (*usable)(void *self, const void *block);
    void (*trim)(void *self);
    void (*verify)(void *self);
};

enum trace_mix {
    TRACE_TINY,   /* 0 to 64 bytes */
    TRACE_MIDDLE, /* 300 to 600 */
    TRACE_CHUNK,  /* to 16 KiB, small ones more often */
    TRACE_LARGE,  /* to 3 MiB, small ones more often */
    TRACE_ALL,    /* most of them small, some of every size */
    TRACE_MIXES,
};

extern const char *const trace_mix_names[TRACE_MIXES];

struct trace_block {
    unsigned char *at;
    size_t bytes; /* filled */
    uint64_t tag;
};

/* Blocks on their way to another thread. */
struct trace_mail {
    pthread_mutex_t mutex;
    struct trace_block block[256];
    size_t count;
};

struct trace {
    const struct trace_verbs *verbs;
    void *self;
    uint64_t seed;
    uint64_t random;
    enum trace_mix mix;
    size_t max_bytes;        /* live at once, by what was asked for */
    bool may_fail;           /* NULL is an answer */
    struct trace_mail *mail; /* NULL: none */

    struct trace_block *blocks;
    size_t capacity;
    size_t count;
    size_t bytes;
    size_t steps;
    size_t failures;
    bool shrinking; /* frees are more frequent than allocations */
};

/* The pattern of seeds must differ between traces that exchange blocks. */
void trace_init(struct trace *trace, const struct trace_verbs *verbs, void *self, uint64_t seed,
                enum trace_mix mix);

/* One call. */
void trace_step(struct trace *trace);

/* `steps` calls; all contents and the verifier every `every` of them and at the end. */
void trace_run(struct trace *trace, size_t steps, size_t every);

/* Contents of all blocks, and that none overlaps another. */
void trace_check(struct trace *trace);

/* Frees all blocks, and those in the mail. */
void trace_free_all(struct trace *trace);

/* Releases the reference's own memory; blocks must have been freed. */
void trace_drop(struct trace *trace);

/* The trace's random numbers. */
uint64_t trace_random(struct trace *trace);

#endif
