/* A core over the fake OS, and the public verbs as they would be if it were the process's. */
#ifndef HM_TESTS_SUPPORT_CORE_FIXTURE_H
#define HM_TESTS_SUPPORT_CORE_FIXTURE_H

#include "heap/alloc.h"
#include "heap/fast.h"
#include "support/fake_os.h"

struct core_fixture {
    struct fake_os fake;
    struct core *core; /* of 4 MiB, zero-filled by the OS */
};

extern const struct core_options core_fixture_options;

/* options: NULL for core_fixture_options. break_bytes and page_size as in fake_os_init. Failure ends the
 * process. */
void core_fixture_init(struct core_fixture *fixture, const struct core_options *options, size_t break_bytes,
                       size_t page_size);
void core_fixture_drop(struct core_fixture *fixture);

/* `heap` is never NULL here. */
void *core_malloc(struct core *core, struct theap *heap, size_t bytes);
void *core_calloc(struct core *core, struct theap *heap, size_t bytes);
void *core_aligned(struct core *core, struct theap *heap, size_t align, size_t bytes);
void *core_realloc(struct core *core, struct theap *heap, void *block, size_t bytes);
void core_free(struct core *core, struct theap *heap, void *block);

#endif
