#include "movable/dump.h"

#include "base/check.h"
#include "movable/heap.h"

#define HEX_LINE 32

void dump_chunk(struct dump_sink *sink, const void *address, size_t bytes)
{
    HM_ASSERT(sink->at == sink->end, "pieces cover the chunk before");
    sink->at = (uintptr_t)address;
    sink->end = sink->at + bytes;
    sink->chunk(sink, bytes);
}

void dump_piece(struct dump_sink *sink, const struct dump_piece *piece)
{
    HM_ASSERT(sink->end - sink->at >= piece->bytes, "a piece lies in its chunk");
    if (piece->bytes > 0) {
        sink->piece(sink, piece);
        sink->at += piece->bytes;
    }
}

static const char *const kind_names[DUMP_KINDS] = {"free", "live", "pinned", "lost", "dead", "meta"};

static void text_chunk(struct dump_sink *sink, size_t bytes)
{
    writer_format(sink->out, "chunk %p, %zu bytes\n", (void *)sink->at, bytes);
}

static void text_piece(struct dump_sink *sink, const struct dump_piece *piece)
{
    writer_format(sink->out, "  %p %-6s %10zu", (void *)sink->at, kind_names[piece->kind], piece->bytes);
    if (piece->kind == DUMP_LIVE || piece->kind == DUMP_PINNED || piece->kind == DUMP_LOST) {
        writer_format(sink->out, "  size %zu", piece->size);
    }
    if (piece->handle != 0) {
        writer_format(sink->out, "  handle 0x%016zx", (size_t)piece->handle);
    }
    if (piece->slot != NULL) {
        writer_format(sink->out, "  slot %p", piece->slot);
    }
    if (piece->pins > 0) {
        writer_format(sink->out, "  pins %u", piece->pins);
    }
    if (piece->name != NULL) {
        writer_format(sink->out, "  %s", piece->name);
    }
    writer_format(sink->out, "\n");
}

/* The chunk that a line is being made of. */
struct summary {
    struct dump_sink sink;
    uintptr_t at;
    size_t chunk_bytes; /* 0: none */
    size_t blocks;
    size_t bytes[DUMP_KINDS];
};

static struct summary *summary_of(struct dump_sink *sink)
{
    return (struct summary *)sink;
}

static void summary_end(struct summary *summary)
{
    if (summary->chunk_bytes == 0) {
        return;
    }
    struct writer *out = summary->sink.out;
    writer_format(out, "chunk %p, %zu bytes: %zu blocks", (void *)summary->at, summary->chunk_bytes,
                  summary->blocks);
    for (int i = 0; i < DUMP_KINDS; i++) {
        if (summary->bytes[i] > 0) {
            writer_format(out, ", %s %zu", kind_names[i], summary->bytes[i]);
        }
        summary->bytes[i] = 0;
    }
    writer_format(out, "\n");
}

static void summary_chunk(struct dump_sink *sink, size_t bytes)
{
    struct summary *summary = summary_of(sink);
    summary_end(summary);
    summary->at = sink->at;
    summary->chunk_bytes = bytes;
    summary->blocks = 0;
}

static void summary_piece(struct dump_sink *sink, const struct dump_piece *piece)
{
    struct summary *summary = summary_of(sink);
    summary->bytes[piece->kind] += piece->bytes;
    summary->blocks += piece->kind == DUMP_LIVE || piece->kind == DUMP_PINNED || piece->kind == DUMP_LOST;
}

static void text_stats(struct writer *out, const struct hm_movable_stats *stats)
{
    writer_format(out, "live        %zu blocks, %zu bytes, %zu with rounding, %zu of them named by slots\n",
                  stats->live_blocks, stats->live_bytes, stats->granule_bytes, stats->slots);
    writer_format(out, "memory      %zu bytes held, %zu metadata, %zu free between blocks, %zu waiting\n",
                  stats->held_bytes, stats->metadata_bytes, stats->free_bytes, stats->waiting_bytes);
    writer_format(out, "largest     %zu bytes free in one piece\n", stats->largest_free);
    writer_format(out, "moved       %zu blocks, %zu bytes, %zu more by remapping; released %zu bytes\n",
                  stats->moved_blocks, stats->moved_bytes, stats->remapped_bytes, stats->released_bytes);
    writer_format(out, "steps       %zu, the longest %zu ns\n", stats->steps, (size_t)stats->longest_step_ns);
    writer_format(out, "pinned      %zu blocks\n", stats->pinned_blocks);
}

bool dump_text(const struct dump_layout *layout, int fd)
{
    struct writer out;
    writer_init(&out, fd);
    bool summary = layout->summary;
    struct summary text = {.sink = {.out = &out,
                                    .layout = layout,
                                    .chunk = summary ? summary_chunk : text_chunk,
                                    .piece = summary ? summary_piece : text_piece}};
    const char *name = layout->heap->options.name;
    writer_put(&out, "movable heap ");
    writer_put(&out, name == NULL ? "without a name" : name);
    writer_format(&out, " (%s)\n", layout->kind);
    text_stats(&out, layout->stats);
    for (size_t i = 0; i < layout->pin_count; i++) {
        const struct hm_pin_info *pin = &layout->pins[i];
        writer_put(&out, "pin         ");
        writer_put(&out, pin->name);
        writer_format(&out, ": handle 0x%016zx, %zu ms, keeps %zu bytes\n", (size_t)pin->handle,
                      (size_t)(pin->age_ns / 1000000), pin->kept_bytes);
    }
    layout->walk(&text.sink, layout->context);
    summary_end(&text);
    return writer_finish(&out);
}

bool dump_hex(const void *memory, size_t bytes, int fd)
{
    struct writer out;
    writer_init(&out, fd);
    const unsigned char *at = memory;
    for (size_t line = 0; line < bytes && !out.failed; line += HEX_LINE) {
        size_t len = bytes - line < HEX_LINE ? bytes - line : HEX_LINE;
        writer_format(&out, "%08zx ", line);
        for (size_t i = 0; i < len; i++) {
            writer_format(&out, "%s%02x", i % 8 == 0 ? " " : "", at[line + i]);
        }
        writer_format(&out, "\n");
    }
    return writer_finish(&out);
}
