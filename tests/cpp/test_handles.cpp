#include "cpp/fixture.hpp"

#include <thread>

struct counted {
    explicit counted(int n) : value(n)
    {
        alive++;
    }
    ~counted()
    {
        alive--;
    }
    int value;
    char rest[60] = {};
    static int alive;
};
int counted::alive;
template <> struct hm::is_movable<counted> : std::true_type {
};

ON_BOTH_KINDS(a_handle_owns_its_object)
{
    hm::handle<counted> first = hm::make_handle<counted>(heap.heap(), 5);
    cr_assert(first);
    cr_assert_eq(counted::alive, 1);
    heap.stir();
    cr_assert_eq(first.pin()->value, 5);
    hm::handle<counted> second = std::move(first);
    cr_assert_not(first);
    cr_assert_not(first.pin());
    cr_assert_eq(second.pin()->value, 5);
    second = hm::make_handle<counted>(heap.heap(), 6);
    cr_assert_eq(counted::alive, 1);
    heap.stir();
    {
        hm::pinned<counted> pin = second.pin();
        counted *at = pin.get();
        heap.stir();
        hm::pinned<counted> moved = std::move(pin);
        cr_assert_not(pin);
        cr_assert_eq(moved.get(), at);
        moved->value = 7;
    }
    cr_assert_eq((*second.pin()).value, 7);
    second.reset();
    cr_assert_eq(counted::alive, 0);
}

ON_BOTH_KINDS(a_view_notices_the_end)
{
    hm::handle_view<counted> view;
    cr_assert_not(view);
    {
        hm::handle<counted> owner = hm::make_handle<counted>(heap.heap(), 8);
        view = owner.view();
        heap.stir();
        cr_assert(view);
        cr_assert_eq(view.pin()->value, 8);
        hm::read_section section(heap.heap());
        cr_assert_eq(section.see(view)->value, 8);
        cr_assert_eq(section.see(owner)->value, 8);
    }
    cr_assert_not(view);
    cr_assert_not(view.pin());
    hm::read_section section(heap.heap());
    cr_assert_null(section.see(view));
}

ON_BOTH_KINDS(handles_lie_in_containers)
{
    hm::movable_vector<hm::handle<counted>> owners(heap.heap());
    for (int i = 0; i < 20; i++) {
        cr_assert(owners.push_back(hm::make_handle<counted>(heap.heap(), i)));
        heap.stir();
    }
    owners.erase(0);
    cr_assert_eq(counted::alive, 19);
    for (int i = 1; i < 20; i++) {
        cr_assert_eq(owners[static_cast<std::size_t>(i) - 1].pin()->value, i);
    }
    hm_handle released = owners[0].release();
    owners.clear();
    cr_assert_eq(counted::alive, 1);
    hm::handle<counted> taken(heap.heap(), released);
    cr_assert_eq(taken.pin()->value, 1);
}

struct thrower {
    explicit thrower(int n)
    {
        throw n;
    }
    char rest[100];
};
template <> struct hm::is_movable<thrower> : std::true_type {
};

ON_BOTH_KINDS(a_constructor_that_throws_leaves_no_block)
{
    hm_movable_stats before;
    hm_movable_stats after;
    heap.stir();
    hm_movable_stats_get(heap.heap(), &before, sizeof before);
    try {
        hm::make_handle<thrower>(heap.heap(), 1);
    } catch (int) {
    }
    try {
        hm::make_movable<thrower>(heap.heap(), 1);
    } catch (int) {
    }
    hm_movable_stats_get(heap.heap(), &after, sizeof after);
    cr_assert_eq(before.live_blocks, after.live_blocks);
    cr_assert_eq(after.pinned_blocks, 0);
}

Test(cpp, exhaustion_is_an_empty_handle)
{
    hm::heap heap(buffer_memory, 1024);
    hm::movable_vector<hm::handle<counted>> none(heap);
    hm::handle<counted> kept[20];
    int count = 0;
    while ((kept[count] = hm::make_handle<counted>(heap, count))) {
        count++;
    }
    cr_assert(count > 0 && count < 20);
    cr_assert_eq(counted::alive, count);
}

Test(cpp, threads_share_views)
{
    hm::heap heap;
    hm::handle<counted> owner = hm::make_handle<counted>(heap, 0);
    hm::handle_view<counted> view = owner.view();
    std::thread thread([view, &heap] {
        for (int i = 0; i < 1000; i++) {
            view.pin()->value++;
            hm::read_section section(heap);
            cr_assert_geq(section.see(view)->value, 0);
        }
    });
    for (int i = 0; i < 100; i++) {
        hm_compact(heap, {0, 0});
    }
    thread.join();
    cr_assert_eq(owner.pin()->value, 1000);
}
