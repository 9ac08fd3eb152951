/* Containers over slots; included by hmalloc/handle.hpp, which says what holds for all of them. */
#ifndef HMALLOC_MOVABLE_HPP
#define HMALLOC_MOVABLE_HPP

#include <hmalloc/movable_slot.hpp>

#include <algorithm>
#include <initializer_list>

namespace hm
{

/* Owns a T in a movable block. */
template <typename T> class movable_ptr
{
  public:
    movable_ptr() noexcept : slot_(nullptr)
    {
    }
    explicit movable_ptr(hm_heap *heap) noexcept : slot_(heap)
    {
    }
    movable_ptr(movable_ptr &&) = default;

    /* As an element of a container of that heap. */
    movable_ptr(hm_heap *heap, movable_ptr &&other) : slot_(heap)
    {
        detail::demand(assign(std::move(other)));
    }

    /* From another heap the T is moved into a new block of this one; false if that can't be had. */
    [[nodiscard]] bool assign(movable_ptr &&other)
    {
        if (this == &other) {
            return true;
        }
        if (slot_.same_heap(other.slot_)) {
            /* The old one may own what `other` lies in. */
            detail::slot next(std::move(other.slot_));
            reset();
            slot_.take(next);
            return true;
        }
        detail::slot next(slot_.heap());
        if (other) {
            movable_ptr moved = make(slot_.heap(), std::move(*other.pin()));
            if (!moved) {
                return false;
            }
            next.take(moved.slot_);
        }
        reset();
        slot_.take(next);
        return true;
    }
    movable_ptr &operator=(movable_ptr &&other)
    {
        detail::demand(assign(std::move(other)));
        return *this;
    }
    ~movable_ptr()
    {
        reset();
    }
    void reset() noexcept
    {
        if (get() != nullptr) {
            detail::slot last(std::move(slot_));
            static_cast<T *>(last.at())->~T();
        }
    }

    T *get() const noexcept
    {
        return static_cast<T *>(slot_.at());
    }
    T &operator*() const noexcept
    {
        return *get();
    }
    T *operator->() const noexcept
    {
        return get();
    }
    explicit operator bool() const noexcept
    {
        return get() != nullptr;
    }
    hm_heap *heap() const noexcept
    {
        return slot_.heap();
    }
    pinned<T> pin() const noexcept
    {
        return get() != nullptr ? pinned<T>(slot_.heap(), slot_.variable(), 1) : pinned<T>();
    }

    /* A new T, made while it is pinned; empty on exhaustion. */
    template <typename... Args> static movable_ptr make(hm_heap *heap, Args &&...args)
    {
        detail::check_type<T>();
        detail::slot block(heap);
        movable_ptr made(heap);
        if (block.resize(sizeof(T))) {
            pinned<T> at(block.heap(), block.variable(), 1);
            detail::construct(at.get(), block.heap(), std::forward<Args>(args)...);
            at.reset();
            made.slot_.take(block);
        }
        return made;
    }

  private:
    detail::slot slot_;
};

/* A new T in a movable block; empty on exhaustion. */
template <typename T, typename... Args> movable_ptr<T> make_movable(hm_heap *heap, Args &&...args)
{
    return movable_ptr<T>::make(heap, std::forward<Args>(args)...);
}

/* The elements lie in one movable block. */
template <typename T> class movable_vector
{
  public:
    using value_type = T;
    using iterator = T *;
    using const_iterator = const T *;

    movable_vector() noexcept : slot_(nullptr)
    {
    }
    explicit movable_vector(hm_heap *heap) noexcept : slot_(heap)
    {
    }
    movable_vector(hm_heap *heap, std::initializer_list<T> values) : slot_(heap)
    {
        detail::demand(fill(values.begin(), values.size()));
    }
    movable_vector(movable_vector &&other) noexcept
        : slot_(std::move(other.slot_)), size_(std::exchange(other.size_, 0)),
          capacity_(std::exchange(other.capacity_, 0))
    {
    }
    movable_vector(const movable_vector &other) : movable_vector(other.heap(), other)
    {
    }
    movable_vector(hm_heap *heap, const movable_vector &other) : slot_(heap)
    {
        detail::demand(assign(other));
    }
    movable_vector(hm_heap *heap, movable_vector &&other) : slot_(heap)
    {
        detail::demand(assign(std::move(other)));
    }
    movable_vector &operator=(movable_vector &&other)
    {
        detail::demand(assign(std::move(other)));
        return *this;
    }
    movable_vector &operator=(const movable_vector &other)
    {
        detail::demand(assign(other));
        return *this;
    }

    /* Copies; as it was on exhaustion. */
    [[nodiscard]] bool assign(const movable_vector &other)
    {
        if (this == &other) {
            return true;
        }
        const T *from = other.data();
        std::size_t count = other.size_;
        detail::anchor source(other.slot_);
        if (slot_.at() == nullptr) {
            return fill(from, count);
        }
        detail::anchor hold(slot_);
        movable_vector next(slot_.heap());
        bool done = next.fill(from, count);
        movable_vector *self = of(hold.release());
        if (done) {
            self->drop();
            self->steal(next);
        }
        return done;
    }

    /* Takes over the block of a vector of the same heap, else copies. */
    [[nodiscard]] bool assign(movable_vector &&other)
    {
        if (this == &other || !slot_.same_heap(other.slot_)) {
            return assign(other);
        }
        movable_vector next(std::move(other));
        drop();
        steal(next);
        return true;
    }
    ~movable_vector()
    {
        drop();
    }

    T *data() noexcept
    {
        return static_cast<T *>(slot_.at());
    }
    const T *data() const noexcept
    {
        return static_cast<const T *>(slot_.at());
    }
    std::size_t size() const noexcept
    {
        return size_;
    }
    std::size_t capacity() const noexcept
    {
        return capacity_;
    }
    bool empty() const noexcept
    {
        return size_ == 0;
    }
    T &operator[](std::size_t index) noexcept
    {
        return data()[index];
    }
    const T &operator[](std::size_t index) const noexcept
    {
        return data()[index];
    }
    T &back() noexcept
    {
        return data()[size_ - 1];
    }
    T *begin() noexcept
    {
        return data();
    }
    T *end() noexcept
    {
        return data() + size_;
    }
    const T *begin() const noexcept
    {
        return data();
    }
    const T *end() const noexcept
    {
        return data() + size_;
    }
    hm_heap *heap() const noexcept
    {
        return slot_.heap();
    }

    /* All elements, held where they are: the vector can be read and written, but not grown, until the pin ends. */
    pinned<T> pin() noexcept
    {
        return data() != nullptr ? pinned<T>(slot_.heap(), slot_.variable(), size_) : pinned<T>();
    }

    [[nodiscard]] bool reserve(std::size_t count) noexcept
    {
        detail::check_type<T>();
        if (count <= capacity_) {
            return true;
        }
        if (count > PTRDIFF_MAX / sizeof(T) || !slot_.resize(count * sizeof(T))) {
            return false;
        }
        capacity_ = count;
        return true;
    }

    /* The arguments may refer to elements of this vector. */
    template <typename... Args> [[nodiscard]] bool emplace_back(Args &&...args)
    {
        return append(std::forward<Args>(args)...) != nullptr;
    }
    [[nodiscard]] bool push_back(const T &value)
    {
        return append(value) != nullptr;
    }
    [[nodiscard]] bool push_back(T &&value)
    {
        return append(std::move(value)) != nullptr;
    }
    [[nodiscard]] bool insert(std::size_t index, T value)
    {
        movable_vector *self = append(std::move(value));
        if (self != nullptr) {
            std::rotate(self->begin() + index, self->end() - 1, self->end());
        }
        return self != nullptr;
    }
    void erase(std::size_t index)
    {
        std::move(begin() + index + 1, end(), begin() + index);
        pop_back();
    }
    void pop_back() noexcept
    {
        data()[--size_].~T();
    }
    void clear() noexcept
    {
        while (size_ > 0) {
            pop_back();
        }
    }

    /* Gives back what reserve() took too much. False while pinned. */
    bool shrink_to_fit() noexcept
    {
        if (size_ == 0) {
            drop();
        } else if (size_ < capacity_) {
            if (!slot_.resize(size_ * sizeof(T))) {
                return false;
            }
            capacity_ = size_;
        }
        return true;
    }

  private:
    bool grow() noexcept
    {
        return size_ < capacity_ || reserve(std::max<std::size_t>(4, capacity_ + capacity_ / 2));
    }

    /* The vector after that, which may itself have moved while the value took memory; nullptr: exhaustion. */
    template <typename... Args> movable_vector *append(Args &&...args)
    {
        movable_vector *self = this;
        if constexpr (std::is_trivially_copyable_v<T>) {
            T value = detail::make<T>(nullptr, std::forward<Args>(args)...);
            if (!grow()) {
                return nullptr;
            }
            ::new (static_cast<void *>(end())) T(value);
        } else {
            if (!reserve(1)) {
                return nullptr;
            }
            detail::anchor hold(slot_);
            if constexpr (detail::can_assign<T, void, Args...>::value) {
                T value(slot_.heap());
                self = value.assign(std::forward<Args>(args)...) ? of(hold.release()) : nullptr;
                if (self == nullptr || !self->grow()) {
                    return nullptr;
                }
                detail::construct(self->end(), self->heap(), std::move(value));
            } else {
                T value = detail::make<T>(slot_.heap(), std::forward<Args>(args)...);
                self = of(hold.release());
                if (!self->grow()) {
                    return nullptr;
                }
                detail::construct(self->end(), self->heap(), std::move(value));
            }
        }
        self->size_++;
        return self;
    }

    /* Elements that go again unless all were made. */
    struct elements {
        T *first;
        std::size_t count;
        ~elements()
        {
            while (count > 0) {
                first[--count].~T();
            }
        }
    };

    static bool copy_to(T *to, hm_heap *heap, const T &from)
    {
        if constexpr (detail::can_assign<T, void, const T &>::value) {
            ::new (static_cast<void *>(to)) T(heap);
            return to->assign(from);
        } else {
            detail::construct(to, heap, from);
            return true;
        }
    }

    /* The vector is empty. What is copied is pinned, or nowhere in a heap; so are the copies: they may take memory. */
    bool fill(const T *from, std::size_t count)
    {
        if (count == 0 || !reserve(count)) {
            return count == 0;
        }
        detail::anchor hold(slot_);
        hm_heap *heap = slot_.heap();
        elements made = {data(), 0};
        bool done = true;
        while (made.count < count && done) {
            done = copy_to(made.first + made.count, heap, from[made.count]);
            made.count++;
        }
        if (done) {
            of(hold.release())->size_ = std::exchange(made.count, 0);
        }
        return done;
    }
    void steal(movable_vector &other) noexcept
    {
        slot_.take(other.slot_);
        size_ = std::exchange(other.size_, 0);
        capacity_ = std::exchange(other.capacity_, 0);
    }
    void drop() noexcept
    {
        clear();
        slot_.drop();
        capacity_ = 0;
    }
    static movable_vector *of(detail::slot *slot) noexcept
    {
        return reinterpret_cast<movable_vector *>(reinterpret_cast<char *>(slot) -
                                                  offsetof(movable_vector, slot_));
    }

    detail::slot slot_;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

/* Their slots are registered: the heap finds them in a block that it moves. */
template <typename T> struct is_movable<movable_ptr<T>> : std::true_type {
};
template <typename T> struct is_movable<movable_vector<T>> : std::true_type {
};
template <typename T> struct takes_heap<movable_ptr<T>> : std::true_type {
};
template <typename T> struct takes_heap<movable_vector<T>> : std::true_type {
};

} // namespace hm

#include <hmalloc/movable_string.hpp>

#endif
