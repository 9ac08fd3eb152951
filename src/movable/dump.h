/* Layout of a movable heap as text or as a picture (SVG), for both kinds; bytes in hexadecimal for buffers.
 *
 * The heap describes itself to a sink: chunk by chunk, each as pieces in the order of their addresses that cover it. One pass,
 * nothing is kept but the picture's current row, so that a heap of any size can be shown, and no memory is needed. The picture has at
 * most some 65,536 cells, each as many bytes as that takes; a cell shows how much of it is live and whether a pin holds it.
 *
 * Locks that the heap holds while it describes itself are held while output is written. */
#ifndef HM_MOVABLE_DUMP_H
#define HM_MOVABLE_DUMP_H

#include <hmalloc/handle.h>

#include "base/writer.h"

enum dump_kind {
    DUMP_FREE,   /* can be used at once, or by compaction */
    DUMP_LIVE,   /* a block */
    DUMP_PINNED, /* one that is pinned */
    DUMP_LOST,   /* one whose slot doesn't hold its address */
    DUMP_DEAD,   /* waits for read sections */
    DUMP_META,   /* the heap's own */
    DUMP_KINDS,
};

struct dump_piece {
    enum dump_kind kind;
    size_t bytes;     /* of memory */
    size_t size;      /* of the block, as asked for */
    hm_handle handle; /* 0: none, or named by a slot */
    const void *slot; /* NULL: none */
    unsigned pins;
    const char *name; /* of hm_handle_tag; NULL */
};

struct dump_sink;

/* What is shown. `walk` calls dump_chunk, then dump_piece for all of the chunk, for each chunk. */
struct dump_layout {
    const struct hm_heap *heap;
    const char *kind; /* a few words */
    const struct hm_movable_stats *stats;
    const struct hm_pin_info *pins; /* the oldest, for the text */
    size_t pin_count;
    size_t chunks;      /* at least as many as `walk` shows */
    size_t chunk_bytes; /* of the longest */
    bool summary;       /* the text has a line for a chunk, not for each of its pieces */
    void (*walk)(struct dump_sink *sink, void *context);
    void *context;
};

struct dump_sink {
    struct writer *out;
    const struct dump_layout *layout;
    void (*chunk)(struct dump_sink *sink, size_t bytes);
    void (*piece)(struct dump_sink *sink, const struct dump_piece *piece);
    uintptr_t at;  /* address of the next piece */
    uintptr_t end; /* of the chunk */
};

void dump_chunk(struct dump_sink *sink, const void *address, size_t bytes);
void dump_piece(struct dump_sink *sink, const struct dump_piece *piece);

/* False: a write failed, errno says how. */
bool dump_text(const struct dump_layout *layout, int fd);
bool dump_svg(const struct dump_layout *layout, int fd);

/* Lines of 32 bytes with their offset. */
bool dump_hex(const void *memory, size_t bytes, int fd);

#endif
