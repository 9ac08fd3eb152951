/* A string over a slot; included by hmalloc/handle.hpp, which says what holds for all containers. */
#ifndef HMALLOC_MOVABLE_STRING_HPP
#define HMALLOC_MOVABLE_STRING_HPP

#include <hmalloc/movable.hpp>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string_view>

namespace hm
{

/* Characters in one movable block, with a NUL behind them. */
class movable_string
{
  public:
    movable_string() noexcept : slot_(nullptr)
    {
    }
    explicit movable_string(hm_heap *heap) noexcept : slot_(heap)
    {
    }
    movable_string(hm_heap *heap, std::string_view text) : slot_(heap)
    {
        detail::demand(append(text));
    }
    movable_string(hm_heap *heap, const char *text) : movable_string(heap, std::string_view(text))
    {
    }
    explicit movable_string(std::string_view text) : movable_string(nullptr, text)
    {
    }
    movable_string(movable_string &&other) noexcept
        : slot_(std::move(other.slot_)), size_(std::exchange(other.size_, 0))
    {
    }
    movable_string(const movable_string &other) : movable_string(other.heap(), other)
    {
    }
    movable_string(hm_heap *heap, const movable_string &other) : slot_(heap)
    {
        detail::demand(append(other));
    }
    movable_string(hm_heap *heap, movable_string &&other) : slot_(heap)
    {
        detail::demand(assign(std::move(other)));
    }
    movable_string &operator=(movable_string &&other)
    {
        detail::demand(assign(std::move(other)));
        return *this;
    }
    movable_string &operator=(const movable_string &other)
    {
        detail::demand(assign(other));
        return *this;
    }

    std::size_t size() const noexcept
    {
        return size_;
    }
    bool empty() const noexcept
    {
        return size_ == 0;
    }
    const char *c_str() const noexcept
    {
        return slot_.at() != nullptr ? static_cast<const char *>(slot_.at()) : "";
    }
    std::string_view view() const noexcept
    {
        return std::string_view(c_str(), size_);
    }
    char &operator[](std::size_t index) noexcept
    {
        return chars()[index];
    }
    char operator[](std::size_t index) const noexcept
    {
        return c_str()[index];
    }
    hm_heap *heap() const noexcept
    {
        return slot_.heap();
    }

    /* The characters, held where they are: they can be read and written, but not grown, until the pin ends. */
    pinned<char> pin() noexcept
    {
        return slot_.at() != nullptr ? pinned<char>(slot_.heap(), slot_.variable(), size_) : pinned<char>();
    }

    /* `text` may be a part of this string; in another movable block it must be pinned. */
    [[nodiscard]] bool append(std::string_view text) noexcept
    {
        bool own = contains(text.data());
        std::size_t offset = own ? static_cast<std::size_t>(text.data() - c_str()) : 0;
        if (text.empty()) {
            return true;
        }
        if (text.size() > PTRDIFF_MAX - size_ - 1 || !reserve(size_ + text.size())) {
            return false;
        }
        std::memcpy(chars() + size_, own ? chars() + offset : text.data(), text.size());
        set_size(size_ + text.size());
        return true;
    }
    [[nodiscard]] bool append(const movable_string &other) noexcept
    {
        if (&other == this) {
            return append(view());
        }
        std::string_view text = other.view();
        detail::anchor hold(other.slot_);
        return append(text);
    }
    [[nodiscard]] bool push_back(char c) noexcept
    {
        return append(std::string_view(&c, 1));
    }

    /* As append, and as it was on exhaustion. */
    [[nodiscard]] bool assign(std::string_view text) noexcept
    {
        std::size_t before = size_;
        if (!append(text)) {
            return false;
        }
        if (before > 0) {
            std::memmove(chars(), chars() + before, text.size());
            set_size(text.size());
        }
        return true;
    }
    [[nodiscard]] bool assign(const movable_string &other) noexcept
    {
        if (&other == this) {
            return true;
        }
        std::string_view text = other.view();
        detail::anchor hold(other.slot_);
        return assign(text);
    }

    /* Takes over the block of a string of the same heap, else copies. */
    [[nodiscard]] bool assign(movable_string &&other) noexcept
    {
        if (&other == this || !slot_.same_heap(other.slot_)) {
            return assign(other);
        }
        movable_string next(std::move(other));
        slot_.drop();
        steal(next);
        return true;
    }
    [[nodiscard]] bool reserve(std::size_t size) noexcept
    {
        std::size_t have = capacity();
        if (size <= have && slot_.at() != nullptr) {
            return true;
        }
        if (!slot_.resize(std::max<std::size_t>(size, have + have / 2) + 1)) {
            return false;
        }
        chars()[size_] = 0;
        return true;
    }
    std::size_t capacity() const noexcept
    {
        return slot_.at() != nullptr ? hm_slot_size(slot_.heap(), slot_.variable()) - 1 : 0;
    }
    void clear() noexcept
    {
        if (slot_.at() != nullptr) {
            set_size(0);
        }
    }

    friend bool operator==(const movable_string &left, std::string_view right) noexcept
    {
        return left.view() == right;
    }
    friend bool operator!=(const movable_string &left, std::string_view right) noexcept
    {
        return left.view() != right;
    }
    friend bool operator==(const movable_string &left, const movable_string &right) noexcept
    {
        return left.view() == right.view();
    }
    friend bool operator!=(const movable_string &left, const movable_string &right) noexcept
    {
        return left.view() != right.view();
    }
    friend bool operator<(const movable_string &left, const movable_string &right) noexcept
    {
        return left.view() < right.view();
    }

  private:
    char *chars() noexcept
    {
        return static_cast<char *>(slot_.at());
    }
    bool contains(const char *text) const noexcept
    {
        return slot_.at() != nullptr && !std::less<const char *>()(text, c_str()) &&
               !std::less<const char *>()(c_str() + size_, text);
    }
    void set_size(std::size_t size) noexcept
    {
        size_ = size;
        chars()[size] = 0;
    }
    void steal(movable_string &other) noexcept
    {
        slot_.take(other.slot_);
        size_ = std::exchange(other.size_, 0);
    }

    detail::slot slot_;
    std::size_t size_ = 0;
};

template <> struct is_movable<movable_string> : std::true_type {
};
template <> struct takes_heap<movable_string> : std::true_type {
};

} // namespace hm

#endif
