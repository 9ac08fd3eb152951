// cxx: checks every form of C++'s new and delete. Run it with the preload library.
//
// Prints one line for each expectation that isn't met, and "ok" when all are. Compiled with -DREPLACE the executable replaces
// the plain forms, and it is checked that the others are defined in terms of them.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <new>

static int failures;

static void check(bool condition, const char *text, int line)
{
    if (!condition) {
        std::printf("line %d: %s\n", line, text);
        failures++;
    }
}

#define CHECK(condition) check((condition), #condition, __LINE__)

template <typename T> static T opaque(T value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

static bool aligned_to(const void *block, std::size_t alignment)
{
    return reinterpret_cast<std::uintptr_t>(block) % alignment == 0;
}

#ifdef REPLACE
#    pragma GCC diagnostic ignored "-Wsized-deallocation"

// A program that replaces the plain forms only, with blocks that no free() may see: 64 bytes lie in front of them.
static int made, deleted;

void *operator new(std::size_t size)
{
    char *block = static_cast<char *>(std::malloc(size + 64));
    if (block == nullptr) {
        throw std::bad_alloc();
    }
    made++;
    return block + 64;
}

void operator delete(void *block) noexcept
{
    if (block != nullptr) {
        deleted++;
        std::free(static_cast<char *>(block) - 64);
    }
}

static void test_replaced()
{
    ::operator delete(::operator new(10), std::size_t(10));
    ::operator delete(::operator new(10), std::nothrow);
    ::operator delete[](::operator new[](10));
    ::operator delete[](::operator new[](10), std::size_t(10));
    ::operator delete(::operator new(10, std::nothrow));
    ::operator delete[](::operator new[](10, std::nothrow), std::nothrow);
    CHECK(made == 6);
    CHECK(deleted == 6);
    CHECK(::operator new(opaque(~std::size_t(0) / 2 - 100), std::nothrow) == nullptr);
}
#endif

static void test_plain()
{
    for (std::size_t size = 0; size < 1000000; size = size * 3 / 2 + 1) {
        void *block = ::operator new(size);
        CHECK(block != nullptr);
#ifndef REPLACE
        CHECK(malloc_usable_size(block) >= size);
#endif
        std::memset(block, 1, size);
        ::operator delete(block);
        block = ::operator new[](size);
        ::operator delete[](block);
        block = ::operator new(size, std::nothrow);
        ::operator delete(block, std::nothrow);
        block = ::operator new[](size, std::nothrow);
        ::operator delete[](block, std::nothrow);
        ::operator delete(::operator new(size), size);
        ::operator delete[](::operator new[](size), size);
    }
    ::operator delete(nullptr);
    ::operator delete[](nullptr);
    ::operator delete(nullptr, std::nothrow);
    ::operator delete(nullptr, std::align_val_t(64));
}

static void test_aligned()
{
    for (std::size_t align = 1; align <= std::size_t(1) << 20; align *= 2) {
        auto value = std::align_val_t(align);
        void *block = ::operator new(align + 1, value);
        CHECK(block != nullptr && aligned_to(block, align));
        ::operator delete(block, value);
        block = ::operator new[](align + 1, value);
        CHECK(aligned_to(block, align));
        ::operator delete[](block, value);
        block = ::operator new(align + 1, value, std::nothrow);
        CHECK(block != nullptr && aligned_to(block, align));
        ::operator delete(block, value, std::nothrow);
        block = ::operator new[](align + 1, value, std::nothrow);
        CHECK(block != nullptr && aligned_to(block, align));
        ::operator delete[](block, value, std::nothrow);
        ::operator delete(::operator new(align, value), align, value);
        ::operator delete[](::operator new[](align, value), align, value);
    }
}

template <typename Call> static bool throws(Call call)
{
    try {
        opaque(call());
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

static const std::size_t too_much = ~std::size_t(0) / 2 - 100;

static void test_exhaustion()
{
    auto align = std::align_val_t(64);
    CHECK(throws([] { return ::operator new(opaque(too_much)); }));
    CHECK(throws([] { return ::operator new[](opaque(too_much)); }));
    CHECK(throws([align] { return ::operator new(opaque(too_much), align); }));
    CHECK(throws([align] { return ::operator new[](opaque(too_much), align); }));
    CHECK(::operator new(opaque(too_much), std::nothrow) == nullptr);
    CHECK(::operator new[](opaque(too_much), std::nothrow) == nullptr);
    CHECK(::operator new(opaque(too_much), align, std::nothrow) == nullptr);
    CHECK(::operator new[](opaque(too_much), align, std::nothrow) == nullptr);
}

static int handler_calls;

static void handler()
{
    if (++handler_calls % 3 == 0) {
        std::set_new_handler(nullptr);
    }
}

// A handler that gives up the standard's way.
static void throwing_handler()
{
    handler_calls++;
    throw std::bad_alloc();
}

static void test_new_handler()
{
    auto align = std::align_val_t(64);
#ifndef REPLACE
    std::set_new_handler(handler);
    CHECK(throws([] { return ::operator new(opaque(too_much)); }));
    CHECK(handler_calls == 3);
    std::set_new_handler(handler);
    CHECK(::operator new(opaque(too_much), std::nothrow) == nullptr);
    CHECK(handler_calls == 6);
    std::set_new_handler(throwing_handler);
    CHECK(::operator new[](opaque(too_much), std::nothrow) == nullptr);
    CHECK(handler_calls == 7);
#endif
    handler_calls = 0;
    std::set_new_handler(handler);
    CHECK(throws([align] { return ::operator new(opaque(too_much), align); }));
    CHECK(handler_calls == 3);
    std::set_new_handler(throwing_handler);
    CHECK(::operator new(opaque(too_much), align, std::nothrow) == nullptr);
    CHECK(handler_calls == 4);
    std::set_new_handler(nullptr);
}

struct Thing {
    Thing()
    {
        throw 42;
    }
    char bytes[100];
};

// A constructor that throws makes the compiler free the block.
static void test_throwing_constructor()
{
    bool caught = false;
    try {
        delete new Thing;
    } catch (int) {
        caught = true;
    }
    CHECK(caught);
}

int main()
{
    test_plain();
    test_aligned();
    test_exhaustion();
    test_new_handler();
    test_throwing_constructor();
#ifdef REPLACE
    made = deleted = 0;
    test_replaced();
#endif
    if (failures == 0) {
        std::puts("ok");
    }
    return failures != 0;
}
