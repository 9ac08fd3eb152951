// Containers whose contents move: a vector of strings, owners and pins, in a buffer of 64 KiB.
#include <hmalloc/handle.hpp>

#include <cstdio>

struct person {
    hm::movable_string name;
    int born;
};
// It may be moved bytewise, as its members may.
template <> struct hm::is_movable<person> : std::true_type {
};

static hm::movable_vector<hm::movable_string> words(hm_heap *heap)
{
    hm::movable_vector<hm::movable_string> result(heap);
    for (const char *word : {"blocks", "that", "move"}) {
        if (!result.emplace_back(word)) {
            std::abort();
        }
    }
    return result;
}

int main()
{
    static char buffer[64 << 10];
    hm::heap heap(buffer, sizeof buffer);

    hm::movable_vector<hm::movable_string> sentence = words(heap);
    hm_compact(heap, {0, 0});
    if (!sentence[2].append(" around")) {
        return 1;
    }
    for (const hm::movable_string &word : sentence) {
        std::printf("%s ", word.c_str());
    }
    std::printf("\n");

    // By handle: the owner frees, a view notices.
    hm::handle<person> ada = hm::make_handle<person>(heap, person{hm::movable_string(heap, "Ada"), 1815});
    hm::handle_view<person> view = ada.view();
    if (hm::pinned<person> pin = view.pin()) {
        std::printf("%s, born in %d\n", pin->name.c_str(), pin->born);
    }
    ada.reset();
    std::printf("%s\n", view.pin() ? "still there" : "gone");
    return 0;
}
