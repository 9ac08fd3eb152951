/* The picture: each chunk in rows of cells, a cell as many bytes as the heap's size asks for. */
#include "base/check.h"
#include "movable/dump.h"
#include "movable/heap.h"

#define ROW_CELLS     128u
#define CELL_WIDTH    6u
#define CELL_HEIGHT   10u
#define CHUNK_SPACE   4u
#define HEAD_HEIGHT   48u
#define MARGIN        8u
#define CELLS_MAX     65536u
#define CHUNK_MAX     2048u
#define CELL_SMALLEST 16u

/* Free memory, then live shares by quarters, then what isn't about shares. */
enum shade {
    SHADE_FREE,
    SHADE_QUARTER,
    SHADE_HALF,
    SHADE_MOST,
    SHADE_FULL,
    SHADE_DEAD,
    SHADE_META,
    SHADE_LOST,
    SHADE_PINNED
};

struct picture {
    struct dump_sink sink;
    size_t cell;   /* bytes */
    size_t rows;   /* of each chunk */
    size_t chunk;  /* its number, from 1 */
    size_t column; /* of the cell that is being filled, in the chunk */
    size_t room;   /* bytes of it that aren't filled yet */
    size_t bytes[DUMP_KINDS];
    size_t run; /* the row's cells from here to `column` have `shade` */
    enum shade shade;
};

static struct picture *picture_of(struct dump_sink *sink)
{
    return (struct picture *)sink;
}

static enum shade shade_of(const struct picture *p)
{
    size_t filled = p->cell - p->room;
    size_t live = p->bytes[DUMP_LIVE];
    if (p->bytes[DUMP_PINNED] > 0) {
        return SHADE_PINNED;
    }
    if (p->bytes[DUMP_LOST] > 0) {
        return SHADE_LOST;
    }
    if (p->bytes[DUMP_META] * 2 > filled) {
        return SHADE_META;
    }
    if (live == 0) {
        return p->bytes[DUMP_DEAD] > 0 ? SHADE_DEAD : SHADE_FREE;
    }
    return live == filled ? SHADE_FULL : (enum shade)(SHADE_QUARTER + live * 3 / filled);
}

static void draw_run(struct picture *p)
{
    size_t y = HEAD_HEIGHT + (p->chunk - 1) * (p->rows * CELL_HEIGHT + CHUNK_SPACE);
    if (p->column > p->run) {
        writer_format(p->sink.out, "<rect class=\"s%d\" x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%u\"/>\n",
                      (int)p->shade, MARGIN + p->run % ROW_CELLS * CELL_WIDTH,
                      y + p->run / ROW_CELLS * CELL_HEIGHT, (p->column - p->run) * CELL_WIDTH,
                      CELL_HEIGHT - 1);
    }
    p->run = p->column;
}

static void end_cell(struct picture *p)
{
    if (p->room == p->cell) {
        return;
    }
    enum shade shade = shade_of(p);
    if (shade != p->shade || p->column % ROW_CELLS == 0) {
        draw_run(p);
        p->shade = shade;
    }
    p->column++;
    p->room = p->cell;
    for (int i = 0; i < DUMP_KINDS; i++) {
        p->bytes[i] = 0;
    }
}

static void end_chunk(struct picture *p)
{
    end_cell(p);
    draw_run(p);
}

static void svg_chunk(struct dump_sink *sink, size_t bytes)
{
    struct picture *p = picture_of(sink);
    (void)bytes;
    end_chunk(p);
    p->chunk++;
    p->column = 0;
    p->run = 0;
}

static void svg_piece(struct dump_sink *sink, const struct dump_piece *piece)
{
    struct picture *p = picture_of(sink);
    for (size_t left = piece->bytes; left > 0;) {
        size_t part = left < p->room ? left : p->room;
        p->bytes[piece->kind] += part;
        p->room -= part;
        left -= part;
        if (p->room == 0) {
            end_cell(p);
        }
    }
}

static size_t choose_cell(const struct dump_layout *layout)
{
    size_t cell = CELL_SMALLEST;
    while (cell < layout->chunk_bytes && (layout->chunk_bytes / cell > CHUNK_MAX ||
                                          layout->chunk_bytes / cell * layout->chunks > CELLS_MAX)) {
        cell *= 2;
    }
    return cell;
}

static void put_escaped(struct writer *out, const char *string)
{
    for (; *string != 0; string++) {
        bool plain = (unsigned char)*string >= ' ' && *string != '<' && *string != '&' && *string != '>';
        writer_format(out, "%c", plain ? *string : '?');
    }
}

static void svg_head(struct picture *p)
{
    const struct dump_layout *layout = p->sink.layout;
    struct writer *out = p->sink.out;
    const char *name = layout->heap->options.name;
    writer_format(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%zu\" font-family=\"sans-serif\">\n",
        2 * MARGIN + ROW_CELLS * CELL_WIDTH,
        HEAD_HEIGHT + layout->chunks * (p->rows * CELL_HEIGHT + CHUNK_SPACE) + MARGIN);
    writer_format(
        out,
        "<style>.s0{fill:#e8e8e8}.s1{fill:#c9dff0}.s2{fill:#9cc4e4}.s3{fill:#6aa5d6}.s4{fill:#2f74b5}"
        ".s5{fill:#f3d9a4}.s6{fill:#8a8a8a}.s7{fill:#9b59b6}.s8{fill:#c0392b}text{font-size:12px}</style>\n");
    writer_format(out, "<text x=\"%u\" y=\"18\">", MARGIN);
    put_escaped(out, name == NULL ? "movable heap" : name);
    writer_format(out, " (%s): %zu blocks, %zu bytes live, %zu held, %zu free between blocks</text>\n",
                  layout->kind, layout->stats->live_blocks, layout->stats->live_bytes,
                  layout->stats->held_bytes, layout->stats->free_bytes);
    writer_format(out,
                  "<text x=\"%u\" y=\"36\">a cell is %zu bytes; the darker, the more of it is live; red: "
                  "pinned; violet: lost slot; "
                  "yellow: waits for readers; grey: metadata</text>\n",
                  MARGIN, p->cell);
}

bool dump_svg(const struct dump_layout *layout, int fd)
{
    struct writer out;
    writer_init(&out, fd);
    struct picture p = {
        .sink = {.out = &out, .layout = layout, .chunk = svg_chunk, .piece = svg_piece},
        .cell = choose_cell(layout),
    };
    size_t cells = (layout->chunk_bytes + p.cell - 1) / p.cell;
    p.rows = (cells + ROW_CELLS - 1) / ROW_CELLS;
    p.room = p.cell;
    svg_head(&p);
    layout->walk(&p.sink, layout->context);
    end_chunk(&p);
    writer_format(&out, "</svg>\n");
    return writer_finish(&out);
}
