#include "cpp/fixture.hpp"

#include <algorithm>

using text = hm::movable_string;
using texts = hm::movable_vector<text>;

struct person {
    text name;
    int age;
};
template <> struct hm::is_movable<person> : std::true_type {
};

struct node {
    explicit node(int n) : value(n)
    {
        alive++;
    }
    node(node &&other) : value(other.value), next(std::move(other.next))
    {
        alive++;
    }
    ~node()
    {
        alive--;
    }
    int value;
    hm::movable_ptr<node> next;
    static int alive;
};
int node::alive;
template <> struct hm::is_movable<node> : std::true_type {
};

static std::string numbered(int i)
{
    return std::string(static_cast<std::size_t>(i % 40), 'x') + std::to_string(i);
}

ON_BOTH_KINDS(a_string_grows_and_keeps_its_bytes)
{
    text string(heap.heap(), "begin");
    std::string reference = "begin";
    for (int i = 0; i < 30; i++) {
        cr_assert(string.append(numbered(i)));
        reference += numbered(i);
        heap.stir();
        cr_assert(string == reference);
        cr_assert_eq(std::strlen(string.c_str()), reference.size());
    }
    cr_assert(string.append(string) && string.append(string.view().substr(3, 9)));
    reference += reference;
    reference += reference.substr(3, 9);
    heap.stir();
    cr_assert(string == reference);
    cr_assert(string.assign(string.view().substr(5, 7)));
    cr_assert(string == std::string_view(reference).substr(5, 7));
    cr_assert(string.push_back('!'));
    string[0] = '?';
    cr_assert_eq(string.view().back(), '!');
    string.clear();
    cr_assert(string.empty() && string == "");
}

static text made(hm_heap *heap, stirred &stir)
{
    text local(heap, "returned");
    stir.stir();
    return local;
}

ON_BOTH_KINDS(strings_are_copied_moved_and_returned)
{
    text first = made(heap.heap(), heap);
    heap.stir();
    text second = first;
    text third(std::move(first));
    heap.stir();
    cr_assert(first.empty() && second == "returned" && third == second);
    first = std::move(third);
    third = first;
    heap.stir();
    cr_assert(third == "returned" && first == third);
    std::swap(first, second);
    second = text(heap.heap(), "other");
    std::swap(first, second);
    heap.stir();
    cr_assert(first == "other" && second == "returned" && first != second && first < second);
    first = text();
    cr_assert(first == "");
}

ON_BOTH_KINDS(a_vector_of_numbers)
{
    hm::movable_vector<int> numbers(heap.heap());
    for (int i = 0; i < 40; i++) {
        cr_assert(numbers.push_back(i));
        cr_assert(numbers.push_back(numbers[0]));
        heap.stir();
    }
    for (std::size_t i = 0; i < 80; i += 2) {
        cr_assert_eq(numbers[i], static_cast<int>(i / 2));
        cr_assert_eq(numbers[i + 1], 0);
    }
    numbers.erase(1);
    cr_assert(numbers.insert(0, -1));
    cr_assert_eq(numbers[0], -1);
    cr_assert_eq(numbers[2], 1);
    std::sort(numbers.begin(), numbers.end());
    cr_assert(std::is_sorted(numbers.begin(), numbers.end()));
    cr_assert_eq(numbers.back(), 39);
    cr_assert(numbers.shrink_to_fit());
    cr_assert_eq(numbers.capacity(), numbers.size());
    numbers.clear();
    cr_assert(numbers.shrink_to_fit() && numbers.capacity() == 0);
}

ON_BOTH_KINDS(a_vector_of_strings)
{
    texts names(heap.heap());
    std::vector<std::string> reference;
    for (int i = 0; i < 40; i++) {
        cr_assert(names.emplace_back(numbered(i)));
        reference.push_back(numbered(i));
        heap.stir();
    }
    cr_assert(names.push_back(names[7]));
    reference.push_back(reference[7]);
    heap.stir();
    cr_assert(names.insert(3, text(heap.heap(), "inserted")));
    reference.insert(reference.begin() + 3, "inserted");
    heap.stir();
    names.erase(10);
    reference.erase(reference.begin() + 10);
    heap.stir();
    cr_assert(names[5].append(" and more"));
    reference[5] += " and more";
    heap.stir();
    cr_assert_eq(names.size(), reference.size());
    std::sort(names.begin(), names.end());
    std::sort(reference.begin(), reference.end());
    heap.stir();
    for (std::size_t i = 0; i < reference.size(); i++) {
        cr_assert(names[i] == reference[i]);
    }
    texts copy = names;
    heap.stir();
    names = texts(heap.heap());
    heap.stir();
    cr_assert(std::equal(copy.begin(), copy.end(), reference.begin(),
                         [](const text &a, const std::string &b) { return a == b; }));
    cr_assert_eq(hm_slot_check(heap.heap()), 0);
}

ON_BOTH_KINDS(elements_take_the_heap_of_their_container)
{
    hm::heap other;
    texts names(heap.heap());
    text from_other(other, "from the other heap");
    cr_assert(names.push_back(from_other));
    cr_assert(names.push_back(std::move(from_other)));
    cr_assert(names.push_back(text("from the default heap")));
    heap.stir();
    for (const text &name : names) {
        cr_assert_eq(name.heap(), heap.heap());
    }
    cr_assert(names[0] == "from the other heap" && names[1] == names[0] &&
              names[2] == "from the default heap");
    hm::movable_vector<hm::movable_ptr<int>> pointers(heap.heap());
    cr_assert(pointers.push_back(hm::make_movable<int>(other, 7)));
    heap.stir();
    cr_assert_eq(pointers[0].heap(), heap.heap());
    cr_assert_eq(*pointers[0], 7);
}

ON_BOTH_KINDS(vectors_of_vectors_of_strings)
{
    hm::movable_vector<texts> rows(heap.heap());
    for (int row = 0; row < 6; row++) {
        cr_assert(rows.emplace_back());
        for (int i = 0; i < 6; i++) {
            // Taking memory for the string may move the block that the row lies in.
            cr_assert(rows.back().emplace_back(numbered(row * 10 + i)));
            heap.stir();
        }
    }
    for (int row = 0; row < 6; row++) {
        for (int i = 0; i < 6; i++) {
            cr_assert(rows[static_cast<std::size_t>(row)][static_cast<std::size_t>(i)] ==
                      numbered(row * 10 + i));
        }
    }
    hm::movable_vector<texts> moved = std::move(rows);
    heap.stir();
    cr_assert(rows.empty() && moved[5][5] == numbered(55));
}

ON_BOTH_KINDS(structures_with_members_that_follow)
{
    hm::movable_vector<person> people(heap.heap());
    for (int i = 0; i < 20; i++) {
        cr_assert(people.push_back(person{text(heap.heap(), numbered(i)), i}));
        heap.stir();
    }
    people.erase(4);
    heap.stir();
    for (const person &one : people) {
        cr_assert(one.name == numbered(one.age));
    }
    hm::handle<person> owner = hm::make_handle<person>(heap.heap(), person{text(heap.heap(), "owned"), 1});
    heap.stir();
    cr_assert(owner.pin()->name == "owned");
}

ON_BOTH_KINDS(a_list_of_owning_pointers)
{
    hm::movable_ptr<node> list;
    for (int i = 0; i < 30; i++) {
        hm::movable_ptr<node> head = hm::make_movable<node>(heap.heap(), i);
        cr_assert(head);
        head->next = std::move(list);
        list = std::move(head);
        heap.stir();
    }
    int expected = 29;
    for (const hm::movable_ptr<node> *at = &list; *at; at = &(*at)->next) {
        cr_assert_eq((*at)->value, expected--);
    }
    cr_assert_eq(expected, -1);
    cr_assert_eq(node::alive, 30);
    // The second takes the place of the first, which owned it.
    list = std::move(list->next);
    heap.stir();
    cr_assert_eq(list->value, 28);
    cr_assert_eq(node::alive, 29);
    {
        hm::pinned<node> pin = list.pin();
        heap.stir();
        cr_assert_eq(pin->value, 28);
    }
    list.reset();
    cr_assert_eq(node::alive, 0);
}

// Memory for 100 bytes is free in two pieces below the containers, so the call that takes it moves them.
class pieces
{
  public:
    explicit pieces(hm_heap *heap) : heap_(heap)
    {
        cr_assert(hm_slot_alloc_array(heap, low_, 4, 64));
    }
    void open()
    {
        hm_movable_stats stats;
        hm_slot_free(heap_, &low_[0]);
        hm_slot_free(heap_, &low_[2]);
        hm_movable_stats_get(heap_, &stats, sizeof stats);
        cr_assert(hm_slot_alloc(heap_, &plug_, stats.largest_free / 16 * 16));
        hm_movable_stats_get(heap_, &stats, sizeof stats);
        moved_ = stats.moved_blocks;
    }
    ~pieces()
    {
        hm_movable_stats stats;
        hm_movable_stats_get(heap_, &stats, sizeof stats);
        cr_assert_gt(stats.moved_blocks, moved_);
    }

  private:
    hm_heap *heap_;
    void *low_[4] = {};
    void *plug_ = nullptr;
    std::size_t moved_ = 0;
};

static const std::string long_text(100, 'x');

Test(cpp, an_element_that_moves_in_its_own_call)
{
    hm::heap heap(buffer_memory, 4096, wiping);
    pieces low(heap);
    hm::movable_vector<texts> rows(heap);
    cr_assert(rows.emplace_back() && rows[0].reserve(4));
    low.open();
    cr_assert(rows[0].emplace_back(long_text));
    cr_assert_eq(rows[0].size(), 1);
    cr_assert(rows[0][0] == long_text);
}

Test(cpp, a_source_that_moves_while_it_is_copied)
{
    hm::heap heap(buffer_memory, 4096, wiping);
    pieces low(heap);
    text source(heap, long_text);
    low.open();
    text copy = source;
    cr_assert(copy == long_text);
}

Test(cpp, a_vector_that_moves_while_it_is_copied)
{
    hm::heap heap(buffer_memory, 4096, wiping);
    pieces low(heap);
    hm::movable_vector<int> source(heap);
    for (int i = 0; i < 25; i++) {
        cr_assert(source.push_back(i));
    }
    cr_assert(source.shrink_to_fit());
    low.open();
    hm::movable_vector<int> copy = source;
    for (int i = 0; i < 25; i++) {
        cr_assert_eq(copy[static_cast<std::size_t>(i)], i);
    }
}

Test(cpp, a_pin_holds_a_vector_still)
{
    hm::heap heap(buffer_memory, buffer_bytes);
    stirred stir(heap, 50, 2000);
    hm::movable_vector<int> numbers(heap, {1, 2, 3, 4});
    hm::pinned<int> pin = numbers.pin();
    for (int i = 0; i < 20; i++) {
        stir.stir();
        cr_assert_eq(pin.get(), numbers.data());
    }
    cr_assert_eq(pin.size(), 4);
    cr_assert_eq(pin[3], 4);
    cr_assert_not(numbers.push_back(5));
    cr_assert_eq(numbers.size(), 4);
    // The owner may change meanwhile.
    hm::movable_vector<int> other = std::move(numbers);
    pin.reset();
    cr_assert(other.push_back(5));
    cr_assert_eq(other.back(), 5);
}

Test(cpp, exhaustion_leaves_containers_as_they_were)
{
    hm::heap heap(buffer_memory, 4096);
    texts names(heap);
    std::size_t count = 0;
    while (names.emplace_back("a string of some length")) {
        count++;
    }
    cr_assert_eq(names.size(), count);
    cr_assert(names[count - 1] == "a string of some length");
    cr_assert_not(names[0].append(std::string(4000, 'x')));
    cr_assert(names[0] == "a string of some length");
    struct large {
        char bytes[4000];
    };
    cr_assert_not(hm::make_movable<large>(heap));
    cr_assert_not(hm::make_handle<large>(heap));
    try {
        text copy(heap, std::string(4000, 'x'));
        cr_assert_fail("it doesn't fit");
    } catch (const std::bad_alloc &) {
    }
    texts second(heap);
    cr_assert_not(second.assign(names));
    cr_assert(second.empty());
    names.clear();
    hm_movable_verify(heap);
}
