#include "movable/mchunk.h"
#include "movable/readers.h"
#include "support/assert_panic.h"

#include <sys/mman.h>

static struct mchunk chunk;
static struct readers readers;
static struct range_wanted wanted;
static uint32_t at;

static void setup(void)
{
    memset(&chunk, 0, sizeof chunk);
    chunk.span.addr =
        (uintptr_t)mmap(NULL, MCHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    chunk.span.bytes = MCHUNK_BYTES;
    mchunk_init(&chunk);
    readers_init(&readers, NULL);
    at = MCHUNK_FIRST;
    wanted = (struct range_wanted){.need = 64, .alignment = 16, .readers = &readers, .horizon = 2};
    atomic_store(&readers.epoch, 2);
}

static void teardown(void)
{
    munmap((void *)chunk.span.addr, MCHUNK_BYTES);
}

TestSuite(mchunk, .init = setup, .fini = teardown);

static void put(uint64_t header, size_t length)
{
    atomic_store(header_at(chunk.span.addr + at), header);
    at += (uint32_t)length;
    chunk.top = at;
}

static void put_dead(size_t length, uint64_t epoch)
{
    put(header_dead(length, epoch), length);
}

static void put_block(size_t size)
{
    put(header_block(5, size, 9), mchunk_stride(size, 16));
}

Test(mchunk, strides_hold_header_and_block)
{
    for (size_t size = 0; size < 200; size++) {
        cr_assert_eq(mchunk_stride(size, 16) % 16, 0);
        cr_assert(mchunk_stride(size, 16) >= size + 8 && mchunk_stride(size, 16) < size + 24);
        cr_assert_eq(mchunk_stride(size, 8) % 8, 0);
        cr_assert(mchunk_stride(size, 8) >= size + 8 && mchunk_stride(size, 8) < size + 16);
    }
}

Test(mchunk, headers_keep_what_they_are_given)
{
    struct piece piece;
    put(header_block(UINT32_MAX, MCHUNK_SMALL_BYTES, 255), mchunk_stride(MCHUNK_SMALL_BYTES, 16));
    mchunk_read(&chunk, 16, MCHUNK_FIRST, MCHUNK_FIRST, &piece);
    cr_assert_eq(piece.index, UINT32_MAX);
    cr_assert_eq(piece.size, MCHUNK_SMALL_BYTES);
    cr_assert_eq(piece.tag, 255);
    cr_assert(!piece.making);
    uint32_t second = at;
    put_dead(512 * 1024, UINT64_C(0x123456789a));
    mchunk_read(&chunk, 16, second, MCHUNK_FIRST, &piece);
    cr_assert_eq(piece.index, 0);
    cr_assert_eq(piece.length, 512 * 1024);
    cr_assert_eq(piece.epoch, 0x3456789a);
    cr_assert(!piece.making);
    uint32_t third = at;
    put(header_making(48), 48);
    mchunk_read(&chunk, 16, third, second, &piece);
    cr_assert(piece.making && piece.index == 0 && piece.length == 48);
    cr_assert_eq(mchunk_before(&chunk, 16, third), second);
}

static bool range(uintptr_t *begin, uintptr_t *end, uint32_t *cursor, bool *gave_up)
{
    bool found = mchunk_range(&chunk, &wanted, cursor, begin, end, gave_up);
    *begin -= chunk.span.addr;
    *end -= chunk.span.addr;
    return found;
}

Test(mchunk, neighbours_that_died_in_time_make_a_range)
{
    uint32_t cursor = MCHUNK_FIRST;
    uintptr_t begin;
    uintptr_t end;
    bool gave_up;
    put_dead(32, 1);
    put_block(100);
    uint32_t first = at;
    put_dead(32, 1);
    put_dead(48, 0);
    put_block(20);
    put_dead(96, 2);
    put_block(20);
    uint32_t second = at;
    put_dead(64, 1);
    cr_assert(range(&begin, &end, &cursor, &gave_up));
    cr_assert(begin == first && end == first + 80);
    /* The next one died in an epoch that isn't over; the last goes on above the top. */
    cr_assert(range(&begin, &end, &cursor, &gave_up));
    cr_assert(begin == second && end == mchunk_end(&chunk));
    cr_assert(!range(&begin, &end, &cursor, &gave_up) && !gave_up);
}

Test(mchunk, a_search_is_bounded)
{
    uint32_t cursor = MCHUNK_FIRST;
    uintptr_t begin;
    uintptr_t end;
    bool gave_up;
    for (unsigned i = 0; i < MCHUNK_LOOKS; i++) {
        put_dead(16, 1);
        put_block(10);
    }
    cr_assert(!range(&begin, &end, &cursor, &gave_up));
    cr_assert(gave_up);
    cr_assert_gt(cursor, MCHUNK_FIRST);
    cr_assert(range(&begin, &end, &cursor, &gave_up));
    cr_assert_eq(end, mchunk_end(&chunk));
}

static void read_all(void *arg)
{
    struct piece piece;
    (void)arg;
    uint32_t before = MCHUNK_FIRST;
    for (uint32_t offset = MCHUNK_FIRST; offset < chunk.top; offset += piece.length) {
        mchunk_read(&chunk, 16, offset, before, &piece);
        before = offset;
    }
}

Test(mchunk, headers_that_make_no_sense_are_fatal)
{
    static const uint64_t nonsense[] = {0,
                                        5,
                                        UINT64_C(0x7878787878787878),
                                        UINT64_MAX,
                                        HEADER_DEAD | HEADER_CHECK,
                                        HEADER_DEAD | HEADER_CHECK | UINT64_C(3) << 32,
                                        HEADER_DEAD | HEADER_CHECK | UINT64_C(0x1ffff) << 32,
                                        HEADER_DEAD | UINT64_C(4) << 32};
    put_block(100);
    uint32_t second = at;
    put_dead(64, 1);
    put_block(100);
    read_all(NULL);
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        uint64_t header = nonsense[i] == 5 ? header_block(5, MCHUNK_SMALL_BYTES + 1, 0) : nonsense[i];
        atomic_store(header_at(chunk.span.addr + second), header);
        assert_panic(read_all, NULL, "of 100 bytes");
    }
}
