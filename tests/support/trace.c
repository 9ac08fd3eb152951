#include "support/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BLOCKS  4000
#define SPARSE_FROM ((size_t)64 << 10) /* larger blocks are filled at both ends and here and there */
#define SPARSE_ENDS ((size_t)8 << 10)
#define SPARSE_STEP ((size_t)4096)

const char *const trace_mix_names[TRACE_MIXES] = {"tiny", "middle", "chunk", "large", "all"};

__attribute__((format(printf, 2, 3))) _Noreturn static void fail(const struct trace *trace,
                                                                 const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "trace %s, seed %llu, step %zu: %s\n", trace_mix_names[trace->mix],
            (unsigned long long)trace->seed, trace->steps, text);
    abort();
}

uint64_t trace_random(struct trace *trace)
{
    uint64_t x = trace->random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static size_t below(struct trace *trace, size_t n)
{
    return trace_random(trace) % n;
}

/* Every power of two is as likely as the others. */
static size_t up_to_power(struct trace *trace, unsigned log2)
{
    return below(trace, (size_t)2 << below(trace, log2));
}

static size_t any_size(struct trace *trace)
{
    size_t pick = below(trace, 1000);
    if (pick < 700) {
        return below(trace, 256);
    }
    if (pick < 950) {
        return up_to_power(trace, 14);
    }
    return pick < 997 ? up_to_power(trace, 18) : below(trace, (size_t)3 << 20);
}

static size_t random_size(struct trace *trace)
{
    switch (trace->mix) {
    case TRACE_TINY:
        return below(trace, 65);
    case TRACE_MIDDLE:
        return 300 + below(trace, 301);
    case TRACE_CHUNK:
        return up_to_power(trace, 14);
    case TRACE_LARGE:
        return below(trace, 4) == 0 ? below(trace, (size_t)3 << 20) : up_to_power(trace, 19);
    default:
        return any_size(trace);
    }
}

/* Contents */

static uint64_t word_at(uint64_t tag, size_t at)
{
    return (tag + at) * UINT64_C(0x9e3779b97f4a7c15);
}

static bool is_sparse_gap(size_t at, size_t bytes)
{
    return bytes > SPARSE_FROM && at >= SPARSE_ENDS && at + SPARSE_ENDS < bytes && at % SPARSE_STEP != 0;
}

static void fill(const struct trace_block *block)
{
    size_t at = 0;
    for (; at + 8 <= block->bytes; at += 8) {
        if (is_sparse_gap(at, block->bytes)) {
            at += SPARSE_STEP - at % SPARSE_STEP - 8;
            continue;
        }
        uint64_t word = word_at(block->tag, at);
        memcpy(block->at + at, &word, 8);
    }
    for (; at < block->bytes; at++) {
        block->at[at] = (unsigned char)word_at(block->tag, at);
    }
}

/* `bytes`: how much of the block to look at, from its start. */
static void check_contents(const struct trace *trace, const struct trace_block *block, size_t bytes)
{
    size_t at = 0;
    for (; at + 8 <= bytes; at += 8) {
        if (is_sparse_gap(at, block->bytes)) {
            at += SPARSE_STEP - at % SPARSE_STEP - 8;
            continue;
        }
        uint64_t word;
        memcpy(&word, block->at + at, 8);
        if (at + 8 <= block->bytes && word != word_at(block->tag, at)) {
            fail(trace, "block %p of %zu bytes is damaged at byte %zu", (void *)block->at, block->bytes, at);
        }
    }
    for (; at < bytes && block->bytes == bytes; at++) {
        if (block->at[at] != (unsigned char)word_at(block->tag, at)) {
            fail(trace, "block %p of %zu bytes is damaged at byte %zu", (void *)block->at, block->bytes, at);
        }
    }
}

static int by_address(const void *a, const void *b)
{
    const struct trace_block *x = a;
    const struct trace_block *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

void trace_check(struct trace *trace)
{
    qsort(trace->blocks, trace->count, sizeof(trace->blocks[0]), by_address);
    for (size_t i = 0; i < trace->count; i++) {
        const struct trace_block *block = &trace->blocks[i];
        check_contents(trace, block, block->bytes);
        if (i > 0 && block[-1].at + block[-1].bytes > block->at) {
            fail(trace, "blocks %p of %zu bytes and %p overlap", (void *)block[-1].at, block[-1].bytes,
                 (void *)block->at);
        }
    }
}

/* Calls */

/* A new or resized block joins the reference; half of them with all that is usable. */
static void add(struct trace *trace, void *at, size_t bytes)
{
    struct trace_block block = {.at = at, .bytes = bytes, .tag = trace_random(trace)};
    size_t usable = trace->verbs->usable(trace->self, at);
    if (usable < bytes || usable < 1) {
        fail(trace, "block %p of %zu bytes has %zu usable", at, bytes, usable);
    }
    if (block.tag % 2 == 0) {
        block.bytes = usable;
    }
    fill(&block);
    if (trace->count == trace->capacity) {
        fail(trace, "more than %zu blocks", trace->capacity);
    }
    trace->blocks[trace->count++] = block;
    trace->bytes += block.bytes;
}

static struct trace_block take(struct trace *trace, size_t index)
{
    struct trace_block block = trace->blocks[index];
    trace->blocks[index] = trace->blocks[--trace->count];
    trace->bytes -= block.bytes;
    return block;
}

/* True if a block came. */
static bool came(struct trace *trace, const void *at, size_t align)
{
    if (at == NULL) {
        if (!trace->may_fail) {
            fail(trace, "no memory with %zu bytes in %zu blocks", trace->bytes, trace->count);
        }
        trace->failures++;
        return false;
    }
    if ((uintptr_t)at % (align < 16 ? 16 : align) != 0) {
        fail(trace, "block %p isn't aligned to %zu", at, align);
    }
    return true;
}

static void allocate(struct trace *trace)
{
    size_t bytes = random_size(trace);
    void *at = trace->verbs->malloc(trace->self, bytes);
    if (came(trace, at, 16)) {
        add(trace, at, bytes);
    }
}

static void allocate_zero(struct trace *trace)
{
    size_t bytes = random_size(trace);
    unsigned char *at = trace->verbs->calloc(trace->self, bytes);
    if (!came(trace, at, 16)) {
        return;
    }
    if (bytes > 0 && (at[0] != 0 || memcmp(at, at + 1, bytes - 1) != 0)) {
        fail(trace, "calloc's block %p of %zu bytes isn't zero", (void *)at, bytes);
    }
    add(trace, at, bytes);
}

static void allocate_aligned(struct trace *trace)
{
    size_t align = (size_t)1 << below(trace, below(trace, 16) == 0 ? 18 : 10);
    size_t bytes = random_size(trace);
    void *at = trace->verbs->aligned(trace->self, align, bytes);
    if (came(trace, at, align)) {
        add(trace, at, bytes);
    }
}

static void resize(struct trace *trace)
{
    struct trace_block old = take(trace, below(trace, trace->count));
    size_t bytes = below(trace, 3) == 0 ? random_size(trace) : old.bytes + below(trace, old.bytes + 17);
    bytes += bytes == 0;
    check_contents(trace, &old, old.bytes);
    void *at = trace->verbs->realloc(trace->self, old.at, bytes);
    if (!came(trace, at, 16)) {
        if (bytes <= old.bytes) {
            fail(trace, "shrinking %p from %zu to %zu failed", (void *)old.at, old.bytes, bytes);
        }
        trace->blocks[trace->count++] = old;
        trace->bytes += old.bytes;
        return;
    }
    struct trace_block moved = {.at = at, .bytes = old.bytes, .tag = old.tag};
    check_contents(trace, &moved, bytes < old.bytes ? bytes : old.bytes);
    add(trace, at, bytes);
}

static void release(struct trace *trace)
{
    struct trace_block block = take(trace, below(trace, trace->count));
    check_contents(trace, &block, block.bytes);
    trace->verbs->free(trace->self, block.at);
}

static void send(struct trace *trace)
{
    pthread_mutex_lock(&trace->mail->mutex);
    if (trace->mail->count < sizeof(trace->mail->block) / sizeof(trace->mail->block[0])) {
        trace->mail->block[trace->mail->count++] = take(trace, below(trace, trace->count));
    }
    pthread_mutex_unlock(&trace->mail->mutex);
}

static void receive(struct trace *trace)
{
    struct trace_block block = {.at = NULL};
    pthread_mutex_lock(&trace->mail->mutex);
    if (trace->mail->count > 0) {
        block = trace->mail->block[--trace->mail->count];
    }
    pthread_mutex_unlock(&trace->mail->mutex);
    if (block.at == NULL) {
        return;
    }
    check_contents(trace, &block, block.bytes);
    if (trace->count < trace->capacity && below(trace, 4) == 0) {
        trace->blocks[trace->count++] = block;
        trace->bytes += block.bytes;
    } else {
        trace->verbs->free(trace->self, block.at);
    }
}

static void choose_direction(struct trace *trace)
{
    if (trace->count + 1 >= trace->capacity || trace->bytes >= trace->max_bytes) {
        trace->shrinking = true;
    } else if (trace->count == 0 || below(trace, 3000) == 0) {
        trace->shrinking = trace->count > 0 && below(trace, 2) == 0;
    }
}

void trace_step(struct trace *trace)
{
    choose_direction(trace);
    size_t pick = below(trace, 100);
    bool full = trace->count + 1 >= trace->capacity || trace->bytes >= trace->max_bytes;
    trace->steps++;
    if (trace->mail != NULL && pick < 10) {
        if (pick < 5 && trace->count > 0) {
            send(trace);
        } else {
            receive(trace);
        }
    } else if (trace->count > 0 && (full || pick < (trace->shrinking ? 65 : 40))) {
        release(trace);
    } else if (trace->count > 0 && pick < 75) {
        resize(trace);
    } else if (pick < 90) {
        allocate(trace);
    } else if (pick < 95) {
        allocate_zero(trace);
    } else {
        allocate_aligned(trace);
    }
    if (trace->verbs->trim != NULL && below(trace, 10000) == 0) {
        trace->verbs->trim(trace->self);
    }
}

void trace_run(struct trace *trace, size_t steps, size_t every)
{
    for (size_t i = 1; i <= steps; i++) {
        trace_step(trace);
        if (i % every == 0 || i == steps) {
            trace_check(trace);
            trace->verbs->verify(trace->self);
        }
    }
}

void trace_free_all(struct trace *trace)
{
    while (trace->count > 0) {
        release(trace);
    }
    if (trace->mail != NULL) {
        pthread_mutex_lock(&trace->mail->mutex);
        while (trace->mail->count > 0) {
            struct trace_block block = trace->mail->block[--trace->mail->count];
            check_contents(trace, &block, block.bytes);
            trace->verbs->free(trace->self, block.at);
        }
        pthread_mutex_unlock(&trace->mail->mutex);
    }
}

void trace_init(struct trace *trace, const struct trace_verbs *verbs, void *self, uint64_t seed,
                enum trace_mix mix)
{
    *trace = (struct trace){.verbs = verbs,
                            .self = self,
                            .seed = seed,
                            .random = seed * UINT64_C(0xd1342543de82ef95),
                            .mix = mix,
                            .max_bytes = (size_t)48 << 20,
                            .capacity = MAX_BLOCKS};
    trace->blocks = malloc(MAX_BLOCKS * sizeof(trace->blocks[0]));
}

void trace_drop(struct trace *trace)
{
    free(trace->blocks);
}
