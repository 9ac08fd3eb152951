/* Movable blocks in C++17: owners, pins and containers over hmalloc/handle.h. Header only; compiles without exceptions and RTTI.
 *
 * Two families:
 *  - by handle: hm::handle<T> owns a block, hm::handle_view<T> only names it and notices when it is gone, hm::pinned<T> holds it
 *    still. For heaps that threads share and a background thread compacts.
 *  - by slot: hm::movable_ptr<T>, hm::movable_vector<T>, hm::movable_string. Their pointer is a slot: it is right again after
 *    every move, and the object itself may be moved between variables, returned, and put into another of them on the same heap
 *    (an element takes its container's heap). With HM_MOVABLE_SLOTS_PINNED their contents are to be used under pin() only.
 *
 * What may lie in a movable block: types for which is_movable<T> holds. The heap copies their bytes to the new place, so they mustn't
 * point into themselves, and nobody may keep a pointer to them. That is true of trivially copyable types, and of the types of this
 * header, whose slots are registered and follow. For a type of your own made of such members, say so:
 *     template <> struct hm::is_movable<person> : std::true_type {};
 *
 * References and iterators into a block are good until the next call that takes memory from the same heap, or compacts it; in
 * doubt hold a pin(). This holds for `this` of a container that is an element, too: `v[0].append("x")` is fine,
 * `v[0].append(make_string())` isn't unless v is pinned, because v[0] is evaluated first.
 *
 * Exhaustion: functions return false or an empty object; constructors and assignment operators throw std::bad_alloc, or abort where
 * exceptions are off. A pinned block can't be resized (false) and must not lose its owner (std::terminate). A heap must outlive
 * what is in it. nullptr as heap is the process's default heap. */
#ifndef HMALLOC_HANDLE_HPP
#define HMALLOC_HANDLE_HPP

#include <hmalloc/handle.h>

#include <cstddef>
#include <cstdlib>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

namespace hm
{

template <typename T> struct is_movable : std::is_trivially_copyable<T> {
};
template <typename T> inline constexpr bool is_movable_v = is_movable<T>::value;

/* Types whose constructors take a heap before their other arguments; containers give theirs to such elements. */
template <typename T> struct takes_heap : std::false_type {
};
template <typename T> inline constexpr bool takes_heap_v = takes_heap<T>::value;

namespace detail
{

[[noreturn]] inline void no_memory()
{
#if defined(__cpp_exceptions)
    throw std::bad_alloc();
#else
    std::abort();
#endif
}

inline hm_heap *heap_or_default(hm_heap *heap) noexcept
{
    return heap != nullptr ? heap : hm_movable_default();
}

template <typename T> constexpr void check_type()
{
    static_assert(is_movable_v<T>,
                  "only types that may be copied bytewise to another place: see hm::is_movable");
    static_assert(alignof(T) <= 16, "movable blocks are aligned to 16 bytes");
}

template <typename T, typename... Args> void construct(T *at, hm_heap *heap, Args &&...args)
{
    if constexpr (takes_heap_v<T>) {
        ::new (static_cast<void *>(at)) T(heap, std::forward<Args>(args)...);
    } else {
        ::new (static_cast<void *>(at)) T(std::forward<Args>(args)...);
    }
}

template <typename T, typename... Args> T make(hm_heap *heap, Args &&...args)
{
    if constexpr (takes_heap_v<T>) {
        return T(heap, std::forward<Args>(args)...);
    } else {
        return T(std::forward<Args>(args)...);
    }
}

} // namespace detail

/* A heap that ends with its scope. */
class heap
{
  public:
    explicit heap(const hm_movable_options &options = hm_movable_options())
        : heap_(hm_movable_create(&options))
    {
        if (heap_ == nullptr) {
            detail::no_memory();
        }
    }
    heap(void *buffer, std::size_t bytes, const hm_movable_options &options = hm_movable_options())
        : heap_(hm_movable_create_in(buffer, bytes, &options))
    {
        if (heap_ == nullptr) {
            detail::no_memory();
        }
    }
    heap(const heap &) = delete;
    heap &operator=(const heap &) = delete;
    ~heap()
    {
        hm_movable_destroy(heap_);
    }
    operator hm_heap *() const noexcept
    {
        return heap_;
    }

  private:
    hm_heap *heap_;
};

/* Holds the elements of one block where they are, for as long as it lives. Empty when there was no block to pin. */
template <typename T> class pinned
{
  public:
    pinned() = default;

    /* By handle. */
    pinned(hm_heap *heap, hm_handle handle) noexcept
        : heap_(heap), handle_(handle), at_(static_cast<T *>(hm_pin(heap, handle))), size_(at_ != nullptr)
    {
    }

    /* By slot: the first `size` elements. */
    pinned(hm_heap *heap, const void *slot, std::size_t size) noexcept
        : heap_(heap), at_(static_cast<T *>(hm_slot_pin(heap, slot))), size_(at_ != nullptr ? size : 0)
    {
    }
    pinned(pinned &&other) noexcept
        : heap_(other.heap_), handle_(other.handle_), at_(std::exchange(other.at_, nullptr)),
          size_(std::exchange(other.size_, 0))
    {
    }
    pinned &operator=(pinned &&other) noexcept
    {
        if (this != &other) {
            reset();
            heap_ = other.heap_;
            handle_ = other.handle_;
            at_ = std::exchange(other.at_, nullptr);
            size_ = std::exchange(other.size_, 0);
        }
        return *this;
    }
    ~pinned()
    {
        reset();
    }

    /* Lets go. A slot may have changed its place or its owner meanwhile: the block says which it is. */
    void reset() noexcept
    {
        if (at_ == nullptr) {
            return;
        }
        if (handle_ != 0) {
            hm_unpin(heap_, handle_);
        } else {
            hm_slot_unpin(heap_, hm_slot_of(heap_, at_));
        }
        at_ = nullptr;
        size_ = 0;
    }

    explicit operator bool() const noexcept
    {
        return at_ != nullptr;
    }
    T *get() const noexcept
    {
        return at_;
    }
    T &operator*() const noexcept
    {
        return *at_;
    }
    T *operator->() const noexcept
    {
        return at_;
    }
    T &operator[](std::size_t index) const noexcept
    {
        return at_[index];
    }
    T *begin() const noexcept
    {
        return at_;
    }
    T *end() const noexcept
    {
        return at_ + size_;
    }
    std::size_t size() const noexcept
    {
        return size_;
    }

  private:
    hm_heap *heap_ = nullptr;
    hm_handle handle_ = 0;
    T *at_ = nullptr;
    std::size_t size_ = 0;
};

/* Names a block that somebody else owns. A plain value: copy it, keep it as long as you like; once the block is freed, pin() is
 * empty. */
template <typename T> class handle_view
{
  public:
    handle_view() = default;
    handle_view(hm_heap *heap, hm_handle handle) noexcept : heap_(heap), handle_(handle)
    {
    }
    pinned<T> pin() const noexcept
    {
        return pinned<T>(heap_, handle_);
    }
    explicit operator bool() const noexcept
    {
        return handle_ != 0 && hm_handle_valid(heap_, handle_);
    }
    hm_heap *heap() const noexcept
    {
        return heap_;
    }
    hm_handle get() const noexcept
    {
        return handle_;
    }

  private:
    hm_heap *heap_ = nullptr;
    hm_handle handle_ = 0;
};

/* Owns a block with one T in it, as unique_ptr does. */
template <typename T> class handle
{
  public:
    handle() = default;

    /* Takes over a block that holds a T. */
    handle(hm_heap *heap, hm_handle owned) noexcept : view_(detail::heap_or_default(heap), owned)
    {
        detail::check_type<T>();
    }
    handle(handle &&other) noexcept : view_(std::exchange(other.view_, handle_view<T>()))
    {
    }
    handle &operator=(handle &&other) noexcept
    {
        if (this != &other) {
            reset();
            view_ = std::exchange(other.view_, handle_view<T>());
        }
        return *this;
    }
    ~handle()
    {
        reset();
    }

    /* Destroys the T and frees the block, which nobody may have pinned. */
    void reset() noexcept
    {
        handle_view<T> old = std::exchange(view_, handle_view<T>());
        if (old.get() == 0) {
            return;
        }
        if constexpr (!std::is_trivially_destructible_v<T>) {
            old.pin()->~T();
        }
        if (!hm_handle_free(old.heap(), old.get())) {
            std::terminate();
        }
    }

    /* Gives the ownership away. */
    hm_handle release() noexcept
    {
        return std::exchange(view_, handle_view<T>()).get();
    }
    pinned<T> pin() const noexcept
    {
        return view_.get() != 0 ? view_.pin() : pinned<T>();
    }
    handle_view<T> view() const noexcept
    {
        return view_;
    }
    hm_heap *heap() const noexcept
    {
        return view_.heap();
    }
    hm_handle get() const noexcept
    {
        return view_.get();
    }
    explicit operator bool() const noexcept
    {
        return view_.get() != 0;
    }

  private:
    handle_view<T> view_;
};

/* A new T in a block of its own, made while it is pinned; empty on exhaustion. */
template <typename T, typename... Args> handle<T> make_handle(hm_heap *heap, Args &&...args)
{
    struct block {
        hm_heap *heap;
        hm_handle handle;
        ~block()
        {
            hm_handle_free(heap, handle); /* 0 unless the constructor threw */
        }
    };
    detail::check_type<T>();
    heap = detail::heap_or_default(heap);
    block made = {heap, heap != nullptr ? hm_handle_alloc(heap, sizeof(T)) : 0};
    if (made.handle == 0) {
        return handle<T>();
    }
    pinned<T> at(heap, made.handle);
    detail::construct(at.get(), heap, std::forward<Args>(args)...);
    return handle<T>(heap, std::exchange(made.handle, 0));
}

/* Addresses from see() can be read until it ends, though blocks move meanwhile. Keep it short. */
class read_section
{
  public:
    explicit read_section(hm_heap *heap) noexcept : heap_(detail::heap_or_default(heap))
    {
        hm_read_enter(heap_);
    }
    read_section(const read_section &) = delete;
    read_section &operator=(const read_section &) = delete;
    ~read_section()
    {
        hm_read_leave(heap_);
    }

    /* nullptr: freed, or of another heap. */
    template <typename T> const T *see(const handle_view<T> &view) const noexcept
    {
        return static_cast<const T *>(hm_deref(heap_, view.get()));
    }
    template <typename T> const T *see(const handle<T> &owner) const noexcept
    {
        return see(owner.view());
    }

  private:
    hm_heap *heap_;
};

/* A handle is a plain value without a slot: it may lie anywhere. */
template <typename T> struct is_movable<handle<T>> : std::true_type {
};

} // namespace hm

#include <hmalloc/movable.hpp>

#endif
