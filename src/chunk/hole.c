#include "chunk/hole.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "chunk/scan.h"
#include "harden/link.h"

/* The bin that a hole of this length is linked in: the last whose shortest length doesn't exceed it. */
static unsigned bin_of(unsigned granules)
{
    if (granules <= HOLE_EXACT_GRANULES) {
        return granules - HOLE_MIN_GRANULES;
    }
    unsigned octave = bits_log2(granules);
    return 63 + (octave - 6) * 8 + ((granules >> (octave - 3)) & 7);
}

static_assert(63 + 6 * 8 + 1 == HOLE_BINS, "the longest hole is a whole chunk");

static uint64_t seal_of(const struct holes *holes, const struct hole *hole)
{
    return link_seal(holes->secret, hole, hole->next, hole->prev, hole->granules);
}

static void check_record(const struct holes *holes, const struct hole *hole)
{
    if (HM_UNLIKELY(hole->seal != seal_of(holes, hole))) {
        panic("free memory at %p was written to (use after free, or overflow of the block before it)",
              (const void *)hole);
    }
}

static void write_record(const struct holes *holes, struct hole *hole, const struct hole *next,
                         const struct hole *prev, unsigned granules)
{
    hole->next = link_encode(holes->secret, next);
    hole->prev = link_encode(holes->secret, prev);
    hole->granules = granules;
    hole->seal = seal_of(holes, hole);
}

void holes_init(struct holes *holes, uint64_t secret)
{
    memset(holes, 0, sizeof *holes);
    holes->secret = secret;
}

void holes_insert(struct holes *holes, struct chunk *chunk, unsigned granule, unsigned granules)
{
    HM_ASSERT(granules >= HOLE_MIN_GRANULES && granule + granules <= CHUNK_GRANULES,
              "a hole lies in its chunk");
    struct hole *hole = (struct hole *)chunk_address(chunk, granule);
    unsigned bin = bin_of(granules);
    struct hole *next = holes->bin[bin];
    write_record(holes, hole, next, NULL, granules);
    if (next != NULL) {
        check_record(holes, next);
        next->prev = link_encode(holes->secret, hole);
        next->seal = seal_of(holes, next);
    }
    holes->bin[bin] = hole;
    holes->present[bin / 64] |= UINT64_C(1) << bin % 64;
    mark_store(&chunk->map[granule / 2], CODE_HOLE + granule % 2);
    chunk->linked += granules;
}

unsigned holes_remove(struct holes *holes, struct chunk *chunk, unsigned granule)
{
    struct hole *hole = (struct hole *)chunk_address(chunk, granule);
    check_record(holes, hole);
    unsigned granules = (unsigned)hole->granules;
    unsigned bin = bin_of(granules);
    struct hole *next = link_decode(holes->secret, hole->next);
    struct hole *prev = link_decode(holes->secret, hole->prev);
    if (next != NULL) {
        check_record(holes, next);
        next->prev = hole->prev;
        next->seal = seal_of(holes, next);
    }
    if (prev != NULL) {
        check_record(holes, prev);
        prev->next = hole->next;
        prev->seal = seal_of(holes, prev);
    } else {
        holes->bin[bin] = next;
        if (next == NULL) {
            holes->present[bin / 64] &= ~(UINT64_C(1) << bin % 64);
        }
    }
    mark_store(&chunk->map[granule / 2], 0);
    chunk->linked -= granules;
    if (granule + HOLE_MIN_GRANULES > chunk->fresh) {
        memset(hole, 0, sizeof *hole);
    }
    return granules;
}

void holes_remove_all(struct holes *holes, struct chunk *chunk)
{
    struct scan scan;
    if (chunk->linked == 0) {
        return;
    }
    scan_map(&scan, chunk);
    for (unsigned w = scan_next(scan.others, 0); chunk->linked != 0; w = scan_next(scan.others, w + 1)) {
        HM_CHECK(w < CHUNK_WINDOWS, "every linked hole is marked in the map");
        unsigned value = mark_load(&chunk->map[w]);
        if (value == CODE_HOLE || value == CODE_HOLE + 1) {
            holes_remove(holes, chunk, 2 * w + value - CODE_HOLE);
            mark_store(&chunk->map[w], CODE_DEAD);
        }
    }
}

/* The first bin at or above `bin` that isn't empty; HOLE_BINS if none. */
static unsigned next_bin(const struct holes *holes, unsigned bin)
{
    for (unsigned word = bin / 64; word < 2; word++) {
        uint64_t bits = holes->present[word];
        if (word == bin / 64) {
            bits &= ~UINT64_C(0) << bin % 64;
        }
        if (bits != 0) {
            return word * 64 + bits_lowest(bits);
        }
    }
    return HOLE_BINS;
}

void *holes_find(const struct holes *holes, unsigned granules)
{
    unsigned bin = bin_of(granules);
    if (granules > HOLE_EXACT_GRANULES) {
        /* Its own bin has shorter ones too; look at the first, then only where every hole is long enough. */
        struct hole *first = holes->bin[bin];
        if (first != NULL && holes_length(holes, first) >= granules) {
            return first;
        }
        bin++;
    }
    bin = bin < HOLE_BINS ? next_bin(holes, bin) : HOLE_BINS;
    return bin < HOLE_BINS ? holes->bin[bin] : NULL;
}

unsigned holes_length(const struct holes *holes, const void *at)
{
    const struct hole *hole = at;
    check_record(holes, hole);
    return (unsigned)hole->granules;
}

void holes_verify(const struct holes *holes, size_t *sum)
{
    size_t total = 0;
    for (unsigned bin = 0; bin < HOLE_BINS; bin++) {
        const struct hole *prev = NULL;
        const struct hole *hole = holes->bin[bin];
        bool present = (holes->present[bin / 64] >> bin % 64 & 1) != 0;
        HM_CHECK(present == (hole != NULL), "a bin's bit says whether it has holes");
        for (; hole != NULL; hole = link_decode(holes->secret, hole->next)) {
            check_record(holes, hole);
            HM_CHECK(link_decode(holes->secret, hole->prev) == prev, "hole.next.prev == hole");
            HM_CHECK(bin_of((unsigned)hole->granules) == bin, "a hole is in the bin of its length");
            total += hole->granules;
            prev = hole;
        }
    }
    if (sum != NULL) {
        *sum = total;
    }
}
