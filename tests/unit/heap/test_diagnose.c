#include "heap_fixture.h"

#include <stdio.h>

#include "page/mapping.h"

TestSuite(diagnose, .init = fixture_setup, .fini = fixture_teardown);

static char *subject; /* what is passed to the verb */
static const char *verb = "free";

static void call(void *unused)
{
    (void)unused;
    if (strcmp(verb, "free") == 0) {
        core_free(core, a, subject);
    } else if (strcmp(verb, "realloc") == 0) {
        core_realloc(core, a, subject, 10);
    } else {
        alloc_usable(core, subject, verb);
    }
}

/* All three verbs say the text, in which %p is the subject. */
static void assert_all(const char *for_free, const char *for_others)
{
    static const char *const verbs[] = {"free", "realloc", "malloc_usable_size"};
    for (int i = 0; i < 3; i++) {
        char text[256];
        int at = 0;
        verb = verbs[i];
        if (i > 0 && strncmp(for_others, "of ", 3) == 0) {
            at = snprintf(text, sizeof(text), "%s ", verb);
        }
        /* NOLINTNEXTLINE(clang-diagnostic-format-nonliteral): the texts are in this file. */
        snprintf(text + at, sizeof(text) - (size_t)at, i == 0 ? for_free : for_others, (void *)subject);
        assert_panic(call, NULL, text);
    }
}

Test(diagnose, cached)
{
    subject = get(a, 100);
    put(a, subject);
    assert_all("double free of %p (block of 112 bytes, waiting in a thread's cache)",
               "of freed block %p (block of 112 bytes, waiting in a thread's cache)");
}

Test(diagnose, flushed)
{
    get(a, 100);
    subject = get(a, 100);
    get(a, 100);
    put(a, subject);
    theap_drop_bins(a, true);
    assert_all("double free of %p (now inside free memory of",
               "of freed block %p (now inside free memory of");
}

Test(diagnose, chunk_given_back)
{
    subject = get(a, 100);
    put(a, subject);
    theap_drop_bins(a, true);
    assert_all("double free of %p (now inside free pages of", "of freed block %p (now inside free pages of");
}

Test(diagnose, chunk_back_with_the_os)
{
    subject = get(a, 100);
    put(a, subject);
    core_trim(core, a, 0);
    assert_all("double free of %p (its pages are back with the OS)",
               "of freed block %p (its pages are back with the OS)");
}

Test(diagnose, remote)
{
    get(a, 100);
    subject = get(a, 100);
    put(b, subject);
    assert_all("double free of %p (now inside free memory", "of freed block %p (now inside free memory");
}

Test(diagnose, interior)
{
    subject = (char *)get(a, 100) + 16;
    assert_all("invalid pointer %p passed to free: 16 bytes inside 0x", "invalid pointer %p passed to");
    subject += 75;
    assert_all("invalid pointer %p passed to free: 91 bytes inside 0x", "bytes inside");
    subject -= 91;
    put(a, subject);
    subject += 32;
    assert_all("(block of 112 bytes, freed)", "(block of 112 bytes, freed)");
}

Test(diagnose, never_handed_out)
{
    subject = (char *)get(a, 100) + 30000;
    subject -= (uintptr_t)subject % 16;
    assert_all("invalid pointer %p passed to free: never handed out", "never handed out");
    subject += 3;
    assert_all("invalid pointer %p passed to free: misaligned", "misaligned");
}

Test(diagnose, large_cached)
{
    subject = get(a, 64 * KIB);
    put(a, subject);
    assert_all("double free of %p (block of 65536 bytes, waiting in a thread's cache)",
               "of freed block %p (block of");
    subject = get(a, 300 * KIB);
    put(a, subject);
    assert_all("double free of %p (block of 307200 bytes, waiting in a thread's cache)",
               "of freed block %p (block of");
}

Test(diagnose, large_pages_free)
{
    subject = get(a, 300 * KIB);
    put(a, subject);
    theap_drop_bins(a, true);
    assert_all("double free of %p (now inside free pages of", "of freed block %p (now inside free pages of");
}

Test(diagnose, large_gone)
{
    subject = get(a, 300 * KIB);
    put(a, subject);
    core_trim(core, a, 0);
    assert_all("double free of %p (a large block, its pages are back with the OS)",
               "of freed block %p (a large block");
    subject = get(a, 20 * MIB);
    put(a, subject);
    core_trim(core, a, 0);
    assert_all("double free of %p (a large block, its pages are back with the OS)",
               "of freed block %p (a large block");
}

Test(diagnose, own_mapping_kept)
{
    subject = get(a, 3 * MIB);
    char *later = get(a, 30 * MIB);
    put(a, subject);
    assert_all("double free of %p (block of 3145728 bytes, waiting",
               "of freed block %p (block of 3145728 bytes");
    put(a, later);
}

Test(diagnose, own_mapping_that_moved)
{
    subject = get(a, 2 * MIB);
    char *moved = subject;
    for (size_t bytes = 4 * MIB; moved == subject; bytes *= 2) {
        moved = core_realloc(core, a, moved, bytes);
        cr_assert_not_null(moved);
    }
    assert_all("double free of %p (a large block", "of freed block %p (a large block");
}

/* From the start to the last page, whatever the page map knows of it. */
Test(diagnose, inside_large_blocks)
{
    static const size_t sizes[] = {20 << 10, 300 << 10, 3 << 20, 20 << 20};
    for (int i = 0; i < 4; i++) {
        char *block = get(a, sizes[i]);
        size_t usable = alloc_usable(core, block, "free");
        size_t offsets[] = {1,           16,        4096, sizes[i] / 2, sizes[i] / 4 * 3, usable - 4096,
                            usable - 16, usable - 1};
        for (int o = 0; o < 8; o++) {
            char text[128];
            subject = block + offsets[o];
            snprintf(text, sizeof(text), "%zu bytes inside %p (block of %zu bytes, in use)", offsets[o],
                     (void *)block, usable);
            assert_all(text, text);
        }
    }
}

/* Spans longer than the page map looks back. */
Test(diagnose, inside_a_long_span)
{
    struct core_options options = core_fixture_options;
    options.own_mapping_bytes = SIZE_MAX;
    options.pages.decay_ms = -1;
    fixture_teardown();
    core_fixture_init(&f, &options, 0, 0);
    core = f.core;
    a = core_attach(core);
    char *block = get(a, 20 * MIB);
    subject = block + 10 * MIB;
    assert_all("10485760 bytes inside", "10485760 bytes inside");
    put(a, block);
    b = core_attach(core);
    subject = block + 10 * MIB;
    assert_all("double free of %p (now inside free pages", "of freed block %p (now inside free pages");
}

Test(diagnose, wild)
{
    static char in_bss[64];
    char on_stack[64];
    uintptr_t wild[] = {8,
                        16,
                        4096,
                        65536,
                        (uintptr_t)in_bss,
                        (uintptr_t)on_stack & ~(uintptr_t)15,
                        (uintptr_t)&call,
                        (uintptr_t)1 << 46,
                        ((uintptr_t)1 << 47) - 16,
                        (uintptr_t)1 << 47,
                        (uintptr_t)1 << 48,
                        ((uintptr_t)1 << 48) + 65536,
                        UINT64_C(0x4141414141414141),
                        UINT64_C(0xdfdfdfdfdfdfdfd0),
                        UINT64_C(0xffff800000000000),
                        UINT64_C(0xffffffff81000000),
                        UINTPTR_MAX,
                        UINTPTR_MAX - 15};
    get(a, 100);
    get(a, 3 * MIB);
    for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
        subject = (char *)wild[i];
        assert_all("invalid pointer %p passed to free: not a block of this allocator",
                   "not a block of this allocator");
    }
}

Test(diagnose, the_allocators_own_memory)
{
    uintptr_t own[] = {(uintptr_t)core, (uintptr_t)a, (uintptr_t)&core->table.map[7],
                       (uintptr_t)bins_bottom(a, 0)};
    get(a, 100);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        subject = (char *)own[i];
        assert_all("not a block of this allocator", "not a block of this allocator");
    }
    subject = (char *)chunk_of(get(a, 100));
    assert_all("not a block of this allocator", "not a block of this allocator");
}

Test(diagnose, movable_memory)
{
    static struct span span;
    span.mark = 0;
    cr_assert(pageheap_alloc(&core->pages, &span, 1 << 20, 1 << 20, SPAN_MOVABLE));
    subject = (char *)span.addr;
    assert_all("a movable block's memory", "a movable block's memory");
    subject = (char *)span.addr + 100016;
    assert_all("a movable block's memory", "a movable block's memory");
    pageheap_free(&core->pages, &span);
    span.mark = LARGE_MOVABLE;
    cr_assert(mapping_alloc(&core->pages, &span, 1 << 20, 4096));
    subject = (char *)span.addr;
    assert_all("a movable block's memory", "a movable block's memory");
    mapping_free(&core->pages, &span);
}
