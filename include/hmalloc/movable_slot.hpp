/* What the containers of hmalloc/movable.hpp are made of; not for use by itself. */
#ifndef HMALLOC_MOVABLE_SLOT_HPP
#define HMALLOC_MOVABLE_SLOT_HPP

#include <hmalloc/handle.hpp>

namespace hm
{

namespace detail
{

inline void demand(bool done)
{
    if (!done) {
        no_memory();
    }
}

/* Types of this header can say that they got no memory. */
template <typename T, typename = void, typename... Args> struct can_assign : std::false_type {
};
template <typename T, typename... Args>
struct can_assign<T, std::void_t<decltype(std::declval<T &>().assign(std::declval<Args>()...))>, Args...>
    : takes_heap<T> {
};

/* A slot that frees its block at the end. What lies in the block is its owner's business. */
class slot
{
  public:
    explicit slot(hm_heap *heap) noexcept : heap_(heap)
    {
    }
    slot(slot &&other) noexcept : heap_(other.heap_)
    {
        take(other);
    }
    slot &operator=(slot &&) = delete;
    ~slot()
    {
        drop();
    }
    void drop() noexcept
    {
        if (at_ != nullptr && !hm_slot_free(heap_, &at_)) {
            std::terminate();
        }
    }

    /* Both of one heap; this one is empty. */
    void take(slot &other) noexcept
    {
        heap_ = other.heap_;
        if (other.at_ != nullptr) {
            hm_slot_move(heap_, &other.at_, &at_);
        }
    }
    bool resize(std::size_t bytes) noexcept
    {
        if (heap_ == nullptr) {
            heap_ = hm_movable_default();
        }
        return heap_ != nullptr && hm_slot_resize(heap_, &at_, bytes);
    }
    bool same_heap(const slot &other) const noexcept
    {
        return heap_ == other.heap_ || heap_or_default(heap_) == heap_or_default(other.heap_);
    }
    hm_heap *heap() const noexcept
    {
        return heap_;
    }
    void *at() const noexcept
    {
        return at_;
    }
    const void *variable() const noexcept
    {
        return &at_;
    }

    /* The slot whose variable this is. */
    static slot *of(void *variable) noexcept
    {
        return reinterpret_cast<slot *>(static_cast<char *>(variable) - offsetof(slot, at_));
    }

  private:
    hm_heap *heap_;
    void *at_ = nullptr; /* the heap writes it */
};

/* Holds a slot's block still, so that the slot can be found again, should it lie in a block that moves meanwhile. */
class anchor
{
  public:
    explicit anchor(const slot &from) noexcept
        : heap_(from.heap()), at_(from.at() != nullptr ? hm_slot_pin(heap_, from.variable()) : nullptr)
    {
    }
    anchor(const anchor &) = delete;
    anchor &operator=(const anchor &) = delete;
    ~anchor()
    {
        if (at_ != nullptr) {
            release();
        }
    }
    slot *release() noexcept
    {
        void *variable = hm_slot_of(heap_, at_);
        hm_slot_unpin(heap_, variable);
        at_ = nullptr;
        return slot::of(variable);
    }

  private:
    hm_heap *heap_;
    void *at_;
};

} // namespace detail

} // namespace hm

#endif
