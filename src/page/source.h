/* Sources of pages: the program break first, mappings where the break is refused, limited or was moved by
 * others.
 *
 * Keeps what is needed to give memory back: where we believe the break to be. Lock: the page heap's. */
#ifndef HM_PAGE_SOURCE_H
#define HM_PAGE_SOURCE_H

#include "os/os.h"
#include "page/span.h"

/* So many of the last unmapped ranges are remembered, to say of a stale pointer what it was. */
#define SOURCE_UNMAPPED 8u

struct source {
    const struct os *os;
    bool use_break;          /* false: never try it (option, or a heap that must be destroyed whole) */
    uintptr_t break_end;     /* the end of our topmost memory from the break; 0 before the first growth */
    uintptr_t break_highest; /* the highest that it ever was */
    size_t from_break;       /* statistics: bytes held now, by source */
    size_t from_map;
    size_t mappings; /* separate ranges of mapped memory, as far as can be told from here */
    size_t refusals; /* calls that the OS refused */
    struct {
        uintptr_t addr;
        size_t bytes;
    } unmapped[SOURCE_UNMAPPED];
    unsigned unmapped_next; /* modulo their number */
};

/* Linux refuses more than 65,530 mappings by default, and others in the process need some. */
#define SOURCE_MAPPINGS_MAX 30000

struct grown {
    uintptr_t addr; /* page aligned */
    size_t bytes;
    enum span_source source;
};

void source_init(struct source *source, const struct os *os, bool use_break);

/* New zero-filled pages: `want` bytes, or, when that is refused, half as many, and so on down to `need` (multiples of
 * the page size); from the break, else mapped. A break that foreign callers moved or left unaligned is aligned up
 * first. False: everything was refused. */
bool source_grow(struct source *source, size_t need, size_t want, struct grown *grown);

/* The same, from the break only and only if it joins our topmost memory from there. */
bool source_extend(struct source *source, size_t need, size_t want, struct grown *grown);

/* Undoes a growth that can't be used. Pages that the OS doesn't take back are left and no longer counted. */
void source_return(struct source *source, const struct grown *grown);

/* Lowers the break by `bytes` if the memory [addr, addr + bytes) is ours, is on top, and nobody moved the
 * break since. */
bool source_lower(struct source *source, uintptr_t addr, size_t bytes);

/* True for memory that was given back: for an address above the break that was below it when the break was highest, and for one in the
 * last few ranges that were unmapped (which others may have mapped since). */
bool source_gave_back(const struct source *source, uintptr_t addr);

/* Unmaps pages that came from SOURCE_MAP; `joined` tells on how many of their two sides our mapped memory
 * goes on. False: refused, or it would split a mapping while there are SOURCE_MAPPINGS_MAX; they are still
 * there. */
bool source_unmap(struct source *source, uintptr_t addr, size_t bytes, size_t joined);

/* Mappings that turned out to join others, or that were unmapped otherwise. */
void source_mappings_drop(struct source *source, size_t count);

#endif
