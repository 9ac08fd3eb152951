// dalloc in C++, included as its own programs do, with what they build on it: containers whose elements' pointers lie in blocks
// of the same heap, on addresses that are only aligned to 4 bytes.
#include <cstdio>
#include <cstring>

extern "C" {
#include "dalloc.h"
}

#include "check.h"

namespace {

alignas(4) uint8_t memory[4096];
heap_t heap;

struct text {
    char *bytes = nullptr;

    void set(const char *from)
    {
        dalloc(&heap, static_cast<uint32_t>(std::strlen(from) + 1), reinterpret_cast<void **>(&bytes));
        CHECK(bytes != nullptr);
        std::strcpy(bytes, from);
    }
    void take(text &from)
    {
        replace_pointers(&heap, reinterpret_cast<void **>(&from.bytes), reinterpret_cast<void **>(&bytes));
    }
    void clear()
    {
        dfree(&heap, reinterpret_cast<void **>(&bytes), USING_PTR_ADDRESS);
    }
};

struct vector {
    text *items = nullptr;
    uint32_t count = 0;

    void push(const char *string)
    {
        text *more = nullptr;
        dalloc(&heap, static_cast<uint32_t>((count + 1) * sizeof(text)), reinterpret_cast<void **>(&more));
        CHECK(more != nullptr);
        std::memset(static_cast<void *>(more), 0, (count + 1) * sizeof(text));
        for (uint32_t i = 0; i < count; i++) {
            more[i].take(items[i]);
        }
        if (items != nullptr) {
            dfree(&heap, reinterpret_cast<void **>(&items), USING_PTR_ADDRESS);
        }
        replace_pointers(&heap, reinterpret_cast<void **>(&more), reinterpret_cast<void **>(&items));
        items[count++].set(string);
    }
};

void check(const vector &v, uint32_t from)
{
    char expected[32];
    for (uint32_t i = 0; i < v.count; i++) {
        std::snprintf(expected, sizeof(expected), "string number %u", i + from);
        CHECK(std::strcmp(v.items[i].bytes, expected) == 0);
    }
}

} // namespace

int main()
{
    char string[32];
    uint8_t *gap = nullptr;
    vector v;
    vector w;
    heap_init(&heap, memory, sizeof(memory));
    dalloc(&heap, 4, reinterpret_cast<void **>(&gap));
    for (uint32_t i = 0; i < 20; i++) {
        std::snprintf(string, sizeof(string), "string number %u", i);
        v.push(string);
        std::snprintf(string, sizeof(string), "string number %u", i + 100);
        w.push(string);
    }
    check(v, 0);
    check(w, 100);
    dfree(&heap, reinterpret_cast<void **>(&gap), USING_PTR_ADDRESS);
    check(v, 0);
    check(w, 100);
    for (uint32_t i = 0; i < v.count; i++) {
        v.items[i].clear();
    }
    dfree(&heap, reinterpret_cast<void **>(&v.items), USING_PTR_ADDRESS);
    check(w, 100);
    CHECK(heap.alloc_info.allocations_num == 21);
    heap_deinit(&heap);
    return 0;
}
