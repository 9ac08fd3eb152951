/* Backend: where the store keeps its entries. One block holds one entry, and everything that differs between plain
 * pointers, handles and slots is in here; the store knows none of it. */
#ifndef HM_BENCH_KVSTORE_BACKEND_H
#define HM_BENCH_KVSTORE_BACKEND_H

#include <hmalloc/handle.h>

/* What the index keeps of a block: a pointer, a handle with a hint of where the block was last, or a slot, which is the pointer itself. As
 * long on all backends. All zero: no block. */
union ref {
    void *pointer;
    struct {
        hm_handle handle;
        void *hint;
    };
};

struct backend {
    const char *name;

    /* Around everything; with compaction in the background, where the backend has it. */
    void (*start)(void);
    void (*stop)(void);

    /* A new block at a reference that has none; false: memory is exhausted. */
    bool (*alloc)(union ref *ref, size_t bytes);
    void (*free)(union ref *ref);

    /* The block's bytes, to be read until `done`; it may be moved, but not be reused. These nest not. */
    const void *(*read)(union ref *ref);
    void (*done)(void);

    /* The block's bytes, to be written until `written`. */
    void *(*write)(union ref *ref);
    void (*written)(union ref *ref);

    /* The index keeps its reference in another place from now on. */
    void (*move)(union ref *from, union ref *to);

    /* Reports what only this backend knows. */
    void (*report)(void);
};

extern const struct backend backend_malloc, backend_handles, backend_slots;

#endif
