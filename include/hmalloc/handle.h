/* Blocks that move: heaps that defragment themselves.
 *
 * A movable heap may move its blocks, so that scattered free memory becomes one piece, is given back to the OS, or serves a
 * request that would fail otherwise. A caller names a block in one of two ways:
 *  - by handle: a checked name; hm_pin gives the address and holds the block where it is until hm_unpin, hm_deref gives
 *    it for the length of a read section;
 *  - by slot: the address of the caller's own pointer variable, which the heap rewrites whenever the block moves.
 *
 * A heap grows from the OS (hm_movable_create), or lives in a buffer of the caller's and uses no other memory
 * (hm_movable_create_in). Every function takes the heap first; NULL means the process's default heap, which grows, and is
 * made at the first use unless hm_movable_set_default chose one.
 *
 * Unless said otherwise, functions may be called from any thread at any time, not from signal handlers. Sizes are in bytes.
 * Exhaustion: false, NULL or 0 with errno ENOMEM, and the heap as it was. Misuse marked fatal writes one line that begins with
 * "hmalloc: " to stderr and aborts. So does a heap that was destroyed, until its memory is used again, or a pointer to something else; but
 * hm_handle_alloc, hm_handle_free, hm_pin, hm_unpin and read sections are too short to notice the latter. No standard covers these
 * functions. */
#ifndef HMALLOC_HANDLE_H
#define HMALLOC_HANDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hm_heap hm_heap;

/* Heaps */

/* Why a callback is called: may the block be moved? / its bytes are at the new place now. */
enum hm_move { HM_MOVE_ASK, HM_MOVED };

/* HM_MOVE_ASK: false keeps the block where it is, for this time. HM_MOVED: the copy at `to` is not yet visible to anyone else, so
 * pointers into the block can be mended; `from` can still be read in heaps that grow, and may be overwritten already in a
 * buffer; the result is ignored. Not called for the block that a resize is asked for, whose caller expects it to move. Called by
 * the thread that compacts, with locks of the heap held: it must not call functions of this header. */
typedef bool (*hm_on_move)(void *context, enum hm_move what, void *from, void *to, size_t size);

#define HM_MOVABLE_ZERO_ON_FREE 1u /* freed and moved-away bytes are overwritten with zeros at once */
#define HM_MOVABLE_SINGLE_OWNER                                                                              \
    2u /* the caller sees to it that one thread at a time uses the heap: no locks are taken */
#define HM_MOVABLE_SLOTS_PINNED                                                                              \
    4u /* slots are read only under hm_slot_pin or in read sections: blocks with slots may move at any time */
#define HM_MOVABLE_NO_RESCUE 8u /* a request that would fail doesn't compact */

struct hm_movable_options {
    const char *name; /* shown in reports; NULL: none. The caller keeps it alive. */
    size_t alignment; /* of every block: 8 or 16; 0: 16 */
    size_t max_bytes; /* the heap holds no more than this from the OS; 0: no limit. Not for buffers. */
    size_t
        max_handles; /* address space set aside for the table, 16 bytes each; 0: 2^28, fewer where the OS refuses */
    unsigned flags;     /* HM_MOVABLE_ */
    hm_on_move on_move; /* NULL: blocks are moved without asking */
    void *context;      /* passed to on_move */
};

/* A heap that grows. NULL options: all zero. The caller owns it until hm_movable_destroy. NULL with ENOMEM, or EINVAL for
 * options that make no sense. */
hm_heap *hm_movable_create(const struct hm_movable_options *options);

/* A heap in the caller's buffer of at least 1 KiB (EINVAL below) and at most 4 GiB, any alignment; all that the heap needs lies in the buffer,
 * which must stay untouched until hm_movable_destroy. */
hm_heap *hm_movable_create_in(void *buffer, size_t bytes, const struct hm_movable_options *options);

/* Frees all blocks (as hm_movable_reset) and gives the memory back. No other thread may use the heap any more; its
 * background compactor is stopped. NULL is a no-op. */
void hm_movable_destroy(hm_heap *heap);

/* Frees all blocks at once: handles become stale, slots are set to NULL. False with EBUSY, and nothing is done, while blocks
 * are pinned, or another thread is resizing one. Linear in the number of blocks. */
bool hm_movable_reset(hm_heap *heap);

/* The heap that NULL stands for. Choosing NULL makes it a heap of its own again. */
hm_heap *hm_movable_default(void);
void hm_movable_set_default(hm_heap *heap);

/* Handles */

/* A checked name of a block; 0 is none. The lower half finds the table's entry, the upper half is the entry's generation, which says
 * of which heap and which use of the entry it is: a handle never stands for another block than its own. */
typedef uint64_t hm_handle;

/* A new block of at least `size` bytes (uninitialised), named by the result until it is freed; 0 on exhaustion. Size 0 is a block
 * of its own. Constant time but for page faults and calls to the OS; in a buffer linear in the number of blocks. */
hm_handle hm_handle_alloc(hm_heap *heap, size_t size);

/* The same, count * size bytes, all zero. ENOMEM also when the product overflows. */
hm_handle hm_handle_calloc(hm_heap *heap, size_t count, size_t size);

/* Frees the block; 0 is a no-op. False with EBUSY, and nothing is done, while it is pinned. Read sections under way may read its
 * bytes until they leave (unless HM_MOVABLE_ZERO_ON_FREE). Fatal: a handle that was freed before, or of another heap. */
bool hm_handle_free(hm_heap *heap, hm_handle handle);

/* Resizes the block, keeping its bytes up to the smaller size; the handle stays valid. False with EBUSY while it is pinned (even if
 * the size would fit), with ENOMEM on exhaustion; the block is as it was. Fatal as hm_handle_free. A read section that has the handle
 * may look it up and find the new size: before a block that others read is made shorter, take its handle from where they find it, and
 * hm_read_synchronize. */
bool hm_handle_resize(hm_heap *heap, hm_handle handle, size_t size);

/* The size asked for last; 0 with errno ESTALE for a stale or foreign handle. */
size_t hm_handle_size(hm_heap *heap, hm_handle handle);

/* Whether the handle names a block of this heap. */
bool hm_handle_valid(hm_heap *heap, hm_handle handle);

/* Holds the block where it is and gives its address, to read and to write. Pins nest and may be undone by any thread. Waits,
 * at most for the copy of one block, while the block is being moved. NULL with errno ESTALE for a stale or foreign
 * handle (0 included), NULL with EBUSY beyond 65,535 pins of one block. */
void *hm_pin(hm_heap *heap, hm_handle handle);

/* Undoes one pin. Fatal: a stale handle, a block without a pin. */
void hm_unpin(hm_heap *heap, hm_handle handle);

/* A pin with a name, which the reports show with its age; `name` stays the caller's and must live until the pin is undone by
 * hm_unpin_tagged with the same name. Slower than hm_pin: takes a lock. NULL with ENOMEM when the record can't be kept; with ENOTSUP in
 * a buffer, where records would take blocks' room at the very time that pins make it scarce. Its dump shows which blocks are
 * pinned, and how often. */
void *hm_pin_tagged(hm_heap *heap, hm_handle handle, const char *name);
void hm_unpin_tagged(hm_heap *heap, hm_handle handle, const char *name);

/* Names the block in reports and dumps; the string is copied (at most 31 bytes), and one heap knows at most 255 different
 * names. NULL takes the name away. False with ESTALE, ENOMEM, or ENOTSUP in a buffer, which has no room for names. */
bool hm_handle_tag(hm_heap *heap, hm_handle handle, const char *name);

/* 32-bit names, for data structures that store many handles. They keep 5 bits of the generation and 27 of the index: a stale one
 * is noticed unless its entry was reused a multiple of 32 times since. Compacting gives 0 for a handle beyond the first 2^27 of
 * its heap; expanding gives 0 for a name that is stale. Constant time. */
typedef uint32_t hm_handle32;
hm_handle32 hm_handle_compact(hm_heap *heap, hm_handle handle);
hm_handle hm_handle_expand(hm_heap *heap, hm_handle32 compact);

/* Read sections */

/* Between these two, addresses from hm_deref stay readable: blocks may move meanwhile, but their old places aren't reused. Nests.
 * Sections must be short: memory that is to be given back waits for them. A thread must not compact, resize the heap's blocks, reset
 * or destroy inside of one of its own sections. Cost: one store and a fence each. Fatal: a leave without an enter of the thread (in a
 * buffer, which only counts sections: of any thread). */
void hm_read_enter(hm_heap *heap);
void hm_read_leave(hm_heap *heap);

/* Waits until every read section that other threads are in has been left. In a buffer the caller's own are waited for, too: not inside
 * of one there. */
void hm_read_synchronize(hm_heap *heap);

/* The front of every heap and of its table, for hm_deref alone. */
struct hm_entry {
    void *address;
    uint64_t word; /* upper half: generation */
};
struct hm_front {
    char *table;
    uint32_t limit; /* lower halves of handles, which count in 8 bytes, are below; it only grows */
};

/* The block's address for reading, inside a read section; NULL for a stale or foreign handle (0 included), or a heap that was
 * destroyed. Writing needs a pin. `heap` isn't NULL. */
static inline void *hm_deref(const hm_heap *heap, hm_handle handle)
{
    const struct hm_front *front = (const struct hm_front *)(const void *)heap;
    const struct hm_entry *entry =
        (const struct hm_entry *)(const void *)(front->table + (size_t)(uint32_t)handle * 8);
    if (__builtin_expect((uint32_t)handle >= __atomic_load_n(&front->limit, __ATOMIC_RELAXED), 0)) {
        return NULL;
    }
    void *address = __atomic_load_n(&entry->address, __ATOMIC_ACQUIRE);
    uint64_t word = __atomic_load_n(&entry->word, __ATOMIC_RELAXED);
    return __builtin_expect((word ^ handle) >> 32 == 0, 1) ? address : NULL;
}

/* The same for who follows handles at random through more memory than caches hold. *hint, the caller's, is where the block was at the
 * last call: the processor fetches it from there while it waits for the table, so it waits for memory once and not twice. NULL at
 * first, but any address will do; what is wrong costs time, not more. Threads may share a hint. */
static inline void *hm_deref_hinted(const hm_heap *heap, hm_handle handle, void **hint)
{
    void *before = __atomic_load_n(hint, __ATOMIC_RELAXED);
    __builtin_prefetch(before);
    void *address = hm_deref(heap, handle);
    if (__builtin_expect(address != before, 0)) {
        __atomic_store_n(hint, address, __ATOMIC_RELAXED);
    }
    return address;
}

/* Slots
 *
 * A slot is the address of the caller's pointer variable (a T **, passed as void *, aligned as a pointer). The variable holds the block's address
 * and must stay where it is, and not be written by others, until the block is freed or handed to another slot. It may lie in another
 * block of the same heap: when that moves, the slot moves with it (but not in a call that is given this very slot). Blocks with slots move only in calls of functions
 * of this header on the heap (the caller keeps no copy of the pointer across them), unless HM_MOVABLE_SLOTS_PINNED. */

/* A new block whose address is put into *slot. False with ENOMEM (*slot is NULL then); EINVAL for a misaligned slot or one that has a
 * block already. */
bool hm_slot_alloc(hm_heap *heap, void *slot, size_t size);

/* One block of `size` bytes for each of `count` pointers in a row; all or, with ENOMEM, none. */
bool hm_slot_alloc_array(hm_heap *heap, void *slots, size_t count, size_t size);

/* Frees the slot's block and sets *slot to NULL; a NULL slot content is a no-op. False with EBUSY while pinned. Fatal: a slot that has no
 * block in this heap though it isn't NULL. */
bool hm_slot_free(hm_heap *heap, void *slot);

/* Resizes the block; *slot is updated. A slot content of NULL allocates. False with ENOMEM or EBUSY, the block as it was. Fatal as
 * hm_slot_free. */
bool hm_slot_resize(hm_heap *heap, void *slot, size_t size);

/* Hands the block over to another slot: *to gets the address, *from becomes NULL. False with EINVAL when `to` has a block of
 * this heap or is misaligned. The block itself stays where it is. */
bool hm_slot_move(hm_heap *heap, void *from, void *to);

/* The size asked for last; 0 when the slot has no block. */
size_t hm_slot_size(hm_heap *heap, const void *slot);

/* Whether the slot's variable holds the address of a block of the heap that belongs to this slot. */
bool hm_slot_valid(hm_heap *heap, const void *slot);

/* The slot of the block that begins at `address`; NULL if none does. */
void *hm_slot_of(hm_heap *heap, const void *address);

/* As hm_pin and hm_unpin, by slot. */
void *hm_slot_pin(hm_heap *heap, const void *slot);
void hm_slot_unpin(hm_heap *heap, const void *slot);

/* Looks at every slot of the heap: the number of those that no longer hold their block's address (a variable whose stack frame is
 * gone, or that was overwritten). Such blocks are never moved, and reports show them. One warning line for the
 * first. Linear in the number of blocks. */
size_t hm_slot_check(hm_heap *heap);

/* Compaction */

struct hm_budget {
    size_t bytes;         /* of blocks moved; 0: no limit */
    uint64_t nanoseconds; /* 0: no limit */
};

struct hm_compact_result {
    size_t moved_blocks;
    size_t moved_bytes;
    size_t released_bytes; /* given back to the OS; in a buffer: joined to the free end */
    size_t skipped_pinned; /* blocks not moved because they were pinned, */
    size_t skipped_vetoed; /* because on_move said so, */
    size_t skipped_lost;   /* because their slot didn't hold their address, */
    size_t skipped_slots;  /* because slots may not move now */
    size_t waiting_bytes;  /* emptied, but read sections may still look at them */
    size_t left_bytes;     /* of free memory between blocks that further steps may release */
    bool done;             /* nothing is left to do at the moment */
};

/* One step of compaction: moves blocks from the sparsest places to dense ones until the budget is used up or nothing
 * is left to do, and gives emptied pages back. Other threads go on meanwhile; of several compacting calls on one heap the second
 * waits for the first. Not inside a read section of the calling thread. */
struct hm_compact_result hm_compact(hm_heap *heap, struct hm_budget budget);

/* While the program allocates or frees so fast that it would go through the whole heap in 16 seconds, only places are compacted of which
 * at least half is free. When it lets the heap be after that, the thread goes down to the low mark wherever it is between the two. */
struct hm_compactor_options {
    unsigned low_percent;  /* stop when free memory between blocks is at most this share of the heap; 0: 3 */
    unsigned high_percent; /* begin above this share; 0: 10 */
    /* Of one CPU at most, 1 to 100; 0: 50. While the process uses most of all CPUs, an eighth of it, unless more than four times
     * high_percent are free. */
    unsigned cpu_percent;
    size_t bytes_per_second; /* moved at most; 0: no limit */
    struct hm_budget step;   /* of one step; zeros: 64 KiB, 100 microseconds */
    unsigned idle_ms;        /* between two looks at the heap while there is nothing to do; 0: 50 */
};

/* Starts a thread that compacts the heap in the background. False with EAGAIN when no thread can be had, EBUSY when the heap has one,
 * EINVAL. In a child of fork it has to be started anew. Stopping waits for the step under way. */
bool hm_compactor_start(hm_heap *heap, const struct hm_compactor_options *options);
void hm_compactor_stop(hm_heap *heap);

/* Seeing */

struct hm_movable_stats {
    size_t live_blocks;
    size_t live_bytes;     /* as asked for */
    size_t granule_bytes;  /* the same, each rounded up to the alignment */
    size_t metadata_bytes; /* table and headers of live blocks, descriptors */
    size_t held_bytes;     /* memory of the heap that may be resident, metadata included */
    size_t free_bytes;     /* of them between blocks: what compaction can win */
    size_t largest_free;   /* the largest piece of free memory in one (in a buffer; else 0) */
    size_t waiting_bytes;  /* emptied, waiting for read sections */
    size_t pinned_blocks;
    size_t slots;        /* live blocks that are named by a slot */
    size_t moved_blocks; /* since the heap was made */
    size_t moved_bytes;
    size_t released_bytes;
    size_t remapped_bytes; /* of large blocks moved without copying */
    size_t steps;
    uint64_t longest_step_ns;
};

/* Fills in the first `size` bytes of the structure (for later versions). False with EINVAL for size 0. */
bool hm_movable_stats_get(hm_heap *heap, struct hm_movable_stats *stats, size_t size);

enum hm_dump { HM_DUMP_TEXT, HM_DUMP_SVG, HM_DUMP_HEX };

/* Writes the layout to a file descriptor: as text (statistics, one line a chunk or block, the oldest pins), as a picture, or (buffers
 * only) the bytes in hexadecimal. False with the errno of write, or ENOTSUP. */
bool hm_movable_dump(hm_heap *heap, int fd, enum hm_dump format);

struct hm_pin_info {
    hm_handle handle;
    const char *name;
    const char *block_name; /* of hm_handle_tag; NULL */
    uint64_t age_ns;
    size_t kept_bytes; /* pages that would be given back if only this block's chunk had no pins */
};

/* The pins made by hm_pin_tagged, oldest first, at most `max`. The number of them there are. */
size_t hm_pin_report(hm_heap *heap, struct hm_pin_info *pins, size_t max);

/* Walks the heap and panics with the broken equation, as hm_verify. */
void hm_movable_verify(hm_heap *heap);

#ifdef __cplusplus
}
#endif

#endif
